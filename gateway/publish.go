package gateway

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/unihook/unihook/mapping"
)

// MaxBatch is the most events of one batch.
const MaxBatch = 1000

// maxAccount is the most characters of an account's id.
const maxAccount = 64

// eventID is what a publisher may call an event.
var eventID = regexp.MustCompile(`^[A-Za-z0-9_-]{1,128}$`)

// BatchItem is one event's part of a batch's answer: Published for 202, Errors for 422, Detail for any other.
type BatchItem struct {
	Status int `json:"status"`
	*Published
	Detail string  `json:"detail,omitempty"`
	Errors []Fault `json:"errors,omitempty"`
}

// Publish accepts one event: durable, with all its deliveries, when it returns.
func (g *Gateway) Publish(ctx context.Context, a Actor, in Body[EventInput]) (Published, error) {
	prepared, err := g.prepare(ctx, a, in)
	if err != nil {
		return Published{}, away(err)
	}
	if err := g.intake.accept(ctx, []*admission{prepared}); err != nil {
		return Published{}, away(err)
	}
	answer, err := g.answer(ctx, prepared)
	return answer, away(err)
}

// PublishBatch accepts events, each on its own, in the order given. Its error is about all of them: then none is
// known to be accepted, and the batch should be repeated with the same ids.
func (g *Gateway) PublishBatch(ctx context.Context, a Actor, list []Body[EventInput]) ([]BatchItem, error) {
	items := make([]BatchItem, len(list))
	var ready []*admission
	var at []int
	for i, in := range list {
		prepared, err := g.prepare(ctx, a, in)
		if err == nil {
			ready, at = append(ready, prepared), append(at, i)
			continue
		}
		if items[i], err = itemFor(err); err != nil {
			return nil, away(err)
		}
	}
	if err := g.intake.accept(ctx, ready); err != nil {
		return nil, away(err)
	}
	for k, prepared := range ready {
		answer, err := g.answer(ctx, prepared)
		if err == nil {
			items[at[k]] = BatchItem{Status: 202, Published: &answer}
		} else if items[at[k]], err = itemFor(err); err != nil {
			return nil, away(err)
		}
	}
	return items, nil
}

// itemFor is the answer for an event that was refused; another error is the whole batch's.
func itemFor(err error) (BatchItem, error) {
	var e *Error
	if !errors.As(err, &e) {
		return BatchItem{}, err
	}
	switch e.Kind {
	case Invalid:
		return BatchItem{Status: 422, Errors: e.Faults}, nil
	case TooLarge:
		return BatchItem{Status: 422, Errors: []Fault{{Pointer: "/data", Code: "data_too_large", Detail: e.Detail}}}, nil
	case Conflict:
		return BatchItem{Status: 409, Detail: e.Detail}, nil
	case Forbidden:
		return BatchItem{Status: 403, Detail: e.Detail}, nil
	default:
		return BatchItem{}, err
	}
}

// prepare judges an event and finds where it goes.
func (g *Gateway) prepare(ctx context.Context, a Actor, in Body[EventInput]) (*admission, error) {
	e, f, err := g.readEvent(a, in)
	if err != nil {
		return nil, err
	}
	snap, err := g.organisationOf(ctx, e.Organisation, &f)
	if err != nil {
		return nil, err
	}
	if err := f.err(); err != nil {
		return nil, err
	}
	targets := snap.targets(e.Product, e.Type, e.Account)
	if err := g.pending.admit(ctx, e.Organisation, len(targets)); err != nil {
		return nil, err
	}
	return &admission{event: e, targets: targets}, nil
}

// organisationOf finds what decides about an organisation's events; an unknown one is a fault.
func (g *Gateway) organisationOf(ctx context.Context, id string, f *faults) (*snapshot, error) {
	if id == "" {
		return nil, nil
	}
	snap, err := g.snapshots.of(ctx, id)
	if errors.Is(err, ErrNotFound) {
		f.add("/organisation", "organisation_unknown", fmt.Sprintf("there is no organisation %q", id))
		return nil, nil
	}
	return snap, err
}

// readEvent judges what a publisher wrote, the organisation's existence apart.
func (g *Gateway) readEvent(a Actor, body Body[EventInput]) (Event, faults, error) {
	in, f := body.Value, faults(body.Faults)
	e := Event{
		ID: in.ID.Or("", ""), Product: in.Product.Or("", ""), Type: in.Type.Or("", ""),
		Organisation: in.Organisation.Or("", ""), Account: in.Account.Or("", ""), CreatedAt: Moment(g.now()),
	}
	if err := g.mayPublish(a, &e); err != nil {
		return e, f, err
	}
	if e.ID == "" && (!in.ID.Set || in.ID.Null) {
		e.ID = NewID(PrefixEvent, g.Clock())
	} else {
		checkEventID(&f, e.ID)
	}
	g.checkType(&f, e)
	if e.Organisation == "" {
		f.add("/organisation", "organisation_missing", "name the organisation that the event belongs to")
	}
	if in.Account.Set && !in.Account.Null {
		checkAccount(&f, "/account", e.Account)
	}
	if text := in.CreatedAt.Or("", ""); text != "" || in.CreatedAt.Set && !in.CreatedAt.Null {
		created, err := ParseTime(text)
		if err != nil {
			f.add("/createdAt", "time_malformed", err.Error())
		}
		e.CreatedAt = Moment(created)
	}
	data, err := g.checkData(&f, in.Data)
	e.Data = data
	e.Hash = hashEvent(e)
	return e, f, err
}

// mayPublish refuses products and organisations beyond a publisher's. An organisation's own key publishes nothing.
func (g *Gateway) mayPublish(a Actor, e *Event) error {
	if a.Kind != KindOperator && a.Kind != KindPublisher {
		return Refuse(Forbidden, "a key of kind %s does not publish events", a.Kind)
	}
	if len(a.Products) > 0 && e.Product != "" && !slices.Contains(a.Products, e.Product) {
		return Refuse(Forbidden, "this key does not publish for product %q", e.Product)
	}
	if len(a.Organisations) > 0 && e.Organisation != "" && !slices.Contains(a.Organisations, e.Organisation) {
		return Refuse(Forbidden, "this key does not publish for organisation %q", e.Organisation)
	}
	return nil
}

func checkEventID(f *faults, id string) {
	switch {
	case !eventID.MatchString(id):
		f.add("/id", "id_malformed", "an id has 1 to 128 characters of A-Z, a-z, 0-9, _ and -")
	case strings.HasPrefix(id, PrefixTestEvent):
		f.add("/id", "id_reserved", "ids that begin with "+PrefixTestEvent+" are those of tests")
	}
}

func (g *Gateway) checkType(f *faults, e Event) {
	if e.Product == "" {
		f.add("/product", "product_missing", "name the product that the event comes from")
	} else if _, ok := g.Catalogue.Product(e.Product); !ok {
		f.add("/product", "product_unknown", fmt.Sprintf("there is no product %q in the catalogue", e.Product))
	} else if e.Type != "" && !g.Catalogue.Has(e.Product, e.Type) {
		f.add("/type", "type_unknown", fmt.Sprintf("product %q has no event type %q", e.Product, e.Type))
	}
	if e.Type == "" {
		f.add("/type", "type_missing", "name the event's type")
	}
}

// checkAccount judges an account's id.
func checkAccount(f *faults, pointer, id string) {
	if !soundAccount(id) {
		f.add(pointer, "account_malformed", accountDetail)
	}
}

var accountDetail = fmt.Sprintf("an account has 1 to %d characters, none of them a control character", maxAccount)

func soundAccount(id string) bool {
	n := len([]rune(id))
	return n >= 1 && n <= maxAccount && !strings.ContainsFunc(id, func(r rune) bool { return r < ' ' || r == 0x7f })
}

// checkData judges an event's data, which is kept byte for byte. One that is too large is an Error of its own.
func (g *Gateway) checkData(f *faults, in Optional[RawJSON]) ([]byte, error) {
	data := bytes.Trim(in.Value, " \t\r\n")
	switch {
	case !in.Set || in.Null:
		f.add("/data", "data_missing", "give the event's data, a JSON object")
		return nil, nil
	case len(data) > g.MaxEventBytes:
		return nil, Refuse(TooLarge, "the event's data has %d bytes; at most %d are taken", len(data), g.MaxEventBytes)
	}
	if err := mapping.CheckJSON(data, mapping.MaxDepth); errors.Is(err, mapping.ErrTooDeep) {
		f.add("/data", "data_too_deep", fmt.Sprintf("the data is nested deeper than %d levels", mapping.MaxDepth))
	} else if err != nil {
		f.add("/data", "data_malformed", err.Error())
	} else if data[0] != '{' {
		f.add("/data", "type_object", "the data must be a JSON object")
	}
	return data, nil
}

// hashEvent tells a repeated publish from a different event.
func hashEvent(e Event) []byte {
	h := sha256.New()
	for _, part := range []string{e.Product, e.Type, e.Account} {
		h.Write([]byte(part))
		h.Write([]byte{0})
	}
	h.Write(e.Data)
	return h.Sum(nil)
}

// answer is what the publisher of a committed event gets. One that was there already is completed first: whoever
// finds an event without its deliveries writes what its plan lacks.
func (g *Gateway) answer(ctx context.Context, a *admission) (Published, error) {
	switch {
	case a.err != nil:
		return Published{}, fmt.Errorf("accepting event %s: %w", a.event.ID, a.err)
	case !a.taken:
		g.pending.add(a.event.Organisation, len(a.event.Plan))
		return Published{ID: a.event.ID, Deliveries: len(a.event.Plan)}, nil
	}
	first, err := g.Store.Event(ctx, Only(a.event.Organisation), a.event.ID)
	if err != nil {
		return Published{}, fmt.Errorf("reading the first publish of event %s: %w", a.event.ID, err)
	}
	if !bytes.Equal(first.Hash, a.event.Hash) {
		return Published{}, Refuse(Conflict, "an event %q with another product, type, account or data was accepted at %s", first.ID, first.AcceptedAt)
	}
	if err := g.complete(ctx, first); err != nil {
		return Published{}, err
	}
	return Published{ID: first.ID, Deliveries: len(first.Plan), Duplicate: true}, nil
}

// complete writes the deliveries that an event's plan names and the store lacks.
func (g *Gateway) complete(ctx context.Context, e Event) error {
	lacking, err := g.lacking(ctx, e)
	if err != nil || len(lacking) == 0 {
		return err
	}
	snap, err := g.snapshots.of(ctx, e.Organisation)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return err
	}
	p := planner{now: g.now(), work: work{map[string][]string{}, map[string]bool{}}}
	for _, planned := range lacking {
		p.add(newDelivery(e, planned), snap.parkedFor(planned))
	}
	p.cut()
	if err := g.Store.InsertDeliveries(ctx, p.deliveries); err != nil {
		return fmt.Errorf("completing event %s: %w", e.ID, err)
	}
	g.enqueue(ctx, p.work)
	return nil
}

// lacking is what of an event's plan is not in the store. Long after acceptance nothing lacks: what is not there was
// purged.
func (g *Gateway) lacking(ctx context.Context, e Event) ([]Planned, error) {
	if len(e.Plan) == 0 || g.now().Sub(e.AcceptedAt) > completeFor {
		return nil, nil
	}
	ids := make([]string, len(e.Plan))
	for i, p := range e.Plan {
		ids[i] = p.Delivery
	}
	there, err := g.Store.DeliveriesByID(ctx, ids)
	if err != nil {
		return nil, fmt.Errorf("reading the deliveries of event %s: %w", e.ID, err)
	}
	have := make(map[string]bool, len(there))
	for _, d := range there {
		have[d.ID] = true
	}
	return slices.DeleteFunc(slices.Clone(e.Plan), func(p Planned) bool { return have[p.Delivery] }), nil
}

// completeFor is how long after its acceptance an event's missing deliveries are made up for.
const completeFor = 24 * time.Hour

// pendingCounts bounds each organisation's pending deliveries. It counts in the store when its own estimate reaches
// the bound or is old, never for each event.
type pendingCounts struct {
	g  *Gateway
	mu sync.Mutex
	by map[string]*pendingCount
}

type pendingCount struct {
	count     int
	countedAt time.Time
}

// How often the store is asked for a count: seldom while far from the bound, more often at it.
const (
	recountAfter   = 10 * time.Second
	recountAtBound = time.Second
)

func newPendingCounts(g *Gateway) *pendingCounts {
	return &pendingCounts{g: g, by: map[string]*pendingCount{}}
}

// admit refuses when the organisation has too many pending deliveries for n more.
func (c *pendingCounts) admit(ctx context.Context, organisation string, n int) error {
	if n == 0 {
		return nil
	}
	count, err := c.estimate(ctx, organisation, n)
	if err != nil {
		return err
	}
	if count+n > c.g.MaxPending {
		return &Error{
			Kind: TooMany, RetryAfter: 5 * time.Second,
			Detail: fmt.Sprintf("organisation %s has %d pending deliveries; at most %d may wait", organisation, count, c.g.MaxPending),
		}
	}
	return nil
}

func (c *pendingCounts) estimate(ctx context.Context, organisation string, n int) (int, error) {
	now := c.g.Clock()
	c.mu.Lock()
	known, ok := c.by[organisation]
	if ok {
		age := now.Sub(known.countedAt)
		if age >= 0 && (age < recountAtBound || age < recountAfter && known.count+n <= c.g.MaxPending) {
			defer c.mu.Unlock()
			return known.count, nil
		}
	}
	c.mu.Unlock()
	count, err := c.g.Store.CountPending(ctx, organisation, c.g.MaxPending+1)
	if err != nil {
		return 0, fmt.Errorf("counting pending deliveries: %w", err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.by) >= snapshotsKept {
		clear(c.by)
	}
	c.by[organisation] = &pendingCount{count: count, countedAt: now}
	return count, nil
}

// add counts what was just accepted.
func (c *pendingCounts) add(organisation string, n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if known, ok := c.by[organisation]; ok {
		known.count += n
	}
}
