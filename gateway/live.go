package gateway

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/unihook/unihook/gateway/egress"
	"github.com/unihook/unihook/gateway/retry"
	"github.com/unihook/unihook/gateway/sign"
)

// liveFor is how long a webhook that was read is used without a look at the store. With the feeder's and the runs'
// own delays it keeps the promise that a change holds a second after its answer.
const liveFor = 700 * time.Millisecond

// livesKept bounds the webhooks in memory.
const livesKept = 20_000

// Live is a webhook ready to send: open, with its signer and schedule built once per revision.
type Live struct {
	Webhook  Webhook
	Signer   *sign.Signer
	Schedule retry.Schedule
	// Hosts are the organisation's: where not empty, no others are called.
	Hosts []string
	// Unsendable says that the store has a header that no save would have taken: nothing is sent then.
	Unsendable bool
	endpoints  map[string]int
	masks      map[string]Mask
	readAt     time.Time
}

// Deleted tells that no request may start any more.
func (l *Live) Deleted() bool { return l.Webhook.DeletedAt != 0 }

// Active tells whether deliveries are sent.
func (l *Live) Active() bool { return l.Webhook.Status == Active }

// Endpoint finds an endpoint by its id; it is not there once a PATCH left it out.
func (l *Live) Endpoint(id string) (Endpoint, bool) {
	i, ok := l.endpoints[id]
	if !ok {
		return Endpoint{}, false
	}
	return l.Webhook.Endpoints[i], true
}

// Mask hides what must not show in anything that is kept of an endpoint's attempts: signing secrets, secret header values
// and the path of its URL.
func (l *Live) Mask(endpoint string) Mask { return l.masks[endpoint] }

// Timeout bounds a whole attempt.
func (l *Live) Timeout() time.Duration { return time.Duration(l.Webhook.TimeoutSeconds) * time.Second }

// bodySecret signs bodies that carry their signature inside. A nil Live has none.
func (l *Live) bodySecret() string {
	if l == nil {
		return ""
	}
	secrets := l.Webhook.Signing.active(sign.Scheme(l.Webhook.Signing.Scheme), At(l.readAt))
	if len(secrets) == 0 {
		return ""
	}
	return secrets[0]
}

// active lists the secrets that sign at now, in the order that package sign expects: schemes that carry one signature
// go on with the old secret until its grace period ends.
func (s Signing) active(scheme sign.Scheme, now Time) []string {
	if s.Secret == "" {
		return nil
	}
	if s.PreviousSecret == "" || now >= s.PreviousUntil {
		return []string{s.Secret}
	}
	if scheme.SingleSignature() {
		return []string{s.PreviousSecret, s.Secret}
	}
	return []string{s.Secret, s.PreviousSecret}
}

// newLive builds what an attempt needs of an open webhook.
func newLive(w Webhook, now time.Time) (*Live, error) {
	l := &Live{Webhook: w, endpoints: make(map[string]int, len(w.Endpoints)), readAt: now}
	for i, e := range w.Endpoints {
		l.endpoints[e.ID] = i
	}
	if l.Deleted() {
		return l, nil
	}
	scheme := sign.Scheme(w.Signing.Scheme)
	signer, err := sign.NewSigner(scheme, w.Signing.Header, w.Signing.active(scheme, At(now)))
	if err != nil {
		return nil, fmt.Errorf("preparing the signatures of %s: %w", w.ID, err)
	}
	l.Signer, l.Schedule = signer, w.Retry.schedule()
	l.Webhook.Headers = slices.DeleteFunc(slices.Clone(w.Headers), func(h Header) bool { return h.Missing })
	l.Unsendable = !sendable(l.Webhook)
	l.masks = make(map[string]Mask, len(w.Endpoints))
	for _, e := range w.Endpoints {
		l.masks[e.ID] = newMask(w.secrets(), e.URL)
	}
	return l, nil
}

// sendable judges the webhook's own headers as a save does: what is in the store may have come there in another way.
func sendable(w Webhook) bool {
	names, values := make([]string, len(w.Headers)), make([]string, len(w.Headers))
	for i, h := range w.Headers {
		names[i], values[i] = h.Name, h.Value
	}
	return len(egress.CheckHeaders(names, values, w.Signing.Header)) == 0
}

// secrets are the secret values of an open webhook.
func (w *Webhook) secrets() []string {
	list := []string{w.Signing.Secret, w.Signing.PreviousSecret}
	for _, h := range w.Headers {
		if h.Secret {
			list = append(list, h.Value)
		}
	}
	return list
}

func (r Retry) schedule() retry.Schedule {
	s := retry.Schedule{Name: r.Schedule}
	if r.Schedule == retry.Custom {
		s.Delays = make([]retry.Delay, len(r.Delays))
		for i, d := range r.Delays {
			s.Delays[i] = retry.Delay(d)
		}
	}
	return s
}

// lives keeps webhooks ready to send.
type lives struct {
	g  *Gateway
	mu sync.Mutex
	by map[string]*Live
	// hosts are those of organisations, each read once for all its webhooks.
	hosts map[string]seenHosts
}

func newLives(g *Gateway) *lives {
	return &lives{g: g, by: map[string]*Live{}, hosts: map[string]seenHosts{}}
}

// seenHosts are an organisation's hosts and when they were read.
type seenHosts struct {
	list   []string
	readAt time.Time
}

// hostsFor is how long an organisation's hosts are used without a look at the store: with liveFor, a second in all.
const hostsFor = time.Second - liveFor

func (c *lives) knownHosts(organisation string, now time.Time) ([]string, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	seen, ok := c.hosts[organisation]
	age := now.Sub(seen.readAt)
	return seen.list, ok && age >= 0 && age < hostsFor
}

func (c *lives) keepHosts(organisation string, seen seenHosts) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.hosts) >= livesKept {
		clear(c.hosts)
	}
	c.hosts[organisation] = seen
}

// Live answers webhooks ready to send, at most a second old. Those that were never stored are left out; deleted ones
// are there and say so. One whose secrets cannot be opened is an error: nothing is sent unsigned.
func (g *Gateway) Live(ctx context.Context, ids []string) (map[string]*Live, error) {
	found, missing := g.lives.fresh(ids)
	if len(missing) == 0 {
		return found, nil
	}
	readAt := g.Clock() // before the read: however long that takes, what it answers is as old
	stored, err := g.Store.WebhooksByID(ctx, missing)
	if err != nil {
		return nil, fmt.Errorf("reading webhooks: %w", err)
	}
	hosts, err := g.hostsOf(ctx, stored)
	if err != nil {
		return nil, err
	}
	for _, w := range stored {
		l, err := g.lives.renew(w, hosts[w.Organisation], readAt)
		if err != nil {
			return nil, err
		}
		found[w.ID] = l
	}
	return found, nil
}

// hostsOf reads the hosts that the webhooks' organisations may call. An organisation that is not there any more narrows
// nothing: what is left of it is being erased.
func (g *Gateway) hostsOf(ctx context.Context, stored []Webhook) (map[string][]string, error) {
	hosts := map[string][]string{}
	for _, w := range stored {
		if _, ok := hosts[w.Organisation]; ok || w.DeletedAt != 0 {
			continue
		}
		now := g.Clock()
		if list, ok := g.lives.knownHosts(w.Organisation, now); ok {
			hosts[w.Organisation] = list
			continue
		}
		o, err := g.Store.Organisation(ctx, w.Organisation)
		if err != nil && !errors.Is(err, ErrNotFound) {
			return nil, fmt.Errorf("reading organisation %s: %w", w.Organisation, err)
		}
		hosts[w.Organisation] = o.Hosts
		g.lives.keepHosts(w.Organisation, seenHosts{o.Hosts, now})
	}
	return hosts, nil
}

// fresh answers what is young enough, and which ids are not.
func (c *lives) fresh(ids []string) (found map[string]*Live, missing []string) {
	now := c.g.Clock()
	found = make(map[string]*Live, len(ids))
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, id := range ids {
		if _, seen := found[id]; seen {
			continue
		}
		l, ok := c.by[id]
		if age := now.Sub(l.age(now)); ok && age >= 0 && age < liveFor {
			found[id] = l
		} else {
			missing = append(missing, id)
		}
	}
	return found, missing
}

// age is when the webhook was read; now for none.
func (l *Live) age(now time.Time) time.Time {
	if l == nil {
		return now
	}
	return l.readAt
}

// renew takes a webhook as it is stored. What was built of the same revision is used again, unless a grace period has
// ended since.
func (c *lives) renew(stored Webhook, hosts []string, now time.Time) (*Live, error) {
	c.mu.Lock()
	old := c.by[stored.ID]
	c.mu.Unlock()
	if old != nil && old.Webhook.Revision == stored.Revision && old.Deleted() == (stored.DeletedAt != 0) && !old.graceEnded(At(now)) {
		again := *old
		again.readAt, again.Hosts = now, hosts
		c.keep(&again)
		return &again, nil
	}
	open, err := c.g.Seals.openWebhook(stored)
	if err != nil {
		return nil, err
	}
	l, err := newLive(open, now)
	if err != nil {
		return nil, err
	}
	l.Hosts = hosts
	c.keep(l)
	return l, nil
}

// graceEnded tells that the old secret signed when this was built and does not any more.
func (l *Live) graceEnded(now Time) bool {
	until := l.Webhook.Signing.PreviousUntil
	return until != 0 && At(l.readAt) < until && now >= until
}

func (c *lives) keep(l *Live) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.by) >= livesKept {
		clear(c.by)
	}
	// A slow read may end after a later one.
	if old, ok := c.by[l.Webhook.ID]; !ok || old.Webhook.Revision <= l.Webhook.Revision {
		c.by[l.Webhook.ID] = l
	}
}
