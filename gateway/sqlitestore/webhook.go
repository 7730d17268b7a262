package sqlitestore

import (
	"context"
	"slices"

	"github.com/unihook/unihook/gateway"
	"github.com/unihook/unihook/mapping"
)

// webhookRecord is a webhook as the doc column holds it: its JSON form, and beside it what that form leaves out.
type webhookRecord struct {
	gateway.Webhook
	// URLNumbers are those of the endpoints, in their order.
	URLNumbers []int `json:"urlNumbers"`
}

// encodeWebhook is the two columns of a webhook. Open secrets, health and warnings never get there.
func encodeWebhook(w gateway.Webhook) (doc string, sealed any, err error) {
	record := webhookRecord{Webhook: w}
	record.Warnings = nil
	record.Signing.Secret = ""
	record.Endpoints = slices.Clone(w.Endpoints)
	for i := range record.Endpoints {
		record.Endpoints[i].Health = nil
		record.URLNumbers = append(record.URLNumbers, w.Endpoints[i].URLNumber)
	}
	if doc, err = encode(record); err != nil {
		return "", nil, err
	}
	if s := w.Sealed; len(s.URLs) == 0 && len(s.Headers) == 0 && len(s.Secret) == 0 && len(s.Previous) == 0 {
		return doc, nil, nil
	}
	sealed, err = encode(w.Sealed)
	return doc, sealed, err
}

const webhookColumns = `SELECT doc, coalesce(sealed, '{}'), deleted_at FROM webhooks`

func scanWebhook(r row) (w gateway.Webhook, err error) {
	var doc, sealed string
	var deleted gateway.Time
	if err := r.Scan(&doc, &sealed, &deleted); err != nil {
		return w, err
	}
	var record webhookRecord
	if err := decode(doc, &record); err != nil {
		return w, err
	}
	w = record.Webhook
	for i := range min(len(w.Endpoints), len(record.URLNumbers)) {
		w.Endpoints[i].URLNumber = record.URLNumbers[i]
	}
	fillWebhook(&w)
	w.DeletedAt = deleted
	err = decode(sealed, &w.Sealed)
	return w, err
}

// fillWebhook makes absent lists empty ones: [] in JSON, never null.
func fillWebhook(w *gateway.Webhook) {
	if w.Endpoints == nil {
		w.Endpoints = []gateway.Endpoint{}
	}
	if w.Events == nil {
		w.Events = []gateway.Selection{}
	}
	if w.Accounts == nil {
		w.Accounts = []string{}
	}
	if w.Mapping == nil {
		w.Mapping = []mapping.Rule{}
	}
	if w.Headers == nil {
		w.Headers = []gateway.Header{}
	}
}

// InsertWebhook adds a webhook.
func (s *Store) InsertWebhook(ctx context.Context, w gateway.Webhook) error {
	doc, sealed, err := encodeWebhook(w)
	if err != nil {
		return err
	}
	return s.write(ctx, 1, func(t *tx) error {
		_, err := t.exec(`INSERT INTO webhooks (id, organisation, revision, deleted_at, doc, sealed) VALUES (?, ?, ?, ?, ?, ?)`,
			w.ID, w.Organisation, w.Revision, int64(w.DeletedAt), doc, sealed)
		return err
	})
}

// Webhook finds a webhook, or its tombstone.
func (s *Store) Webhook(ctx context.Context, scope gateway.Scope, id string) (gateway.Webhook, error) {
	var w where
	w.add("id = ?", id)
	w.scope(scope)
	return readOne(ctx, s, scanWebhook, webhookColumns+w.String(), w.args...)
}

// ListWebhooks lists webhooks, newest first.
func (s *Store) ListWebhooks(ctx context.Context, scope gateway.Scope, page gateway.Page) ([]gateway.Webhook, string, error) {
	var w where
	w.scope(scope)
	w.add("deleted_at = 0")
	if page.After != "" {
		w.add("id < ?", page.After)
	}
	list, err := read(ctx, s, scanWebhook, webhookColumns+w.String()+` ORDER BY id DESC LIMIT ?`, append(w.args, page.Limit+1)...)
	if err != nil {
		return nil, "", err
	}
	list, next := cut(list, page, func(w gateway.Webhook) string { return w.ID })
	return list, next, nil
}

func scanInt(r row) (n int, err error) {
	err = r.Scan(&n)
	return n, err
}

// CountWebhooks counts an organisation's webhooks.
func (s *Store) CountWebhooks(ctx context.Context, organisation string) (int, error) {
	return readOne(ctx, s, scanInt, `SELECT count(*) FROM webhooks WHERE organisation = ? AND deleted_at = 0`, organisation)
}

// ReplaceWebhook replaces a webhook of revision was.
func (s *Store) ReplaceWebhook(ctx context.Context, w gateway.Webhook, was int64) error {
	doc, sealed, err := encodeWebhook(w)
	if err != nil {
		return err
	}
	return s.write(ctx, 1, func(t *tx) error {
		return staleUnlessOne(t.exec(`UPDATE webhooks SET revision = ?, deleted_at = ?, doc = ?, sealed = ?
			WHERE id = ? AND organisation = ? AND revision = ?`,
			w.Revision, int64(w.DeletedAt), doc, sealed, w.ID, w.Organisation, was))
	})
}

func scanRevision(r row) (v gateway.Revision, err error) {
	err = r.Scan(&v.ID, &v.Revision)
	return v, err
}

// Revisions lists the ids and revisions of an organisation's webhooks.
func (s *Store) Revisions(ctx context.Context, organisation string) ([]gateway.Revision, error) {
	return read(ctx, s, scanRevision, `SELECT id, revision FROM webhooks WHERE organisation = ? AND deleted_at = 0 ORDER BY id`, organisation)
}

// WebhooksByID finds webhooks, tombstones too.
func (s *Store) WebhooksByID(ctx context.Context, ids []string) ([]gateway.Webhook, error) {
	return read(ctx, s, scanWebhook, webhookColumns+` WHERE id IN (SELECT value FROM json_each(?))`, texts(ids))
}

// EachWebhook walks all webhooks by id.
func (s *Store) EachWebhook(ctx context.Context, after string, limit int) ([]gateway.Webhook, error) {
	return read(ctx, s, scanWebhook, webhookColumns+` WHERE id > ? ORDER BY id LIMIT ?`, after, limit)
}

// ReplaceSealed exchanges a webhook's ciphertexts.
func (s *Store) ReplaceSealed(ctx context.Context, w gateway.Webhook, was int64) error {
	_, sealed, err := encodeWebhook(w)
	if err != nil {
		return err
	}
	return s.write(ctx, 1, func(t *tx) error {
		return staleUnlessOne(t.exec(`UPDATE webhooks SET sealed = ? WHERE id = ? AND organisation = ? AND revision = ?`,
			sealed, w.ID, w.Organisation, was))
	})
}
