package worker_test

import (
	"testing"
	"time"

	"github.com/unihook/unihook/gateway"
)

// resting waits until nobody works the endpoint's lane, which has a turn far away.
func (b *bench) resting(endpoint string) gateway.EndpointState {
	b.t.Helper()
	var s gateway.EndpointState
	b.eventually("the lane rests", func() bool {
		s = b.state(endpoint)
		return s.InLane && s.Owner == "" && s.TurnAt > gateway.At(time.Now().Add(5*time.Second))
	})
	return s
}

func TestLane_ThatRests_CostsNothing(t *testing.T) {
	for name, edit := range map[string]func(*gateway.WebhookInput){
		"for its head's next attempt": all(ordered, retries("1h"), quarantine(0, "1m")),
		"for its rate":                all(limited(0.1), retries(), quarantine(0, "1m")),
	} {
		t.Run(name, func(t *testing.T) {
			b := open(t)
			r, other := receive(t, status(500)), receive(t, nil)
			b.organisation("org_a")
			b.organisation("org_b")
			w := b.webhook("org_a", edit, r.URL)
			b.webhook("org_b", nil, other.URL)
			b.run()
			b.publish("org_a", 0)
			b.publish("org_a", 1)
			r.next(t)
			rested := b.resting(w.Endpoints[0].ID)
			for n := range 100 {
				b.publish("org_b", n)
				other.next(t)
				if n%20 == 0 {
					b.publish("org_a", 100+n)
				}
			}
			if now := b.state(w.Endpoints[0].ID); now.Version > rested.Version+4 {
				t.Errorf("its state was written %d times meanwhile", now.Version-rested.Version)
			}
		})
	}
}

// failedHead is an ordered webhook of two events, whose lane rests: the first has failed and is due in an hour.
func failedHead(t *testing.T) (*bench, *receiver, gateway.Webhook) {
	t.Helper()
	b := open(t)
	r := receive(t, status(500))
	b.organisation("org_a")
	w := b.webhook("org_a", all(ordered, retries("1h"), quarantine(0, "1m")), r.URL)
	b.run()
	b.publish("org_a", 0)
	b.publish("org_a", 1)
	r.next(t)
	b.resting(w.Endpoints[0].ID)
	return b, r, w
}

func TestOrdered_AHeadThatIsFinishedOtherwise_LetsTheNextGo(t *testing.T) {
	for name, finish := range map[string]func(b *bench, d gateway.Delivery) error{
		"cancelled": func(b *bench, d gateway.Delivery) error {
			_, err := b.gateway.CancelDelivery(b.t.Context(), operator, d)
			return err
		},
		"retried by hand": func(b *bench, d gateway.Delivery) error {
			return b.gateway.RetryDelivery(b.t.Context(), operator, d)
		},
		"its event erased": func(b *bench, d gateway.Delivery) error {
			e, err := b.store.Event(b.t.Context(), gateway.Everyone(), d.Event)
			if err != nil {
				return err
			}
			return b.gateway.EraseEvent(b.t.Context(), operator, e)
		},
	} {
		t.Run(name, func(t *testing.T) {
			b, r, _ := failedHead(t)
			r.answers(nil)
			if err := finish(b, b.deliveries(gateway.DeliveryFilter{Event: "evt_org_a_000000"})[0]); err != nil {
				t.Fatal(err)
			}
			b.settled()
			if times := r.times(); times["evt_org_a_000001"] != 1 {
				t.Errorf("the receiver got %v", times)
			}
		})
	}
}

func TestOrdered_NoMore_AFailureWaitsForItsTimeAndHoldsNobody(t *testing.T) {
	b, r, w := failedHead(t)
	before := b.deliveries(gateway.DeliveryFilter{Event: "evt_org_a_000000"})[0]
	r.answers(nil)
	b.patch(w, gateway.WebhookInput{Ordered: gateway.Given(false)})
	b.eventually("the later one is delivered", func() bool { return b.counts(gateway.DeliveryFilter{})[gateway.Delivered] == 1 })
	b.eventually("the lane is left", func() bool { return !b.state(w.Endpoints[0].ID).InLane })
	d := b.deliveries(gateway.DeliveryFilter{Event: "evt_org_a_000000"})[0]
	if len(d.Attempts) != 1 || d.NextAttemptAt != before.NextAttemptAt || d.Place.LookAt != before.NextAttemptAt || d.Failures != 1 {
		t.Errorf("the failed one is at %+v, %d attempts, next %v; it was due %v", d.Place, len(d.Attempts), d.NextAttemptAt, before.NextAttemptAt)
	}
}
