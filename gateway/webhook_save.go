package gateway

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
)

// CreateWebhook makes a webhook and answers it as people see it, with its signing secret: this once.
func (g *Gateway) CreateWebhook(ctx context.Context, a Actor, in Body[WebhookInput]) (Webhook, error) {
	if err := a.May(ActConfigure); err != nil {
		return Webhook{}, err
	}
	owner, fault, err := g.OwnerFor(ctx, a, in.Value.Organisation.Or("", ""))
	if err != nil {
		return Webhook{}, err
	}
	j := webhookJudge{g: g, in: in.Value, faults: startFaults(in.Faults), w: g.newWebhook(owner)}
	if fault != nil {
		j.add(fault.Pointer, fault.Code, fault.Detail)
	} else if j.organisation, err = g.organisation(ctx, owner); err != nil {
		return Webhook{}, err
	}
	if err := j.judge(ctx); err != nil {
		return Webhook{}, err
	}
	return g.insertWebhook(ctx, a, "webhook.created", j.w)
}

// insertWebhook stores a new webhook and answers it with its secret. Creates of one organisation take turns, or several
// would be counted in before any of them is there; of several processes each may add one too many.
func (g *Gateway) insertWebhook(ctx context.Context, a Actor, action string, w Webhook) (Webhook, error) {
	end, _, err := g.turns.take(ctx, w.Organisation)
	if err != nil {
		return Webhook{}, err
	}
	defer end()
	n, err := g.Store.CountWebhooks(ctx, w.Organisation)
	if err != nil {
		return Webhook{}, away(fmt.Errorf("counting webhooks: %w", err))
	}
	if n >= maxWebhooks {
		return Webhook{}, Refuse(Conflict, "the organisation has %d webhooks, and no more are allowed", n)
	}
	w.ID, w.Revision, w.CreatedAt = NewID(PrefixWebhook, g.Clock()), 1, g.now()
	w.UpdatedAt = w.CreatedAt
	stored, err := g.sealWebhook(ctx, w)
	if err != nil {
		return Webhook{}, err
	}
	entry := AuditEntry{Organisation: w.Organisation, Action: action, Object: w.ID, Revision: 1, Changes: webhookChanges(nil, &w)}
	err = g.change(ctx, a, entry, func() error { return g.Store.InsertWebhook(ctx, stored) })
	if err != nil {
		return Webhook{}, away(fmt.Errorf("making webhook %s: %w", w.ID, err))
	}
	return g.answerWebhook(ctx, w, secretShown)
}

// sealWebhook seals with the newest keyset.
func (g *Gateway) sealWebhook(ctx context.Context, w Webhook) (Webhook, error) {
	if err := g.Seals.fresh(ctx); err != nil {
		return Webhook{}, away(err)
	}
	return g.Seals.sealWebhook(w)
}

// UpdateWebhook merges the input into the webhook, resets its endpoints and answers it as people see it; a secret that
// a change of scheme made is in the answer. With ifMatch it is Stale when the revision is another; without it the last
// one wins.
func (g *Gateway) UpdateWebhook(ctx context.Context, a Actor, w Webhook, in Body[WebhookInput], ifMatch *int64) (Webhook, error) {
	if err := a.May(ActConfigure); err != nil {
		return Webhook{}, err
	}
	organisation, err := g.organisation(ctx, w.Organisation)
	if err != nil {
		return Webhook{}, err
	}
	var secret reveal
	before, after, err := g.saveWebhook(ctx, a, w, "webhook.updated", func(present Webhook) (Webhook, error) {
		if ifMatch != nil && *ifMatch != present.Revision {
			return Webhook{}, Refuse(Stale, "the webhook's revision is %d, not %d: read it again", present.Revision, *ifMatch)
		}
		j := webhookJudge{g: g, in: in.Value, faults: startFaults(in.Faults), old: &present, organisation: organisation, w: present}
		if err := j.sameOwner(a); err != nil {
			return Webhook{}, err
		}
		if err := j.judge(ctx); err != nil {
			return Webhook{}, err
		}
		secret = reveal(j.newSecret)
		if !in.Value.Status.Set && present.StatusReason == goneReason {
			return g.reopened(ctx, j.w)
		}
		return j.w, nil
	})
	if err != nil {
		return Webhook{}, err
	}
	g.settle(context.WithoutCancel(ctx), before, after)
	return g.answerWebhook(ctx, after, secret)
}

// sameOwner refuses to move a webhook to another organisation, of which only the operator may learn that it exists.
func (j *webhookJudge) sameOwner(a Actor) error {
	named := j.in.Organisation.Or("", "")
	switch {
	case named == "" || named == j.old.Organisation:
		return nil
	case a.Kind != KindOperator:
		return noOrganisation(named)
	}
	j.add("/organisation", "organisation_fixed", "a webhook stays in its organisation")
	return nil
}

// saveWebhook stores what edit makes of the webhook under the next revision. When somebody else came in between, edit
// gets what is there by then. It answers the webhook before and after, open. Saves of one webhook take turns, so that
// many at once do not keep each other from ending.
func (g *Gateway) saveWebhook(ctx context.Context, a Actor, w Webhook, action string, edit func(present Webhook) (Webhook, error)) (before, after Webhook, err error) {
	end, waited, err := g.turns.take(ctx, w.ID)
	if err != nil {
		return w, after, err
	}
	defer end()
	if waited {
		if w, err = g.findWebhook(ctx, Only(w.Organisation), w.ID); err != nil {
			return w, after, err
		}
	}
	for range saveTries {
		if after, err = edit(w); err != nil {
			return w, after, err
		}
		after.Revision, after.UpdatedAt = w.Revision+1, g.now()
		err = g.replaceWebhook(ctx, a, action, w, after)
		if err == nil {
			return w, after, nil
		}
		if !errors.Is(err, ErrStale) {
			return w, after, away(fmt.Errorf("saving webhook %s: %w", w.ID, err))
		}
		if w, err = g.findWebhook(ctx, Only(w.Organisation), w.ID); err != nil {
			return w, after, err
		}
	}
	return w, after, Refuse(Conflict, "webhook %s is being changed by others, try again", w.ID)
}

// replaceWebhook writes one revision over the one before. A tombstone is written as it is.
func (g *Gateway) replaceWebhook(ctx context.Context, a Actor, action string, before, after Webhook) (err error) {
	stored := after
	if after.DeletedAt == 0 {
		if stored, err = g.sealWebhook(ctx, after); err != nil {
			return err
		}
	}
	entry := AuditEntry{
		Organisation: after.Organisation, Action: action, Object: after.ID, Revision: after.Revision,
		Changes: webhookChanges(&before, &after),
	}
	return g.change(ctx, a, entry, func() error { return g.Store.ReplaceWebhook(ctx, stored, before.Revision) })
}

// endpointIDs are the ids of the webhook's endpoints.
func (w *Webhook) endpointIDs() iter.Seq[string] {
	return func(yield func(string) bool) {
		for _, e := range w.Endpoints {
			if !yield(e.ID) {
				return
			}
		}
	}
}

// DeleteWebhook leaves a tombstone without secrets and cancels what waits; a second later no request starts any more.
func (g *Gateway) DeleteWebhook(ctx context.Context, a Actor, w Webhook) error {
	if err := a.May(ActConfigure); err != nil {
		return err
	}
	before, _, err := g.saveWebhook(ctx, a, w, "webhook.deleted", func(present Webhook) (Webhook, error) {
		return present.tombstone(g.now()), nil
	})
	if err != nil {
		return err
	}
	ctx = context.WithoutCancel(ctx)
	g.cancelWaiting(ctx, w.Organisation, DeliveryFilter{Webhook: w.ID}, WebhookDeleted)
	g.forgetEndpoints(ctx, w.Organisation, slices.Collect(before.endpointIDs()))
	return nil
}

// tombstone is what stays of a deleted webhook: what its deliveries are shown with.
func (w Webhook) tombstone(now Time) Webhook {
	w.DeletedAt, w.Status, w.StatusReason = now, Inactive, ""
	w.Sealed, w.Headers = Sealed{}, []Header{}
	w.Signing = Signing{Scheme: w.Signing.Scheme}
	w.Endpoints = slices.Clone(w.Endpoints)
	for i := range w.Endpoints {
		w.Endpoints[i].URL = originOf(w.Endpoints[i].URL)
	}
	return w
}

// copySuffix names a duplicate that is given no name.
const copySuffix = " (copy)"

// DuplicateWebhook makes an inactive copy with endpoints and a secret of its own. Secret headers are copied without
// their values, which the warnings name. The answer has the secret, this once.
func (g *Gateway) DuplicateWebhook(ctx context.Context, a Actor, w Webhook, in Body[DuplicateInput]) (Webhook, error) {
	if err := a.May(ActConfigure); err != nil {
		return Webhook{}, err
	}
	organisation, err := g.organisation(ctx, w.Organisation)
	if err != nil {
		return Webhook{}, err
	}
	if name := in.Value.Name; !name.Set || name.Null {
		text := []rune(w.Name)
		in.Value.Name = Given(string(text[:min(len(text), maxName-len(copySuffix))]) + copySuffix)
	}
	j := webhookJudge{
		g: g, faults: startFaults(in.Faults), organisation: organisation, w: w,
		in: WebhookInput{Name: in.Value.Name, Endpoints: in.Value.Endpoints},
	}
	j.w.Status, j.w.StatusReason, j.w.Sealed = Inactive, "", Sealed{}
	j.w.Headers = slices.Clone(w.Headers)
	for i := range j.w.Headers {
		if h := &j.w.Headers[i]; h.Secret {
			h.Value, h.Missing = "", true
		}
	}
	j.endpoints(ctx)
	j.texts()
	if err := j.err(); err != nil {
		return Webhook{}, err
	}
	if err := j.w.Signing.makeSecret(); err != nil {
		return Webhook{}, err
	}
	return g.insertWebhook(ctx, a, "webhook.duplicated", j.w)
}
