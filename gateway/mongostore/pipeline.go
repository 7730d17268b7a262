package mongostore

import (
	"context"
	"errors"
	"strings"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"golang.org/x/sync/errgroup"

	"github.com/unihook/unihook/gateway"
)

// placeFields are the fields of gateway.Place; a finished delivery has none of them.
var placeFields = []string{"run", "lookAt", "turn", "lane"}

func pending() bson.D { return eq("status", string(gateway.Pending)) }

func absent(field string) bson.D {
	return bson.D{{Key: field, Value: bson.D{{Key: "$exists", Value: false}}}}
}

// whereabouts is what Due and Spare fill.
func whereabouts(sort string, limit int) *options.FindOptionsBuilder {
	return options.Find().SetSort(ascending(sort)).SetLimit(int64(max(limit, 1))).
		SetProjection(only("_id", "run", "lookAt", "turn", "lane", "endpoint", "organisation"))
}

// Due lists deliveries to be looked at, oldest LookAt first.
func (s *Store) Due(ctx context.Context, later, claims gateway.Time, limit int) ([]gateway.Delivery, error) {
	filter := and(is("lookAt", "$lte", max(later, claims)), bson.D{{Key: "$or", Value: bson.A{
		and(absent("run"), is("lookAt", "$lte", later)),
		and(is("run", "$gt", ""), is("lookAt", "$lte", claims)),
	}}})
	return find[gateway.Delivery](ctx, s, s.deliveries, filter, whereabouts("lookAt", limit))
}

// Spare lists spare deliveries in the order of their turns.
func (s *Store) Spare(ctx context.Context, limit int) ([]gateway.Delivery, error) {
	return find[gateway.Delivery](ctx, s, s.deliveries, is("turn", "$gt", int64(0)), whereabouts("turn", limit))
}

// at is a filter for deliveries that are in a place.
func at(p gateway.Place) bson.D {
	filter := bson.D{}
	text := func(field, value string) {
		if value == "" {
			filter = append(filter, absent(field)...)
		} else {
			filter = append(filter, bson.E{Key: field, Value: value})
		}
	}
	moment := func(field string, value gateway.Time) {
		if value == 0 {
			filter = append(filter, absent(field)...)
		} else {
			filter = append(filter, bson.E{Key: field, Value: int64(value)})
		}
	}
	text("run", p.Run)
	moment("lookAt", p.LookAt)
	moment("turn", p.Turn)
	text("lane", p.Lane)
	return filter
}

// Claim makes those claims whose delivery is still pending and in the place that was read.
func (s *Store) Claim(ctx context.Context, claims []gateway.Claim) error {
	changes := make([]mongo.WriteModel, len(claims))
	for i, c := range claims {
		changes[i] = change(and(eq("_id", c.Delivery), pending(), at(c.Was)),
			set(bson.E{Key: "run", Value: c.Run}, bson.E{Key: "lookAt", Value: c.Until}), unset("turn", "lane"))
	}
	_, err := s.bulk(ctx, s.deliveries, changes)
	return err
}

// DeliveriesByID reads deliveries without attempts.
func (s *Store) DeliveriesByID(ctx context.Context, ids []string) ([]gateway.Delivery, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	return find[gateway.Delivery](ctx, s, s.deliveries, in("_id", ids), options.Find().SetProjection(without("attempts")))
}

// RenewRun moves the end of a claim, where the deliveries are pending and still claimed by run.
func (s *Store) RenewRun(ctx context.Context, run string, deliveries []string, until gateway.Time) error {
	if len(deliveries) == 0 {
		return nil
	}
	_, err := s.update(ctx, s.deliveries, and(in("_id", deliveries), eq("run", run), pending()),
		bson.D{set(bson.E{Key: "lookAt", Value: until})})
	return err
}

// Park parks deliveries.
func (s *Store) Park(ctx context.Context, parkings []gateway.Parking) error {
	changes := make([]mongo.WriteModel, len(parkings))
	for i, p := range parkings {
		changes[i] = change(and(eq("_id", p.Delivery), eq("run", p.Run), pending()),
			set(bson.E{Key: "lane", Value: p.Lane}, bson.E{Key: "reason", Value: p.Reason},
				bson.E{Key: "nextAttemptAt", Value: p.NextAttemptAt}),
			unset("run", "lookAt", "turn"))
	}
	_, err := s.bulk(ctx, s.deliveries, changes)
	return err
}

// laneEnd is what sorts after all lanes of an endpoint.
func laneEnd(endpoint string) string { return endpoint + "0" }

// LaneHead lists the deliveries parked for endpoint, oldest first, after the Lane given; without attempts.
func (s *Store) LaneHead(ctx context.Context, endpoint, after string, limit int) ([]gateway.Delivery, error) {
	filter := bson.D{{Key: "lane", Value: bson.D{
		{Key: "$gt", Value: max(after, gateway.LaneKey(endpoint, ""))}, {Key: "$lt", Value: laneEnd(endpoint)},
	}}}
	return find[gateway.Delivery](ctx, s, s.deliveries, filter, options.Find().SetSort(ascending("lane")).
		SetLimit(int64(max(limit, 1))).SetProjection(without("attempts")))
}

// NextLane is the first endpoint after the one given for which deliveries are parked; empty when there is none.
func (s *Store) NextLane(ctx context.Context, after string) (string, error) {
	from := is("lane", "$gt", "")
	if after != "" {
		from = is("lane", "$gte", laneEnd(after))
	}
	list, err := find[gateway.Delivery](ctx, s, s.deliveries, from, whereabouts("lane", 1))
	if err != nil || len(list) == 0 {
		return "", err
	}
	endpoint, _, ok := strings.Cut(list[0].Place.Lane, "/")
	if !ok {
		return "", errors.New("delivery " + list[0].ID + " is parked in no endpoint's lane")
	}
	return endpoint, nil
}

// countsAtOnce is how many lanes are counted at one time: each count reads one range of an index.
const countsAtOnce = 8

// CountParked counts the deliveries parked for each endpoint.
func (s *Store) CountParked(ctx context.Context, endpoints []string) (map[string]int, error) {
	ctx, cancel := s.bound(ctx)
	defer cancel()
	counts := make([]int64, len(endpoints))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(countsAtOnce)
	for i, endpoint := range endpoints {
		group.Go(func() (err error) {
			counts[i], err = s.deliveries.CountDocuments(ctx, under("lane", endpoint))
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, translate(err)
	}
	parked := map[string]int{}
	for i, endpoint := range endpoints {
		if counts[i] > 0 {
			parked[endpoint] = int(counts[i])
		}
	}
	return parked, nil
}

// Reparked sets the reason and the expected time of all deliveries parked for endpoint.
func (s *Store) Reparked(ctx context.Context, endpoint string, reason gateway.Reason, next gateway.Time) error {
	_, err := s.update(ctx, s.deliveries, under("lane", endpoint), bson.D{
		set(bson.E{Key: "reason", Value: reason}, bson.E{Key: "nextAttemptAt", Value: next}),
	})
	return err
}
