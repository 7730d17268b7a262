package mongostore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/unihook/unihook/gateway"
)

// webhookDoc has what is sealed as one text: its maps are keyed by names of headers, which may have dots.
type webhookDoc struct {
	gateway.Webhook `bson:",inline"`
	Sealed          []byte `bson:"sealed,omitempty"`
	HasSealed       bool   `bson:"hasSealed"`
}

func webhookOf(w gateway.Webhook) (webhookDoc, error) {
	d := webhookDoc{Webhook: w}
	d.HasSealed = len(w.Sealed.URLs)+len(w.Sealed.Headers)+len(w.Sealed.Secret)+len(w.Sealed.Previous) > 0
	if !d.HasSealed {
		return d, nil
	}
	var err error
	d.Sealed, err = json.Marshal(w.Sealed)
	return d, err
}

func (d webhookDoc) webhook() (gateway.Webhook, error) {
	w := d.Webhook
	if d.Sealed != nil {
		if err := json.Unmarshal(d.Sealed, &w.Sealed); err != nil {
			return w, fmt.Errorf("reading what is sealed of webhook %s: %w", w.ID, err)
		}
	}
	return w, nil
}

func webhooksOf(docs []webhookDoc, err error) ([]gateway.Webhook, error) {
	if err != nil {
		return nil, err
	}
	var list []gateway.Webhook
	for _, d := range docs {
		w, err := d.webhook()
		if err != nil {
			return nil, err
		}
		list = append(list, w)
	}
	return list, nil
}

// alive is a filter for webhooks that are no tombstones.
func alive() bson.D { return bson.D{{Key: "deletedAt", Value: bson.D{{Key: "$exists", Value: false}}}} }

// InsertWebhook answers ErrTaken for an id that exists.
func (s *Store) InsertWebhook(ctx context.Context, w gateway.Webhook) error {
	d, err := webhookOf(w)
	if err != nil {
		return err
	}
	return s.insert(ctx, s.webhooks, d)
}

// Webhook finds a tombstone too.
func (s *Store) Webhook(ctx context.Context, scope gateway.Scope, id string) (gateway.Webhook, error) {
	d, err := findOne[webhookDoc](ctx, s, s.webhooks, and(eq("_id", id), scoped(scope)))
	if err != nil {
		return gateway.Webhook{}, err
	}
	return d.webhook()
}

// ListWebhooks is newest first, which is the order of ids.
func (s *Store) ListWebhooks(ctx context.Context, scope gateway.Scope, page gateway.Page) ([]gateway.Webhook, string, error) {
	list, err := webhooksOf(find[webhookDoc](ctx, s, s.webhooks,
		and(scoped(scope), between("_id", "", page.After), alive()), pageOptions(page, descending("_id"))))
	list, next := cut(list, page, func(w gateway.Webhook) string { return w.ID })
	return list, next, err
}

// CountWebhooks leaves tombstones out.
func (s *Store) CountWebhooks(ctx context.Context, organisation string) (int, error) {
	ctx, cancel := s.bound(ctx)
	defer cancel()
	n, err := s.webhooks.CountDocuments(ctx, and(eq("organisation", organisation), alive()))
	return int(n), translate(err)
}

// ReplaceWebhook replaces the one of its organisation and id whose revision is was, else ErrStale.
func (s *Store) ReplaceWebhook(ctx context.Context, w gateway.Webhook, was int64) error {
	d, err := webhookOf(w)
	if err != nil {
		return err
	}
	return s.replace(ctx, s.webhooks, and(eq("_id", w.ID), eq("organisation", w.Organisation), eq("revision", was)), d)
}

// Revisions is every webhook of the organisation that is no tombstone.
func (s *Store) Revisions(ctx context.Context, organisation string) ([]gateway.Revision, error) {
	docs, err := find[struct {
		ID       string `bson:"_id"`
		Revision int64  `bson:"revision"`
	}](ctx, s, s.webhooks, and(eq("organisation", organisation), alive()),
		options.Find().SetProjection(only("_id", "revision")).SetSort(ascending("_id")))
	var list []gateway.Revision
	for _, d := range docs {
		list = append(list, gateway.Revision{ID: d.ID, Revision: d.Revision})
	}
	return list, err
}

// WebhooksByID answers tombstones too.
func (s *Store) WebhooksByID(ctx context.Context, ids []string) ([]gateway.Webhook, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	return webhooksOf(find[webhookDoc](ctx, s, s.webhooks, in("_id", ids), options.Find()))
}

// EachWebhook walks all webhooks in the order of their ids, tombstones too.
func (s *Store) EachWebhook(ctx context.Context, after string, limit int) ([]gateway.Webhook, error) {
	return webhooksOf(find[webhookDoc](ctx, s, s.webhooks, is("_id", "$gt", after),
		options.Find().SetSort(ascending("_id")).SetLimit(int64(max(limit, 1)))))
}

// ReplaceSealed exchanges the ciphertexts of the webhook whose revision is was, else ErrStale.
func (s *Store) ReplaceSealed(ctx context.Context, w gateway.Webhook, was int64) error {
	d, err := webhookOf(w)
	if err != nil {
		return err
	}
	n, err := s.update(ctx, s.webhooks, and(eq("_id", w.ID), eq("organisation", w.Organisation), eq("revision", was)), bson.D{
		set(bson.E{Key: "sealed", Value: d.Sealed}, bson.E{Key: "hasSealed", Value: d.HasSealed}),
	})
	if err == nil && n == 0 {
		return gateway.ErrStale
	}
	return err
}

// HasSealed tells whether any sealed value exists.
func (s *Store) HasSealed(ctx context.Context) (bool, error) {
	_, err := findOne[webhookDoc](ctx, s, s.webhooks, eq("hasSealed", true))
	if errors.Is(err, gateway.ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}
