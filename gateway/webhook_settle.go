package gateway

import (
	"context"
	"fmt"
	"slices"
	"time"
)

const (
	// resetEvery is how often, at most, a save resets a webhook's endpoints: who saves in a loop must not switch
	// quarantine off.
	resetEvery = time.Minute
	// cancelFor bounds how long a call cancels; the workers cancel the rest when they look at them.
	cancelFor = 5 * time.Second
	// swapTries bounds how often the states of endpoints are read again because a worker wrote them meanwhile.
	swapTries = 20
)

// settle does what follows from a save: deliveries to endpoints that are gone are cancelled, the others are reset and
// their lanes woken. The save itself is done: what fails here is logged, and the workers find it out by themselves.
func (g *Gateway) settle(ctx context.Context, before, after Webhook) {
	var removed []string
	for id := range before.endpointIDs() {
		if after.endpoint(id) == nil {
			removed = append(removed, id)
		}
	}
	for _, id := range removed {
		g.cancelWaiting(ctx, after.Organisation, DeliveryFilter{Webhook: after.ID, Endpoint: id}, EndpointRemoved)
	}
	g.forgetEndpoints(ctx, after.Organisation, removed)
	wake := before.Status != after.Status || before.Ordered != after.Ordered || !sameRate(before.RateLimit, after.RateLimit)
	if err := g.resetEndpoints(ctx, after, wake); err != nil {
		g.Log.Error("resetting endpoints after a save", "webhook", after.ID, "error", err)
	}
}

func sameRate(a, b *float64) bool {
	return a == nil && b == nil || a != nil && b != nil && *a == *b
}

// cancelWaiting cancels the pending deliveries that match, in pages.
func (g *Gateway) cancelWaiting(ctx context.Context, organisation string, filter DeliveryFilter, reason Reason) {
	ctx, cancel := context.WithTimeout(ctx, cancelFor)
	defer cancel()
	for {
		n, err := g.Store.CancelPending(ctx, organisation, filter, reason, g.now(), cancelPage)
		if err != nil {
			g.Log.Warn("cancelling what waits", "webhook", filter.Webhook, "endpoint", filter.Endpoint, "error", err)
			return
		}
		if n < cancelPage {
			return
		}
	}
}

func (g *Gateway) forgetEndpoints(ctx context.Context, organisation string, ids []string) {
	if len(ids) == 0 {
		return
	}
	if err := g.Store.DeleteEndpointStates(ctx, organisation, ids); err != nil {
		g.Log.Warn("forgetting endpoints", "endpoints", ids, "error", err)
	}
}

// resetEndpoints ends failures, quarantine and gone of the webhook's endpoints, at most once in resetEvery, and wakes
// the lanes of those that were reset, or of all with wake.
func (g *Gateway) resetEndpoints(ctx context.Context, w Webhook, wake bool) error {
	ids := slices.Collect(w.endpointIDs())
	reset, known := false, false
	for range swapTries {
		states, err := g.Store.EndpointStates(ctx, ids)
		if err != nil {
			return fmt.Errorf("reading the states of endpoints: %w", err)
		}
		now := g.now()
		if !known {
			reset, known = mayReset(states, now), true
		}
		changed := settled(states, now, reset, wake)
		if len(changed) == 0 {
			return nil
		}
		stale, err := g.Store.SwapEndpoints(ctx, changed)
		if err != nil {
			return fmt.Errorf("resetting endpoints: %w", err)
		}
		g.wakeLanes(ctx, changed, stale)
		if ids = stale; len(ids) == 0 {
			return nil
		}
	}
	return fmt.Errorf("resetting endpoints %v: workers keep changing them", ids)
}

// mayReset tells whether the last reset of any of the webhook's endpoints is long enough ago.
func mayReset(states []EndpointState, now Time) bool {
	return !slices.ContainsFunc(states, func(s EndpointState) bool {
		return s.ResetAt != 0 && now.Sub(s.ResetAt) < resetEvery && now >= s.ResetAt
	})
}

// settled are the states that a save changes, changed.
func settled(states []EndpointState, now Time, reset, wake bool) []EndpointState {
	var changed []EndpointState
	for _, s := range states {
		ails := s.ConsecutiveFailures > 0 || s.QuarantinedSince != 0 || s.GoneAt != 0
		if reset && ails {
			s.ConsecutiveFailures, s.QuarantinedSince, s.QuarantinedUntil = 0, 0, 0
			s.Cooldown, s.GoneAt, s.ResetAt = 0, 0, now
		}
		if (reset && ails || wake) && s.InLane && s.OwnerUntil <= now {
			s.TurnAt = now // while somebody owns the lane it is not before OwnerUntil; the hint reaches the owner
		}
		if reset && ails || wake && s.InLane {
			changed = append(changed, s)
		}
	}
	return changed
}

// wakeLanes says that the lanes of what was written have work.
func (g *Gateway) wakeLanes(ctx context.Context, changed []EndpointState, stale []string) {
	for _, s := range changed {
		if !s.InLane || slices.Contains(stale, s.ID) {
			continue
		}
		if err := g.Queue.EnqueueLane(ctx, s.ID); err != nil {
			g.Log.Debug("waking a lane", "endpoint", s.ID, "error", err)
			return
		}
	}
}
