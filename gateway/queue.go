package gateway

import (
	"context"
	"time"
)

// Queue says what to look at now. What it holds are hints: all of it can vanish, or be doubled or forged, and nothing
// is lost or sent that should not be. Its errors never fail a request: the store's own due times are the safety net.
type Queue interface {
	// EnqueueRun says that the deliveries were claimed for run.
	EnqueueRun(ctx context.Context, run string, deliveries []string) error
	// EnqueueLane says that an endpoint's lane has work.
	EnqueueLane(ctx context.Context, endpoint string) error
	// EnqueueJob says that a job is due.
	EnqueueJob(ctx context.Context, job string) error
	// Behind is the age of the oldest run that waits; zero when none does. It answers from memory.
	Behind() time.Duration
}
