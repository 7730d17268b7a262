package api

import (
	"errors"
	"testing"
	"time"

	"github.com/valyala/fasthttp"
)

// Clients that go away in the middle of a body must not add up.
func TestRefusals_OfClientsThatWentAwayAreForgotten(t *testing.T) {
	var r refusals
	now := time.Date(2026, 5, 18, 10, 32, 14, 0, time.UTC)
	refused := errors.New("refused")
	for range 1000 {
		r.keep(new(fasthttp.RequestHeader), refused, now)
	}
	now = now.Add(bodyTimeout / 2)
	reading := new(fasthttp.RequestHeader)
	r.keep(reading, refused, now)
	now = now.Add(bodyTimeout/2 + time.Second)
	r.keep(new(fasthttp.RequestHeader), refused, now)
	kept := 0
	r.by.Range(func(any, any) bool { kept++; return true })
	if kept != 2 {
		t.Errorf("%d are kept, want the 2 that may still be read", kept)
	}
	if got := r.take(reading); got != refused {
		t.Errorf("of one whose body is read: %v", got)
	}
	if got := r.take(reading); got != nil {
		t.Errorf("a second time: %v", got)
	}
}
