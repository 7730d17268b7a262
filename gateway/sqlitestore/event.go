package sqlitestore

import (
	"context"
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	"github.com/unihook/unihook/gateway"
)

// PutShapes writes the shapes that are not there yet.
func (s *Store) PutShapes(ctx context.Context, shapes []gateway.Shape) error {
	docs := make([]string, len(shapes))
	for i, shape := range shapes {
		shape.Webhook = nil // has a column
		doc, err := encode(shape)
		if err != nil {
			return err
		}
		docs[i] = doc
	}
	return s.write(ctx, len(shapes), func(t *tx) error {
		for i, shape := range shapes {
			if _, err := t.exec(`INSERT INTO shapes (id, doc, webhook) VALUES (?, ?, ?) ON CONFLICT DO NOTHING`,
				shape.ID, docs[i], shape.Webhook); err != nil {
				return err
			}
		}
		return nil
	})
}

func scanShape(r row) (shape gateway.Shape, err error) {
	var doc string
	var webhook []byte
	if err := r.Scan(&doc, &webhook); err != nil {
		return shape, err
	}
	err = decode(doc, &shape)
	shape.Webhook = webhook
	return shape, err
}

// Shapes finds shapes by id.
func (s *Store) Shapes(ctx context.Context, ids []string) ([]gateway.Shape, error) {
	return read(ctx, s, scanShape, `SELECT doc, webhook FROM shapes WHERE id IN (SELECT value FROM json_each(?))`, texts(ids))
}

// Accept writes events and the deliveries of those that are new, in one transaction.
func (s *Store) Accept(ctx context.Context, events []gateway.Event, deliveries []gateway.Delivery) (taken []bool, err error) {
	plans := make([]any, len(events))
	for i, e := range events {
		if plans[i], err = encode(e.Plan); err != nil {
			return nil, err
		}
	}
	taken = make([]bool, len(events))
	err = s.write(ctx, len(events)+len(deliveries), func(t *tx) error {
		for i, e := range events {
			n, err := t.exec(`INSERT INTO events (id, organisation, product, type, account, created_at, accepted_at, ord,
				erased, hash, plan, data) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`,
				e.ID, e.Organisation, e.Product, e.Type, e.Account, int64(e.CreatedAt), int64(e.AcceptedAt), e.Order,
				flag(e.Erased), e.Hash, plans[i], []byte(e.Data))
			if err != nil {
				return err
			}
			taken[i] = n == 0
		}
		return insertDeliveries(t, ofNewEvents(events, taken, deliveries))
	})
	if err != nil {
		return nil, err
	}
	return taken, nil
}

// ofNewEvents is the deliveries whose event was new. Of twins in one call the first is new and the second taken: its
// plan tells which deliveries are whose.
func ofNewEvents(events []gateway.Event, taken []bool, deliveries []gateway.Delivery) []gateway.Delivery {
	if !slices.Contains(taken, true) {
		return deliveries
	}
	fresh, twins := map[string]*gateway.Event{}, map[string]bool{}
	for i := range events {
		key := gateway.EventKey(events[i].Organisation, events[i].ID)
		if !taken[i] {
			fresh[key] = &events[i]
		} else if fresh[key] != nil {
			twins[key] = true
		}
	}
	var list []gateway.Delivery
	for _, d := range deliveries {
		key := gateway.EventKey(d.Organisation, d.Event)
		event := fresh[key]
		planned := func(p gateway.Planned) bool { return p.Delivery == d.ID }
		if event != nil && (!twins[key] || slices.ContainsFunc(event.Plan, planned)) {
			list = append(list, d)
		}
	}
	return list
}

const eventFacts = `id, organisation, product, type, account, created_at, accepted_at, ord, erased`

func scanEventFacts(r row, e *gateway.Event, more ...any) error {
	return r.Scan(append([]any{&e.ID, &e.Organisation, &e.Product, &e.Type, &e.Account, &e.CreatedAt, &e.AcceptedAt,
		&e.Order, &e.Erased}, more...)...)
}

// eventColumns are those of a whole event.
const eventColumns = `e.id, e.organisation, e.product, e.type, e.account, e.created_at, e.accepted_at, e.ord, e.erased,
	e.hash, coalesce(e.plan, 'null'), e.data`

func scanEvent(r row) (e gateway.Event, err error) {
	var plan string
	var data []byte
	if err := scanEventFacts(r, &e, &e.Hash, &plan, &data); err != nil {
		return e, err
	}
	e.Data = json.RawMessage(data)
	err = decode(plan, &e.Plan)
	return e, err
}

// Event finds an event.
func (s *Store) Event(ctx context.Context, scope gateway.Scope, id string) (gateway.Event, error) {
	var w where
	w.add("e.id = ?", id)
	w.scope(scope)
	return readOne(ctx, s, scanEvent, `SELECT `+eventColumns+` FROM events e INDEXED BY events_key`+w.String()+
		` ORDER BY accepted_at DESC, ord DESC LIMIT 1`, w.args...)
}

// EventOwners lists organisations that have an event of this id.
func (s *Store) EventOwners(ctx context.Context, id string, limit int) ([]string, error) {
	return read(ctx, s, scanText, `SELECT organisation FROM events INDEXED BY events_key WHERE id = ? LIMIT ?`, id, limit)
}

// listedEvent is an event with what its mark is made of.
type listedEvent struct {
	gateway.Event
	number int64
}

func scanListedEvent(r row) (e listedEvent, err error) {
	err = scanEventFacts(r, &e.Event, &e.number)
	return e, err
}

// mark is the place of an event in lists: time, acceptance number, and the row for two that share both.
func (e listedEvent) mark() string {
	return timeMark(e.AcceptedAt, e.Order) + "/" + strconv.FormatInt(e.number, 10)
}

// ListEvents lists events, newest accepted first.
func (s *Store) ListEvents(ctx context.Context, scope gateway.Scope, filter gateway.EventFilter, page gateway.Page) ([]gateway.Event, string, error) {
	var w where
	w.scope(scope)
	w.text("product", filter.Product)
	w.text("type", filter.Type)
	w.text("account", filter.Account)
	w.window("accepted_at", filter.Since, filter.Until)
	if err := w.afterEvent(page.After); err != nil {
		return nil, "", err
	}
	found, err := read(ctx, s, scanListedEvent, `SELECT `+eventFacts+`, number FROM events`+w.String()+
		` ORDER BY accepted_at DESC, ord DESC, number DESC LIMIT ?`, append(w.args, page.Limit+1)...)
	if err != nil {
		return nil, "", err
	}
	found, next := cut(found, page, listedEvent.mark)
	var list []gateway.Event
	for _, e := range found {
		list = append(list, e.Event)
	}
	return list, next, nil
}

func (w *where) afterEvent(mark string) error {
	if mark == "" {
		return nil
	}
	parts := strings.Split(mark, "/")
	if len(parts) != 3 {
		return badMark(mark)
	}
	at, err := strconv.ParseInt(parts[0], 10, 64)
	if err != nil {
		return badMark(mark)
	}
	number, err := strconv.ParseInt(parts[2], 10, 64)
	if err != nil {
		return badMark(mark)
	}
	w.add("(accepted_at, ord, number) < (?, ?, ?)", at, parts[1], number)
	return nil
}

// EventsByKey finds events by their keys.
func (s *Store) EventsByKey(ctx context.Context, keys []string) ([]gateway.Event, error) {
	pairs := make([][2]string, 0, len(keys))
	for _, key := range keys {
		// Ids of events have no slash; what is before the last one is the organisation.
		if i := strings.LastIndexByte(key, '/'); i >= 0 {
			pairs = append(pairs, [2]string{key[i+1:], key[:i]})
		}
	}
	list, err := encode(pairs)
	if err != nil {
		return nil, err
	}
	return read(ctx, s, scanEvent, `SELECT `+eventColumns+` FROM json_each(?) k CROSS JOIN events e INDEXED BY events_key
		ON e.id = k.value ->> 0 AND e.organisation = k.value ->> 1`, list)
}

// EraseEvent removes an event's data.
func (s *Store) EraseEvent(ctx context.Context, organisation, id string) error {
	return s.write(ctx, 1, func(t *tx) error {
		n, err := t.exec(`UPDATE events SET data = NULL, erased = 1 WHERE id = ? AND organisation = ?`, id, organisation)
		if err == nil && n == 0 {
			return gateway.ErrNotFound
		}
		return err
	})
}

// PurgeEvents removes the oldest events.
func (s *Store) PurgeEvents(ctx context.Context, before gateway.Time, limit int) (n int, err error) {
	err = s.write(ctx, limit, func(t *tx) error {
		n, err = t.exec(`DELETE FROM events WHERE number IN (SELECT number FROM events INDEXED BY events_accepted
			WHERE accepted_at < ? ORDER BY accepted_at, ord LIMIT ?)`, int64(before), limit)
		return err
	})
	return n, err
}
