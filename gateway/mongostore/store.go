package mongostore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.mongodb.org/mongo-driver/v2/mongo/readpref"
	"go.mongodb.org/mongo-driver/v2/mongo/writeconcern"
	"go.mongodb.org/mongo-driver/v2/x/mongo/driver/connstring"

	"github.com/unihook/unihook/gateway"
)

const (
	// defaultDatabase is used where the URI names none.
	defaultDatabase = "unihook"
	// defaultTimeout bounds one call.
	defaultTimeout = 10 * time.Second
	// selectionTimeout is how long a call looks for a primary: a publish is to be answered 503 soon, and an election
	// takes longer than anybody would wait.
	selectionTimeout = 2 * time.Second
	// disconnectTimeout bounds Close.
	disconnectTimeout = 10 * time.Second
)

// Options are how a store is opened. The zero value is for production.
type Options struct {
	// Database is the name; empty is the URI's, or "unihook" where that has none.
	Database string
	// Timeout bounds each call to the server; 0 is 10 s.
	Timeout time.Duration
	// SelectionTimeout is how long a call waits for a server that takes writes; 0 is 2 s.
	SelectionTimeout time.Duration
}

// Store is the store in MongoDB. It implements gateway.Store.
type Store struct {
	client   *mongo.Client
	presence *presence
	// timeout is for each call; patience is how long a server may be gone before calls get less than that.
	timeout, patience time.Duration

	organisations, accounts, keys, webhooks  *mongo.Collection
	shapes, events, deliveries, replays      *mongo.Collection
	endpoints, jobs, audit, numbers, keyring *mongo.Collection
	processes, meta                          *mongo.Collection
}

var _ gateway.Store = (*Store)(nil)

// Open connects to the server that uri names and makes the indexes that are not there. It answers gateway.ErrAway
// (wrapped) when no server takes writes in time; no error repeats the URI, which may hold a password.
func Open(ctx context.Context, uri string, opts Options) (*Store, error) {
	parsed, err := connstring.ParseAndValidate(uri)
	if err != nil {
		return nil, errors.New("the MongoDB URI cannot be read: it is like mongodb://user:password@host:27017/unihook?replicaSet=rs0")
	}
	if opts.Database == "" {
		opts.Database = parsed.Database
	}
	if opts.Database == "" {
		opts.Database = defaultDatabase
	}
	if opts.Timeout == 0 {
		opts.Timeout = defaultTimeout
	}
	if opts.SelectionTimeout == 0 {
		opts.SelectionTimeout = selectionTimeout
	}
	var servers presence
	client, err := mongo.Connect(clientOptions(uri, opts).SetServerMonitor(servers.monitor()))
	if err != nil {
		return nil, fmt.Errorf("connecting to MongoDB: %w", err)
	}
	s := newStore(client, opts)
	s.presence = &servers
	if err := s.prepare(ctx); err != nil {
		_ = s.Close()
		return nil, fmt.Errorf("opening the store in MongoDB: %w", err)
	}
	return s, nil
}

// clientOptions override what the URI says where correctness hangs on it.
func clientOptions(uri string, opts Options) *options.ClientOptions {
	journal := true
	durable := writeconcern.Majority()
	durable.Journal = &journal
	return options.Client().ApplyURI(uri).
		SetAppName("unihook").
		SetBSONOptions(&options.BSONOptions{NilSliceAsEmpty: true}).
		SetServerSelectionTimeout(opts.SelectionTimeout).
		SetConnectTimeout(opts.SelectionTimeout).
		SetWriteConcern(durable).
		SetReadPreference(readpref.Primary())
}

func newStore(client *mongo.Client, opts Options) *Store {
	db := client.Database(opts.Database)
	return &Store{
		client: client, timeout: opts.Timeout, patience: opts.SelectionTimeout,
		organisations: db.Collection("organisations"), accounts: db.Collection("accounts"), keys: db.Collection("keys"),
		webhooks: db.Collection("webhooks"), shapes: db.Collection("shapes"), events: db.Collection("events"),
		deliveries: db.Collection("deliveries"), replays: db.Collection("replays"), endpoints: db.Collection("endpoints"),
		jobs: db.Collection("jobs"), audit: db.Collection("audit"), numbers: db.Collection("auditNumbers"),
		keyring: db.Collection("keyring"), processes: db.Collection("processes"), meta: db.Collection("meta"),
	}
}

// Ping writes: a server that is not a primary, or that has no majority, answers ErrAway.
func (s *Store) Ping(ctx context.Context) error {
	ctx, cancel := s.bound(ctx)
	defer cancel()
	_, err := s.meta.UpdateOne(ctx, eq("_id", "ping"), bson.D{{Key: "$inc", Value: bson.D{{Key: "n", Value: int64(1)}}}},
		options.UpdateOne().SetUpsert(true))
	if err = translate(err); taken(err) { // another process made the document at the same time: it can be written to
		return nil
	}
	return err
}

// Close waits for calls under way and closes the connections.
func (s *Store) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), disconnectTimeout)
	defer cancel()
	return s.client.Disconnect(ctx)
}

// bound gives a call its time, which is short where it would wait in vain.
func (s *Store) bound(ctx context.Context) (context.Context, context.CancelFunc) {
	timeout := s.timeout
	if s.presence.goneFor() > s.patience {
		timeout = min(timeout, awayTimeout)
	}
	return context.WithTimeout(ctx, timeout)
}
