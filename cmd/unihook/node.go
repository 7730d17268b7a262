package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/unihook/unihook/gateway"
	"github.com/unihook/unihook/gateway/egress"
	"github.com/unihook/unihook/gateway/mongostore"
	"github.com/unihook/unihook/gateway/sqlitestore"
	"github.com/unihook/unihook/products"
	"github.com/unihook/unihook/worker/queue"
)

// role is which halves of the gateway a process runs.
type role string

const (
	roleServe  role = "serve"
	roleAPI    role = "api"
	roleWorker role = "worker"
	roleKeys   role = "keys" // neither: a command that looks after the keys beside running processes
)

// node is one process: what its halves share.
type node struct {
	settings *settings
	role     role
	id       string
	log      *slog.Logger

	operatorKey     string
	operatorKeyFile string // where one that was just made is kept; empty otherwise
	cursorSecret    []byte
	store           gateway.Store
	queue           *queue.Queue
	seals           *gateway.Seals
	policy          *egress.Policy
	client          *egress.Client
	gateway         *gateway.Gateway
}

// openNode connects the parts. Its error says what to do; what was opened until then is closed.
func openNode(ctx context.Context, s *settings, r role, listener net.Listener, log *slog.Logger) (_ *node, err error) {
	n := &node{settings: s, role: r, id: processID(), log: log}
	defer func() {
		if err != nil {
			n.close()
		}
	}()
	steps := []func(context.Context) error{n.openStore, n.openKeys, n.openQueue}
	for _, step := range steps {
		if err := step(ctx); err != nil {
			return nil, err
		}
	}
	if err := n.openEgress(ctx, listener); err != nil {
		return nil, err
	}
	// Before the first secret is sealed: a rotation of keys waits for this process from now on, and one that was done
	// since the keyset was read is taken up.
	n.beatOnce(ctx)
	if err := n.seals.Reload(ctx); err != nil {
		return nil, err
	}
	return n, n.openGateway()
}

// processID tells processes apart in leases and heartbeats.
func processID() string { return gateway.NewID("prc_", time.Now()) }

func (n *node) openStore(ctx context.Context) error {
	s := n.settings
	if s.MongoURI != "" {
		store, err := n.openMongo(ctx)
		if err != nil {
			return err // a nil store in the interface would be closed
		}
		n.store = store
		return nil
	}
	store, err := sqlitestore.Open(ctx, s.DataDir, sqlitestore.Options{Shared: n.role != roleServe, Beside: n.role == roleKeys})
	if err != nil {
		return err
	}
	n.store = store
	return nil
}

// How long a start waits for a MongoDB that is starting too, and how often it looks.
const (
	storePatience = 30 * time.Second
	storeRetry    = 500 * time.Millisecond
)

// openMongo connects, and waits for a server that is not there yet: processes of a cluster start in any order.
func (n *node) openMongo(ctx context.Context) (*mongostore.Store, error) {
	end := time.Now().Add(storePatience)
	for {
		store, err := mongostore.Open(ctx, n.settings.MongoURI, mongostore.Options{})
		if err == nil || !errors.Is(err, gateway.ErrAway) || time.Now().After(end) {
			return store, err
		}
		n.log.Info("waiting for the store", "error", err)
		select {
		case <-time.After(storeRetry):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// openKeys finds the operator's key and the wrapping key, or makes them, and opens the store's secrets.
func (n *node) openKeys(ctx context.Context) error {
	s := n.settings
	n.operatorKey = s.OperatorKey
	if n.operatorKey == "" && n.role != roleKeys {
		key, made, err := keyOf(s.DataDir, "operator-key", newOperatorKey)
		if err != nil {
			return err
		}
		n.operatorKey = key
		if made {
			n.operatorKeyFile = filepath.Join(s.DataDir, "operator-key")
		}
	}
	texts, err := n.encryptionKeys(ctx)
	if err != nil {
		return err
	}
	keys, err := wrappingKeys(texts)
	if err != nil {
		return err
	}
	n.cursorSecret = keys[0]
	n.seals, err = gateway.OpenSeals(ctx, n.store, keys...)
	return err
}

// encryptionKeys are those of the settings, else the one in the data dir, which is made for a store that has no keyset
// yet: a new one would not open the one that it has.
func (n *node) encryptionKeys(ctx context.Context) ([]string, error) {
	s := n.settings
	if len(s.EncryptionKey) > 0 {
		return s.EncryptionKey, nil
	}
	const name = "encryption-key"
	_, err := n.store.Keyset(ctx)
	if file := filepath.Join(s.DataDir, name); err == nil && !exists(file) {
		return nil, fmt.Errorf("the store is sealed with an encryption key that is not in %s: give it by --encryption-key; none is made anew", file)
	}
	if err != nil && !errors.Is(err, gateway.ErrNotFound) {
		return nil, fmt.Errorf("reading the keyset: %w", err)
	}
	key, _, err := keyOf(s.DataDir, name, newEncryptionKey)
	return []string{key}, err
}

func (n *node) openQueue(ctx context.Context) (err error) {
	s := n.settings
	n.queue, err = queue.Open(ctx, queue.Options{URI: s.RedisURI, Insecure: s.InsecureRedis, Log: n.log})
	return err
}

// openEgress makes the guard and the client that target URLs are called with.
func (n *node) openEgress(ctx context.Context, listener net.Listener) (err error) {
	s := &n.settings.egressSettings
	if n.policy, err = s.policy(listener); err != nil {
		return err
	}
	n.policy.Listeners = append(n.policy.Listeners, n.queue.Listeners()...)
	if n.client, err = s.client(n.policy, n.role == roleAPI); err != nil {
		return err
	}
	// The addresses were checked. A proxy that is not there yet keeps nobody from starting: until it is, this process
	// is not ready, and never goes round it.
	if s.EgressProxy != "" {
		if err := n.client.Check(ctx); err != nil {
			n.log.Warn("requests cannot leave yet", "error", err)
		}
	}
	return nil
}

// userAgent is what receivers see.
const userAgent = "Unihook/1 (+https://unihook.dev)"

// policy is what targets may be.
func (s *egressSettings) policy(listener net.Listener) (*egress.Policy, error) {
	networks, err := s.networks()
	if err != nil {
		return nil, err
	}
	own, err := s.ownAddresses()
	if err != nil {
		return nil, err
	}
	p := &egress.Policy{AllowHTTP: s.AllowHTTP, AllowPorts: s.AllowPort, Networks: networks, Own: own}
	if listener != nil {
		if at, ok := listener.Addr().(*net.TCPAddr); ok {
			p.Listeners = []netip.AddrPort{at.AddrPort()}
		}
	}
	if u, err := url.Parse(s.EgressProxy); err == nil {
		if at, err := netip.ParseAddrPort(u.Host); err == nil {
			p.Listeners = append(p.Listeners, at)
		}
	}
	return p, nil
}

// catalogue is the operator's own, or the built-in one.
func (s *settings) catalogue() (*products.Catalogue, error) {
	if s.Catalog == "" {
		return products.Builtin()
	}
	catalogue, err := products.Load(os.DirFS(s.Catalog))
	if err != nil {
		return nil, fmt.Errorf("loading the catalogue in %s: %w", s.Catalog, err)
	}
	return catalogue, nil
}

func (n *node) openGateway() error {
	s := n.settings
	catalogue, err := s.catalogue()
	if err != nil {
		return err
	}
	upcoming, err := s.upcoming()
	if err != nil {
		return err
	}
	n.gateway, err = gateway.New(gateway.Options{
		Store: n.store, Queue: n.queue, Catalogue: catalogue, Policy: n.policy, Resolver: net.DefaultResolver,
		Seals: n.seals, OperatorKey: n.operatorKey, DefaultStatus: gateway.WebhookStatus(s.DefaultStatus),
		MaxEventBytes: s.MaxEventBytes, MaxPending: s.MaxPending, QuarantineAfter: s.QuarantineAfter,
		QuarantineFor: time.Duration(s.QuarantineFor), Log: n.log,
		Egress: func() gateway.EgressFacts { return n.egressFacts(upcoming) },
	})
	return err
}

// egressFacts is what receivers put on their firewalls.
func (n *node) egressFacts(upcoming []gateway.UpcomingAddress) gateway.EgressFacts {
	mode, addresses := n.client.Addresses()
	if public := n.settings.EgressPublicIP; len(public) > 0 {
		addresses = public
	}
	return gateway.EgressFacts{Addresses: addresses, Upcoming: upcoming, Mode: mode}
}

// How often a process asks its proxy which addresses it sends from: until it knows, and afterwards.
const (
	learnEvery = 3 * time.Second
	learnAgain = time.Minute
)

// learnEgress asks the proxy, where there is one, until ctx ends: /v1/egress is answered by processes that send nothing,
// and by ones that started before it.
func (n *node) learnEgress(ctx context.Context) {
	for n.settings.EgressProxy != "" {
		wait := learnAgain
		if err := n.client.Check(ctx); err != nil {
			wait = learnEvery
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return
		}
	}
}

// beat tells the other processes that this one lives, until ctx ends, and takes up new keys.
func (n *node) beat(ctx context.Context) {
	ticker := time.NewTicker(gateway.BeatEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
		n.beatOnce(ctx)
	}
}

func (n *node) beatOnce(ctx context.Context) {
	if err := n.seals.Beat(ctx, n.id, string(n.role)); err != nil && ctx.Err() == nil {
		n.log.Warn("this process could not tell that it lives", "error", err)
	}
}

// close ends the parts in the order in which they use each other.
func (n *node) close() error {
	var errs []error
	if n.gateway != nil {
		n.gateway.Close()
	}
	if n.client != nil {
		n.client.Close()
	}
	if n.queue != nil {
		errs = append(errs, n.queue.Close())
	}
	if n.store != nil {
		errs = append(errs, n.store.Close())
	}
	return errors.Join(errs...)
}
