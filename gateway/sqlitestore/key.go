package sqlitestore

import (
	"context"

	"github.com/unihook/unihook/gateway"
)

// InsertKey adds a key.
func (s *Store) InsertKey(ctx context.Context, k gateway.Key) error {
	doc, err := encode(k)
	if err != nil {
		return err
	}
	return s.write(ctx, 1, func(t *tx) error {
		_, err := t.exec(`INSERT INTO keys (id, organisation, created_at, last_used_at, hash, doc) VALUES (?, ?, ?, ?, ?, ?)`,
			k.ID, orNull(k.Organisation), int64(k.CreatedAt), int64(k.LastUsedAt), k.Hash, doc)
		return err
	})
}

func scanKey(r row) (k gateway.Key, err error) {
	var doc string
	var hash []byte
	var used gateway.Time
	if err := r.Scan(&doc, &hash, &used); err != nil {
		return k, err
	}
	err = decode(doc, &k)
	k.Hash, k.LastUsedAt = hash, used
	return k, err
}

// Key finds a key.
func (s *Store) Key(ctx context.Context, id string) (gateway.Key, error) {
	return readOne(ctx, s, scanKey, `SELECT doc, hash, last_used_at FROM keys WHERE id = ?`, id)
}

// ListKeys lists keys, newest first.
func (s *Store) ListKeys(ctx context.Context, page gateway.Page) ([]gateway.Key, string, error) {
	var w where
	if err := w.after(page.After, "created_at", "id"); err != nil {
		return nil, "", err
	}
	list, err := read(ctx, s, scanKey, `SELECT doc, hash, last_used_at FROM keys`+w.String()+
		` ORDER BY created_at DESC, id DESC LIMIT ?`, append(w.args, page.Limit+1)...)
	if err != nil {
		return nil, "", err
	}
	list, next := cut(list, page, func(k gateway.Key) string { return timeMark(k.CreatedAt, k.ID) })
	return list, next, nil
}

// DeleteKey removes a key; ErrNotFound where there is none.
func (s *Store) DeleteKey(ctx context.Context, id string) error {
	return s.write(ctx, 1, func(t *tx) error {
		n, err := t.exec(`DELETE FROM keys WHERE id = ?`, id)
		if err == nil && n == 0 {
			return gateway.ErrNotFound
		}
		return err
	})
}

// TouchKeys notes when keys were last used.
func (s *Store) TouchKeys(ctx context.Context, usedAt map[string]gateway.Time) error {
	return s.write(ctx, len(usedAt), func(t *tx) error {
		for id, at := range usedAt {
			if _, err := t.exec(`UPDATE keys SET last_used_at = max(last_used_at, ?) WHERE id = ?`, int64(at), id); err != nil {
				return err
			}
		}
		return nil
	})
}
