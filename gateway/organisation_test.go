package gateway_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/unihook/unihook/gateway"
)

func TestOrganisations(t *testing.T) {
	b := openBench(t)
	made, err := b.CreateOrganisation(t.Context(), operator, body(gateway.OrganisationInput{
		Name: gateway.Given("Acme"), Hosts: gateway.Given([]string{"*.Example.com", "hook.example.org"}),
	}))
	if err != nil {
		t.Fatal(err)
	}
	now := gateway.At(b.clock.now())
	want := gateway.Organisation{ID: made.ID, Name: "Acme", Hosts: []string{"*.example.com", "hook.example.org"}, Revision: 1, CreatedAt: now, UpdatedAt: now}
	if diff := cmp.Diff(want, made); diff != "" {
		t.Errorf("made (-want +got):\n%s", diff)
	}
	changed, err := b.UpdateOrganisation(t.Context(), operator, made, body(gateway.OrganisationInput{Hosts: null[[]string](), SecretReadable: gateway.Given(true)}))
	if err != nil {
		t.Fatal(err)
	}
	want.Hosts, want.SecretReadable, want.Revision = []string{}, true, 2
	if diff := cmp.Diff(want, changed); diff != "" {
		t.Errorf("changed (-want +got):\n%s", diff)
	}
	again := gateway.OrganisationInput{ID: gateway.Given(made.ID), Name: gateway.Given("Twin")}
	if _, err := b.CreateOrganisation(t.Context(), operator, body(again)); !gateway.IsKind(err, gateway.Conflict) {
		t.Errorf("an id that is taken: got %v", err)
	}
	_, err = b.CreateOrganisation(t.Context(), operator, body(gateway.OrganisationInput{ID: gateway.Given("a/b"), Name: null[string](), Hosts: gateway.Given([]string{"ok.example.com", "*", "https://x"})}))
	if diff := cmp.Diff([]string{"/name required", "/hosts/1 host_malformed", "/hosts/2 host_malformed", "/id id_character"}, codes(err)); diff != "" {
		t.Errorf("faults (-want +got):\n%s", diff)
	}
	customer := gateway.Actor{Kind: gateway.KindOrganisation, Organisation: made.ID}
	if _, err := b.FindOrganisation(t.Context(), customer, made.ID); !gateway.IsKind(err, gateway.Forbidden) {
		t.Errorf("its customer: got %v, want forbidden", err)
	}
	if err := b.DeleteOrganisation(t.Context(), operator, changed); err != nil {
		t.Fatal(err)
	}
	if _, err := b.FindOrganisation(t.Context(), operator, made.ID); !gateway.IsKind(err, gateway.NotFound) {
		t.Errorf("deleted: got %v", err)
	}
	scope, err := b.AuditScopeFor(t.Context(), operator, made.ID)
	if id, _ := scope.Organisation(); err != nil || id != made.ID {
		t.Errorf("the audit of a deleted one: got scope %q, %v", id, err)
	}
	if _, err := b.AuditScopeFor(t.Context(), operator, "org_never"); !gateway.IsKind(err, gateway.NotFound) {
		t.Errorf("the audit of one that never was: got %v", err)
	}
	b.clock.move(time.Minute)
	jobs, err := b.store.DueJobs(t.Context(), gateway.At(b.clock.now()), 10)
	if err != nil || len(jobs) != 1 || jobs[0].Kind != gateway.JobErase || jobs[0].Ref != made.ID {
		t.Errorf("jobs: got %+v, %v", jobs, err)
	}
}

func TestScopeFor(t *testing.T) {
	b := openBench(t)
	a := b.organisation(t, "org_a")
	for _, c := range []struct {
		name  string
		actor gateway.Actor
		named string
		want  string
	}{
		{"operator", operator, "", "everyone"},
		{"operator with a name", operator, "org_a", "org_a"},
		{"operator with an unknown name", operator, "org_x", "not_found"},
		{"customer", a, "", "org_a"},
		{"customer with its own name", a, "org_a", "org_a"},
		{"customer with another's", a, "org_b", "not_found"},
		{"a key of nobody", gateway.Actor{Kind: gateway.KindPublisher}, "", "forbidden"},
	} {
		t.Run(c.name, func(t *testing.T) {
			scope, err := b.ScopeFor(t.Context(), c.actor, c.named)
			got := "everyone"
			if refused := (*gateway.Error)(nil); errors.As(err, &refused) {
				got = string(refused.Kind)
			} else if id, bound := scope.Organisation(); bound {
				got = id
			}
			if got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}

func TestAccounts(t *testing.T) {
	b := openBench(t)
	a, page := b.organisation(t, "org_a"), gateway.Page{Limit: 10}
	w := b.create(t, a, func(in *gateway.WebhookInput) { in.Accounts = gateway.Given([]string{"acc_1", "acc_2", "acc_1"}) })
	if diff := cmp.Diff([]string{"acc_1", "acc_2"}, w.Accounts); diff != "" {
		t.Error(diff)
	}
	if len(w.Warnings) != 2 || w.Warnings[0].Pointer != "/accounts/0" {
		t.Errorf("warnings: got %+v", w.Warnings)
	}
	if _, err := b.PutAccount(t.Context(), a, "acc_1", body(gateway.AccountInput{Name: gateway.Given("One")})); err != nil {
		t.Fatal(err)
	}
	got, _, err := b.ListAccounts(t.Context(), operator, gateway.Everyone(), page)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]gateway.Account{{Organisation: "org_a", ID: "acc_1", Name: "One", KnownSince: gateway.At(b.clock.now())}}, got); diff != "" {
		t.Error(diff)
	}
	if w = b.mustPatch(t, a, w.ID, gateway.WebhookInput{}); len(w.Warnings) != 1 || w.Warnings[0].Pointer != "/accounts/1" {
		t.Errorf("warnings afterwards: got %+v", w.Warnings)
	}
	if _, err := b.PutAccount(t.Context(), operator, "acc_1", body(gateway.AccountInput{Name: gateway.Given("One")})); !cmp.Equal(codes(err), []string{"/organisation organisation_missing"}) {
		t.Errorf("the operator without a name: got %v", err)
	}
}

func TestAudit_EveryConcurrentSaveIsAppliedOnce(t *testing.T) {
	b := openBench(t)
	a := b.organisation(t, "org_a")
	w := b.create(t, a)
	const savers = 8
	var wait sync.WaitGroup
	for range savers {
		wait.Go(func() {
			if _, err := b.UpdateWebhook(t.Context(), a, w, body(gateway.WebhookInput{}), nil); err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	list, _, err := b.ListAudit(t.Context(), a, gateway.Only("org_a"), gateway.AuditFilter{Action: "webhook.updated"}, gateway.Page{Limit: 200})
	if err != nil {
		t.Fatal(err)
	}
	applied := map[int64]int{}
	for _, e := range list {
		if e.Applied {
			applied[e.Revision]++
		}
	}
	want := map[int64]int{}
	for i := range int64(savers) {
		want[i+2] = 1
	}
	if diff := cmp.Diff(want, applied); diff != "" {
		t.Errorf("applied entries by revision (-want +got):\n%s", diff)
	}
}

func TestAudit_AChangeThatNeverCameIsShownSo(t *testing.T) {
	b := openBench(t)
	a := b.organisation(t, "org_a")
	w := b.create(t, a)
	// What a process leaves that died between the entry and the change.
	entry := gateway.AuditEntry{ID: "aud_lost", Organisation: "org_a", At: gateway.At(b.clock.now()), Actor: "key_x", Action: "webhook.updated", Object: w.ID, Revision: 2}
	if _, err := b.store.AppendAudit(t.Context(), entry); err != nil {
		t.Fatal(err)
	}
	lost := func() bool {
		t.Helper()
		list, _, err := b.ListAudit(t.Context(), a, gateway.Only("org_a"), gateway.AuditFilter{Actor: "key_x"}, gateway.Page{Limit: 10})
		if err != nil || len(list) != 1 {
			t.Fatal(list, err)
		}
		return !list[0].Applied
	}
	if !lost() {
		t.Error("before the revision exists it is shown as applied")
	}
	b.mustPatch(t, a, w.ID, gateway.WebhookInput{})
	if !lost() {
		t.Error("after another change made the revision it is shown as applied")
	}
	for i := range 1100 {
		back := gateway.AuditEntry{ID: fmt.Sprintf("aud_%d", i), Organisation: "org_a", At: gateway.At(b.clock.now()), Action: gateway.ActionNotApplied, Object: "wh_x"}
		if _, err := b.store.AppendAudit(t.Context(), back); err != nil {
			t.Fatal(err)
		}
	}
	if !lost() {
		t.Error("after many others were taken back it is shown as applied")
	}
}

func TestAudit_WhatWasNeverMadeIsNotApplied(t *testing.T) {
	b := openBench(t)
	announce := func(id, action, object string, revision int64) {
		t.Helper()
		entry := gateway.AuditEntry{ID: id, Organisation: "org_a", At: gateway.At(b.clock.now()), Action: action, Object: object, Revision: revision}
		if _, err := b.store.AppendAudit(t.Context(), entry); err != nil {
			t.Fatal(err)
		}
		b.clock.move(time.Second)
	}
	announce("aud_0", "organisation.created", "org_a", 1)
	a := b.organisation(t, "org_a")
	announce("aud_1", "webhook.created", "wh_never", 1)
	announce("aud_2", "organisation.updated", "org_a", 2)
	applied := func() string {
		t.Helper()
		list, _, err := b.ListAudit(t.Context(), operator, gateway.Only("org_a"), gateway.AuditFilter{}, gateway.Page{Limit: 50})
		if err != nil {
			t.Fatal(err)
		}
		var text string
		for _, e := range slices.Backward(list) {
			if e.Action == gateway.ActionNotApplied {
				continue
			}
			text += map[bool]string{true: "+", false: "-"}[e.Applied] + e.Action + " "
		}
		return text
	}
	const first = "-organisation.created +organisation.created -webhook.created -organisation.updated "
	if got := applied(); got != first {
		t.Errorf("got  %s\nwant %s", got, first)
	}

	w := b.create(t, a)
	b.mustPatch(t, a, w.ID, gateway.WebhookInput{})
	b.clock.move(time.Second)
	if err := b.DeleteOrganisation(t.Context(), operator, gateway.Organisation{ID: "org_a"}); err != nil {
		t.Fatal(err)
	}
	if done, err := b.store.EraseOrganisation(t.Context(), "org_a", 1000); !done || err != nil {
		t.Fatal(done, err)
	}
	b.clock.move(time.Second)
	announce("aud_3", "organisation.created", "org_a", 1)
	erased := applied()
	b.organisation(t, "org_a")
	again := applied()
	const second = "+webhook.created +webhook.updated +organisation.deleted -organisation.created "
	if !strings.HasSuffix(erased, second) {
		t.Errorf("erased: got  %s\nwant %s at the end", erased, second)
	}
	if !strings.HasSuffix(again, second+"+organisation.created ") {
		t.Errorf("made again: got  %s\nwant %s+organisation.created at the end", again, second)
	}
}

func TestDeleteOrganisation_NothingOfItIsSeenOrAcceptedFromThenOn(t *testing.T) {
	b := openBench(t)
	owner := b.organisation(t, "org_a")
	w := b.create(t, owner, func(in *gateway.WebhookInput) { in.Status = gateway.Given("active") })
	b.clock.move(time.Second)
	b.publish(t, payment("evt_1", "org_a", `{}`))
	d := b.deliveries(t, gateway.DeliveryFilter{Webhook: w.ID})[0]
	if err := b.DeleteOrganisation(t.Context(), operator, gateway.Organisation{ID: "org_a"}); err != nil {
		t.Fatal(err)
	}
	_, webhook := b.FindWebhook(t.Context(), operator, w.ID)
	_, delivery := b.FindDelivery(t.Context(), operator, d.ID)
	_, event := b.FindEvent(t.Context(), operator, gateway.Everyone(), "evt_1")
	for what, err := range map[string]error{"webhook": webhook, "delivery": delivery, "event": event} {
		if !gateway.IsKind(err, gateway.NotFound) {
			t.Errorf("%s: got %v, want not found", what, err)
		}
	}
	if _, err := b.Publish(t.Context(), operator, body(payment("evt_2", "org_a", `{}`))); err == nil {
		t.Error("an event was accepted for it")
	}
}
