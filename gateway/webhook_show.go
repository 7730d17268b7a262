package gateway

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/unihook/unihook/gateway/sign"
	"github.com/unihook/unihook/mapping"
)

// reveal is whether an answer has the signing secret.
type reveal bool

const (
	secretHidden reveal = false
	secretShown  reveal = true
)

// FindWebhook answers a webhook, open, for what follows in the same call; it is never shown as it is. NotFound for
// another organisation's and for a deleted one.
func (g *Gateway) FindWebhook(ctx context.Context, a Actor, id string) (Webhook, error) {
	if err := a.May(ActConfigure); err != nil {
		return Webhook{}, err
	}
	return g.findWebhook(ctx, a.scope(), id)
}

func (g *Gateway) findWebhook(ctx context.Context, scope Scope, id string) (Webhook, error) {
	w, err := g.Store.Webhook(ctx, scope, id)
	if err = g.seen(ctx, w.Organisation, err); errors.Is(err, ErrNotFound) || err == nil && w.DeletedAt != 0 {
		return Webhook{}, Refuse(NotFound, "there is no webhook %.64q", id)
	}
	if err != nil {
		return Webhook{}, away(fmt.Errorf("reading webhook %s: %w", id, err))
	}
	return g.openWebhook(ctx, w)
}

// openWebhook opens what was read. One that was sealed with a key that this process does not have yet is tried again
// with the store's keyset.
func (g *Gateway) openWebhook(ctx context.Context, stored Webhook) (Webhook, error) {
	w, err := g.Seals.openWebhook(stored)
	if err == nil {
		return w, nil
	}
	if err := g.Seals.Reload(ctx); err != nil {
		return Webhook{}, away(err)
	}
	return g.Seals.openWebhook(stored)
}

// ShowWebhook is a webhook that FindWebhook answered, as people see it: secrets masked, health joined. The signing secret is
// shown where the operator made the organisation's secrets readable; then the audit says so.
func (g *Gateway) ShowWebhook(ctx context.Context, a Actor, w Webhook) (Webhook, error) {
	o, err := g.organisation(ctx, w.Organisation)
	if err != nil && !IsKind(err, NotFound) {
		return Webhook{}, err
	}
	if !o.SecretReadable || w.Signing.Secret == "" || w.Signing.privateKey() {
		return g.answerWebhook(ctx, w, secretHidden)
	}
	if err := g.audited(ctx, a, w.Organisation, "webhook.secret_shown", w.ID, 0, nil); err != nil {
		return Webhook{}, away(err)
	}
	return g.answerWebhook(ctx, w, secretShown)
}

// ListWebhooks lists webhooks as people see them, newest first, without signing secrets.
func (g *Gateway) ListWebhooks(ctx context.Context, a Actor, scope Scope, page Page) ([]Webhook, string, error) {
	if err := a.May(ActConfigure); err != nil {
		return nil, "", err
	}
	list, next, err := g.Store.ListWebhooks(ctx, scope, page)
	if err != nil {
		return nil, "", away(fmt.Errorf("listing webhooks: %w", err))
	}
	known, err := g.accountsOf(ctx, list)
	if err != nil {
		return nil, "", err
	}
	for i := range list {
		open, err := g.openWebhook(ctx, list[i])
		if err != nil {
			return nil, "", err
		}
		list[i] = open.public(secretHidden, g.now())
		list[i].Warnings = open.warnings(known[open.Organisation])
	}
	return list, next, g.joinHealth(ctx, list)
}

// accountsOf finds those of the accounts that the webhooks name which are known, by organisation and id.
func (g *Gateway) accountsOf(ctx context.Context, list []Webhook) (map[string]map[string]Account, error) {
	named := map[string][]string{}
	for _, w := range list {
		named[w.Organisation] = append(named[w.Organisation], w.Accounts...)
	}
	known := make(map[string]map[string]Account, len(named))
	for organisation, ids := range named {
		slices.Sort(ids)
		known[organisation] = map[string]Account{}
		// One read has as many ids as one webhook may name.
		for page := range slices.Chunk(slices.Compact(ids), maxAccounts) {
			found, err := g.knownAccounts(ctx, organisation, page)
			if err != nil {
				return nil, err
			}
			maps.Copy(known[organisation], found)
		}
	}
	return known, nil
}

// answerWebhook is an open webhook as people see it.
func (g *Gateway) answerWebhook(ctx context.Context, w Webhook, secret reveal) (Webhook, error) {
	known, err := g.knownAccounts(ctx, w.Organisation, w.Accounts)
	if err != nil {
		return Webhook{}, err
	}
	list := []Webhook{w.public(secret, g.now())}
	list[0].Warnings = w.warnings(known)
	return list[0], g.joinHealth(ctx, list)
}

// public masks what is secret and makes absent lists empty ones.
func (w Webhook) public(secret reveal, now Time) Webhook {
	w.Sealed, w.Warnings = Sealed{}, []Warning{}
	w.Endpoints = append([]Endpoint{}, w.Endpoints...)
	w.Headers = append([]Header{}, w.Headers...)
	for i := range w.Headers {
		if h := &w.Headers[i]; h.Secret {
			h.ValueHint, h.Value = sign.Hint(h.Value), ""
		}
	}
	w.Signing.PreviousSecret = ""
	if secret == secretHidden || w.Signing.privateKey() {
		w.Signing.Secret = ""
	}
	if w.Signing.PreviousUntil <= now {
		w.Signing.PreviousUntil = 0
	}
	w.Events, w.Accounts = append([]Selection{}, w.Events...), append([]string{}, w.Accounts...)
	w.Mapping = append([]mapping.Rule{}, w.Mapping...)
	return w
}

// joinHealth fills the health of every endpoint of the webhooks.
func (g *Gateway) joinHealth(ctx context.Context, list []Webhook) error {
	var ids []string
	for _, w := range list {
		ids = slices.AppendSeq(ids, w.endpointIDs())
	}
	if len(ids) == 0 {
		return nil
	}
	states, err := g.Store.EndpointStates(ctx, ids)
	if err != nil {
		return away(fmt.Errorf("reading the states of endpoints: %w", err))
	}
	waiting, err := g.Store.CountParked(ctx, ids)
	if err != nil {
		return away(fmt.Errorf("counting what waits: %w", err))
	}
	by := make(map[string]EndpointState, len(states))
	for _, s := range states {
		by[s.ID] = s
	}
	for i := range list {
		for k := range list[i].Endpoints {
			e := &list[i].Endpoints[k]
			e.Health = by[e.ID].Health(waiting[e.ID])
		}
	}
	return nil
}

// warnings says what is allowed and probably not meant of an open webhook; known are the accounts that are known.
func (w Webhook) warnings(known map[string]Account) []Warning {
	list := []Warning{}
	for i, id := range w.Accounts {
		if _, ok := known[id]; !ok {
			list = append(list, Warning{"/accounts/" + strconv.Itoa(i), "account_unknown", fmt.Sprintf("no account %q is known yet", id)})
		}
	}
	for i, h := range w.Headers {
		if h.Missing {
			list = append(list, Warning{"/headers/" + strconv.Itoa(i) + "/value", "header_value_missing",
				fmt.Sprintf("the value of the secret header %s is not copied: it is not sent until you give it", h.Name)})
		}
	}
	if w.Signing.Secret != "" && !w.Signing.privateKey() {
		if weak, err := sign.CheckSecret(sign.Scheme(w.Signing.Scheme), w.Signing.Secret); err == nil && weak != "" {
			list = append(list, Warning{"/signing/secret", "secret_weak", weak})
		}
	}
	return list
}
