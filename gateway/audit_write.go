package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"
)

// system is the actor of what the gateway does by itself.
var system = Actor{Key: "system"}

// ActionNotApplied is the action of an entry that takes another one back: its change never came to be. Its object is
// that of the other, whose id is the one change.
const ActionNotApplied = "audit.not_applied"

// change writes the entry of a change that the actor makes, then makes it. Organisation, Action, Object, Revision and
// Changes of the entry are the caller's. When make answers that it was not made (ErrStale, ErrTaken, ErrNotFound) a
// second entry says so. The error is make's own, or that of the entry: without an entry there is no change.
func (g *Gateway) change(ctx context.Context, a Actor, e AuditEntry, make func() error) error {
	before, err := g.dangling(ctx, e)
	if err != nil {
		return err
	}
	if e, err = g.appendAudit(ctx, a, e); err != nil {
		return err
	}
	err = make()
	switch {
	case err == nil:
		// This change made the revision, so whoever announced the same one before did not.
		for _, other := range before {
			g.takeBack(ctx, a, other)
		}
	case errors.Is(err, ErrStale), errors.Is(err, ErrTaken), errors.Is(err, ErrNotFound):
		g.takeBack(ctx, a, e)
	}
	return err
}

// danglingLook is how many of an object's newest entries are looked at for one that announces the same revision: more
// writers than this do not race for one object.
const danglingLook = 5

// dangling lists earlier entries that announce the revision that e will make: of a writer that died or is in a race.
func (g *Gateway) dangling(ctx context.Context, e AuditEntry) ([]AuditEntry, error) {
	if e.Revision <= 1 || e.Organisation == "" {
		return nil, nil
	}
	list, _, err := g.Store.ListAudit(ctx, Only(e.Organisation), AuditFilter{Object: e.Object}, Page{Limit: danglingLook})
	if err != nil {
		return nil, fmt.Errorf("reading the audit of %s: %w", e.Object, err)
	}
	back := map[string]bool{}
	for _, other := range list {
		if other.Action == ActionNotApplied {
			back[takenBack(other)] = true
		}
	}
	return slices.DeleteFunc(list, func(other AuditEntry) bool {
		return other.Revision != e.Revision || back[other.ID]
	}), nil
}

func (g *Gateway) appendAudit(ctx context.Context, a Actor, e AuditEntry) (AuditEntry, error) {
	e.ID, e.At = NewID(PrefixAudit, g.Clock()), g.now()
	e.Actor, e.User, e.Address = a.Key, a.User, a.Address
	if e.Changes == nil {
		e.Changes = []AuditChange{}
	}
	number, err := g.Store.AppendAudit(ctx, e)
	if err != nil {
		return e, fmt.Errorf("writing the audit of %s: %w", e.Object, err)
	}
	e.Number = number
	return e, nil
}

// takeBack says that the change of an entry never came to be.
func (g *Gateway) takeBack(ctx context.Context, a Actor, e AuditEntry) {
	id, err := json.Marshal(e.ID)
	if err != nil {
		panic("gateway: an id does not encode: " + err.Error())
	}
	back := AuditEntry{Organisation: e.Organisation, Action: ActionNotApplied, Object: e.Object, Changes: []AuditChange{{Field: "entry", After: id}}}
	if _, err := g.appendAudit(context.WithoutCancel(ctx), a, back); err != nil {
		g.Log.Error("taking an audit entry back", "entry", e.ID, "error", err)
	}
}

// takenBack is the id of the entry that e takes back.
func takenBack(e AuditEntry) (id string) {
	if len(e.Changes) == 1 {
		_ = json.Unmarshal(e.Changes[0].After, &id) // written by takeBack
	}
	return id
}

// audited writes who is about to do what, for what a race or an error cannot undo. Without the entry nothing is done.
func (g *Gateway) audited(ctx context.Context, a Actor, organisation, action, object string, revision int64, changes []AuditChange) error {
	_, err := g.appendAudit(ctx, a, AuditEntry{Organisation: organisation, Action: action, Object: object, Revision: revision, Changes: changes})
	return err
}

// RecordSystem writes what the gateway itself is about to do to something that has no revision: quarantine an endpoint,
// resume it. The entry is for TakeBack.
func (g *Gateway) RecordSystem(ctx context.Context, organisation, action, object string, changes ...AuditChange) (AuditEntry, error) {
	return g.appendAudit(ctx, system, AuditEntry{Organisation: organisation, Action: action, Object: object, Changes: changes})
}

// TakeBack says that what RecordSystem announced did not come to be.
func (g *Gateway) TakeBack(e AuditEntry) {
	ctx, cancel := context.WithTimeout(context.Background(), takeBackFor)
	defer cancel()
	g.takeBack(ctx, system, e)
}

// takeBackFor bounds the writing of an entry that nobody waits for.
const takeBackFor = 5 * time.Second

// changesBetween compares the fields of two states, in the order of their names; nil is no state. Values are encoded as
// the API shows them.
func changesBetween(before, after map[string]any) []AuditChange {
	names := map[string]bool{}
	for _, fields := range []map[string]any{before, after} {
		for name := range fields {
			names[name] = true
		}
	}
	changes := []AuditChange{}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		was, is := encoded(before, name), encoded(after, name)
		if !bytes.Equal(was, is) {
			changes = append(changes, AuditChange{Field: name, Before: was, After: is})
		}
	}
	return changes
}

// encoded is a field's JSON; nil where there is no such field.
func encoded(fields map[string]any, name string) json.RawMessage {
	value, ok := fields[name]
	if !ok {
		return nil
	}
	text, err := json.Marshal(value)
	if err != nil {
		panic("gateway: an audited field does not encode: " + err.Error())
	}
	return text
}
