package mongostore

import (
	"context"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"

	"github.com/unihook/unihook/gateway"
)

type keyDoc struct {
	gateway.Key `bson:",inline"`
	Seq         string `bson:"seq"`
}

// InsertKey answers ErrTaken for an id that exists.
func (s *Store) InsertKey(ctx context.Context, k gateway.Key) error {
	return s.insert(ctx, s.keys, keyDoc{k, seq(k.CreatedAt, k.ID)})
}

// Key finds a key by its id.
func (s *Store) Key(ctx context.Context, id string) (gateway.Key, error) {
	return findOne[gateway.Key](ctx, s, s.keys, eq("_id", id))
}

// ListKeys is newest first.
func (s *Store) ListKeys(ctx context.Context, page gateway.Page) ([]gateway.Key, string, error) {
	list, err := find[gateway.Key](ctx, s, s.keys, between("seq", "", page.After), pageOptions(page, descending("seq")))
	list, next := cut(list, page, func(k gateway.Key) string { return seq(k.CreatedAt, k.ID) })
	return list, next, err
}

// DeleteKey answers ErrNotFound for a key that is not there.
func (s *Store) DeleteKey(ctx context.Context, id string) error {
	ctx, cancel := s.bound(ctx)
	defer cancel()
	r, err := s.keys.DeleteOne(ctx, eq("_id", id))
	if err != nil {
		return translate(err)
	}
	if r.DeletedCount == 0 {
		return gateway.ErrNotFound
	}
	return nil
}

// TouchKeys notes when keys were last used; the later time stays.
func (s *Store) TouchKeys(ctx context.Context, usedAt map[string]gateway.Time) error {
	var changes []mongo.WriteModel
	for id, at := range usedAt {
		changes = append(changes, change(eq("_id", id),
			bson.E{Key: "$max", Value: bson.D{{Key: "lastUsedAt", Value: int64(at)}}}))
	}
	_, err := s.bulk(ctx, s.keys, changes)
	return err
}
