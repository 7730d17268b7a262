package storetest

import (
	"fmt"
	"slices"

	"github.com/unihook/unihook/gateway"
)

func organisationCases() []testCase {
	return []testCase{
		{"Organisation_IsKeptWhole", organisationKept},
		{"Insert_OfATakenID", organisationTaken},
		{"Replace_OnlyTheRevisionThatWasRead", organisationReplace},
		{"List_IsNewestFirstInStablePages", organisationList},
		{"Accounts_AreMadeAndUpdated", accounts},
		{"Accounts_AreListedNewestFirst", accountPages},
		{"Erase_TakesEverythingButAuditInSteps", eraseOrganisation},
		{"Erase_OfNothingIsDone", eraseNothing},
	}
}

func organisation(id string, second int) gateway.Organisation {
	return gateway.Organisation{ID: id, Name: "Acmé <&>", Hosts: []string{"*.example.com"}, SecretReadable: true,
		Revision: 1, CreatedAt: at(second), UpdatedAt: at(second + 1)}
}

func organisationKept(f *fixture) {
	want := organisation(acme, 0)
	f.ok(f.InsertOrganisation(f.ctx, want))
	got, err := f.Organisation(f.ctx, acme)
	f.ok(err)
	f.same("organisation", got, want)
	want.Erasing, want.Revision, want.Hosts = true, 2, nil
	f.ok(f.ReplaceOrganisation(f.ctx, want, 1))
	got, err = f.Organisation(f.ctx, acme)
	f.ok(err)
	f.same("one that is being erased", got, want)
	if got.Hosts == nil {
		f.Error("hosts are nil, want an empty list")
	}
	_, err = f.Organisation(f.ctx, other)
	f.is(err, gateway.ErrNotFound)
}

func organisationTaken(f *fixture) {
	first := organisation(acme, 0)
	f.ok(f.InsertOrganisation(f.ctx, first))
	second := organisation(acme, 5)
	f.is(f.InsertOrganisation(f.ctx, second), gateway.ErrTaken)
	got, err := f.Organisation(f.ctx, acme)
	f.ok(err)
	f.same("the first", got, first)
}

func organisationReplace(f *fixture) {
	o := organisation(acme, 0)
	f.ok(f.InsertOrganisation(f.ctx, o))
	o.Revision, o.Name = 2, "second"
	f.ok(f.ReplaceOrganisation(f.ctx, o, 1))
	o.Name = "third"
	f.is(f.ReplaceOrganisation(f.ctx, o, 1), gateway.ErrStale)
	got, err := f.Organisation(f.ctx, acme)
	f.ok(err)
	f.same("name", got.Name, "second")
	f.is(f.ReplaceOrganisation(f.ctx, organisation(other, 0), 1), gateway.ErrStale)
}

func organisationList(f *fixture) {
	var want []string
	for i, id := range []string{"org_m", "org_z", "org_a", "org_q", "org_b"} {
		f.ok(f.InsertOrganisation(f.ctx, organisation(id, 10*i)))
		want = append([]string{id}, want...)
	}
	got := pages(f, 2, func(page gateway.Page) ([]gateway.Organisation, string, error) {
		return f.ListOrganisations(f.ctx, page)
	}, func(o gateway.Organisation) string { return o.ID }, func() {
		f.ok(f.InsertOrganisation(f.ctx, organisation(fmt.Sprintf("org_new%d", f.next()), 100)))
	})
	f.same("ids", got, want)
}

// pages reads a list to its end in parts, with an insert of something newer after each, and answers the ids that came.
func pages[T any](f *fixture, limit int, list func(gateway.Page) ([]T, string, error), id func(T) string, insert func()) (got []string) {
	f.Helper()
	page := gateway.Page{Limit: limit}
	for range 20 {
		part, next, err := list(page)
		f.ok(err)
		if len(part) > limit {
			f.Fatalf("got %d of a list, want at most %d", len(part), limit)
		}
		for _, v := range part {
			got = append(got, id(v))
		}
		if next == "" {
			return got
		}
		page.After = next
		insert()
	}
	f.Fatal("the list has no end")
	return nil
}

func accounts(f *fixture) {
	put := func(list ...gateway.Account) { f.Helper(); f.ok(f.PutAccounts(f.ctx, list)) }
	put(gateway.Account{Organisation: acme, ID: "acc_1", Name: "One", LastEventAt: at(5), KnownSince: at(2)},
		gateway.Account{Organisation: acme, ID: "acc_2", LastEventAt: at(1), KnownSince: at(1)},
		gateway.Account{Organisation: other, ID: "acc_1", Name: "Other's", KnownSince: at(3)})
	put(gateway.Account{Organisation: acme, ID: "acc_1", LastEventAt: at(3), KnownSince: at(9)}, // an empty name and an earlier time change nothing
		gateway.Account{Organisation: acme, ID: "acc_2", Name: "Two", LastEventAt: at(9)})
	want := []gateway.Account{{Organisation: acme, ID: "acc_1", Name: "One", LastEventAt: at(5), KnownSince: at(2)},
		{Organisation: acme, ID: "acc_2", Name: "Two", LastEventAt: at(9), KnownSince: at(1)}}
	all, next, err := f.ListAccounts(f.ctx, gateway.Only(acme), gateway.Page{Limit: 10})
	f.ok(err)
	f.same("all", all, want)
	f.same("next", next, "")
	both, _, err := f.ListAccounts(f.ctx, gateway.Everyone(), gateway.Page{Limit: 1})
	f.ok(err)
	f.same("everyone's newest", both, []gateway.Account{{Organisation: other, ID: "acc_1", Name: "Other's", KnownSince: at(3)}})
	some, err := f.Accounts(f.ctx, acme, []string{"acc_2", "acc_unknown"})
	f.ok(err)
	f.same("some", some, want[1:])
	none, err := f.Accounts(f.ctx, acme, []string{})
	f.ok(err)
	f.same("none", none, []gateway.Account{})
}

func accountPages(f *fixture) {
	var want []string
	for i := range 5 {
		id := fmt.Sprintf("acc_%d", i)
		want = append(want, id)
		f.ok(f.PutAccounts(f.ctx, []gateway.Account{{Organisation: acme, ID: id, KnownSince: at(i / 2)}}))
	}
	slices.Reverse(want)
	got := pages(f, 2, func(page gateway.Page) ([]gateway.Account, string, error) {
		return f.ListAccounts(f.ctx, gateway.Only(acme), page)
	}, func(a gateway.Account) string { return a.ID }, func() {})
	f.same("ids", got, want)
}

// fill gives an organisation one of each kind of record.
func (f *fixture) fill(id string) (gateway.Event, gateway.Delivery) {
	f.Helper()
	f.ok(f.InsertOrganisation(f.ctx, organisation(id, 0)))
	f.ok(f.PutAccounts(f.ctx, []gateway.Account{{Organisation: id, ID: "acc_1"}}))
	f.ok(f.InsertKey(f.ctx, gateway.Key{ID: "key_" + id, Kind: gateway.KindOrganisation, Organisation: id, CreatedAt: at(0)}))
	f.ok(f.InsertWebhook(f.ctx, webhook(id, "wh_"+id)))
	f.ok(f.InsertReplay(f.ctx, gateway.Replay{ID: "rpl_" + id, Organisation: id, Webhook: "wh_" + id, Status: gateway.ReplayRunning, Running: "wh_" + id}))
	f.ok(f.InsertJob(f.ctx, gateway.Job{ID: "job_replay_" + id, Kind: gateway.JobReplay, Organisation: id, TurnAt: at(1)}))
	f.ok(f.InsertJob(f.ctx, gateway.Job{ID: "job_erase_" + id, Kind: gateway.JobErase, Organisation: id, Ref: id, TurnAt: at(1)}))
	f.ok(f.PutShapes(f.ctx, []gateway.Shape{{ID: "shape_" + id, Payload: "unified", Webhook: []byte(`{}`), Organisation: id}}))
	_, err := f.SwapEndpoints(f.ctx, []gateway.EndpointState{{ID: "ep_" + id, Organisation: id, InLane: true}})
	f.ok(err)
	_, err = f.AppendAudit(f.ctx, gateway.AuditEntry{ID: "aud_" + id, Organisation: id, At: at(1)})
	f.ok(err)
	e, d := f.accept(id, 0, "ep_"+id, "ep_b_"+id)
	f.ok(f.Record(f.ctx, []gateway.Result{retried(d[0], 1)}))
	return e, d[0]
}

// left are the kinds of records that an organisation still has.
func (f *fixture) left(id string, e gateway.Event, d gateway.Delivery) (kinds []string) {
	f.Helper()
	scope := gateway.Only(id)
	note := func(kind string, err error) {
		if err == nil {
			kinds = append(kinds, kind)
		} else {
			f.is(err, gateway.ErrNotFound)
		}
	}
	some := func(kind string, n int, err error) {
		f.ok(err)
		if n > 0 {
			kinds = append(kinds, kind)
		}
	}
	_, err := f.Organisation(f.ctx, id)
	note("organisation", err)
	_, err = f.Key(f.ctx, "key_"+id)
	note("key", err)
	_, err = f.Webhook(f.ctx, scope, "wh_"+id)
	note("webhook", err)
	_, err = f.Replay(f.ctx, scope, "rpl_"+id)
	note("replay", err)
	_, err = f.Job(f.ctx, "job_replay_"+id)
	note("job", err)
	_, err = f.Job(f.ctx, "job_erase_"+id)
	note("erase job", err)
	_, err = f.Event(f.ctx, scope, e.ID)
	note("event", err)
	_, err = f.Delivery(f.ctx, scope, d.ID)
	note("delivery", err)
	a, _, err := f.ListAccounts(f.ctx, gateway.Only(id), gateway.Page{Limit: 10})
	some("accounts", len(a), err)
	l, err := f.Lanes(f.ctx, id)
	some("endpoints", len(l), err)
	s, err := f.Shapes(f.ctx, []string{"shape_" + id})
	some("shapes", len(s), err)
	u, _, err := f.ListAudit(f.ctx, scope, gateway.AuditFilter{}, gateway.Page{Limit: 10})
	some("audit", len(u), err)
	return kinds
}

func eraseOrganisation(f *fixture) {
	e, d := f.fill(acme)
	e2, d2 := f.fill(other)
	all := f.left(other, e2, d2)
	steps, done := 0, false
	for ; !done && steps < 50; steps++ {
		var err error
		done, err = f.EraseOrganisation(f.ctx, acme, 2)
		f.ok(err)
	}
	if !done || steps < 4 {
		f.Errorf("done is %t after %d steps of at most 2 of 11 records", done, steps)
	}
	f.same("left", f.left(acme, e, d), []string{"erase job", "audit"})
	f.same("due", slices.Contains(ids(f.due(at(9999), at(9999), 10)), d.ID), false)
	f.same("another organisation's", f.left(other, e2, d2), all)
	f.same("another organisation's attempts", len(f.stored(d2.ID).Attempts), 1)
}

func eraseNothing(f *fixture) {
	done, err := f.EraseOrganisation(f.ctx, acme, 10)
	f.ok(err)
	f.same("done", done, true)
}
