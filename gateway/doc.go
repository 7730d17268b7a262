// Package gateway holds the nouns of the product, their states and rules, and Gateway: one method for each thing that
// a person or a product can do.
//
// # Who is authoritative
//
// The Store says what must happen and who is at it; the Queue says what to look at now. An event that was accepted is
// in the store with its deliveries; what the queue says is a hint that is checked against the store. The whole content
// of the queue can vanish, or be forged, and nothing is lost or sent that should not be.
//
// # The nouns
//
//	Organisation  a customer of the platform; everything but the catalogue belongs to one
//	Webhook       endpoints, selected events, mapping, headers, signing; every change makes a new revision
//	Endpoint      one target URL; its health and its lane are an EndpointState, a record of its own
//	Event         one thing that happened, byte for byte, with the plan of the deliveries that it makes
//	Shape         all that a body depends on but the event, under its content hash
//	Delivery      one event on its way to one endpoint; Place says where a pending one is
//	Attempt       one HTTP request of a delivery
//	Replay, Job   work that makes or repeats deliveries and survives a wiped queue
//
// This package knows no Fiber, MongoDB, SQL or Asynq: the stores, the API and the workers import it.
package gateway
