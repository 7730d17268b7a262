package worker

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/unihook/unihook/gateway"
	"github.com/unihook/unihook/gateway/egress"
	"github.com/unihook/unihook/worker/queue"
)

// Options is what a Worker is made of. Gateway, Store, Queue and Client are required; what is zero gets its default
// from API.md.
type Options struct {
	Gateway *gateway.Gateway
	Store   gateway.Store
	Queue   *queue.Queue
	Client  *egress.Client
	// ID names this process in leases; it must be another for each start.
	ID string
	// Alone says that no other process works on the store: whoever had leases when Run starts is dead.
	Alone bool
	// UserAgent is what requests say of themselves.
	UserAgent string
	// Concurrency is how many requests are in flight at most.
	Concurrency int
	// Grace is how long requests may go on when the context of Run has ended; zero is not at all.
	Grace time.Duration
	// RetryScale multiplies each delay of a retry schedule and of quarantine.
	RetryScale float64
	// ResponseCapture is CaptureFull or CaptureStatus.
	ResponseCapture string
	// QuarantineMax bounds the doubling of cool-downs, before RetryScale.
	QuarantineMax time.Duration
	// Retention and AuditRetention are how long things are kept.
	Retention, AuditRetention time.Duration
	Log                       *slog.Logger
	// Clock and Random, in [0,1), are the real ones where nil.
	Clock  func() time.Time
	Random func() float64
}

func (o *Options) fill() error {
	if o.Gateway == nil || o.Store == nil || o.Queue == nil || o.Client == nil {
		return errors.New("worker: Gateway, Store, Queue and Client are required")
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Random == nil {
		o.Random = rand.Float64
	}
	if o.ID == "" {
		o.ID = gateway.NewID("wrk_", o.Clock())
	}
	orDefault(&o.UserAgent, "Unihook")
	orDefault(&o.Concurrency, 512)
	orDefault(&o.RetryScale, 1)
	orDefault(&o.ResponseCapture, CaptureFull)
	orDefault(&o.QuarantineMax, time.Hour)
	orDefault(&o.Retention, 30*24*time.Hour)
	orDefault(&o.AuditRetention, 400*24*time.Hour)
	return nil
}

func orDefault[T comparable](at *T, value T) {
	var zero T
	if *at == zero {
		*at = value
	}
}

// Worker sends deliveries. One process has one; any number of processes may work on one store.
type Worker struct {
	opts  Options
	store gateway.Store
	log   *slog.Logger

	flights *flights
	slots   *slots
	states  *states
	writer  *writer
	lanes   *lanes
	feeder  feeder
	sweeper sweeper
	counts  counts
	manual  manual
	dropped dropped

	// cut ends requests under way: when the grace period is over.
	cut    context.Context
	cutAll context.CancelFunc
	// starting keeps requests from starting while the worker is being stopped.
	starting  sync.Mutex
	requests  sync.WaitGroup
	jobs      sync.WaitGroup
	stop      chan struct{}
	isStopped atomic.Bool
}

// New makes a Worker. It does nothing before Run.
func New(o Options) (*Worker, error) {
	if err := o.fill(); err != nil {
		return nil, err
	}
	w := &Worker{opts: o, store: o.Store, log: o.Log, flights: newFlights(), slots: newSlots(o.Concurrency), stop: make(chan struct{})}
	w.states = newStates(o.Store, o.Clock)
	w.states.turns = func(at gateway.Time) { w.feeder.lanes.expect(at, w.now()) }
	w.writer = newWriter(o.Store, w.states, o.Clock)
	w.writer.log = func(msg string, err error) { w.log.Error(msg, "error", err) }
	w.writer.announce, w.writer.told = w.healthChanges, w.healthChanged
	w.lanes = newLanes()
	w.cut, w.cutAll = context.WithCancel(context.Background())
	o.Gateway.InFlightHere(w.flights.has)
	o.Gateway.OnCancel(func() { w.lanes.reread() })
	return w, nil
}

func (w *Worker) now() gateway.Time { return gateway.At(w.opts.Clock()) }

// stopping tells that no new request may start.
func (w *Worker) stopping() bool { return w.isStopped.Load() }

// Run works until ctx ends. Then it takes no more, gives back what was not sent, finishes the requests under way
// within Options.Grace, cuts those that are left and gives them back too.
func (w *Worker) Run(ctx context.Context) error {
	background, end := context.WithCancel(context.Background())
	defer end()
	defer w.cutAll()
	// The grace period begins with the end of ctx, whatever the queue takes to end.
	defer context.AfterFunc(ctx, func() {
		w.halt()
		grace := time.AfterFunc(w.opts.Grace, w.cutAll)
		context.AfterFunc(w.cut, func() { grace.Stop() })
	})()
	var loops, writing sync.WaitGroup
	writing.Go(func() { w.writer.run(background, writeLast) })
	if w.opts.Alone {
		if err := w.takeOver(ctx); err != nil {
			w.log.Warn("not all that was under way was taken over; it is when its leases end", "error", err)
		}
	}
	for _, l := range []loop{
		{feedEvery, w.feedOnce}, {markEvery, w.markOnce}, {renewEvery, w.renewOnce}, {sweepEvery, w.sweepOnce}, {purgeEvery(w.opts.Retention), w.purgeOnce},
	} {
		loops.Go(func() { w.loop(ctx, l) })
	}
	err := w.opts.Queue.Serve(ctx, queue.Handlers{
		Run:  func(_ context.Context, run string, deliveries []string) { w.takeRun(background, run, deliveries) },
		Lane: func(_ context.Context, endpoint string) { w.takeLane(background, endpoint) },
		Job:  func(_ context.Context, job string) { w.takeJob(background, job) },
	})
	if ctx.Err() == nil {
		// The queue would not be served: without it there is no worker.
		w.cutAll()
		return errors.Join(errors.New("the queue ended before its time"), err, w.shutdown(&loops, &writing, end))
	}
	return errors.Join(err, w.shutdown(&loops, &writing, end))
}

// writeLast is how long the last results may take to be written.
const writeLast = 800 * time.Millisecond

// shutdown ends requests, then the writer, then the lanes.
func (w *Worker) shutdown(loops, writing *sync.WaitGroup, end context.CancelFunc) error {
	w.halt()
	loops.Wait()
	w.jobs.Wait()
	renewing := make(chan struct{})
	stopRenewing := make(chan struct{})
	go func() {
		defer close(renewing)
		w.renewUntil(stopRenewing)
	}()
	w.requests.Wait()
	w.cutAll()
	close(stopRenewing)
	<-renewing
	end() // the writer writes what there is, and ends
	writing.Wait()
	w.lanes.wait(writeLast)
	return nil
}

// halt lets no new request start.
func (w *Worker) halt() {
	w.starting.Lock()
	was := w.isStopped.Swap(true)
	w.starting.Unlock()
	if !was {
		close(w.stop)
		w.lanes.wakeAll()
	}
}

// begin counts a request that is about to start; it is false where none may.
func (w *Worker) begin() bool {
	w.starting.Lock()
	defer w.starting.Unlock()
	if w.stopping() {
		return false
	}
	w.requests.Add(1)
	return true
}

// loop is one of the worker's loops: once, again and again.
type loop struct {
	every time.Duration
	once  func(ctx context.Context) error
}

// loop runs once at every interval until ctx ends, and logs the first of a row of faults. What once has begun when ctx
// ends, it ends: half of it could leave claims that nobody knows of.
func (w *Worker) loop(ctx context.Context, l loop) {
	ticker := time.NewTicker(l.every)
	defer ticker.Stop()
	failing := false
	for {
		err := l.once(w.cut)
		if err != nil && ctx.Err() == nil && !failing {
			w.log.Warn("a loop of the worker met a fault and goes on", "error", err)
		}
		failing = err != nil
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}
