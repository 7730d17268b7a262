package gateway_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/unihook/unihook/gateway"
)

// cutAccounts is a store that does not take accounts for a time, and in which reading webhooks takes long.
type cutAccounts struct {
	gateway.Store
	refuse atomic.Bool
	slow   func()
}

func (s *cutAccounts) PutAccounts(ctx context.Context, list []gateway.Account) error {
	if s.refuse.Load() {
		return fmt.Errorf("writing: %w", gateway.ErrAway)
	}
	return s.Store.PutAccounts(ctx, list)
}

func (s *cutAccounts) WebhooksByID(ctx context.Context, ids []string) ([]gateway.Webhook, error) {
	list, err := s.Store.WebhooksByID(ctx, ids)
	if s.slow != nil {
		s.slow()
	}
	return list, err
}

// openCut is a bench on such a store.
func openCut(t *testing.T) (*bench, *cutAccounts) {
	store := &cutAccounts{}
	b := openBench(t, func(o *gateway.Options) { store.Store, o.Store = o.Store, store })
	b.organisation(t, "org_a")
	return b, store
}

func TestAccounts_ThatCouldNotBeNoted_AreWhenTheEventComesAgain(t *testing.T) {
	b, store := openCut(t)
	in := payment("evt_1", "org_a", `{}`)
	in.Account = gateway.Given("acc_1")
	store.refuse.Store(true)
	if _, err := b.Publish(t.Context(), operator, body(in)); err == nil {
		t.Fatal("it was acknowledged")
	}
	store.refuse.Store(false)
	if got := b.publish(t, in); !got.Duplicate {
		t.Errorf("got %+v", got)
	}
	known, err := b.store.Accounts(t.Context(), "org_a", []string{"acc_1"})
	if err != nil || len(known) != 1 {
		t.Errorf("got %v, %v", known, err)
	}
}

func TestLive_IsAsOldAsItsRead(t *testing.T) {
	b, store := openCut(t)
	w, err := b.CreateWebhook(t.Context(), operator, body(gateway.WebhookInput{
		Organisation: gateway.Given("org_a"),
		Endpoints:    gateway.Given([]gateway.EndpointInput{{URL: gateway.Given("https://hook.example.com")}}),
		Events:       gateway.Given([]gateway.SelectionInput{{Product: gateway.Given("payments"), Type: gateway.Given("*")}}),
	}))
	if err != nil {
		t.Fatal(err)
	}
	store.slow = func() { b.clock.move(600 * time.Millisecond) }
	if _, err := b.Live(t.Context(), []string{w.ID}); err != nil {
		t.Fatal(err)
	}
	store.slow = nil
	if w, err = b.FindWebhook(t.Context(), operator, w.ID); err == nil {
		err = b.DeleteWebhook(t.Context(), operator, w)
	}
	if err != nil {
		t.Fatal(err)
	}
	b.clock.move(300 * time.Millisecond)
	lives, err := b.Live(t.Context(), []string{w.ID})
	if err != nil || !lives[w.ID].Deleted() {
		t.Errorf("a webhook that was read 900 ms ago is believed: %v", err)
	}
}

func TestPublish_AfterTheClockWasSetBack_ClaimsEndInTime(t *testing.T) {
	b := openBench(t)
	b.organisation(t, "org_a")
	b.stored(t, "org_a", unchanged)
	b.publish(t, payment("evt_1", "org_a", `{}`))
	b.clock.move(-time.Hour)
	b.publish(t, payment("evt_2", "org_a", `{}`))
	d := b.deliveries(t, gateway.DeliveryFilter{Event: "evt_2"})[0]
	if end := gateway.At(b.clock.now()).Add(gateway.ClaimFor); d.Place.LookAt != end {
		t.Errorf("the claim ends at %v, want %v", d.Place.LookAt, end)
	}
	if first := b.deliveries(t, gateway.DeliveryFilter{Event: "evt_1"})[0]; d.Order <= first.Order {
		t.Errorf("acceptance %s is not after %s", d.Order, first.Order)
	}
}

func TestPublish_CompletedDeliveriesOfAnOrderedWebhook_AreBornInItsLane(t *testing.T) {
	cut := &cutStore{cut: true}
	b := openBench(t, func(o *gateway.Options) { cut.Store = o.Store; o.Store = cut })
	b.organisation(t, "org_a")
	b.stored(t, "org_a", func(w *gateway.Webhook) { w.Ordered = true })
	if _, err := b.Publish(t.Context(), operator, body(payment("evt_1", "org_a", `{}`))); err == nil {
		t.Fatal("it was acknowledged")
	}
	b.publish(t, payment("evt_1", "org_a", `{}`))
	d := b.deliveries(t, gateway.DeliveryFilter{Event: "evt_1"})[0]
	if want := gateway.LaneKey(d.Endpoint, d.Order); d.Place.Lane != want || d.Place.Run != "" || d.Reason != gateway.InOrder {
		t.Errorf("it is at %+v (%s), want the lane %s: of runs any may be the first to park", d.Place, d.Reason, want)
	}
	b.queue.mu.Lock()
	defer b.queue.mu.Unlock()
	if len(b.queue.lanes) == 0 {
		t.Error("nobody was told of the lane")
	}
}
