package worker_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/unihook/unihook/gateway"
	"github.com/unihook/unihook/worker"
)

func TestReplay_OfABatch_KeepsTheOrderOfAcceptance(t *testing.T) {
	b := open(t)
	r := receive(t, status(500))
	b.organisation("org_a")
	w := b.webhook("org_a", all(ordered, retries(), quarantine(0, "1m")), r.URL)
	b.run()
	// More than a page of a replay, and all of them accepted in one moment or two.
	const events = 130
	var batch []gateway.Body[gateway.EventInput]
	for n := range events {
		batch = append(batch, input(gateway.EventInput{
			ID: gateway.Given(fmt.Sprintf("evt_%03d", n)), Product: gateway.Given("payments"), Type: gateway.Given("paiement.success"),
			Organisation: gateway.Given("org_a"), Data: gateway.Given(gateway.RawJSON(`{}`)),
		}))
	}
	if _, err := b.gateway.PublishBatch(t.Context(), operator, batch); err != nil {
		t.Fatal(err)
	}
	b.settled()
	r.answers(nil)
	first := len(r.ledger())
	started := b.replay(w, gateway.ReplayInput{})
	b.eventually("the replay is done", func() bool {
		now, err := b.gateway.FindReplay(t.Context(), operator, started.ID)
		return err == nil && now.Status == gateway.ReplayDone
	})
	got := r.ledger()[first:]
	if len(got) != events {
		t.Fatalf("%d requests, want %d", len(got), events)
	}
	for n, one := range got {
		if want := fmt.Sprintf("evt_%03d", n); one.id() != want {
			t.Fatalf("request %d is of %s, want %s", n, one.id(), want)
		}
	}
	for _, d := range b.deliveries(gateway.DeliveryFilter{Replay: started.ID}) {
		if d.CreatedAt != started.CreatedAt {
			t.Errorf("%s is of %v; its id has the time of the replay, %v", d.ID, d.CreatedAt, started.CreatedAt)
		}
	}
}

func useStore(s gateway.Store) func(*worker.Options) {
	return func(o *worker.Options) { o.Store = s }
}

// lateStore keeps a replay's page back until it is let go.
type lateStore struct {
	gateway.Store
	comes, goes chan struct{}
}

func (s *lateStore) InsertDeliveries(ctx context.Context, list []gateway.Delivery) error {
	s.comes <- struct{}{}
	<-s.goes
	return s.Store.InsertDeliveries(ctx, list)
}

func TestReplay_CancelledWhileALongPageIsMade_SendsNothingOfIt(t *testing.T) {
	store := &lateStore{comes: make(chan struct{}, 10), goes: make(chan struct{})}
	b := open(t)
	r := receive(t, status(500))
	b.organisation("org_a")
	w := b.webhook("org_a", all(retries("2h"), quarantine(0, "1m")), r.URL)
	// One moment that accepted more than a page of a replay has.
	const events = 700
	accepted := gateway.At(time.Now().Add(-time.Minute))
	var list []gateway.Delivery
	for n := range events {
		list = append(list, gateway.Delivery{
			ID: gateway.DeliveryID(accepted, "org_a", fmt.Sprint(n), w.Endpoints[0].ID, ""), Event: fmt.Sprint(n), Organisation: "org_a", Webhook: w.ID,
			Endpoint: w.Endpoints[0].ID, WebhookRevision: 1, Product: "payments", Type: "paiement.success", Status: gateway.Failed,
			Reason: gateway.Exhausted, CreatedAt: accepted, FinishedAt: accepted, Order: fmt.Sprintf("%020x", n),
		})
	}
	if err := b.store.InsertDeliveries(t.Context(), list); err != nil {
		t.Fatal(err)
	}
	b.change = append(b.change, useStore(store))
	store.Store = b.store
	b.run()
	started := b.replay(w, gateway.ReplayInput{})
	<-store.comes
	now, err := b.gateway.FindReplay(t.Context(), operator, started.ID)
	if err == nil {
		_, err = b.gateway.CancelReplay(t.Context(), operator, now)
	}
	if err != nil {
		t.Fatal(err)
	}
	close(store.goes)
	b.eventually("its job is over", func() bool {
		_, err := b.store.Job(t.Context(), "job_"+started.ID)
		return err != nil
	})
	counts := b.counts(gateway.DeliveryFilter{Replay: started.ID})
	if counts[gateway.Pending] != 0 || counts[gateway.Cancelled] == 0 {
		t.Errorf("of a cancelled replay there are %v", counts)
	}
}
