package gateway

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// cancelPage is how many deliveries one write cancels.
const cancelPage = 500

// FindEvent answers an event with its data.
func (g *Gateway) FindEvent(ctx context.Context, a Actor, scope Scope, id string) (Event, error) {
	e, err := g.Store.Event(ctx, scope, id)
	if err = g.seen(ctx, e.Organisation, err); errors.Is(err, ErrNotFound) {
		return Event{}, Refuse(NotFound, "there is no event %q", id)
	}
	return e, away(err)
}

// ListEvents answers events without their data, newest accepted first.
func (g *Gateway) ListEvents(ctx context.Context, a Actor, scope Scope, filter EventFilter, page Page) ([]Event, string, error) {
	list, next, err := g.Store.ListEvents(ctx, scope, filter, page)
	return list, next, away(err)
}

// forgetAfter is when the last request that was under way at an erasure is over and recorded: they take 60 s at most.
const forgetAfter = 70 * time.Second

// FindEventToErase is FindEvent for an event that is about to be erased: of several organisations that have the id the
// scope must name one, since an erasure cannot be undone.
func (g *Gateway) FindEventToErase(ctx context.Context, a Actor, scope Scope, id string) (Event, error) {
	if _, named := scope.Organisation(); !named {
		owners, err := g.Store.EventOwners(ctx, id, 2)
		if err != nil {
			return Event{}, away(fmt.Errorf("looking who has event %s: %w", id, err))
		}
		if len(owners) > 1 {
			return Event{}, RefuseFaults([]Fault{{Parameter: "organisation", Code: "organisation_missing",
				Detail: "several organisations have an event with this id: name the one whose it is"}})
		}
	}
	return g.FindEvent(ctx, a, scope, id)
}

// EraseEvent takes an event's data and its bodies away, cancels what is pending of it, and keeps the facts.
func (g *Gateway) EraseEvent(ctx context.Context, a Actor, e Event) error {
	if err := g.audited(ctx, a, e.Organisation, "event.erased", e.ID, 0, nil); err != nil {
		return away(err)
	}
	job := Job{ID: PrefixJob + "forget_" + EventKey(e.Organisation, e.ID), Kind: JobForget, Organisation: e.Organisation, Ref: e.ID, TurnAt: g.now().Add(forgetAfter)}
	if err := g.Store.InsertJob(ctx, job); err != nil && !errors.Is(err, ErrTaken) {
		return away(fmt.Errorf("storing job %s: %w", job.ID, err))
	}
	if err := g.Store.EraseEvent(ctx, e.Organisation, e.ID); err != nil {
		return away(fmt.Errorf("erasing event %s: %w", e.ID, err))
	}
	err := g.cancelAll(ctx, e.Organisation, DeliveryFilter{Event: e.ID}, ByHand)
	endpoints := make([]string, len(e.Plan))
	for i, p := range e.Plan {
		endpoints[i] = p.Endpoint
	}
	g.cancelledSome(context.WithoutCancel(ctx), endpoints)
	if err != nil {
		return away(err)
	}
	return away(g.Store.ForgetResponses(ctx, e.Organisation, e.ID))
}

// cancelAll cancels every pending delivery that matches, a page at a time. What it does not reach because the store
// went away is cancelled by the worker that meets it.
func (g *Gateway) cancelAll(ctx context.Context, organisation string, filter DeliveryFilter, reason Reason) error {
	for {
		n, err := g.Store.CancelPending(ctx, organisation, filter, reason, g.now(), cancelPage)
		if err != nil {
			return fmt.Errorf("cancelling deliveries: %w", err)
		}
		if n < cancelPage {
			return nil
		}
	}
}
