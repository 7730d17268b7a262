package mongostore

import (
	"context"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/unihook/unihook/gateway"
)

// keysetID is the id of the one keyset.
const keysetID = "keyset"

type keysetDoc struct {
	ID      string `bson:"_id"`
	Blob    []byte `bson:"blob"`
	Version int64  `bson:"version"`
}

// Keyset answers ErrNotFound when none was made yet.
func (s *Store) Keyset(ctx context.Context) (gateway.Keyset, error) {
	d, err := findOne[keysetDoc](ctx, s, s.keyring, eq("_id", keysetID))
	return gateway.Keyset{Blob: d.Blob, Version: d.Version}, err
}

// SwapKeyset writes the keyset where the stored version is k.Version, with the next one, else ErrStale.
func (s *Store) SwapKeyset(ctx context.Context, k gateway.Keyset) error {
	d := keysetDoc{keysetID, k.Blob, k.Version + 1}
	if k.Version != 0 {
		return s.replace(ctx, s.keyring, and(eq("_id", keysetID), eq("version", k.Version)), d)
	}
	err := s.insert(ctx, s.keyring, d)
	if taken(err) {
		return gateway.ErrStale
	}
	return err
}

// processKept is how long a process that is gone stays listed.
const processKept = 24 * time.Hour

// Beat notes that a process lives; the first beat of one removes those long gone.
func (s *Store) Beat(ctx context.Context, p gateway.Process) error {
	ctx, cancel := s.bound(ctx)
	defer cancel()
	r, err := s.processes.ReplaceOne(ctx, eq("_id", p.ID), p, options.Replace().SetUpsert(true))
	if err == nil && r.UpsertedCount > 0 {
		_, err = s.processes.DeleteMany(ctx, is("seenAt", "$lt", p.SeenAt.Add(-processKept)))
	}
	return translate(err)
}

// Processes lists those seen since.
func (s *Store) Processes(ctx context.Context, since gateway.Time) ([]gateway.Process, error) {
	return find[gateway.Process](ctx, s, s.processes, bson.D{{Key: "seenAt", Value: bson.D{{Key: "$gte", Value: int64(since)}}}},
		options.Find().SetSort(ascending("_id")))
}
