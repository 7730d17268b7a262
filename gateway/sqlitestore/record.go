package sqlitestore

import (
	"context"

	"github.com/unihook/unihook/gateway"
)

// The parameters that recordState and recordAttempt share: 1 id, 2 to 5 the attempt's number, time, status and
// failure; number 0 is no attempt.
const lastAttempt = `attempt_count = max(attempt_count, ?2),
	last_number = CASE WHEN ?2 > 0 AND ?2 >= coalesce(last_number, 0) THEN ?2 ELSE last_number END,
	last_at = CASE WHEN ?2 > 0 AND ?2 >= coalesce(last_number, 0) THEN ?3 ELSE last_at END,
	last_status = CASE WHEN ?2 > 0 AND ?2 >= coalesce(last_number, 0) THEN ?4 ELSE last_status END,
	last_failure = CASE WHEN ?2 > 0 AND ?2 >= coalesce(last_number, 0) THEN ?5 ELSE last_failure END`

// recordState writes a result where the delivery is pending. 13 keeps the lane: then there is no time to look, but for
// a delivery that has no lane and would be nowhere without one.
const recordState = `UPDATE deliveries SET status = ?6, reason = ?7, next_attempt_at = ?8, finished_at = ?9, failures = ?10,
	open = ?11, run = NULL, turn = NULL,
	look_at = CASE WHEN ?13 AND lane IS NOT NULL THEN NULL ELSE ?12 END,
	lane = CASE WHEN ?13 THEN lane END, ` + lastAttempt + `
	WHERE id = ?1 AND status = 'pending'`

// recordManual writes the success of a retry by hand, in any state; a delivery that was delivered stays as it is.
const recordManual = `UPDATE deliveries SET status = 'delivered', reason = ?6, next_attempt_at = 0, finished_at = ?7,
	open = NULL, run = NULL, turn = NULL, look_at = NULL, lane = NULL, ` + lastAttempt + `
	WHERE id = ?1 AND status <> 'delivered'`

// recordAttempt adds an attempt and changes nothing else.
const recordAttempt = `UPDATE deliveries SET ` + lastAttempt + ` WHERE id = ?1`

// Record writes results, each on its own.
func (s *Store) Record(ctx context.Context, results []gateway.Result) error {
	attempts := make([]attemptRow, len(results))
	for i := range results {
		if results[i].Attempt == nil {
			continue
		}
		var err error
		if attempts[i], err = encodeAttempt(results[i].Attempt); err != nil {
			return err
		}
	}
	return s.write(ctx, 2*len(results), func(t *tx) error {
		for i := range results {
			if err := record(t, &results[i], attempts[i]); err != nil {
				return err
			}
		}
		return nil
	})
}

func record(t *tx, r *gateway.Result, attempt attemptRow) error {
	var last gateway.LastAttempt
	if a := r.Attempt; a != nil {
		last = gateway.LastAttempt{Number: a.Number, At: a.At, Status: a.Status, Failure: a.Failure}
	}
	shared := []any{r.Delivery, last.Number, int64(last.At), last.Status, string(last.Failure)}
	changed, err := recordResult(t, r, shared)
	if err != nil || r.Attempt == nil {
		return err
	}
	if changed == 0 {
		// The delivery is not pending, or was purged: then there is nothing to add to.
		if changed, err = t.exec(recordAttempt, shared...); err != nil || changed == 0 {
			return err
		}
	}
	return insertAttempt(t, r.Delivery, attempt)
}

// recordResult changes the delivery's state where the result does, and answers whether it did.
func recordResult(t *tx, r *gateway.Result, shared []any) (changed int, err error) {
	if r.Manual {
		if r.Status != gateway.Delivered {
			return 0, nil
		}
		return t.exec(recordManual, append(shared, string(r.Reason), int64(r.FinishedAt))...)
	}
	next, lookAt, finishedAt := r.NextAttemptAt, orNull(r.NextAttemptAt), gateway.Time(0)
	if r.Status != gateway.Pending {
		next, lookAt, finishedAt = 0, nil, r.FinishedAt
	}
	keep := r.KeepLane && r.Status == gateway.Pending
	return t.exec(recordState, append(shared, string(r.Status), string(r.Reason), int64(next), int64(finishedAt), r.Failures,
		open(r.Status), lookAt, flag(keep))...)
}
