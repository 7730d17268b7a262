package worker

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/unihook/unihook/gateway"
)

// lanes are those that this process owns.
type lanes struct {
	mu sync.Mutex
	by map[string]*lane
	wg sync.WaitGroup
}

func newLanes() *lanes { return &lanes{by: map[string]*lane{}} }

// wake has an owned lane look; it answers whether it is owned.
func (ls *lanes) wake(endpoint string) bool {
	ls.mu.Lock()
	l, ok := ls.by[endpoint]
	ls.mu.Unlock()
	if ok {
		l.wake()
	}
	return ok
}

func (ls *lanes) wakeAll() {
	for _, l := range ls.all() {
		l.wake()
	}
}

// reread has the owned lanes of endpoints believe nothing that they have read before; none named is all.
func (ls *lanes) reread(endpoints ...string) {
	for _, l := range ls.all() {
		if len(endpoints) == 0 || slices.Contains(endpoints, l.endpoint) {
			l.stale.Store(true)
		}
	}
}

func (ls *lanes) all() []*lane {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	list := make([]*lane, 0, len(ls.by))
	for _, l := range ls.by {
		list = append(list, l)
	}
	return list
}

// add is false when the lane is here already.
func (ls *lanes) add(l *lane) bool {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	if _, ok := ls.by[l.endpoint]; ok {
		return false
	}
	ls.by[l.endpoint] = l
	ls.wg.Add(1)
	return true
}

// remove takes a lane out; whoever wakes it from then on is told that nobody owns it.
func (ls *lanes) remove(l *lane) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	if ls.by[l.endpoint] == l {
		delete(ls.by, l.endpoint)
	}
}

// wait waits for all lanes to end, as long as patience holds.
func (ls *lanes) wait(patience time.Duration) {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		ls.wg.Wait()
	}()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-ended:
	case <-timer.C:
	}
}

// takeLane does a lane's task: if anything can be done for the endpoint and nobody is at it, this process takes the
// lease and works the lane until it is empty or must rest.
func (w *Worker) takeLane(ctx context.Context, endpoint string) {
	if w.lanes.wake(endpoint) || w.stopping() || w.writer.away() {
		return
	}
	known, err := w.states.recent(ctx, []string{endpoint})
	if err == nil {
		if s := known[endpoint]; s.InLane && s.Owner == "" && s.QuarantinedSince != 0 && s.GoneAt == 0 && s.TurnAt == s.QuarantinedUntil && s.QuarantinedUntil > w.now() {
			return // the usual case while a quarantine lasts and more arrives
		}
		err = w.openLane(ctx, endpoint)
	}
	if err != nil {
		w.log.Warn("a lane was not taken; it is looked at again", "endpoint", endpoint, "error", err)
	}
}

// openLane decides on what the store says now.
func (w *Worker) openLane(ctx context.Context, endpoint string) error {
	for {
		view, err := w.lookAt(ctx, endpoint)
		if err != nil || view.empty() {
			return err
		}
		heads, err := w.store.LaneHead(ctx, endpoint, "", 1)
		if err != nil {
			return err
		}
		if len(heads) == 0 && !view.state.InLane && view.mode.kind != ended {
			return nil // a hint that came late, or was forged: the lease would be taken for nothing
		}
		now := w.now()
		until, resting := view.rests(heads, w.opts.Clock())
		var next gateway.EndpointState
		var write bool
		if resting {
			next, write = rest(view.state, until, now)
		} else if next, write = acquire(view.state, w.opts.ID, now); !write {
			return nil // another process is at it
		}
		if write {
			stale, err := w.states.swap(ctx, []gateway.EndpointState{next})
			if err != nil {
				return err
			}
			if len(stale) > 0 {
				continue
			}
		}
		switch {
		case !resting:
			w.startLane(endpoint, next, view.mode)
			return nil
		case view.mode.kind == flowing:
			return nil // what waits says why already
		}
		return w.showRest(ctx, endpoint, view.mode)
	}
}

// view is what the store says of an endpoint at one moment: the state is read first, so that what a save changes
// after that makes a swap of it stale.
type view struct {
	state gateway.EndpointState
	mode  mode
}

// empty tells that nothing is stored of the endpoint, and nothing waits for it.
func (v view) empty() bool { return v.state.Webhook == "" }

// rests tells that nothing can be sent for a while, and until when; zero is until somebody says so. A lane that flows rests
// while its head has a time of its own, or its rate none to give: to take the lease for that would be two writes for
// nothing, each time that somebody looks.
func (v view) rests(heads []gateway.Delivery, now time.Time) (until gateway.Time, ok bool) {
	if v.mode.kind == held || v.mode.kind == cooling {
		return v.mode.until, true
	}
	if v.mode.kind != flowing || len(heads) == 0 {
		return 0, false
	}
	limited := pace{rate: v.mode.rate, strict: true, next: time.UnixMicro(v.state.NextAllowed)}
	wait := max(limited.wait(now), v.mode.headWait(heads[0], now))
	return gateway.At(now.Add(wait)), wait > laneRest
}

func (w *Worker) lookAt(ctx context.Context, endpoint string) (v view, err error) {
	fresh, err := w.states.fresh(ctx, []string{endpoint})
	if err != nil {
		return v, err
	}
	v.state = fresh[endpoint]
	if v.state.Webhook == "" {
		heads, err := w.store.LaneHead(ctx, endpoint, "", 1)
		if err != nil || len(heads) == 0 {
			return v, err
		}
		v.state.Webhook, v.state.Organisation = heads[0].Webhook, heads[0].Organisation
	}
	// As it is stored, not as it is cached: a save must not be overlooked.
	list, err := w.store.WebhooksByID(ctx, []string{v.state.Webhook})
	if err != nil {
		return v, fmt.Errorf("reading webhook %s: %w", v.state.Webhook, err)
	}
	var stored *gateway.Webhook
	if len(list) > 0 {
		stored = &list[0]
	}
	v.mode = modeOf(stored, endpoint, v.state, w.now())
	return v, nil
}

// showRest lets what waits tell why, and until when, unless it does already.
func (w *Worker) showRest(ctx context.Context, endpoint string, m mode) error {
	heads, err := w.store.LaneHead(ctx, endpoint, "", 1)
	if err != nil || len(heads) == 0 {
		return err
	}
	if heads[0].Reason == m.reason && (m.until == 0 || heads[0].NextAttemptAt == m.until) {
		return nil
	}
	return w.repark(ctx, endpoint, m)
}

func (w *Worker) repark(ctx context.Context, endpoint string, m mode) error {
	next := m.until
	if next == 0 {
		next = w.now()
	}
	if err := w.store.Reparked(ctx, endpoint, m.reason, next); err != nil {
		return fmt.Errorf("telling why deliveries wait: %w", err)
	}
	return nil
}

func (w *Worker) startLane(endpoint string, s gateway.EndpointState, m mode) {
	l := newLane(w, endpoint, s, m)
	if !w.lanes.add(l) {
		w.lanes.wake(endpoint)
		return
	}
	go func() {
		defer w.lanes.wg.Done()
		l.run()
	}()
}
