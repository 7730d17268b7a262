package mongostore

import (
	"context"
	"slices"
	"strconv"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"

	"github.com/unihook/unihook/gateway"
)

// Record writes results in two commands at most: one that counts where the delivery is still pending, and, when it did
// not match all, one that adds attempts to the others. An attempt that is there already, from a write whose answer was
// lost, matches neither: what moved on since then is left alone.
func (s *Store) Record(ctx context.Context, results []gateway.Result) error {
	organisations, err := s.owners(ctx, results)
	if err != nil {
		return err
	}
	var states, attempts []mongo.WriteModel
	for _, r := range results {
		if !r.Manual || r.Status == gateway.Delivered {
			states = append(states, stateChanges(r, organisations[r.Delivery])...)
		}
		if r.Attempt != nil {
			attempts = append(attempts, attemptChanges(r)...)
		}
	}
	matched, err := s.bulk(ctx, s.deliveries, states)
	if err != nil || matched == len(results) {
		return err
	}
	_, err = s.bulk(ctx, s.deliveries, attempts)
	return err
}

// owners finds the organisations of those deliveries that end other than delivered: they go into open.
func (s *Store) owners(ctx context.Context, results []gateway.Result) (map[string]string, error) {
	var ids []string
	for _, r := range results {
		if !r.Manual && (r.Status == gateway.Failed || r.Status == gateway.Cancelled) {
			ids = append(ids, r.Delivery)
		}
	}
	if len(ids) == 0 {
		return nil, nil
	}
	found, err := find[owner](ctx, s, s.deliveries, in("_id", ids), ownerOptions())
	if err != nil {
		return nil, err
	}
	organisations := make(map[string]string, len(found))
	for _, d := range found {
		organisations[d.ID] = d.Organisation
	}
	return organisations, nil
}

// stateChanges is what a result does to a delivery that is pending, or, when a manual attempt was a success, to one in
// any state but delivered. Of several changes one matches.
func stateChanges(r gateway.Result, organisation string) []mongo.WriteModel {
	filter := and(eq("_id", r.Delivery), pending())
	if r.Attempt != nil {
		filter = and(filter, isNew(r.Attempt))
	}
	fields := []bson.E{
		{Key: "status", Value: r.Status}, {Key: "reason", Value: r.Reason}, {Key: "failures", Value: r.Failures},
		{Key: "nextAttemptAt", Value: gateway.Time(0)}, {Key: "finishedAt", Value: r.FinishedAt},
	}
	switch {
	case r.Manual:
		filter = and(eq("_id", r.Delivery), is("status", "$ne", string(gateway.Delivered)), isNew(r.Attempt))
		fields = slices.DeleteFunc(fields, func(f bson.E) bool { return f.Key == "failures" })
		return []mongo.WriteModel{resultChange(r, filter, fields, append([]string{"open"}, placeFields...))}
	case r.Status == gateway.Delivered:
		return []mongo.WriteModel{resultChange(r, filter, fields, append([]string{"open"}, placeFields...))}
	case r.Status != gateway.Pending:
		fields = append(fields, bson.E{Key: "open", Value: openKey(organisation, r.Status, r.Delivery)})
		return []mongo.WriteModel{resultChange(r, filter, fields, placeFields)}
	}
	fields[3].Value, fields[4].Value = r.NextAttemptAt, gateway.Time(0)
	later := append(slices.Clone(fields), bson.E{Key: "lookAt", Value: r.NextAttemptAt})
	if !r.KeepLane {
		return []mongo.WriteModel{resultChange(r, filter, later, []string{"run", "turn", "lane"})}
	}
	// A delivery that has no lane would be nowhere: it is looked at when it is due.
	return []mongo.WriteModel{
		resultChange(r, and(filter, is("lane", "$gt", "")), fields, []string{"run", "turn", "lookAt"}),
		resultChange(r, and(filter, absent("lane")), later, []string{"run", "turn"}),
	}
}

func resultChange(r gateway.Result, filter bson.D, fields []bson.E, gone []string) *mongo.UpdateOneModel {
	if r.Attempt == nil {
		return change(filter, set(fields...), unset(gone...))
	}
	return change(filter, attemptParts(r.Attempt, append(slices.Clone(fields), lastAttempt(r.Attempt)), gone)...)
}

// attemptChanges adds an attempt and nothing else. One that comes after a later one is not shown as the last.
func attemptChanges(r gateway.Result) []mongo.WriteModel {
	filter := and(eq("_id", r.Delivery), isNew(r.Attempt))
	isLast := bson.D{{Key: "lastAttempt.number", Value: bson.D{{Key: "$not", Value: bson.D{{Key: "$gt", Value: r.Attempt.Number}}}}}}
	return []mongo.WriteModel{
		change(and(filter, isLast), attemptParts(r.Attempt, []bson.E{lastAttempt(r.Attempt)}, nil)...),
		change(filter, attemptParts(r.Attempt, nil, nil)...),
	}
}

func lastAttempt(a *gateway.Attempt) bson.E {
	return bson.E{Key: "lastAttempt", Value: gateway.LastAttempt{Number: a.Number, At: a.At, Status: a.Status, Failure: a.Failure}}
}

func attemptField(number int) string { return "attempts." + strconv.Itoa(number) }

// isNew is a filter for deliveries that do not have this attempt yet.
func isNew(a *gateway.Attempt) bson.D {
	return is(attemptField(a.Number)+".at", "$ne", int64(a.At))
}

// attemptParts is the update that adds an attempt to the other fields to be set and unset, and drops what falls out of
// what is kept.
func attemptParts(a *gateway.Attempt, fields []bson.E, gone []string) []bson.E {
	fields = append(fields, bson.E{Key: attemptField(a.Number), Value: attemptOf(*a)})
	gone = slices.Clone(gone)
	if old := a.Number - gateway.KeptAttempts; old > gateway.KeptAttempts {
		gone = append(gone, attemptField(old))
	}
	if old := a.Number - gateway.KeptBodies; old >= 1 {
		gone = append(gone, attemptField(old)+".responseBody", attemptField(old)+".responseEncoding")
	}
	parts := []bson.E{set(fields...), {Key: "$max", Value: bson.D{{Key: "attemptCount", Value: int64(a.Number)}}}}
	if len(gone) > 0 {
		parts = append(parts, unset(gone...))
	}
	return parts
}
