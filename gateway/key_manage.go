package gateway

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"unicode/utf8"
)

const (
	// maxName bounds names of webhooks, organisations, keys and accounts, in characters: what a list can show.
	maxName = 80
	// maxKeyLimits bounds the products and the organisations that a publisher is limited to.
	maxKeyLimits = 100
)

// CreateKey makes a key and answers it with its text, which is shown this once. It is the operator's.
func (g *Gateway) CreateKey(ctx context.Context, a Actor, in Body[KeyInput]) (Key, string, error) {
	if err := a.May(ActOperate); err != nil {
		return Key{}, "", err
	}
	key, err := g.judgeKey(ctx, in)
	if err != nil {
		return Key{}, "", err
	}
	key.ID, key.CreatedAt = NewID(PrefixKey, g.Clock()), g.now()
	text, hash := newKeyText(key.ID)
	key.Hash = hash
	entry := AuditEntry{Organisation: key.Organisation, Action: "key.created", Object: key.ID, Changes: changesBetween(nil, keyFields(key))}
	err = g.change(ctx, a, entry, func() error { return g.Store.InsertKey(ctx, key) })
	if err != nil {
		return Key{}, "", away(fmt.Errorf("making a key: %w", err))
	}
	return key, text, nil
}

// judgeKey reads the input; the error has every fault.
func (g *Gateway) judgeKey(ctx context.Context, in Body[KeyInput]) (Key, error) {
	f, v := startFaults(in.Faults), in.Value
	key := Key{Kind: KeyKind(v.Kind.Value), Organisation: v.Organisation.Or("", ""), Name: v.Name.Value}
	f.require("/kind", v.Kind.Set && !v.Kind.Null)
	switch key.Kind {
	case KindOperator, KindPublisher, KindPortal, KindOrganisation, KindMonitor:
	default:
		f.add("/kind", "kind_unknown", "a key is of kind operator, publisher, portal, organisation or monitor")
	}
	f.require("/name", v.Name.Set && !v.Name.Null)
	checkName(&f, "/name", key.Name)
	if err := g.judgeKeyOwner(ctx, &f, key); err != nil {
		return Key{}, err
	}
	key.Products = g.judgeKeyProducts(&f, key.Kind, v.Products)
	var err error
	if key.Organisations, err = g.judgeKeyOrganisations(ctx, &f, key.Kind, v.Organisations); err != nil {
		return Key{}, err
	}
	if text := v.ExpiresAt.Or("", ""); text != "" || v.ExpiresAt.Set && !v.ExpiresAt.Null {
		if key.ExpiresAt, err = ParseTime(text); err != nil {
			f.add("/expiresAt", "time_malformed", err.Error())
		} else if key.ExpiresAt <= g.now() {
			f.add("/expiresAt", "time_past", "the key would have expired already")
		}
	}
	return key, f.err()
}

// judgeKeyOwner holds keys of kind organisation, and no others, to an organisation that exists.
func (g *Gateway) judgeKeyOwner(ctx context.Context, f *faults, key Key) error {
	switch {
	case key.Kind != KindOrganisation && key.Organisation != "":
		f.add("/organisation", "organisation_unexpected", "only a key of kind organisation belongs to one")
	case key.Kind != KindOrganisation:
	case key.Organisation == "":
		f.add("/organisation", "organisation_missing", "a key of kind organisation needs the organisation that it belongs to")
	default:
		return g.mustExist(ctx, f, "/organisation", key.Organisation)
	}
	return nil
}

// mustExist notes a fault when there is no such organisation.
func (g *Gateway) mustExist(ctx context.Context, f *faults, pointer, id string) error {
	_, err := g.organisation(ctx, id)
	if IsKind(err, NotFound) {
		f.add(pointer, "organisation_unknown", err.Error())
		return nil
	}
	return err
}

func (g *Gateway) judgeKeyProducts(f *faults, kind KeyKind, in Optional[[]string]) []string {
	products := in.Or(nil, nil)
	if !mayLimit(f, "/products", kind, products) {
		return nil
	}
	for i, product := range products {
		if _, ok := g.Catalogue.Product(product); !ok {
			f.add("/products/"+strconv.Itoa(i), "product_unknown", fmt.Sprintf("%.64q is not a product of the catalogue", product))
		}
	}
	return products
}

func (g *Gateway) judgeKeyOrganisations(ctx context.Context, f *faults, kind KeyKind, in Optional[[]string]) ([]string, error) {
	organisations := in.Or(nil, nil)
	if !mayLimit(f, "/organisations", kind, organisations) {
		return nil, nil
	}
	for i, id := range organisations {
		if err := g.mustExist(ctx, f, "/organisations/"+strconv.Itoa(i), id); err != nil {
			return nil, err
		}
	}
	return organisations, nil
}

// mayLimit holds the lists that narrow a key to publishers and to their length.
func mayLimit(f *faults, pointer string, kind KeyKind, list []string) bool {
	switch {
	case len(list) > 0 && kind != KindPublisher:
		f.add(pointer, "limit_unexpected", "only a key of kind publisher is limited so")
	case len(list) > maxKeyLimits:
		f.add(pointer, "too_many", fmt.Sprintf("%d are given, at most %d are allowed", len(list), maxKeyLimits))
	default:
		return true
	}
	return false
}

// checkName holds a name to its length.
func checkName(f *faults, pointer, name string) {
	switch n := utf8.RuneCountInString(name); {
	case n == 0:
		f.add(pointer, "name_empty", "the name is empty")
	case n > maxName:
		f.add(pointer, "name_too_long", fmt.Sprintf("the name has %d characters, at most %d are allowed", n, maxName))
	}
}

// ListKeys lists all keys, newest first; none has its text.
func (g *Gateway) ListKeys(ctx context.Context, a Actor, page Page) ([]Key, string, error) {
	if err := a.May(ActOperate); err != nil {
		return nil, "", err
	}
	list, next, err := g.Store.ListKeys(ctx, page)
	if err != nil {
		return nil, "", away(fmt.Errorf("listing keys: %w", err))
	}
	g.keys.usedSince(list)
	return list, next, nil
}

// DeleteKey revokes a key: it is refused within two seconds.
func (g *Gateway) DeleteKey(ctx context.Context, a Actor, id string) error {
	if err := a.May(ActOperate); err != nil {
		return err
	}
	key, err := g.Store.Key(ctx, id)
	if errors.Is(err, ErrNotFound) {
		return noKey(id)
	}
	if err != nil {
		return away(fmt.Errorf("reading key %s: %w", id, err))
	}
	entry := AuditEntry{Organisation: key.Organisation, Action: "key.deleted", Object: id, Changes: changesBetween(keyFields(key), nil)}
	err = g.change(ctx, a, entry, func() error { return g.Store.DeleteKey(ctx, id) })
	g.keys.forget(id)
	if errors.Is(err, ErrNotFound) {
		return noKey(id)
	}
	if err != nil {
		return away(fmt.Errorf("revoking key %s: %w", id, err))
	}
	return nil
}

func noKey(id string) error { return Refuse(NotFound, "there is no key %.64q", id) }

// keyFields are what the audit keeps of a key: nothing that could be used as one.
func keyFields(k Key) map[string]any {
	return map[string]any{
		"kind": k.Kind, "name": k.Name, "products": k.Products, "organisations": k.Organisations, "expiresAt": k.ExpiresAt,
	}
}
