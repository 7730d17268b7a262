package queue

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// kind is a kind of task: the name of its type and, behind queuePrefix, of its queue.
type kind string

const (
	runTask  kind = "run"
	laneTask kind = "lane"
	jobTask  kind = "job"
)

// queuePrefix keeps the names apart from those of others who share the Redis. Asynq puts braces around a queue's name,
// so that all keys of one queue are in one slot of a cluster; names and ids have none of their own.
const queuePrefix = "unihook-"

func (k kind) queue() string { return queuePrefix + string(k) }

// pending and taskPrefix are Asynq's keys of the queue: the list of ids that wait (oldest last), and what the keys of
// its tasks begin with.
func (k kind) pending() string    { return "asynq:{" + k.queue() + "}:pending" }
func (k kind) taskPrefix() string { return "asynq:{" + k.queue() + "}:t:" }

const (
	// maxPayload is more than the largest run that is made (64 deliveries), and bounds what a forged task costs.
	maxPayload = 64 << 10
	// maxDeliveries is the most that a run may name.
	maxDeliveries = 1000
	// maxID is longer than any id of the gateway.
	maxID = 128
	// hintWindow is how long a task for a lane or a job can keep another one from being queued. A task whose "done" was
	// lost, or whose worker was killed, holds its id for up to two minutes; the window is a part of the id.
	hintWindow = 10 * time.Second
)

// hintID is the task id of a lane or a job: one per window, so that many nudges are one task.
func hintID(id string, now time.Time) string {
	return id + "-" + strconv.FormatInt(now.UnixNano()/int64(hintWindow), 36)
}

// runPayload is the run and its deliveries, parted by spaces: 2 KB for 64 of them. Asynq stores a payload twice and
// again with every heartbeat.
func runPayload(run string, deliveries []string) ([]byte, error) {
	if len(deliveries) == 0 || len(deliveries) > maxDeliveries {
		return nil, fmt.Errorf("a run of %d deliveries: it has 1 to %d", len(deliveries), maxDeliveries)
	}
	size := len(run)
	for _, d := range deliveries {
		if !isID(d) {
			return nil, fmt.Errorf("%q is no id", d)
		}
		size += 1 + len(d)
	}
	b := append(make([]byte, 0, size), run...)
	for _, d := range deliveries {
		b = append(append(b, ' '), d...)
	}
	return b, nil
}

var errPayload = errors.New("the payload is not one that the gateway writes")

// parsePayload reads what a task carries: one id, and behind a run's its deliveries. Redis is not trusted.
func parsePayload(k kind, payload []byte) (id string, deliveries []string, err error) {
	if len(payload) > maxPayload {
		return "", nil, errPayload
	}
	ids := strings.Split(string(payload), " ")
	if len(ids) > 1+maxDeliveries || (len(ids) > 1) != (k == runTask) {
		return "", nil, errPayload
	}
	for _, s := range ids {
		if !isID(s) {
			return "", nil, errPayload
		}
	}
	return ids[0], ids[1:], nil
}

// isID accepts what ids are made of; above all no brace and no space.
func isID(s string) bool {
	if s == "" || len(s) > maxID {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '-') {
			return false
		}
	}
	return true
}
