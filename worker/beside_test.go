package worker_test

import (
	"context"
	"fmt"
	"net/http"
	"sync/atomic"
	"testing"

	"github.com/unihook/unihook/gateway"
	"github.com/unihook/unihook/worker"
	"github.com/unihook/unihook/worker/queue"
)

func TestRetry_ByHandOfWhatAnotherWorkersLaneSends_ComesAfterIt(t *testing.T) {
	b := open(t)
	release := make(chan struct{})
	var at, most atomic.Int32
	r := receive(t, func(http.ResponseWriter, *http.Request) {
		most.Store(max(most.Load(), at.Add(1)))
		<-release
		at.Add(-1)
	})
	b.organisation("org_a")
	w := b.webhook("org_a", ordered, r.URL)
	b.run()
	b.publish("org_a", 0)
	r.next(t)
	owner := b.state(w.Endpoints[0].ID).Owner
	second, err := queue.Open(t.Context(), queue.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = second.Close() })
	b.change = append(b.change, func(o *worker.Options) { o.Queue = second })
	b.run() // whom the gateway asks from now on what is in flight
	d := b.deliveries(gateway.DeliveryFilter{})[0]
	if err := b.gateway.RetryDelivery(t.Context(), operator, d); err != nil {
		t.Fatal(err)
	}
	b.eventually("both workers have met the job", func() bool {
		j, err := b.store.Job(t.Context(), "job_retry_"+d.ID)
		return err == nil && j.Version > 12 || len(r.ledger()) > 1
	})
	if got := len(r.ledger()); got != 1 {
		t.Errorf("%d requests beside each other", got)
	}
	close(release)
	r.next(t)
	b.settled()
	if owner == "" || most.Load() != 1 {
		t.Errorf("%d requests at once, the lane was %q's", most.Load(), owner)
	}
	b.eventually("the job is over", func() bool {
		_, err := b.store.Job(t.Context(), "job_retry_"+d.ID)
		return err != nil
	})
}

// jobsAway is a store that goes away when a replay is read for the second time, as far as replays and jobs go.
type jobsAway struct {
	gateway.Store
	away           atomic.Bool
	reads, refused atomic.Int64
}

func (s *jobsAway) fault() error {
	if !s.away.Load() {
		return nil
	}
	s.refused.Add(1)
	return fmt.Errorf("asking: %w", gateway.ErrAway)
}

func (s *jobsAway) Replay(ctx context.Context, scope gateway.Scope, id string) (gateway.Replay, error) {
	if s.reads.Add(1) == 2 {
		s.away.Store(true)
	}
	if err := s.fault(); err != nil {
		return gateway.Replay{}, err
	}
	return s.Store.Replay(ctx, scope, id)
}

func (s *jobsAway) Job(ctx context.Context, id string) (gateway.Job, error) {
	if err := s.fault(); err != nil {
		return gateway.Job{}, err
	}
	return s.Store.Job(ctx, id)
}

func (s *jobsAway) SwapJob(ctx context.Context, j gateway.Job) error {
	if j.Owner == "" {
		if err := s.fault(); err != nil {
			return err
		}
	}
	return s.Store.SwapJob(ctx, j)
}

func TestReplay_GoesOnSoonWhenTheStoreIsBack(t *testing.T) {
	store := &jobsAway{}
	b := open(t)
	r := receive(t, status(500))
	b.organisation("org_a")
	w := b.webhook("org_a", all(retries(), quarantine(0, "1m")), r.URL)
	b.change = append(b.change, useStore(store))
	store.Store = b.store
	b.run()
	b.publish("org_a", 0)
	b.settled()
	r.answers(nil)
	started := b.replay(w, gateway.ReplayInput{})
	b.eventually("the job can neither be done nor be given back", func() bool { return store.refused.Load() > 1 })
	store.away.Store(false)
	b.within(patience/2, "the replay is done", func() bool {
		now, err := b.gateway.FindReplay(t.Context(), operator, started.ID)
		return err == nil && now.Status == gateway.ReplayDone
	})
}
