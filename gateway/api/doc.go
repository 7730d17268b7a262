// Package api serves the gateway over HTTP: routes, JSON in and out, keys, problem+json and the OpenAPI description.
//
// It owns what a request may look like (framing, sizes, content types, JSON, query parameters, cursors) and which kind
// of key may call which route: routes.go is the table to start at. Every decision about the things themselves is
// Gateway's: a handler reads, calls one method and writes the answer.
//
// A request passes, in this order: the framing of its head (guard.go), the size that its key may send (serve.go), the
// route, the key, the key's rate, the kind of key, the thing that the path names, and at last the body.
package api
