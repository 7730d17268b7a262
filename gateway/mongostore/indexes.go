package mongostore

import (
	"context"
	"fmt"
	"slices"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

// collectionIndexes are the indexes that a collection must have.
type collectionIndexes struct {
	in      *mongo.Collection
	indexes []indexSpec
}

// indexSpec is one index, ascending in all its fields.
type indexSpec struct {
	fields         []string
	sparse, unique bool
}

func index(fields ...string) indexSpec { return indexSpec{fields: fields} }
func sparse(field string) indexSpec    { return indexSpec{fields: []string{field}, sparse: true} }
func unique(field string) indexSpec {
	return indexSpec{fields: []string{field}, sparse: true, unique: true}
}

// indexes are all; the package's comment says what each is for.
func (s *Store) indexes() []collectionIndexes {
	return []collectionIndexes{
		{s.organisations, []indexSpec{index("seq")}},
		{s.accounts, []indexSpec{index("place"), index("organisation", "place")}},
		{s.keys, []indexSpec{index("seq"), sparse("organisation")}},
		{s.webhooks, []indexSpec{index("organisation", "_id")}},
		{s.events, []indexSpec{index("seq"), index("organisation", "seq"), index("id")}},
		{s.deliveries, []indexSpec{
			index("organisation", "_id"), index("webhook", "_id"), index("endpoint", "_id"), index("event"),
			sparse("replay"), sparse("lookAt"), sparse("turn"), sparse("lane"), sparse("open"),
		}},
		{s.replays, []indexSpec{index("organisation"), unique("running")}},
		{s.endpoints, []indexSpec{index("organisation"), sparse("lane"), sparse("turnAt")}},
		{s.jobs, []indexSpec{index("organisation"), sparse("turnAt")}},
		{s.audit, []indexSpec{unique("key"), index("seq")}},
	}
}

// indexTries is how often the indexes of a collection are made: once, and again where another process that starts at
// the same time made some of them in between.
const indexTries = 3

// prepare makes the indexes that are not there.
func (s *Store) prepare(ctx context.Context) error {
	for _, c := range s.indexes() {
		if err := c.prepare(ctx); err != nil {
			return fmt.Errorf("making the indexes of %s: %w", c.in.Name(), translate(err))
		}
	}
	return nil
}

func (c collectionIndexes) prepare(ctx context.Context) (err error) {
	for range indexTries {
		lacking, fault := c.lacking(ctx)
		if fault != nil || len(lacking) == 0 {
			return fault
		}
		if _, err = c.in.Indexes().CreateMany(ctx, lacking); err == nil {
			return nil
		}
	}
	return err
}

// lacking is which of the indexes are not there. The server would find that out too, but FerretDB drops the connection
// when a command names two that exist.
func (c collectionIndexes) lacking(ctx context.Context) ([]mongo.IndexModel, error) {
	there, err := c.in.Indexes().ListSpecifications(ctx)
	if err != nil {
		return nil, err
	}
	var models []mongo.IndexModel
	for _, i := range c.indexes {
		if !slices.ContainsFunc(there, i.is) {
			models = append(models, i.model())
		}
	}
	return models, nil
}

// is tells whether an index of the server finds what i finds, whatever its name. One that does not make its values
// unique, as i must, is none: making i then says why it cannot be.
func (i indexSpec) is(there mongo.IndexSpecification) bool {
	keys, err := there.KeysDocument.Elements()
	if err != nil || (there.Unique != nil && *there.Unique) != i.unique {
		return false
	}
	return slices.EqualFunc(i.fields, keys, func(field string, key bson.RawElement) bool {
		direction, ok := key.Value().AsInt64OK()
		return ok && direction == 1 && key.Key() == field
	})
}

func (i indexSpec) model() mongo.IndexModel {
	keys := make(bson.D, len(i.fields))
	for at, field := range i.fields {
		keys[at] = bson.E{Key: field, Value: int32(1)}
	}
	with := options.Index()
	if i.sparse {
		with.SetSparse(true)
	}
	if i.unique {
		with.SetUnique(true)
	}
	return mongo.IndexModel{Keys: keys, Options: with}
}
