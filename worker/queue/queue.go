package queue

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/go-redis/redis_rate/v10"
	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"github.com/unihook/unihook/gateway"
)

// Options say which Redis to use and how hard to work.
type Options struct {
	// URI names a Redis (see the README's settings); empty is one inside the process, which forgets all at exit.
	URI string
	// Insecure allows a Redis off loopback that has no password.
	Insecure bool
	// Log is where faults are told; nil discards them.
	Log *slog.Logger
	// Concurrency is how many tasks of a kind are handled at once; 0 is 32.
	Concurrency int
	// Grace is how long Serve waits for handlers when its context has ended; 0 is 5 s.
	Grace time.Duration
}

// Queue is a connection to the queue. It is safe for concurrent use.
type Queue struct {
	opts     Options
	log      *slog.Logger
	target   target
	embedded *miniredis.Miniredis // nil with an URI
	rdb      redis.UniversalClient
	client   *asynq.Client
	limiter  *redis_rate.Limiter

	// nudges wake this process's servers; each has room for one, since one look finds all.
	nudges map[kind]chan struct{}
	// news tells the other processes; nil when there are none.
	news *messenger
	age  *gauge

	restUntil atomic.Int64 // Unix nanoseconds: no try before
	serving   atomic.Bool
	counts    counts

	stop context.CancelFunc
	wg   sync.WaitGroup
}

var _ gateway.Queue = (*Queue)(nil)

// Stats counts what happened since Open.
type Stats struct {
	// Enqueued tasks; Failed ones met an error, Skipped ones came within a second after one.
	Enqueued, Failed, Skipped int64
	// Taken tasks were handed to a handler; Dropped ones could not be read; Panics are handlers that panicked.
	Taken, Dropped, Panics int64
}

type counts struct{ enqueued, failed, skipped, taken, dropped, panics atomic.Int64 }

// Open connects to the queue. A Redis that is away is no error: Ping tells it, and all goes on when it is back. The
// context is that of opening alone.
func Open(ctx context.Context, opts Options) (*Queue, error) {
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	if opts.Concurrency <= 0 {
		opts.Concurrency = 32
	}
	if opts.Grace <= 0 {
		opts.Grace = 5 * time.Second
	}
	quietRedis()
	q := &Queue{opts: opts, log: opts.Log}
	if err := q.connect(); err != nil {
		return nil, err
	}
	q.nudges = map[kind]chan struct{}{}
	for _, k := range []kind{runTask, laneTask, jobTask} {
		q.nudges[k] = make(chan struct{}, 1)
	}
	q.client = asynq.NewClientFromRedisClient(q.rdb)
	q.limiter = redis_rate.NewLimiter(q.rdb)
	q.age = newGauge(q.rdb)

	background, stop := context.WithCancel(context.Background())
	q.stop = stop
	q.wg.Go(func() { q.age.run(background) })
	if q.embedded != nil {
		q.wg.Go(func() { expire(background, q.embedded) })
	} else {
		q.news = newMessenger(q.rdb)
		q.wg.Go(func() { q.news.run(background) })
	}
	if err := q.Ping(ctx); err != nil {
		q.log.Warn("the queue is away; what is accepted waits in the store", "error", err)
	}
	return q, nil
}

// Listeners are where the Redis listens, the embedded one or those of the URI that are named by an address or as
// localhost: the guard lets no target lead there. Names are not looked up, since what they lead to may change.
func (q *Queue) Listeners() []netip.AddrPort {
	var list []netip.AddrPort
	addrs, _, _ := q.target.addresses()
	for _, a := range addrs {
		if port, ok := strings.CutPrefix(a, "localhost:"); ok {
			a = "127.0.0.1:" + port
			if at, err := netip.ParseAddrPort("[::1]:" + port); err == nil {
				list = append(list, at)
			}
		}
		if at, err := netip.ParseAddrPort(a); err == nil {
			list = append(list, at)
		}
	}
	return list
}

func (q *Queue) connect() (err error) {
	if q.opts.URI == "" {
		if q.embedded, q.target, err = embed(); err != nil {
			return err
		}
	} else {
		if q.target, err = parseURI(q.opts.URI); err != nil {
			return err
		}
		if err := q.target.check(); err != nil && !q.opts.Insecure {
			return err
		}
	}
	q.rdb = q.target.client(enqueueTimeout)
	return nil
}

// expire moves the embedded Redis's clock: it lets no key expire by itself.
func expire(ctx context.Context, m *miniredis.Miniredis) {
	const step = time.Second
	tick := time.NewTicker(step)
	defer tick.Stop()
	last := time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			m.FastForward(now.Sub(last))
			last = now
		}
	}
}

// Ping tells whether Redis answers, within a second.
func (q *Queue) Ping(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	if err := q.rdb.Ping(ctx).Err(); err != nil {
		return fmt.Errorf("asking Redis: %w", err)
	}
	return nil
}

// Stats is what happened since Open.
func (q *Queue) Stats() Stats {
	c := &q.counts
	return Stats{
		Enqueued: c.enqueued.Load(), Failed: c.failed.Load(), Skipped: c.skipped.Load(),
		Taken: c.taken.Load(), Dropped: c.dropped.Load(), Panics: c.panics.Load(),
	}
}

// Close ends the connection, and the embedded Redis with all that it holds. Serve must have ended.
func (q *Queue) Close() error {
	if q.serving.Load() {
		return errors.New("closing the queue: it is still served")
	}
	q.stop()
	q.wg.Wait()
	err := q.rdb.Close()
	if q.embedded != nil {
		q.embedded.Close()
	}
	return err
}
