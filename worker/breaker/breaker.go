// Package breaker decides when a failing endpoint is left alone, and when it is asked again.
//
// It is pure: an endpoint's state and the outcome of a request go in, the next state comes out. Who calls it writes
// the state by compare and swap, and asks again where it was stale; so all workers share one verdict.
package breaker

import (
	"time"

	"github.com/unihook/unihook/gateway"
)

// Policy is when quarantine starts and how long it lasts.
type Policy struct {
	// After is how many failures in a row start it; 0 is never.
	After int
	// For is the first cool-down. It doubles after each failed probe, up to Max.
	For, Max time.Duration
}

// Outcome is what came of one request to an endpoint. Tests and manual retries have none, and neither has a mapping
// that could not be applied: they say nothing of the receiver, or were not meant to.
type Outcome struct {
	// StartedAt is when the request began: failures from before a save do not count after it.
	StartedAt gateway.Time
	// Probe says that it was the one request at the end of a cool-down.
	Probe bool
	// Failure is what went wrong; nil is a success.
	Failure *gateway.LastFailure
	// Gone says that the receiver wants no more, and that the webhook obeys.
	Gone bool
	// NotBefore is when the receiver wants to be asked again (Retry-After); zero where it did not say.
	NotBefore gateway.Time
}

// Event is what an outcome changed beyond the counts.
type Event string

const (
	// Nothing changed but the counts.
	Nothing Event = ""
	// Entered: the endpoint is quarantined from now on.
	Entered Event = "quarantined"
	// Extended: the probe failed, the next cool-down is longer.
	Extended Event = "extended"
	// Recovered: the probe succeeded, what waits may go.
	Recovered Event = "resumed"
	// Closed: the endpoint is gone until its webhook is saved.
	Closed Event = "gone"
)

// After is the state that follows s when outcome became known at now. The lane's own fields are touched only where the
// outcome starts or ends the lane mode; an owner keeps its lease.
func After(s gateway.EndpointState, outcome Outcome, policy Policy, now gateway.Time) (gateway.EndpointState, Event) {
	switch {
	case outcome.Failure == nil:
		return succeeded(s, outcome, now)
	case outcome.Gone:
		return gone(s, outcome, now)
	}
	return failed(s, outcome, policy, now)
}

// succeeded ends a quarantine only if it was the probe: a request that began before the quarantine says nothing of now.
func succeeded(s gateway.EndpointState, outcome Outcome, now gateway.Time) (gateway.EndpointState, Event) {
	s.LastSuccessAt = max(s.LastSuccessAt, now)
	if s.QuarantinedSince == 0 {
		s.ConsecutiveFailures = 0
		return s, Nothing
	}
	if !outcome.Probe {
		return s, Nothing
	}
	s.ConsecutiveFailures, s.QuarantinedSince, s.QuarantinedUntil, s.Cooldown = 0, 0, 0, 0
	s.Draining = true
	return turn(s, now), Recovered
}

func gone(s gateway.EndpointState, outcome Outcome, now gateway.Time) (gateway.EndpointState, Event) {
	s.LastFailure = outcome.Failure
	if s.GoneAt != 0 || outcome.StartedAt < s.ResetAt {
		return s, Nothing
	}
	s.ConsecutiveFailures++
	s.GoneAt, s.InLane = now, true
	return turn(s, 0), Closed
}

func failed(s gateway.EndpointState, outcome Outcome, policy Policy, now gateway.Time) (gateway.EndpointState, Event) {
	s.LastFailure = outcome.Failure
	if outcome.StartedAt < s.ResetAt {
		return s, Nothing
	}
	s.ConsecutiveFailures++
	switch {
	case s.GoneAt != 0:
		return s, Nothing
	case s.QuarantinedSince != 0 && !outcome.Probe:
		return s, Nothing // it began before the quarantine
	case s.QuarantinedSince != 0:
		s.Cooldown = min(2*s.Cooldown, policy.Max)
		return cool(s, outcome, now), Extended
	case policy.After <= 0 || s.ConsecutiveFailures < policy.After:
		return s, Nothing
	}
	s.QuarantinedSince, s.InLane = now, true
	s.Cooldown = min(policy.For, policy.Max)
	return cool(s, outcome, now), Entered
}

// cool starts a cool-down: as long as it is, or as the receiver asked for where that is longer.
func cool(s gateway.EndpointState, outcome Outcome, now gateway.Time) gateway.EndpointState {
	s.QuarantinedUntil = max(now.Add(max(s.Cooldown, time.Millisecond)), outcome.NotBefore)
	return turn(s, s.QuarantinedUntil)
}

// turn says when somebody should look at the lane, unless its owner is there to see it.
func turn(s gateway.EndpointState, at gateway.Time) gateway.EndpointState {
	if s.Owner == "" {
		s.TurnAt = at
	}
	return s
}
