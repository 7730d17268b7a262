package gateway_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/unihook/unihook/gateway"
	"github.com/unihook/unihook/gateway/egress"
)

// webhookInput is a small valid webhook; change edits it.
func webhookInput(change ...func(*gateway.WebhookInput)) gateway.WebhookInput {
	in := gateway.WebhookInput{
		Endpoints: gateway.Given([]gateway.EndpointInput{{URL: gateway.Given("https://hook.example.com/abc?token=t0ken")}}),
		Events:    gateway.Given([]gateway.SelectionInput{{Product: gateway.Given("payments"), Type: gateway.Given("paiement.success")}}),
	}
	for _, edit := range change {
		edit(&in)
	}
	return in
}

func null[T any]() gateway.Optional[T] { return gateway.Optional[T]{Set: true, Null: true} }

func endpoints(urls ...string) gateway.Optional[[]gateway.EndpointInput] {
	list := make([]gateway.EndpointInput, len(urls))
	for i, url := range urls {
		list[i].URL = gateway.Given(url)
	}
	return gateway.Given(list)
}

func rules(text string) gateway.Optional[gateway.RawJSON] {
	return gateway.Given(gateway.RawJSON(text))
}

// create makes a webhook and answers it as it was shown.
func (b *bench) create(t *testing.T, a gateway.Actor, change ...func(*gateway.WebhookInput)) gateway.Webhook {
	t.Helper()
	w, err := b.CreateWebhook(t.Context(), a, body(webhookInput(change...)))
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// patch finds and updates a webhook.
func (b *bench) patch(t *testing.T, a gateway.Actor, id string, in gateway.WebhookInput) (gateway.Webhook, error) {
	t.Helper()
	w, err := b.FindWebhook(t.Context(), a, id)
	if err != nil {
		t.Fatal(err)
	}
	return b.UpdateWebhook(t.Context(), a, w, body(in), nil)
}

func (b *bench) mustPatch(t *testing.T, a gateway.Actor, id string, in gateway.WebhookInput) gateway.Webhook {
	t.Helper()
	w, err := b.patch(t, a, id, in)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func TestCreateWebhook_FillsInDefaultsAndShowsTheSecretOnce(t *testing.T) {
	b := openBench(t)
	a := b.organisation(t, "org_a")
	w := b.create(t, a, func(in *gateway.WebhookInput) {
		in.Headers = gateway.Given([]gateway.HeaderInput{
			{Name: gateway.Given("Authorization"), Value: gateway.Given("Bearer s3cret")},
			{Name: gateway.Given("X-Open"), Value: gateway.Given("v"), Secret: gateway.Given(false)},
		})
		in.Name, in.RateLimit = null[string](), null[float64]()
	})
	now := gateway.At(b.clock.now())
	want := gateway.Webhook{
		ID: w.ID, Organisation: "org_a", Revision: 1, Name: "hook.example.com", Status: gateway.Inactive,
		Endpoints: []gateway.Endpoint{{ID: w.Endpoints[0].ID, URL: "https://hook.example.com/abc?token=t0ken", Health: &gateway.Health{Status: gateway.Healthy}}},
		Events:    []gateway.Selection{{Product: "payments", Type: "paiement.success"}},
		Accounts:  []string{}, Mapping: w.Mapping, Payload: "event",
		Headers: []gateway.Header{{Name: "Authorization", ValueHint: "...cret", Secret: true}, {Name: "X-Open", Value: "v"}},
		Signing: gateway.Signing{Scheme: "standard", Secret: w.Signing.Secret, SecretHint: "..." + w.Signing.Secret[len(w.Signing.Secret)-4:]},
		Retry:   gateway.Retry{Schedule: "standard", Gone: "stop"}, Quarantine: gateway.Quarantine{After: 10, For: "1m"},
		TimeoutSeconds: 30, CreatedAt: now, UpdatedAt: now, Warnings: []gateway.Warning{},
	}
	if diff := cmp.Diff(want, w); diff != "" {
		t.Errorf("created (-want +got):\n%s", diff)
	}
	open, err := b.FindWebhook(t.Context(), a, w.ID)
	if err != nil {
		t.Fatal(err)
	}
	if open.Signing.Secret != w.Signing.Secret || open.Headers[0].Value != "Bearer s3cret" {
		t.Errorf("open: got %q and %q", open.Signing.Secret, open.Headers[0].Value)
	}
	shown, err := b.ShowWebhook(t.Context(), a, open)
	if err != nil {
		t.Fatal(err)
	}
	want.Signing.Secret = ""
	if diff := cmp.Diff(want, shown); diff != "" {
		t.Errorf("shown (-want +got):\n%s", diff)
	}
	list, _, err := b.ListWebhooks(t.Context(), a, gateway.Only("org_a"), gateway.Page{Limit: 10})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]gateway.Webhook{want}, list); diff != "" {
		t.Errorf("listed (-want +got):\n%s", diff)
	}
	stored, err := b.store.Webhook(t.Context(), gateway.Only("org_a"), w.ID)
	if err != nil {
		t.Fatal(err)
	}
	if text := fmt.Sprintf("%+v", stored); strings.Contains(text, "t0ken") || strings.Contains(text, "s3cret") || strings.Contains(text, w.Signing.Secret) {
		t.Errorf("stored in clear: %s", text)
	}
}

func TestCreateWebhook_TellsEveryFault(t *testing.T) {
	b := openBench(t, func(o *gateway.Options) { o.Policy = &egress.Policy{} })
	a := b.organisation(t, "org_a")
	long := strings.Repeat("x", 1001)
	for _, c := range []struct {
		name string
		edit func(*gateway.WebhookInput)
		want []string
	}{
		{"everything at once", func(in *gateway.WebhookInput) {
			*in = gateway.WebhookInput{
				Name: gateway.Given(long[:81]), Description: gateway.Given(long), Status: gateway.Given("on"),
				Endpoints: gateway.Given([]gateway.EndpointInput{{}, {URL: gateway.Given("http://hook.example.com/")}, {URL: null[string](), Description: gateway.Given(long)}}),
				Events: gateway.Given([]gateway.SelectionInput{
					{}, {Product: gateway.Given("fax"), Type: gateway.Given("*")}, {Product: gateway.Given("sms"), Type: gateway.Given("nope")},
					{Product: gateway.Given("*"), Type: gateway.Given("sms.sent")}, {Product: gateway.Given("sms"), Type: gateway.Given("*")}, {Product: gateway.Given("sms"), Type: gateway.Given("*")}}),
				Accounts: gateway.Given([]string{"ok", ""}), Payload: gateway.Given("xml"),
				Mapping:        rules(`[{"op":"remove","path":""},{"op":"remove","path":"a","weird/~":1}]`),
				Headers:        gateway.Given([]gateway.HeaderInput{{}, {Name: gateway.Given("Host"), Value: gateway.Given("v")}}),
				Signing:        gateway.Given(gateway.SigningInput{Scheme: gateway.Given("custom")}),
				Retry:          gateway.Given(gateway.RetryInput{Schedule: gateway.Given("custom"), Delays: gateway.Given([]string{"10s", "8d"}), Gone: gateway.Given("maybe")}),
				Quarantine:     gateway.Given(gateway.QuarantineInput{After: gateway.Given(-1), For: gateway.Given("soon")}),
				TimeoutSeconds: gateway.Given(61), RateLimit: gateway.Given(0.05),
			}
		}, []string{
			"/endpoints/0/url required", "/endpoints/1/url url_scheme", "/endpoints/2/description description_too_long", "/endpoints/2/url required",
			"/name name_too_long", "/description description_too_long", "/status status_unknown",
			"/events/0/product required", "/events/0/type required", "/events/1/product product_unknown", "/events/2/type type_unknown",
			"/events/3/type type_unexpected", "/events/5 selection_repeated",
			"/accounts/1 account_malformed", "/payload payload_unknown", "/mapping/0/path path_empty", "/mapping/1/weird~1~0 unknown_key",
			"/signing/scheme scheme_unsupported", "/headers/0/name required", "/headers/0/value header_value_missing", "/headers/1/name header_reserved",
			"/retry/delays/1 delay_out_of_range", "/retry/gone gone_unknown", "/quarantine/after out_of_range", "/quarantine/for duration_malformed",
			"/timeoutSeconds out_of_range", "/rateLimit out_of_range",
		}},
		{"nothing", func(in *gateway.WebhookInput) { *in = gateway.WebhookInput{} }, []string{"/endpoints required", "/events required"}},
		{"empty lists", func(in *gateway.WebhookInput) {
			in.Endpoints, in.Events = gateway.Given([]gateway.EndpointInput{}), null[[]gateway.SelectionInput]()
		}, []string{"/endpoints required", "/events required"}},
		{"a selection's rule against the webhook's", func(in *gateway.WebhookInput) {
			in.Mapping = rules(`[{"op":"remove","path":"data.a"}]`)
			in.Events.Value[0].Mapping = rules(`[{"op":"remove","path":"data.b"},{"op":"rename","path":"data.a","to":"c"}]`)
		}, []string{"/events/0/mapping/1/path conflict"}},
		{"rules that touch the signature in the body", func(in *gateway.WebhookInput) {
			in.Payload, in.Mapping = gateway.Given("unified"), rules(`[{"op":"remove","path":"data.#.a"},{"op":"remove","path":"sig"}]`)
		}, []string{"/mapping/1 signature_touched"}},
		{"a scheme that signs in a body without the place", func(in *gateway.WebhookInput) {
			in.Signing = gateway.Given(gateway.SigningInput{Scheme: gateway.Given("unified")})
		}, []string{"/signing/scheme payload_unified_needed"}},
		{"a short secret, a header that no scheme renames", func(in *gateway.WebhookInput) {
			in.Signing = gateway.Given(gateway.SigningInput{Secret: gateway.Given("whsec_YWJj"), Header: gateway.Given("X-Sig")})
		}, []string{"/signing/header header_unexpected", "/signing/secret secret_malformed"}},
		{"signing.header is on the same list", func(in *gateway.WebhookInput) {
			in.Signing = gateway.Given(gateway.SigningInput{Scheme: gateway.Given("unisoft"), Header: gateway.Given("webhook-sig")})
		}, []string{"/signing/header header_reserved"}},
		{"a header that the signature has", func(in *gateway.WebhookInput) {
			in.Signing = gateway.Given(gateway.SigningInput{Scheme: gateway.Given("unisoft"), Header: gateway.Given("X-Sig")})
			in.Headers = gateway.Given([]gateway.HeaderInput{{Name: gateway.Given("x-sig"), Value: gateway.Given("v")}})
		}, []string{"/headers/0/name header_reserved"}},
		{"too many of a thing", func(in *gateway.WebhookInput) {
			in.Endpoints = endpoints(slices.Repeat([]string{"https://hook.example.com/"}, 101)...)
			in.Events = gateway.Given(slices.Repeat([]gateway.SelectionInput{{Product: gateway.Given("sms"), Type: gateway.Given("*")}}, 101))
			in.Accounts = gateway.Given(slices.Repeat([]string{"a"}, 1001))
		}, []string{"/endpoints too_many", "/events too_many", "/accounts too_many"}},
		{"delays of another schedule", func(in *gateway.WebhookInput) {
			in.Retry = gateway.Given(gateway.RetryInput{Delays: gateway.Given([]string{"1s"})})
		}, []string{"/retry/delays delays_unexpected"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := b.CreateWebhook(t.Context(), a, body(webhookInput(c.edit)))
			if diff := cmp.Diff(c.want, codes(err)); diff != "" {
				t.Errorf("faults (-want +got):\n%s", diff)
			}
		})
	}
	t.Run("faults of reading come along and are not doubled", func(t *testing.T) {
		in := body(webhookInput(func(in *gateway.WebhookInput) { in.TimeoutSeconds = gateway.Given(0) }))
		in.Faults = []gateway.Fault{{Pointer: "/timeoutSeconds", Code: "not_a_number"}, {Pointer: "/maping", Code: "unknown_key"}}
		_, err := b.CreateWebhook(t.Context(), a, in)
		if diff := cmp.Diff([]string{"/timeoutSeconds not_a_number", "/maping unknown_key"}, codes(err)); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("nothing was stored", func(t *testing.T) {
		if n, err := b.store.CountWebhooks(t.Context(), "org_a"); err != nil || n != 0 {
			t.Errorf("got %d webhooks, %v", n, err)
		}
	})
}

func TestCreateWebhook_Owner(t *testing.T) {
	b := openBench(t)
	a := b.organisation(t, "org_a")
	b.organisation(t, "org_b")
	for _, c := range []struct {
		name  string
		actor gateway.Actor
		named string
		want  string // what the error says, or the owner
	}{
		{"an operator names one", operator, "org_b", "org_b"},
		{"an operator must", operator, "", "[/organisation organisation_missing]"},
		{"an operator names an unknown one", operator, "org_x", "[/organisation organisation_unknown]"},
		{"a customer needs not", a, "", "org_a"},
		{"a customer may name its own", a, "org_a", "org_a"},
		{"a customer names another's", a, "org_b", "not_found"},
		{"a publisher may not", gateway.Actor{Kind: gateway.KindPublisher}, "org_a", "forbidden"},
	} {
		t.Run(c.name, func(t *testing.T) {
			in := webhookInput()
			if c.named != "" {
				in.Organisation = gateway.Given(c.named)
			}
			w, err := b.CreateWebhook(t.Context(), c.actor, body(in))
			got := w.Organisation
			if refused, ok := err.(*gateway.Error); ok && refused.Kind == gateway.Invalid {
				got = fmt.Sprint(codes(err))
			} else if ok {
				got = string(refused.Kind)
			}
			if got != c.want {
				t.Errorf("got %s, want %s (%v)", got, c.want, err)
			}
		})
	}
}

func TestCreateWebhook_TargetVectors(t *testing.T) {
	var vectors struct {
		Refuse, Accept []struct{ ID, URL, Why string }
	}
	readVectors(t, "egress/testdata/urls.json", &vectors)
	b := openBench(t)
	a := b.organisation(t, "org_a")
	for _, c := range vectors.Refuse {
		_, err := b.CreateWebhook(t.Context(), a, body(webhookInput(func(in *gateway.WebhookInput) { in.Endpoints = endpoints(c.URL) })))
		if !gateway.IsKind(err, gateway.Invalid) || !strings.HasPrefix(codes(err)[0], "/endpoints/0/url ") {
			t.Errorf("%s %q (%s): got %v, want a fault at /endpoints/0/url", c.ID, c.URL, c.Why, err)
		}
	}
	for _, c := range vectors.Accept {
		w, err := b.CreateWebhook(t.Context(), a, body(webhookInput(func(in *gateway.WebhookInput) { in.Endpoints = endpoints(c.URL) })))
		if err != nil || w.Endpoints[0].URL != c.URL {
			t.Errorf("%s %q (%s): got %v, %v", c.ID, c.URL, c.Why, w.Endpoints, err)
		}
	}
}

func TestCreateWebhook_HeaderVectors(t *testing.T) {
	var vectors struct {
		Refuse, Accept []struct {
			ID, Why, Level, Optional string
			Headers                  []struct{ Name, Value any }
		}
	}
	readVectors(t, "egress/testdata/headers.json", &vectors)
	b := openBench(t)
	a := b.organisation(t, "org_a")
	text := func(value any) (o gateway.Optional[string]) {
		if s, ok := value.(string); ok { // others are refused when the body is read
			o = gateway.Given(s)
		}
		return o
	}
	create := func(headers []struct{ Name, Value any }) (gateway.Webhook, error) {
		list := make([]gateway.HeaderInput, len(headers))
		for i, h := range headers {
			list[i] = gateway.HeaderInput{Name: text(h.Name), Value: text(h.Value)}
		}
		return b.CreateWebhook(t.Context(), a, body(webhookInput(func(in *gateway.WebhookInput) { in.Headers = gateway.Given(list) })))
	}
	for _, c := range vectors.Refuse {
		_, err := create(c.Headers)
		if c.Level != "should" && c.Optional == "" && !gateway.IsKind(err, gateway.Invalid) {
			t.Errorf("%s (%s): got %v, want faults", c.ID, c.Why, err)
		}
	}
	for _, c := range vectors.Accept {
		w, err := create(c.Headers)
		if err != nil || len(w.Headers) != len(c.Headers) {
			t.Errorf("%s (%s): got %v, %v", c.ID, c.Why, w.Headers, err)
		}
	}
}

func readVectors(t *testing.T, path string, into any) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, into); err != nil {
		t.Fatal(err)
	}
}

func TestCreateWebhook_NameThatLeadsInside(t *testing.T) {
	b := openBench(t, func(o *gateway.Options) { o.Resolver = fixedResolver("10.0.0.7") })
	a := b.organisation(t, "org_a")
	_, err := b.CreateWebhook(t.Context(), a, body(webhookInput(func(in *gateway.WebhookInput) {
		in.Endpoints = endpoints("https://a.example.com/", "https://93.184.216.34/", "https://a.example.com/b")
	})))
	if diff := cmp.Diff([]string{"/endpoints/0/url url_address", "/endpoints/2/url url_address"}, codes(err)); diff != "" {
		t.Error(diff)
	}
	if err == nil || !strings.Contains(err.Error(), "does not lead to a public address") || strings.Contains(err.Error(), "10.0.0.7") {
		t.Errorf("got %v", err)
	}
}

// fixedResolver answers every name with one address.
type fixedResolver string

func (r fixedResolver) LookupNetIP(context.Context, string, string) ([]netip.Addr, error) {
	return []netip.Addr{netip.MustParseAddr(string(r))}, nil
}

func TestCreateWebhook_LimitPerOrganisation(t *testing.T) {
	const limit, left = 1000, 3
	b := openBench(t)
	a := b.organisation(t, "org_a")
	w := b.create(t, a)
	stored, err := b.store.Webhook(t.Context(), gateway.Only("org_a"), w.ID)
	if err != nil {
		t.Fatal(err)
	}
	for i := range limit - 1 - left {
		stored.ID = fmt.Sprintf("wh_%026d", i)
		if err := b.store.InsertWebhook(t.Context(), stored); err != nil {
			t.Fatal(err)
		}
	}
	made := 0
	for _, err := range atOnce(16, func(int) error {
		_, err := b.CreateWebhook(t.Context(), a, body(webhookInput()))
		return err
	}) {
		if err == nil {
			made++
		} else if !gateway.IsKind(err, gateway.Conflict) {
			t.Errorf("past the limit: got %v, want a conflict", err)
		}
	}
	if made != left {
		t.Errorf("16 creates at once made %d webhooks, want %d", made, left)
	}
	if _, err := b.CreateWebhook(t.Context(), a, body(webhookInput())); !gateway.IsKind(err, gateway.Conflict) {
		t.Errorf("the 1001st: got %v, want a conflict", err)
	}
}

func mustFind(t *testing.T, b *bench, a gateway.Actor, id string) gateway.Webhook {
	t.Helper()
	w, err := b.FindWebhook(t.Context(), a, id)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// atOnce does something n times side by side and answers each outcome.
func atOnce(n int, do func(i int) error) []error {
	outcomes := make([]error, n)
	var wait sync.WaitGroup
	for i := range n {
		wait.Go(func() { outcomes[i] = do(i) })
	}
	wait.Wait()
	return outcomes
}

func TestCreateWebhook_Schemes(t *testing.T) {
	b := openBench(t)
	a := b.organisation(t, "org_a")
	scheme := func(name string) gateway.Webhook {
		return b.create(t, a, func(in *gateway.WebhookInput) {
			in.Signing = gateway.Given(gateway.SigningInput{Scheme: gateway.Given(name)})
			in.Payload = gateway.Given("unified")
		})
	}
	for _, name := range []string{"unisoft", "unipile", "unidy", "unified"} {
		if w := scheme(name); len(w.Signing.Secret) != 64 {
			t.Errorf("%s: got the secret %q, want 64 hex characters", name, w.Signing.Secret)
		}
	}
	if w := scheme("none"); w.Signing != (gateway.Signing{Scheme: "none"}) {
		t.Errorf("none: got %+v", w.Signing)
	}
	w := scheme("standard-ed25519")
	if w.Signing.Secret != "" || w.Signing.SecretHint != "" || !strings.HasPrefix(w.Signing.PublicKey, "whpk_") {
		t.Errorf("standard-ed25519: got %+v, want the public key alone", w.Signing)
	}
	weak := b.create(t, a, func(in *gateway.WebhookInput) {
		in.Signing = gateway.Given(gateway.SigningInput{Scheme: gateway.Given("unisoft"), Secret: gateway.Given("12345678")})
	})
	if weak.Signing.Secret != "12345678" || len(weak.Warnings) != 1 || weak.Warnings[0].Code != "secret_weak" {
		t.Errorf("brought along: got %+v, %+v", weak.Signing, weak.Warnings)
	}
}

func TestShowWebhook_SecretReadableIsAudited(t *testing.T) {
	b := openBench(t)
	a := b.organisation(t, "org_a")
	w := b.create(t, a)
	o, err := b.FindOrganisation(t.Context(), operator, "org_a")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.UpdateOrganisation(t.Context(), operator, o, body(gateway.OrganisationInput{SecretReadable: gateway.Given(true)})); err != nil {
		t.Fatal(err)
	}
	open, err := b.FindWebhook(t.Context(), a, w.ID)
	if err != nil {
		t.Fatal(err)
	}
	shown, err := b.ShowWebhook(t.Context(), a, open)
	if err != nil || shown.Signing.Secret != w.Signing.Secret {
		t.Errorf("got %q, %v, want the secret", shown.Signing.Secret, err)
	}
	list, _, err := b.ListAudit(t.Context(), a, gateway.Only("org_a"), gateway.AuditFilter{Action: "webhook.secret_shown"}, gateway.Page{Limit: 10})
	if err != nil || len(list) != 1 || list[0].Actor != a.Key || list[0].Object != w.ID {
		t.Errorf("audit: got %+v, %v", list, err)
	}
}

func TestDuplicateWebhook(t *testing.T) {
	b := openBench(t)
	a := b.organisation(t, "org_a")
	w := b.create(t, a, func(in *gateway.WebhookInput) {
		in.Status, in.Mapping = gateway.Given("active"), rules(`[{"op":"remove","path":"data.contact"}]`)
		in.Headers = gateway.Given([]gateway.HeaderInput{{Name: gateway.Given("Authorization"), Value: gateway.Given("Bearer s3cret")}})
	})
	open, err := b.FindWebhook(t.Context(), a, w.ID)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.DuplicateWebhook(t.Context(), a, open, body(gateway.DuplicateInput{})); !slices.Equal(codes(err), []string{"/endpoints required"}) {
		t.Errorf("without endpoints: got %v", err)
	}
	twin, err := b.DuplicateWebhook(t.Context(), a, open, body(gateway.DuplicateInput{Endpoints: endpoints("https://other.example.com/")}))
	if err != nil {
		t.Fatal(err)
	}
	if twin.ID == w.ID || twin.Status != gateway.Inactive || twin.Name != "hook.example.com (copy)" || len(twin.Mapping) != 1 || twin.Revision != 1 {
		t.Errorf("got %+v", twin)
	}
	if twin.Signing.Secret == "" || twin.Signing.Secret == w.Signing.Secret {
		t.Error("the secret is not a new one")
	}
	if len(twin.Warnings) != 1 || !strings.Contains(twin.Warnings[0].Detail, "Authorization") || twin.Headers[0] != (gateway.Header{Name: "Authorization", Secret: true, Missing: true}) {
		t.Errorf("headers and warnings: got %+v, %+v", twin.Headers, twin.Warnings)
	}
	live, err := b.Live(t.Context(), []string{twin.ID})
	if err != nil || len(live[twin.ID].Webhook.Headers) != 0 {
		t.Errorf("a header without its value would be sent: %v, %v", live[twin.ID].Webhook.Headers, err)
	}
	kept := gateway.WebhookInput{Headers: gateway.Given([]gateway.HeaderInput{{Name: gateway.Given("Authorization")}})}
	if _, err := b.patch(t, a, twin.ID, kept); !slices.Equal(codes(err), []string{"/headers/0/value header_value_missing"}) {
		t.Errorf("keeping a value that is not there: got %v", err)
	}
}

// A list has what reading each webhook has, its warnings too: accounts are known or not in each organisation for itself.
func TestListWebhooks_ShowsWhatAReadShows(t *testing.T) {
	b := openBench(t)
	a, other := b.organisation(t, "org_a"), b.organisation(t, "org_b")
	if _, err := b.PutAccount(t.Context(), a, "acc_1", body(gateway.AccountInput{Name: gateway.Given("One")})); err != nil {
		t.Fatal(err)
	}
	named := func(in *gateway.WebhookInput) {
		in.Accounts = gateway.Given([]string{"acc_2", "acc_1"})
		in.Headers = gateway.Given([]gateway.HeaderInput{{Name: gateway.Given("X-Token"), Value: gateway.Given("hush")}})
	}
	first, second := b.create(t, a, named), b.create(t, other, named)
	twin, err := b.DuplicateWebhook(t.Context(), a, mustFind(t, b, a, first.ID), body(gateway.DuplicateInput{Endpoints: endpoints("https://two.example.com/")}))
	if err != nil {
		t.Fatal(err)
	}
	list, _, err := b.ListWebhooks(t.Context(), operator, gateway.Everyone(), gateway.Page{Limit: 10})
	if err != nil || len(list) != 3 {
		t.Fatalf("got %d webhooks, %v", len(list), err)
	}
	warned := map[string]int{first.ID: 1, second.ID: 2, twin.ID: 2}
	for _, got := range list {
		want, err := b.ShowWebhook(t.Context(), operator, mustFind(t, b, operator, got.ID))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" || len(got.Warnings) != warned[got.ID] {
			t.Errorf("%d warnings, want %d; against a read (-want +got):\n%s", len(got.Warnings), warned[got.ID], diff)
		}
	}
}
