package sqlitestore

import (
	"context"
	"errors"
	"strconv"

	"github.com/unihook/unihook/gateway"
)

// AppendAudit writes an entry under its organisation's next number; one that is there already keeps the number it has.
func (s *Store) AppendAudit(ctx context.Context, e gateway.AuditEntry) (number int64, err error) {
	e.Applied = false
	doc, err := encode(e)
	if err != nil {
		return 0, err
	}
	err = s.write(ctx, 2, func(t *tx) error {
		err := t.one(`SELECT number FROM audit WHERE id = ?`, []any{e.ID}, &number)
		if !errors.Is(err, gateway.ErrNotFound) {
			return err
		}
		if err := t.one(`INSERT INTO audit_numbers (organisation, number) VALUES (?, 1)
			ON CONFLICT (organisation) DO UPDATE SET number = number + 1 RETURNING number`, []any{e.Organisation}, &number); err != nil {
			return err
		}
		_, err = t.exec(`INSERT INTO audit (id, organisation, number, at, actor, action, object, doc) VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
			e.ID, e.Organisation, number, int64(e.At), e.Actor, e.Action, e.Object, doc)
		return err
	})
	return number, err
}

// listedEntry is an entry with its mark.
type listedEntry struct {
	gateway.AuditEntry
	row int64
}

func scanEntry(r row) (e listedEntry, err error) {
	var doc string
	var number int64
	if err := r.Scan(&doc, &number, &e.row); err != nil {
		return e, err
	}
	err = decode(doc, &e.AuditEntry)
	e.Number = number
	if e.Changes == nil {
		e.Changes = []gateway.AuditChange{}
	}
	return e, err
}

// ListAudit lists entries, newest first.
func (s *Store) ListAudit(ctx context.Context, scope gateway.Scope, filter gateway.AuditFilter, page gateway.Page) ([]gateway.AuditEntry, string, error) {
	var w where
	w.scope(scope)
	w.text("actor", filter.Actor)
	w.text("action", filter.Action)
	w.text("object", filter.Object)
	w.window("at", filter.Since, filter.Until)
	if page.After != "" {
		last, err := strconv.ParseInt(page.After, 10, 64)
		if err != nil {
			return nil, "", badMark(page.After)
		}
		w.add("row < ?", last)
	}
	found, err := read(ctx, s, scanEntry, `SELECT doc, number, row FROM audit`+w.String()+` ORDER BY row DESC LIMIT ?`,
		append(w.args, page.Limit+1)...)
	if err != nil {
		return nil, "", err
	}
	found, next := cut(found, page, func(e listedEntry) string { return strconv.FormatInt(e.row, 10) })
	var list []gateway.AuditEntry
	for _, e := range found {
		list = append(list, e.AuditEntry)
	}
	return list, next, nil
}

// PurgeAudit removes the oldest entries.
func (s *Store) PurgeAudit(ctx context.Context, before gateway.Time, limit int) (n int, err error) {
	err = s.write(ctx, limit, func(t *tx) error {
		n, err = t.exec(`DELETE FROM audit WHERE row IN (SELECT row FROM audit INDEXED BY audit_at
			WHERE at < ? ORDER BY at LIMIT ?)`, int64(before), limit)
		return err
	})
	return n, err
}
