package worker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/unihook/unihook/gateway"
)

// errUnopened is a webhook whose secrets cannot be opened: nothing is sent unsigned.
var errUnopened = errors.New("the webhook cannot be opened")

// Whether deliveries go on being parked when a lane is given up.
const (
	stayInLane = true
	leaveLane  = false
)

// leave gives the lane up, if the store still says what made the owner want to: else the work goes on.
func (l *lane) leave(ctx context.Context, turn gateway.Time, inLane bool) (wait time.Duration, done bool) {
	for {
		v, err := l.w.lookAt(ctx, l.endpoint)
		if err != nil {
			l.w.log.Warn("a lane was not given up", "endpoint", l.endpoint, "error", err)
			return laneAgain, false
		}
		if v.empty() {
			return 0, true
		}
		if v.mode != l.mode {
			return lanePoll, false
		}
		next, ok := release(v.state, l.w.opts.ID, turn, inLane)
		if !ok {
			return 0, true // it is another's by now
		}
		if !l.limited.next.IsZero() {
			next.NextAllowed = l.limited.next.UnixMicro()
		}
		stale, err := l.w.states.swap(ctx, []gateway.EndpointState{next})
		if err != nil {
			l.w.log.Warn("a lane was not given up", "endpoint", l.endpoint, "error", err)
			return laneAgain, false
		}
		if len(stale) == 0 {
			return 0, true
		}
	}
}

// handOver gives the lane to whoever is next, because this process ends.
func (l *lane) handOver(ctx context.Context) {
	_, err := l.w.states.change(ctx, change{endpoint: l.endpoint, organisation: l.organisation, webhook: l.webhook,
		next: func(s gateway.EndpointState) (gateway.EndpointState, bool) {
			next, ok := release(s, l.w.opts.ID, l.w.now(), stayInLane)
			if ok && !l.limited.next.IsZero() {
				next.NextAllowed = l.limited.next.UnixMicro()
			}
			return next, ok
		}})
	if err != nil {
		l.w.log.Warn("a lane was not given back; its lease ends by itself", "endpoint", l.endpoint, "error", err)
	}
}

// end cancels what waits for an endpoint that is no more.
func (l *lane) end(ctx context.Context) (wait time.Duration, done bool) {
	for {
		list, err := l.w.store.LaneHead(ctx, l.endpoint, "", lanePage)
		if err == nil && len(list) > 0 {
			results := make([]gateway.Result, len(list))
			for i, d := range list {
				results[i] = gateway.Result{Delivery: d.ID, Status: gateway.Cancelled, Reason: l.mode.reason, FinishedAt: l.w.now(), Failures: d.Failures}
			}
			err = l.w.store.Record(ctx, results)
		}
		if err != nil {
			l.w.log.Warn("what waits for an endpoint that is no more was not cancelled", "endpoint", l.endpoint, "error", err)
			return laneAgain, false
		}
		if len(list) == 0 {
			return l.leave(ctx, 0, leaveLane)
		}
	}
}

// isLost tells that the lease has ended, or is another's.
func (l *lane) isLost(now gateway.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.lost || l.until <= now
}

func (l *lane) lose() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lost = true
}

// renewed notes what became of the lease; it is lost where another process has it.
func (l *lane) renewed(s gateway.EndpointState, owner string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if s.Owner != owner {
		l.lost = true
		return
	}
	l.until = s.OwnerUntil
}

// wantsRenewal tells that the lease ends soon, or later than any lease made now: then the clock was set back.
func (l *lane) wantsRenewal(now gateway.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return !l.lost && isDue(l.until, now)
}

// isDue tells that a claim or a lease that ends at until is to be renewed.
func isDue(until, now gateway.Time) bool {
	return until < now.Add(renewAhead) || until > now.Add(2*gateway.ClaimFor)
}

// renewEvery is how often claims and leases are looked at; those that end within renewAhead are renewed.
const (
	renewEvery = 5 * time.Second
	renewAhead = 10 * time.Second
)

// renewOnce renews the claims of requests under way and the leases of lanes before they end.
func (w *Worker) renewOnce(ctx context.Context) error {
	ctx = context.WithoutCancel(ctx)
	now := w.now()
	return errors.Join(w.renewRuns(ctx, now), w.renewLanes(ctx, now))
}

func (w *Worker) renewRuns(ctx context.Context, now gateway.Time) error {
	until := now.Add(gateway.ClaimFor)
	for run, ids := range w.flights.ending(now) {
		if err := w.store.RenewRun(ctx, run, ids, until); err != nil {
			return fmt.Errorf("renewing claims: %w", err)
		}
		for _, id := range ids {
			w.flights.renewed(id, run, until)
		}
	}
	return nil
}

func (w *Worker) renewLanes(ctx context.Context, now gateway.Time) error {
	byID := map[string]*lane{}
	var changes []change
	for _, l := range w.lanes.all() {
		if !l.wantsRenewal(now) {
			continue
		}
		byID[l.endpoint] = l
		changes = append(changes, change{endpoint: l.endpoint, organisation: l.organisation, webhook: l.webhook,
			next: func(s gateway.EndpointState) (gateway.EndpointState, bool) { return renew(s, w.opts.ID, now) }})
	}
	if len(changes) == 0 {
		return nil
	}
	after, err := w.states.change(ctx, changes...)
	if err != nil {
		return fmt.Errorf("renewing leases: %w", err)
	}
	for id, s := range after {
		byID[id].renewed(s, w.opts.ID)
	}
	return nil
}

// renewUntil goes on renewing while the last requests finish.
func (w *Worker) renewUntil(stop <-chan struct{}) {
	ticker := time.NewTicker(renewEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			if err := w.renewOnce(context.Background()); err != nil {
				w.log.Warn("claims were not renewed", "error", err)
			}
		case <-stop:
			return
		}
	}
}
