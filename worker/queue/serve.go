package queue

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
)

// Handlers are called for tasks, each in a goroutine of its own. Their contexts end a minute after the start, or with
// Serve's. They check what a task says against the store: it may be stale, doubled or forged. Nil ones leave their kind
// of task to other processes.
type Handlers struct {
	Run  func(ctx context.Context, run string, deliveries []string)
	Lane func(ctx context.Context, endpoint string)
	Job  func(ctx context.Context, job string)
}

// stopFor is how long the parts of Asynq may take to end beyond the handlers' grace: each may be within a call to a
// Redis that hangs.
const stopFor = 8 * time.Second

// Serve hands tasks to handlers until ctx ends; then it takes no more, waits for the handlers (Options.Grace) and
// returns nil, or an error when they or Redis took longer. A Redis that is away, comes back empty or forgets all in
// between is waited for. One Serve at a time.
func (q *Queue) Serve(ctx context.Context, h Handlers) error {
	if !q.serving.CompareAndSwap(false, true) {
		return errors.New("serving the queue: it is served already")
	}
	defer q.serving.Store(false)

	rdb := q.target.client(serveTimeout)
	defer func() { _ = rdb.Close() }()
	w := &waiter{nudges: q.nudges, stopping: make(chan struct{})}
	rdb.AddHook(w)

	var background sync.WaitGroup
	if q.news != nil {
		background.Go(func() { q.listen(ctx, rdb) })
	}
	var servers []*asynq.Server
	for k, call := range q.calls(h) {
		s := q.server(rdb, k)
		if err := s.Start(q.handler(ctx, k, call)); err != nil {
			panic("queue: a new server does not start: " + err.Error()) // it does not connect
		}
		servers = append(servers, s)
	}
	<-ctx.Done()
	close(w.stopping)
	background.Wait()
	return q.shutdown(servers)
}

// calls is what to do with each kind of task that has a handler.
func (q *Queue) calls(h Handlers) map[kind]func(ctx context.Context, id string, deliveries []string) {
	calls := map[kind]func(context.Context, string, []string){}
	if h.Run != nil {
		calls[runTask] = h.Run
	}
	if h.Lane != nil {
		calls[laneTask] = func(ctx context.Context, id string, _ []string) { h.Lane(ctx, id) }
	}
	if h.Job != nil {
		calls[jobTask] = func(ctx context.Context, id string, _ []string) { h.Job(ctx, id) }
	}
	return calls
}

func (q *Queue) server(rdb redis.UniversalClient, k kind) *asynq.Server {
	return asynq.NewServerFromRedisClient(rdb, asynq.Config{
		Concurrency: q.opts.Concurrency,
		Queues:      map[string]int{k.queue(): 1},
		// The hook waits; this is only what Asynq sleeps after it.
		TaskCheckInterval: time.Millisecond,
		RetryDelayFunc:    func(int, error, *asynq.Task) time.Duration { return time.Second },
		ShutdownTimeout:   q.opts.Grace,
		// Completed tasks are not kept, so there is nothing to clear.
		JanitorInterval: time.Hour,
		Logger:          &asynqLog{log: q.log.With("queue", string(k))},
		LogLevel:        asynq.WarnLevel,
	})
}

// handler makes of a call what Asynq runs. It answers nil whatever happens: a task is a hint, and the store knows what
// must be tried again.
func (q *Queue) handler(serve context.Context, k kind, call func(context.Context, string, []string)) asynq.HandlerFunc {
	return func(ctx context.Context, t *asynq.Task) error {
		if k == runTask {
			q.age.stir()
		}
		id, deliveries, err := parsePayload(k, t.Payload())
		if err == nil && t.Type() != string(k) {
			err = errPayload
		}
		if err != nil {
			q.counts.dropped.Add(1)
			q.log.Warn("dropping a task", "kind", string(k), "bytes", len(t.Payload()), "error", err)
			return nil
		}
		q.counts.taken.Add(1)
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		defer context.AfterFunc(serve, cancel)()
		defer func() {
			if x := recover(); x != nil {
				q.counts.panics.Add(1)
				q.log.Error("a task's handler panicked", "kind", string(k), "id", id, "panic", fmt.Sprint(x),
					"stack", string(debug.Stack()))
			}
		}()
		call(ctx, id, deliveries)
		return nil
	}
}

// listen hears of tasks that other processes queued. The client connects again by itself.
func (q *Queue) listen(ctx context.Context, rdb redis.UniversalClient) {
	sub := rdb.Subscribe(ctx, wakeChannel)
	defer func() { _ = sub.Close() }()
	words := sub.Channel(redis.WithChannelHealthCheckInterval(10 * time.Second))
	for {
		select {
		case <-ctx.Done():
			return
		case m, ok := <-words:
			if !ok {
				return
			}
			if k := kind(m.Payload); q.nudges[k] != nil {
				q.nudge(k)
			}
		}
	}
}

func (q *Queue) shutdown(servers []*asynq.Server) error {
	done := make(chan struct{})
	go func() {
		defer close(done)
		var wg sync.WaitGroup
		for _, s := range servers {
			wg.Go(s.Shutdown)
		}
		wg.Wait()
	}()
	timer := time.NewTimer(q.opts.Grace + stopFor)
	defer timer.Stop()
	select {
	case <-done:
		return nil
	case <-timer.C:
		return errors.New("serving the queue: it did not end in time")
	}
}
