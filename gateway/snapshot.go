package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/unihook/unihook/mapping"
)

// snapshotFor is how long what was read of an organisation decides about its events without a look at the store.
const snapshotFor = 500 * time.Millisecond

// snapshotsKept bounds the organisations in memory.
const snapshotsKept = 10_000

// target is one endpoint that an event goes to.
type target struct {
	webhook  string
	revision int64
	endpoint string
	shape    string
	// parked tells that its deliveries are born in the endpoint's lane, for this reason.
	parked Reason
}

// snapshot is what decides about one organisation's events: its active webhooks by revision, matched once per event
// type, and the lanes of its endpoints.
type snapshot struct {
	organisation Organisation
	readAt       time.Time
	webhooks     []*selector
	lanes        map[string]EndpointState

	mu      sync.Mutex
	matched map[string][]target
}

// selector is one webhook, as far as it decides where events go.
type selector struct {
	id        string
	revision  int64
	active    bool
	ordered   bool
	limited   bool
	endpoints []string
	accounts  map[string]bool
	shapes    map[string]*made // by selection: "product/type", "product/*", "*/*"
	own       *made            // of the webhook's own mapping alone
}

// newSelector compiles a webhook's mappings. It needs nothing that is sealed.
func newSelector(w Webhook) (*selector, error) {
	s := &selector{
		id: w.ID, revision: w.Revision, active: w.Status == Active, ordered: w.Ordered, limited: w.RateLimit != nil,
		shapes: make(map[string]*made, len(w.Events)),
	}
	for _, e := range w.Endpoints {
		s.endpoints = append(s.endpoints, e.ID)
	}
	if len(w.Accounts) > 0 {
		s.accounts = make(map[string]bool, len(w.Accounts))
		for _, a := range w.Accounts {
			s.accounts[a] = true
		}
	}
	var err error
	if s.own, err = newShape(w, w.Mapping); err != nil {
		return nil, fmt.Errorf("compiling the mapping of %s: %w", w.ID, err)
	}
	for _, e := range w.Events {
		shape := s.own
		if len(e.Mapping) > 0 {
			rules := append(append([]mapping.Rule{}, w.Mapping...), e.Mapping...)
			if shape, err = newShape(w, rules); err != nil {
				return nil, fmt.Errorf("compiling the mapping of %s for %s/%s: %w", w.ID, e.Product, e.Type, err)
			}
		}
		s.shapes[e.Product+"/"+e.Type] = shape
	}
	return s, nil
}

// unifiedFacts is what a unified body tells of its webhook; nil for other payloads.
func unifiedFacts(w Webhook) []byte {
	if w.Payload != PayloadUnified {
		return nil
	}
	// As the webhook itself has them, but for their rules: those are not for the receiver.
	type pair struct {
		Product string `json:"product"`
		Type    string `json:"type"`
	}
	events := make([]pair, len(w.Events))
	for i, e := range w.Events {
		events[i] = pair{e.Product, e.Type}
	}
	text, err := json.Marshal(struct {
		ID           string   `json:"id"`
		Name         string   `json:"name"`
		Organisation string   `json:"organisation"`
		Events       []pair   `json:"events"`
		Accounts     []string `json:"accounts"`
		CreatedAt    Time     `json:"createdAt"`
		UpdatedAt    Time     `json:"updatedAt"`
	}{w.ID, w.Name, w.Organisation, events, append([]string{}, w.Accounts...), w.CreatedAt, w.UpdatedAt})
	if err != nil {
		panic("gateway: a webhook's facts do not encode: " + err.Error())
	}
	return text
}

// shapeFor is the mapping of the most exact selection that names the event type.
func (s *selector) shapeFor(product, typ string) (*made, bool) {
	for _, key := range []string{product + "/" + typ, product + "/*", "*/*"} {
		if m, ok := s.shapes[key]; ok {
			return m, true
		}
	}
	return nil, false
}

// all lists every shape of the webhook.
func (s *selector) all() []*made {
	list := []*made{s.own}
	for _, m := range s.shapes {
		list = append(list, m)
	}
	return list
}

// snapshots keeps a snapshot per organisation that publishes.
type snapshots struct {
	g  *Gateway
	mu sync.Mutex
	by map[string]*slot
}

// slot holds an organisation's snapshot; its lock makes readers of one organisation read the store once.
type slot struct {
	mu   sync.Mutex
	snap *snapshot
	// away counts the reads that met no store, and fault is the last one's: who waited for such a read shares its
	// error, or a hundred publishers would wait for the store one after the other.
	away  atomic.Int64
	fault error
}

func newSnapshots(g *Gateway) *snapshots { return &snapshots{g: g, by: map[string]*slot{}} }

// of answers the organisation's snapshot, at most half a second old; ErrNotFound for one that does not exist.
func (s *snapshots) of(ctx context.Context, organisation string) (*snapshot, error) {
	s.mu.Lock()
	if len(s.by) >= snapshotsKept {
		clear(s.by)
	}
	at, ok := s.by[organisation]
	if !ok {
		at = &slot{}
		s.by[organisation] = at
	}
	s.mu.Unlock()

	before := at.away.Load()
	at.mu.Lock()
	defer at.mu.Unlock()
	if at.away.Load() != before {
		return nil, at.fault
	}
	now := s.g.Clock()
	if at.snap != nil {
		if age := now.Sub(at.snap.readAt); age >= 0 && age < snapshotFor {
			return at.snap, nil
		}
	}
	fresh, err := s.read(ctx, organisation, at.snap, now)
	if errors.Is(err, ErrNotFound) {
		s.forget(organisation)
	}
	if errors.Is(err, ErrAway) && ctx.Err() == nil { // and not its caller who gave up
		at.fault = err
		at.away.Add(1)
	}
	if err != nil {
		return nil, err
	}
	at.snap = fresh
	return fresh, nil
}

// forget keeps names that do not exist from filling the memory.
func (s *snapshots) forget(organisation string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.by, organisation)
}

// read makes a snapshot; webhooks whose revision is that of old are taken over from it.
func (s *snapshots) read(ctx context.Context, organisation string, old *snapshot, now time.Time) (*snapshot, error) {
	store := s.g.Store
	org, err := store.Organisation(ctx, organisation)
	if err != nil {
		return nil, err
	}
	if org.Erasing {
		return nil, ErrNotFound
	}
	revisions, err := store.Revisions(ctx, organisation)
	if err != nil {
		return nil, fmt.Errorf("reading the revisions of %s: %w", organisation, err)
	}
	lanes, err := store.Lanes(ctx, organisation)
	if err != nil {
		return nil, fmt.Errorf("reading the lanes of %s: %w", organisation, err)
	}
	webhooks, changed, err := s.selectors(ctx, revisions, old)
	if err != nil {
		return nil, err
	}
	fresh := &snapshot{organisation: org, readAt: now, webhooks: webhooks, lanes: make(map[string]EndpointState, len(lanes)), matched: map[string][]target{}}
	for _, l := range lanes {
		fresh.lanes[l.ID] = l
	}
	if !changed && old != nil && len(lanes) == 0 && len(old.lanes) == 0 {
		old.mu.Lock()
		fresh.matched, old.matched = old.matched, nil
		old.mu.Unlock()
	}
	return fresh, nil
}

// selectors answers the webhooks of the revisions, and whether any differs from old's.
func (s *snapshots) selectors(ctx context.Context, revisions []Revision, old *snapshot) ([]*selector, bool, error) {
	known := map[Revision]*selector{}
	if old != nil {
		for _, w := range old.webhooks {
			known[Revision{ID: w.id, Revision: w.revision}] = w
		}
	}
	var list []*selector
	var missing []string
	for _, r := range revisions {
		if w, ok := known[Revision{ID: r.ID, Revision: r.Revision}]; ok {
			list = append(list, w)
		} else {
			missing = append(missing, r.ID)
		}
	}
	changed := old == nil || len(missing) > 0 || len(list) != len(old.webhooks)
	if len(missing) == 0 {
		return list, changed, nil
	}
	stored, err := s.g.Store.WebhooksByID(ctx, missing)
	if err != nil {
		return nil, false, fmt.Errorf("reading changed webhooks: %w", err)
	}
	for _, w := range stored {
		if w.DeletedAt != 0 {
			continue
		}
		fresh, err := newSelector(w)
		if err != nil {
			return nil, false, err
		}
		if err := s.g.bodies.put(ctx, fresh.all()); err != nil {
			return nil, false, err
		}
		list = append(list, fresh)
	}
	return list, changed, nil
}

// targets is where an event goes.
func (s *snapshot) targets(product, typ, account string) []target {
	key := product + "/" + typ + "/" + account
	s.mu.Lock()
	defer s.mu.Unlock()
	if list, ok := s.matched[key]; ok {
		return list
	}
	var list []target
	for _, w := range s.webhooks {
		if !w.active || w.accounts != nil && !w.accounts[account] {
			continue
		}
		shape, ok := w.shapeFor(product, typ)
		if !ok {
			continue
		}
		for _, e := range w.endpoints {
			list = append(list, target{webhook: w.id, revision: w.revision, endpoint: e, shape: shape.ID, parked: s.parked(w, e)})
		}
	}
	if s.matched == nil || len(s.matched) >= snapshotsKept {
		s.matched = map[string][]target{} // accounts are the caller's words: they must not fill the memory
	}
	s.matched[key] = list
	return list
}

// parked says why an endpoint's deliveries are born in its lane; empty when they are not.
func (s *snapshot) parked(w *selector, endpoint string) Reason {
	switch state, inLane := s.lanes[endpoint]; {
	case inLane && state.GoneAt != 0:
		return EndpointGone
	case inLane && state.QuarantinedSince != 0:
		return InQuarantine
	case w.ordered:
		return InOrder
	case w.limited:
		return RateLimited
	case inLane:
		return Waiting
	default:
		return ""
	}
}

// parkedFor is parked for a delivery that was planned before. A nil snapshot, of an organisation that is no more, parks
// nothing.
func (s *snapshot) parkedFor(p Planned) Reason {
	if s == nil {
		return ""
	}
	for _, w := range s.webhooks {
		if w.id == p.Webhook {
			return s.parked(w, p.Endpoint)
		}
	}
	return ""
}
