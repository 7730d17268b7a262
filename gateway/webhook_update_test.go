package gateway_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/unihook/unihook/gateway"
)

func TestUpdateWebhook_MergesAndRaisesTheRevision(t *testing.T) {
	b := openBench(t)
	a := b.organisation(t, "org_a")
	w := b.create(t, a, func(in *gateway.WebhookInput) {
		in.Description, in.TimeoutSeconds = gateway.Given("d"), gateway.Given(5)
		in.Retry = gateway.Given(gateway.RetryInput{Schedule: gateway.Given("custom"), Delays: gateway.Given([]string{}), Gone: gateway.Given("retry")})
		in.Quarantine = gateway.Given(gateway.QuarantineInput{After: gateway.Given(0), For: gateway.Given("5m")})
		in.RateLimit = gateway.Given(2.5)
	})
	if w.Retry.Delays == nil || len(w.Retry.Delays) != 0 {
		t.Errorf("no delays: got %v", w.Retry.Delays)
	}
	b.clock.move(time.Second)
	got := b.mustPatch(t, a, w.ID, gateway.WebhookInput{})
	want := w
	want.Revision, want.UpdatedAt, want.Signing.Secret = 2, gateway.At(b.clock.now()), ""
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("an empty PATCH (-want +got):\n%s", diff)
	}
	got = b.mustPatch(t, a, w.ID, gateway.WebhookInput{
		Description: null[string](), TimeoutSeconds: null[int](), RateLimit: null[float64](), Name: null[string](),
		Retry:      gateway.Given(gateway.RetryInput{Schedule: gateway.Given("unidy")}),
		Quarantine: gateway.Given(gateway.QuarantineInput{After: gateway.Given(3)}),
	})
	want.Revision, want.Description, want.TimeoutSeconds, want.RateLimit = 3, "", 30, nil
	want.Retry = gateway.Retry{Schedule: "unidy", Gone: "retry"}
	want.Quarantine = gateway.Quarantine{After: 3, For: "5m"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("nulls and nested fields (-want +got):\n%s", diff)
	}
	_, err := b.patch(t, a, w.ID, gateway.WebhookInput{
		Endpoints: null[[]gateway.EndpointInput](), Events: null[[]gateway.SelectionInput](),
		Retry: gateway.Given(gateway.RetryInput{Schedule: gateway.Given("custom")}),
	})
	if diff := cmp.Diff([]string{"/endpoints required", "/events required", "/retry/delays delays_missing"}, codes(err)); diff != "" {
		t.Errorf("nulls of required ones (-want +got):\n%s", diff)
	}
}

func TestUpdateWebhook_IfMatch(t *testing.T) {
	b := openBench(t)
	a := b.organisation(t, "org_a")
	w := b.create(t, a)
	first, err := b.FindWebhook(t.Context(), a, w.ID)
	if err != nil {
		t.Fatal(err)
	}
	one := int64(1)
	if _, err := b.UpdateWebhook(t.Context(), a, first, body(gateway.WebhookInput{}), &one); err != nil {
		t.Fatal(err)
	}
	// The second caller read revision 1 too: its If-Match held when it read, and does no more when it writes.
	if _, err := b.UpdateWebhook(t.Context(), a, first, body(gateway.WebhookInput{}), &one); !gateway.IsKind(err, gateway.Stale) {
		t.Errorf("got %v, want stale", err)
	}
	last, err := b.UpdateWebhook(t.Context(), a, first, body(gateway.WebhookInput{Name: gateway.Given("last")}), nil)
	if err != nil || last.Revision != 3 || last.Name != "last" {
		t.Errorf("without If-Match: got %+v, %v", last, err)
	}
	list, _, err := b.ListAudit(t.Context(), a, gateway.Only("org_a"), gateway.AuditFilter{Object: w.ID}, gateway.Page{Limit: 10})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range list {
		text := e.Action
		if !e.Applied {
			text += " not applied"
		}
		got = append(got, text)
	}
	want := []string{
		"webhook.updated",                                  // revision 3
		"audit.not_applied", "webhook.updated not applied", // its first try, on revision 1
		"audit.not_applied", "webhook.updated not applied", // the one that is stale
		"webhook.updated", "webhook.created",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("audit (-want +got):\n%s", diff)
	}
}

// Without If-Match the last one wins, however many there are, and each makes a revision of its own.
func TestUpdateWebhook_ManyAtOnceAllEnd(t *testing.T) {
	const many = 48
	b := openBench(t)
	a := b.organisation(t, "org_a")
	w := mustFind(t, b, a, b.create(t, a).ID)
	for _, err := range atOnce(many, func(i int) error {
		_, err := b.UpdateWebhook(t.Context(), a, w, body(gateway.WebhookInput{TimeoutSeconds: gateway.Given(1 + i)}), nil)
		return err
	}) {
		if err != nil {
			t.Error(err)
		}
	}
	w = mustFind(t, b, a, w.ID)
	if w.Revision != 1+many {
		t.Errorf("revision %d after %d saves", w.Revision, many)
	}
	won := 0
	for _, err := range atOnce(many, func(int) error {
		_, err := b.UpdateWebhook(t.Context(), a, w, body(gateway.WebhookInput{}), &w.Revision)
		return err
	}) {
		if err == nil {
			won++
		}
	}
	if won != 1 {
		t.Errorf("%d of those that named one revision were taken, want 1", won)
	}
}

func TestUpdateWebhook_Endpoints(t *testing.T) {
	b := openBench(t)
	a := b.organisation(t, "org_a")
	w := b.create(t, a, func(in *gateway.WebhookInput) {
		in.Endpoints = endpoints("https://a.example.com/1", "https://b.example.com/1", "https://c.example.com/1")
	})
	ids := []string{w.Endpoints[0].ID, w.Endpoints[1].ID, w.Endpoints[2].ID}
	got := b.mustPatch(t, a, w.ID, gateway.WebhookInput{Endpoints: gateway.Given([]gateway.EndpointInput{
		{URL: gateway.Given("https://b.example.com/1"), Description: gateway.Given("by its URL")},
		{ID: gateway.Given(ids[0]), URL: gateway.Given("https://a.example.com/2")},
		{URL: gateway.Given("https://new.example.com/")},
		{URL: gateway.Given("https://b.example.com/1")}, // a second one of the same URL is a new one
	})})
	urls := []string{}
	for _, e := range got.Endpoints {
		urls = append(urls, e.URL)
	}
	if diff := cmp.Diff([]string{"https://b.example.com/1", "https://a.example.com/2", "https://new.example.com/", "https://b.example.com/1"}, urls); diff != "" {
		t.Error(diff)
	}
	if got.Endpoints[0].ID != ids[1] || got.Endpoints[1].ID != ids[0] || slices.Contains(ids, got.Endpoints[2].ID) || slices.Contains(ids, got.Endpoints[3].ID) {
		t.Errorf("ids: got %+v, old %v", got.Endpoints, ids)
	}
	_, err := b.patch(t, a, w.ID, gateway.WebhookInput{Endpoints: gateway.Given([]gateway.EndpointInput{
		{ID: gateway.Given(ids[0])}, {ID: gateway.Given(ids[0])}, {ID: gateway.Given(ids[2]), URL: gateway.Given("https://c.example.com/1")}, {},
	})})
	want := []string{"/endpoints/1/id endpoint_repeated", "/endpoints/2/id endpoint_unknown", "/endpoints/1/url required", "/endpoints/3/url required"}
	if diff := cmp.Diff(want, codes(err)); diff != "" {
		t.Errorf("faults (-want +got):\n%s", diff)
	}
}

func TestUpdateWebhook_SecretsNeverGoToANewPlaceByThoseWhoCannotReadThem(t *testing.T) {
	b := openBench(t)
	a := b.organisation(t, "org_a")
	secret, open := gateway.HeaderInput{Name: gateway.Given("authorization")}, gateway.HeaderInput{Name: gateway.Given("X-Open")}
	again := gateway.HeaderInput{Name: gateway.Given("Authorization"), Value: gateway.Given("Bearer other")}
	bare := gateway.HeaderInput{Name: gateway.Given("Authorization"), Secret: gateway.Given(false)}
	for _, c := range []struct {
		name    string
		url     string
		headers []gateway.HeaderInput
		want    []string
	}{
		{"another path", "https://hook.example.com/other", nil, nil},
		{"the same place in another spelling", "https://HOOK.example.com:443/other", nil, nil},
		{"another host, headers left alone", "https://evil.example.com/", nil, []string{"/headers header_value_required"}},
		{"another port, headers kept by name", "https://hook.example.com:8443/", []gateway.HeaderInput{open, secret}, []string{"/headers/1/value header_value_required"}},
		{"another host, the value given again", "https://evil.example.com/", []gateway.HeaderInput{again}, nil},
		{"another host, the header left out", "https://evil.example.com/", []gateway.HeaderInput{open}, nil},
		{"the same place, made readable without the value", "", []gateway.HeaderInput{bare}, []string{"/headers/0/value header_value_required"}},
		{"kept by name in another case", "", []gateway.HeaderInput{secret, open}, nil},
		{"a new one without a value", "", []gateway.HeaderInput{{Name: gateway.Given("X-New")}}, []string{"/headers/0/value header_value_missing"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := b.create(t, a, func(in *gateway.WebhookInput) {
				in.Headers = gateway.Given([]gateway.HeaderInput{
					{Name: gateway.Given("Authorization"), Value: gateway.Given("Bearer s3cret")},
					{Name: gateway.Given("X-Open"), Value: gateway.Given("v"), Secret: gateway.Given(false)},
				})
			})
			in := gateway.WebhookInput{}
			if c.url != "" {
				in.Endpoints = gateway.Given([]gateway.EndpointInput{{ID: gateway.Given(w.Endpoints[0].ID), URL: gateway.Given(c.url)}})
			}
			if c.headers != nil {
				in.Headers = gateway.Given(c.headers)
			}
			_, err := b.patch(t, a, w.ID, in)
			if diff := cmp.Diff(c.want, codes(err)); diff != "" || err != nil && c.want == nil {
				t.Fatalf("%v, faults (-want +got):\n%s", err, diff)
			}
			after, err := b.FindWebhook(t.Context(), a, w.ID)
			if err != nil {
				t.Fatal(err)
			}
			for _, h := range after.Headers {
				if strings.EqualFold(h.Name, "authorization") && (!h.Secret || h.Value != "Bearer s3cret" && h.Value != "Bearer other") {
					t.Errorf("got %+v", h)
				}
				if h.Name == "X-Open" && (h.Secret || h.Value != "v") {
					t.Errorf("got %+v", h)
				}
			}
		})
	}
}

func TestUpdateWebhook_WhatWasReadCanBeSentBack(t *testing.T) {
	b := openBench(t)
	a := b.organisation(t, "org_a")
	w := b.create(t, a)
	same := gateway.SigningInput{Scheme: gateway.Given("standard"), Secret: gateway.Given(w.Signing.Secret)}
	b.mustPatch(t, a, w.ID, gateway.WebhookInput{Organisation: gateway.Given("org_a"), Signing: gateway.Given(same)})
	other := gateway.SigningInput{Secret: gateway.Given("whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX")}
	_, err := b.patch(t, a, w.ID, gateway.WebhookInput{Signing: gateway.Given(other)})
	if diff := cmp.Diff([]string{"/signing/secret secret_by_rotation"}, codes(err)); diff != "" {
		t.Error(diff)
	}
	if _, err := b.patch(t, a, w.ID, gateway.WebhookInput{Organisation: gateway.Given("org_b")}); !gateway.IsKind(err, gateway.NotFound) {
		t.Errorf("another's organisation: got %v", err)
	}
}

// Whoever gives a selection an empty mapping reads an empty mapping, and nobody else does.
func TestSelection_AnEmptyMappingIsShownAsItWasGiven(t *testing.T) {
	b := openBench(t)
	a := b.organisation(t, "org_a")
	w := b.create(t, a, func(in *gateway.WebhookInput) {
		in.Events = gateway.Given([]gateway.SelectionInput{
			{Product: gateway.Given("payments"), Type: gateway.Given("paiement.success"), Mapping: rules(`[]`)},
			{Product: gateway.Given("sms"), Type: gateway.Given("*")},
		})
	})
	const want = `[{"product":"payments","type":"paiement.success","mapping":[]},{"product":"sms","type":"*"}]`
	for _, shown := range []gateway.Webhook{w, b.mustPatch(t, a, w.ID, gateway.WebhookInput{})} {
		if got, err := json.Marshal(shown.Events); err != nil || string(got) != want {
			t.Errorf("got %s, %v, want %s", got, err, want)
		}
	}
}

func TestHeader_AnEmptyValueIsShownUnlessSecret(t *testing.T) {
	got, err := json.Marshal([]gateway.Header{{Name: "X-A"}, {Name: "X-B", Value: "v"}, {Name: "X-C", ValueHint: "...", Secret: true}})
	want := `[{"name":"X-A","value":"","secret":false},{"name":"X-B","value":"v","secret":false},{"name":"X-C","valueHint":"...","secret":true}]`
	if err != nil || string(got) != want {
		t.Errorf("got  %s, %v\nwant %s", got, err, want)
	}
}

func TestUpdateWebhook_ChangeOfSchemeMakesANewSecret(t *testing.T) {
	b := openBench(t)
	a := b.organisation(t, "org_a")
	w := b.create(t, a, func(in *gateway.WebhookInput) {
		in.Signing = gateway.Given(gateway.SigningInput{Scheme: gateway.Given("unisoft"), Header: gateway.Given("X-Sig")})
	})
	scheme := func(name string) gateway.WebhookInput {
		return gateway.WebhookInput{Signing: gateway.Given(gateway.SigningInput{Scheme: gateway.Given(name)})}
	}
	got := b.mustPatch(t, a, w.ID, scheme("unipile"))
	if got.Signing.Secret == "" || got.Signing.Secret == w.Signing.Secret || got.Signing.Header != "X-Sig" {
		t.Errorf("unipile: got %+v", got.Signing)
	}
	got = b.mustPatch(t, a, w.ID, scheme("standard"))
	if !strings.HasPrefix(got.Signing.Secret, "whsec_") || got.Signing.Header != "" {
		t.Errorf("standard: got %+v", got.Signing)
	}
	if got = b.mustPatch(t, a, w.ID, scheme("standard")); got.Signing.Secret != "" {
		t.Error("the same scheme shows the secret again")
	}
}

func TestUpdateWebhook_MappingAgainstSelectionsThatStay(t *testing.T) {
	b := openBench(t)
	a := b.organisation(t, "org_a")
	w := b.create(t, a, func(in *gateway.WebhookInput) {
		in.Events.Value[0].Mapping = rules(`[{"op":"rename","path":"data.a","to":"b"}]`)
	})
	_, err := b.patch(t, a, w.ID, gateway.WebhookInput{Mapping: rules(`[{"op":"remove","path":"data.a"}]`)})
	if diff := cmp.Diff([]string{"/mapping conflict"}, codes(err)); diff != "" {
		t.Error(diff)
	}
}

// health stores a state for an endpoint of w and answers it.
func (b *bench) health(t *testing.T, w gateway.Webhook, i int, edit func(*gateway.EndpointState)) {
	t.Helper()
	s := gateway.EndpointState{ID: w.Endpoints[i].ID, Organisation: w.Organisation, Webhook: w.ID}
	states, err := b.store.EndpointStates(t.Context(), []string{s.ID})
	if err != nil {
		t.Fatal(err)
	}
	if len(states) == 1 {
		s = states[0]
	}
	edit(&s)
	if stale, err := b.store.SwapEndpoints(t.Context(), []gateway.EndpointState{s}); err != nil || len(stale) > 0 {
		t.Fatal(stale, err)
	}
}

func TestUpdateWebhook_ASaveEndsQuarantineOnceAMinute(t *testing.T) {
	b := openBench(t)
	a := b.organisation(t, "org_a")
	w := b.create(t, a, func(in *gateway.WebhookInput) {
		in.Endpoints = endpoints("https://a.example.com/", "https://b.example.com/")
	})
	now := gateway.At(b.clock.now())
	sick := func(s *gateway.EndpointState) {
		s.ConsecutiveFailures, s.QuarantinedSince, s.QuarantinedUntil, s.Cooldown = 12, now, now.Add(time.Hour), time.Hour
		s.InLane, s.TurnAt = true, now.Add(time.Hour)
		s.LastFailure = &gateway.LastFailure{At: now, Failure: "timeout"}
	}
	b.health(t, w, 0, sick)
	b.health(t, w, 1, func(s *gateway.EndpointState) { s.GoneAt = now })
	statuses := func(w gateway.Webhook) []gateway.HealthStatus {
		return []gateway.HealthStatus{w.Endpoints[0].Health.Status, w.Endpoints[1].Health.Status}
	}
	got := b.mustPatch(t, a, w.ID, gateway.WebhookInput{})
	if diff := cmp.Diff([]gateway.HealthStatus{gateway.Healthy, gateway.Healthy}, statuses(got)); diff != "" {
		t.Error(diff)
	}
	if got.Endpoints[0].Health.LastFailure == nil {
		t.Error("the last failure is forgotten")
	}
	if diff := cmp.Diff([]string{w.Endpoints[0].ID}, b.queue.lanes); diff != "" {
		t.Errorf("lanes woken (-want +got):\n%s", diff)
	}
	states, err := b.store.DueLanes(t.Context(), now, 10)
	if err != nil || len(states) != 1 {
		t.Errorf("due lanes: got %v, %v", states, err)
	}
	b.health(t, w, 0, sick)
	b.clock.move(59 * time.Second)
	if got := b.mustPatch(t, a, w.ID, gateway.WebhookInput{}); got.Endpoints[0].Health.Status != gateway.Quarantined {
		t.Errorf("within the minute: got %v", got.Endpoints[0].Health)
	}
	b.clock.move(time.Second)
	if got := b.mustPatch(t, a, w.ID, gateway.WebhookInput{}); got.Endpoints[0].Health.Status != gateway.Healthy {
		t.Errorf("after it: got %v", got.Endpoints[0].Health)
	}
	b.queue.lanes = nil
	b.mustPatch(t, a, w.ID, gateway.WebhookInput{Status: gateway.Given("active")})
	if diff := cmp.Diff([]string{w.Endpoints[0].ID}, b.queue.lanes); diff != "" {
		t.Errorf("made active, lanes woken (-want +got):\n%s", diff)
	}
}

func TestUpdateWebhook_ASaveOpensAWebhookThatWasGone(t *testing.T) {
	b := openBench(t)
	a := b.organisation(t, "org_a")
	w := b.create(t, a, func(in *gateway.WebhookInput) { in.Status = gateway.Given("active") })
	gone := func(w gateway.Webhook) {
		t.Helper()
		b.health(t, w, 0, func(s *gateway.EndpointState) { s.GoneAt = gateway.At(b.clock.now()) })
		if err := b.CloseWebhook(t.Context(), w.ID); err != nil {
			t.Fatal(err)
		}
	}
	is := func(in gateway.WebhookInput, status gateway.WebhookStatus, reason string) gateway.Webhook {
		t.Helper()
		got := b.mustPatch(t, a, w.ID, in)
		if got.Status != status || got.StatusReason != reason {
			t.Errorf("got %s %q, want %s %q", got.Status, got.StatusReason, status, reason)
		}
		return got
	}
	gone(w)
	is(gateway.WebhookInput{}, gateway.Active, "")
	gone(w)
	is(gateway.WebhookInput{}, gateway.Inactive, "gone") // a save ends gone once a minute
	w = is(gateway.WebhookInput{Endpoints: endpoints("https://b.example.com/")}, gateway.Active, "")
	gone(w)
	b.clock.move(time.Minute)
	is(gateway.WebhookInput{Status: gateway.Given("inactive")}, gateway.Inactive, "")
	b.clock.move(time.Minute)
	is(gateway.WebhookInput{}, gateway.Inactive, "")
}

// waiting stores a pending delivery for an endpoint of w.
func (b *bench) waiting(t *testing.T, w gateway.Webhook, i int) string {
	t.Helper()
	now := gateway.At(b.clock.now())
	b.clock.move(time.Millisecond)
	d := gateway.Delivery{
		ID: gateway.DeliveryID(now, w.Organisation, "evt_1", w.Endpoints[i].ID, ""), Event: "evt_1", Organisation: w.Organisation,
		Webhook: w.ID, Endpoint: w.Endpoints[i].ID, WebhookRevision: w.Revision, Product: "payments", Type: "paiement.success",
		Status: gateway.Pending, Reason: gateway.Scheduled, CreatedAt: now, NextAttemptAt: now, Order: "0000000000000000" + "0000",
		Place: gateway.Place{LookAt: now.Add(time.Hour)},
	}
	if err := b.store.InsertDeliveries(t.Context(), []gateway.Delivery{d}); err != nil {
		t.Fatal(err)
	}
	return d.ID
}

func (b *bench) reason(t *testing.T, id string) gateway.Reason {
	t.Helper()
	d, err := b.store.Delivery(t.Context(), gateway.Everyone(), id)
	if err != nil {
		t.Fatal(err)
	}
	return d.Reason
}

func TestLeavingOutAnEndpointAndDeleting_CancelWhatWaits(t *testing.T) {
	b := openBench(t)
	a := b.organisation(t, "org_a")
	w := b.create(t, a, func(in *gateway.WebhookInput) {
		in.Endpoints = endpoints("https://a.example.com/s3cret", "https://b.example.com/")
		in.Headers = gateway.Given([]gateway.HeaderInput{{Name: gateway.Given("X-Key"), Value: gateway.Given("s3cret value")}})
	})
	first, second := b.waiting(t, w, 0), b.waiting(t, w, 1)
	b.mustPatch(t, a, w.ID, gateway.WebhookInput{Endpoints: endpoints("https://a.example.com/s3cret")})
	if got := b.reason(t, second); got != gateway.EndpointRemoved {
		t.Errorf("of the endpoint left out: got %q", got)
	}
	if got := b.reason(t, first); got != gateway.Scheduled {
		t.Errorf("of the endpoint that stays: got %q", got)
	}
	open, err := b.FindWebhook(t.Context(), a, w.ID)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.DeleteWebhook(t.Context(), a, open); err != nil {
		t.Fatal(err)
	}
	if got := b.reason(t, first); got != gateway.WebhookDeleted {
		t.Errorf("of the deleted webhook: got %q", got)
	}
	if _, err := b.FindWebhook(t.Context(), a, w.ID); !gateway.IsKind(err, gateway.NotFound) {
		t.Errorf("found after its deletion: %v", err)
	}
	if err := b.DeleteWebhook(t.Context(), a, open); !gateway.IsKind(err, gateway.NotFound) {
		t.Errorf("deleted twice: %v", err)
	}
	stored, err := b.store.Webhook(t.Context(), gateway.Only("org_a"), w.ID)
	if err != nil {
		t.Fatal(err)
	}
	if stored.DeletedAt == 0 || len(stored.Sealed.URLs)+len(stored.Sealed.Headers)+len(stored.Sealed.Secret) > 0 || stored.Endpoints[0].URL != "https://a.example.com" {
		t.Errorf("the tombstone: got %+v", stored)
	}
	if has, err := b.store.HasSealed(t.Context()); err != nil || has {
		t.Errorf("sealed values stay: %v, %v", has, err)
	}
}

func TestFindWebhook_AnothersIsNotFound(t *testing.T) {
	b := openBench(t)
	a, other := b.organisation(t, "org_a"), b.organisation(t, "org_b")
	w := b.create(t, a)
	if _, err := b.FindWebhook(t.Context(), other, w.ID); !gateway.IsKind(err, gateway.NotFound) {
		t.Errorf("another's: got %v", err)
	}
	if _, err := b.FindWebhook(t.Context(), operator, w.ID); err != nil {
		t.Errorf("the operator: got %v", err)
	}
	if _, err := b.FindWebhook(t.Context(), gateway.Actor{Kind: gateway.KindPortal}, w.ID); !gateway.IsKind(err, gateway.Forbidden) {
		t.Errorf("a portal's key: got %v", err)
	}
}

func TestUpdateWebhook_AuditHasNoSecretAndNoPath(t *testing.T) {
	b := openBench(t)
	a := b.organisation(t, "org_a")
	w := b.create(t, a, func(in *gateway.WebhookInput) {
		in.Headers = gateway.Given([]gateway.HeaderInput{{Name: gateway.Given("Authorization"), Value: gateway.Given("Bearer s3cret")}})
	})
	a.User, a.Address = "jane", "198.51.100.7"
	b.mustPatch(t, a, w.ID, gateway.WebhookInput{
		Name: gateway.Given("n"), Endpoints: gateway.Given([]gateway.EndpointInput{{ID: gateway.Given(w.Endpoints[0].ID), URL: gateway.Given("https://hook.example.com/s3cret")}}),
		Headers: gateway.Given([]gateway.HeaderInput{{Name: gateway.Given("Authorization"), Value: gateway.Given("Bearer t0ken")}}),
	})
	list, _, err := b.ListAudit(t.Context(), a, gateway.Only("org_a"), gateway.AuditFilter{Object: w.ID}, gateway.Page{Limit: 10})
	if err != nil || len(list) != 2 {
		t.Fatal(list, err)
	}
	text := map[string]string{}
	for _, e := range list {
		for _, change := range e.Changes {
			line := string(change.Before) + " -> " + string(change.After)
			if e.Action == "webhook.updated" {
				text[change.Field] = line
			}
			for _, secret := range []string{"s3cret", "t0ken", "/abc", w.Signing.Secret} {
				if strings.Contains(line, secret) {
					t.Errorf("%s has %q in %s: %s", e.Action, secret, change.Field, line)
				}
			}
		}
	}
	id := w.Endpoints[0].ID
	want := map[string]string{
		"name":                        `"hook.example.com" -> "n"`,
		"headers.authorization.value": `"***" -> "*** (changed)"`,
		"endpoints": `[{"id":"` + id + `","origin":"https://hook.example.com","urlNumber":0,"description":""}] -> ` +
			`[{"id":"` + id + `","origin":"https://hook.example.com","urlNumber":1,"description":""}]`,
	}
	if diff := cmp.Diff(want, text); diff != "" {
		t.Errorf("changes (-want +got):\n%s", diff)
	}
	if e := list[0]; e.Actor != a.Key || e.User != "jane" || e.Address != "198.51.100.7" || e.Revision != 2 || !e.Applied || e.Number != 3 {
		t.Errorf("got %+v", e)
	}
}
