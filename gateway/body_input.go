package gateway

import (
	"errors"
	"strings"
)

// Body is what a caller wrote: the value as far as it could be read, and the faults that reading found. Whoever takes
// a Body adds its own faults and refuses with all of them at once.
type Body[T any] struct {
	Value  T
	Faults []Fault
}

// ErrNoKey is a call without a valid key (401).
var ErrNoKey = errors.New("no valid key")

// faults collects what is wrong with a body. A fault where one stands already, or inside a value that could not be
// read, is not added: the first says enough.
type faults []Fault

// add notes a fault at a pointer.
func (f *faults) add(pointer, code, detail string) {
	for _, other := range *f {
		if other.Parameter == "" && (other.Pointer == pointer || strings.HasPrefix(pointer, other.Pointer+"/")) {
			return
		}
	}
	*f = append(*f, Fault{Pointer: pointer, Code: code, Detail: detail})
}

// err is the refusal, or nil when there are no faults.
func (f faults) err() error { return RefuseFaults(f) }

// AccountInput is what a caller may write of an account.
type AccountInput struct {
	Organisation Optional[string] `json:"organisation"`
	Name         Optional[string] `json:"name"`
}

// DuplicateInput is what a caller writes to duplicate a webhook.
type DuplicateInput struct {
	Name      Optional[string]          `json:"name"`
	Endpoints Optional[[]EndpointInput] `json:"endpoints"`
}

// SecretInput is what a caller writes to rotate a signing secret.
type SecretInput struct {
	GraceSeconds Optional[int]    `json:"graceSeconds"`
	Secret       Optional[string] `json:"secret"`
}

// TestInput is what a caller writes to send a test; without both fields it is webhook.test.
type TestInput struct {
	Product Optional[string] `json:"product"`
	Type    Optional[string] `json:"type"`
}

// TestResult is one endpoint's part of a test's answer.
type TestResult struct {
	Endpoint string  `json:"endpoint"`
	Delivery string  `json:"delivery"`
	Attempt  Attempt `json:"attempt"`
}

// escapePointer makes a key a reference token of a JSON Pointer (RFC 6901).
func escapePointer(key string) string {
	return strings.NewReplacer("~", "~0", "/", "~1").Replace(key)
}
