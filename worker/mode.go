package worker

import (
	"time"

	"github.com/unihook/unihook/gateway"
)

// modeKind is what an endpoint may be sent at present.
type modeKind int

const (
	// flowing: requests may go, one by one where the webhook is ordered or limited.
	flowing modeKind = iota
	// probing: one request, which decides whether the quarantine ends.
	probing
	// cooling: nothing until a time.
	cooling
	// held: nothing until the webhook is saved.
	held
	// ended: nothing ever again.
	ended
)

// mode is how an endpoint's deliveries are handled. Modes are compared with ==.
type mode struct {
	kind modeKind
	// reason is that of a delivery which cannot be sent now, or of its end.
	reason gateway.Reason
	// until ends a cool-down.
	until gateway.Time
	// ordered sends one at a time; rate, where not 0, is requests per second.
	ordered bool
	rate    float64
}

// single tells that every delivery goes through the lane, also when nothing waits.
func (m mode) single() bool { return m.ordered || m.rate != 0 }

// modeOf is an endpoint's mode. A webhook that is not there is nil. Of the webhook nothing is needed that is sealed.
func modeOf(w *gateway.Webhook, endpoint string, s gateway.EndpointState, now gateway.Time) mode {
	switch {
	case w == nil || w.DeletedAt != 0:
		return mode{kind: ended, reason: gateway.WebhookDeleted}
	case !hasEndpoint(w, endpoint):
		return mode{kind: ended, reason: gateway.EndpointRemoved}
	case w.Status != gateway.Active && w.StatusReason == string(gateway.EndpointGone) && s.GoneAt != 0:
		return mode{kind: held, reason: gateway.EndpointGone}
	case w.Status != gateway.Active:
		return mode{kind: held, reason: gateway.WebhookInactive}
	case s.GoneAt != 0:
		return mode{kind: held, reason: gateway.EndpointGone}
	case s.QuarantinedSince != 0 && s.QuarantinedUntil > now:
		return mode{kind: cooling, reason: gateway.InQuarantine, until: s.QuarantinedUntil}
	case s.QuarantinedSince != 0:
		return mode{kind: probing, reason: gateway.InQuarantine}
	}
	m := mode{kind: flowing, reason: gateway.Waiting, ordered: w.Ordered}
	if w.RateLimit != nil {
		m.rate, m.reason = *w.RateLimit, gateway.RateLimited
	}
	if m.ordered {
		m.reason = gateway.InOrder
	}
	return m
}

// headWait is how long the head of the lane must wait for its own next attempt: an ordered webhook's holds the others.
func (m mode) headWait(head gateway.Delivery, now time.Time) time.Duration {
	if !m.ordered || head.Reason != gateway.Retrying {
		return 0
	}
	return max(head.NextAttemptAt.Time().Sub(now), 0)
}

func hasEndpoint(w *gateway.Webhook, id string) bool {
	for i := range w.Endpoints {
		if w.Endpoints[i].ID == id {
			return true
		}
	}
	return false
}

// Pace of a lane that drains what has waited.
const (
	// drainLeast is requests per second, whatever waits.
	drainLeast = 50
	// drainFactor is how many times faster than it came what waits goes out.
	drainFactor = 2
	// paceBehind is how much a quick pace makes up for at once when it was kept from its time: timers are not exact. From
	// paceSlow between two requests on it makes up for nothing, so that they go out one by one.
	paceBehind = 20 * time.Millisecond
	paceSlow   = 5 * time.Millisecond
)

// drainRate is requests per second for so many waiting, the oldest of that age.
func drainRate(waiting int, age time.Duration) float64 {
	return max(drainLeast, drainFactor*float64(waiting)/max(age, time.Millisecond).Seconds())
}

// pace spaces requests evenly. The zero value lets all pass.
type pace struct {
	rate float64 // requests per second; 0 is no limit
	// strict saves nothing up: a request that comes late moves all later ones.
	strict bool
	next   time.Time
}

// wait is how long the next request must wait.
func (p *pace) wait(now time.Time) time.Duration {
	if p.rate == 0 {
		return 0
	}
	wait := p.next.Sub(now)
	if most := p.step(); wait > most {
		// The clock went back, or the rate up.
		p.next = now.Add(most)
		return most
	}
	return max(wait, 0)
}

// spend notes a request that starts now.
func (p *pace) spend(now time.Time) {
	if p.rate == 0 {
		return
	}
	from := now
	if !p.strict && p.step() < paceSlow && p.next.Before(now) && !p.next.IsZero() {
		from = p.next
		if now.Sub(from) > paceBehind {
			from = now.Add(-paceBehind)
		}
	}
	p.next = from.Add(p.step())
}

func (p *pace) step() time.Duration { return time.Duration(float64(time.Second) / p.rate) }
