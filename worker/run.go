package worker

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/unihook/unihook/gateway"
)

// takeRun does a run's task: every delivery of it that is still claimed for it gets a slot and is sent, or is parked.
func (w *Worker) takeRun(ctx context.Context, run string, ids []string) {
	if w.stopping() {
		w.giveBack(ctx, run, ids)
		return
	}
	if w.writer.away() {
		w.dropped.add(run, ids)
		return
	}
	r := runTaken{w: w, run: run, held: map[string]bool{}}
	mine := w.flights.reserve(run, ids)
	if len(mine) < len(ids) {
		mine = append(mine, r.adopt(ctx, ids)...)
	}
	for _, id := range mine {
		r.held[id] = true
	}
	// Whatever happens, what was neither sent nor handed to the writer is free again.
	defer r.letGo(ctx)
	if err := r.once(ctx, mine); err != nil {
		w.log.Warn("a run was not taken; it is taken later", "run", run, "error", err)
		w.dropped.add(run, ids)
	}
}

// dropped are the runs whose tasks came while the store was away. They are taken when it is back: the ends of their
// claims would come much later.
type dropped struct {
	mu   sync.Mutex
	runs []droppedRun
}

type droppedRun struct {
	run string
	ids []string
}

// droppedMost bounds them; those beyond it wait for the ends of their claims.
const droppedMost = 2000

func (d *dropped) add(run string, ids []string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.runs) < droppedMost {
		d.runs = append(d.runs, droppedRun{run, ids})
	}
}

func (d *dropped) take() []droppedRun {
	d.mu.Lock()
	defer d.mu.Unlock()
	runs := d.runs
	d.runs = nil
	return runs
}

// giveBack ends claims at once, so that another process finds them.
func (w *Worker) giveBack(ctx context.Context, run string, ids []string) {
	if err := w.store.RenewRun(ctx, run, ids, w.now()); err != nil {
		w.log.Warn("a run was not given back; its claim ends by itself", "run", run, "error", err)
	}
}

// runTaken is a run's task under way.
type runTaken struct {
	w   *Worker
	run string
	// held are the deliveries that are reserved and still this task's.
	held  map[string]bool
	parks []gateway.Parking
	lanes map[string]gateway.Delivery // one of each endpoint that deliveries are parked for
}

// adopt learns the new claim of deliveries that were claimed again while they are reserved here, as after a wiped queue:
// it is this one that is to be renewed from now on. It answers those that were let go meanwhile and are reserved now.
func (r *runTaken) adopt(ctx context.Context, ids []string) (mine []string) {
	list, _, err := r.read(ctx, ids)
	if err != nil {
		r.w.log.Warn("a claim is not renewed", "run", r.run, "error", err)
	}
	for _, d := range list {
		if !r.w.flights.claimed(d.ID, r.run, d.Place.LookAt) {
			mine = append(mine, r.w.flights.reserve(r.run, []string{d.ID})...)
		}
	}
	return mine
}

// letGo frees what this task still holds. What was claimed for another run meanwhile is taken for that one: its own
// task found it reserved.
func (r *runTaken) letGo(ctx context.Context) {
	others := map[string][]string{}
	for id := range r.held {
		if run := r.w.flights.drop(id); run != r.run {
			others[run] = append(others[run], id)
		}
	}
	for run, ids := range others {
		r.w.takeRun(ctx, run, ids)
	}
}

func (r *runTaken) once(ctx context.Context, ids []string) error {
	if len(ids) == 0 {
		return nil
	}
	list, err := r.claimed(ctx, ids)
	if err != nil || len(list) == 0 {
		return err
	}
	facts, err := r.w.load(ctx, list)
	if err != nil {
		return err
	}
	r.lanes = map[string]gateway.Delivery{}
	for _, d := range list {
		if r.w.stopping() {
			r.giveBackHeld(ctx)
			break
		}
		r.place(d, facts)
	}
	return r.park(ctx)
}

func (r *runTaken) giveBackHeld(ctx context.Context) {
	parked := map[string]bool{}
	for _, p := range r.parks {
		parked[p.Delivery] = true
	}
	var ids []string
	for id := range r.held {
		if !parked[id] {
			ids = append(ids, id)
		}
	}
	r.w.giveBack(ctx, r.run, ids)
}

// claimed reads what of ids is pending and claimed for the run, in the order of acceptance. A claim with less than
// half its time left is renewed first, and read again: it may have ended and be another's by then.
func (r *runTaken) claimed(ctx context.Context, ids []string) ([]gateway.Delivery, error) {
	list, first, err := r.read(ctx, ids)
	if err != nil || len(list) == 0 {
		return nil, err
	}
	now := r.w.now()
	if isDue(first, now) {
		if err := r.w.store.RenewRun(ctx, r.run, ids, now.Add(gateway.ClaimFor)); err != nil {
			return nil, fmt.Errorf("renewing a claim: %w", err)
		}
		if list, _, err = r.read(ctx, ids); err != nil {
			return nil, err
		}
	}
	slices.SortFunc(list, func(a, b gateway.Delivery) int { return cmp.Compare(a.Order, b.Order) })
	for i := range list {
		r.w.flights.claimed(list[i].ID, r.run, list[i].Place.LookAt)
	}
	return list, nil
}

// read answers what is claimed for the run, and when the first of the claims ends.
func (r *runTaken) read(ctx context.Context, ids []string) (list []gateway.Delivery, first gateway.Time, err error) {
	found, err := r.w.store.DeliveriesByID(ctx, ids)
	if err != nil {
		return nil, 0, fmt.Errorf("reading deliveries: %w", err)
	}
	for _, d := range found {
		if d.Status != gateway.Pending || d.Place.Run != r.run {
			continue
		}
		if first == 0 || d.Place.LookAt < first {
			first = d.Place.LookAt
		}
		list = append(list, d)
	}
	return list, first, nil
}

// place sends a delivery, ends it, or lists it for its lane.
func (r *runTaken) place(d gateway.Delivery, facts load) {
	w := r.w
	if facts.unknown[d.Webhook] {
		return
	}
	live := facts.lives[d.Webhook]
	state := facts.states[d.Endpoint]
	m := modeOf(webhookOf(live), d.Endpoint, state, w.now())
	event, hasEvent := facts.events[gateway.EventKey(d.Organisation, d.Event)]
	if status, reason, ok := w.end(d, m, hasEvent && !event.Erased); ok {
		delete(r.held, d.ID)
		w.conclude(d, status, reason, func() {})
		return
	}
	endpoint, _ := live.Endpoint(d.Endpoint)
	s := shot{delivery: d, event: event, live: live, endpoint: endpoint, trigger: triggerOf(d)}
	if !d.Test {
		if m.kind != flowing || m.single() || state.InLane || !w.takeSlot(&s) {
			r.list(d, m)
			return
		}
	}
	delete(r.held, d.ID)
	w.fire(s)
}

// webhookOf is the webhook that a Live holds, nil for none.
func webhookOf(live *gateway.Live) *gateway.Webhook {
	if live == nil {
		return nil
	}
	return &live.Webhook
}

func triggerOf(d gateway.Delivery) gateway.Trigger {
	switch {
	case d.Test:
		return gateway.ByTest
	case d.Replay != nil && d.AttemptCount == 0:
		return gateway.ByReplay
	}
	return gateway.BySchedule
}

// takeSlot takes a slot for s, if there is one and the store can be written to.
func (w *Worker) takeSlot(s *shot) bool {
	if w.writer.away() {
		return false
	}
	key := slotKey{endpoint: s.delivery.Endpoint, organisation: s.delivery.Organisation, origin: originOf(s.endpoint.URL)}
	s.begun = time.Now()
	if !w.slots.take(key, s.begun) {
		return false
	}
	s.slot = &key
	return true
}

// list notes a delivery that is parked at the end of the task.
func (r *runTaken) list(d gateway.Delivery, m mode) {
	next := r.w.now()
	if m.kind == cooling {
		next = m.until
	}
	r.parks = append(r.parks, gateway.Parking{
		Delivery: d.ID, Run: r.run, Lane: gateway.LaneKey(d.Endpoint, d.Order), Reason: m.reason, NextAttemptAt: next,
	})
	r.lanes[d.Endpoint] = d
}

// park moves deliveries into their lanes. The lanes are entered first, so that intake parks what comes next behind
// them, and worked after: whoever works one finds the deliveries there.
func (r *runTaken) park(ctx context.Context) error {
	if len(r.parks) == 0 {
		return nil
	}
	var changes []change
	now := r.w.now()
	for endpoint, d := range r.lanes {
		changes = append(changes, change{endpoint: endpoint, organisation: d.Organisation, webhook: d.Webhook,
			next: func(s gateway.EndpointState) (gateway.EndpointState, bool) { return enterLane(s, now) }})
	}
	if _, err := r.w.states.change(ctx, changes...); err != nil {
		return err
	}
	if err := r.w.store.Park(ctx, r.parks); err != nil {
		return fmt.Errorf("parking: %w", err)
	}
	r.w.counts.parked.Add(int64(len(r.parks)))
	for endpoint := range r.lanes {
		r.w.takeLane(ctx, endpoint)
	}
	return nil
}

// enterLane starts the lane mode. Its turn is soon, should the process that parks die before the lane is worked.
func enterLane(s gateway.EndpointState, now gateway.Time) (gateway.EndpointState, bool) {
	if s.InLane {
		return s, false
	}
	s.InLane, s.TurnAt = true, now.Add(2*time.Second)
	return s, true
}
