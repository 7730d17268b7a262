package mongostore

import (
	"context"
	"errors"
	"fmt"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/unihook/unihook/gateway"
)

// auditDoc is unique by key, so that of two entries that take one number at the same time the second takes the next:
// no number is lost to an entry that was never written.
type auditDoc struct {
	gateway.AuditEntry `bson:",inline"`
	Key                string `bson:"key"`
	Seq                string `bson:"seq"`
}

func auditKey(organisation string, number int64) string {
	return fmt.Sprintf("%s/%016d", organisation, number)
}

// lastNumber is the number of an organisation's newest entry, or a little less. It outlives the entries, so that
// purging them does not start the numbers over.
type lastNumber struct {
	Organisation string `bson:"_id"`
	Number       int64  `bson:"number"`
}

// numberTries bounds how far the last number may have fallen behind, and how many can be writing at once.
const numberTries = 1000

// AppendAudit assigns the organisation's next number and writes the entry. An entry that was written already keeps its
// number.
func (s *Store) AppendAudit(ctx context.Context, e gateway.AuditEntry) (int64, error) {
	id := "/" + e.Organisation // the operator's entries have no organisation
	last, err := findOne[lastNumber](ctx, s, s.numbers, eq("_id", id))
	if err != nil && !errors.Is(err, gateway.ErrNotFound) {
		return 0, err
	}
	e.Number = last.Number
	for range numberTries {
		e.Number++
		err := s.insert(ctx, s.audit, auditDoc{e, auditKey(e.Organisation, e.Number), seq(e.At, e.ID)})
		switch {
		case err == nil:
			s.noteNumber(ctx, id, e.Number)
			return e.Number, nil
		case !taken(err):
			return 0, err
		}
		if written, err := findOne[auditDoc](ctx, s, s.audit, eq("_id", e.ID)); err == nil {
			return written.Number, nil
		} else if !errors.Is(err, gateway.ErrNotFound) {
			return 0, err
		}
	}
	return 0, fmt.Errorf("the next number of the audit of %q was not found in %d tries", e.Organisation, numberTries)
}

// noteNumber raises the last number. The entry is written: what fails here costs the next one a few tries.
func (s *Store) noteNumber(ctx context.Context, id string, number int64) {
	ctx, cancel := s.bound(ctx)
	defer cancel()
	_, _ = s.numbers.UpdateOne(ctx, eq("_id", id),
		bson.D{{Key: "$max", Value: bson.D{{Key: "number", Value: number}}}}, options.UpdateOne().SetUpsert(true))
}

// ListAudit is newest first: by number within an organisation, by time over all.
func (s *Store) ListAudit(ctx context.Context, scope gateway.Scope, f gateway.AuditFilter, page gateway.Page) ([]gateway.AuditEntry, string, error) {
	var filter bson.D
	by, mark := "seq", func(d auditDoc) string { return d.Seq }
	if organisation, ok := scope.Organisation(); ok {
		if organisation == "" { // the operator's own entries are in Everyone's list alone
			return nil, "", nil
		}
		by, mark = "key", func(d auditDoc) string { return d.Key }
		to := page.After
		if to == "" {
			to = organisation + "0"
		}
		filter = and(between("key", organisation+"/", to), times("at", f.Since, f.Until))
	} else {
		filter = window(f.Since, f.Until, page.After)
	}
	for _, c := range []bson.E{{Key: "actor", Value: f.Actor}, {Key: "action", Value: f.Action}, {Key: "object", Value: f.Object}} {
		if c.Value != "" {
			filter = append(filter, c)
		}
	}
	docs, err := find[auditDoc](ctx, s, s.audit, filter, pageOptions(page, descending(by)))
	docs, next := cut(docs, page, mark)
	var list []gateway.AuditEntry
	for _, d := range docs {
		list = append(list, d.AuditEntry)
	}
	return list, next, err
}

// PurgeAudit removes at most limit entries from before the time given, oldest first.
func (s *Store) PurgeAudit(ctx context.Context, before gateway.Time, limit int) (int, error) {
	return s.remove(ctx, s.audit, between("seq", "", seqTime(before)), ascending("seq"), limit)
}
