package worker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/unihook/unihook/gateway"
)

// Bounds of jobs.
const (
	// jobAgain is the pause before a job that could not be done now is tried again.
	jobAgain = 500 * time.Millisecond
	// manualMost is how many manual retries are in flight at most, manualEach for one endpoint: they go past the slots.
	manualMost = 64
	manualEach = 4
	// eraseStep is how many records one write of an erasure removes.
	eraseStep = 500
	// eraseAfter is the age of an organisation's mark from which on nobody accepts events for it.
	eraseAfter = 2 * time.Second
	// eraseTries is how often an erasure finds its organisation unmarked before it is taken for one that never came to
	// be: about a minute. Each try writes the job twice.
	eraseTries = 30
)

// takeJob does a job's task: if it is due and nobody has it, this process takes its lease and does it.
func (w *Worker) takeJob(ctx context.Context, id string) {
	if w.stopping() || w.writer.away() {
		return
	}
	j, err := w.store.Job(ctx, id)
	if err == nil {
		var ok bool
		if j, ok, err = w.leaseJob(ctx, j); ok {
			w.jobs.Go(func() { w.doJob(context.WithoutCancel(ctx), j) })
		}
	}
	if err != nil && !errors.Is(err, gateway.ErrNotFound) {
		w.log.Warn("a job was not taken; the feeder finds it", "job", id, "error", err)
	}
}

// leaseJob takes or renews the job's lease. It is false where another process has it.
func (w *Worker) leaseJob(ctx context.Context, j gateway.Job) (gateway.Job, bool, error) {
	now := w.now()
	if j.Owner != "" && j.Owner != w.opts.ID && j.OwnerUntil > now && j.OwnerUntil <= now.Add(2*jobLease) {
		return j, false, nil
	}
	if j.Owner == w.opts.ID && j.OwnerUntil > now.Add(jobLease/2) {
		return j, false, nil // it is under way here
	}
	j.Owner, j.OwnerUntil = w.opts.ID, now.Add(jobLease)
	j.TurnAt = j.OwnerUntil
	return w.swapJob(ctx, j)
}

// jobLease outlasts a request of 60 s, the longest thing that a job does between two renewals.
const jobLease = 90 * time.Second

func (w *Worker) swapJob(ctx context.Context, j gateway.Job) (gateway.Job, bool, error) {
	err := w.store.SwapJob(ctx, j)
	if errors.Is(err, gateway.ErrStale) || errors.Is(err, gateway.ErrNotFound) {
		return j, false, nil
	}
	w.feeder.jobs.expect(j.TurnAt, w.now())
	j.Version++
	return j, err == nil, err
}

// postpone gives the job back until turn.
func (w *Worker) postpone(ctx context.Context, j gateway.Job, wait time.Duration) error {
	j.Owner, j.OwnerUntil, j.TurnAt = "", 0, w.now().Add(wait)
	_, _, err := w.swapJob(ctx, j)
	return err
}

func (w *Worker) doJob(ctx context.Context, j gateway.Job) {
	var err error
	switch j.Kind {
	case gateway.JobRetry:
		err = w.retryByHand(ctx, j)
	case gateway.JobReplay:
		err = w.replay(ctx, j)
	case gateway.JobErase:
		err = w.erase(ctx, j)
	case gateway.JobForget:
		if err = w.store.ForgetResponses(ctx, j.Organisation, j.Ref); err == nil {
			err = w.store.DeleteJob(ctx, j.ID)
		}
	default:
		err = fmt.Errorf("unknown kind of job %q", j.Kind)
	}
	if err != nil {
		w.log.Warn("a job was not done; it is done again", "job", j.ID, "error", err)
		w.putJobBack(ctx, j.ID)
	}
}

// What putJobBack waits between its tries, and how many it makes: for as long as nobody else takes the job.
const (
	jobBackAfter = 2 * time.Second
	jobBackTries = int(jobLease / 3 / jobBackAfter)
)

// putJobBack ends the lease of a job that was not done, after a pause, and when the store is there again.
func (w *Worker) putJobBack(ctx context.Context, id string) {
	var err error
	for range jobBackTries {
		select {
		case <-time.After(jobBackAfter):
		case <-w.stop:
		}
		var j gateway.Job // as it is stored: its lease may have been renewed
		if j, err = w.store.Job(ctx, id); err == nil {
			if j.Owner != w.opts.ID {
				return
			}
			err = w.postpone(ctx, j, 0)
		}
		if err == nil || errors.Is(err, gateway.ErrNotFound) {
			return
		}
		if w.stopping() {
			break
		}
	}
	w.log.Warn("a job was not given back; its lease ends by itself", "job", id, "error", err)
}

// retryByHand makes one attempt of a delivery now, in any state, past schedule and quarantine.
func (w *Worker) retryByHand(ctx context.Context, j gateway.Job) error {
	if len(w.flights.reserve("", []string{j.Ref})) == 0 {
		return w.postpone(ctx, j, jobAgain) // it is being tried: after that
	}
	s, ok, err := w.manualShot(ctx, j)
	if err != nil || !ok {
		w.flights.release(j.Ref)
		if err != nil {
			return err
		}
		return w.store.DeleteJob(ctx, j.ID)
	}
	if busy, err := w.busyElsewhere(ctx, s.delivery); busy || err != nil {
		w.flights.release(j.Ref)
		if err != nil {
			return err
		}
		return w.postpone(ctx, j, jobAgain+time.Duration(w.opts.Random()*float64(jobAgain)))
	}
	if !w.manual.take(s.delivery.Endpoint) {
		w.flights.release(j.Ref)
		return w.postpone(ctx, j, jobAgain)
	}
	s.over = func(v *verdict) {
		w.manual.give(s.delivery.Endpoint)
		var err error
		if v == nil {
			err = w.postpone(ctx, j, jobAgain)
		} else {
			err = w.store.DeleteJob(ctx, j.ID)
			if v.status == gateway.Delivered && s.delivery.Place.Lane != "" {
				w.takeLane(ctx, s.delivery.Endpoint) // it may have held up others
			}
		}
		if err != nil {
			w.log.Warn("a manual retry's job was not ended", "job", j.ID, "error", err)
		}
	}
	w.fire(s)
	return nil
}

// manualShot is false where nothing can be sent: what was there when the retry was asked for is gone.
func (w *Worker) manualShot(ctx context.Context, j gateway.Job) (s shot, ok bool, err error) {
	list, err := w.store.DeliveriesByID(ctx, []string{j.Ref})
	if err != nil || len(list) == 0 {
		return s, false, err
	}
	d := list[0]
	facts, err := w.load(ctx, list)
	if err != nil {
		return s, false, err
	}
	event, hasEvent := facts.events[gateway.EventKey(d.Organisation, d.Event)]
	live := facts.lives[d.Webhook]
	if live == nil || live.Deleted() || !live.Active() || !hasEvent || event.Erased {
		return s, false, nil
	}
	endpoint, ok := live.Endpoint(d.Endpoint)
	return shot{delivery: d, event: event, live: live, endpoint: endpoint, trigger: gateway.ByManual}, ok, nil
}

// busyElsewhere tells that another process is, or may be, at the delivery: it has it in a run, or owns the lane. Either
// is over soon, or the job comes to that process.
func (w *Worker) busyElsewhere(ctx context.Context, d gateway.Delivery) (bool, error) {
	now := w.now()
	switch {
	case d.Status != gateway.Pending:
		return false, nil
	case d.Place.Run != "":
		return d.Place.LookAt > now && d.Place.LookAt <= now.Add(2*gateway.ClaimFor), nil
	case d.Place.Lane == "":
		return false, nil
	}
	known, err := w.states.fresh(ctx, []string{d.Endpoint})
	if err != nil {
		return false, err
	}
	s := known[d.Endpoint]
	return isOwned(s, now) && s.Owner != w.opts.ID, nil
}

// erase removes what an organisation has, all but its audit.
func (w *Worker) erase(ctx context.Context, j gateway.Job) error {
	o, err := w.store.Organisation(ctx, j.Ref)
	switch {
	case errors.Is(err, gateway.ErrNotFound):
		return w.store.DeleteJob(ctx, j.ID)
	case err != nil:
		return err
	case !o.Erasing && j.Version > 2*eraseTries:
		return w.store.DeleteJob(ctx, j.ID)
	case !o.Erasing || w.now() < o.UpdatedAt.Add(eraseAfter):
		return w.postpone(ctx, j, eraseAfter)
	}
	for !w.stopping() {
		done, err := w.store.EraseOrganisation(ctx, j.Ref, eraseStep)
		if err != nil {
			return err
		}
		if done {
			return w.store.DeleteJob(ctx, j.ID)
		}
		var held bool
		if j, held, err = w.holdJob(ctx, j); err != nil || !held {
			return err
		}
	}
	return w.postpone(ctx, j, 0)
}

// holdJob renews the lease of a job under way before it ends; it is false where the job is another's by now.
func (w *Worker) holdJob(ctx context.Context, j gateway.Job) (gateway.Job, bool, error) {
	if j.OwnerUntil > w.now().Add(jobLease/2) {
		return j, true, nil
	}
	j.OwnerUntil = w.now().Add(jobLease)
	j.TurnAt = j.OwnerUntil
	return w.swapJob(ctx, j)
}
