package breaker_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/unihook/unihook/gateway"
	"github.com/unihook/unihook/worker/breaker"
)

var policy = breaker.Policy{After: 3, For: time.Minute, Max: 3 * time.Minute}

func failure(at gateway.Time) breaker.Outcome {
	return breaker.Outcome{StartedAt: at, Failure: &gateway.LastFailure{At: at, Failure: "status", Status: 500}}
}

func probe(o breaker.Outcome) breaker.Outcome {
	o.Probe = true
	return o
}

func TestAfter_QuarantineFromItsStartToItsEnd(t *testing.T) {
	const minute = gateway.Time(60_000)
	var s gateway.EndpointState
	steps := []struct {
		name    string
		outcome breaker.Outcome
		now     gateway.Time
		event   breaker.Event
		count   int
		until   gateway.Time
		status  gateway.HealthStatus
	}{
		{"the first failure counts", failure(1), 1, breaker.Nothing, 1, 0, gateway.Failing},
		{"a success starts over", breaker.Outcome{StartedAt: 2}, 2, breaker.Nothing, 0, 0, gateway.Healthy},
		{"one", failure(3), 3, breaker.Nothing, 1, 0, gateway.Failing},
		{"two", failure(4), 4, breaker.Nothing, 2, 0, gateway.Failing},
		{"three starts it", failure(5), 5, breaker.Entered, 3, 5 + minute, gateway.Quarantined},
		{"a failure that began before does not prolong it", failure(4), 9, breaker.Nothing, 4, 5 + minute, gateway.Quarantined},
		{"a success that began before does not end it", breaker.Outcome{StartedAt: 4}, 10, breaker.Nothing, 4, 5 + minute, gateway.Quarantined},
		{"a failed probe doubles the cool-down", probe(failure(5 + minute)), 5 + minute, breaker.Extended, 5, 5 + 3*minute, gateway.Quarantined},
		{"up to the limit", probe(failure(5 + 3*minute)), 5 + 3*minute, breaker.Extended, 6, 5 + 6*minute, gateway.Quarantined},
		{"a good probe ends it", probe(breaker.Outcome{}), 5 + 6*minute, breaker.Recovered, 0, 0, gateway.Healthy},
	}
	for _, step := range steps {
		var event breaker.Event
		s, event = breaker.After(s, step.outcome, policy, step.now)
		if event != step.event || s.ConsecutiveFailures != step.count || s.QuarantinedUntil != step.until {
			t.Fatalf("%s: got %q, %d failures, until %d; want %q, %d, %d", step.name, event, s.ConsecutiveFailures, s.QuarantinedUntil, step.event, step.count, step.until)
		}
		if got := s.Health(0).Status; got != step.status {
			t.Fatalf("%s: health is %s, want %s", step.name, got, step.status)
		}
	}
	if !s.Draining {
		t.Error("what waited does not drain at a bounded rate")
	}
	if !s.InLane || s.TurnAt != 5+6*60_000 {
		t.Errorf("after the probe the lane's turn is at %d (in lane: %v), want at once", s.TurnAt, s.InLane)
	}
}

func TestAfter_GoneClosesUntilASave(t *testing.T) {
	outcome := failure(10)
	outcome.Gone = true
	s, event := breaker.After(gateway.EndpointState{ConsecutiveFailures: 1}, outcome, policy, 11)
	if event != breaker.Closed || s.GoneAt != 11 || !s.InLane || s.TurnAt != 0 {
		t.Errorf("got %q and %+v", event, s)
	}
	if _, event = breaker.After(s, outcome, policy, 12); event != breaker.Nothing {
		t.Errorf("a second 410 is %q, want nothing new", event)
	}
	saved := gateway.EndpointState{ResetAt: 20}
	got, event := breaker.After(saved, outcome, policy, 21)
	if event != breaker.Nothing || got.GoneAt != 0 {
		t.Errorf("a 410 to a request from before the save: %q, %+v", event, got)
	}
}

func TestAfter_WhatDoesNotCount(t *testing.T) {
	s, event := breaker.After(gateway.EndpointState{ResetAt: 50, ConsecutiveFailures: 0}, failure(49), policy, 60)
	if event != breaker.Nothing || s.ConsecutiveFailures != 0 || s.LastFailure == nil {
		t.Errorf("a failure from before a save: %q, %+v", event, s)
	}
	never := breaker.Policy{After: 0, For: time.Minute, Max: time.Hour}
	s = gateway.EndpointState{ConsecutiveFailures: 1000}
	if s, event = breaker.After(s, failure(1), never, 2); event != breaker.Nothing || s.QuarantinedSince != 0 {
		t.Errorf("after 0 is never: %q, %+v", event, s)
	}
}

func TestAfter_AnOwnerKeepsItsLease(t *testing.T) {
	s := gateway.EndpointState{ConsecutiveFailures: 2, InLane: true, Owner: "w1", OwnerUntil: 900, TurnAt: 900}
	got, _ := breaker.After(s, failure(5), policy, 5)
	want := gateway.EndpointState{
		ConsecutiveFailures: 3, InLane: true, Owner: "w1", OwnerUntil: 900, TurnAt: 900, Cooldown: time.Minute,
		QuarantinedSince: 5, QuarantinedUntil: 60_005, LastFailure: failure(5).Failure,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestAfter_RetryAfterProlongsACooldown(t *testing.T) {
	s := gateway.EndpointState{QuarantinedSince: 1, QuarantinedUntil: 10, Cooldown: time.Second}
	outcome := probe(failure(10))
	outcome.NotBefore = 500_000
	if got, _ := breaker.After(s, outcome, policy, 11); got.QuarantinedUntil != 500_000 {
		t.Errorf("the next probe is at %d, want when the receiver said", got.QuarantinedUntil)
	}
}
