package storetest

import (
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/unihook/unihook/gateway"
)

func endpointCases() []testCase {
	return []testCase{
		{"State_IsKeptWhole", endpointKept},
		{"Swap_OnlyTheVersionThatWasRead", endpointSwap},
		{"Swap_OneOfManyWins", endpointConcurrently},
		{"Lanes_AreThoseOfTheOrganisation", endpointLanes},
		{"DueLanes_AreThoseWhoseTurnHasCome", endpointDue},
		{"Delete_OnlyItsOrganisations", endpointDelete},
	}
}

func state(id string) gateway.EndpointState {
	return gateway.EndpointState{ID: id, Organisation: acme, Webhook: "wh_1", ConsecutiveFailures: 3, LastSuccessAt: at(1),
		LastFailure:      &gateway.LastFailure{At: at(2), Failure: "timeout", Status: 0, Error: "no answer in 30 s"},
		QuarantinedSince: at(3), QuarantinedUntil: at(4), Cooldown: 90 * time.Second, GoneAt: at(5), ResetAt: at(6),
		InLane: true, Owner: "w1", OwnerUntil: at(7), TurnAt: at(8), NextAllowed: 1779100334123456}
}

// swap writes states, of which none may be stale.
func (f *fixture) swap(states ...gateway.EndpointState) {
	f.Helper()
	stale, err := f.SwapEndpoints(f.ctx, states)
	f.ok(err)
	f.same("stale", stale, []string{})
}

func (f *fixture) states(ids ...string) []gateway.EndpointState {
	f.Helper()
	list, err := f.EndpointStates(f.ctx, ids)
	f.ok(err)
	return list
}

// stale notes an error that is not ErrStale; it may be called from any goroutine.
func (f *fixture) stale(err error) {
	f.Helper()
	if !errors.Is(err, gateway.ErrStale) {
		f.Errorf("got error %v, want %v", err, gateway.ErrStale)
	}
}

func endpointKept(f *fixture) {
	want := state("ep_a")
	f.swap(want, gateway.EndpointState{ID: "ep_b", Organisation: acme})
	want.Version = 1
	f.same("state", f.states("ep_a", "ep_unknown"), []gateway.EndpointState{want})
	f.same("a bare one", f.states("ep_b"), []gateway.EndpointState{{ID: "ep_b", Organisation: acme, Version: 1}})
}

func endpointSwap(f *fixture) {
	s := state("ep_a")
	f.swap(s)
	stale, err := f.SwapEndpoints(f.ctx, []gateway.EndpointState{s, {ID: "ep_b", Organisation: acme}, {ID: "ep_c", Organisation: acme, Version: 4}})
	f.ok(err)
	f.same("stale", sorted(stale), []string{"ep_a", "ep_c"})
	f.same("none was made of a version", f.states("ep_c"), []gateway.EndpointState{})

	s.Version, s.ConsecutiveFailures, s.LastFailure, s.InLane, s.TurnAt = 1, 0, nil, false, 0
	f.swap(s)
	stale, err = f.SwapEndpoints(f.ctx, []gateway.EndpointState{s})
	f.ok(err)
	f.same("stale", stale, []string{"ep_a"})
	s.Version = 2
	f.same("state", f.states("ep_a"), []gateway.EndpointState{s})
}

func endpointConcurrently(f *fixture) {
	for round := range 2 { // the first makes the state, the second changes it
		var won atomic.Int32
		together(8, func(i int) {
			s := state("ep_a")
			s.Version, s.Owner = int64(round), fmt.Sprintf("w%d", i)
			stale, err := f.SwapEndpoints(f.ctx, []gateway.EndpointState{s})
			if err != nil {
				f.Error(err)
			} else if len(stale) == 0 {
				won.Add(1)
			}
		})
		f.same("winners", int(won.Load()), 1)
	}
	f.same("version", f.states("ep_a")[0].Version, int64(2))
}

func endpointLanes(f *fixture) {
	out := state("ep_b")
	out.InLane = false
	foreign := state("ep_c")
	foreign.Organisation = other
	f.swap(state("ep_a"), out, foreign)
	lanes := func(want ...string) {
		f.Helper()
		list, err := f.Lanes(f.ctx, acme)
		f.ok(err)
		f.same("lanes", stateIDs(list), want)
	}
	lanes("ep_a")
	left := state("ep_a")
	left.Version, left.InLane = 1, false
	f.swap(left)
	lanes()
}

func stateIDs(list []gateway.EndpointState) []string {
	got := make([]string, 0, len(list))
	for _, s := range list {
		got = append(got, s.ID)
	}
	return got
}

func endpointDue(f *fixture) {
	var all []gateway.EndpointState
	for id, turn := range map[string]gateway.Time{"ep_a": at(30), "ep_b": at(10), "ep_c": 0, "ep_d": at(20)} {
		s := state(id)
		s.TurnAt = turn
		all = append(all, s)
	}
	f.swap(all...)
	for _, c := range []struct {
		now   gateway.Time
		limit int
		want  []string
	}{{at(9), 10, []string{}}, {at(10), 10, []string{"ep_b"}}, {at(99), 10, []string{"ep_b", "ep_d", "ep_a"}}, {at(99), 2, []string{"ep_b", "ep_d"}}} {
		list, err := f.DueLanes(f.ctx, c.now, c.limit)
		f.ok(err)
		f.same("due", stateIDs(list), c.want)
	}
	s := f.states("ep_b")[0]
	s.TurnAt = 0
	f.swap(s)
	list, err := f.DueLanes(f.ctx, at(10), 10)
	f.ok(err)
	f.same("never", stateIDs(list), []string{})
}

func endpointDelete(f *fixture) {
	f.swap(state("ep_a"), state("ep_b"))
	f.ok(f.DeleteEndpointStates(f.ctx, other, []string{"ep_a"}))
	f.ok(f.DeleteEndpointStates(f.ctx, acme, []string{"ep_b", "ep_unknown"}))
	f.ok(f.DeleteEndpointStates(f.ctx, acme, []string{"ep_b"}))
	f.same("left", stateIDs(f.states("ep_a", "ep_b")), []string{"ep_a"})
	f.swap(state("ep_b")) // made anew from version 0
}
