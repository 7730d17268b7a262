package worker

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/unihook/unihook/gateway"
	"github.com/unihook/unihook/worker/breaker"
)

// Bounds of the writer.
const (
	// writeBatch is the most results of one write.
	writeBatch = 512
	// writeAgain is the pause before a write that the store did not take is repeated.
	writeAgain = 100 * time.Millisecond
	// successNoted is how old an endpoint's last success may become before it is written again: a write per success
	// would double what a delivery costs.
	successNoted = time.Second
)

// written is a result on its way into the store.
type written struct {
	result gateway.Result
	// health is what the endpoint's state learns, or nil.
	health *learned
	// done is called when the result is stored; then the slot may be given back. kept is false where the store would
	// not take it and it was given up, which is logged.
	done func()
}

// learned is an outcome and whose it is.
type learned struct {
	endpoint, organisation, webhook string
	outcome                         breaker.Outcome
	policy                          breaker.Policy
}

// happened is an event of an endpoint's health, with its state before and after.
type happened struct {
	before, state gateway.EndpointState
	event         breaker.Event
}

// writer writes the results of this process: one at a time, in batches that form while the last is on its way.
type writer struct {
	store  gateway.Pipeline
	states *states
	log    func(msg string, err error)
	clock  func() time.Time
	// told is called for each event of an endpoint's health, after it is stored.
	told func(happened)
	// announce is called for each before that, and what it answers, if anything, where the event was not stored after all.
	announce func(happened) (withdraw func())

	mu      sync.Mutex
	batch   []written
	arrived chan struct{}
	isAway  atomic.Bool
	awayAt  atomic.Int64 // of the last fault, Unix milliseconds
	count   atomic.Int64
}

func newWriter(store gateway.Pipeline, states *states, clock func() time.Time) *writer {
	return &writer{store: store, states: states, clock: clock, arrived: make(chan struct{}, 1),
		log: func(string, error) {}, told: func(happened) {}, announce: func(happened) func() { return nil }}
}

// write hands a result in.
func (w *writer) write(item written) {
	w.mu.Lock()
	w.batch = append(w.batch, item)
	w.mu.Unlock()
	select {
	case w.arrived <- struct{}{}:
	default:
	}
}

// away tells that the store did not take the last write: no new request may start.
func (w *writer) away() bool { return w.isAway.Load() }

// awayWithin tells whether the store was away at some time in the last span.
func (w *writer) awayWithin(span time.Duration) bool {
	return w.isAway.Load() || w.clock().UnixMilli()-w.awayAt.Load() < span.Milliseconds()
}

// run writes until ctx ends. What is handed in by then is written, for as long as patience holds.
func (w *writer) run(ctx context.Context, patience time.Duration) {
	for {
		select {
		case <-w.arrived:
			w.drain(ctx)
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
			defer cancel()
			w.drain(last)
			return
		}
	}
}

// drain writes all that is there, repeating what the store does not take, until ctx ends.
func (w *writer) drain(ctx context.Context) {
	for {
		more, err := w.once(ctx)
		if err != nil {
			select {
			case <-time.After(writeAgain):
				continue
			case <-ctx.Done():
				return
			}
		}
		if !more {
			return
		}
	}
}

// once writes one batch. With an error the batch is still there.
func (w *writer) once(ctx context.Context) (more bool, err error) {
	w.mu.Lock()
	n := min(len(w.batch), writeBatch)
	batch := w.batch[:n:n]
	w.mu.Unlock()
	if n == 0 {
		return false, nil
	}
	// A write is not given up half way: the driver would undo it for the others of its batch too.
	if err := w.record(context.WithoutCancel(ctx), batch); err != nil {
		if !w.isAway.Swap(true) {
			w.log("the store does not take results; they wait and no request starts", err)
		}
		w.awayAt.Store(w.clock().UnixMilli())
		return true, err
	}
	w.isAway.Store(false)
	w.mu.Lock()
	w.batch = w.batch[n:]
	if len(w.batch) == 0 {
		w.batch = nil // gives the memory back
	}
	more = len(w.batch) > 0
	w.mu.Unlock()
	w.count.Add(int64(n))
	w.learn(context.WithoutCancel(ctx), batch)
	for i := range batch {
		batch[i].done()
	}
	return more, nil
}

// record stores the results. If the store is there and refuses a batch, each is tried alone, then without what the
// receiver sent, and given up last: one bad result must not hold up the others.
func (w *writer) record(ctx context.Context, batch []written) error {
	results := make([]gateway.Result, len(batch))
	for i := range batch {
		results[i] = batch[i].result
	}
	err := w.store.Record(ctx, results)
	if err == nil || errors.Is(err, gateway.ErrAway) {
		return err
	}
	w.log("a batch of results was refused; each is written alone", err)
	for _, r := range results {
		err := w.store.Record(ctx, []gateway.Result{r})
		if err != nil && !errors.Is(err, gateway.ErrAway) && r.Attempt != nil {
			bare := *r.Attempt
			bare.ResponseHeaders, bare.ResponseBody, bare.ResponseEncoding, bare.ResponseTruncated = nil, "", "", false
			bare.RequestHeaders = nil
			r.Attempt = &bare
			err = w.store.Record(ctx, []gateway.Result{r})
		}
		if errors.Is(err, gateway.ErrAway) {
			return err
		}
		if err != nil {
			w.log("the result of "+r.Delivery+" was given up", err)
		}
	}
	return nil
}

// learn lets endpoints' states learn from a batch. The store being away costs a few counts and no more.
func (w *writer) learn(ctx context.Context, batch []written) {
	by := map[string][]*learned{}
	var order []string
	for i := range batch {
		if l := batch[i].health; l != nil {
			if by[l.endpoint] == nil {
				order = append(order, l.endpoint)
			}
			by[l.endpoint] = append(by[l.endpoint], l)
		}
	}
	if len(order) == 0 {
		return
	}
	now := gateway.At(w.clock())
	events, before := map[string]breaker.Event{}, map[string]gateway.EndpointState{}
	changes := make([]change, len(order))
	for i, id := range order {
		first := by[id][0]
		changes[i] = change{endpoint: id, organisation: first.organisation, webhook: first.webhook,
			next: func(s gateway.EndpointState) (gateway.EndpointState, bool) {
				next, event, worth := afterAll(s, by[id], now)
				events[id], before[id] = event, s
				return next, worth
			},
			announce: func(was, next gateway.EndpointState) func() { return w.announce(happened{was, next, events[id]}) },
		}
	}
	after, err := w.states.change(ctx, changes...)
	if err != nil {
		w.log("the health of endpoints was not written", err)
		return
	}
	for id, event := range events {
		if event != breaker.Nothing {
			w.told(happened{before[id], after[id], event})
		}
	}
}

// afterAll lets a state learn from outcomes in turn. Worth is false where nothing changed that must be written.
func afterAll(s gateway.EndpointState, list []*learned, now gateway.Time) (next gateway.EndpointState, last breaker.Event, worth bool) {
	next = s
	for _, l := range list {
		var event breaker.Event
		next, event = breaker.After(next, l.outcome, l.policy, now)
		if event != breaker.Nothing {
			last = event
		}
		worth = worth || l.outcome.Failure != nil
	}
	worth = worth || last != breaker.Nothing || next.ConsecutiveFailures != s.ConsecutiveFailures ||
		next.LastSuccessAt.Sub(s.LastSuccessAt) >= successNoted
	return next, last, worth
}
