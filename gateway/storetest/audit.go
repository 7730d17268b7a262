package storetest

import (
	"fmt"
	"slices"
	"sync"

	"github.com/unihook/unihook/gateway"
)

func auditCases() []testCase {
	return []testCase{
		{"Entry_IsKeptWhole", auditKept},
		{"Numbers_HaveNoGapsUnderConcurrency", auditNumbers},
		{"Numbers_GoOnAfterAPurge", auditPurge},
		{"Repeated_KeepsItsNumber", auditRepeated},
		{"List_IsNewestFirstInStablePages", auditList},
		{"List_Filters", auditFilters},
	}
}

func (f *fixture) append(e gateway.AuditEntry) int64 {
	f.Helper()
	number, err := f.AppendAudit(f.ctx, e)
	f.ok(err)
	return number
}

func entry(organisation, id string, second int) gateway.AuditEntry {
	return gateway.AuditEntry{ID: id, Organisation: organisation, At: at(second), Actor: "key_1", User: "Zoë <z>", Address: "192.0.2.1",
		Action: "webhook.updated", Object: "wh_1", Revision: 4, Changes: []gateway.AuditChange{
			{Field: "mapping", Before: []byte(`[{"value":12345678901234567890}]`), After: []byte(`{"e":"\u00e9<&>"}`)}}}
}

func auditKept(f *fixture) {
	want := entry(acme, "aud_1", 1)
	f.same("number", f.append(want), int64(1))
	f.same("number of the second", f.append(entry(acme, "aud_2", 2)), int64(2))
	f.same("another organisation's", f.append(entry(other, "aud_3", 3)), int64(1))
	want.Number = 1
	list, _, err := f.ListAudit(f.ctx, gateway.Only(acme), gateway.AuditFilter{Until: at(2)}, gateway.Page{Limit: 10})
	f.ok(err)
	f.same("entry", list, []gateway.AuditEntry{want})
}

func auditNumbers(f *fixture) {
	var mu sync.Mutex
	var got []int64
	together(12, func(i int) {
		number, err := f.AppendAudit(f.ctx, entry(acme, fmt.Sprintf("aud_%02d", i), i))
		if err != nil {
			f.Error(err)
			return
		}
		mu.Lock()
		defer mu.Unlock()
		got = append(got, number)
	})
	slices.Sort(got)
	f.same("numbers", got, []int64{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12})
}

func auditPurge(f *fixture) {
	for i := range 4 {
		f.append(entry([]string{acme, other}[i%2], fmt.Sprintf("aud_%d", i), i))
	}
	for _, want := range []int{2, 1, 0} {
		n, err := f.PurgeAudit(f.ctx, at(3), 2)
		f.ok(err)
		f.same("purged", n, want)
	}
	list, _, err := f.ListAudit(f.ctx, gateway.Everyone(), gateway.AuditFilter{}, gateway.Page{Limit: 10})
	f.ok(err)
	f.same("left", auditIDs(list), []string{"aud_3"})
	f.same("the next number", f.append(entry(acme, "aud_4", 9)), int64(3))
}

func auditIDs(list []gateway.AuditEntry) []string {
	got := make([]string, 0, len(list))
	for _, e := range list {
		got = append(got, e.ID)
	}
	return got
}

func auditRepeated(f *fixture) {
	f.append(entry(acme, "aud_1", 1))
	f.append(entry(acme, "aud_2", 2))
	f.same("the same entry again", f.append(entry(acme, "aud_1", 1)), int64(1))
	f.same("the next one", f.append(entry(acme, "aud_3", 3)), int64(3))
}

func auditList(f *fixture) {
	var want []string
	for i := range 5 {
		id := fmt.Sprintf("aud_%d", i)
		f.append(entry(acme, id, i))
		want = append([]string{id}, want...)
	}
	got := pages(f, 2, func(page gateway.Page) ([]gateway.AuditEntry, string, error) {
		return f.ListAudit(f.ctx, gateway.Only(acme), gateway.AuditFilter{}, page)
	}, func(e gateway.AuditEntry) string { return e.ID },
		func() { f.append(entry(acme, fmt.Sprintf("aud_new%d", f.next()), 100)) })
	f.same("ids", got, want)
}

func auditFilters(f *fixture) {
	f.append(entry(acme, "aud_1", 1))
	changed := entry(acme, "aud_2", 2)
	changed.Actor, changed.Action, changed.Object = "operator", "webhook.deleted", "wh_2"
	f.append(changed)
	f.append(entry(other, "aud_3", 3))
	f.append(entry("", "aud_4", 4)) // of no organisation: a key of the operator's
	for _, c := range []struct {
		name   string
		scope  gateway.Scope
		filter gateway.AuditFilter
		want   []string
	}{
		{"none", gateway.Only(acme), gateway.AuditFilter{}, []string{"aud_2", "aud_1"}},
		{"everyone", gateway.Everyone(), gateway.AuditFilter{}, []string{"aud_4", "aud_3", "aud_2", "aud_1"}},
		{"nobody", gateway.Scope{}, gateway.AuditFilter{}, []string{}},
		{"actor", gateway.Only(acme), gateway.AuditFilter{Actor: "operator"}, []string{"aud_2"}},
		{"action", gateway.Everyone(), gateway.AuditFilter{Action: "webhook.updated"}, []string{"aud_4", "aud_3", "aud_1"}},
		{"object", gateway.Only(acme), gateway.AuditFilter{Object: "wh_1"}, []string{"aud_1"}},
		{"window", gateway.Everyone(), gateway.AuditFilter{Since: at(2), Until: at(4)}, []string{"aud_3", "aud_2"}},
	} {
		list, next, err := f.ListAudit(f.ctx, c.scope, c.filter, gateway.Page{Limit: 10})
		f.ok(err)
		f.same(c.name, auditIDs(list), c.want)
		f.same(c.name+": next", next, "")
	}
}
