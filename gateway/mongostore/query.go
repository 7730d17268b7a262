package mongostore

import (
	"context"
	"fmt"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/unihook/unihook/gateway"
)

// scalar is what a filter compares with. It is never a document, so that no value can be an operator.
type scalar interface {
	~string | ~int64 | ~int | ~bool
}

// eq is a filter for fields that equal a value.
func eq[T scalar](field string, value T) bson.D {
	return bson.D{{Key: field, Value: value}}
}

// and adds the conditions of other filters, on other fields.
func and(filters ...bson.D) bson.D {
	all := bson.D{}
	for _, f := range filters {
		all = append(all, f...)
	}
	return all
}

// in is a filter for fields that equal one of values.
func in[T scalar](field string, values []T) bson.D {
	if values == nil {
		values = []T{}
	}
	return bson.D{{Key: field, Value: bson.D{{Key: "$in", Value: values}}}}
}

// is is a filter with an operator: is("lookAt", "$lte", now).
func is[T scalar](field, operator string, value T) bson.D {
	return bson.D{{Key: field, Value: bson.D{{Key: operator, Value: value}}}}
}

// between is a filter for strings from from (included) to to (not included). An empty one is no bound.
func between(field, from, to string) bson.D {
	var bounds bson.D
	if from != "" {
		bounds = append(bounds, bson.E{Key: "$gte", Value: from})
	}
	if to != "" {
		bounds = append(bounds, bson.E{Key: "$lt", Value: to})
	}
	if bounds == nil {
		return nil
	}
	return bson.D{{Key: field, Value: bounds}}
}

// under is a filter for composed strings that begin with prefix and "/".
func under(field, prefix string) bson.D { return between(field, prefix+"/", prefix+"0") }

// scoped is a filter for what the scope allows.
func scoped(scope gateway.Scope) bson.D {
	if organisation, ok := scope.Organisation(); ok {
		return eq("organisation", organisation)
	}
	return nil
}

// set and unset are parts of an update.
func set(fields ...bson.E) bson.E { return bson.E{Key: "$set", Value: bson.D(fields)} }

func unset(fields ...string) bson.E {
	gone := make(bson.D, len(fields))
	for i, f := range fields {
		gone[i] = bson.E{Key: f, Value: ""}
	}
	return bson.E{Key: "$unset", Value: gone}
}

func ascending(field string) bson.D  { return bson.D{{Key: field, Value: int32(1)}} }
func descending(field string) bson.D { return bson.D{{Key: field, Value: int32(-1)}} }

// without and only are projections.
func without(fields ...string) bson.D { return projection(0, fields) }
func only(fields ...string) bson.D    { return projection(1, fields) }

func projection(keep int32, fields []string) bson.D {
	p := make(bson.D, len(fields))
	for i, f := range fields {
		p[i] = bson.E{Key: f, Value: keep}
	}
	return p
}

// find reads all documents that the filter matches.
func find[T any](ctx context.Context, s *Store, c *mongo.Collection, filter bson.D, opts *options.FindOptionsBuilder) ([]T, error) {
	ctx, cancel := s.bound(ctx)
	defer cancel()
	if filter == nil {
		filter = bson.D{}
	}
	cursor, err := c.Find(ctx, filter, opts)
	if err != nil {
		return nil, translate(err)
	}
	var list []T
	if err := cursor.All(ctx, &list); err != nil {
		return nil, translate(err)
	}
	return list, nil
}

// findOne reads the document that the filter matches, or answers ErrNotFound.
func findOne[T any](ctx context.Context, s *Store, c *mongo.Collection, filter bson.D) (doc T, err error) {
	ctx, cancel := s.bound(ctx)
	defer cancel()
	err = c.FindOne(ctx, filter).Decode(&doc)
	return doc, translate(err)
}

// pageOptions asks for one more than the page has, which tells whether there is a next one.
func pageOptions(page gateway.Page, sort bson.D) *options.FindOptionsBuilder {
	return options.Find().SetSort(sort).SetLimit(int64(max(page.Limit, 1)) + 1)
}

// cut takes the one too many off a page, and answers the mark of the last one that stays.
func cut[T any](list []T, page gateway.Page, mark func(T) string) ([]T, string) {
	n := max(page.Limit, 1)
	if len(list) <= n {
		return list, ""
	}
	return list[:n], mark(list[n-1])
}

// insert adds one document, or answers ErrTaken.
func (s *Store) insert(ctx context.Context, c *mongo.Collection, doc any) error {
	ctx, cancel := s.bound(ctx)
	defer cancel()
	_, err := c.InsertOne(ctx, doc)
	return translate(err)
}

// insertNew adds those documents that are not there yet, and answers which were.
func insertNew[T any](ctx context.Context, s *Store, c *mongo.Collection, docs []T) (taken []int, err error) {
	if len(docs) == 0 {
		return nil, nil
	}
	ctx, cancel := s.bound(ctx)
	defer cancel()
	_, err = c.InsertMany(ctx, docs, options.InsertMany().SetOrdered(false))
	return duplicates(err)
}

// replace exchanges the document that the filter matches, or answers ErrStale.
func (s *Store) replace(ctx context.Context, c *mongo.Collection, filter bson.D, doc any) error {
	ctx, cancel := s.bound(ctx)
	defer cancel()
	r, err := c.ReplaceOne(ctx, filter, doc)
	if err != nil {
		return translate(err)
	}
	if r.MatchedCount == 0 {
		return gateway.ErrStale
	}
	return nil
}

// update changes the documents that the filter matches, and answers how many it matched.
func (s *Store) update(ctx context.Context, c *mongo.Collection, filter, change bson.D) (int, error) {
	ctx, cancel := s.bound(ctx)
	defer cancel()
	r, err := c.UpdateMany(ctx, filter, change)
	if err != nil {
		return 0, translate(err)
	}
	return int(r.MatchedCount), nil
}

// bulk makes many changes in one command, each on its own, and answers how many documents they matched.
func (s *Store) bulk(ctx context.Context, c *mongo.Collection, changes []mongo.WriteModel) (int, error) {
	if len(changes) == 0 {
		return 0, nil
	}
	ctx, cancel := s.bound(ctx)
	defer cancel()
	r, err := c.BulkWrite(ctx, changes, options.BulkWrite().SetOrdered(false))
	if err != nil {
		return 0, translate(err)
	}
	return int(r.MatchedCount), nil
}

func change(filter bson.D, parts ...bson.E) *mongo.UpdateOneModel {
	return mongo.NewUpdateOneModel().SetFilter(filter).SetUpdate(bson.D(parts))
}

// remove deletes at most limit documents that the filter matches, in the order given, and answers how many. There is
// no delete with a limit, so their ids are read first.
func (s *Store) remove(ctx context.Context, c *mongo.Collection, filter, sort bson.D, limit int) (int, error) {
	if limit <= 0 {
		return 0, nil
	}
	opts := options.Find().SetProjection(only("_id")).SetLimit(int64(limit))
	if sort != nil {
		opts.SetSort(sort)
	}
	found, err := find[struct {
		ID string `bson:"_id"`
	}](ctx, s, c, filter, opts)
	if err != nil || len(found) == 0 {
		return 0, err
	}
	ids := make([]string, len(found))
	for i, f := range found {
		ids[i] = f.ID
	}
	ctx, cancel := s.bound(ctx)
	defer cancel()
	r, err := c.DeleteMany(ctx, in("_id", ids))
	if err != nil {
		return 0, translate(err)
	}
	return int(r.DeletedCount), nil
}

// seq composes a time and an id into a string that sorts by both.
func seq(at gateway.Time, id string) string { return seqTime(at) + "/" + id }

// seqTime is what sorts before every seq of that time, and after every earlier one. Times before 1970 are 0.
func seqTime(at gateway.Time) string { return fmt.Sprintf("%012x", max(int64(at), 0)) }

// window is a filter for the seqs from since (included) to until (not included); zero times are no bounds.
func window(since, until gateway.Time, after string) bson.D {
	var from, to string
	if since != 0 {
		from = seqTime(since)
	}
	if until != 0 {
		to = seqTime(until)
	}
	if after != "" && (to == "" || after < to) {
		to = after
	}
	return between("seq", from, to)
}

// times is a filter for times from since (included) to until (not included); zero times are no bounds.
func times(field string, since, until gateway.Time) bson.D {
	var bounds bson.D
	if since != 0 {
		bounds = append(bounds, bson.E{Key: "$gte", Value: int64(since)})
	}
	if until != 0 {
		bounds = append(bounds, bson.E{Key: "$lt", Value: int64(until)})
	}
	if bounds == nil {
		return nil
	}
	return bson.D{{Key: field, Value: bounds}}
}
