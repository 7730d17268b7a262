package worker_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/unihook/unihook/gateway"
	"github.com/unihook/unihook/worker"
	"github.com/unihook/unihook/worker/queue"
)

func TestRecover_AQueueThatForgot(t *testing.T) {
	b := open(t)
	r := receive(t, nil)
	b.organisation("org_a")
	b.webhook("org_a", nil, r.URL)
	const events = 300
	began := time.Now()
	for n := range events {
		b.publish("org_a", n) // into a queue that nobody serves
	}
	empty, err := queue.Open(t.Context(), queue.Options{})
	if err != nil {
		t.Fatal(err)
	}
	b.change = append(b.change, func(o *worker.Options) { o.Queue = empty })
	_, stop := b.run()
	b.settled()
	stop()
	if err := empty.Close(); err != nil {
		t.Error(err)
	}
	// Without the mark all would wait for the end of their claims.
	if waited := r.ledger()[0].at.Sub(began); waited > gateway.ClaimFor-time.Second {
		t.Errorf("the first came after %v", waited)
	}
	if times := r.times(); len(times) != events || len(r.ledger()) != events {
		t.Errorf("%d events in %d requests, want %d once each", len(times), len(r.ledger()), events)
	}
}

// cutStore fails writes of results while it is away.
type cutStore struct {
	gateway.Store
	away atomic.Bool
	// refused counts results that came while it was away.
	refused atomic.Int64
}

func (s *cutStore) Record(ctx context.Context, results []gateway.Result) error {
	if s.away.Load() {
		s.refused.Add(int64(len(results)))
		return fmt.Errorf("recording: %w", gateway.ErrAway)
	}
	return s.Store.Record(ctx, results)
}

func TestRecover_AStoreThatWasAway_NoRequestIsRepeatedOrUnrecorded(t *testing.T) {
	store := &cutStore{}
	b := open(t, func(o *worker.Options) { o.Store = store })
	store.Store = b.store
	r := receive(t, nil)
	b.organisation("org_a")
	b.webhook("org_a", nil, r.URL)
	b.run()
	b.publish("org_a", 0)
	b.settled()
	store.away.Store(true)
	b.publish("org_a", 1)
	b.eventually("a result is refused again: the worker knows", func() bool { return store.refused.Load() > 1 })
	sent := len(r.ledger())
	for n := range 50 {
		b.publish("org_a", 2+n)
	}
	b.eventually("it is tried again and again", func() bool { return store.refused.Load() > 4 })
	if now := len(r.ledger()); now != sent {
		t.Errorf("%d requests started while results could not be written", now-sent)
	}
	store.away.Store(false)
	b.settled()
	if times := r.times(); len(times) != 52 || len(r.ledger()) != 52 {
		t.Errorf("%d events in %d requests", len(times), len(r.ledger()))
	}
}

func TestRecover_AResultThatTheStoreRefuses_HoldsUpNobody(t *testing.T) {
	store := &choosyStore{}
	b := open(t, func(o *worker.Options) { o.Store = store })
	store.Store = b.store
	r := receive(t, func(out http.ResponseWriter, _ *http.Request) { _, _ = out.Write([]byte("poison")) })
	b.organisation("org_a")
	b.webhook("org_a", nil, r.URL)
	b.run()
	for n := range 5 {
		b.publish("org_a", n)
	}
	b.settled()
	for _, d := range b.deliveries(gateway.DeliveryFilter{}) {
		if d.Status != gateway.Delivered || d.Attempts[0].ResponseBody != "" {
			t.Errorf("got %+v", d)
		}
	}
}

// choosyStore refuses what has a response.
type choosyStore struct{ gateway.Store }

func (s *choosyStore) Record(ctx context.Context, results []gateway.Result) error {
	for _, r := range results {
		if r.Attempt != nil && r.Attempt.ResponseBody != "" {
			return errors.New("it does not fit")
		}
	}
	return s.Store.Record(ctx, results)
}

func TestStop_FinishesRequestsAndLosesNothing(t *testing.T) {
	b := open(t)
	var begun, ended atomic.Int32
	r := receive(t, nil)
	release := make(chan struct{})
	r.answers(func(http.ResponseWriter, *http.Request) {
		begun.Add(1)
		<-release
		ended.Add(1)
	})
	b.organisation("org_a")
	b.webhook("org_a", nil, r.URL)
	_, stop := b.run()
	const events = 40
	for n := range events {
		b.publish("org_a", n)
	}
	b.eventually("requests are under way", func() bool { return begun.Load() == 8 })
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		stop()
	}()
	close(release)
	<-stopped
	if counts := b.counts(gateway.DeliveryFilter{}); counts[gateway.Delivered] != int(begun.Load()) || begun.Load() != ended.Load() {
		t.Errorf("after the stop %v, %d requests begun, %d ended", counts, begun.Load(), ended.Load())
	}
	b.run()
	b.settled()
	if times := r.times(); len(times) != events || len(r.ledger()) != events {
		t.Errorf("%d events in %d requests", len(times), len(r.ledger()))
	}
}

func TestStop_CutsWhatDoesNotEndInTime_AndGivesItBack(t *testing.T) {
	b := open(t, func(o *worker.Options) { o.Grace = 50 * time.Millisecond })
	release := make(chan struct{})
	r := receive(t, func(http.ResponseWriter, *http.Request) { <-release })
	b.organisation("org_a")
	b.webhook("org_a", nil, r.URL)
	b.mark(b.queue)
	_, stop := b.run()
	b.publish("org_a", 1)
	r.next(t)
	began := time.Now()
	stop()
	if took := time.Since(began); took > 15*time.Second { // the request itself would go on for 30 s
		t.Errorf("the stop took %v", took)
	}
	close(release)
	d := b.deliveries(gateway.DeliveryFilter{})[0]
	if d.Status != gateway.Pending || len(d.Attempts) != 0 || d.Place.LookAt > gateway.At(time.Now()) {
		t.Errorf("it was not given back: %+v", d)
	}
	b.run()
	b.settled()
}

// mark has queues not be taken for wiped ones: then the claims of requests under way would be fed too.
func (b *bench) mark(queues ...*queue.Queue) {
	b.t.Helper()
	for _, q := range queues {
		b.insist(func() error {
			_, err := q.Mark(b.t.Context())
			return err
		})
	}
}

func TestTwoWorkers_OnceEach(t *testing.T) {
	b := open(t, scale(0.001))
	r := receive(t, status(503))
	b.organisation("org_a")
	b.webhook("org_a", all(retries("1000s", "20h"), quarantine(0, "1m")), r.URL)
	// One queue cannot be served twice in a process: the second worker has its own, and lives by its feeder.
	second, err := queue.Open(t.Context(), queue.Options{})
	if err != nil {
		t.Fatal(err)
	}
	b.mark(b.queue, second)
	b.run()
	b.change = append(b.change, func(o *worker.Options) { o.Queue = second })
	_, stop := b.run()
	const events = 100
	for n := range events {
		b.publish("org_a", n)
	}
	b.eventually("each was tried twice", func() bool { return len(r.ledger()) >= 2*events })
	b.eventually("the results are stored", func() bool { return b.waiting(gateway.Retrying) == events })
	stop()
	if err := second.Close(); err != nil {
		t.Error(err)
	}
	for id, n := range r.times() {
		if n != 2 {
			t.Errorf("%s was sent %d times, want one attempt per due time", id, n)
		}
	}
}

func TestForgedTasks_DoNothing(t *testing.T) {
	b := open(t)
	r := receive(t, nil)
	b.organisation("org_a")
	w := b.webhook("org_a", nil, r.URL)
	b.run()
	b.publish("org_a", 1)
	b.settled()
	d := b.deliveries(gateway.DeliveryFilter{})[0]
	b.insist(func() error { return b.queue.EnqueueRun(t.Context(), "run_forged", []string{d.ID, "dlv_none"}) })
	for _, endpoint := range []string{"ep_none", w.Endpoints[0].ID} {
		b.insist(func() error { return b.queue.EnqueueLane(t.Context(), endpoint) })
	}
	b.insist(func() error { return b.queue.EnqueueJob(t.Context(), "job_none") })
	b.publish("org_a", 2)
	b.settled()
	if got := len(r.ledger()); got != 2 {
		t.Errorf("%d requests, want 2", got)
	}
}

func TestRecover_AloneOnTheStore_NobodysLeaseIsWaitedFor(t *testing.T) {
	b := open(t, func(o *worker.Options) { o.Alone = true })
	r := receive(t, nil)
	b.organisation("org_a")
	w := b.webhook("org_a", func(in *gateway.WebhookInput) { in.Ordered = gateway.Given(true) }, r.URL)
	b.publish("org_a", 0) // claimed for a run that nobody takes
	dead := gateway.At(time.Now().Add(gateway.ClaimFor))
	b.deadLane(w, dead)
	b.publish("org_a", 1) // parked behind a lease that nobody ends
	d := b.deliveries(gateway.DeliveryFilter{})[1]
	job := gateway.Job{ID: "job_retry_" + d.ID, Kind: gateway.JobRetry, Organisation: "org_a", Ref: d.ID, Owner: "dead", OwnerUntil: dead.Add(time.Minute)}
	job.TurnAt = job.OwnerUntil
	if err := b.store.InsertJob(t.Context(), job); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	b.run()
	b.settled()
	b.eventually("the job is done", func() bool {
		_, err := b.store.Job(t.Context(), job.ID)
		return errors.Is(err, gateway.ErrNotFound)
	})
	if took := time.Since(began); took > gateway.ClaimFor-time.Second {
		t.Errorf("it took %v, as if for the end of the leases", took)
	}
}

// deadLane leaves the lane of the webhook's endpoint to an owner that is no more.
func (b *bench) deadLane(w gateway.Webhook, until gateway.Time) {
	b.t.Helper()
	s := gateway.EndpointState{
		ID: w.Endpoints[0].ID, Organisation: w.Organisation, Webhook: w.ID, InLane: true, Owner: "dead", OwnerUntil: until, TurnAt: until,
	}
	if stale, err := b.store.SwapEndpoints(b.t.Context(), []gateway.EndpointState{s}); err != nil || len(stale) > 0 {
		b.t.Fatal(stale, err)
	}
}

func TestRecover_AClaimThatEnded(t *testing.T) {
	b := open(t)
	r := receive(t, nil)
	b.organisation("org_a")
	b.webhook("org_a", nil, r.URL)
	b.publish("org_a", 1)
	// The process that claimed it is dead, and so is its task.
	d := b.deliveries(gateway.DeliveryFilter{})[0]
	if err := b.store.RenewRun(t.Context(), d.Place.Run, []string{d.ID}, gateway.At(time.Now()).Add(300*time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	other, err := queue.Open(t.Context(), queue.Options{})
	if err != nil {
		t.Fatal(err)
	}
	b.mark(other)
	b.change = append(b.change, func(o *worker.Options) { o.Queue = other })
	_, stop := b.run()
	b.settled()
	stop()
	if err := other.Close(); err != nil {
		t.Error(err)
	}
	if got := r.ledger(); len(got) != 1 || got[0].at.Sub(d.CreatedAt.Time()) < 250*time.Millisecond {
		t.Errorf("%d requests, before the claim ended", len(got))
	}
}

func TestRecover_ALaneWhoseOwnerDied(t *testing.T) {
	b := open(t)
	r := receive(t, nil)
	b.organisation("org_a")
	w := b.webhook("org_a", ordered, r.URL)
	for n := range 5 {
		b.publish("org_a", n)
	}
	until := gateway.At(time.Now()).Add(400 * time.Millisecond)
	stale, err := b.store.SwapEndpoints(t.Context(), []gateway.EndpointState{{
		ID: w.Endpoints[0].ID, Organisation: "org_a", Webhook: w.ID, InLane: true, Owner: "wrk_dead", OwnerUntil: until, TurnAt: until,
	}})
	if err != nil || len(stale) > 0 {
		t.Fatal(stale, err)
	}
	b.run()
	b.settled()
	for n, got := range r.ledger() {
		if want := fmt.Sprintf("evt_org_a_%06d", n); got.id() != want || gateway.At(got.at) < until-5 {
			t.Errorf("request %d is %s at %v, before the lease ended", n, got.id(), got.at)
		}
	}
}

func TestDoubledTask_WhileInFlight_SendsOnce(t *testing.T) {
	b := open(t)
	release := make(chan struct{})
	r := receive(t, func(http.ResponseWriter, *http.Request) { <-release })
	b.organisation("org_a")
	b.webhook("org_a", nil, r.URL)
	b.run()
	b.publish("org_a", 1)
	r.next(t)
	d := b.deliveries(gateway.DeliveryFilter{})[0]
	for range 3 {
		b.insist(func() error { return b.queue.EnqueueRun(t.Context(), d.Place.Run, []string{d.ID}) })
	}
	b.publish("org_a", 2)
	r.next(t)
	close(release)
	b.settled()
	if got := len(r.ledger()); got != 2 {
		t.Errorf("%d requests, want 2", got)
	}
}

func TestCancelled_WhileItWaitsInALane_IsNotSent(t *testing.T) {
	b := open(t)
	release := make(chan struct{})
	r := receive(t, func(http.ResponseWriter, *http.Request) { <-release })
	b.organisation("org_a")
	b.webhook("org_a", ordered, r.URL)
	b.run()
	for n := range 3 {
		b.publish("org_a", n)
	}
	r.next(t)
	b.eventually("the others wait", func() bool { return b.waiting(gateway.InOrder) == 3 })
	d := b.deliveries(gateway.DeliveryFilter{Event: "evt_org_a_000001"})[0]
	if _, err := b.gateway.CancelDelivery(t.Context(), operator, d); err != nil {
		t.Fatal(err)
	}
	close(release)
	b.settled()
	if times := r.times(); len(times) != 2 || times["evt_org_a_000001"] != 0 {
		t.Errorf("the receiver got %v", times)
	}
}

func TestTimeout_AndTheRestThatAReceiverCanDo(t *testing.T) {
	b := open(t, scale(0.001))
	release := make(chan struct{})
	defer close(release)
	b.organisation("org_a")
	want := map[string]gateway.Failure{}
	for _, c := range []struct {
		answer  http.HandlerFunc
		failure gateway.Failure
	}{
		{func(http.ResponseWriter, *http.Request) { <-release }, "timeout"},
		{func(out http.ResponseWriter, in *http.Request) {
			http.Redirect(out, in, "/elsewhere", http.StatusFound)
		}, "redirect"},
		{func(out http.ResponseWriter, _ *http.Request) {
			conn, _, err := http.NewResponseController(out).Hijack()
			if err == nil {
				_ = conn.Close()
			}
		}, "response"},
	} {
		r := receive(t, c.answer)
		w := b.webhook("org_a", func(in *gateway.WebhookInput) {
			if c.failure == "timeout" { // the others answer, and get time for it
				in.TimeoutSeconds = gateway.Given(1)
			}
			retries()(in)
		}, r.URL)
		want[w.ID] = c.failure
	}
	b.run()
	b.publish("org_a", 1)
	b.settled()
	for _, d := range b.deliveries(gateway.DeliveryFilter{}) {
		if d.Status != gateway.Failed || d.Attempts[0].Failure != want[d.Webhook] || d.Attempts[0].Error == "" {
			t.Errorf("want %s, got %+v", want[d.Webhook], d)
		}
	}
}
