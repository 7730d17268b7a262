package faults

import (
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"testing"
	"time"

	_ "modernc.org/sqlite" // to hold the store's lock as another process would
)

// inFlightBound is the most requests that two workers can have had under way at a fault: what may arrive twice.
const inFlightBound = 2 * 512

// fault is one way of breaking what is around the program.
type fault struct {
	name   string
	stores []backing
	// inject breaks and mends; it returns when all is whole again.
	inject func(c *cluster)
	// quick bounds the answers to a publisher while it lasts: each of them in the long form, which has a machine to itself,
	// and the middle one in the short form. 0 is no bound.
	quick time.Duration
	// recover is how long after the fault the last event may take.
	recover time.Duration
	// once demands that nothing arrives twice.
	once bool
}

// pick is a duration in the short form and another in the long one.
func pick(short, whole time.Duration) time.Duration {
	if long {
		return whole
	}
	return short
}

var both = []backing{sqlite, mongo}

var faults = []fault{
	{name: "none", stores: both, inject: func(*cluster) {}, recover: 30 * time.Second, once: true},
	{name: "api killed", stores: both, inject: func(c *cluster) {
		c.api.kill()
		c.startAPI()
	}, recover: 45 * time.Second},
	{name: "worker killed in the middle of requests", stores: both, inject: func(c *cluster) {
		c.workers[0].kill()
		c.startWorker()
	}, recover: 60 * time.Second},
	{name: "all workers killed", stores: both, inject: func(c *cluster) {
		for _, w := range c.workers {
			w.kill()
		}
		c.startWorker()
	}, recover: 60 * time.Second},
	{name: "redis flushed", stores: both, inject: func(c *cluster) { c.redis.flush() }, recover: 45 * time.Second},
	{name: "redis away and back empty", stores: both, inject: func(c *cluster) {
		c.redis.restart(pick(3*time.Second, 60*time.Second))
	}, quick: 1500 * time.Millisecond, recover: 60 * time.Second},
	{name: "redis frozen", stores: both, inject: func(c *cluster) {
		c.redis.freeze(pick(4*time.Second, 40*time.Second))
	}, quick: 1500 * time.Millisecond, recover: 60 * time.Second},
	{name: "redis cut for 2 s", stores: both, inject: func(c *cluster) {
		cut(c.t, c.redis.proxy, 2*time.Second)
	}, quick: 1500 * time.Millisecond, recover: 60 * time.Second, once: true},
	{name: "redis out of memory", stores: []backing{sqlite}, inject: outOfMemory, quick: 1500 * time.Millisecond, recover: 60 * time.Second},
	{name: "store locked by another process", stores: []backing{sqlite}, inject: func(c *cluster) {
		holdLock(c, pick(7*time.Second, 60*time.Second))
	}, recover: 60 * time.Second},
	{name: "store cut", stores: []backing{mongo}, inject: func(c *cluster) {
		cut(c.t, c.mongo, pick(3*time.Second, 60*time.Second))
	}, quick: 5 * time.Second, recover: 60 * time.Second},
	{name: "worker terminated under load", stores: both, inject: func(c *cluster) {
		old := c.workers[0]
		c.startWorker()
		if took := old.terminate(); took > 11*time.Second {
			c.t.Errorf("the worker took %s to end, its grace is 10 s", took)
		}
	}, recover: 45 * time.Second, once: true},
	{name: "a forged and a broken task", stores: both, inject: forge, recover: 45 * time.Second, once: true},
}

// holdLock holds the write lock of the SQLite file as another process does.
func holdLock(c *cluster, for_ time.Duration) {
	files, err := filepath.Glob(filepath.Join(c.dir, "*.db"))
	if err != nil || len(files) != 1 {
		c.t.Errorf("the store's file: %v, %v", files, err)
		return
	}
	db, err := sql.Open("sqlite", "file:"+files[0]+"?_pragma=busy_timeout(10000)")
	if err != nil {
		c.t.Error(err)
		return
	}
	defer db.Close()
	conn, err := db.Conn(context.Background())
	if err != nil {
		c.t.Error(err)
		return
	}
	defer conn.Close()
	if _, err := conn.ExecContext(context.Background(), "BEGIN IMMEDIATE"); err != nil {
		c.t.Error(err)
		return
	}
	<-time.After(for_)
	if _, err := conn.ExecContext(context.Background(), "ROLLBACK"); err != nil {
		c.t.Error(err)
	}
}

// forge puts tasks into every queue that nobody made, and one that cannot be read.
func forge(c *cluster) {
	client := c.redis.client()
	defer client.Close()
	ctx := context.Background()
	queues, err := client.SMembers(ctx, "asynq:queues").Result()
	if err != nil || len(queues) == 0 {
		c.t.Errorf("the queues: %v, %v", queues, err)
		return
	}
	for _, q := range queues {
		key := "asynq:{" + q + "}:"
		if err := client.HSet(ctx, key+"t:forged", "msg", "not a task", "state", "pending").Err(); err != nil {
			c.t.Error(err)
		}
		if err := client.LPush(ctx, key+"pending", "forged", "missing").Err(); err != nil {
			c.t.Error(err)
		}
	}
}

// TestFaults publishes a steady stream, breaks something at a random moment, and counts. On MongoDB, where the streams
// are thin, faults are tried side by side.
func TestFaults(t *testing.T) {
	for _, f := range faults {
		for _, store := range f.stores {
			t.Run(f.name+"/"+string(store), func(t *testing.T) {
				if store == mongo {
					t.Parallel()
				}
				tryFault(t, f, store)
			})
		}
	}
}

// amount is how many events go through a fault, and how many a second. The stand-in for MongoDB lets one command write
// at a time.
func amount(store backing) (events int, perSecond float64) {
	switch {
	case store == mongo && long:
		return 200, 8
	case store == mongo:
		return 60, 8
	case long:
		return 5000, 165
	default:
		return 600, 120
	}
}

func tryFault(t *testing.T, f fault, store backing) {
	c := newCluster(t, options{store: store, workers: 2})
	c.organisation("org_a")
	c.webhook("org_a", nil, "/ok/1", "/slow/2")
	events, perSecond := amount(store)
	p := c.publisher("org_a", "evt")
	published := make(chan struct{})
	go func() {
		defer close(published)
		p.run(t.Context(), events, perSecond, 3*time.Minute)
	}()
	whole := time.Duration(float64(events) / perSecond * float64(time.Second))
	<-time.After(whole/4 + rand.N(whole/4))
	broken := time.Now()
	f.inject(c)
	mended := time.Now()
	<-published
	if n := len(p.ids()); n != events {
		t.Fatalf("%d of %d events were acknowledged", n, events)
	}
	_, duplicates := c.awaitAll(p, f.recover, "/ok/1", "/slow/2")
	middle, slowest := p.answeredWithin(broken, mended)
	t.Logf("%-42s %-6s %5d events  0 lost  %4d twice  fault %-7s first after it %-7s all %-7s  refused %d  answers meanwhile %s, at most %s",
		f.name, store, events, duplicates, mended.Sub(broken).Round(time.Millisecond), c.firstAfter(mended), time.Since(mended).Round(time.Millisecond),
		p.refused, middle.Round(time.Millisecond), slowest.Round(time.Millisecond))
	if f.once && duplicates > 0 {
		t.Errorf("%d requests came twice, want none", duplicates)
	}
	if duplicates > inFlightBound {
		t.Errorf("%d requests came twice, more than can have been in flight", duplicates)
	}
	if f.quick > 0 && (middle > f.quick || long && slowest > f.quick) {
		t.Errorf("while it lasted answers to a publisher took %s, at most %s; want under %s", middle, slowest, f.quick)
	}
}

// firstAfter is how long after a moment the next request arrived.
func (c *cluster) firstAfter(at time.Time) string {
	list := c.receive.since("/ok/1", at)
	if len(list) == 0 {
		return "-"
	}
	return fmt.Sprint(list[0].at.Sub(at).Round(time.Millisecond))
}
