package gateway

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// StartReplay makes new deliveries of a webhook's earlier ones, oldest first, at a bounded rate. With dryRun it counts
// and changes nothing.
func (g *Gateway) StartReplay(ctx context.Context, a Actor, w Webhook, in Body[ReplayInput]) (r Replay, dry bool, err error) {
	f := faults(in.Faults)
	r = g.readReplay(w, in.Value, &f)
	if err := f.err(); err != nil {
		return r, false, err
	}
	counts, err := g.Store.CountDeliveries(ctx, Only(w.Organisation), r.sources())
	if err != nil {
		return r, false, away(fmt.Errorf("counting what to replay: %w", err))
	}
	for _, n := range counts {
		r.Matched += n
	}
	if in.Value.DryRun.Or(false, false) {
		r.ID = ""
		return r, true, nil
	}
	// The job comes first, a little later: a replay that runs and that nobody works would refuse all others. A job
	// without its replay ends by itself.
	job := Job{ID: PrefixJob + r.ID, Kind: JobReplay, Organisation: w.Organisation, Ref: r.ID, TurnAt: g.now().Add(replayDelay)}
	if err := g.Store.InsertJob(ctx, job); err != nil {
		return r, false, away(fmt.Errorf("storing job %s: %w", job.ID, err))
	}
	entry := AuditEntry{Organisation: w.Organisation, Action: "webhook.replayed", Object: w.ID, Changes: r.changes()}
	if err := g.change(ctx, a, entry, func() error { return g.Store.InsertReplay(ctx, r) }); errors.Is(err, ErrTaken) {
		return r, false, Refuse(Conflict, "a replay of this webhook is running; wait for it or cancel it")
	} else if err != nil {
		return r, false, away(fmt.Errorf("storing replay: %w", err))
	}
	if err := g.Queue.EnqueueJob(ctx, job.ID); err != nil {
		g.Log.Warn("a job was not queued; the feeder finds it", "job", job.ID, "error", err)
	}
	return r, false, nil
}

// replayDelay is how long the feeder leaves a replay's job alone: longer than the store takes for the two writes in
// between.
const replayDelay = 15 * time.Second

// readReplay judges what a caller wrote.
func (g *Gateway) readReplay(w Webhook, in ReplayInput, f *faults) Replay {
	now := g.Clock()
	r := Replay{ID: NewID(PrefixReplay, now), Organisation: w.Organisation, Webhook: w.ID, Running: w.ID, Status: ReplayRunning, CreatedAt: At(now)}
	if text := in.Since.Or("", ""); text == "" {
		f.add("/since", "since_missing", "say from when on, such as 2026-05-18T00:00:00Z")
	} else if since, err := ParseTime(text); err != nil {
		f.add("/since", "time_malformed", err.Error())
	} else {
		r.Since = since
	}
	// What the replay itself makes is later than its own start, and is not replayed.
	r.Until = At(now)
	if in.Until.Set && !in.Until.Null {
		until, err := ParseTime(in.Until.Value)
		if err != nil {
			f.add("/until", "time_malformed", err.Error())
		}
		r.Until = min(r.Until, max(until, 1)) // zero would be no bound, and nothing is that old
	}
	switch status := in.Status.Or("failed", "failed"); status {
	case "failed", "any":
		r.FailedOnly = status == "failed"
	default:
		f.add("/status", "status_unknown", fmt.Sprintf("%q is not one of failed and any", status))
	}
	switch which := in.Mapping.Or("current", "current"); which {
	case "current", "original":
		r.Original = which == "original"
	default:
		f.add("/mapping", "mapping_unknown", fmt.Sprintf("%q is not one of current and original", which))
	}
	return r
}

// sources is which deliveries a replay makes anew.
func (r Replay) sources() DeliveryFilter {
	filter := DeliveryFilter{Webhook: r.Webhook, Since: r.Since, Until: r.Until, Oldest: true, NoTests: true}
	if r.FailedOnly {
		filter.Statuses = []DeliveryStatus{Failed, Cancelled}
	}
	return filter
}

// changes are what the audit keeps of a replay's start.
func (r Replay) changes() []AuditChange {
	status, rules := "any", "current"
	if r.FailedOnly {
		status = "failed"
	}
	if r.Original {
		rules = "original"
	}
	return changesBetween(nil, map[string]any{
		"replay": r.ID, "since": r.Since, "until": r.Until, "status": status, "mapping": rules, "matched": r.Matched,
	})
}

// FindReplay answers a replay with its progress.
func (g *Gateway) FindReplay(ctx context.Context, a Actor, id string) (Replay, error) {
	scope, err := g.ScopeFor(ctx, a, "")
	if err != nil {
		return Replay{}, err
	}
	r, err := g.Store.Replay(ctx, scope, id)
	if err = g.seen(ctx, r.Organisation, err); errors.Is(err, ErrNotFound) {
		return r, Refuse(NotFound, "there is no replay %q", id)
	}
	if err != nil {
		return r, away(err)
	}
	return r, away(g.countReplay(ctx, &r))
}

// countReplay fills in what became of the deliveries that a replay made.
func (g *Gateway) countReplay(ctx context.Context, r *Replay) error {
	counts, err := g.Store.CountDeliveries(ctx, Only(r.Organisation), DeliveryFilter{Replay: r.ID})
	if err != nil {
		return fmt.Errorf("counting the deliveries of %s: %w", r.ID, err)
	}
	r.Delivered, r.Failed = counts[Delivered], counts[Failed]
	return nil
}

// CancelReplay stops a replay and cancels its waiting deliveries.
func (g *Gateway) CancelReplay(ctx context.Context, a Actor, r Replay) (Replay, error) {
	if r.Status != ReplayRunning {
		return r, Refuse(Conflict, "the replay is %s", r.Status)
	}
	entry := AuditEntry{
		Organisation: r.Organisation, Action: "replay.cancelled", Object: r.ID,
		Changes: changesBetween(map[string]any{"status": r.Status}, map[string]any{"status": ReplayCancelled}),
	}
	r.Status, r.FinishedAt, r.Running = ReplayCancelled, g.now(), ""
	if err := g.change(ctx, a, entry, func() error { return g.Store.UpdateReplay(ctx, r) }); errors.Is(err, ErrStale) {
		return r, Refuse(Conflict, "the replay is over")
	} else if err != nil {
		return r, away(fmt.Errorf("cancelling %s: %w", r.ID, err))
	}
	if err := g.CancelReplayed(ctx, r); err != nil {
		return r, away(err)
	}
	return r, away(g.countReplay(ctx, &r))
}

// CancelReplayed cancels what waits of a replay that was cancelled. Its worker does it once more: a page may have been
// on its way.
func (g *Gateway) CancelReplayed(ctx context.Context, r Replay) error {
	err := g.cancelAll(ctx, r.Organisation, DeliveryFilter{Replay: r.ID}, ByHand)
	var endpoints []string
	if w, fault := g.Store.Webhook(ctx, Only(r.Organisation), r.Webhook); fault == nil {
		endpoints = slices.Collect(w.endpointIDs())
	}
	g.cancelledSome(context.WithoutCancel(ctx), endpoints)
	return err
}

// replayMoment bounds the sources that are read at once to keep the order of those that one moment accepted.
const replayMoment = 4000

// ReplaySources is the worker's: the next deliveries that a running replay makes anew, in the order of acceptance, after
// the place that the replay remembers. A store lists those of one millisecond in no order: a page ends between two
// milliseconds, and is longer than limit where one alone has more.
func (g *Gateway) ReplaySources(ctx context.Context, r Replay, limit int) (list []Delivery, next string, err error) {
	for {
		list, next, err = g.Store.ListDeliveries(ctx, Only(r.Organisation), r.sources(), Page{Limit: limit, After: r.After})
		if err != nil {
			return nil, "", err
		}
		if next == "" {
			break
		}
		last := list[len(list)-1].CreatedAt
		if whole := slices.IndexFunc(list, func(d Delivery) bool { return d.CreatedAt == last }); whole > 0 {
			list = list[:whole]
			next = list[whole-1].ID
			break
		}
		if limit >= replayMoment {
			break
		}
		limit *= 4
	}
	slices.SortStableFunc(list, func(a, b Delivery) int {
		return cmp.Or(cmp.Compare(a.CreatedAt, b.CreatedAt), cmp.Compare(a.Order, b.Order))
	})
	return list, next, nil
}

// Replayed makes the new deliveries of a replay's sources, in the order given: spare, or parked where the webhook is
// ordered. Those of endpoints that the webhook does not have any more are left out.
func (g *Gateway) Replayed(ctx context.Context, r Replay, sources []Delivery) ([]Delivery, error) {
	stored, err := g.Store.Webhook(ctx, Only(r.Organisation), r.Webhook)
	if err != nil {
		return nil, fmt.Errorf("reading webhook %s: %w", r.Webhook, err)
	}
	if stored.DeletedAt != 0 {
		return nil, nil
	}
	sel, err := newSelector(stored)
	if err != nil {
		return nil, err
	}
	if err := g.bodies.put(ctx, sel.all()); err != nil {
		return nil, err
	}
	now := g.Clock()
	var list []Delivery
	for i, source := range sources {
		if !hasEndpoint(stored, source.Endpoint) {
			continue
		}
		d := r.again(source, At(now))
		d.Order = fmt.Sprintf("%016x%04x", now.UnixMicro(), i)
		if stored.Ordered {
			// Spare ones are claimed for several runs at once, of which any may be the first to park.
			d.Place.Lane, d.Reason = LaneKey(d.Endpoint, d.Order), InOrder
		} else {
			d.Place.Turn = d.NextAttemptAt.Add(time.Duration(len(list)) * turnStep)
		}
		if !r.Original {
			d.Shape, d.WebhookRevision = sel.own.ID, stored.Revision
			if m, ok := sel.shapeFor(d.Product, d.Type); ok {
				d.Shape = m.ID
			}
		}
		list = append(list, d)
	}
	return list, nil
}

// again is a delivery of the same event to the same endpoint. Its id depends on the source as well as on the replay:
// what a replay made counts in a later one, and an event may then have several sources. It counts as created when the
// replay was asked for, which is the time in its id: lists and windows go by both.
func (r Replay) again(source Delivery, now Time) Delivery {
	return Delivery{
		ID:    DeliveryID(r.CreatedAt, r.Organisation, source.Event, source.Endpoint, r.ID+"/"+source.ID),
		Event: source.Event, Organisation: r.Organisation, Webhook: r.Webhook, Endpoint: source.Endpoint,
		WebhookRevision: source.WebhookRevision, Replay: &r.ID, Product: source.Product, Type: source.Type,
		Status: Pending, Reason: Scheduled, NextAttemptAt: now, CreatedAt: r.CreatedAt, Shape: source.Shape,
	}
}
