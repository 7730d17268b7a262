package queue

import (
	"context"
	"errors"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	// lookEvery is how often the oldest waiting run is looked at while there is traffic.
	lookEvery = 250 * time.Millisecond
	// trafficFor is how long after the last sign of traffic that goes on.
	trafficFor = 3 * time.Second
	// ageHolds is how long an age is believed when Redis does not answer any more.
	ageHolds = 2 * time.Second
)

// Behind is the age of the oldest run that waits to be taken, as it was within the last quarter of a second; zero when
// none waits, when there was no traffic, and when Redis has not answered for two seconds. It answers from memory.
func (q *Queue) Behind() time.Duration { return q.age.value() }

// gauge measures the age of the oldest waiting run, and rests when there is no traffic.
type gauge struct {
	rdb     redis.UniversalClient
	stirred chan struct{}
	traffic atomic.Int64 // Unix nanoseconds of the last sign of it
	age     atomic.Int64 // nanoseconds
	seenAt  atomic.Int64 // Unix nanoseconds of the last answer
}

func newGauge(rdb redis.UniversalClient) *gauge {
	return &gauge{rdb: rdb, stirred: make(chan struct{}, 1)}
}

// stir notes a sign of traffic: a run that was queued or taken, here or elsewhere.
func (g *gauge) stir() {
	g.traffic.Store(time.Now().UnixNano())
	select {
	case g.stirred <- struct{}{}:
	default:
	}
}

func (g *gauge) value() time.Duration {
	if time.Since(time.Unix(0, g.seenAt.Load())) > ageHolds {
		return 0
	}
	return time.Duration(g.age.Load())
}

func (g *gauge) busy() bool {
	return g.value() > 0 || time.Since(time.Unix(0, g.traffic.Load())) < trafficFor
}

func (g *gauge) run(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		if g.busy() {
			_ = g.once(ctx) // the value ages out by itself
			timer.Reset(lookEvery)
			select {
			case <-ctx.Done():
				return
			case <-timer.C:
			}
			continue
		}
		select {
		case <-ctx.Done():
			return
		case <-g.stirred:
		}
	}
}

// oldestScript answers when the run at the list's tail, which is taken next, began to wait.
var oldestScript = redis.NewScript(`
local id = redis.call("LINDEX", KEYS[1], -1)
if not id then return "0" end
return redis.call("HGET", ARGV[1] .. id, "pending_since") or "0"`)

// once looks at the oldest waiting run.
func (g *gauge) once(ctx context.Context) error {
	since, err := oldestScript.Run(ctx, g.rdb, []string{runTask.pending()}, runTask.taskPrefix()).Text()
	if err != nil && !errors.Is(err, redis.Nil) {
		return err
	}
	now := time.Now()
	var age int64
	// A number that cannot be read, or that lies ahead of this clock, is taken for none.
	if n, err := strconv.ParseInt(since, 10, 64); err == nil && n > 0 {
		age = max(0, now.UnixNano()-n)
	}
	g.age.Store(age)
	g.seenAt.Store(now.UnixNano())
	return nil
}
