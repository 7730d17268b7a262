package gateway

import (
	"context"
	"fmt"
)

// ListAccounts lists accounts, the one that became known last first.
func (g *Gateway) ListAccounts(ctx context.Context, a Actor, scope Scope, page Page) ([]Account, string, error) {
	if err := a.May(ActConfigure); err != nil {
		return nil, "", err
	}
	list, next, err := g.Store.ListAccounts(ctx, scope, page)
	if err != nil {
		return nil, "", away(fmt.Errorf("listing accounts: %w", err))
	}
	return list, next, nil
}

// PutAccount makes an account known, or names it anew.
func (g *Gateway) PutAccount(ctx context.Context, a Actor, id string, in Body[AccountInput]) (Account, error) {
	if err := a.May(ActConfigure); err != nil {
		return Account{}, err
	}
	owner, fault, err := g.OwnerFor(ctx, a, in.Value.Organisation.Or("", ""))
	if err != nil {
		return Account{}, err
	}
	f, name := startFaults(in.Faults), in.Value.Name
	if fault != nil {
		f.add(fault.Pointer, fault.Code, fault.Detail)
	}
	f.require("/name", name.Set && !name.Null)
	checkName(&f, "/name", name.Value)
	if !soundAccount(id) {
		f = append(f, Fault{Parameter: "id", Code: "account_malformed", Detail: accountDetail})
	}
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
	if !known {
		account.KnownSince = g.now()
	}
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

// knownAccounts finds those of the ids that are known, by id.
func (g *Gateway) knownAccounts(ctx context.Context, organisation string, ids []string) (map[string]Account, error) {
	known := make(map[string]Account, len(ids))
	if len(ids) == 0 {
		return known, nil
	}
	list, err := g.Store.Accounts(ctx, organisation, ids)
	if err != nil {
		return nil, away(fmt.Errorf("reading accounts of %s: %w", organisation, err))
	}
	for _, account := range list {
		known[account.ID] = account
	}
	return known, nil
}
