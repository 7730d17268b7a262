package gateway_test

import (
	"context"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/unihook/unihook/gateway"
	"github.com/unihook/unihook/gateway/egress"
	"github.com/unihook/unihook/gateway/sqlitestore"
	"github.com/unihook/unihook/products"
)

// idleQueue takes hints and remembers the lanes and jobs among them.
type idleQueue struct {
	mu          sync.Mutex
	lanes, jobs []string
}

func (q *idleQueue) EnqueueRun(context.Context, string, []string) error { return nil }

func (q *idleQueue) EnqueueLane(_ context.Context, endpoint string) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.lanes = append(q.lanes, endpoint)
	return nil
}

func (q *idleQueue) EnqueueJob(_ context.Context, job string) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.jobs = append(q.jobs, job)
	return nil
}

func (q *idleQueue) Behind() time.Duration { return 0 }

// publicResolver answers every name with one public address.
type publicResolver struct{}

func (publicResolver) LookupNetIP(context.Context, string, string) ([]netip.Addr, error) {
	return []netip.Addr{netip.MustParseAddr("93.184.216.34")}, nil
}

// clock stands still until it is moved.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) move(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

const operatorKey = "operator-key-of-at-least-32-characters"

var operator = gateway.Actor{Kind: gateway.KindOperator, Key: "operator", Address: "192.0.2.1"}

// bench is a gateway on the embedded store with a clock that stands still.
type bench struct {
	*gateway.Gateway
	store *sqlitestore.Store
	queue *idleQueue
	clock *clock
}

func openBench(t *testing.T, change ...func(*gateway.Options)) *bench {
	t.Helper()
	store, err := sqlitestore.Open(t.Context(), t.TempDir(), sqlitestore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	catalogue, err := products.Builtin()
	if err != nil {
		t.Fatal(err)
	}
	seals, err := gateway.OpenSeals(t.Context(), store, make([]byte, gateway.WrappingKeyBytes))
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{store: store, queue: &idleQueue{}, clock: &clock{at: time.Date(2026, 5, 18, 10, 32, 14, 0, time.UTC)}}
	options := gateway.Options{
		Store: store, Queue: b.queue, Catalogue: catalogue, Policy: &egress.Policy{}, Resolver: publicResolver{},
		Seals: seals, OperatorKey: operatorKey, QuarantineAfter: gateway.DefaultQuarantineAfter, Clock: b.clock.now,
	}
	for _, edit := range change {
		edit(&options)
	}
	if b.Gateway, err = gateway.New(options); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		b.Close()
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

func body[T any](value T) gateway.Body[T] { return gateway.Body[T]{Value: value} }

// organisation makes one and answers its customer.
func (b *bench) organisation(t *testing.T, id string) gateway.Actor {
	t.Helper()
	_, err := b.CreateOrganisation(t.Context(), operator, body(gateway.OrganisationInput{ID: gateway.Given(id), Name: gateway.Given(id)}))
	if err != nil {
		t.Fatal(err)
	}
	return gateway.Actor{Kind: gateway.KindOrganisation, Key: "key_of_" + id, Organisation: id}
}

// codes are an Error's faults as "pointer code".
func codes(err error) []string {
	refused, ok := err.(*gateway.Error)
	if !ok {
		return nil
	}
	list := []string{}
	for _, f := range refused.Faults {
		list = append(list, f.Pointer+f.Parameter+" "+f.Code)
	}
	return list
}
