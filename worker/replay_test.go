package worker_test

import (
	"fmt"
	"testing"

	"github.com/unihook/unihook/gateway"
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
