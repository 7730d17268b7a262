package main

import (
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/unihook/unihook/gateway/api"
	"github.com/unihook/unihook/worker"
	"github.com/unihook/unihook/worker/queue"
)

// metrics is what GET /metrics answers. Labels are routes and classes, never an address, a key or an id.
type metrics struct {
	registry *prometheus.Registry
	requests *prometheus.HistogramVec
}

func newMetrics(n *node) *metrics {
	m := &metrics{registry: prometheus.NewRegistry()}
	m.requests = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "unihook_http_request_seconds", Help: "Time to answer requests to the API, by route.",
		Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5},
	}, []string{"method", "route", "status"})
	m.registry.MustRegister(m.requests, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	m.registry.MustRegister(&queueCollector{n.queue})
	return m
}

func (m *metrics) handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
}

// observe notes one request to the API.
func (m *metrics) observe(method, route string, status int, took time.Duration) {
	m.requests.WithLabelValues(method, route, strconv.Itoa(status)).Observe(took.Seconds())
}

// watchAPI adds what the API counts.
func (m *metrics) watchAPI(a *api.API) {
	m.registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{
		Name: "unihook_http_panics_total", Help: "Requests to the API that ended in a panic, which was answered as an internal error.",
	}, func() float64 { return float64(a.Panics()) }))
}

// watchWorker adds what a worker counts.
func (m *metrics) watchWorker(w *worker.Worker) { m.registry.MustRegister(&workerCollector{w}) }

func description(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("unihook_"+name, help, labels, nil)
}

// What the collectors tell.
var (
	queueBehind = description("queue_behind_seconds", "Age of the oldest run that waits.")
	queueTasks  = description("queue_tasks_total", "Tasks by what became of them.", "outcome")

	workerResults  = description("deliveries_total", "Results of deliveries; retried ones are tried again.", "result")
	workerAttempts = description("attempts_total", "Requests by their class of failure; none is success.", "failure")
	workerMoves    = description("moves_total", "Deliveries moved between places.", "move")
	workerAsides   = description("quarantines_total", "Quarantines that began.")
	workerFlights  = description("requests_in_flight", "Requests under way, by the kind of endpoint.", "endpoint")
	workerLanes    = description("lanes_owned", "Lanes that this process works.")
	workerPanics   = description("worker_panics_total", "Mappings, attempts and lanes that ended in a panic, which was recovered.")
)

// queueCollector reads the queue's counts once per scrape.
type queueCollector struct{ queue *queue.Queue }

// Describe names the metrics.
func (*queueCollector) Describe(to chan<- *prometheus.Desc) {
	to <- queueBehind
	to <- queueTasks
}

// Collect reads them.
func (c *queueCollector) Collect(to chan<- prometheus.Metric) {
	s := c.queue.Stats()
	to <- prometheus.MustNewConstMetric(queueBehind, prometheus.GaugeValue, c.queue.Behind().Seconds())
	counters(to, queueTasks, map[string]int64{
		"enqueued": s.Enqueued, "failed": s.Failed, "skipped": s.Skipped, "taken": s.Taken, "dropped": s.Dropped, "panicked": s.Panics,
	})
}

// workerCollector reads a worker's counts once per scrape.
type workerCollector struct{ worker *worker.Worker }

// Describe names the metrics.
func (*workerCollector) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{workerResults, workerAttempts, workerMoves, workerAsides, workerFlights, workerLanes, workerPanics} {
		to <- d
	}
}

// Collect reads them.
func (c *workerCollector) Collect(to chan<- prometheus.Metric) {
	s := c.worker.Stats()
	counters(to, workerResults, map[string]int64{"delivered": s.Delivered, "retried": s.Retried, "failed": s.Failed, "cancelled": s.Cancelled})
	attempts := map[string]int64{}
	for class, n := range s.Attempts {
		if class == "" {
			class = "none"
		}
		attempts[class] = n
	}
	counters(to, workerAttempts, attempts)
	counters(to, workerMoves, map[string]int64{"parked": s.Parked, "fed": s.Fed})
	to <- prometheus.MustNewConstMetric(workerAsides, prometheus.CounterValue, float64(s.Quarantined))
	to <- prometheus.MustNewConstMetric(workerFlights, prometheus.GaugeValue, float64(s.InFlight-s.Slow), "quick")
	to <- prometheus.MustNewConstMetric(workerFlights, prometheus.GaugeValue, float64(s.Slow), "slow")
	to <- prometheus.MustNewConstMetric(workerLanes, prometheus.GaugeValue, float64(s.Lanes))
	to <- prometheus.MustNewConstMetric(workerPanics, prometheus.CounterValue, float64(s.Panics))
}

// counters sends one counter per label.
func counters(to chan<- prometheus.Metric, d *prometheus.Desc, values map[string]int64) {
	for label, n := range values {
		to <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(n), label)
	}
}
