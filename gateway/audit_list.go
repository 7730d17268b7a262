package gateway

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// takenBackPage is how many of an object's newest entries are read that take others back: there are as many as races.
const takenBackPage = 200

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
	looked := map[string]objectFacts{}
	for i := range list {
		e := &list[i]
		facts, ok := looked[e.Object]
		if !ok {
			if facts, err = g.lookAtObject(ctx, *e); err != nil {
				return nil, "", away(err)
			}
			looked[e.Object] = facts
		}
		e.Applied = !facts.back[e.ID] && (e.Revision == 0 || facts.reached(e.Revision))
		if e.Changes == nil {
			e.Changes = []AuditChange{}
		}
	}
	return list, next, nil
}

// objectFacts is what decides whether an object's entries were applied.
type objectFacts struct {
	revision int64
	// unknown is true of an object that is not there any more, or whose kind has no revisions.
	unknown bool
	back    map[string]bool
}

// reached tells whether the object has, or had, the revision. Of an object that is no more only its creation is in
// doubt, and erasure leaves none to ask: it counts as made.
func (f objectFacts) reached(revision int64) bool { return f.unknown || f.revision >= revision }

func (g *Gateway) lookAtObject(ctx context.Context, e AuditEntry) (objectFacts, error) {
	facts := objectFacts{back: map[string]bool{}}
	scope := Everyone()
	if e.Organisation != "" {
		scope = Only(e.Organisation)
	}
	var err error
	if facts.revision, err = g.presentRevision(ctx, scope, e.Object); errors.Is(err, ErrNotFound) {
		facts.unknown, err = true, nil
	}
	if err != nil {
		return facts, fmt.Errorf("reading the revision of %s: %w", e.Object, err)
	}
	list, _, err := g.Store.ListAudit(ctx, scope, AuditFilter{Object: e.Object, Action: ActionNotApplied}, Page{Limit: takenBackPage})
	if err != nil {
		return facts, fmt.Errorf("reading what was taken back of %s: %w", e.Object, err)
	}
	for _, back := range list {
		facts.back[takenBack(back)] = true
	}
	return facts, nil
}

// presentRevision is the revision that an object has reached, tombstones too; ErrNotFound for one that has none.
func (g *Gateway) presentRevision(ctx context.Context, scope Scope, object string) (int64, error) {
	if strings.HasPrefix(object, PrefixWebhook) {
		w, err := g.Store.Webhook(ctx, scope, object)
		return w.Revision, err
	}
	if owner, ok := scope.Organisation(); ok && owner == object {
		o, err := g.Store.Organisation(ctx, object)
		return o.Revision, err
	}
	return 0, ErrNotFound
}
