package queue

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// logEvery keeps a Redis that is away from filling the log: Asynq tells each of its parts' errors every few seconds.
const logEvery = 10 * time.Second

// asynqLog passes what Asynq says on, at most one line in logEvery, with the number of those left out.
type asynqLog struct {
	log *slog.Logger

	mu      sync.Mutex
	last    time.Time
	leftOut int
}

func (l *asynqLog) say(level slog.Level, args []any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if time.Since(l.last) < logEvery {
		l.leftOut++
		return
	}
	l.log.Log(context.Background(), level, "asynq: "+fmt.Sprint(args...), "leftOut", l.leftOut)
	l.last, l.leftOut = time.Now(), 0
}

// Debug is not passed on.
func (l *asynqLog) Debug(...any) {}

// Info is not passed on: it tells of starting and stopping alone.
func (l *asynqLog) Info(...any) {}

// Warn is a fault that Asynq gets over.
func (l *asynqLog) Warn(args ...any) { l.say(slog.LevelWarn, args) }

// Error is one that it did not expect.
func (l *asynqLog) Error(args ...any) { l.say(slog.LevelWarn, args) }

// Fatal does not end the process: the queue is not what it lives by.
func (l *asynqLog) Fatal(args ...any) { l.say(slog.LevelError, args) }

// quietRedis keeps go-redis from writing to standard error: it tells of every connection that it could not make, and
// the command that wanted it answers the same error. Its logger belongs to the process and is set once.
var quietRedis = sync.OnceFunc(func() { redis.SetLogger(noLog{}) })

type noLog struct{}

// Printf writes nothing.
func (noLog) Printf(context.Context, string, ...any) {}
