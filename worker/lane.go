package worker

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/unihook/unihook/gateway"
)

// What a lane's owner does while it has nothing to send.
const (
	// laneLook is how often it looks whether the webhook or the endpoint's state has changed.
	laneLook = 400 * time.Millisecond
	// laneLinger is how long an empty lane is kept, and lanePoll how often it is looked into: a task that says that
	// more has come may have gone to another process.
	laneLinger = time.Second
	lanePoll   = 100 * time.Millisecond
	// laneRest is the wait from which the lease is given up for it.
	laneRest = 2 * time.Second
	// laneAgain is the pause after a fault of ours.
	laneAgain = 300 * time.Millisecond
	// laneFresh is how long what was read is believed: a delivery may be cancelled while it waits in memory.
	laneFresh = 500 * time.Millisecond
	// laneShut is the pause for a webhook that cannot be opened.
	laneShut = 5 * time.Second
	// laneSlot is the longest wait for a slot before it is asked for again.
	laneSlot = 50 * time.Millisecond
)

// Sizes of what is read of a lane at once.
const (
	lanePage        = 64
	lanePageOrdered = 16
)

// lane is an endpoint's lane that this process owns. Its goroutine works what is parked in memory, oldest first.
type lane struct {
	w                               *Worker
	endpoint, organisation, webhook string
	poke                            chan struct{}

	// news is set by whoever wakes the lane because more may wait in the store.
	news atomic.Bool
	// stale is set by whoever has finished deliveries of the lane in another way: what was read must be read again.
	stale atomic.Bool
	// broken is a lane that panicked: its lease ends by itself.
	broken bool

	mu    sync.Mutex
	over  []landing
	until gateway.Time // the lease's end
	lost  bool

	// What follows belongs to the lane's goroutine.
	mode      mode
	heads     []gateway.Delivery // read and not sent yet, oldest first
	more      bool               // the store has, or may have, more than was read
	readAt    time.Time
	events    map[string]gateway.Event
	live      *gateway.Live
	flying    map[string]bool
	draining  bool
	pace      pace // of a drain
	limited   pace // rateLimit
	idleSince time.Time
	pauseTill time.Time
	countedAt time.Time
	shownAt   time.Time
	lookedAt  time.Time
	forSlot   waiter
}

// landing is a delivery whose result is stored; nil is none.
type landing struct {
	id      string
	verdict *verdict
}

func newLane(w *Worker, endpoint string, s gateway.EndpointState, m mode) *lane {
	l := &lane{
		w: w, endpoint: endpoint, organisation: s.Organisation, webhook: s.Webhook, poke: make(chan struct{}, 1),
		until: s.OwnerUntil, mode: m, flying: map[string]bool{},
	}
	l.limited.strict = true
	l.forSlot.wake = l.nudge
	if s.NextAllowed != 0 {
		l.limited.next = time.UnixMicro(s.NextAllowed)
	}
	return l
}

// wake has the lane look into the store.
func (l *lane) wake() {
	l.news.Store(true)
	l.nudge()
}

// nudge has the lane go on with what it knows.
func (l *lane) nudge() {
	select {
	case l.poke <- struct{}{}:
	default:
	}
}

// run works the lane until it is given up, then looks once more: what was parked after the last look, and told to an
// owner that was about to leave, must not stay behind.
func (l *lane) run() {
	ctx := context.WithoutCancel(l.w.cut)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-l.poke:
		case <-timer.C:
		}
		wait, done := l.safely(ctx)
		if done {
			break
		}
		timer.Reset(wait)
	}
	l.w.lanes.remove(l)
	if l.broken || l.w.stopping() {
		return
	}
	heads, err := l.w.store.LaneHead(ctx, l.endpoint, "", 1)
	if err == nil && len(heads) > 0 {
		l.w.takeLane(ctx, l.endpoint)
	}
}

// safely keeps a panic of one lane from the others.
func (l *lane) safely(ctx context.Context) (wait time.Duration, done bool) {
	defer func() {
		if x := recover(); x != nil {
			l.w.panicked("a lane", l.endpoint, x)
			l.broken, done = true, true
		}
	}()
	return l.once(ctx)
}

// once does what can be done now. It answers how long to wait for more, or that the lane is given up.
func (l *lane) once(ctx context.Context) (wait time.Duration, done bool) {
	l.land()
	now := l.w.now()
	switch {
	case l.w.stopping():
		if len(l.flying) > 0 {
			return laneLook, false
		}
		l.handOver(ctx)
		return 0, true
	case l.w.writer.away():
		return laneAgain, false
	case l.isLost(now):
		return laneLook, len(l.flying) == 0
	case time.Now().Before(l.pauseTill):
		return time.Until(l.pauseTill), false
	}
	state, err := l.look(ctx)
	if err != nil {
		l.w.log.Warn("a lane waits", "endpoint", l.endpoint, "error", err)
		if errors.Is(err, errUnopened) {
			return laneShut, false
		}
		return laneAgain, false
	}
	if state.Owner != l.w.opts.ID {
		l.lose()
		return laneLook, len(l.flying) == 0
	}
	return l.work(ctx)
}

// work goes by the mode.
func (l *lane) work(ctx context.Context) (wait time.Duration, done bool) {
	if l.mode.kind != flowing && len(l.flying) > 0 {
		return laneLook, false
	}
	switch l.mode.kind {
	case ended:
		return l.end(ctx)
	case held, cooling:
		l.again()
		if err := l.w.showRest(ctx, l.endpoint, l.mode); err != nil {
			return laneAgain, false
		}
		return l.leave(ctx, l.mode.until, stayInLane)
	case probing:
		return l.probe(ctx)
	}
	return l.flow(ctx)
}

// look learns the endpoint's present mode from what is at most a second old.
func (l *lane) look(ctx context.Context) (gateway.EndpointState, error) {
	known, err := l.w.states.recent(ctx, []string{l.endpoint})
	if err != nil {
		return gateway.EndpointState{}, err
	}
	lives, unknown, err := l.w.webhooks(ctx, []string{l.webhook})
	if err != nil {
		return gateway.EndpointState{}, err
	}
	if unknown[l.webhook] {
		return gateway.EndpointState{}, errUnopened
	}
	l.lookedAt = time.Now()
	state := known[l.endpoint]
	l.draining = state.Draining
	l.live = lives[l.webhook]
	was := l.mode
	l.mode = modeOf(webhookOf(l.live), l.endpoint, state, l.w.now())
	if was.kind != l.mode.kind {
		// What waited in another mode drains at a pace of its own.
		l.pace = pace{}
		l.again()
	}
	if was.ordered != l.mode.ordered {
		l.again() // what its failures have to do with the others is another thing now
	}
	if l.limited.rate != l.mode.rate {
		l.limited.rate = l.mode.rate
	}
	return state, nil
}

// land takes note of what was stored.
func (l *lane) land() {
	l.mu.Lock()
	over := l.over
	l.over = nil
	l.mu.Unlock()
	for _, o := range over {
		delete(l.flying, o.id)
		switch {
		case o.verdict == nil:
			l.again()
			l.pauseTill = time.Now().Add(laneAgain)
		case o.verdict.status == gateway.Pending && o.verdict.keepLane:
			l.again() // it is the head, with another time
		}
	}
}

// flow sends what waits, as order, rate, pace and slots allow.
func (l *lane) flow(ctx context.Context) (wait time.Duration, done bool) {
	for {
		if l.mode.ordered && len(l.flying) > 0 {
			return laneLook, false
		}
		if time.Since(l.lookedAt) > lanePoll {
			return 0, false // a busy lane, too, must notice that its webhook was changed
		}
		if time.Since(l.readAt) > laneFresh && len(l.heads) > 0 {
			l.again()
		}
		if err := l.fill(ctx); err != nil {
			l.w.log.Warn("a lane waits", "endpoint", l.endpoint, "error", err)
			return laneAgain, false
		}
		if len(l.heads) == 0 {
			return l.idle(ctx)
		}
		l.idleSince = time.Time{}
		if wait := l.due(l.heads[0]); wait > 0 {
			if wait > laneRest && len(l.flying) == 0 {
				return l.leave(ctx, l.w.now().Add(wait), stayInLane)
			}
			return min(wait, laneLook), false
		}
		if wait, ok := l.send(ctx, gateway.BySchedule); !ok {
			return wait, false
		}
	}
}

// due is how long the head must wait for its own next attempt, for the endpoint's rate and for the pace of a drain.
func (l *lane) due(head gateway.Delivery) time.Duration {
	now := l.w.opts.Clock()
	return max(l.limited.wait(now), l.pace.wait(now), l.mode.headWait(head, now))
}

// idle is an empty lane: kept for a moment, then left.
func (l *lane) idle(ctx context.Context) (wait time.Duration, done bool) {
	if len(l.flying) > 0 {
		l.idleSince = time.Time{}
		return lanePoll, false
	}
	if l.idleSince.IsZero() {
		l.idleSince = time.Now()
	}
	if time.Since(l.idleSince) < laneLinger {
		return lanePoll, false
	}
	return l.leave(ctx, 0, leaveLane)
}

// probe sends the oldest that waits, alone. Where nothing waits the next that arrives is the probe.
func (l *lane) probe(ctx context.Context) (wait time.Duration, done bool) {
	if err := l.fill(ctx); err != nil {
		return laneAgain, false
	}
	if len(l.heads) == 0 {
		return l.leave(ctx, 0, stayInLane)
	}
	if wait, ok := l.send(ctx, gateway.ByProbe); !ok {
		return wait, false
	}
	return laneLook, false
}

// send fires the head, or ends it where nothing can be sent any more. Not ok is: wait, and ask again.
func (l *lane) send(ctx context.Context, trigger gateway.Trigger) (wait time.Duration, ok bool) {
	d := l.heads[0]
	if len(l.w.flights.reserve("", []string{d.ID})) == 0 {
		// It is being tried by hand: its turn is when that is over.
		l.again()
		return laneLook, false
	}
	if l.stale.Swap(false) {
		// It may have been cancelled since it was read, or sent by hand.
		l.w.flights.release(d.ID)
		l.again()
		return 0, true
	}
	event, hasEvent := l.events[gateway.EventKey(d.Organisation, d.Event)]
	if status, reason, over := l.w.end(d, l.mode, hasEvent && !event.Erased); over {
		l.depart(d)
		l.w.conclude(d, status, reason, func() { l.landed(d.ID, &verdict{status: status}) })
		return 0, true
	}
	endpoint, _ := l.live.Endpoint(l.endpoint)
	if trigger == gateway.BySchedule {
		trigger = triggerOf(d)
	}
	s := shot{delivery: d, event: event, live: l.live, endpoint: endpoint, trigger: trigger, keepLane: l.mode.ordered}
	s.over = func(v *verdict) { l.landed(d.ID, v) }
	if !l.w.takeSlot(&s) {
		l.w.flights.release(d.ID)
		l.w.slots.await(&l.forSlot)
		return laneSlot, false
	}
	now := l.w.opts.Clock()
	l.pace.spend(now)
	l.limited.spend(now)
	l.depart(d)
	l.w.fire(s)
	return 0, true
}

func (l *lane) depart(d gateway.Delivery) {
	l.heads = l.heads[1:]
	l.flying[d.ID] = true
}

// landed is called by the writer.
func (l *lane) landed(id string, v *verdict) {
	l.mu.Lock()
	l.over = append(l.over, landing{id, v})
	l.mu.Unlock()
	l.nudge()
}

// again has what waits read anew.
func (l *lane) again() { l.heads, l.more = nil, true }

// known tells that a look into the store would find nothing that is not in flight: a result alone brings nothing.
func (l *lane) known() bool {
	return l.mode.kind == flowing && !l.more && !l.news.Swap(false) && time.Since(l.readAt) < lanePoll
}

// fill reads the oldest that wait and are not in flight, with their events, where nothing read is left. It reads from
// the lane's start: what another process accepted may come to stand before what is in flight.
func (l *lane) fill(ctx context.Context) error {
	if len(l.heads) > 0 || l.known() {
		return nil
	}
	page := lanePage
	switch {
	case l.mode.kind == probing:
		page = 1
	case l.mode.ordered:
		page = lanePageOrdered
	}
	limit := page + len(l.flying)
	l.readAt = time.Now()
	list, err := l.w.store.LaneHead(ctx, l.endpoint, "", limit)
	if err != nil {
		return err
	}
	l.more = len(list) == limit
	var heads []gateway.Delivery
	for _, d := range list {
		if !l.flying[d.ID] {
			heads = append(heads, d)
		}
	}
	if heads, err = l.withoutLater(ctx, heads); err != nil || len(heads) == 0 {
		return err
	}
	if l.events, err = l.w.events(ctx, heads); err != nil {
		return err
	}
	l.heads = heads
	if l.mode.kind != flowing {
		return nil
	}
	if err := l.drain(ctx); err != nil {
		l.again()
		return err
	}
	return l.measure(ctx)
}

// withoutLater takes the heads that wait for their next attempts out of the lane of a webhook that is not ordered any
// more: there each has its own time, and holds up nobody.
func (l *lane) withoutLater(ctx context.Context, heads []gateway.Delivery) ([]gateway.Delivery, error) {
	if l.mode.kind != flowing || l.mode.ordered {
		return heads, nil
	}
	var left []gateway.Delivery
	var later []gateway.Result
	for _, d := range heads {
		if d.Reason != gateway.Retrying || d.NextAttemptAt <= l.w.now() {
			left = append(left, d)
			continue
		}
		later = append(later, gateway.Result{
			Delivery: d.ID, Status: gateway.Pending, Reason: d.Reason, NextAttemptAt: d.NextAttemptAt, Failures: d.Failures,
		})
		l.w.feeder.due.expect(d.NextAttemptAt, l.w.now())
	}
	if len(later) == 0 {
		return left, nil
	}
	return left, l.w.store.Record(ctx, later)
}

// drain begins one when what waits was held back for another reason than its own endpoint's order, rate or slots. It is
// stored first, so that another owner goes on at a bounded rate; then what waits tells its new reason.
func (l *lane) drain(ctx context.Context) error {
	if !slices.ContainsFunc(l.heads, wasHeld) {
		return nil
	}
	if !l.draining {
		_, err := l.w.states.change(ctx, change{endpoint: l.endpoint, organisation: l.organisation, webhook: l.webhook,
			next: func(s gateway.EndpointState) (gateway.EndpointState, bool) {
				changed := !s.Draining
				s.Draining = true
				return s, changed
			}})
		if err != nil {
			return err
		}
		l.draining = true
	}
	if len(l.heads) < 2 || l.w.opts.Clock().Sub(l.shownAt).Abs() < laneRest {
		return nil
	}
	l.shownAt = l.w.opts.Clock()
	return l.w.repark(ctx, l.endpoint, l.mode)
}

func wasHeld(d gateway.Delivery) bool {
	return d.Reason == gateway.InQuarantine || d.Reason == gateway.EndpointGone || d.Reason == gateway.WebhookInactive
}

// measure sets the pace of a drain: the fastest that what waits has asked for since it began.
func (l *lane) measure(ctx context.Context) error {
	if !l.draining {
		l.pace.rate = 0
		return nil
	}
	waiting := len(l.heads)
	if l.more && time.Since(l.countedAt) > time.Second {
		counted, err := l.w.store.CountParked(ctx, []string{l.endpoint})
		if err != nil {
			return err
		}
		waiting, l.countedAt = max(waiting, counted[l.endpoint]), time.Now()
	}
	oldest := l.heads[0]
	for _, d := range l.heads {
		// One that is tried again after hours does not say how long the others have waited.
		if d.AttemptCount == 0 {
			oldest = d
			break
		}
	}
	l.pace.rate = max(l.pace.rate, drainRate(waiting, l.w.now().Sub(oldest.CreatedAt)))
	return nil
}
