package worker

import (
	"net/http"
	"time"

	"github.com/unihook/unihook/gateway"
	"github.com/unihook/unihook/gateway/egress"
	"github.com/unihook/unihook/gateway/retry"
	"github.com/unihook/unihook/worker/breaker"
)

// tried is an attempt that was made, as far as a verdict needs it.
type tried struct {
	delivery gateway.Delivery
	trigger  gateway.Trigger
	// at is when it began, now when it was over.
	at, now time.Time
	status  int
	failure gateway.Failure
	message string
	// retryAfter is the receiver's header.
	retryAfter string
}

// rules are what of the webhook and the settings decides about a result.
type rules struct {
	schedule      retry.Schedule
	scale, random float64
	// goneStops says that 410 closes the endpoint.
	goneStops bool
	// keepLane says that a delivery which is tried again keeps its place at the head of its lane (ordered webhooks).
	keepLane bool
}

// verdict is what becomes of the delivery, and what its endpoint's health learns.
type verdict struct {
	status   gateway.DeliveryStatus
	reason   gateway.Reason
	next     gateway.Time // of a pending one
	failures int
	keepLane bool
	// failure is the class as it is recorded.
	failure gateway.Failure
	// outcome is nil where the endpoint's health does not learn from it.
	outcome *breaker.Outcome
}

// judge decides about an attempt. It is pure.
func judge(t tried, r rules) verdict {
	v := verdict{failure: t.failure, failures: t.delivery.Failures}
	switch {
	case t.failure == "":
		v.status = gateway.Delivered
	case t.failure == gateway.FailureMapping:
		v.status, v.reason = gateway.Failed, gateway.BadMapping
	case t.failure == gateway.Failure(egress.Gone) && r.goneStops:
		v.status, v.reason = gateway.Failed, gateway.EndpointGone
	default:
		v = again(t, r, v)
	}
	if t.trigger == gateway.ByTest && v.status != gateway.Delivered {
		v.status, v.reason = gateway.Failed, gateway.TestFailed
	}
	if t.trigger != gateway.ByTest && t.trigger != gateway.ByManual && t.failure != gateway.FailureMapping {
		v.outcome = outcomeOf(t, v)
	}
	return v
}

// again says when a failed delivery is tried once more, if at all. A probe uses up nothing of the schedule: the end of
// the next cool-down, which health decides about, is its time.
func again(t tried, r rules, v verdict) verdict {
	if v.failure == gateway.Failure(egress.Gone) {
		v.failure = gateway.Failure(egress.Status)
	}
	if t.trigger == gateway.ByProbe {
		v.status, v.reason, v.keepLane, v.next = gateway.Pending, gateway.InQuarantine, true, gateway.At(t.now)
		return v
	}
	v.failures++
	wait, ok := r.schedule.Next(v.failures, r.scale, r.random)
	if !ok {
		v.status, v.reason = gateway.Failed, gateway.Exhausted
		return v
	}
	if asked, ok := t.asked(); ok {
		wait = max(wait, asked)
	}
	v.status, v.reason, v.keepLane = gateway.Pending, gateway.Retrying, r.keepLane
	v.next = gateway.At(t.now.Add(wait + time.Millisecond - 1)) // up, so that cutting to milliseconds shortens nothing
	return v
}

// asked is how long the receiver wants to be left alone.
func (t tried) asked() (time.Duration, bool) {
	if t.status != http.StatusTooManyRequests && t.status != http.StatusServiceUnavailable {
		return 0, false
	}
	return retry.RetryAfter(t.retryAfter, t.now)
}

func outcomeOf(t tried, v verdict) *breaker.Outcome {
	o := &breaker.Outcome{
		StartedAt: gateway.At(t.at), Probe: t.trigger == gateway.ByProbe,
		Gone: v.status == gateway.Failed && v.reason == gateway.EndpointGone,
	}
	if v.failure != "" {
		o.Failure = &gateway.LastFailure{At: gateway.At(t.now), Failure: v.failure, Status: t.status, Error: t.message}
	}
	if asked, ok := t.asked(); ok {
		o.NotBefore = gateway.At(t.now.Add(asked))
	}
	return o
}
