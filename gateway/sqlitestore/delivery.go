package sqlitestore

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/unihook/unihook/gateway"
)

// deliveryColumns are all columns of a delivery, NULLs as the zero values that they stand for.
const deliveryColumns = `d.id, d.event, d.organisation, d.webhook, d.endpoint, d.webhook_revision, d.test, d.replay,
	d.product, d.type, d.status, d.reason, d.next_attempt_at, d.created_at, d.finished_at,
	coalesce(d.last_number, 0), coalesce(d.last_at, 0), coalesce(d.last_status, 0), coalesce(d.last_failure, ''),
	d.shape, d.ord, d.failures, d.attempt_count,
	coalesce(d.run, ''), coalesce(d.look_at, 0), coalesce(d.turn, 0), coalesce(d.lane, '')`

func scanDelivery(r row) (d gateway.Delivery, err error) {
	var last gateway.LastAttempt
	err = r.Scan(&d.ID, &d.Event, &d.Organisation, &d.Webhook, &d.Endpoint, &d.WebhookRevision, &d.Test, &d.Replay,
		&d.Product, &d.Type, &d.Status, &d.Reason, &d.NextAttemptAt, &d.CreatedAt, &d.FinishedAt,
		&last.Number, &last.At, &last.Status, &last.Failure, &d.Shape, &d.Order, &d.Failures, &d.AttemptCount,
		&d.Place.Run, &d.Place.LookAt, &d.Place.Turn, &d.Place.Lane)
	if last.Number != 0 {
		d.LastAttempt = &last
	}
	return d, err
}

// open is a status as the open column holds it.
func open(status gateway.DeliveryStatus) any {
	if status == gateway.Delivered {
		return nil
	}
	return string(status)
}

// InsertDeliveries writes deliveries that are not there yet.
func (s *Store) InsertDeliveries(ctx context.Context, deliveries []gateway.Delivery) error {
	return s.write(ctx, len(deliveries), func(t *tx) error { return insertDeliveries(t, deliveries) })
}

func insertDeliveries(t *tx, deliveries []gateway.Delivery) error {
	for i := range deliveries {
		d := &deliveries[i]
		var last gateway.LastAttempt
		if d.LastAttempt != nil {
			last = *d.LastAttempt
		}
		if _, err := t.exec(`INSERT INTO deliveries (id, event, organisation, webhook, endpoint, webhook_revision, test, replay,
			product, type, status, reason, next_attempt_at, created_at, finished_at,
			last_number, last_at, last_status, last_failure, shape, ord, failures, attempt_count,
			open, run, look_at, turn, lane)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`,
			d.ID, d.Event, d.Organisation, d.Webhook, d.Endpoint, d.WebhookRevision, flag(d.Test), d.Replay,
			d.Product, d.Type, string(d.Status), string(d.Reason), int64(d.NextAttemptAt), int64(d.CreatedAt), int64(d.FinishedAt),
			orNull(last.Number), orNull(last.At), orNull(last.Status), orNull(string(last.Failure)),
			d.Shape, d.Order, d.Failures, d.AttemptCount,
			open(d.Status), orNull(d.Place.Run), orNull(d.Place.LookAt), orNull(d.Place.Turn), orNull(d.Place.Lane)); err != nil {
			return err
		}
	}
	return nil
}

// Delivery finds a delivery, with its attempts.
func (s *Store) Delivery(ctx context.Context, scope gateway.Scope, id string) (gateway.Delivery, error) {
	var w where
	w.add("id = ?", id)
	w.scope(scope)
	d, err := readOne(ctx, s, scanDelivery, `SELECT `+deliveryColumns+` FROM deliveries d`+w.String(), w.args...)
	if err != nil {
		return d, err
	}
	d.Attempts, err = s.attempts(ctx, id)
	return d, err
}

// replayLag is how long before a delivery's CreatedAt the time in its id may be: that of what a replay makes is when
// the replay was asked for. All others have the time of their CreatedAt.
const replayLag = 7 * 24 * time.Hour

// idBound is the lowest id of a delivery created at that time: ids begin with it.
func idBound(at gateway.Time) string {
	var id ulid.ULID
	_ = id.SetTime(uint64(max(at, 0)))
	return gateway.PrefixDelivery + strings.ToLower(id.String())
}

// filterDeliveries adds what a filter asks for, and answers the index that serves it best.
func (w *where) filterDeliveries(scope gateway.Scope, f gateway.DeliveryFilter) (index string) {
	w.scope(scope)
	w.text("event", f.Event)
	w.text("replay", f.Replay)
	w.text("endpoint", f.Endpoint)
	w.text("webhook", f.Webhook)
	w.window("created_at", f.Since, f.Until)
	if f.Since != 0 {
		w.add("id >= ?", idBound(f.Since.Add(-replayLag)))
	}
	if f.Until != 0 {
		w.add("id < ?", idBound(f.Until))
	}
	if f.NoTests {
		w.add("test = 0")
	}
	open := len(f.Statuses) > 0 && !slices.Contains(f.Statuses, gateway.Delivered)
	switch {
	case open && len(f.Statuses) == 1:
		w.add("open = ?", string(f.Statuses[0]))
	case open:
		w.add("open IN (SELECT value FROM json_each(?))", texts(f.Statuses))
	case len(f.Statuses) > 0:
		w.add("status IN (SELECT value FROM json_each(?))", texts(f.Statuses))
	}
	_, one := scope.Organisation()
	switch {
	case f.Event != "":
		return "deliveries_event"
	case f.Replay != "":
		return "deliveries_replay"
	case f.Endpoint != "":
		return "deliveries_endpoint"
	case f.Webhook != "":
		return "deliveries_webhook"
	case one && open && len(f.Statuses) == 1:
		return "deliveries_open"
	case one:
		return "deliveries_organisation"
	}
	return ""
}

// from is the table, read by that index; by its key where index is empty.
func from(index string) string {
	if index == "" {
		return ` FROM deliveries d NOT INDEXED`
	}
	return ` FROM deliveries d INDEXED BY ` + index
}

// ListDeliveries lists deliveries without attempts.
func (s *Store) ListDeliveries(ctx context.Context, scope gateway.Scope, filter gateway.DeliveryFilter, page gateway.Page) ([]gateway.Delivery, string, error) {
	var w where
	index := w.filterDeliveries(scope, filter)
	order, beyond := "DESC", "id < ?"
	if filter.Oldest {
		order, beyond = "ASC", "id > ?"
	}
	if page.After != "" {
		w.add(beyond, page.After)
	}
	list, err := read(ctx, s, scanDelivery, `SELECT `+deliveryColumns+from(index)+w.String()+
		` ORDER BY id `+order+` LIMIT ?`, append(w.args, page.Limit+1)...)
	if err != nil {
		return nil, "", err
	}
	list, next := cut(list, page, func(d gateway.Delivery) string { return d.ID })
	return list, next, nil
}

// CountDeliveries counts deliveries by status.
func (s *Store) CountDeliveries(ctx context.Context, scope gateway.Scope, filter gateway.DeliveryFilter) (map[gateway.DeliveryStatus]int, error) {
	var w where
	index := w.filterDeliveries(scope, filter)
	counts := map[gateway.DeliveryStatus]int{}
	_, err := read(ctx, s, func(r row) (struct{}, error) {
		var status gateway.DeliveryStatus
		var n int
		err := r.Scan(&status, &n)
		counts[status] = n
		return struct{}{}, err
	}, `SELECT status, count(*)`+from(index)+w.String()+` GROUP BY status`, w.args...)
	return counts, err
}

// CountPending counts an organisation's pending deliveries, up to limit.
func (s *Store) CountPending(ctx context.Context, organisation string, limit int) (int, error) {
	return readOne(ctx, s, scanInt, `SELECT count(*) FROM (SELECT 1 FROM deliveries INDEXED BY deliveries_open
		WHERE organisation = ? AND open = 'pending' LIMIT ?)`, organisation, limit)
}

// finish ends a pending delivery that no attempt ended.
const finish = `UPDATE deliveries SET status = ?1, reason = ?2, open = ?1, next_attempt_at = 0, finished_at = ?3,
	run = NULL, look_at = NULL, turn = NULL, lane = NULL WHERE id = ?4 AND status = 'pending'`

// CancelDelivery cancels one pending delivery.
func (s *Store) CancelDelivery(ctx context.Context, organisation, id string, reason gateway.Reason, at gateway.Time) error {
	return s.write(ctx, 1, func(t *tx) error {
		var there int
		if err := t.one(`SELECT 1 FROM deliveries WHERE id = ? AND organisation = ?`, []any{id, organisation}, &there); err != nil {
			return err
		}
		return staleUnlessOne(t.exec(finish, string(gateway.Cancelled), string(reason), int64(at), id))
	})
}

// CancelPending cancels pending deliveries that match.
func (s *Store) CancelPending(ctx context.Context, organisation string, filter gateway.DeliveryFilter, reason gateway.Reason, at gateway.Time, limit int) (int, error) {
	if len(filter.Statuses) > 0 && !slices.Contains(filter.Statuses, gateway.Pending) {
		return 0, nil
	}
	filter.Statuses = []gateway.DeliveryStatus{gateway.Pending}
	var w where
	index := w.filterDeliveries(gateway.Only(organisation), filter)
	if index == "deliveries_webhook" || index == "deliveries_endpoint" {
		index = "deliveries_open" // of what an endpoint ever had, few are pending
	}
	ids, err := read(ctx, s, scanText, `SELECT id`+from(index)+w.String()+` ORDER BY id LIMIT ?`, append(w.args, limit)...)
	if err != nil {
		return 0, err
	}
	return len(ids), s.finishAll(ctx, ids, gateway.Cancelled, reason, at)
}

func scanText(r row) (text string, err error) {
	err = r.Scan(&text)
	return text, err
}

// finishAll finishes those of ids that are still pending. They were looked for by a reader: the writer is not held up.
func (s *Store) finishAll(ctx context.Context, ids []string, status gateway.DeliveryStatus, reason gateway.Reason, at gateway.Time) error {
	if len(ids) == 0 {
		return nil
	}
	return s.write(ctx, len(ids), func(t *tx) error {
		for _, id := range ids {
			if _, err := t.exec(finish, string(status), string(reason), int64(at), id); err != nil {
				return err
			}
		}
		return nil
	})
}

// ExpirePending fails pending deliveries that are too old.
func (s *Store) ExpirePending(ctx context.Context, before, at gateway.Time, limit int) (int, error) {
	ids, err := read(ctx, s, scanText, `SELECT id FROM deliveries NOT INDEXED
		WHERE id < ? AND created_at < ? AND status = 'pending' ORDER BY id LIMIT ?`, idBound(before), int64(before), limit)
	if err != nil {
		return 0, err
	}
	return len(ids), s.finishAll(ctx, ids, gateway.Failed, gateway.Expired, at)
}

// PurgeDeliveries removes finished deliveries that are too old. What was finished before a time was created before it.
func (s *Store) PurgeDeliveries(ctx context.Context, before gateway.Time, limit int) (int, error) {
	ids, err := read(ctx, s, scanText, `SELECT id FROM deliveries NOT INDEXED
		WHERE id < ? AND finished_at > 0 AND finished_at < ? ORDER BY id LIMIT ?`, idBound(before), int64(before), limit)
	if err != nil || len(ids) == 0 {
		return 0, err
	}
	err = s.write(ctx, 2*len(ids), func(t *tx) error { return removeDeliveries(t, ids) })
	if err != nil {
		return 0, err
	}
	return len(ids), nil
}

func removeDeliveries(t *tx, ids []string) error {
	if len(ids) == 0 {
		return nil
	}
	list := texts(ids)
	if _, err := t.exec(`DELETE FROM attempts WHERE delivery IN (SELECT value FROM json_each(?))`, list); err != nil {
		return err
	}
	_, err := t.exec(`DELETE FROM deliveries WHERE id IN (SELECT value FROM json_each(?))`, list)
	return err
}
