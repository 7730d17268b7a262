package worker_test

import (
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/unihook/unihook/gateway"
	"github.com/unihook/unihook/worker"
)

func quarantine(after int, first string) func(*gateway.WebhookInput) {
	return func(in *gateway.WebhookInput) {
		in.Quarantine = gateway.Given(gateway.QuarantineInput{After: gateway.Given(after), For: gateway.Given(first)})
	}
}

func all(edits ...func(*gateway.WebhookInput)) func(*gateway.WebhookInput) {
	return func(in *gateway.WebhookInput) {
		for _, edit := range edits {
			edit(in)
		}
	}
}

func ordered(in *gateway.WebhookInput) { in.Ordered = gateway.Given(true) }

func limited(rate float64) func(*gateway.WebhookInput) {
	return func(in *gateway.WebhookInput) { in.RateLimit = gateway.Given(rate) }
}

// quarantined publishes until the webhook's one endpoint is left alone.
func (b *bench) quarantined(w gateway.Webhook, organisation string, from int) (published int) {
	b.t.Helper()
	endpoint := w.Endpoints[0].ID
	for n := from; ; n++ {
		b.publish(organisation, n)
		var s gateway.EndpointState
		b.eventually("the failure counts", func() bool { s = b.state(endpoint); return s.ConsecutiveFailures > n-from || s.QuarantinedSince != 0 })
		if s.QuarantinedSince != 0 {
			return n + 1 - from
		}
	}
}

func TestQuarantine_WaitsProbesAndDrains(t *testing.T) {
	b := open(t, scale(0.01))
	type success struct {
		id string
		at time.Time
	}
	var good atomic.Bool
	successes := make(chan success, 1000)
	r := receive(t, func(out http.ResponseWriter, in *http.Request) {
		if !good.Load() {
			out.WriteHeader(500)
			return
		}
		successes <- success{in.Header.Get("webhook-id"), time.Now()}
	})
	b.organisation("org_a")
	// Three failures, then nothing for 1 s, 2 s, 4 s; the retries of the three come in a day.
	w := b.webhook("org_a", all(quarantine(3, "100s"), retries("2h")), r.URL)
	b.run()
	first := b.quarantined(w, "org_a", 0)
	if got := len(r.ledger()); first != 3 || got != 3 {
		t.Fatalf("quarantined after %d events and %d requests, want 3", first, got)
	}
	since := b.state(w.Endpoints[0].ID).QuarantinedSince
	const waiting = 20
	for n := range waiting {
		b.publish("org_a", 100+n)
	}
	b.eventually("all wait", func() bool {
		parked, err := b.store.CountParked(t.Context(), []string{w.Endpoints[0].ID})
		return err == nil && parked[w.Endpoints[0].ID] == waiting
	})
	for range 3 {
		r.next(t)
	}
	probe := r.next(t)
	if id, waited := probe.id(), gateway.At(probe.at).Sub(since); id != "evt_org_a_000100" || waited < time.Second {
		t.Errorf("the probe is %s after %v, want the oldest waiting one after a second", id, waited)
	}
	b.eventually("the cool-down doubles", func() bool { return b.state(w.Endpoints[0].ID).Cooldown >= 2*time.Second })
	b.eventually("what waits says why and until when", func() bool {
		until := b.state(w.Endpoints[0].ID).QuarantinedUntil
		for _, d := range b.deliveries(gateway.DeliveryFilter{Statuses: []gateway.DeliveryStatus{gateway.Pending}}) {
			if d.CreatedAt > since && (d.Reason != gateway.InQuarantine || d.NextAttemptAt != until) {
				return false
			}
		}
		return true
	})
	good.Store(true)
	b.eventually("all that waited is delivered", func() bool { return b.counts(gateway.DeliveryFilter{})[gateway.Delivered] == waiting })
	probed := <-successes
	last, older := probed, 0
	for range waiting - 1 {
		next := <-successes
		if next.id < last.id {
			older++ // they are sent side by side: on a busy machine one may overtake another
		}
		last = next
	}
	if probed.id != "evt_org_a_000100" || older > waiting/3 {
		t.Errorf("the first success is %s, and %d came after a newer one: want the oldest first", probed.id, older)
	}
	// Twenty at 50 a second; the first is the probe, and the others start once its result is stored.
	if took := last.at.Sub(probed.at); took < 300*time.Millisecond {
		t.Errorf("they drained in %v, faster than 50 a second", took)
	}
	s := b.state(w.Endpoints[0].ID)
	if s.QuarantinedSince != 0 || s.ConsecutiveFailures != 0 {
		t.Errorf("after a success the state is %+v", s)
	}
	d := b.deliveries(gateway.DeliveryFilter{Event: "evt_org_a_000100"})[0]
	if len(d.Attempts) < 2 || d.Attempts[0].Trigger != gateway.ByProbe || d.Attempts[1].Trigger != gateway.ByProbe || d.Failures != 0 {
		t.Errorf("the probe used up its schedule: %+v", d)
	}
	b.eventually("the lane is left", func() bool { return !b.state(w.Endpoints[0].ID).InLane })
}

func TestQuarantine_NothingWaits_TheNextIsTheProbe(t *testing.T) {
	b := open(t, scale(0.001))
	r := receive(t, status(500))
	b.organisation("org_a")
	w := b.webhook("org_a", all(quarantine(2, "100s"), retries("5h")), r.URL)
	b.run()
	b.quarantined(w, "org_a", 0)
	b.eventually("the cool-down ends", func() bool {
		s := b.state(w.Endpoints[0].ID)
		return s.QuarantinedUntil < gateway.At(time.Now()) && s.TurnAt == 0 && s.Owner == ""
	})
	r.answers(nil)
	b.publish("org_a", 9)
	b.eventually("it is delivered", func() bool { return b.counts(gateway.DeliveryFilter{})[gateway.Delivered] == 1 })
	d := b.deliveries(gateway.DeliveryFilter{Event: "evt_org_a_000009"})[0]
	if d.Attempts[0].Trigger != gateway.ByProbe {
		t.Errorf("its trigger is %s", d.Attempts[0].Trigger)
	}
}

func TestQuarantine_ASaveEndsIt(t *testing.T) {
	b := open(t)
	r := receive(t, status(500))
	b.organisation("org_a")
	w := b.webhook("org_a", all(quarantine(2, "1h"), retries("5h")), r.URL)
	b.run()
	b.quarantined(w, "org_a", 0)
	b.publish("org_a", 10)
	b.publish("org_a", 11)
	b.eventually("they wait", func() bool { return b.waiting(gateway.InQuarantine) == 2 })
	r.answers(nil)
	b.patch(w, gateway.WebhookInput{})
	b.eventually("they are delivered", func() bool { return b.counts(gateway.DeliveryFilter{})[gateway.Delivered] == 2 })
}

// waiting counts pending deliveries with a reason.
func (b *bench) waiting(reason gateway.Reason) (n int) {
	list, _, err := b.store.ListDeliveries(b.t.Context(), gateway.Everyone(),
		gateway.DeliveryFilter{Statuses: []gateway.DeliveryStatus{gateway.Pending}}, gateway.Page{Limit: 200})
	if err != nil {
		b.t.Fatal(err)
	}
	for _, d := range list {
		if d.Reason == reason {
			n++
		}
	}
	return n
}

func TestGone_ClosesTheEndpointUntilASave(t *testing.T) {
	b := open(t)
	r, other := receive(t, status(410)), receive(t, nil)
	b.organisation("org_a")
	w := b.webhook("org_a", nil, r.URL, other.URL)
	b.run()
	b.publish("org_a", 1)
	b.eventually("it fails", func() bool { return b.counts(gateway.DeliveryFilter{})[gateway.Failed] == 1 })
	b.eventually("the endpoint is closed", func() bool { return b.state(w.Endpoints[0].ID).GoneAt != 0 })
	b.publish("org_a", 2)
	b.eventually("the sibling goes on, the other waits", func() bool {
		return b.counts(gateway.DeliveryFilter{})[gateway.Delivered] == 2 && b.waiting(gateway.EndpointGone) == 1
	})
	other.answers(status(410))
	b.publish("org_a", 3)
	b.eventually("the webhook is closed with its last endpoint", func() bool {
		now, err := b.gateway.FindWebhook(t.Context(), operator, w.ID)
		return err == nil && now.Status == gateway.Inactive && now.StatusReason == "gone"
	})
	r.answers(nil)
	other.answers(nil)
	b.patch(w, gateway.WebhookInput{Status: gateway.Given("active")})
	b.eventually("what waited is delivered", func() bool {
		counts := b.counts(gateway.DeliveryFilter{})
		return counts[gateway.Pending] == 0 && counts[gateway.Failed] == 2
	})
	if got := len(r.ledger()); got != 3 {
		t.Errorf("the closed endpoint got %d requests, want one before and two after", got)
	}
}

func TestInactive_WaitsUntilActive(t *testing.T) {
	b := open(t, scale(0.001))
	r := receive(t, status(500))
	b.organisation("org_a")
	w := b.webhook("org_a", all(quarantine(0, "1m"), retries("1000s", "1000s", "1000s", "1000s", "1000s", "1000s")), r.URL)
	b.run()
	b.publish("org_a", 1)
	r.next(t)
	b.patch(w, gateway.WebhookInput{Status: gateway.Given("inactive")})
	b.eventually("it waits", func() bool { return b.waiting(gateway.WebhookInactive) == 1 })
	seen := len(r.ledger())
	r.answers(nil)
	b.patch(w, gateway.WebhookInput{Status: gateway.Given("active")})
	b.settled()
	d := b.deliveries(gateway.DeliveryFilter{})[0]
	if d.Status != gateway.Delivered || len(d.Attempts) != seen+1 {
		t.Errorf("got %s after %d attempts, of which %d before", d.Status, len(d.Attempts), seen)
	}
}

func TestOrdered_AFailureHoldsTheLaterOnes(t *testing.T) {
	b := open(t, scale(0.001))
	var mu sync.Mutex
	failures := map[string]int{"evt_org_a_000003": 2, "evt_org_a_000007": 99}
	r := receive(t, func(out http.ResponseWriter, in *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if id := in.Header.Get("webhook-id"); failures[id] > 0 {
			failures[id]--
			out.WriteHeader(503)
		}
	})
	b.organisation("org_a")
	b.webhook("org_a", all(ordered, retries("50s", "50s", "50s"), quarantine(0, "1m")), r.URL)
	b.run()
	const events = 40
	for n := range events {
		b.publish("org_a", n)
	}
	b.settled()
	var got []string
	for _, one := range r.ledger() {
		got = append(got, one.id())
	}
	var want []string
	for n := range events {
		tries := map[int]int{3: 3, 7: 4}[n]
		for range max(tries, 1) {
			want = append(want, fmt.Sprintf("evt_org_a_%06d", n))
		}
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
	if counts := b.counts(gateway.DeliveryFilter{}); counts[gateway.Failed] != 1 || counts[gateway.Delivered] != events-1 {
		t.Errorf("got %v", counts)
	}
}

func TestRateLimit_SpacesRequestsOverAllWorkers(t *testing.T) {
	b := open(t)
	r := receive(t, nil)
	b.organisation("org_a")
	b.webhook("org_a", limited(20), r.URL)
	b.run()
	const events = 20
	for n := range events {
		b.publish("org_a", n)
	}
	b.settled()
	ledger := r.ledger()
	if len(ledger) != events {
		t.Fatalf("got %d requests", len(ledger))
	}
	// 950 ms by itself; less where the first is late, which on a busy machine it may be.
	if took := ledger[events-1].at.Sub(ledger[0].at); took < events/2*50*time.Millisecond {
		t.Errorf("%d requests took %v, faster than 20 a second", events, took)
	}
}

func TestOverload_WhatFindsNoSlotWaitsAndGoesOn(t *testing.T) {
	b := open(t, func(o *worker.Options) { o.Concurrency = 4 })
	var now, most atomic.Int32
	release := make(chan struct{})
	r := receive(t, func(http.ResponseWriter, *http.Request) {
		most.Store(max(most.Load(), now.Add(1)))
		<-release
		now.Add(-1)
	})
	b.organisation("org_a")
	w := b.webhook("org_a", nil, r.URL)
	b.run()
	const events = 60
	for n := range events {
		b.publish("org_a", n)
	}
	b.eventually("some wait for a slot", func() bool { return b.waiting(gateway.Waiting) > 20 })
	if !b.state(w.Endpoints[0].ID).InLane {
		t.Error("the endpoint is not in lane mode")
	}
	close(release)
	b.settled()
	if got := most.Load(); got > 2 {
		t.Errorf("%d requests at once, want half of the concurrency for one organisation", got)
	}
	if times := r.times(); len(times) != events || len(r.ledger()) != events {
		t.Errorf("%d events in %d requests", len(times), len(r.ledger()))
	}
	b.eventually("the lane is left", func() bool { return !b.state(w.Endpoints[0].ID).InLane })
}

func TestDeleted_NothingIsSentAnyMore(t *testing.T) {
	b := open(t, scale(0.001))
	r := receive(t, status(500))
	b.organisation("org_a")
	w := b.webhook("org_a", all(retries("1000s", "1000s", "1000s", "1000s", "1000s", "1000s"), quarantine(0, "1m")), r.URL)
	b.run()
	b.publish("org_a", 1)
	r.next(t)
	present, err := b.gateway.FindWebhook(t.Context(), operator, w.ID)
	if err == nil {
		err = b.gateway.DeleteWebhook(t.Context(), operator, present)
	}
	if err != nil {
		t.Fatal(err)
	}
	b.settled()
	d := b.deliveries(gateway.DeliveryFilter{})[0]
	if d.Status != gateway.Cancelled || d.Reason != gateway.WebhookDeleted {
		t.Errorf("it is %s (%s)", d.Status, d.Reason)
	}
}
