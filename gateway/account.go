package gateway

import (
	"context"
	"fmt"
)

// ListAccounts lists the accounts of an organisation, by id. The operator names it; for others it is their own.
func (g *Gateway) ListAccounts(ctx context.Context, a Actor, organisation string, page Page) ([]Account, string, error) {
	owner, err := g.accountsOf(ctx, a, organisation)
	if err != nil {
		return nil, "", err
	}
	list, next, err := g.Store.Accounts(ctx, owner, nil, page)
	if err != nil {
		return nil, "", away(fmt.Errorf("listing accounts of %s: %w", owner, err))
	}
	return list, next, nil
}

// PutAccount makes an account known, or names it anew.
func (g *Gateway) PutAccount(ctx context.Context, a Actor, organisation, id string, in Body[AccountInput]) (Account, error) {
	owner, err := g.accountsOf(ctx, a, organisation)
	if err != nil {
		return Account{}, err
	}
	f, name := startFaults(in.Faults), in.Value.Name
	f.require("/name", name.Set && !name.Null)
	checkName(&f, "/name", name.Value)
	checkAccount(&f, "", id)
	if err := f.err(); err != nil {
		return Account{}, err
	}
	before, err := g.knownAccounts(ctx, owner, []string{id})
	if err != nil {
		return Account{}, err
	}
	account, known := before[id]
	fields := map[string]any{"name": account.Name}
	if !known {
		fields = nil
	}
	account.Organisation, account.ID, account.Name = owner, id, name.Value
	entry := AuditEntry{
		Organisation: owner, Action: "account.put", Object: id,
		Changes: changesBetween(fields, map[string]any{"name": account.Name}),
	}
	err = g.change(ctx, a, entry, func() error { return g.Store.PutAccounts(ctx, []Account{account}) })
	if err != nil {
		return Account{}, away(fmt.Errorf("putting account %s of %s: %w", id, owner, err))
	}
	return account, nil
}

// accountsOf is the organisation whose accounts are meant.
func (g *Gateway) accountsOf(ctx context.Context, a Actor, named string) (string, error) {
	if err := a.May(ActConfigure); err != nil {
		return "", err
	}
	scope, err := g.ScopeFor(ctx, a, named)
	if err != nil {
		return "", err
	}
	owner, ok := scope.Organisation()
	if !ok {
		return "", RefuseFaults([]Fault{{Parameter: "organisation", Code: "organisation_missing", Detail: "the operator names the organisation whose accounts are meant"}})
	}
	return owner, nil
}

// knownAccounts finds those of the ids that are known, by id.
func (g *Gateway) knownAccounts(ctx context.Context, organisation string, ids []string) (map[string]Account, error) {
	known := make(map[string]Account, len(ids))
	if len(ids) == 0 {
		return known, nil
	}
	list, _, err := g.Store.Accounts(ctx, organisation, ids, Page{Limit: len(ids)})
	if err != nil {
		return nil, away(fmt.Errorf("reading accounts of %s: %w", organisation, err))
	}
	for _, account := range list {
		known[account.ID] = account
	}
	return known, nil
}
