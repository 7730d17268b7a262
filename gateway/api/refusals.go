package api

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"
)

// refusals has, for requests whose bodies are being read, what they are refused with should the body be too large:
// fasthttp forgets the head of a request whose body it gives up on. It is safe for concurrent use.
//
// Of a client that goes away between the chunks of a body nobody is told. What was kept for it would hold the memory of
// the whole request, which fasthttp has let go, so it is forgotten when no body can still be read.
type refusals struct {
	by    sync.Map     // of refusedLater, by *fasthttp.RequestHeader
	swept atomic.Int64 // when, in Unix nanoseconds
}

// refusedLater is what a request is refused with, and until when its body may be read.
type refusedLater struct {
	err   error
	until time.Time
}

// keep notes what a request is refused with.
func (r *refusals) keep(h *fasthttp.RequestHeader, err error, now time.Time) {
	r.by.Store(h, refusedLater{err, now.Add(bodyTimeout)})
	if last := r.swept.Load(); now.UnixNano()-last >= int64(bodyTimeout) && r.swept.CompareAndSwap(last, now.UnixNano()) {
		r.by.Range(func(h, kept any) bool {
			if kept.(refusedLater).until.Before(now) {
				r.by.Delete(h)
			}
			return true
		})
	}
}

// take answers what was kept for a request, nil for nothing, and forgets it.
func (r *refusals) take(h *fasthttp.RequestHeader) error {
	kept, ok := r.by.LoadAndDelete(h)
	if !ok {
		return nil
	}
	return kept.(refusedLater).err
}
