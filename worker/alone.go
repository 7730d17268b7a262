package worker

import (
	"context"
	"errors"
	"fmt"

	"github.com/unihook/unihook/gateway"
)

// takeOverMost bounds the lanes and the jobs whose leases a start ends; those beyond it end by themselves.
const takeOverMost = 20_000

// takeOver is what a worker that has the store alone begins with: whoever held claims, lanes and jobs before is dead,
// so that what they were at is due now and not when their leases end.
func (w *Worker) takeOver(ctx context.Context) error {
	now := w.now()
	// All claims are fed anew by this: that the queue is new as well, which the sign would tell, adds nothing.
	if _, err := w.opts.Queue.Mark(ctx); err != nil {
		w.log.Warn("the queue's mark was not set", "error", err)
	}
	w.feeder.lost.Store(int64(now.Add(gateway.ClaimFor)))
	return errors.Join(w.takeOverLanes(ctx, now), w.takeOverJobs(ctx, now))
}

// takeOverLanes ends the leases of others. While a lane is owned its turn is the lease's end.
func (w *Worker) takeOverLanes(ctx context.Context, now gateway.Time) error {
	list, err := w.store.DueLanes(ctx, now.Add(2*gateway.ClaimFor), takeOverMost)
	if err != nil {
		return fmt.Errorf("listing lanes that others had: %w", err)
	}
	var freed []gateway.EndpointState
	for _, s := range list {
		if s.Owner == "" || s.Owner == w.opts.ID {
			continue
		}
		if next, ok := release(s, s.Owner, now, stayInLane); ok {
			freed = append(freed, next)
		}
	}
	_, err = w.states.swap(ctx, freed)
	return err
}

// takeOverJobs ends the leases of others.
func (w *Worker) takeOverJobs(ctx context.Context, now gateway.Time) error {
	list, err := w.store.DueJobs(ctx, now.Add(2*jobLease), takeOverMost)
	if err != nil {
		return fmt.Errorf("listing jobs that others had: %w", err)
	}
	for _, j := range list {
		if j.Owner == "" || j.Owner == w.opts.ID {
			continue
		}
		if err := w.postpone(ctx, j, 0); err != nil {
			return fmt.Errorf("taking job %s over: %w", j.ID, err)
		}
	}
	return nil
}
