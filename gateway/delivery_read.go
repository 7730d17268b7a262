package gateway

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
)

// FindDelivery answers a delivery with its attempts, their bodies and whole URLs.
func (g *Gateway) FindDelivery(ctx context.Context, a Actor, id string) (Delivery, error) {
	scope, err := g.ScopeFor(ctx, a, "")
	if err != nil {
		return Delivery{}, err
	}
	d, err := g.Store.Delivery(ctx, scope, id)
	if err = g.seen(ctx, d.Organisation, err); errors.Is(err, ErrNotFound) {
		return Delivery{}, Refuse(NotFound, "there is no delivery %q", id)
	}
	if err == nil {
		err = g.fillAttempts(ctx, &d)
	}
	if err == nil {
		err = g.showWhy(ctx, []*Delivery{&d})
	}
	return d, away(err)
}

// showWhy gives what waits for a webhook that does not send that reason: what has a time of its own is stored with
// another one until it is due.
func (g *Gateway) showWhy(ctx context.Context, list []*Delivery) error {
	of := map[string][]*Delivery{}
	for _, d := range list {
		if d.Status == Pending && !d.Test {
			of[d.Webhook] = append(of[d.Webhook], d)
		}
	}
	if len(of) == 0 {
		return nil
	}
	webhooks, err := g.Store.WebhooksByID(ctx, slices.Collect(maps.Keys(of)))
	if err != nil {
		return fmt.Errorf("reading the webhooks of deliveries: %w", err)
	}
	for _, w := range webhooks {
		if w.Status == Active || w.DeletedAt != 0 {
			continue
		}
		why := WebhookInactive
		if w.StatusReason == goneReason {
			why = EndpointGone
		}
		for _, d := range of[w.ID] {
			d.Reason = why
		}
	}
	return nil
}

// fillAttempts puts back what is not stored with an attempt: the body, made again, and the URL beyond its host.
func (g *Gateway) fillAttempts(ctx context.Context, d *Delivery) error {
	if d.Attempts == nil {
		d.Attempts = []Attempt{}
	}
	if len(d.Attempts) == 0 {
		return nil
	}
	urls, err := g.urlsOf(ctx, *d)
	if err != nil {
		return err
	}
	e, err := g.Store.Event(ctx, Only(d.Organisation), d.Event)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return fmt.Errorf("reading event %s: %w", d.Event, err)
	}
	removed := err != nil || e.Erased
	for i := range d.Attempts {
		at := &d.Attempts[i]
		// An attempt that never left has none, and one that nobody answered got none: both are shown as empty.
		if at.RequestHeaders == nil {
			at.RequestHeaders = map[string]string{}
		}
		if at.ResponseHeaders == nil {
			at.ResponseHeaders = map[string]string{}
		}
		if whole, ok := urls[urlKey(d.Endpoint, at.URLNumber)]; ok {
			at.URL = whole
		}
		if removed {
			at.RequestBodyRemoved = true
			if e.Erased {
				// A request that was under way may have been recorded since.
				at.ResponseHeaders, at.ResponseBody, at.ResponseEncoding = map[string]string{}, "", ""
			}
			continue
		}
		body, same, err := g.sentBody(ctx, e, *d, *at)
		if err != nil {
			return err
		}
		if same {
			text := string(body)
			at.RequestBody = &text
		}
	}
	return nil
}

// urlsOf opens the URLs that a delivery's webhook has and had, by urlKey; none once it is deleted.
func (g *Gateway) urlsOf(ctx context.Context, d Delivery) (map[string]string, error) {
	stored, err := g.Store.Webhook(ctx, Only(d.Organisation), d.Webhook)
	if errors.Is(err, ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading webhook %s: %w", d.Webhook, err)
	}
	urls := map[string]string{}
	for _, at := range d.Attempts {
		key := urlKey(d.Endpoint, at.URLNumber)
		_, ok := stored.Sealed.URLs[key]
		if _, done := urls[key]; !ok || done {
			continue
		}
		if urls[key], err = g.Seals.openURL(stored, d.Endpoint, at.URLNumber); err != nil {
			return nil, err
		}
	}
	return urls, nil
}

// ListDeliveries answers deliveries without attempts, newest first. A filter on another organisation's id is NotFound.
func (g *Gateway) ListDeliveries(ctx context.Context, a Actor, scope Scope, filter DeliveryFilter, page Page) ([]Delivery, string, error) {
	list, next, err := g.Store.ListDeliveries(ctx, scope, filter, page)
	if err == nil && len(list) == 0 {
		err = g.checkFilter(ctx, scope, filter)
	}
	if err == nil {
		at := make([]*Delivery, len(list))
		for i := range list {
			at[i] = &list[i]
		}
		err = g.showWhy(ctx, at)
	}
	return list, next, away(err)
}

// retryJob is the job of a delivery's manual retry. Its id allows one at a time.
func retryJob(delivery string) string { return PrefixJob + "retry_" + delivery }

// RetryDelivery has one attempt made now, in any state, past schedule and quarantine. It is refused while the webhook
// does not send and while the delivery is in flight.
func (g *Gateway) RetryDelivery(ctx context.Context, a Actor, d Delivery) error {
	stored, err := g.Store.Webhook(ctx, Only(d.Organisation), d.Webhook)
	switch {
	case errors.Is(err, ErrNotFound) || err == nil && stored.DeletedAt != 0:
		return Refuse(Conflict, "the webhook of this delivery is deleted")
	case err != nil:
		return away(fmt.Errorf("reading webhook %s: %w", d.Webhook, err))
	case stored.Status != Active:
		return Refuse(Conflict, "the webhook is inactive: activate it first")
	case !hasEndpoint(stored, d.Endpoint):
		return Refuse(Conflict, "the webhook does not have this endpoint any more")
	case g.inFlight(d):
		return Refuse(Conflict, "the delivery is in flight")
	}
	if e, err := g.Store.Event(ctx, Only(d.Organisation), d.Event); errors.Is(err, ErrNotFound) || err == nil && e.Erased {
		return Refuse(Conflict, "the event's data is no more: there is nothing to send")
	} else if err != nil {
		return away(fmt.Errorf("reading event %s: %w", d.Event, err))
	}
	job := Job{ID: retryJob(d.ID), Kind: JobRetry, Organisation: d.Organisation, Ref: d.ID, TurnAt: g.now()}
	entry := AuditEntry{Organisation: d.Organisation, Action: "delivery.retried", Object: d.ID}
	if err := g.change(ctx, a, entry, func() error { return g.startJob(ctx, job) }); errors.Is(err, ErrTaken) {
		return Refuse(Conflict, "the delivery is in flight: a retry was asked for already")
	} else if err != nil {
		return away(err)
	}
	return nil
}

func hasEndpoint(w Webhook, id string) bool {
	for _, e := range w.Endpoints {
		if e.ID == id {
			return true
		}
	}
	return false
}

// startJob stores a job and tells the queue; where that fails the feeder finds it.
func (g *Gateway) startJob(ctx context.Context, job Job) error {
	if err := g.Store.InsertJob(ctx, job); err != nil {
		return fmt.Errorf("storing job %s: %w", job.ID, err)
	}
	if err := g.Queue.EnqueueJob(ctx, job.ID); err != nil {
		g.Log.Warn("a job was not queued; the feeder finds it", "job", job.ID, "error", err)
	}
	return nil
}

// CancelDelivery stops a pending delivery. A request under way ends and is recorded.
func (g *Gateway) CancelDelivery(ctx context.Context, a Actor, d Delivery) (Delivery, error) {
	if d.Status != Pending {
		return Delivery{}, Refuse(Conflict, "the delivery is %s, not pending", d.Status)
	}
	entry := AuditEntry{
		Organisation: d.Organisation, Action: "delivery.cancelled", Object: d.ID,
		Changes: changesBetween(map[string]any{"status": d.Status, "reason": d.Reason}, map[string]any{"status": Cancelled, "reason": ByHand}),
	}
	err := g.change(ctx, a, entry, func() error { return g.Store.CancelDelivery(ctx, d.Organisation, d.ID, ByHand, g.now()) })
	if errors.Is(err, ErrStale) {
		return Delivery{}, Refuse(Conflict, "the delivery is not pending any more")
	}
	if err != nil {
		return Delivery{}, away(fmt.Errorf("cancelling delivery %s: %w", d.ID, err))
	}
	g.cancelledSome(context.WithoutCancel(ctx), []string{d.Endpoint})
	return g.FindDelivery(ctx, a, d.ID)
}
