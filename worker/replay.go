package worker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/unihook/unihook/gateway"
)

// A replay makes at most replayPage deliveries every replayEvery.
const (
	replayPage  = 100
	replayEvery = 200 * time.Millisecond
	// replayMade stands in Replay.After when all deliveries are made and some are not finished.
	replayMade = "made"
	// replayLook is how often it is looked whether they are; for large replays less often.
	replayLook = 500 * time.Millisecond
)

// replay makes a replay's deliveries, page by page, and ends it when all of them are finished.
func (w *Worker) replay(ctx context.Context, j gateway.Job) error {
	for {
		r, err := w.store.Replay(ctx, gateway.Everyone(), j.Ref)
		switch {
		case errors.Is(err, gateway.ErrNotFound), err == nil && r.Status == gateway.ReplayDone:
			return w.store.DeleteJob(ctx, j.ID)
		case err != nil:
			return fmt.Errorf("reading replay %s: %w", j.Ref, err)
		case r.Status == gateway.ReplayCancelled:
			// Of the last page, or of all where the store went away meanwhile, something may wait still.
			if err := w.opts.Gateway.CancelReplayed(ctx, r); err != nil {
				return err
			}
			return w.store.DeleteJob(ctx, j.ID)
		case r.After == replayMade:
			return w.awaitReplay(ctx, j, r)
		}
		if w.opts.Queue.Behind() < feedBehind {
			if err := w.replayPage(ctx, r); err != nil {
				return err
			}
		}
		var held bool
		if j, held, err = w.holdJob(ctx, j); err != nil || !held {
			return err
		}
		select {
		case <-time.After(replayEvery):
		case <-w.stop:
			return w.postpone(ctx, j, 0)
		}
	}
}

// replayPage makes the next deliveries. Made again after a crash they have the same ids.
func (w *Worker) replayPage(ctx context.Context, r gateway.Replay) error {
	sources, next, err := w.opts.Gateway.ReplaySources(ctx, r, replayPage)
	if err != nil {
		return fmt.Errorf("reading what to replay: %w", err)
	}
	list, err := w.opts.Gateway.Replayed(ctx, r, sources)
	if err != nil && !errors.Is(err, gateway.ErrNotFound) {
		return err
	}
	if len(list) > 0 {
		if err := w.store.InsertDeliveries(ctx, list); err != nil {
			return fmt.Errorf("storing a replay's deliveries: %w", err)
		}
		w.takeParked(ctx, list)
	}
	r.Made += len(list)
	if r.After = next; next == "" {
		r.After = replayMade
	}
	if err := w.store.UpdateReplay(ctx, r); !errors.Is(err, gateway.ErrStale) {
		return err
	}
	// It was cancelled meanwhile, perhaps before this page was there to be cancelled with it.
	return w.opts.Gateway.CancelReplayed(ctx, r)
}

// takeParked has the lanes worked that new deliveries were born in. A lane that it misses is found by the sweep.
func (w *Worker) takeParked(ctx context.Context, list []gateway.Delivery) {
	taken := map[string]bool{}
	for _, d := range list {
		if d.Place.Lane != "" && !taken[d.Endpoint] {
			taken[d.Endpoint] = true
			w.takeLane(ctx, d.Endpoint)
		}
	}
}

// awaitReplay ends the replay when none of its deliveries is pending, or looks again later.
func (w *Worker) awaitReplay(ctx context.Context, j gateway.Job, r gateway.Replay) error {
	counts, err := w.store.CountDeliveries(ctx, gateway.Only(r.Organisation), gateway.DeliveryFilter{Replay: r.ID})
	if err != nil {
		return fmt.Errorf("counting a replay's deliveries: %w", err)
	}
	if counts[gateway.Pending] > 0 {
		return w.postpone(ctx, j, min(replayLook+time.Duration(r.Made)*time.Millisecond, time.Minute))
	}
	r.Status, r.FinishedAt, r.Running = gateway.ReplayDone, w.now(), ""
	if err := w.store.UpdateReplay(ctx, r); err != nil && !errors.Is(err, gateway.ErrStale) {
		return fmt.Errorf("ending replay %s: %w", r.ID, err)
	}
	return w.store.DeleteJob(ctx, j.ID)
}
