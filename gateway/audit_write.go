package gateway

import (
	"context"
	"fmt"
)

// system is the actor of what the gateway itself does.
var system = Actor{Key: "system"}

// audited writes who is about to do what, before it is done. Without the entry nothing is changed.
func (g *Gateway) audited(ctx context.Context, a Actor, organisation, action, object string, revision int64, changes []AuditChange) error {
	now := g.Clock()
	_, err := g.Store.AppendAudit(ctx, AuditEntry{
		ID: NewID(PrefixAudit, now), Organisation: organisation, At: At(now), Actor: a.Key, User: a.User,
		Address: a.Address, Action: action, Object: object, Revision: revision, Changes: changes,
	})
	if err != nil {
		return fmt.Errorf("writing the audit entry of %s: %w", action, err)
	}
	return nil
}

// RecordSystem writes what the gateway itself is about to do: quarantine an endpoint, resume it, close a webhook.
// Revision is 0 where the object has none.
func (g *Gateway) RecordSystem(ctx context.Context, organisation, action, object string, revision int64, changes ...AuditChange) error {
	return g.audited(ctx, system, organisation, action, object, revision, changes)
}
