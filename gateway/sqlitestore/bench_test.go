package sqlitestore_test

import (
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/unihook/unihook/gateway"
	"github.com/unihook/unihook/gateway/sqlitestore"
)

// deliveriesPerEvent is how many endpoints an event of the benchmarks goes to.
const deliveriesPerEvent = 3

func batch(first, n int) (events []gateway.Event, deliveries []gateway.Delivery) {
	for i := first; i < first+n; i++ {
		e, d := numbered(fmt.Sprintf("evt_01krxa9fzvkba1dakvyw%09d", i), i, deliveriesPerEvent)
		events, deliveries = append(events, e), append(deliveries, d...)
	}
	return events, deliveries
}

// BenchmarkAccept is commits of so many events of 1 KB with three deliveries each, one after the other.
func BenchmarkAccept(b *testing.B) {
	for _, size := range []int{1, 64, 256} {
		b.Run(fmt.Sprintf("events=%d", size), func(b *testing.B) {
			s := openStore(b, b.TempDir(), sqlitestore.Options{})
			made := 0
			for b.Loop() {
				b.StopTimer()
				events, deliveries := batch(made, size)
				made += size
				b.StartTimer()
				if _, err := s.Accept(b.Context(), events, deliveries); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(made)/b.Elapsed().Seconds(), "events/s")
		})
	}
}

// BenchmarkAcceptTogether is 64 callers at one time with an event each: the writer commits them together.
func BenchmarkAcceptTogether(b *testing.B) {
	s := openStore(b, b.TempDir(), sqlitestore.Options{})
	var made atomic.Int64
	b.SetParallelism(32)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			events, deliveries := batch(int(made.Add(1)), 1)
			if _, err := s.Accept(b.Context(), events, deliveries); err != nil {
				b.Error(err)
			}
		}
	})
	b.ReportMetric(float64(made.Load())/b.Elapsed().Seconds(), "events/s")
}

// BenchmarkRecord is commits of so many first results, nine of ten delivered and one to be retried.
func BenchmarkRecord(b *testing.B) {
	for _, size := range []int{1, 64, 256, 512} {
		b.Run(fmt.Sprintf("results=%d", size), func(b *testing.B) {
			s := openStore(b, b.TempDir(), sqlitestore.Options{})
			made, recorded := 0, 0
			var waiting []gateway.Delivery
			for b.Loop() {
				b.StopTimer()
				for len(waiting) < size {
					events, deliveries := batch(made, 256)
					made += 256
					if _, err := s.Accept(b.Context(), events, deliveries); err != nil {
						b.Fatal(err)
					}
					waiting = append(waiting, deliveries...)
				}
				results := make([]gateway.Result, size)
				for i := range results {
					results[i] = result(waiting[i], recorded+i)
				}
				waiting = waiting[size:]
				recorded += size
				b.StartTimer()
				if err := s.Record(b.Context(), results); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(recorded)/b.Elapsed().Seconds(), "results/s")
		})
	}
}

func result(d gateway.Delivery, i int) gateway.Result {
	at := d.CreatedAt.Add(gateway.ClaimFor)
	r := gateway.Result{Delivery: d.ID, Status: gateway.Delivered, FinishedAt: at, Attempt: &gateway.Attempt{
		Number: 1, At: at, DurationMs: 41.25, Trigger: gateway.BySchedule, URL: "https://hook.example.com", Status: 200,
		LocalAddress: "192.0.2.1", RemoteAddress: "93.184.216.34:443", Timing: gateway.Timing{DNSMs: 1.1, ConnectMs: 9.8, TLSMs: 12, WaitMs: 18, ReadMs: 0.3},
		RequestHeaders: map[string]string{"Content-Type": "application/json", "Webhook-Id": d.Event, "Webhook-Timestamp": "1779100334",
			"Webhook-Signature": "v1,K5oZfzN95Z9UVu1EsfQmfVNQhnkZ2pj9o9NDN/H/pI4=", "User-Agent": "unihook"},
		ResponseHeaders: map[string]string{"Content-Type": "text/plain", "Date": "Mon, 18 May 2026 10:32:14 GMT"},
		ResponseBody:    "ok", BodySHA: make([]byte, 32), URLNumber: 1,
	}}
	if i%10 == 0 {
		r.Attempt.Status, r.Attempt.Failure = 503, "status"
		r.Status, r.Reason, r.FinishedAt, r.NextAttemptAt, r.Failures = gateway.Pending, gateway.Retrying, 0, at.Add(gateway.ClaimFor), 1
	}
	return r
}

// BenchmarkRead is what a worker reads for a run of 64.
func BenchmarkRead(b *testing.B) {
	s := openStore(b, b.TempDir(), sqlitestore.Options{})
	var ids, keys []string
	for i := range 20 {
		events, deliveries := batch(i*256, 256)
		if _, err := s.Accept(b.Context(), events, deliveries); err != nil {
			b.Fatal(err)
		}
		for k := range 4 {
			ids, keys = append(ids, deliveries[k*100].ID), append(keys, gateway.EventKey(events[k*50].Organisation, events[k*50].ID))
		}
	}
	b.Run("DeliveriesByID/ids=64", func(b *testing.B) {
		for b.Loop() {
			if found, err := s.DeliveriesByID(b.Context(), ids[:64]); err != nil || len(found) != 64 {
				b.Fatal(len(found), err)
			}
		}
	})
	b.Run("EventsByKey/keys=64", func(b *testing.B) {
		for b.Loop() {
			if found, err := s.EventsByKey(b.Context(), keys[:64]); err != nil || len(found) != 64 {
				b.Fatal(len(found), err)
			}
		}
	})
	b.Run("Due/limit=512", func(b *testing.B) {
		for b.Loop() {
			if found, err := s.Due(b.Context(), 1<<60, 1<<60, 512); err != nil || len(found) != 512 {
				b.Fatal(len(found), err)
			}
		}
	})
}
