package gateway

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Kind is what sort of refusal an Error is; the set is closed, and package api gives each its HTTP status.
type Kind string

const (
	// Invalid is a body or a query with faults (422).
	Invalid Kind = "invalid"
	// Forbidden is a thing that this kind of key may not do (403).
	Forbidden Kind = "forbidden"
	// NotFound is a thing that does not exist, or that belongs to another organisation (404).
	NotFound Kind = "not_found"
	// Conflict is a thing that is not in the state that the call needs (409).
	Conflict Kind = "conflict"
	// Stale is an If-Match that names another revision than the present one (412).
	Stale Kind = "stale"
	// TooLarge is a body over its limit (413).
	TooLarge Kind = "too_large"
	// TooMany is a caller over a rate or a bound; RetryAfter says when to come back (429).
	TooMany Kind = "too_many"
	// Unavailable is a store that is away; RetryAfter says when to come back (503).
	Unavailable Kind = "unavailable"
)

// Fault is one thing that is wrong with a body or a query.
type Fault struct {
	// Pointer is the JSON Pointer (RFC 6901) of the fault in the body, empty for the whole of it; Parameter names it in
	// a query or a path instead.
	Pointer   string `json:"pointer"`
	Parameter string `json:"parameter,omitempty"`
	// Code is a stable word for programs, such as "path_empty".
	Code string `json:"code"`
	// Detail is a sentence for people, which says what to do.
	Detail string `json:"detail"`
}

// MarshalJSON writes a pointer, be it that of the whole body, or a parameter.
func (f Fault) MarshalJSON() ([]byte, error) {
	type plain Fault // the fields without this method
	if f.Parameter == "" {
		return json.Marshal(plain(f))
	}
	return json.Marshal(struct {
		plain
		Pointer any `json:"pointer,omitempty"`
	}{plain: plain(f)})
}

// Error is what the caller did wrong, or must wait for. All other errors are internal and are never shown.
type Error struct {
	Kind       Kind
	Detail     string
	Faults     []Fault
	RetryAfter time.Duration
}

// Error is the detail, then every fault.
func (e *Error) Error() string {
	if len(e.Faults) == 0 {
		return e.Detail
	}
	parts := make([]string, len(e.Faults))
	for i, f := range e.Faults {
		parts[i] = strings.TrimSpace(f.Pointer + f.Parameter + " " + f.Detail)
	}
	return e.Detail + ": " + strings.Join(parts, "; ")
}

// Refuse makes an Error of kind with a formatted sentence.
func Refuse(kind Kind, format string, args ...any) *Error {
	return &Error{Kind: kind, Detail: fmt.Sprintf(format, args...)}
}

// RefuseFaults makes the Error for a body or a query with faults, or nil when there are none.
func RefuseFaults(faults []Fault) error {
	if len(faults) == 0 {
		return nil
	}
	return &Error{Kind: Invalid, Detail: "the request has faults", Faults: faults}
}

// IsKind tells whether err is an Error of kind.
func IsKind(err error, kind Kind) bool {
	var e *Error
	return errors.As(err, &e) && e.Kind == kind
}

// What a store answers beside internal errors. Gateway turns them into an Error with a sentence.
var (
	// ErrNotFound is a record that is not there in the scope asked.
	ErrNotFound = errors.New("not found")
	// ErrTaken is an insert under a key that exists.
	ErrTaken = errors.New("taken")
	// ErrStale is a replace of a record whose revision is another by now.
	ErrStale = errors.New("stale")
	// ErrAway is a store that cannot be reached or is locked or full: nothing is known to be written.
	ErrAway = errors.New("the store is away")
)
