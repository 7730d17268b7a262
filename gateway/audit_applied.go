package gateway

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
)

// progress is how far an object of audit entries has come.
type progress struct {
	// revision is the one that it has reached, a tombstone's too; 0 is an object that never came to be.
	revision int64
	// began is when the object was made, ended when the one before it of the same id was erased: an organisation's id
	// can be used again, and its revisions begin anew.
	began, ended Time
}

// reached tells whether the change that an entry announces came to be. Times of one process are compared where one of
// the first revision is looked at: another attempt at making the object may have gone before.
func (p progress) reached(e AuditEntry) bool {
	return e.At <= p.ended || e.Revision <= p.revision && (e.Revision != 1 || e.At >= p.began)
}

// everReached is the progress of what has no revisions to go by.
var everReached = progress{revision: math.MaxInt64}

// progressOf looks at the entry's object; oldest is the time of the oldest entry that the answer is for.
func (g *Gateway) progressOf(ctx context.Context, e AuditEntry, oldest Time) (p progress, err error) {
	switch {
	case strings.HasPrefix(e.Object, PrefixWebhook) && e.Organisation != "":
		p, err = g.webhookProgress(ctx, e, oldest)
	case e.Object == e.Organisation && e.Object != "":
		p, err = g.organisationProgress(ctx, e.Object, oldest)
	default:
		return everReached, nil
	}
	return p, away(err)
}

// webhookProgress counts on it that webhooks go with their organisation alone: of a deleted one there is a tombstone.
func (g *Gateway) webhookProgress(ctx context.Context, e AuditEntry, oldest Time) (progress, error) {
	w, err := g.Store.Webhook(ctx, Only(e.Organisation), e.Object)
	switch {
	case err == nil:
		return progress{revision: w.Revision}, nil
	case !errors.Is(err, ErrNotFound):
		return progress{}, fmt.Errorf("reading the revision of %s: %w", e.Object, err)
	}
	o, err := g.Store.Organisation(ctx, e.Organisation)
	if err == nil && o.Erasing {
		return everReached, nil
	}
	if err != nil && !errors.Is(err, ErrNotFound) {
		return progress{}, fmt.Errorf("reading organisation %s: %w", e.Organisation, err)
	}
	ended, err := g.erasedAt(ctx, e.Organisation, o.CreatedAt, oldest)
	return progress{ended: ended}, err
}

func (g *Gateway) organisationProgress(ctx context.Context, id string, oldest Time) (progress, error) {
	o, err := g.Store.Organisation(ctx, id)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return progress{}, fmt.Errorf("reading organisation %s: %w", id, err)
	}
	ended, err := g.erasedAt(ctx, id, o.CreatedAt, oldest)
	return progress{revision: o.Revision, began: o.CreatedAt, ended: ended}, err
}

// erasedAt is when the organisation that had the id before was erased; 0 for none. began is when the present one was
// made, 0 where there is none: what was announced since then did not end it. Where nothing is asked about from before, it is not looked for.
func (g *Gateway) erasedAt(ctx context.Context, id string, began, oldest Time) (Time, error) {
	if began != 0 && oldest >= began {
		return 0, nil
	}
	filter := AuditFilter{Object: id, Action: actionOrganisationDeleted, Until: began}
	list, _, err := g.Store.ListAudit(ctx, Only(id), filter, Page{Limit: 1})
	if err != nil {
		return 0, fmt.Errorf("reading the audit of %s: %w", id, err)
	}
	if len(list) == 0 {
		return 0, nil
	}
	return list[0].At, nil
}
