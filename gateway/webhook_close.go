package gateway

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// goneReason is the statusReason of a webhook whose last open endpoint answered 410.
const goneReason = string(EndpointGone)

// CloseWebhook is the worker's: it makes a webhook inactive when no open endpoint is left.
func (g *Gateway) CloseWebhook(ctx context.Context, id string) error {
	for {
		err := g.closeOnce(ctx, id)
		if !errors.Is(err, ErrStale) {
			return err
		}
	}
}

func (g *Gateway) closeOnce(ctx context.Context, id string) error {
	w, err := g.Store.Webhook(ctx, Everyone(), id)
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("closing webhook %s: %w", id, err)
	}
	if w.DeletedAt != 0 || w.Status != Active {
		return nil
	}
	open, err := g.hasOpenEndpoint(ctx, w)
	if err != nil || open {
		return err
	}
	was := w.Revision
	w.Revision++
	w.Status, w.StatusReason, w.UpdatedAt = Inactive, goneReason, g.now()
	entry := AuditEntry{
		Organisation: w.Organisation, Action: "webhook.closed", Object: w.ID, Revision: w.Revision,
		Changes: changesBetween(map[string]any{"status": Active, "statusReason": ""}, map[string]any{"status": w.Status, "statusReason": w.StatusReason}),
	}
	return g.change(ctx, system, entry, func() error { return g.Store.ReplaceWebhook(ctx, w, was) })
}

// reopened is a webhook that closed with its last endpoint, as a save leaves it that says nothing of its status: it is
// active again where the save ends that an endpoint is gone, or brings another one.
func (g *Gateway) reopened(ctx context.Context, w Webhook) (Webhook, error) {
	ids := slices.Collect(w.endpointIDs())
	states, err := g.Store.EndpointStates(ctx, ids)
	if err != nil {
		return Webhook{}, away(fmt.Errorf("reading the endpoints of %s: %w", w.ID, err))
	}
	if mayReset(states, g.now()) || countGone(states) < len(ids) {
		w.Status, w.StatusReason = Active, ""
	}
	return w, nil
}

func (g *Gateway) hasOpenEndpoint(ctx context.Context, w Webhook) (bool, error) {
	ids := make([]string, len(w.Endpoints))
	for i, e := range w.Endpoints {
		ids[i] = e.ID
	}
	states, err := g.Store.EndpointStates(ctx, ids)
	if err != nil {
		return false, fmt.Errorf("reading the endpoints of %s: %w", w.ID, err)
	}
	return countGone(states) < len(ids), nil
}

func countGone(states []EndpointState) (gone int) {
	for _, s := range states {
		if s.GoneAt != 0 {
			gone++
		}
	}
	return gone
}
