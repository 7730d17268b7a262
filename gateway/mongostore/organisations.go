package mongostore

import (
	"context"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/unihook/unihook/gateway"
)

type organisationDoc struct {
	gateway.Organisation `bson:",inline"`
	Seq                  string `bson:"seq"`
}

func organisationOf(o gateway.Organisation) organisationDoc {
	return organisationDoc{o, seq(o.CreatedAt, o.ID)}
}

// InsertOrganisation answers ErrTaken for an id that exists.
func (s *Store) InsertOrganisation(ctx context.Context, o gateway.Organisation) error {
	return s.insert(ctx, s.organisations, organisationOf(o))
}

// Organisation answers one that is being erased too.
func (s *Store) Organisation(ctx context.Context, id string) (gateway.Organisation, error) {
	return findOne[gateway.Organisation](ctx, s, s.organisations, eq("_id", id))
}

// ListOrganisations is newest first.
func (s *Store) ListOrganisations(ctx context.Context, page gateway.Page) ([]gateway.Organisation, string, error) {
	list, err := find[gateway.Organisation](ctx, s, s.organisations, between("seq", "", page.After),
		pageOptions(page, descending("seq")))
	list, next := cut(list, page, func(o gateway.Organisation) string { return seq(o.CreatedAt, o.ID) })
	return list, next, err
}

// ReplaceOrganisation replaces the one whose revision is was, else ErrStale.
func (s *Store) ReplaceOrganisation(ctx context.Context, o gateway.Organisation, was int64) error {
	return s.replace(ctx, s.organisations, and(eq("_id", o.ID), eq("revision", was)), organisationOf(o))
}

// EraseOrganisation removes at most limit records; what sends comes first. The job that erases stays until its worker
// removes it.
func (s *Store) EraseOrganisation(ctx context.Context, id string, limit int) (done bool, err error) {
	own := eq("organisation", id)
	for _, part := range []struct {
		in     *mongo.Collection
		filter bson.D
	}{
		{s.keys, own}, {s.webhooks, own}, {s.deliveries, own}, {s.events, under("_id", id)}, {s.replays, own},
		{s.endpoints, own}, {s.shapes, own}, {s.jobs, and(own, is("kind", "$ne", string(gateway.JobErase)))}, {s.accounts, under("_id", id)},
	} {
		n, err := s.remove(ctx, part.in, part.filter, nil, limit)
		if err != nil {
			return false, err
		}
		if limit -= n; limit <= 0 {
			return false, nil
		}
	}
	ctx, cancel := s.bound(ctx)
	defer cancel()
	_, err = s.organisations.DeleteOne(ctx, eq("_id", id))
	return err == nil, translate(err)
}

type accountDoc struct {
	Key             string `bson:"_id"`
	gateway.Account `bson:",inline"`
}

// PutAccounts makes or updates accounts.
func (s *Store) PutAccounts(ctx context.Context, accounts []gateway.Account) error {
	changes := make([]mongo.WriteModel, len(accounts))
	for i, a := range accounts {
		made := bson.D{
			{Key: "organisation", Value: a.Organisation}, {Key: "id", Value: a.ID},
			{Key: "knownSince", Value: int64(a.KnownSince)}, {Key: "place", Value: a.Place()},
		}
		parts := []bson.E{{Key: "$max", Value: bson.D{{Key: "lastEventAt", Value: int64(a.LastEventAt)}}}}
		if a.Name != "" {
			parts = append(parts, set(bson.E{Key: "name", Value: a.Name}))
		} else {
			made = append(made, bson.E{Key: "name", Value: ""})
		}
		parts = append(parts, bson.E{Key: "$setOnInsert", Value: made})
		changes[i] = change(eq("_id", accountKey(a.Organisation, a.ID)), parts...).SetUpsert(true)
	}
	_, err := s.bulk(ctx, s.accounts, changes)
	if taken(err) { // two made one account at the same time: it is there now
		_, err = s.bulk(ctx, s.accounts, changes)
	}
	return err
}

func accountKey(organisation, id string) string { return organisation + "/" + id }

// Accounts is every account of the organisation among ids, by id.
func (s *Store) Accounts(ctx context.Context, organisation string, ids []string) ([]gateway.Account, error) {
	keys := make([]string, len(ids))
	for i, id := range ids {
		keys[i] = accountKey(organisation, id)
	}
	list, err := find[accountDoc](ctx, s, s.accounts, in("_id", keys), options.Find().SetSort(ascending("_id")))
	return accountsOf(list), err
}

// ListAccounts lists accounts, newest first.
func (s *Store) ListAccounts(ctx context.Context, scope gateway.Scope, page gateway.Page) ([]gateway.Account, string, error) {
	filter := and(scoped(scope), between("place", "", page.After))
	list, err := find[accountDoc](ctx, s, s.accounts, filter, pageOptions(page, descending("place")))
	list, next := cut(list, page, func(a accountDoc) string { return a.Place() })
	return accountsOf(list), next, err
}

func accountsOf(docs []accountDoc) []gateway.Account {
	var list []gateway.Account
	for _, d := range docs {
		list = append(list, d.Account)
	}
	return list
}
