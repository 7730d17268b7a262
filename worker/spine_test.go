package worker_test

import (
	"net/http"
	"testing"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/unihook/unihook/gateway"
)

func TestDeliver_MappedSignedAndRecorded(t *testing.T) {
	b := open(t)
	r := receive(t, func(out http.ResponseWriter, _ *http.Request) {
		out.Header().Set("Set-Cookie", "session=1")
		out.Header().Set("X-Echo", "Bearer s3cret-value")
		_, _ = out.Write([]byte("ok, Bearer s3cret-value"))
	})
	b.organisation("org_a")
	w := b.webhook("org_a", func(in *gateway.WebhookInput) {
		in.Mapping = gateway.Given(gateway.RawJSON(`[{"op":"rename","path":"data.id","to":"payment"}]`))
		in.Headers = gateway.Given([]gateway.HeaderInput{
			{Name: gateway.Given("Authorization"), Value: gateway.Given("Bearer s3cret-value")},
			{Name: gateway.Given("X-Plain"), Value: gateway.Given("1"), Secret: gateway.Given(false)},
		})
	}, r.URL+"/hook?key=1")
	b.run()
	id := b.publish("org_a", 7)

	got := r.next(t)
	verifier, err := standardwebhooks.NewWebhook(w.Signing.Secret)
	if err != nil {
		t.Fatal(err)
	}
	if err := verifier.Verify(got.body, got.header); err != nil {
		t.Errorf("the signature: %v", err)
	}
	for name, want := range map[string]string{
		"webhook-id": id, "webhook-attempt": "1", "webhook-test": "", "content-type": "application/json",
		"authorization": "Bearer s3cret-value", "x-plain": "1", "user-agent": "Unihook",
	} {
		if h := got.header.Get(name); h != want {
			t.Errorf("header %s is %q, want %q", name, h, want)
		}
	}
	b.settled()
	list := b.deliveries(gateway.DeliveryFilter{})
	if len(list) != 1 || list[0].Status != gateway.Delivered || len(list[0].Attempts) != 1 {
		t.Fatalf("got %+v", list)
	}
	a := list[0].Attempts[0]
	if a.RequestBody == nil || *a.RequestBody != string(got.body) {
		t.Errorf("the attempt shows another body than %s", got.body)
	}
	if a.Status != 200 || a.Failure != "" || a.Trigger != gateway.BySchedule || a.Number != 1 || a.URL != r.URL+"/hook?key=1" || a.DurationMs <= 0 {
		t.Errorf("got %+v", a)
	}
	if a.RequestHeaders["Authorization"] != "********" || a.RequestHeaders["X-Plain"] != "1" || a.RequestHeaders["webhook-id"] != id {
		t.Errorf("request headers are %v", a.RequestHeaders)
	}
	if a.ResponseBody != "ok, ********" || a.ResponseHeaders["X-Echo"] != "********" || a.ResponseHeaders["Set-Cookie"] != "********" {
		t.Errorf("the response is %q with %v", a.ResponseBody, a.ResponseHeaders)
	}
}

func TestDeliver_AThousandOnceEach(t *testing.T) {
	b := open(t)
	b.organisation("org_a")
	var receivers []*receiver
	var urls []string
	for range 3 {
		r := receive(t, nil)
		receivers, urls = append(receivers, r), append(urls, r.URL)
	}
	b.webhook("org_a", nil, urls...)
	_, stop := b.run()
	const events = 1000
	publishers := make(chan int)
	done := make(chan bool)
	for range 16 {
		go func() {
			for n := range publishers {
				b.publish("org_a", n)
			}
			done <- true
		}()
	}
	for n := range events {
		publishers <- n
	}
	close(publishers)
	for range 16 {
		<-done
	}
	b.settled()
	stop()
	for i, r := range receivers {
		times := r.times()
		if len(times) != events {
			t.Errorf("receiver %d got %d of %d events", i, len(times), events)
		}
		for id, n := range times {
			if n != 1 {
				t.Errorf("receiver %d got %s %d times", i, id, n)
			}
		}
	}
	if counts := b.counts(gateway.DeliveryFilter{}); counts[gateway.Delivered] != 3*events {
		t.Errorf("got %v", counts)
	}
}

func TestDeliver_RetriesWithTheSameBodyThoughTheMappingWasEdited(t *testing.T) {
	b := open(t, scale(0.001))
	r := receive(t, func(out http.ResponseWriter, in *http.Request) {
		if in.Header.Get("webhook-attempt") < "3" {
			out.WriteHeader(500)
		}
	})
	b.organisation("org_a")
	w := b.webhook("org_a", retries("300s", "10m", "10m"), r.URL)
	b.run()
	b.publish("org_a", 1)
	first := r.next(t)
	b.patch(w, gateway.WebhookInput{Mapping: gateway.Given(gateway.RawJSON(`[{"op":"remove","path":"data.amount"}]`))})
	second, third := r.next(t), r.next(t)
	if string(first.body) != string(second.body) || string(first.body) != string(third.body) {
		t.Errorf("bodies differ: %s, %s, %s", first.body, second.body, third.body)
	}
	if first.id() != third.id() || third.header.Get("webhook-attempt") != "3" {
		t.Errorf("the third has id %s, attempt %s", third.id(), third.header.Get("webhook-attempt"))
	}
	b.settled()
	d := b.deliveries(gateway.DeliveryFilter{})[0]
	if d.Status != gateway.Delivered || len(d.Attempts) != 3 || d.Attempts[0].Failure != "status" || d.Attempts[0].Status != 500 {
		t.Errorf("got %+v", d)
	}
}

func TestDeliver_ExhaustedAfterItsSchedule(t *testing.T) {
	b := open(t, scale(0.001))
	r := receive(t, status(404))
	b.organisation("org_a")
	b.webhook("org_a", retries("1s", "1s"), r.URL)
	b.run()
	b.publish("org_a", 1)
	b.settled()
	d := b.deliveries(gateway.DeliveryFilter{})[0]
	if d.Status != gateway.Failed || d.Reason != gateway.Exhausted || len(d.Attempts) != 3 || d.FinishedAt == 0 || d.NextAttemptAt != 0 {
		t.Errorf("got %+v", d)
	}
}
