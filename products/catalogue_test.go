package products_test

import (
	"bytes"
	"encoding/json"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/unihook/unihook/products"
	"github.com/unihook/unihook/schemas"
)

func builtin(t *testing.T) *products.Catalogue {
	t.Helper()
	c, err := products.Builtin()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestBuiltin_HasEveryProductAndEventType(t *testing.T) {
	got := map[string][]string{}
	for _, p := range builtin(t).Products() {
		for _, e := range p.Events {
			got[p.Product] = append(got[p.Product], e.Type)
		}
	}
	want := map[string][]string{
		"contacts":  {"contact.created", "contact.updated"},
		"crm":       {"contact", "deal"},
		"forms":     {"form.submitted"},
		"identity":  {"consent.changed", "user.created", "user.deleted", "user.updated"},
		"messaging": {"account.connected", "account.error", "message.new", "message.read"},
		"payments":  {"paiement.refunded", "paiement.success"},
		"sms":       {"sms.delivered", "sms.failed", "sms.received", "sms.sent"},
		"voice":     {"call.completed"},
		"whatsapp":  {"message.received", "message.status"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestBuiltin_PaymentExampleIsInTheDocumentedOrder(t *testing.T) {
	e, ok := builtin(t).Event("payments", "paiement.success")
	if !ok {
		t.Fatal("no paiement.success")
	}
	want := `{"id":"pmt_xyz789","amount":5000,"currency":"EUR",` +
		`"contact":{"id":"ctc_abc456","firstName":"Sarah","lastName":"Cohen","email":"sarah.cohen@example.org"},"reason":"Annual membership"}`
	if string(e.Example) != want {
		t.Errorf("got  %s\nwant %s", e.Example, want)
	}
}

func TestBuiltin_IsRealistic(t *testing.T) {
	wanted := map[string]bool{"personal data": false, "a date": false, "an array of objects": false, "an optional property": false, "an id larger than 2^53": false}
	digits := regexp.MustCompile(`[:\[,][0-9]{16,}[,}\]]`)
	for _, p := range builtin(t).Products() {
		if p.Title == "" || p.Description == "" {
			t.Errorf("%s has no title or no description", p.Product)
		}
		for _, e := range p.Events {
			if e.Title == "" || e.Description == "" {
				t.Errorf("%s/%s has no title or no description", e.Product, e.Type)
			}
			schema, example := string(e.Schema), string(e.Example)
			if !strings.Contains(schema, `"x-personal-data":true`) && e.Type != "user.deleted" {
				t.Errorf("%s/%s marks no personal data", e.Product, e.Type)
			}
			has := map[string]bool{
				"personal data":          strings.Contains(schema, `"x-personal-data":true`),
				"a date":                 strings.Contains(schema, `"format":"date-time"`),
				"an array of objects":    strings.Contains(example, `[{"`),
				"an optional property":   e.HasPath([]string{"metadata"}) && !e.Required([]string{"metadata"}),
				"an id larger than 2^53": false,
			}
			for _, found := range digits.FindAllString(example, -1) {
				n, err := strconv.ParseInt(strings.Trim(found, ":[,}]"), 10, 64)
				has["an id larger than 2^53"] = has["an id larger than 2^53"] || err == nil && n > 1<<53
			}
			for what, found := range has {
				wanted[what] = wanted[what] || found
			}
		}
	}
	for _, what := range slices.Sorted(maps.Keys(wanted)) {
		if !wanted[what] {
			t.Errorf("no event type has %s", what)
		}
	}
}

func TestCatalogue_JSONIsWhatTheAPIShows(t *testing.T) {
	c := load(t, shop())
	want := `[{"product":"shop","title":"Shop","description":"","events":[{"type":"order.paid","title":"Order paid","description":"Paid."}]}]`
	if got := marshal(t, c.Products()); got != want {
		t.Errorf("the list is\n%s\nwant\n%s", got, want)
	}
	p, _ := c.Product("shop")
	if got := marshal(t, p); got != want[1:len(want)-1] {
		t.Errorf("the product is\n%s", got)
	}
	e, _ := c.Event("shop", "order.paid")
	want = `{"product":"shop","type":"order.paid","title":"Order paid","description":"Paid.",` +
		`"schema":{"type":"object","title":"Order paid","description":"Paid.","properties":{"z":{},"a":{"type":"number"}}},` +
		`"example":{"z":"\u00e9 <b>","a":12345678901234567890.10}}`
	if got := marshal(t, e); got != want {
		t.Errorf("the event type is\n%s\nwant\n%s", got, want)
	}
}

func TestCatalogue_KnowsWhatItHas(t *testing.T) {
	c := load(t, shop())
	for _, tc := range []struct {
		product, typ string
		want         bool
	}{{"shop", "order.paid", true}, {"shop", "order.lost", false}, {"store", "order.paid", false}, {"shop", "*", false}, {"unihook", "webhook.test", false}} {
		_, ok := c.Event(tc.product, tc.typ)
		if got := c.Has(tc.product, tc.typ); got != tc.want || ok != tc.want {
			t.Errorf("Has(%q, %q) = %v, Event %v, want %v", tc.product, tc.typ, got, ok, tc.want)
		}
	}
	if _, ok := c.Product("store"); ok {
		t.Error("there is a product that is not in the catalogue")
	}
	var none products.Catalogue
	if len(none.Products()) != 0 || none.Has("shop", "order.paid") {
		t.Error("the zero catalogue has something")
	}
}

func TestOpenAPI_IsEmbedded(t *testing.T) {
	if !bytes.HasPrefix(schemas.OpenAPI, []byte("openapi: 3.1.")) {
		t.Errorf("openapi.yaml begins with %.40q", schemas.OpenAPI)
	}
}

// marshal writes v as the API does: without escaping what only HTML would need escaped.
func marshal(t *testing.T, v any) string {
	t.Helper()
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(b.String())
}
