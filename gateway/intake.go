package gateway

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// Bounds of one commit: large enough that an fsync or a round trip is shared, small enough that it takes milliseconds.
const (
	commitEvents     = 256
	commitDeliveries = 1000
)

// runSize is the most deliveries of one run: a run is one task, whatever is in it.
const runSize = 64

// behindAfter is the age of the oldest waiting run from which what is accepted waits in the store instead.
const behindAfter = time.Second

// turnStep spaces an organisation's spare deliveries, so that a quiet one never stands behind a loud one.
const turnStep = 2 * time.Millisecond

// errClosed is a publish after Close.
var errClosed = errors.New("the gateway is closed")

// admission is one event on its way into the store.
type admission struct {
	event   Event
	targets []target
	test    bool
	taken   bool
	err     error
	done    chan struct{}
}

// intake commits what concurrent publishers bring together: a commit forms while the last is on its way.
type intake struct {
	g       *Gateway
	arrived chan *admission
	stop    chan struct{}
	closing sync.Once
	stopped sync.WaitGroup

	// What follows belongs to the committing goroutine.
	lastOrder int64
	turns     map[string]Time
	head      Time // the turn that is served next, and when that was read
	headAt    Time
	seen      map[string]Time // accounts, and when their last event was noted
	batch     []*admission    // read from arrived, and too many for the last commit
}

func newIntake(g *Gateway) *intake {
	in := &intake{g: g, arrived: make(chan *admission, 4*commitEvents), stop: make(chan struct{}), turns: map[string]Time{}, seen: map[string]Time{}}
	in.stopped.Add(1)
	go in.run()
	return in
}

// close waits until what was handed in is committed.
func (in *intake) close() {
	in.closing.Do(func() { close(in.stop) })
	in.stopped.Wait()
}

// accept hands events in and waits for the commits that hold them. When ctx ends first the outcome is unknown: the
// publisher repeats, which is harmless.
func (in *intake) accept(ctx context.Context, list []*admission) error {
	for _, a := range list {
		a.done = make(chan struct{})
		select {
		case in.arrived <- a:
		case <-in.stop:
			return errClosed
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	for _, a := range list {
		select {
		case <-a.done:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

func (in *intake) run() {
	defer in.stopped.Done()
	for {
		if len(in.batch) == 0 {
			select {
			case a := <-in.arrived:
				in.batch = append(in.batch, a)
			case <-in.stop:
				in.drain()
				return
			}
		}
		in.once()
	}
}

// drain commits what was handed in before close.
func (in *intake) drain() {
	for {
		select {
		case a := <-in.arrived:
			in.batch = append(in.batch, a)
			in.once()
		default:
			return
		}
	}
}

// once forms one commit and brings it into the store.
func (in *intake) once() {
	in.fill()
	events, deliveries := 0, 0
	for events < len(in.batch) && events < commitEvents {
		if n := len(in.batch[events].targets); events > 0 && deliveries+n > commitDeliveries {
			break
		} else {
			deliveries += n
		}
		events++
	}
	now := in.batch[:events:events]
	in.batch = append([]*admission(nil), in.batch[events:]...)
	in.commit(now)
}

// fill takes what has arrived meanwhile.
func (in *intake) fill() {
	for len(in.batch) < commitEvents {
		select {
		case a := <-in.arrived:
			in.batch = append(in.batch, a)
		default:
			return
		}
	}
}

// work is what one commit gives the queue to look at.
type work struct {
	runs  map[string][]string
	lanes map[string]bool
}

// commit writes events with their plans and deliveries, answers their publishers, and tells the queue.
func (in *intake) commit(list []*admission) {
	// The commit is many publishers': one who gives up must not undo the others'.
	ctx := context.Background()
	events, deliveries, w := in.plan(ctx, list)
	taken, err := in.g.Store.Accept(ctx, events, deliveries)
	stored := err == nil
	if stored {
		err = in.noteAccounts(ctx, events)
	}
	for i, a := range list {
		a.event, a.err = events[i], err
		a.taken = err == nil && taken[i]
		close(a.done)
	}
	if stored {
		in.g.enqueue(ctx, w)
	}
}

// plan gives events their acceptance numbers and makes their deliveries.
func (in *intake) plan(ctx context.Context, list []*admission) ([]Event, []Delivery, work) {
	now := in.g.Clock()
	in.lastOrder = max(in.lastOrder+1, now.UnixMicro())
	accepted := Time(in.lastOrder / 1000)
	p := planner{ctx: ctx, accepted: accepted, now: At(now), spare: in.g.Queue.Behind() > behindAfter, in: in, work: work{map[string][]string{}, map[string]bool{}}}
	events := make([]Event, len(list))
	for i, a := range list {
		e := a.event
		e.AcceptedAt, e.Order = accepted, fmt.Sprintf("%016x%04x", in.lastOrder, i)
		p.place(&e, a)
		events[i] = e
	}
	p.cut()
	return events, p.deliveries, p.work
}

// planner collects the deliveries of one commit.
type planner struct {
	ctx        context.Context
	in         *intake
	accepted   Time
	now        Time // which is before accepted while a clock that was set back catches up
	spare      bool
	run        []int // of deliveries, those of the run that is being filled
	deliveries []Delivery
	work       work
}

// place makes the deliveries of one event, each in its place.
func (p *planner) place(e *Event, a *admission) {
	for _, t := range a.targets {
		d := newDelivery(*e, Planned{
			Delivery: DeliveryID(p.accepted, e.Organisation, e.ID, t.endpoint, ""),
			Endpoint: t.endpoint, Webhook: t.webhook, Revision: t.revision, Shape: t.shape,
		})
		d.Test = a.test
		e.Plan = append(e.Plan, Planned{d.ID, d.Endpoint, d.Webhook, d.WebhookRevision, d.Shape})
		switch {
		case a.test:
			p.add(d, "")
		case t.parked == "" && p.spare:
			d.Place.Turn = p.in.turn(p.ctx, e.Organisation, p.accepted)
			p.deliveries = append(p.deliveries, d)
		default:
			p.add(d, t.parked)
		}
	}
}

// add takes a delivery in: parked for the reason, where there is one, else claimed. Those that are parked must be born so:
// of runs that are taken at once any may be the first to park.
func (p *planner) add(d Delivery, parked Reason) {
	if parked != "" {
		d.Place.Lane, d.Reason = LaneKey(d.Endpoint, d.Order), parked
		p.work.lanes[d.Endpoint] = true
		p.deliveries = append(p.deliveries, d)
		return
	}
	p.deliveries = append(p.deliveries, d)
	p.claim(len(p.deliveries) - 1)
}

// claim adds a delivery to the run that is being filled.
func (p *planner) claim(i int) {
	p.run = append(p.run, i)
	if len(p.run) == runSize {
		p.cut()
	}
}

// cut closes the run.
func (p *planner) cut() {
	if len(p.run) == 0 {
		return
	}
	run := NewID(PrefixRun, p.now.Time())
	ids := make([]string, len(p.run))
	for k, i := range p.run {
		d := &p.deliveries[i]
		d.Place = Place{Run: run, LookAt: p.now.Add(ClaimFor)}
		ids[k] = d.ID
	}
	p.work.runs[run] = ids
	p.run = p.run[:0]
}

// newDelivery is a delivery of an event's plan, in no place yet.
func newDelivery(e Event, p Planned) Delivery {
	return Delivery{
		ID: p.Delivery, Event: e.ID, Organisation: e.Organisation, Webhook: p.Webhook, Endpoint: p.Endpoint,
		WebhookRevision: p.Revision, Product: e.Product, Type: e.Type, Status: Pending, Reason: Scheduled,
		NextAttemptAt: e.AcceptedAt, CreatedAt: e.AcceptedAt, Shape: p.Shape, Order: e.Order,
	}
}

// turn is the organisation's last turn and a step, but not before the turn that is served next: who was quiet until now
// stands at the head, however long the others have waited, and from there on in turns with them.
func (in *intake) turn(ctx context.Context, organisation string, now Time) Time {
	if len(in.turns) >= snapshotsKept {
		clear(in.turns)
	}
	turn := max(in.served(ctx, now), in.turns[organisation].Add(turnStep))
	in.turns[organisation] = turn
	return turn
}

// headFor is how long the turn that is served next is believed: no longer than a pass of the feeder.
const headFor = 250 * time.Millisecond

// served is the turn that is served next; now where nothing is spare, or the store does not say.
func (in *intake) served(ctx context.Context, now Time) Time {
	if age := now.Sub(in.headAt); age >= 0 && age < headFor {
		return in.head
	}
	in.head, in.headAt = now, now
	if first, err := in.g.Store.Spare(ctx, 1); err == nil && len(first) > 0 {
		in.head = min(now, first[0].Place.Turn)
	}
	return in.head
}

// accountNote is how often an account's last event is noted: a write per event would cost more than the event.
const accountNote = 10 * time.Second

// noteAccounts makes accounts known that events name, before the events are acknowledged.
func (in *intake) noteAccounts(ctx context.Context, events []Event) error {
	var list []Account
	for _, e := range events {
		if e.Account == "" {
			continue
		}
		key := e.Organisation + "/" + e.Account
		if e.AcceptedAt.Sub(in.seen[key]) < accountNote {
			continue
		}
		list = append(list, Account{Organisation: e.Organisation, ID: e.Account, LastEventAt: e.AcceptedAt, KnownSince: e.AcceptedAt})
	}
	if len(list) == 0 {
		return nil
	}
	if err := in.g.Store.PutAccounts(ctx, list); err != nil {
		return err
	}
	if len(in.seen) >= snapshotsKept {
		clear(in.seen)
	}
	for _, a := range list {
		in.seen[a.Organisation+"/"+a.ID] = a.LastEventAt
	}
	return nil
}

// enqueue tells the queue what to look at. Its errors are noted and no more: a run that the queue did not take is given
// back, so that a feeder finds it at once, and the store's due times are the net under that.
func (g *Gateway) enqueue(ctx context.Context, w work) {
	for run, ids := range w.runs {
		err := g.Queue.EnqueueRun(ctx, run, ids)
		if err == nil {
			continue
		}
		g.Log.Warn("a run was not queued; a feeder finds it", "run", run, "error", err)
		if err := g.Store.RenewRun(ctx, run, ids, g.now()); err != nil {
			g.Log.Warn("a run was not given back; it is sent when its claim ends", "run", run, "error", err)
		}
	}
	for endpoint := range w.lanes {
		if err := g.Queue.EnqueueLane(ctx, endpoint); err != nil {
			g.Log.Warn("a lane was not queued; the feeder finds it", "endpoint", endpoint, "error", err)
		}
	}
}
