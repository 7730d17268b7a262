package worker

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/unihook/unihook/gateway"
)

// statesFor is how long an endpoint's state is used without a look at the store.
const statesFor = 400 * time.Millisecond

// statesKept bounds the states in memory.
const statesKept = 50_000

// states reads endpoints' states, and changes them by compare and swap.
type states struct {
	store gateway.Endpoints
	clock func() time.Time
	// turns is told the turn of each state that was written.
	turns func(gateway.Time)

	mu sync.Mutex
	by map[string]seenState
}

type seenState struct {
	gateway.EndpointState
	readAt time.Time
}

func newStates(store gateway.Endpoints, clock func() time.Time) *states {
	return &states{store: store, clock: clock, turns: func(gateway.Time) {}, by: map[string]seenState{}}
}

// change is one state to be changed. Next is pure: it may be asked several times, and answers false where nothing is
// to be written.
type change struct {
	endpoint, organisation, webhook string
	next                            func(gateway.EndpointState) (gateway.EndpointState, bool)
	// announce, where given, is told what is about to be written. What it answers, if anything, is called when it was not
	// written because the state was stale.
	announce func(was, next gateway.EndpointState) (withdraw func())
}

// recent answers states at most statesFor old. Of an endpoint without one it is the zero state.
func (s *states) recent(ctx context.Context, ids []string) (map[string]gateway.EndpointState, error) {
	found := make(map[string]gateway.EndpointState, len(ids))
	var missing []string
	now := s.clock()
	s.mu.Lock()
	for _, id := range ids {
		if _, done := found[id]; done {
			continue
		}
		if seen, ok := s.by[id]; ok && now.Sub(seen.readAt).Abs() < statesFor {
			found[id] = seen.EndpointState
			continue
		}
		found[id] = gateway.EndpointState{ID: id}
		missing = append(missing, id)
	}
	s.mu.Unlock()
	if len(missing) == 0 {
		return found, nil
	}
	fresh, err := s.fresh(ctx, missing)
	if err != nil {
		return nil, err
	}
	for id, state := range fresh {
		found[id] = state
	}
	return found, nil
}

// fresh reads states from the store.
func (s *states) fresh(ctx context.Context, ids []string) (map[string]gateway.EndpointState, error) {
	readAt := s.clock()
	list, err := s.store.EndpointStates(ctx, ids)
	if err != nil {
		return nil, fmt.Errorf("reading the states of endpoints: %w", err)
	}
	found := make(map[string]gateway.EndpointState, len(ids))
	for _, id := range ids {
		found[id] = gateway.EndpointState{ID: id}
	}
	for _, state := range list {
		found[state.ID] = state
	}
	s.keep(found, readAt)
	return found, nil
}

func (s *states) keep(found map[string]gateway.EndpointState, readAt time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.by) >= statesKept {
		clear(s.by)
	}
	for id, state := range found {
		if seen, ok := s.by[id]; !ok || seen.Version <= state.Version {
			s.by[id] = seenState{state, readAt}
		}
	}
}

// change writes changes, one per endpoint, and answers the states as they are then. Those that are stale are read and
// asked for again.
func (s *states) change(ctx context.Context, changes ...change) (map[string]gateway.EndpointState, error) {
	done := make(map[string]gateway.EndpointState, len(changes))
	ids := make([]string, len(changes))
	for i, c := range changes {
		ids[i] = c.endpoint
	}
	now, err := s.recent(ctx, ids)
	for {
		if err != nil {
			return done, err
		}
		var swaps []gateway.EndpointState
		withdraw := map[string]func(){}
		for _, c := range changes {
			was := now[c.endpoint]
			was.Organisation, was.Webhook = c.organisation, c.webhook
			next, ok := c.next(was)
			done[c.endpoint] = was
			if ok {
				if c.announce != nil {
					withdraw[c.endpoint] = c.announce(was, next)
				}
				swaps = append(swaps, next)
				next.Version++
				done[c.endpoint] = next
			}
		}
		var stale []string
		if stale, err = s.swap(ctx, swaps); err != nil || len(stale) == 0 {
			return done, err
		}
		again := make(map[string]bool, len(stale))
		for _, id := range stale {
			again[id] = true
			if undo := withdraw[id]; undo != nil {
				undo()
			}
		}
		var left []change
		for _, c := range changes {
			if again[c.endpoint] {
				left = append(left, c)
			}
		}
		changes = left
		now, err = s.fresh(ctx, stale)
	}
}

// swap writes states, and keeps in memory what was written.
func (s *states) swap(ctx context.Context, swaps []gateway.EndpointState) (stale []string, err error) {
	if len(swaps) == 0 {
		return nil, nil
	}
	readAt := s.clock()
	if stale, err = s.store.SwapEndpoints(ctx, swaps); err != nil {
		s.forget(swaps)
		return nil, fmt.Errorf("writing the states of endpoints: %w", err)
	}
	written := make(map[string]gateway.EndpointState, len(swaps))
	for _, state := range swaps {
		state.Version++
		written[state.ID] = state
		s.turns(state.TurnAt)
	}
	for _, id := range stale {
		delete(written, id)
	}
	s.keep(written, readAt)
	return stale, nil
}

// forget drops what may or may not have been written.
func (s *states) forget(list []gateway.EndpointState) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, state := range list {
		delete(s.by, state.ID)
	}
}
