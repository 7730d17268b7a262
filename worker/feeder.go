package worker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/unihook/unihook/gateway"
)

// Bounds of the feeder.
const (
	feedEvery = 250 * time.Millisecond
	feedMost  = 512 // deliveries of one pass
	feedLanes = 256
	feedJobs  = 64
	// feedBehind is the age of the oldest waiting run from which nothing is added: a backlog must not be doubled.
	feedBehind = time.Second
	// feedRun is the most deliveries of one run.
	feedRun = 64
	// feedPatience is how long ended claims are left alone after the store was away: their owners may be about to
	// write results that they could not.
	feedPatience = 3 * time.Second
)

// feeder remembers what a wiped queue lost, and when it looks again.
type feeder struct {
	lanes, jobs, due, spare pause
	// lost is the latest end of the claims whose tasks are lost, in Unix milliseconds; zero when none are.
	lost atomic.Int64
}

// feedOnce brings to the queue what the store says is to be looked at. Where the queue does not take it, it is done
// here: the queue is only quicker.
func (w *Worker) feedOnce(ctx context.Context) error {
	if w.stopping() || w.writer.away() {
		return nil
	}
	err := errors.Join(w.feedLanes(ctx), w.feedJobs(ctx))
	if err == nil { // the store answers
		for _, d := range w.dropped.take() {
			w.takeRun(ctx, d.run, d.ids)
		}
	}
	if w.opts.Queue.Behind() >= feedBehind {
		w.feeder.spare.wake() // there may be spare ones by now, and they are next
	}
	for w.opts.Queue.Behind() < feedBehind && !w.stopping() {
		more, fault := w.feedDeliveries(ctx)
		if fault != nil || !more || ctx.Err() != nil {
			return errors.Join(err, fault)
		}
	}
	return err
}

// feedDeliveries feeds one pass. More is true while what a wiped queue lost is not all fed.
func (w *Worker) feedDeliveries(ctx context.Context) (more bool, err error) {
	now := w.now()
	behind := w.opts.Queue.Behind()
	claims := now.Add(-behind)
	if w.writer.awayWithin(feedPatience) {
		claims = now.Add(-feedPatience)
	}
	lost := gateway.Time(w.feeder.lost.Load())
	claims = max(claims, lost)
	due, err := w.listDue(ctx, now, claims, lost != 0)
	if err != nil {
		return false, err
	}
	if left := feedMost - len(due); left > 0 && lost == 0 && !w.feeder.spare.rests() {
		spare, err := w.store.Spare(ctx, left)
		if err != nil {
			return false, fmt.Errorf("listing what is spare: %w", err)
		}
		w.feeder.spare.read(len(spare))
		due = append(due, spare...)
	}
	if len(due) < feedMost && lost != 0 {
		w.feeder.lost.CompareAndSwap(int64(lost), 0)
	}
	// The new claims end after those that are lost, so that the next pass does not find them again.
	return lost != 0 && len(due) == feedMost, w.feed(ctx, due, max(now.Add(gateway.ClaimFor), lost.Add(time.Millisecond)))
}

// listDue is what is due and not in flight here, which must not hide what comes after it. Must reads in any case.
func (w *Worker) listDue(ctx context.Context, now, claims gateway.Time, must bool) ([]gateway.Delivery, error) {
	if w.feeder.due.rests() && !must {
		return nil, nil
	}
	list, err := w.store.Due(ctx, now.Add(feedAhead), claims.Add(feedAhead), feedMost+w.flights.count())
	if err != nil {
		return nil, fmt.Errorf("listing what is due: %w", err)
	}
	w.feeder.due.read(len(list))
	list = slices.DeleteFunc(list, func(d gateway.Delivery) bool {
		end := now
		if d.Place.Run != "" {
			end = claims
		}
		return d.Place.LookAt > end || w.flights.has(d.ID)
	})
	return list[:min(len(list), feedMost)], nil
}

// feed claims deliveries for new runs and queues these.
func (w *Worker) feed(ctx context.Context, list []gateway.Delivery, until gateway.Time) error {
	type batch struct {
		run string
		ids []string
	}
	var claims []gateway.Claim
	var runs []batch
	for part := range slices.Chunk(list, feedRun) {
		b := batch{run: gateway.NewID(gateway.PrefixRun, w.opts.Clock())}
		for _, d := range part {
			claims = append(claims, gateway.Claim{Delivery: d.ID, Was: d.Place, Run: b.run, Until: until})
			b.ids = append(b.ids, d.ID)
		}
		runs = append(runs, b)
	}
	if len(claims) == 0 {
		return nil
	}
	if err := w.store.Claim(ctx, claims); err != nil {
		return fmt.Errorf("claiming what is due: %w", err)
	}
	w.counts.fed.Add(int64(len(claims)))
	for _, b := range runs {
		if err := w.opts.Queue.EnqueueRun(ctx, b.run, b.ids); err != nil {
			w.takeRun(ctx, b.run, b.ids)
		}
	}
	return nil
}

// feedLanes has lanes looked at whose turn has come.
func (w *Worker) feedLanes(ctx context.Context) error {
	if w.feeder.lanes.rests() {
		return nil
	}
	now := w.now()
	list, err := w.store.DueLanes(ctx, now.Add(feedAhead), feedLanes)
	if err != nil {
		return fmt.Errorf("listing lanes whose turn has come: %w", err)
	}
	w.feeder.lanes.read(len(list))
	for _, s := range list {
		if s.TurnAt <= now {
			w.takeLane(ctx, s.ID)
		}
	}
	return nil
}

// feedJobs has jobs done that are due.
func (w *Worker) feedJobs(ctx context.Context) error {
	if w.feeder.jobs.rests() {
		return nil
	}
	now := w.now()
	list, err := w.store.DueJobs(ctx, now.Add(feedAhead), feedJobs)
	if err != nil {
		return fmt.Errorf("listing jobs that are due: %w", err)
	}
	w.feeder.jobs.read(len(list))
	for _, j := range list {
		if j.TurnAt <= now {
			w.takeJob(ctx, j.ID)
		}
	}
	return nil
}

// markEvery is how often the queue is asked whether it was wiped.
const markEvery = time.Second

// markOnce finds out whether the queue was wiped. One process is told, and feeds all claims that the lost tasks may
// have stood for.
func (w *Worker) markOnce(ctx context.Context) error {
	if w.stopping() {
		return nil
	}
	wiped, err := w.opts.Queue.Mark(ctx)
	if err != nil || !wiped {
		return err
	}
	w.log.Info("the queue is new or was wiped; all claims are fed again")
	w.feeder.lost.Store(int64(w.now().Add(gateway.ClaimFor)))
	return w.sweepAll(ctx)
}

// sweepEvery is how often lanes are looked for that nobody works though deliveries are parked in them; sweepMost
// bounds the lanes of one sweep.
const (
	sweepEvery = 30 * time.Second
	sweepMost  = 500
)

// sweeper remembers where the last sweep ended.
type sweeper struct {
	mu    sync.Mutex
	after string
}

// sweepOnce has those lanes looked at, so that no parked delivery is left alone whatever hint was lost.
func (w *Worker) sweepOnce(ctx context.Context) error {
	if w.stopping() || w.writer.away() {
		return nil
	}
	w.sweeper.mu.Lock()
	defer w.sweeper.mu.Unlock()
	return w.sweep(ctx)
}

func (w *Worker) sweep(ctx context.Context) error {
	var ids []string
	for len(ids) < sweepMost {
		endpoint, err := w.store.NextLane(ctx, w.sweeper.after)
		if err != nil {
			return fmt.Errorf("looking for parked deliveries: %w", err)
		}
		w.sweeper.after = endpoint
		if endpoint == "" {
			break
		}
		ids = append(ids, endpoint)
	}
	if len(ids) == 0 {
		return nil
	}
	known, err := w.states.fresh(ctx, ids)
	if err != nil {
		return err
	}
	now := w.now()
	for _, id := range ids {
		// Of one that has an owner the turn is the end of a lease that is over, or was made before the clock was set back.
		if s := known[id]; !isOwned(s, now) && (s.Owner != "" || s.TurnAt < now) {
			w.takeLane(ctx, id)
		}
	}
	return nil
}

// sweepAll sweeps from the start, after hints were lost.
func (w *Worker) sweepAll(ctx context.Context) error {
	w.sweeper.mu.Lock()
	defer w.sweeper.mu.Unlock()
	w.sweeper.after = ""
	return w.sweep(ctx)
}
