package sqlitestore

import (
	"context"

	"github.com/unihook/unihook/gateway"
)

// InsertOrganisation adds an organisation.
func (s *Store) InsertOrganisation(ctx context.Context, o gateway.Organisation) error {
	doc, err := encode(o)
	if err != nil {
		return err
	}
	return s.write(ctx, 1, func(t *tx) error {
		_, err := t.exec(`INSERT INTO organisations (id, revision, created_at, erasing, doc) VALUES (?, ?, ?, ?, ?)`,
			o.ID, o.Revision, int64(o.CreatedAt), flag(o.Erasing), doc)
		return err
	})
}

func scanOrganisation(r row) (o gateway.Organisation, err error) {
	var doc string
	var erasing bool
	if err := r.Scan(&doc, &erasing); err != nil {
		return o, err
	}
	err = decode(doc, &o)
	o.Erasing = erasing
	if o.Hosts == nil {
		o.Hosts = []string{}
	}
	return o, err
}

// Organisation finds an organisation.
func (s *Store) Organisation(ctx context.Context, id string) (gateway.Organisation, error) {
	return readOne(ctx, s, scanOrganisation, `SELECT doc, erasing FROM organisations WHERE id = ?`, id)
}

// ListOrganisations lists organisations, newest first.
func (s *Store) ListOrganisations(ctx context.Context, page gateway.Page) ([]gateway.Organisation, string, error) {
	var w where
	if err := w.after(page.After, "created_at", "id"); err != nil {
		return nil, "", err
	}
	list, err := read(ctx, s, scanOrganisation, `SELECT doc, erasing FROM organisations`+w.String()+
		` ORDER BY created_at DESC, id DESC LIMIT ?`, append(w.args, page.Limit+1)...)
	if err != nil {
		return nil, "", err
	}
	list, next := cut(list, page, func(o gateway.Organisation) string { return timeMark(o.CreatedAt, o.ID) })
	return list, next, nil
}

// ReplaceOrganisation replaces an organisation of revision was.
func (s *Store) ReplaceOrganisation(ctx context.Context, o gateway.Organisation, was int64) error {
	doc, err := encode(o)
	if err != nil {
		return err
	}
	return s.write(ctx, 1, func(t *tx) error {
		return staleUnlessOne(t.exec(`UPDATE organisations SET revision = ?, erasing = ?, doc = ? WHERE id = ? AND revision = ?`,
			o.Revision, flag(o.Erasing), doc, o.ID, was))
	})
}

// staleUnlessOne is ErrStale where a conditional write changed nothing.
func staleUnlessOne(changed int, err error) error {
	if err == nil && changed == 0 {
		return gateway.ErrStale
	}
	return err
}

// EraseOrganisation removes what an organisation has, in steps.
func (s *Store) EraseOrganisation(ctx context.Context, id string, limit int) (done bool, err error) {
	err = s.write(ctx, limit, func(t *tx) error {
		done, err = erase(t, id, limit)
		return err
	})
	return done, err
}

// erase removes deliveries first and the organisation last, so that a step that is cut off is gone on with.
func erase(t *tx, organisation string, limit int) (done bool, err error) {
	ids, err := t.texts(`SELECT id FROM deliveries WHERE organisation = ? LIMIT ?`, organisation, limit)
	if err != nil {
		return false, err
	}
	if err := removeDeliveries(t, ids); err != nil {
		return false, err
	}
	left := limit - len(ids)
	for _, query := range []string{
		`DELETE FROM events WHERE number IN (SELECT number FROM events WHERE organisation = ? LIMIT ?)`,
		`DELETE FROM webhooks WHERE id IN (SELECT id FROM webhooks WHERE organisation = ? LIMIT ?)`,
		`DELETE FROM endpoints WHERE id IN (SELECT id FROM endpoints WHERE organisation = ? LIMIT ?)`,
		// Without an index: erasures are rare, and shapes are few.
		`DELETE FROM shapes WHERE id IN (SELECT id FROM shapes WHERE json_extract(doc, '$.organisation') = ? LIMIT ?)`,
		`DELETE FROM accounts WHERE (organisation, id) IN (SELECT organisation, id FROM accounts WHERE organisation = ? LIMIT ?)`,
		`DELETE FROM replays WHERE id IN (SELECT id FROM replays WHERE organisation = ? LIMIT ?)`,
		`DELETE FROM keys WHERE id IN (SELECT id FROM keys WHERE organisation = ? LIMIT ?)`,
		// The job that does this is the worker's to delete, once this has answered true.
		`DELETE FROM jobs WHERE id IN (SELECT id FROM jobs WHERE organisation = ? AND kind <> 'erase' LIMIT ?)`,
	} {
		if left <= 0 {
			return false, nil
		}
		n, err := t.exec(query, organisation, left)
		if err != nil {
			return false, err
		}
		left -= n
	}
	if left <= 0 {
		return false, nil
	}
	_, err = t.exec(`DELETE FROM organisations WHERE id = ?`, organisation)
	return err == nil, err
}

// PutAccounts makes or updates accounts.
func (s *Store) PutAccounts(ctx context.Context, accounts []gateway.Account) error {
	return s.write(ctx, len(accounts), func(t *tx) error {
		for _, a := range accounts {
			if _, err := t.exec(`INSERT INTO accounts (organisation, id, name, last_event_at, known_since, place) VALUES (?, ?, ?, ?, ?, ?)
				ON CONFLICT (organisation, id) DO UPDATE SET
				name = CASE WHEN excluded.name = '' THEN name ELSE excluded.name END,
				last_event_at = max(last_event_at, excluded.last_event_at)`,
				a.Organisation, a.ID, a.Name, int64(a.LastEventAt), int64(a.KnownSince), a.Place()); err != nil {
				return err
			}
		}
		return nil
	})
}

func scanAccount(r row) (a gateway.Account, err error) {
	err = r.Scan(&a.Organisation, &a.ID, &a.Name, &a.LastEventAt, &a.KnownSince)
	return a, err
}

const accountColumns = `SELECT organisation, id, name, last_event_at, known_since FROM accounts`

// Accounts finds those accounts of an organisation that are known, by id.
func (s *Store) Accounts(ctx context.Context, organisation string, ids []string) ([]gateway.Account, error) {
	return read(ctx, s, scanAccount, accountColumns+` WHERE organisation = ? AND id IN (SELECT value FROM json_each(?)) ORDER BY id`,
		organisation, texts(ids))
}

// ListAccounts lists accounts, newest first.
func (s *Store) ListAccounts(ctx context.Context, scope gateway.Scope, page gateway.Page) ([]gateway.Account, string, error) {
	var w where
	w.scope(scope)
	if page.After != "" {
		w.add("place < ?", page.After)
	}
	list, err := read(ctx, s, scanAccount, accountColumns+w.String()+` ORDER BY place DESC LIMIT ?`, append(w.args, page.Limit+1)...)
	if err != nil {
		return nil, "", err
	}
	list, next := cut(list, page, gateway.Account.Place)
	return list, next, nil
}
