package queue

import (
	"context"
	"errors"
	"net"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	// waitFor is how long an idle server waits before it looks again without having been told to.
	waitFor = 500 * time.Millisecond
	// errorPause is between two looks while Redis is away: Asynq itself would try again at once, for ever.
	errorPause = 250 * time.Millisecond
)

// waiter is a hook in the Redis client of Asynq's servers. Where Asynq's take script finds its queue empty, the hook
// waits for a nudge and looks again, so that Asynq, which can only poll, starts a task within a millisecond of its
// being queued. No connection is held meanwhile.
type waiter struct {
	nudges map[kind]chan struct{}
	// stopping is closed when no more tasks are to be taken.
	stopping chan struct{}
}

// DialHook is part of redis.Hook.
func (w *waiter) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) { return next(ctx, network, addr) }
}

// ProcessPipelineHook is part of redis.Hook.
func (w *waiter) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

// ProcessHook is part of redis.Hook: it makes the take script wait.
func (w *waiter) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		nudge := w.takes(cmd)
		if nudge == nil {
			return next(ctx, cmd)
		}
		return w.take(ctx, next, cmd, nudge)
	}
}

// takes recognises Asynq's take script by its keys (pending, paused, active, lease of one queue).
func (w *waiter) takes(cmd redis.Cmder) chan struct{} {
	args := cmd.Args()
	if len(args) != 9 || !strings.HasPrefix(cmd.Name(), "eval") {
		return nil
	}
	pending, _ := args[3].(string)
	lease, _ := args[6].(string)
	if !strings.HasSuffix(lease, ":lease") {
		return nil
	}
	for k, nudge := range w.nudges {
		if pending == k.pending() {
			return nudge
		}
	}
	return nil
}

func (w *waiter) take(ctx context.Context, next redis.ProcessHook, cmd redis.Cmder, nudge <-chan struct{}) error {
	timer := time.NewTimer(waitFor)
	defer timer.Stop()
	for {
		select {
		case <-w.stopping:
			cmd.SetErr(redis.Nil)
			return redis.Nil
		default:
		}
		cmd.SetErr(nil)
		err := next(ctx, cmd)
		switch {
		case err == nil || redis.HasErrorPrefix(err, "NOSCRIPT"):
			return err // a task, or Asynq sends the script itself
		case !errors.Is(err, redis.Nil):
			timer.Reset(errorPause)
			nudge = nil
		}
		select {
		case <-nudge:
		case <-timer.C:
			return err
		case <-w.stopping:
			return err
		}
	}
}
