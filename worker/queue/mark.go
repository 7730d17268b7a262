package queue

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/go-redis/redis_rate/v10"
	"github.com/redis/go-redis/v9"
)

// markKey is there for as long as Redis remembers what it was told.
const markKey = "unihook:mark"

// Mark tells whether Redis has forgotten all, and sets the sign that it has been noticed: of all processes that ask,
// one is answered true, and feeds all claims again. An empty queue is no such sign: at light load it is always empty.
func (q *Queue) Mark(ctx context.Context) (wiped bool, err error) {
	err = q.rdb.SetArgs(ctx, markKey, time.Now().UTC().Format(time.RFC3339), redis.SetArgs{Mode: "NX"}).Err()
	if errors.Is(err, redis.Nil) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("setting the mark: %w", err)
	}
	// Asynq registers a queue once per process: after a wipe its own tools would find none.
	for _, k := range []kind{runTask, laneTask, jobTask} {
		_ = q.rdb.SAdd(ctx, "asynq:queues", k.queue()).Err()
	}
	return true, nil
}

// Allow counts one request under key against perSecond, over all processes that share the Redis; a burst of a second's
// worth is let through. Where it answers false, retryAfter is when the next one fits. With perSecond 0 or less all is
// allowed. An error (ErrAway for a second after another one) says that nothing was counted: the caller decides.
func (q *Queue) Allow(ctx context.Context, key string, perSecond int) (ok bool, retryAfter time.Duration, err error) {
	if perSecond <= 0 {
		return true, 0, nil
	}
	if q.resting() {
		return false, 0, ErrAway
	}
	bounded, cancel := context.WithTimeout(ctx, enqueueTimeout)
	defer cancel()
	r, err := q.limiter.Allow(bounded, "unihook:"+key, redis_rate.PerSecond(perSecond))
	if err != nil {
		q.rest(ctx)
		return false, 0, fmt.Errorf("counting requests: %w", err)
	}
	if r.Allowed > 0 {
		return true, 0, nil
	}
	return false, r.RetryAfter, nil
}
