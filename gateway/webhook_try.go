package gateway

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/unihook/unihook/mapping"
)

// What a test sends when it names no event type.
const (
	testProduct = "unihook"
	testType    = "webhook.test"
)

// testsPerMinute bounds a webhook's tests.
const testsPerMinute = 20

// testPatience is how long past the webhook's timeout the answer of a test is waited for: a worker sends it.
const testPatience = 10 * time.Second

// testPoll is how often a test's result is looked for.
const testPoll = 15 * time.Millisecond

// tries counts the tests of the last minute by webhook.
type tries struct {
	mu sync.Mutex
	by map[string][]time.Time
}

// take notes a test, or answers how long to wait.
func (t *tries) take(webhook string, now time.Time) (wait time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.by == nil || len(t.by) >= snapshotsKept {
		t.by = map[string][]time.Time{}
	}
	recent := t.by[webhook]
	for len(recent) > 0 && now.Sub(recent[0]) >= time.Minute {
		recent = recent[1:]
	}
	if len(recent) >= testsPerMinute {
		t.by[webhook] = recent
		return time.Minute - now.Sub(recent[0])
	}
	t.by[webhook] = append(recent, now)
	return 0
}

// TestWebhook sends an example to every endpoint now and waits for what became of it. A test is a delivery that is
// tried once, also of an inactive webhook and in quarantine, without effect on health.
func (g *Gateway) TestWebhook(ctx context.Context, a Actor, w Webhook, in Body[TestInput]) ([]TestResult, error) {
	e, shape, err := g.readTest(w, in)
	if err != nil {
		return nil, err
	}
	if wait := g.tries.take(w.ID, g.Clock()); wait > 0 {
		return nil, &Error{Kind: TooMany, RetryAfter: wait, Detail: fmt.Sprintf("at most %d tests a minute for one webhook", testsPerMinute)}
	}
	if err := g.audited(ctx, a, w.Organisation, "webhook.tested", w.ID, 0, nil); err != nil {
		return nil, away(err)
	}
	if err := g.bodies.put(ctx, []*made{shape}); err != nil {
		return nil, away(err)
	}
	adm := &admission{event: e, test: true}
	for _, endpoint := range w.Endpoints {
		adm.targets = append(adm.targets, target{webhook: w.ID, revision: w.Revision, endpoint: endpoint.ID, shape: shape.ID})
	}
	if err := g.intake.accept(ctx, []*admission{adm}); err != nil {
		return nil, away(err)
	}
	if adm.err != nil {
		return nil, away(adm.err)
	}
	return g.awaitTest(ctx, a, w, adm.event)
}

// readTest makes the event and finds the mapping: that of the selection which names the type, or the webhook's own.
func (g *Gateway) readTest(w Webhook, in Body[TestInput]) (Event, *made, error) {
	f := faults(in.Faults)
	e := Event{
		ID: NewID(PrefixTestEvent, g.Clock()), Organisation: w.Organisation, CreatedAt: Moment(g.now()),
		Product: in.Value.Product.Or("", ""), Type: in.Value.Type.Or("", ""),
	}
	named := e.Product != "" || e.Type != ""
	if named {
		g.checkType(&f, e)
	}
	if err := f.err(); err != nil {
		return e, nil, err
	}
	sel, err := newSelector(w)
	if err != nil {
		return e, nil, err
	}
	shape := sel.own
	if !named {
		e.Product, e.Type = testProduct, testType
		e.Data = append(appendString([]byte(`{"webhook":`), w.ID), '}')
	} else {
		about, _ := g.Catalogue.Event(e.Product, e.Type)
		e.Data = mapping.Compact(nil, about.Example)
		if m, ok := sel.shapeFor(e.Product, e.Type); ok {
			shape = m
		}
	}
	e.Hash = hashEvent(e)
	return e, shape, nil
}

// awaitTest waits for the stored results of a test's deliveries.
func (g *Gateway) awaitTest(ctx context.Context, a Actor, w Webhook, e Event) ([]TestResult, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(w.TimeoutSeconds)*time.Second+testPatience)
	defer cancel()
	ids := make([]string, len(e.Plan))
	for i, p := range e.Plan {
		ids[i] = p.Delivery
	}
	if err := g.awaitFinished(ctx, ids); err != nil {
		return nil, err
	}
	results := make([]TestResult, len(e.Plan))
	for i, p := range e.Plan {
		d, err := g.FindDelivery(ctx, a, p.Delivery)
		if err != nil {
			return nil, err
		}
		results[i] = TestResult{Endpoint: p.Endpoint, Delivery: p.Delivery}
		if n := len(d.Attempts); n > 0 {
			results[i].Attempt = d.Attempts[n-1]
		}
	}
	return results, nil
}

func (g *Gateway) awaitFinished(ctx context.Context, ids []string) error {
	ticker := time.NewTicker(testPoll)
	defer ticker.Stop()
	for {
		list, err := g.Store.DeliveriesByID(ctx, ids)
		if err != nil && ctx.Err() == nil {
			return away(fmt.Errorf("reading a test's deliveries: %w", err))
		}
		open := err != nil
		for _, d := range list {
			open = open || d.Status == Pending
		}
		if !open {
			return nil
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return &Error{Kind: Unavailable, RetryAfter: time.Second, Detail: "no worker sent the test in time; its deliveries are listed and will be tried"}
		}
	}
}
