package gateway

import (
	"context"
	"slices"
)

// OnCancel has told called after each cancel and before it is answered: what was read of deliveries before that must not
// be sent any more. Of what another process has in memory a cancel is seen within half a second.
func (g *Gateway) OnCancel(told func()) { g.cancelled.Store(&told) }

// cancelledSome tells who listens that deliveries were cancelled, and has the lanes looked at that they may have held up.
func (g *Gateway) cancelledSome(ctx context.Context, endpoints []string) {
	if told := g.cancelled.Load(); told != nil {
		(*told)()
	}
	g.lookAtLanes(ctx, endpoints)
}

// lookAtLanes has the lanes of endpoints looked at, because their heads may have gone: a lane that rests until its head's
// next attempt would learn of it then. It is stored first, since the hint may be lost; without either they are looked at
// when they would have been.
func (g *Gateway) lookAtLanes(ctx context.Context, endpoints []string) {
	if len(endpoints) == 0 {
		return
	}
	states, err := g.Store.EndpointStates(ctx, endpoints)
	if err != nil {
		g.Log.Warn("reading the lanes of what was cancelled", "error", err)
		return
	}
	states = slices.DeleteFunc(states, func(s EndpointState) bool {
		return !s.InLane || s.QuarantinedSince != 0 || s.GoneAt != 0
	})
	now := g.now()
	var early []EndpointState
	for _, s := range states {
		if s.OwnerUntil <= now && s.TurnAt > now {
			s.TurnAt = now
			early = append(early, s)
		}
	}
	// One that is stale was written by a worker, who looks at it.
	if _, err := g.Store.SwapEndpoints(ctx, early); err != nil {
		g.Log.Warn("waking the lanes of what was cancelled", "error", err)
	}
	g.wakeLanes(ctx, states, nil)
}
