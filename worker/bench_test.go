package worker_test

import (
	"fmt"
	"net/http"
	"os"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/unihook/unihook/gateway"
)

// benchSeconds is how long each load lasts; UNIHOOK_BENCH_SECONDS makes it longer.
func benchSeconds() time.Duration {
	if n, err := strconv.Atoi(os.Getenv("UNIHOOK_BENCH_SECONDS")); err == nil && n > 0 {
		return time.Duration(n) * time.Second
	}
	return 5 * time.Second
}

// BenchmarkNeighbours publishes 300 events a second to 20 healthy endpoints, and to 4 that hang for 30 s beside them:
// how long the healthy ones wait, without the hanging ones and with them.
func BenchmarkNeighbours(b *testing.B) {
	for range b.N {
		calm := neighbours(b, 0)
		noisy := neighbours(b, 4)
		b.ReportMetric(float64(calm.Microseconds())/1000, "calm-p99-ms")
		b.ReportMetric(float64(noisy.Microseconds())/1000, "noisy-p99-ms")
	}
}

// neighbours answers the 99th percentile from the answer to a publish to its receipt at a healthy endpoint.
func neighbours(t *testing.B, hanging int) time.Duration {
	b := open(t)
	const healthy = 20
	var mu sync.Mutex
	accepted := map[string]time.Time{}
	release := make(chan struct{})
	var receivers []*receiver
	for i := range healthy + hanging {
		var answer http.HandlerFunc
		if i >= healthy {
			answer = func(_ http.ResponseWriter, in *http.Request) {
				select {
				case <-release:
				case <-in.Context().Done():
				case <-time.After(30 * time.Second):
				}
			}
		}
		r := receive(t, answer)
		if i < healthy {
			receivers = append(receivers, r)
		}
		org := fmt.Sprintf("org_%d", i)
		b.organisation(org)
		b.webhook(org, nil, r.URL)
	}
	_, stop := b.run()
	var publishing sync.WaitGroup
	tick := time.NewTicker(time.Second / 300)
	defer tick.Stop()
	for n := range int(benchSeconds() / (time.Second / 300)) {
		<-tick.C
		publishing.Go(func() {
			id := b.publish(fmt.Sprintf("org_%d", n%(healthy+hanging)), n)
			mu.Lock()
			accepted[id] = time.Now()
			mu.Unlock()
		})
	}
	publishing.Wait()
	b.eventually("the healthy ones have all", func() bool {
		got := 0
		for _, r := range receivers {
			got += len(r.ledger())
		}
		want := 0
		for id := range accepted {
			var org, n int
			if _, err := fmt.Sscanf(id, "evt_org_%d_%d", &org, &n); err == nil && org < healthy {
				want++
			}
		}
		return got >= want
	})
	close(release)
	stop()
	var waits []time.Duration
	for _, r := range receivers {
		for _, got := range r.ledger() {
			waits = append(waits, max(0, got.at.Sub(accepted[got.id()])))
		}
	}
	slices.Sort(waits)
	return waits[len(waits)*99/100]
}

// BenchmarkThroughput delivers as fast as it can: one organisation, three endpoints.
func BenchmarkThroughput(b *testing.B) {
	w := open(b)
	w.organisation("org_a")
	var urls []string
	for range 3 {
		urls = append(urls, receive(b, nil).URL)
	}
	w.webhook("org_a", nil, urls...)
	w.run()
	b.ResetTimer()
	var publishing sync.WaitGroup
	turns := make(chan int)
	for range 64 {
		publishing.Go(func() {
			for n := range turns {
				w.publish("org_a", n)
			}
		})
	}
	for n := range b.N {
		turns <- n
	}
	close(turns)
	publishing.Wait()
	w.eventually("all are delivered", func() bool {
		return w.counts(gateway.DeliveryFilter{})[gateway.Delivered] == 3*b.N
	})
	b.ReportMetric(float64(3*b.N)/b.Elapsed().Seconds(), "deliveries/s")
}

// BenchmarkBacklog puts a backlog of 100,000 deliveries before the worker, 90,000 of one organisation, and measures how
// long an event of a quiet organisation takes meanwhile.
func BenchmarkBacklog(b *testing.B) {
	for range b.N {
		w := open(b)
		slow := func(http.ResponseWriter, *http.Request) { time.Sleep(2 * time.Millisecond) }
		for _, org := range []string{"org_loud", "org_other", "org_quiet"} {
			w.organisation(org)
		}
		quiet := receive(b, nil)
		var urls []string
		for range 10 {
			urls = append(urls, receive(b, slow).URL)
		}
		w.webhook("org_loud", nil, urls...)
		w.webhook("org_other", nil, urls[:1]...)
		w.webhook("org_quiet", nil, quiet.URL)
		w.publishMany("org_loud", 9_000)
		w.publishMany("org_other", 10_000)
		_, stop := w.run()
		w.eventually("the backlog is being worked", func() bool { return w.counts(gateway.DeliveryFilter{})[gateway.Delivered] > 500 })
		var waits []time.Duration
		for n := range 20 {
			began := time.Now()
			w.publish("org_quiet", n)
			waits = append(waits, quiet.next(b).at.Sub(began))
		}
		slices.Sort(waits)
		b.ReportMetric(float64(waits[len(waits)-1].Milliseconds()), "quiet-max-ms")
		b.ReportMetric(float64(waits[len(waits)/2].Milliseconds()), "quiet-p50-ms")
		b.ReportMetric(float64(w.counts(gateway.DeliveryFilter{})[gateway.Delivered]), "delivered-meanwhile")
		stop()
	}
}

// publishMany publishes in batches.
func (b *bench) publishMany(organisation string, events int) {
	b.t.Helper()
	for from := 0; from < events; from += 1000 {
		var list []gateway.Body[gateway.EventInput]
		for n := from; n < min(from+1000, events); n++ {
			list = append(list, input(gateway.EventInput{
				ID: gateway.Given(fmt.Sprintf("evt_%s_%06d", organisation, n)), Product: gateway.Given("payments"), Type: gateway.Given("paiement.success"),
				Organisation: gateway.Given(organisation), Data: gateway.Given(gateway.RawJSON(fmt.Sprintf(`{"id":"pmt_%d"}`, n))),
			}))
		}
		if _, err := b.gateway.PublishBatch(b.t.Context(), operator, list); err != nil {
			b.t.Fatal(err)
		}
	}
}

// BenchmarkQuarantine has 1,000 events wait for a quarantined endpoint, which recovers: how many requests it gets before
// the probe that succeeds, and the rate at which what waited goes out.
func BenchmarkQuarantine(b *testing.B) {
	for range b.N {
		w := open(b, scale(0.05))
		r := receive(b, status(500))
		w.organisation("org_a")
		hook := w.webhook("org_a", all(quarantine(3, "1m"), retries("5h")), r.URL)
		w.run()
		w.quarantined(hook, "org_a", 500_000)
		before := len(r.ledger())
		w.publishMany("org_a", 1000)
		r.answers(nil)
		w.eventually("the probe succeeds", func() bool { return w.state(hook.Endpoints[0].ID).QuarantinedSince == 0 })
		w.within(time.Minute, "all that waited is delivered", func() bool { return w.counts(gateway.DeliveryFilter{})[gateway.Delivered] == 1000 })
		ledger := r.ledger()
		probe, last := ledger[before], ledger[len(ledger)-1]
		b.ReportMetric(float64(len(ledger)-before-1)/last.at.Sub(probe.at).Seconds(), "drained/s")
		b.ReportMetric(float64(before), "requests-before")
	}
}
