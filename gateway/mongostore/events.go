package mongostore

import (
	"context"
	"slices"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/unihook/unihook/gateway"
)

type eventDoc struct {
	Key           string `bson:"_id"`
	gateway.Event `bson:",inline"`
	Seq           string `bson:"seq"`
}

func eventSeq(e gateway.Event) string { return seq(e.AcceptedAt, e.Order+"/"+e.ID) }

// PutShapes writes shapes that are not there yet.
func (s *Store) PutShapes(ctx context.Context, shapes []gateway.Shape) error {
	_, err := insertNew(ctx, s, s.shapes, shapes)
	return err
}

// Shapes finds shapes by id.
func (s *Store) Shapes(ctx context.Context, ids []string) ([]gateway.Shape, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	return find[gateway.Shape](ctx, s, s.shapes, in("_id", ids), options.Find())
}

// Accept writes events, then the deliveries of those that were new. When it ends in between, whoever publishes the
// event again finds it taken and writes what its plan lacks.
func (s *Store) Accept(ctx context.Context, events []gateway.Event, deliveries []gateway.Delivery) ([]bool, error) {
	docs := make([]eventDoc, len(events))
	for i, e := range events {
		docs[i] = eventDoc{gateway.EventKey(e.Organisation, e.ID), e, eventSeq(e)}
	}
	there, err := insertNew(ctx, s, s.events, docs)
	if err != nil {
		return nil, err
	}
	taken := make([]bool, len(events))
	for _, i := range there {
		taken[i] = true
	}
	return taken, s.InsertDeliveries(ctx, deliveriesOf(docs, taken, deliveries))
}

// deliveriesOf is those deliveries whose event was new. Of twins in one call the first was new, and its plan tells
// which of the deliveries are its own.
func deliveriesOf(docs []eventDoc, taken []bool, deliveries []gateway.Delivery) (made []gateway.Delivery) {
	fresh := make(map[string]eventDoc, len(docs))
	twins := map[string]bool{}
	for i, d := range docs {
		if !taken[i] {
			fresh[d.Key] = d
		} else {
			twins[d.Key] = true
		}
	}
	for _, d := range deliveries {
		key := gateway.EventKey(d.Organisation, d.Event)
		event, ok := fresh[key]
		if ok && (!twins[key] || slices.ContainsFunc(event.Plan, func(p gateway.Planned) bool { return p.Delivery == d.ID })) {
			made = append(made, d)
		}
	}
	return made
}

// Event answers with data and plan; with Everyone it is the newest one of that id.
func (s *Store) Event(ctx context.Context, scope gateway.Scope, id string) (gateway.Event, error) {
	if organisation, ok := scope.Organisation(); ok {
		d, err := findOne[eventDoc](ctx, s, s.events, eq("_id", gateway.EventKey(organisation, id)))
		return d.Event, err
	}
	list, err := find[eventDoc](ctx, s, s.events, eq("id", id), options.Find().SetSort(descending("seq")).SetLimit(1))
	if err != nil {
		return gateway.Event{}, err
	}
	if len(list) == 0 {
		return gateway.Event{}, gateway.ErrNotFound
	}
	return list[0].Event, nil
}

// EventOwners lists organisations that have an event of this id.
func (s *Store) EventOwners(ctx context.Context, id string, limit int) ([]string, error) {
	list, err := find[eventDoc](ctx, s, s.events, eq("id", id), options.Find().SetLimit(int64(limit)).SetProjection(without("data", "plan")))
	owners := make([]string, len(list))
	for i, d := range list {
		owners[i] = d.Organisation
	}
	return owners, err
}

// ListEvents leaves data and plan out, newest accepted first.
func (s *Store) ListEvents(ctx context.Context, scope gateway.Scope, f gateway.EventFilter, page gateway.Page) ([]gateway.Event, string, error) {
	filter := and(scoped(scope), window(f.Since, f.Until, page.After))
	for _, c := range []bson.E{{Key: "product", Value: f.Product}, {Key: "type", Value: f.Type}, {Key: "account", Value: f.Account}} {
		if c.Value != "" {
			filter = append(filter, c)
		}
	}
	docs, err := find[eventDoc](ctx, s, s.events, filter,
		pageOptions(page, descending("seq")).SetProjection(without("data", "plan")))
	docs, next := cut(docs, page, func(d eventDoc) string { return d.Seq })
	return eventsOf(docs), next, err
}

func eventsOf(docs []eventDoc) []gateway.Event {
	var list []gateway.Event
	for _, d := range docs {
		list = append(list, d.Event)
	}
	return list
}

// EventsByKey answers with data.
func (s *Store) EventsByKey(ctx context.Context, keys []string) ([]gateway.Event, error) {
	if len(keys) == 0 {
		return nil, nil
	}
	docs, err := find[eventDoc](ctx, s, s.events, in("_id", keys), options.Find())
	return eventsOf(docs), err
}

// EraseEvent removes the data and marks the event erased.
func (s *Store) EraseEvent(ctx context.Context, organisation, id string) error {
	n, err := s.update(ctx, s.events, eq("_id", gateway.EventKey(organisation, id)),
		bson.D{set(bson.E{Key: "erased", Value: true}), unset("data")})
	if err == nil && n == 0 {
		return gateway.ErrNotFound
	}
	return err
}

// PurgeEvents removes at most limit events accepted before the time given, oldest first.
func (s *Store) PurgeEvents(ctx context.Context, before gateway.Time, limit int) (int, error) {
	return s.remove(ctx, s.events, between("seq", "", seqTime(before)), ascending("seq"), limit)
}
