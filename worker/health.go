package worker

import (
	"context"
	"fmt"
	"runtime"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/unihook/unihook/gateway"
	"github.com/unihook/unihook/worker/breaker"
)

// auditTimeout bounds the writing of an entry and what follows from an event.
const auditTimeout = 5 * time.Second

// healthChanges writes into the audit what is about to happen to an endpoint, and answers how that is taken back. The
// store being away costs the entry, as it costs the change itself.
func (w *Worker) healthChanges(h happened) (withdraw func()) {
	if h.event == breaker.Nothing || h.event == breaker.Extended {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), auditTimeout)
	defer cancel()
	s := h.state
	entry, err := w.opts.Gateway.RecordSystem(ctx, s.Organisation, "endpoint."+string(h.event), s.ID, gateway.HealthChanges(h.before, s)...)
	if err != nil {
		w.log.Error("an endpoint's change is not in the audit", "endpoint", s.ID, "error", err)
		return nil
	}
	return func() { w.opts.Gateway.TakeBack(entry) }
}

// healthChanged does what follows from an event of an endpoint's health. The state is stored already; what fails here
// is made good by whoever looks at the endpoint next.
func (w *Worker) healthChanged(h happened) {
	ctx, cancel := context.WithTimeout(context.Background(), auditTimeout)
	defer cancel()
	s := h.state
	w.log.Info("an endpoint's health changed", "endpoint", s.ID, "webhook", s.Webhook, "event", string(h.event), "until", s.QuarantinedUntil.String())
	switch h.event {
	case breaker.Closed:
		if err := w.opts.Gateway.CloseWebhook(ctx, s.Webhook); err != nil {
			w.log.Error("a webhook without open endpoints was not closed", "webhook", s.Webhook, "error", err)
		}
	case breaker.Entered:
		w.counts.quarantined.Add(1)
	}
	w.lanes.wake(s.ID)
}

// Stats counts what this process has done since New, and what it is at.
type Stats struct {
	// Delivered, Retried, Failed and Cancelled are results; Retried ones will be tried again.
	Delivered, Retried, Failed, Cancelled int64
	// Attempts are requests by their class of failure; "" is success.
	Attempts map[string]int64
	// Parked deliveries were moved into lanes, Fed ones were claimed by the feeder, Written results were stored.
	Parked, Fed, Written int64
	// Quarantined counts quarantines that began.
	Quarantined int64
	// InFlight requests hold a slot, Slow ones of them belong to slow endpoints; Lanes are owned by this process.
	InFlight, Slow, Lanes int
	// Panics were recovered: of mappings, attempts and lanes.
	Panics int64
}

type counts struct {
	delivered, retried, failed, cancelled, parked, fed, quarantined, panics atomic.Int64
	classes                                                                 [len(failureClasses)]atomic.Int64
}

// failureClasses are those of API.md, in a fixed order.
var failureClasses = [...]string{"", "dns", "blocked", "connect", "tls", "timeout", "status", "redirect", "gone", "response", "mapping"}

func (c *counts) attempted(v verdict) {
	for i, class := range failureClasses {
		if class == string(v.failure) {
			c.classes[i].Add(1)
		}
	}
	switch v.status {
	case gateway.Delivered:
		c.delivered.Add(1)
	case gateway.Pending:
		c.retried.Add(1)
	case gateway.Failed:
		c.failed.Add(1)
	case gateway.Cancelled:
		c.cancelled.Add(1)
	}
}

// Stats is what this process has done.
func (w *Worker) Stats() Stats {
	c := &w.counts
	s := Stats{
		Delivered: c.delivered.Load(), Retried: c.retried.Load(), Failed: c.failed.Load(), Cancelled: c.cancelled.Load(),
		Parked: c.parked.Load(), Fed: c.fed.Load(), Quarantined: c.quarantined.Load(), Written: w.writer.count.Load(),
		Attempts: map[string]int64{}, Lanes: len(w.lanes.all()),
	}
	for i, class := range failureClasses {
		s.Attempts[class] = c.classes[i].Load()
	}
	s.InFlight, s.Slow = w.slots.inFlight()
	s.Panics = c.panics.Load()
	return s
}

// panicked notes a panic that was recovered. The runtime's own say what happened; another's may quote what it broke on.
func (w *Worker) panicked(what, id string, x any) {
	w.counts.panics.Add(1)
	text := fmt.Sprintf("%T", x)
	if ours, ok := x.(runtime.Error); ok {
		text = ours.Error()
	}
	w.log.Error(what+" panicked", "id", id, "panic", text, "stack", string(debug.Stack()))
}
