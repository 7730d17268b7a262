package queue_test

import (
	"fmt"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/unihook/unihook/worker/queue"
)

// BenchmarkEnqueueToStart measures a lone task, in this process and from another one: with ever so little traffic the
// server is asleep when it comes.
func BenchmarkEnqueueToStart(b *testing.B) {
	for _, c := range []struct {
		name string
		real bool
		two  bool
	}{{name: "embedded"}, {name: "redis", real: true}, {name: "redis, another process", real: true, two: true}} {
		b.Run(c.name, func(b *testing.B) {
			var opts queue.Options
			if c.real {
				opts.URI = startRedis(b).uri()
			}
			q := open(b, opts)
			s := serve(b, q)
			from := q
			if c.two {
				from = open(b, opts)
			}
			pause := time.NewTicker(7 * time.Millisecond)
			defer pause.Stop()
			var took []time.Duration
			for i := 0; b.Loop(); i++ {
				<-pause.C
				start := time.Now()
				if err := from.EnqueueRun(b.Context(), fmt.Sprintf("run_%d", i), []string{"dlv_a"}); err != nil {
					b.Fatal(err)
				}
				<-s.runs
				took = append(took, time.Since(start))
			}
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-µs")
			b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-µs")
		})
	}
}

// BenchmarkThroughput measures runs of 64 that come as fast as one enqueuer can.
func BenchmarkThroughput(b *testing.B) {
	ids := make([]string, 64)
	for i := range ids {
		ids[i] = fmt.Sprintf("dlv_01k00000000000000000000%03d", i)
	}
	for _, real := range []bool{false, true} {
		b.Run(fmt.Sprintf("redis=%v", real), func(b *testing.B) {
			var opts queue.Options
			if real {
				opts.URI = startRedis(b).uri()
			}
			q := open(b, opts)
			s := serve(b, q)
			n := 0
			for b.Loop() {
				if err := q.EnqueueRun(b.Context(), fmt.Sprintf("run_%d", n), ids); err != nil {
					b.Fatal(err)
				}
				n++
			}
			for range n {
				<-s.runs
			}
		})
	}
}

// BenchmarkIdle measures what a served queue costs while nothing happens: the share of a core, over five seconds.
func BenchmarkIdle(b *testing.B) {
	for _, real := range []bool{false, true} {
		b.Run(fmt.Sprintf("redis=%v", real), func(b *testing.B) {
			var opts queue.Options
			if real {
				opts.URI = startRedis(b).uri()
			}
			q := open(b, opts)
			s := serve(b, q)
			if err := q.EnqueueRun(b.Context(), "run_1", []string{"dlv_a"}); err != nil {
				b.Fatal(err)
			}
			<-s.runs
			<-time.After(4 * time.Second) // the gauge comes to rest
			for range b.N {
				before, start := cpuTime(b), time.Now()
				<-time.After(5 * time.Second)
				b.ReportMetric(100*float64(cpuTime(b)-before)/float64(time.Since(start)), "%core")
			}
		})
	}
}

func cpuTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
