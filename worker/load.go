package worker

import (
	"context"
	"errors"
	"fmt"

	"github.com/unihook/unihook/gateway"
)

// load is what must be known of deliveries before they are sent: their events, webhooks and endpoints, in one read
// each.
type load struct {
	events map[string]gateway.Event // by EventKey
	lives  map[string]*gateway.Live
	states map[string]gateway.EndpointState
	// unknown are webhooks that could not be opened: their deliveries wait for the end of their claims.
	unknown map[string]bool
}

func (w *Worker) load(ctx context.Context, list []gateway.Delivery) (load, error) {
	var l load
	var webhooks, endpoints []string
	for i := range list {
		webhooks = appendNew(webhooks, list[i].Webhook)
		endpoints = appendNew(endpoints, list[i].Endpoint)
	}
	var err error
	if l.events, err = w.events(ctx, list); err != nil {
		return l, err
	}
	if l.lives, l.unknown, err = w.webhooks(ctx, webhooks); err != nil {
		return l, err
	}
	l.states, err = w.states.recent(ctx, endpoints)
	return l, err
}

// appendNew is append for short lists whose elements are alike more often than not.
func appendNew(list []string, s string) []string {
	for i := len(list) - 1; i >= 0; i-- {
		if list[i] == s {
			return list
		}
	}
	return append(list, s)
}

// events reads the events of deliveries, by EventKey.
func (w *Worker) events(ctx context.Context, list []gateway.Delivery) (map[string]gateway.Event, error) {
	var keys []string
	for i := range list {
		keys = appendNew(keys, gateway.EventKey(list[i].Organisation, list[i].Event))
	}
	found, err := w.store.EventsByKey(ctx, keys)
	if err != nil {
		return nil, fmt.Errorf("reading events: %w", err)
	}
	events := make(map[string]gateway.Event, len(found))
	for _, e := range found {
		events[gateway.EventKey(e.Organisation, e.ID)] = e
	}
	return events, nil
}

// webhooks answers them ready to send. One whose secrets cannot be opened must not stop the others of a run.
func (w *Worker) webhooks(ctx context.Context, ids []string) (lives map[string]*gateway.Live, unknown map[string]bool, err error) {
	lives, err = w.opts.Gateway.Live(ctx, ids)
	if err == nil || errors.Is(err, gateway.ErrAway) || ctx.Err() != nil {
		return lives, nil, err
	}
	lives, unknown = map[string]*gateway.Live{}, map[string]bool{}
	for _, id := range ids {
		one, err := w.opts.Gateway.Live(ctx, []string{id})
		if err != nil {
			w.log.Error("a webhook cannot be opened; its deliveries wait", "webhook", id, "error", err)
			unknown[id] = true
		}
		if live, ok := one[id]; ok && err == nil {
			lives[id] = live
		}
	}
	return lives, unknown, nil
}

// end is what becomes of a delivery that no request can be made for any more; ok is false for one that can be sent.
func (w *Worker) end(d gateway.Delivery, m mode, hasEvent bool) (status gateway.DeliveryStatus, reason gateway.Reason, ok bool) {
	switch {
	case m.kind == ended:
		return gateway.Cancelled, m.reason, true
	case !hasEvent, d.CreatedAt < w.now().Add(-w.opts.Retention):
		return gateway.Failed, gateway.Expired, true
	}
	return "", "", false
}

// conclude writes an end that no attempt led to. The delivery is reserved; done is called when it is stored.
func (w *Worker) conclude(d gateway.Delivery, status gateway.DeliveryStatus, reason gateway.Reason, done func()) {
	w.writer.write(written{
		result: gateway.Result{Delivery: d.ID, Status: status, Reason: reason, FinishedAt: w.now(), Failures: d.Failures},
		done: func() {
			w.flights.release(d.ID)
			done()
		},
	})
}
