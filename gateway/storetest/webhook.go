package storetest

import (
	"encoding/json"
	"fmt"
	"strconv"
	"sync/atomic"

	"github.com/unihook/unihook/gateway"
	"github.com/unihook/unihook/mapping"
)

func webhookCases() []testCase {
	return []testCase{
		{"Webhook_IsKeptWhole", webhookKept},
		{"NoDelaysAndNoRules_AreNotEmptyOnes", webhookAbsent},
		{"OpenSecretsHealthAndWarnings_AreNotKept", webhookOpen},
		{"Lists_AreEmptyAndNotNil", webhookEmpty},
		{"Insert_OfATakenID", webhookTaken},
		{"AnotherOrganisations_IsNotFound", webhookScope},
		{"List_IsNewestFirstInStablePages", webhookList},
		{"Replace_OnlyTheRevisionThatWasRead", webhookReplace},
		{"Replace_OneOfManyWins", webhookConcurrently},
		{"Tombstones_AreInNoListCountOrRevision", webhookTombstone},
		{"EachWebhook_WalksAll", webhookEach},
		{"ReplaceSealed_ChangesTheCiphertextsAlone", webhookSealed},
	}
}

// webhook makes a sealed webhook that uses every field.
func webhook(organisation, id string) gateway.Webhook {
	rate := 2.5
	endpoint := "ep_of_" + id
	return gateway.Webhook{
		ID: id, Organisation: organisation, Revision: 1, Name: "Make <&> é", Description: "d", Status: gateway.Active, StatusReason: "gone",
		Endpoints: []gateway.Endpoint{{ID: endpoint, URL: "https://hook.example.com", Description: "first", URLNumber: 3},
			{ID: endpoint + "_2", URL: "https://two.example.com:8443", URLNumber: 1}},
		Events: []gateway.Selection{{Product: "payments", Type: "paiement.success", Mapping: []mapping.Rule{{Op: "remove", Path: "data.x"}}},
			{Product: "sms", Type: "*"}, {Product: "forms", Type: "*", Mapping: []mapping.Rule{}}},
		Accounts: []string{"acc_1"},
		Mapping: []mapping.Rule{{Op: "rename", Path: `data.a\.b`, To: "c"},
			{Op: "set", Path: "data.v", Value: json.RawMessage(`{"n":12345678901234567890,"n":1.0,"e":"\u00e9<&>"}`)}},
		Payload:    "unified",
		Headers:    []gateway.Header{{Name: "Authorization", ValueHint: "...cret", Secret: true}, {Name: "X-Open", Value: "a\tb"}},
		Signing:    gateway.Signing{Scheme: "standard", Header: "X-Sig", SecretHint: "...ab12", PublicKey: "whpk_x", PreviousUntil: at(60)},
		Retry:      gateway.Retry{Schedule: "custom", Delays: []string{"10s", "1m"}, Gone: "stop"},
		Quarantine: gateway.Quarantine{After: 10, For: "1m"}, TimeoutSeconds: 30, RateLimit: &rate, Ordered: true,
		CreatedAt: at(0), UpdatedAt: at(1),
		Sealed: gateway.Sealed{
			URLs:    map[string][]byte{endpoint + "/3": {0, 255, 1}, endpoint + "/2": {9}},
			Headers: map[string][]byte{"authorization": {1, 2, 3}, "x.dotted$name": {4}},
			Secret:  []byte{5, 0, 6}, Previous: []byte{7},
		},
	}
}

func webhookKept(f *fixture) {
	plain := webhook(acme, "wh_2")
	plain.RateLimit, plain.Sealed, plain.Signing.PreviousUntil = nil, gateway.Sealed{}, 0
	for _, want := range []gateway.Webhook{webhook(acme, "wh_1"), plain} {
		f.ok(f.InsertWebhook(f.ctx, want))
		got, err := f.Webhook(f.ctx, gateway.Only(acme), want.ID)
		f.ok(err)
		f.same("webhook", got, want)
		list, err := f.WebhooksByID(f.ctx, []string{want.ID, "wh_unknown"})
		f.ok(err)
		f.same("by id", list, []gateway.Webhook{want})
	}
}

// webhookAbsent holds a store to the difference between no list and an empty one, where it says something: what was
// read is sent back, and delays, empty ones too, belong to one schedule alone.
func webhookAbsent(f *fixture) {
	w := webhook(acme, "wh_3")
	w.Retry = gateway.Retry{Schedule: "custom", Delays: []string{}, Gone: "stop"}
	f.ok(f.InsertWebhook(f.ctx, w))
	one := webhook(acme, "wh_4")
	one.Retry = gateway.Retry{Schedule: "standard", Gone: "stop"}
	f.ok(f.InsertWebhook(f.ctx, one))
	for _, want := range []gateway.Webhook{w, one} {
		got, err := f.Webhook(f.ctx, gateway.Only(acme), want.ID)
		f.ok(err)
		f.same("no delays", got.Retry.Delays == nil, want.Retry.Delays == nil)
		for i, s := range want.Events {
			f.same("no rules of selection "+strconv.Itoa(i), got.Events[i].Mapping == nil, s.Mapping == nil)
		}
	}
}

func webhookOpen(f *fixture) {
	open := webhook(acme, "wh_1")
	open.Signing.Secret, open.Signing.PreviousSecret = "whsec_open", "whsec_before"
	open.Endpoints[0].Health = &gateway.Health{Status: gateway.Failing}
	open.Warnings = []gateway.Warning{{Code: "code", Detail: "detail"}}
	f.ok(f.InsertWebhook(f.ctx, open))
	got, err := f.Webhook(f.ctx, gateway.Only(acme), "wh_1")
	f.ok(err)
	f.same("webhook", got, webhook(acme, "wh_1"))
	f.same("the caller's own is left as it was", []any{open.Signing.Secret, open.Endpoints[0].Health.Status}, []any{"whsec_open", gateway.Failing})
}

func webhookEmpty(f *fixture) {
	f.ok(f.InsertWebhook(f.ctx, gateway.Webhook{ID: "wh_1", Organisation: acme, Revision: 1}))
	w, err := f.Webhook(f.ctx, gateway.Everyone(), "wh_1")
	f.ok(err)
	for name, empty := range map[string]bool{
		"endpoints": w.Endpoints != nil, "events": w.Events != nil, "accounts": w.Accounts != nil, "mapping": w.Mapping != nil, "headers": w.Headers != nil,
	} {
		if !empty {
			f.Errorf("%s is nil, want an empty list", name)
		}
	}
}

func webhookTaken(f *fixture) {
	f.ok(f.InsertWebhook(f.ctx, webhook(acme, "wh_1")))
	f.is(f.InsertWebhook(f.ctx, webhook(other, "wh_1")), gateway.ErrTaken)
}

func webhookScope(f *fixture) {
	f.ok(f.InsertWebhook(f.ctx, webhook(acme, "wh_1")))
	f.ok(f.InsertWebhook(f.ctx, webhook(other, "wh_2")))
	_, err := f.Webhook(f.ctx, gateway.Only(other), "wh_1")
	f.is(err, gateway.ErrNotFound)
	_, err = f.Webhook(f.ctx, gateway.Scope{}, "wh_1")
	f.is(err, gateway.ErrNotFound)
	_, err = f.Webhook(f.ctx, gateway.Everyone(), "wh_1")
	f.ok(err)
	stranger := webhook(other, "wh_1")
	stranger.Revision = 2
	f.is(f.ReplaceWebhook(f.ctx, stranger, 1), gateway.ErrStale)
	f.is(f.ReplaceSealed(f.ctx, stranger, 1), gateway.ErrStale)
	for scope, want := range map[gateway.Scope][]string{
		gateway.Only(acme): {"wh_1"}, gateway.Everyone(): {"wh_2", "wh_1"}, {}: {},
	} {
		list, _, err := f.ListWebhooks(f.ctx, scope, gateway.Page{Limit: 10})
		f.ok(err)
		f.same("list", webhookIDs(list), want)
	}
	n, err := f.CountWebhooks(f.ctx, acme)
	f.ok(err)
	f.same("count", n, 1)
	revisions, err := f.Revisions(f.ctx, other)
	f.ok(err)
	f.same("revisions", revisions, []gateway.Revision{{ID: "wh_2", Revision: 1}})
}

func webhookIDs(list []gateway.Webhook) []string {
	got := make([]string, 0, len(list))
	for _, w := range list {
		got = append(got, w.ID)
	}
	return got
}

func webhookList(f *fixture) {
	var want []string
	for i := range 5 {
		id := fmt.Sprintf("wh_%d", i)
		f.ok(f.InsertWebhook(f.ctx, webhook(acme, id)))
		want = append([]string{id}, want...)
	}
	f.ok(f.InsertWebhook(f.ctx, webhook(other, "wh_22")))
	got := pages(f, 2, func(page gateway.Page) ([]gateway.Webhook, string, error) {
		return f.ListWebhooks(f.ctx, gateway.Only(acme), page)
	}, func(w gateway.Webhook) string { return w.ID },
		func() { f.ok(f.InsertWebhook(f.ctx, webhook(acme, fmt.Sprintf("wh_new%d", f.next())))) })
	f.same("ids", got, want)
}

func webhookReplace(f *fixture) {
	w := webhook(acme, "wh_1")
	f.ok(f.InsertWebhook(f.ctx, w))
	w.Revision, w.Name, w.Mapping, w.Endpoints[0].URLNumber = 2, "second", nil, 4
	f.ok(f.ReplaceWebhook(f.ctx, w, 1))
	late := w
	late.Name = "late"
	f.is(f.ReplaceWebhook(f.ctx, late, 1), gateway.ErrStale)
	f.is(f.ReplaceWebhook(f.ctx, webhook(acme, "wh_unknown"), 1), gateway.ErrStale)
	got, err := f.Webhook(f.ctx, gateway.Only(acme), "wh_1")
	f.ok(err)
	f.same("webhook", got, w)
}

func webhookConcurrently(f *fixture) {
	f.ok(f.InsertWebhook(f.ctx, webhook(acme, "wh_1")))
	var won atomic.Int32
	together(10, func(i int) {
		w := webhook(acme, "wh_1")
		w.Revision, w.Name = 2, fmt.Sprintf("writer %d", i)
		err := f.ReplaceWebhook(f.ctx, w, 1)
		if err == nil {
			won.Add(1)
		} else {
			f.stale(err)
		}
	})
	f.same("winners", int(won.Load()), 1)
}

func webhookTombstone(f *fixture) {
	w := webhook(acme, "wh_1")
	f.ok(f.InsertWebhook(f.ctx, w))
	f.ok(f.InsertWebhook(f.ctx, webhook(acme, "wh_2")))
	w.DeletedAt, w.Revision, w.Sealed = at(9), 2, gateway.Sealed{}
	f.ok(f.ReplaceWebhook(f.ctx, w, 1))
	got, err := f.Webhook(f.ctx, gateway.Only(acme), "wh_1")
	f.ok(err)
	f.same("the tombstone", got, w)
	list, err := f.WebhooksByID(f.ctx, []string{"wh_1"})
	f.ok(err)
	f.same("the tombstone by id", list, []gateway.Webhook{w})
	alive, _, err := f.ListWebhooks(f.ctx, gateway.Everyone(), gateway.Page{Limit: 10})
	f.ok(err)
	f.same("list", webhookIDs(alive), []string{"wh_2"})
	n, err := f.CountWebhooks(f.ctx, acme)
	f.ok(err)
	f.same("count", n, 1)
	revisions, err := f.Revisions(f.ctx, acme)
	f.ok(err)
	f.same("revisions", revisions, []gateway.Revision{{ID: "wh_2", Revision: 1}})
}

func webhookEach(f *fixture) {
	dead := webhook(acme, "wh_2")
	dead.DeletedAt = at(5)
	for _, w := range []gateway.Webhook{webhook(other, "wh_3"), webhook(acme, "wh_1"), dead, webhook(acme, "wh_4")} {
		f.ok(f.InsertWebhook(f.ctx, w))
	}
	var got []string
	for after := ""; ; after = got[len(got)-1] {
		list, err := f.EachWebhook(f.ctx, after, 3)
		f.ok(err)
		if len(list) == 0 {
			break
		}
		got = append(got, webhookIDs(list)...)
	}
	f.same("ids", got, []string{"wh_1", "wh_2", "wh_3", "wh_4"})
}

func webhookSealed(f *fixture) {
	want := webhook(acme, "wh_1")
	f.ok(f.InsertWebhook(f.ctx, want))
	exchanged := webhook(acme, "wh_1")
	exchanged.Name = "not written"
	exchanged.Sealed = gateway.Sealed{URLs: map[string][]byte{"ep/1": {42}}, Secret: []byte{43}}
	f.is(f.ReplaceSealed(f.ctx, exchanged, 2), gateway.ErrStale)
	f.ok(f.ReplaceSealed(f.ctx, exchanged, 1))
	f.ok(f.ReplaceSealed(f.ctx, exchanged, 1)) // the revision is the same: repeating is harmless
	want.Sealed = exchanged.Sealed
	got, err := f.Webhook(f.ctx, gateway.Only(acme), "wh_1")
	f.ok(err)
	f.same("webhook", got, want)
}
