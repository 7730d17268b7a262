package gateway

import "encoding/json"

// Event is one thing that happened: product, type, organisation, data. It is never changed after it was accepted;
// only erasure and retention take it away.
type Event struct {
	ID           string `json:"id" bson:"id"`
	Product      string `json:"product" bson:"product"`
	Type         string `json:"type" bson:"type"`
	Organisation string `json:"organisation" bson:"organisation"`
	Account      string `json:"account,omitempty" bson:"account,omitempty"`
	// CreatedAt is the publisher's word, and any time at all, and the present where the publisher says nothing.
	CreatedAt  Moment `json:"createdAt" bson:"createdAt"`
	AcceptedAt Time   `json:"acceptedAt" bson:"acceptedAt"`
	// Data is a JSON object, byte for byte as it was published; nil in lists and after erasure.
	Data json.RawMessage `json:"data,omitempty" bson:"data,omitempty"`
	// Erased is true when the data was erased on request: the facts stay.
	Erased bool `json:"erased,omitempty" bson:"erased,omitempty"`

	// Hash is a digest of product, type, account and data: it tells a repeated publish from a different event.
	Hash []byte `json:"-" bson:"hash"`
	// Order is the acceptance number: 16 hex digits of microseconds of the accepting process's clock, then 4 of the
	// place in the commit. It sorts events by acceptance.
	Order string `json:"-" bson:"order"`
	// Plan names every delivery that the event makes.
	Plan []Planned `json:"-" bson:"plan"`
}

// Planned is one delivery of an event's plan.
type Planned struct {
	Delivery string `json:"delivery" bson:"delivery"`
	Endpoint string `json:"endpoint" bson:"endpoint"`
	Webhook  string `json:"webhook" bson:"webhook"`
	Revision int64  `json:"revision" bson:"revision"`
	Shape    string `json:"shape" bson:"shape"`
}

// EventKey is the key of an event in a store: ids of events are unique within their organisation.
func EventKey(organisation, id string) string { return organisation + "/" + id }

// EventInput is what a publisher writes.
type EventInput struct {
	ID           Optional[string]  `json:"id"`
	Product      Optional[string]  `json:"product"`
	Type         Optional[string]  `json:"type"`
	Organisation Optional[string]  `json:"organisation"`
	Account      Optional[string]  `json:"account"`
	CreatedAt    Optional[string]  `json:"createdAt"`
	Data         Optional[RawJSON] `json:"data"`
}

// Published is the answer to a publish.
type Published struct {
	ID         string `json:"id"`
	Deliveries int    `json:"deliveries"`
	// Duplicate is true when the event was accepted before: nothing new is sent.
	Duplicate bool `json:"duplicate"`
}

// EventFilter narrows a list of events; empty fields narrow nothing.
type EventFilter struct {
	Product, Type, Account string
	// Since is included, Until is not; both go by AcceptedAt.
	Since, Until Time
}
