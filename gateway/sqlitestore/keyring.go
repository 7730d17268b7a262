package sqlitestore

import (
	"context"
	"time"

	"github.com/unihook/unihook/gateway"
)

// Keyset reads the wrapped keyset.
func (s *Store) Keyset(ctx context.Context) (gateway.Keyset, error) {
	return readOne(ctx, s, func(r row) (k gateway.Keyset, err error) {
		err = r.Scan(&k.Blob, &k.Version)
		return k, err
	}, `SELECT blob, version FROM keyset WHERE one = 1`)
}

// SwapKeyset writes the keyset over the version that it was made from.
func (s *Store) SwapKeyset(ctx context.Context, k gateway.Keyset) error {
	return s.write(ctx, 1, func(t *tx) error {
		if k.Version == 0 {
			return staleUnlessOne(t.exec(`INSERT INTO keyset (one, version, blob) VALUES (1, 1, ?) ON CONFLICT DO NOTHING`, k.Blob))
		}
		return staleUnlessOne(t.exec(`UPDATE keyset SET version = version + 1, blob = ? WHERE one = 1 AND version = ?`, k.Blob, k.Version))
	})
}

// HasSealed tells whether a webhook has anything sealed.
func (s *Store) HasSealed(ctx context.Context) (bool, error) {
	found, err := read(ctx, s, scanText, `SELECT id FROM webhooks INDEXED BY webhooks_sealed WHERE sealed IS NOT NULL LIMIT 1`)
	return len(found) > 0, err
}

// forgetProcess is how long a process that was not seen is kept.
const forgetProcess = 24 * time.Hour

// Beat says that a process runs, and forgets those that ran long ago.
func (s *Store) Beat(ctx context.Context, p gateway.Process) error {
	doc, err := encode(p)
	if err != nil {
		return err
	}
	return s.write(ctx, 1, func(t *tx) error {
		_, err := t.exec(`INSERT INTO processes (id, seen_at, doc) VALUES (?, ?, ?)
			ON CONFLICT (id) DO UPDATE SET seen_at = excluded.seen_at, doc = excluded.doc`, p.ID, int64(p.SeenAt), doc)
		if err != nil {
			return err
		}
		_, err = t.exec(`DELETE FROM processes WHERE seen_at < ?`, int64(p.SeenAt.Add(-forgetProcess)))
		return err
	})
}

func scanProcess(r row) (p gateway.Process, err error) {
	var doc string
	if err := r.Scan(&doc); err != nil {
		return p, err
	}
	err = decode(doc, &p)
	return p, err
}

// Processes lists those seen since.
func (s *Store) Processes(ctx context.Context, since gateway.Time) ([]gateway.Process, error) {
	return read(ctx, s, scanProcess, `SELECT doc FROM processes WHERE seen_at >= ? ORDER BY id`, int64(since))
}
