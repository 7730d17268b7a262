package worker_test

import (
	"bytes"
	"net/http"
	"testing"
	"time"

	"github.com/unihook/unihook/gateway"
	"github.com/unihook/unihook/worker"
)

func TestTest_IsSentOnceWhateverTheState(t *testing.T) {
	b := open(t)
	r := receive(t, status(500))
	b.organisation("org_a")
	w := b.webhook("org_a", func(in *gateway.WebhookInput) { in.Status = gateway.Given("inactive") }, r.URL)
	b.run()
	results, err := b.gateway.TestWebhook(t.Context(), operator, w, input(gateway.TestInput{}))
	if err != nil {
		t.Fatal(err)
	}
	got := r.next(t)
	if got.header.Get("webhook-test") != "true" || got.id()[:9] != "evt_test_" {
		t.Errorf("got headers %v", got.header)
	}
	if len(results) != 1 || results[0].Attempt.Status != 500 || results[0].Attempt.Trigger != gateway.ByTest {
		t.Errorf("got %+v", results)
	}
	d := b.deliveries(gateway.DeliveryFilter{})[0]
	if d.Status != gateway.Failed || d.Reason != gateway.TestFailed || !d.Test {
		t.Errorf("got %+v", d)
	}
	if s := b.state(w.Endpoints[0].ID); s.ConsecutiveFailures != 0 {
		t.Errorf("a test counted: %+v", s)
	}
}

func (b *bench) retry(d gateway.Delivery) {
	b.t.Helper()
	if err := b.gateway.RetryDelivery(b.t.Context(), operator, d); err != nil {
		b.t.Fatal(err)
	}
}

func TestRetry_MakesOneAttemptNow(t *testing.T) {
	b := open(t)
	r := receive(t, status(500))
	b.organisation("org_a")
	w := b.webhook("org_a", all(retries("1h"), quarantine(1, "1h")), r.URL)
	b.run()
	b.publish("org_a", 1)
	b.eventually("it is quarantined", func() bool { return b.state(w.Endpoints[0].ID).QuarantinedSince != 0 })
	before := b.deliveries(gateway.DeliveryFilter{})[0]
	failures := b.state(w.Endpoints[0].ID).ConsecutiveFailures

	b.retry(before)
	b.eventually("a second attempt failed", func() bool { return len(b.deliveries(gateway.DeliveryFilter{})[0].Attempts) == 2 })
	after := b.deliveries(gateway.DeliveryFilter{})[0]
	if after.Status != gateway.Pending || after.NextAttemptAt != before.NextAttemptAt || after.Reason != before.Reason || after.Failures != 1 {
		t.Errorf("a failed manual retry changed %+v to %+v", before, after)
	}
	if s := b.state(w.Endpoints[0].ID); s.ConsecutiveFailures != failures {
		t.Errorf("it counted: %+v", s)
	}
	r.answers(nil)
	b.eventually("the retry's job is over", func() bool {
		_, err := b.store.Job(t.Context(), "job_retry_"+after.ID)
		return err != nil
	})
	b.retry(after)
	b.settled()
	after = b.deliveries(gateway.DeliveryFilter{})[0]
	if after.Status != gateway.Delivered || len(after.Attempts) != 3 || after.Attempts[2].Trigger != gateway.ByManual || after.Attempts[2].Number != 3 {
		t.Errorf("got %+v", after)
	}
	if got := len(r.ledger()); got != 3 {
		t.Errorf("%d requests", got)
	}
}

func (b *bench) replay(w gateway.Webhook, in gateway.ReplayInput) gateway.Replay {
	b.t.Helper()
	in.Since = gateway.Given("2020-01-01T00:00:00Z")
	r, _, err := b.gateway.StartReplay(b.t.Context(), operator, w, input(in))
	if err != nil {
		b.t.Fatal(err)
	}
	return r
}

func TestReplay_SendsAgainOldestFirst(t *testing.T) {
	b := open(t, scale(0.001))
	r := receive(t, status(400))
	b.organisation("org_a")
	w := b.webhook("org_a", all(retries(), quarantine(0, "1m")), r.URL)
	b.run()
	const events = 5
	for n := range events {
		b.publish("org_a", n)
	}
	b.settled()
	b.patch(w, gateway.WebhookInput{Mapping: gateway.Given(gateway.RawJSON(`[{"op":"remove","path":"data.amount"}]`))})
	r.answers(nil)
	first := len(r.ledger())
	started := b.replay(w, gateway.ReplayInput{})
	if started.Matched != events {
		t.Errorf("it matched %d", started.Matched)
	}
	b.eventually("the replay is done", func() bool {
		now, err := b.gateway.FindReplay(t.Context(), operator, started.ID)
		return err == nil && now.Status == gateway.ReplayDone && now.Made == events && now.Delivered == events && now.FinishedAt != 0
	})
	for _, got := range r.ledger()[first:] {
		if id := got.id(); id[:10] != "evt_org_a_" || string(got.body) == "" || bytes.Contains(got.body, []byte("amount")) {
			t.Errorf("replayed %s: %s", id, got.body)
		}
	}
	list := b.deliveries(gateway.DeliveryFilter{Replay: started.ID})
	if len(list) != events || list[0].Attempts[0].Trigger != gateway.ByReplay {
		t.Errorf("got %d deliveries, the last one %+v", len(list), list[0])
	}
	again := b.replay(w, gateway.ReplayInput{})
	b.eventually("a second replay finds the same", func() bool {
		now, err := b.gateway.FindReplay(t.Context(), operator, again.ID)
		return err == nil && now.Status == gateway.ReplayDone && now.Made == events
	})
}

func TestReplay_CancelledStopsAndCancels(t *testing.T) {
	b := open(t)
	r := receive(t, status(400))
	b.organisation("org_a")
	w := b.webhook("org_a", all(retries("5h"), quarantine(0, "1m")), r.URL)
	b.run()
	for n := range 3 {
		b.publish("org_a", n)
	}
	b.eventually("they wait for their retry", func() bool { return b.waiting(gateway.Retrying) == 3 })
	started := b.replay(w, gateway.ReplayInput{Status: gateway.Given("any")})
	b.eventually("so do the replay's", func() bool { return b.waiting(gateway.Retrying) == 6 })
	now, err := b.gateway.FindReplay(t.Context(), operator, started.ID)
	if err == nil {
		_, err = b.gateway.CancelReplay(t.Context(), operator, now)
	}
	if err != nil {
		t.Fatal(err)
	}
	if counts := b.counts(gateway.DeliveryFilter{Replay: started.ID}); counts[gateway.Cancelled] != 3 {
		t.Errorf("got %v", counts)
	}
	b.eventually("its job is over", func() bool {
		_, err := b.store.Job(t.Context(), "job_"+started.ID)
		return err != nil
	})
}

func TestErase_RemovesAllOfAnOrganisation(t *testing.T) {
	b := open(t)
	r := receive(t, nil)
	b.organisation("org_a")
	b.webhook("org_a", nil, r.URL)
	b.run()
	for n := range 5 {
		b.publish("org_a", n)
	}
	b.settled()
	o, err := b.gateway.FindOrganisation(t.Context(), operator, "org_a")
	if err == nil {
		err = b.gateway.DeleteOrganisation(t.Context(), operator, o)
	}
	if err != nil {
		t.Fatal(err)
	}
	b.eventually("it is gone", func() bool {
		_, err := b.store.Organisation(t.Context(), "org_a")
		return err != nil && len(b.counts(gateway.DeliveryFilter{})) == 0
	})
}

func TestPurge_ExpiresAndRemoves(t *testing.T) {
	b := open(t, func(o *worker.Options) { o.Retention = time.Millisecond })
	r := receive(t, nil)
	b.organisation("org_a")
	b.webhook("org_a", nil, r.URL)
	b.publish("org_a", 1)
	old := time.NewTimer(10 * time.Millisecond)
	<-old.C
	b.run()
	b.eventually("nothing is left", func() bool {
		_, err := b.store.Event(t.Context(), gateway.Only("org_a"), "evt_org_a_000001")
		counts := b.counts(gateway.DeliveryFilter{})
		return err != nil || counts[gateway.Failed] == 1
	})
	if got := len(r.ledger()); got != 0 {
		t.Errorf("an expired delivery was sent")
	}
}

func TestMapping_ThatCannotBeApplied_FailsThatOneAlone(t *testing.T) {
	b := open(t)
	r := receive(t, nil)
	b.organisation("org_a")
	// The payload is at its limit, and what the mapping adds takes the body beyond.
	b.webhook("org_a", func(in *gateway.WebhookInput) {
		in.Payload = gateway.Given("data")
		in.Mapping = gateway.Given(gateway.RawJSON(`[{"op":"move","path":"deep","to":"a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a"}]`))
	}, r.URL)
	b.run()
	deep := make([]byte, 0, 2100)
	deep = append(deep, `{"deep":`...)
	for range 1010 {
		deep = append(deep, '[')
	}
	for range 1010 {
		deep = append(deep, ']')
	}
	deep = append(deep, '}')
	_, err := b.gateway.Publish(t.Context(), operator, input(gateway.EventInput{
		ID: gateway.Given("evt_deep"), Product: gateway.Given("payments"), Type: gateway.Given("paiement.success"),
		Organisation: gateway.Given("org_a"), Data: gateway.Given(gateway.RawJSON(deep)),
	}))
	if err != nil {
		t.Fatal(err)
	}
	b.publish("org_a", 1)
	b.settled()
	d := b.deliveries(gateway.DeliveryFilter{Event: "evt_deep"})[0]
	if d.Status != gateway.Failed || d.Reason != gateway.BadMapping || len(d.Attempts) != 1 || d.Attempts[0].Failure != gateway.FailureMapping || d.Attempts[0].Error == "" {
		t.Errorf("got %+v", d)
	} else if a := d.Attempts[0]; a.RequestHeaders == nil || a.ResponseHeaders == nil {
		t.Errorf("headers that never were are %v and %v, want none in a map", a.RequestHeaders, a.ResponseHeaders)
	}
	if times := r.times(); len(times) != 1 || times["evt_org_a_000001"] != 1 {
		t.Errorf("the receiver got %v", times)
	}
}

func TestGoneRetry_IsAFailureLikeAnyOther(t *testing.T) {
	b := open(t, scale(0.001))
	r := receive(t, status(http.StatusGone))
	b.organisation("org_a")
	w := b.webhook("org_a", func(in *gateway.WebhookInput) {
		in.Retry = gateway.Given(gateway.RetryInput{Schedule: gateway.Given("custom"), Delays: gateway.Given([]string{"1s"}), Gone: gateway.Given("retry")})
	}, r.URL)
	b.run()
	b.publish("org_a", 1)
	b.settled()
	d := b.deliveries(gateway.DeliveryFilter{})[0]
	if d.Reason != gateway.Exhausted || len(d.Attempts) != 2 || d.Attempts[0].Failure != "status" {
		t.Errorf("got %+v", d)
	}
	if s := b.state(w.Endpoints[0].ID); s.GoneAt != 0 {
		t.Errorf("the endpoint is closed: %+v", s)
	}
}

func TestRetry_OfWhatALaneSends_IsRefused(t *testing.T) {
	b := open(t)
	let := make(chan struct{})
	r := receive(t, func(http.ResponseWriter, *http.Request) { <-let })
	b.organisation("org_a")
	b.webhook("org_a", ordered, r.URL)
	b.run()
	b.publish("org_a", 1)
	r.next(t)
	err := b.gateway.RetryDelivery(t.Context(), operator, b.deliveries(gateway.DeliveryFilter{})[0])
	close(let)
	if !gateway.IsKind(err, gateway.Conflict) {
		t.Errorf("got %v, want a conflict", err)
	}
	b.settled()
	if got := len(r.ledger()); got != 1 {
		t.Errorf("%d requests", got)
	}
}

func TestForget_RemovesWhatCameAfterAnErasure(t *testing.T) {
	b := open(t)
	let := make(chan struct{})
	r := receive(t, func(out http.ResponseWriter, _ *http.Request) { <-let; _, _ = out.Write([]byte("personal")) })
	b.organisation("org_a")
	b.webhook("org_a", nil, r.URL)
	b.run()
	id := b.publish("org_a", 1)
	r.next(t)
	e, err := b.gateway.FindEvent(t.Context(), operator, gateway.Only("org_a"), id)
	if err == nil {
		err = b.gateway.EraseEvent(t.Context(), operator, e)
	}
	close(let)
	if err != nil {
		t.Fatal(err)
	}
	kept := func() string {
		list, _, err := b.store.ListDeliveries(t.Context(), gateway.Everyone(), gateway.DeliveryFilter{}, gateway.Page{Limit: 1})
		if err != nil {
			t.Fatal(err)
		}
		d, err := b.store.Delivery(t.Context(), gateway.Everyone(), list[0].ID)
		if err != nil || len(d.Attempts) == 0 {
			return "nothing yet"
		}
		return d.Attempts[0].ResponseBody
	}
	b.eventually("the request is recorded", func() bool { return kept() == "personal" })
	if d := b.deliveries(gateway.DeliveryFilter{})[0]; d.Attempts[0].ResponseBody != "" {
		t.Errorf("it is shown: %+v", d.Attempts[0])
	}
	job, err := b.store.Job(t.Context(), "job_forget_"+gateway.EventKey("org_a", id))
	if err != nil {
		t.Fatal(err)
	}
	job.TurnAt = gateway.At(time.Now())
	if err := b.store.SwapJob(t.Context(), job); err != nil {
		t.Fatal(err)
	}
	b.eventually("it is forgotten", func() bool { return kept() == "" })
}
