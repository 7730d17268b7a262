package gateway

import (
	"cmp"
	"context"
	"fmt"
	"slices"
)

// takenBackPage is how many entries that take others back are read at once, takenBackPages how often for one page of
// the audit: there are as many as races, and as refused replays, of which a customer can make many.
const takenBackPage, takenBackPages = 1000, 50

// AuditScopeFor is ScopeFor for the audit, which outlives its organisation: the operator reads that of an erased one too.
func (g *Gateway) AuditScopeFor(ctx context.Context, a Actor, named string) (Scope, error) {
	scope, err := g.ScopeFor(ctx, a, named)
	if a.Kind != KindOperator || !IsKind(err, NotFound) {
		return scope, err
	}
	list, _, readErr := g.Store.ListAudit(ctx, Only(named), AuditFilter{}, Page{Limit: 1})
	switch {
	case readErr != nil:
		return Scope{}, away(fmt.Errorf("reading the audit of %s: %w", named, readErr))
	case len(list) == 0:
		return Scope{}, err
	}
	return Only(named), nil
}

// ListAudit lists who did what, newest first, and works out for each entry whether its change came to be: not where a
// later entry takes it back, nor while the object has not reached the revision that it announces.
func (g *Gateway) ListAudit(ctx context.Context, a Actor, scope Scope, filter AuditFilter, page Page) ([]AuditEntry, string, error) {
	if err := a.May(ActConfigure); err != nil {
		return nil, "", err
	}
	list, next, err := g.Store.ListAudit(ctx, scope, filter, page)
	if err != nil {
		return nil, "", away(fmt.Errorf("listing audit entries: %w", err))
	}
	if len(list) == 0 {
		return list, next, nil
	}
	back, err := g.takenBackSince(ctx, scope, list[len(list)-1].At)
	if err != nil {
		return nil, "", err
	}
	oldest := slices.MinFunc(list, func(a, b AuditEntry) int { return cmp.Compare(a.At, b.At) }).At
	known := map[string]progress{}
	for i := range list {
		e := &list[i]
		if _, ok := known[e.Object]; !ok && e.Revision != 0 {
			if known[e.Object], err = g.progressOf(ctx, *e, oldest); err != nil {
				return nil, "", err
			}
		}
		e.Applied = !back[e.ID] && known[e.Object].reached(*e)
		if e.Changes == nil {
			e.Changes = []AuditChange{}
		}
	}
	return list, next, nil
}

// takenBackSince are the ids of entries that later ones take back; at is when the oldest of interest was written.
func (g *Gateway) takenBackSince(ctx context.Context, scope Scope, at Time) (map[string]bool, error) {
	filter, page := AuditFilter{Action: ActionNotApplied, Since: at}, Page{Limit: takenBackPage}
	back := map[string]bool{}
	for range takenBackPages {
		list, next, err := g.Store.ListAudit(ctx, scope, filter, page)
		if err != nil {
			return nil, away(fmt.Errorf("reading what was taken back: %w", err))
		}
		for _, e := range list {
			back[takenBack(e)] = true
		}
		if page.After = next; next == "" {
			break
		}
	}
	return back, nil
}
