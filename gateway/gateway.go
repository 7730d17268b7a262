package gateway

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/unihook/unihook/gateway/egress"
	"github.com/unihook/unihook/products"
)

// Options is what a Gateway is made of. Store, Queue, Catalogue, Policy and Seals are required.
type Options struct {
	Store     Store
	Queue     Queue
	Catalogue *products.Catalogue
	// Policy judges the URLs that customers save, Resolver looks their names up.
	Policy   *egress.Policy
	Resolver egress.Resolver
	Seals    *Seals
	// OperatorKey is the operator's key of the settings.
	OperatorKey string
	// DefaultStatus is the status of webhooks that name none.
	DefaultStatus WebhookStatus
	// MaxEventBytes bounds the data of one event, MaxPending the pending deliveries of one organisation.
	MaxEventBytes, MaxPending int
	// QuarantineAfter and QuarantineFor are what webhooks that name none get; 0 failures is never.
	QuarantineAfter int
	QuarantineFor   time.Duration
	// Egress answers what receivers may know by now: a proxy's addresses are learned from it. Nil is direct.
	Egress func() EgressFacts
	Log    *slog.Logger
	// Clock is time.Now where nothing else is given.
	Clock func() time.Time
}

// EgressFacts is what receivers may know of the addresses that requests leave from.
type EgressFacts struct {
	Addresses []netip.Addr      `json:"addresses"`
	Upcoming  []UpcomingAddress `json:"upcoming"`
	// Mode is "bind", "proxy" or "direct".
	Mode string `json:"mode"`
}

// UpcomingAddress is an address that will be used from a date on.
type UpcomingAddress struct {
	Address netip.Addr `json:"address"`
	From    string     `json:"from"`
}

// Defaults of Options; API.md has the settings.
const (
	DefaultMaxEventBytes   = 256 << 10
	DefaultMaxPending      = 1_000_000
	DefaultQuarantineAfter = 10
	DefaultQuarantineFor   = time.Minute
)

// Gateway does each thing that a person or a product can do. Its methods are safe for concurrent use.
type Gateway struct {
	Options

	snapshots *snapshots
	lives     *lives
	bodies    *bodies
	intake    *intake
	pending   *pendingCounts
	keys      *keyCache
	previews  chan struct{}
	tries     tries
	turns     turns
	flying    atomic.Pointer[func(delivery string) bool]
	cancelled atomic.Pointer[func()]
}

// InFlightHere has has asked whether this process is at a delivery. What a lane sends has no claim in the store that
// would tell; where the worker is another process a retry of it is taken, and made after it.
func (g *Gateway) InFlightHere(has func(delivery string) bool) { g.flying.Store(&has) }

func (g *Gateway) inFlight(d Delivery) bool {
	if d.Status == Pending && d.Place.Run != "" && d.Place.LookAt > g.now() {
		return true
	}
	has := g.flying.Load()
	return has != nil && (*has)(d.ID)
}

// New checks the options, fills in defaults and starts the loops that Close ends.
func New(o Options) (*Gateway, error) {
	switch {
	case o.Store == nil || o.Queue == nil || o.Catalogue == nil || o.Policy == nil || o.Seals == nil:
		return nil, errors.New("gateway: Store, Queue, Catalogue, Policy and Seals are required")
	case o.DefaultStatus == "":
		o.DefaultStatus = Inactive
	}
	if o.MaxEventBytes == 0 {
		o.MaxEventBytes = DefaultMaxEventBytes
	}
	if o.MaxPending == 0 {
		o.MaxPending = DefaultMaxPending
	}
	if o.QuarantineFor == 0 {
		o.QuarantineFor = DefaultQuarantineFor
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	g := &Gateway{Options: o, previews: make(chan struct{}, maxPreviews)}
	g.bodies = newBodies(o.Store, 4*o.MaxEventBytes)
	g.lives = newLives(g)
	g.snapshots = newSnapshots(g)
	g.pending = newPendingCounts(g)
	g.intake = newIntake(g)
	g.keys = newKeyCache(g)
	return g, nil
}

// Close ends the loops, after what was accepted is written and queued.
func (g *Gateway) Close() {
	g.intake.close()
	g.keys.close()
}

// now is the moment in the precision that is stored.
func (g *Gateway) now() Time { return At(g.Clock()) }

// EgressFacts is what receivers may know of the addresses that requests leave from; its lists are never nil.
func (g *Gateway) EgressFacts() EgressFacts {
	facts := EgressFacts{Mode: "direct"}
	if g.Egress != nil {
		facts = g.Egress()
	}
	if facts.Addresses == nil {
		facts.Addresses = []netip.Addr{}
	}
	if facts.Upcoming == nil {
		facts.Upcoming = []UpcomingAddress{}
	}
	return facts
}

// Ready tells whether the store can be written to.
func (g *Gateway) Ready(ctx context.Context) error { return g.Store.Ping(ctx) }

// away turns a store that is away into the Error that callers see, and leaves all else.
func away(err error) error {
	if errors.Is(err, ErrAway) {
		return &Error{Kind: Unavailable, Detail: "the store cannot be reached; nothing was changed, try again", RetryAfter: 2 * time.Second}
	}
	return err
}
