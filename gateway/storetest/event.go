package storetest

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/unihook/unihook/gateway"
	"github.com/unihook/unihook/mapping"
)

func eventCases() []testCase {
	return []testCase{
		{"Data_IsKeptByteForByte", eventBytes},
		{"AnotherOrganisations_IsNotFound", eventScope},
		{"EventOwners_AreAllWhoHaveTheID", eventOwners},
		{"List_IsNewestAcceptedFirstInStablePages", eventList},
		{"List_Filters", eventFilters},
		{"List_LeavesDataAndPlanOut", eventListed},
		{"Erase_TakesTheDataAndLeavesTheFacts", eventErase},
		{"Purge_TakesTheOldestInSteps", eventPurge},
		{"Shapes_AreWrittenOnce", shapes},
	}
}

func eventBytes(f *fixture) {
	for _, data := range []string{
		`{"id":12345678901234567890,"amount":1.0,"big":1e400,"tiny":-0.0}`,
		`{"a":1,"a":2,"":{"":null}}`,
		`{"e":"\u00e9","é":"é","s":"\/","u":"\ud83d\ude00","lone":"\ud800"}`,
		" {\t\"a\" :\r\n [ 1 , 2 ] } ",
		`{"html":"<a href='x'>&amp;</a>","line":"` + "\u2028" + `"}`,
		`{}`,
	} {
		e, _ := f.event(acme, 0)
		e.Data = []byte(data)
		_, err := f.Accept(f.ctx, []gateway.Event{e}, nil)
		f.ok(err)
		got, err := f.Event(f.ctx, gateway.Only(acme), e.ID)
		f.ok(err)
		f.same("data", string(got.Data), data)
		list, err := f.EventsByKey(f.ctx, []string{gateway.EventKey(acme, e.ID), gateway.EventKey(other, e.ID), "", "none"})
		f.ok(err)
		f.same("data by key", fmt.Sprintf("%d %s", len(list), list[0].Data), "1 "+data)
	}
}

func eventScope(f *fixture) {
	e, _ := f.accept(acme, 0)
	for _, scope := range []gateway.Scope{gateway.Only(other), {}} {
		_, err := f.Event(f.ctx, scope, e.ID)
		f.is(err, gateway.ErrNotFound)
		list, _, err := f.ListEvents(f.ctx, scope, gateway.EventFilter{}, gateway.Page{Limit: 10})
		f.ok(err)
		f.same("list", eventIDs(list), []string{})
	}
	got, err := f.Event(f.ctx, gateway.Everyone(), e.ID)
	f.ok(err)
	f.same("the operator's", got, e)
	f.is(f.EraseEvent(f.ctx, other, e.ID), gateway.ErrNotFound)
}

func eventOwners(f *fixture) {
	e, _ := f.accept(acme, 0)
	owners := func(id string, limit int) []string {
		list, err := f.EventOwners(f.ctx, id, limit)
		f.ok(err)
		slices.Sort(list)
		return list
	}
	f.same("one owner", owners(e.ID, 2), []string{acme})
	twin, _ := f.event(other, 0)
	twin.ID = e.ID
	_, err := f.Accept(f.ctx, []gateway.Event{twin}, nil)
	f.ok(err)
	both := []string{acme, other}
	slices.Sort(both)
	f.same("two owners", owners(e.ID, 10), both)
	f.same("owners up to a limit", len(owners(e.ID, 1)), 1)
	f.same("no owner", len(owners("evt_unknown", 2)), 0)
}

func eventIDs(list []gateway.Event) []string {
	got := make([]string, 0, len(list))
	for _, e := range list {
		got = append(got, e.ID)
	}
	return got
}

func eventList(f *fixture) {
	var want []string
	for _, second := range []int{0, 5, 5, 5, 9} { // three of one moment, told apart by their acceptance number
		e, _ := f.accept(acme, second)
		want = append([]string{e.ID}, want...)
	}
	f.accept(other, 6)
	got := pages(f, 2, func(page gateway.Page) ([]gateway.Event, string, error) {
		return f.ListEvents(f.ctx, gateway.Only(acme), gateway.EventFilter{}, page)
	}, func(e gateway.Event) string { return e.ID }, func() { f.accept(acme, 100) })
	f.same("ids", got, want)
}

func eventFilters(f *fixture) {
	put := func(second int, change func(*gateway.Event)) string {
		e, _ := f.event(acme, second)
		change(&e)
		_, err := f.Accept(f.ctx, []gateway.Event{e}, nil)
		f.ok(err)
		return e.ID
	}
	first := put(0, func(e *gateway.Event) {})
	sms := put(10, func(e *gateway.Event) { e.Product, e.Type = "sms", "sms.sent" })
	account := put(20, func(e *gateway.Event) { e.Account = "acc_2" })
	foreign, _ := f.accept(other, 30)
	for _, c := range []struct {
		name   string
		scope  gateway.Scope
		filter gateway.EventFilter
		want   []string
	}{
		{"none", gateway.Only(acme), gateway.EventFilter{}, []string{account, sms, first}},
		{"everyone", gateway.Everyone(), gateway.EventFilter{}, []string{foreign.ID, account, sms, first}},
		{"product", gateway.Only(acme), gateway.EventFilter{Product: "payments"}, []string{account, first}},
		{"type", gateway.Only(acme), gateway.EventFilter{Type: "sms.sent"}, []string{sms}},
		{"account", gateway.Only(acme), gateway.EventFilter{Account: "acc_1"}, []string{sms, first}},
		{"since is included", gateway.Only(acme), gateway.EventFilter{Since: at(10)}, []string{account, sms}},
		{"until is not", gateway.Only(acme), gateway.EventFilter{Until: at(10)}, []string{first}},
		{"window", gateway.Everyone(), gateway.EventFilter{Since: at(10), Until: at(20) + 1, Product: "sms"}, []string{sms}},
	} {
		list, next, err := f.ListEvents(f.ctx, c.scope, c.filter, gateway.Page{Limit: 10})
		f.ok(err)
		f.same(c.name, eventIDs(list), c.want)
		f.same(c.name+": next", next, "")
	}
}

func eventListed(f *fixture) {
	e, _ := f.accept(acme, 0, "ep_a")
	list, _, err := f.ListEvents(f.ctx, gateway.Only(acme), gateway.EventFilter{}, gateway.Page{Limit: 10})
	f.ok(err)
	got := list[0]
	f.same("left out", []int{len(got.Data), len(got.Plan)}, []int{0, 0})
	got.Data, got.Plan, got.Hash, got.Order = e.Data, e.Plan, e.Hash, e.Order
	f.same("the rest", got, e)
}

func eventErase(f *fixture) {
	e, d := f.accept(acme, 0, "ep_a")
	f.ok(f.EraseEvent(f.ctx, acme, e.ID))
	f.ok(f.EraseEvent(f.ctx, acme, e.ID))
	want := e
	want.Data, want.Erased = nil, true
	got, err := f.Event(f.ctx, gateway.Only(acme), e.ID)
	f.ok(err)
	f.same("event", got, want)
	byKey, err := f.EventsByKey(f.ctx, []string{gateway.EventKey(acme, e.ID)})
	f.ok(err)
	f.same("event by key", byKey, []gateway.Event{want})
	list, _, err := f.ListEvents(f.ctx, gateway.Only(acme), gateway.EventFilter{}, gateway.Page{Limit: 10})
	f.ok(err)
	f.same("erased in the list", list[0].Erased, true)
	taken, err := f.Accept(f.ctx, []gateway.Event{e}, d)
	f.ok(err)
	f.same("its id is still taken", taken, []bool{true})
	f.is(f.EraseEvent(f.ctx, acme, "evt_unknown"), gateway.ErrNotFound)
}

func eventPurge(f *fixture) {
	var all []string
	for i := range 5 {
		e, _ := f.accept([]string{acme, other}[i%2], i)
		all = append(all, e.ID)
	}
	for _, c := range []struct {
		limit, n int
		left     []string
	}{{2, 2, all[2:]}, {2, 1, all[3:]}, {2, 0, all[3:]}} {
		n, err := f.PurgeEvents(f.ctx, at(3), c.limit)
		f.ok(err)
		f.same("purged", n, c.n)
		list, _, err := f.ListEvents(f.ctx, gateway.Everyone(), gateway.EventFilter{}, gateway.Page{Limit: 10})
		f.ok(err)
		f.same("left", sorted(eventIDs(list)), c.left)
	}
	e, _ := f.event(acme, 0)
	e.ID = all[0]
	taken, err := f.Accept(f.ctx, []gateway.Event{e}, nil)
	f.ok(err)
	f.same("its id is free", taken, []bool{false})
}

func shapes(f *fixture) {
	first := gateway.Shape{ID: "aa", Payload: "unified", Organisation: acme, Webhook: []byte("{\"name\" : \"<é>\"}"),
		Rules: []mapping.Rule{{Op: "set", Path: "a", Value: json.RawMessage(`"\u00e9<&>"`)}, {Op: "move", Path: "b", To: "c.d"}}}
	second := gateway.Shape{ID: "bb", Payload: "data"}
	f.ok(f.PutShapes(f.ctx, []gateway.Shape{first}))
	f.ok(f.PutShapes(f.ctx, []gateway.Shape{first, second}))
	got, err := f.Shapes(f.ctx, []string{"aa", "zz"})
	f.ok(err)
	f.same("first", got, []gateway.Shape{first})
	got, err = f.Shapes(f.ctx, []string{"bb"})
	f.ok(err)
	f.same("second", got, []gateway.Shape{second})
}
