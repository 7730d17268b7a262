package queue

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
)

// ErrAway is an enqueue that was not tried, because another one failed within the last second. What it would have said
// is in the store.
var ErrAway = errors.New("the queue is away")

// restFor is how long nothing is tried after an error, so that a hung Redis costs one request its 300 ms and not all.
const restFor = time.Second

// EnqueueRun says that the deliveries (1 to 1,000) were claimed for run. A run that is queued already is no error.
func (q *Queue) EnqueueRun(ctx context.Context, run string, deliveries []string) error {
	payload, err := runPayload(run, deliveries)
	if err != nil {
		return fmt.Errorf("enqueuing run %s: %w", run, err)
	}
	return q.enqueue(ctx, runTask, run, run, payload)
}

// EnqueueLane says that an endpoint's lane has work. Several within ten seconds may be one task.
func (q *Queue) EnqueueLane(ctx context.Context, endpoint string) error {
	return q.enqueue(ctx, laneTask, endpoint, hintID(endpoint, time.Now()), []byte(endpoint))
}

// EnqueueJob says that a job is due. Several within ten seconds may be one task.
func (q *Queue) EnqueueJob(ctx context.Context, job string) error {
	return q.enqueue(ctx, jobTask, job, hintID(job, time.Now()), []byte(job))
}

func (q *Queue) enqueue(ctx context.Context, k kind, id, taskID string, payload []byte) error {
	if !isID(id) {
		return fmt.Errorf("enqueuing %s: %q is no id", k, id)
	}
	if q.resting() {
		q.counts.skipped.Add(1)
		return ErrAway
	}
	bounded, cancel := context.WithTimeout(ctx, enqueueTimeout)
	defer cancel()
	// Retries are those of killed workers: with none a killed worker's task is archived and keeps its id.
	_, err := q.client.EnqueueContext(bounded, asynq.NewTask(string(k), payload),
		asynq.Queue(k.queue()), asynq.TaskID(taskID), asynq.MaxRetry(3), asynq.Timeout(time.Minute))
	if err != nil && !errors.Is(err, asynq.ErrTaskIDConflict) {
		q.counts.failed.Add(1)
		q.rest(ctx)
		return fmt.Errorf("enqueuing %s %s: %w", k, id, err)
	}
	q.counts.enqueued.Add(1)
	q.nudge(k)
	if q.news != nil {
		q.news.tell(k)
	}
	return nil
}

// nudge wakes this process's server of the kind.
func (q *Queue) nudge(k kind) {
	if k == runTask {
		q.age.stir()
	}
	select {
	case q.nudges[k] <- struct{}{}:
	default:
	}
}

func (q *Queue) resting() bool { return time.Now().UnixNano() < q.restUntil.Load() }

// rest begins a pause, unless it was the caller who gave up.
func (q *Queue) rest(caller context.Context) {
	if caller.Err() == nil {
		q.restUntil.Store(time.Now().Add(restFor).UnixNano())
	}
}

// wakeChannel carries a word between processes: the kind of task that was queued. Who does not hear it looks twice a
// second anyway.
const wakeChannel = "unihook:wake"

// messenger publishes for enqueuers without making them wait: many tasks in a moment are one message.
type messenger struct {
	rdb   redis.UniversalClient
	words map[kind]chan struct{}
}

func newMessenger(rdb redis.UniversalClient) *messenger {
	m := &messenger{rdb: rdb, words: map[kind]chan struct{}{}}
	for _, k := range []kind{runTask, laneTask, jobTask} {
		m.words[k] = make(chan struct{}, 1)
	}
	return m
}

func (m *messenger) tell(k kind) {
	select {
	case m.words[k] <- struct{}{}:
	default:
	}
}

func (m *messenger) run(ctx context.Context) {
	for {
		var k kind
		select {
		case <-ctx.Done():
			return
		case <-m.words[runTask]:
			k = runTask
		case <-m.words[laneTask]:
			k = laneTask
		case <-m.words[jobTask]:
			k = jobTask
		}
		// A message that is lost costs half a second of latency: its error says nothing that the enqueue's did not.
		_ = m.rdb.Publish(ctx, wakeChannel, string(k)).Err()
	}
}
