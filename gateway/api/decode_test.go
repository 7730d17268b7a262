package api

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/unihook/unihook/gateway"
)

// decodeText is what a handler does with a body.
func decodeText[T any](t *testing.T, text string) gateway.Body[T] {
	t.Helper()
	doc, err := parse([]byte(text), 1)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return decode[T](doc)
}

// faultsOf are a body's faults as "pointer code".
func faultsOf(faults []gateway.Fault) []string {
	list := []string{}
	for _, f := range faults {
		list = append(list, f.Pointer+" "+f.Code)
	}
	return list
}

func TestDecode_Values(t *testing.T) {
	got := decodeText[gateway.WebhookInput](t, ` {"name":"a\u00e9\ud83d\ude00\n","description":null, "endpoints" : [ {"url":"https://x","health":{"a":[1]}},{} ],
		"accounts":[],"mapping":[ {"op" : "set","value":1.0} ],"timeoutSeconds":3e1,"rateLimit":0.5,"ordered":true,
		"retry":{"delays":["1s"]},"id":"wh_1","revision":"anything","warnings":[{}],"createdAt":7} `)
	want := gateway.WebhookInput{
		Name:        gateway.Given("aé😀\n"),
		Description: gateway.Optional[string]{Set: true, Null: true},
		Endpoints:   gateway.Given([]gateway.EndpointInput{{URL: gateway.Given("https://x")}, {}}),
		Accounts:    gateway.Given([]string{}),
		// Kept as it was written, white space too.
		Mapping:        gateway.Given(gateway.RawJSON(`[ {"op" : "set","value":1.0} ]`)),
		TimeoutSeconds: gateway.Given(30),
		RateLimit:      gateway.Given(0.5),
		Ordered:        gateway.Given(true),
		Retry:          gateway.Given(gateway.RetryInput{Delays: gateway.Given([]string{"1s"})}),
	}
	if diff := cmp.Diff(gateway.Body[gateway.WebhookInput]{Value: want}, got); diff != "" {
		t.Error(diff)
	}
}

func TestDecode_Faults(t *testing.T) {
	for _, tc := range []struct {
		name, body string
		want       []string
	}{
		{"not an object", `[]`, []string{" wrong_type"}},
		{"null is no object", `null`, []string{" wrong_type"}},
		{"unknown key", `{"maping":[]}`, []string{"/maping unknown_key"}},
		{"keys match exactly", `{"Name":"a"}`, []string{"/Name unknown_key"}},
		{"key with a slash and a tilde", `{"a/b~c":1}`, []string{"/a~1b~0c unknown_key"}},
		{"key in other letters", `{"\u006eame":"a"}`, []string{}},
		{"key that is half a pair", `{"\ud83d":1,"\ud83d":2}`, []string{"/� unknown_key", "/� repeated_key"}},
		{"repeated key", `{"name":"a","name":"b"}`, []string{"/name repeated_key"}},
		{"repeated through an escape", `{"name":"a","nam\u0065":"b"}`, []string{"/name repeated_key"}},
		{"repeated key of the gateway's", `{"id":1,"id":2}`, []string{"/id repeated_key"}},
		{"repeated unknown key is told once", `{"x":1,"x":2}`, []string{"/x unknown_key"}},
		{"wrong types", `{"name":1,"endpoints":{},"ordered":"true","timeoutSeconds":"1","rateLimit":true,"accounts":["a",1,null]}`,
			[]string{"/name wrong_type", "/endpoints wrong_type", "/ordered wrong_type", "/timeoutSeconds wrong_type", "/rateLimit wrong_type",
				"/accounts/1 wrong_type", "/accounts/2 wrong_type"}},
		{"inside elements", `{"endpoints":[1,{"url":2,"u":3}],"signing":{"scheme":[]}}`,
			[]string{"/endpoints/0 wrong_type", "/endpoints/1/url wrong_type", "/endpoints/1/u unknown_key", "/signing/scheme wrong_type"}},
		{"no whole number", `{"timeoutSeconds":1.5}`, []string{"/timeoutSeconds wrong_type"}},
		{"too large", `{"timeoutSeconds":1e300,"rateLimit":1e400}`, []string{"/timeoutSeconds out_of_range", "/rateLimit out_of_range"}},
		{"half of a surrogate pair", `{"name":"\ud83d"}`, []string{"/name not_utf8"}},
		{"the other half", `{"name":"\ude00\ud83d\ude00"}`, []string{"/name not_utf8"}},
		{"the replacement character itself", `{"name":"\ufffd�"}`, []string{}},
		{"too many elements", `{"accounts":[` + strings.Repeat(`"a",`, maxElements) + `"a"],"x":1}`, []string{"/accounts too_many", "/x unknown_key"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := decodeText[gateway.WebhookInput](t, tc.body)
			if diff := cmp.Diff(tc.want, faultsOf(got.Faults)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestDecode_Depth(t *testing.T) {
	nested := func(levels int) string {
		return `{"data":` + strings.Repeat(`{"a":`, levels-1) + `{}` + strings.Repeat(`}`, levels-1) + `}`
	}
	if got := decodeText[gateway.EventInput](t, nested(1024)); len(got.Faults) != 0 || len(got.Value.Data.Value) == 0 {
		t.Errorf("1,024 levels: %v", got.Faults)
	}
	for _, levels := range []int{1025, 100_000} {
		got := decodeText[gateway.EventInput](t, nested(levels))
		if diff := cmp.Diff([]string{"/data too_deep"}, faultsOf(got.Faults)); diff != "" {
			t.Errorf("%d levels: %s", levels, diff)
		}
	}
	// What is not kept may be as deep as it likes: no stack grows with it.
	got := decodeText[gateway.WebhookInput](t, `{"warnings":`+strings.Repeat(`[`, 100_000)+strings.Repeat(`]`, 100_000)+`}`)
	if len(got.Faults) != 0 {
		t.Errorf("an ignored value: %v", got.Faults)
	}
}

func TestDecode_FaultsAreBounded(t *testing.T) {
	var keys []string
	for i := range 5000 {
		keys = append(keys, `"k`+strings.Repeat("x", i%7)+string(rune('a'+i%26))+strings.Repeat("y", i/182)+`":1`)
	}
	got := decodeText[gateway.WebhookInput](t, "{"+strings.Join(keys, ",")+"}")
	if len(got.Faults) != maxFaults {
		t.Errorf("%d faults, want %d", len(got.Faults), maxFaults)
	}
}

// Every field of every body that is decoded is an Optional with a key.
func TestDecode_Inputs(t *testing.T) {
	for input := range given {
		for i := range input.NumField() {
			f := input.Field(i)
			_, settableField := reflect.New(f.Type).Interface().(settable)
			if key := f.Tag.Get("json"); key == "" || strings.Contains(key, ",") || !settableField {
				t.Errorf("%s.%s cannot be decoded", input.Name(), f.Name)
			}
		}
	}
}

// The decoder never panics, finds no fault in what encoding/json reads strictly, and keeps raw values byte for byte.
func FuzzDecode(f *testing.F) {
	for _, seed := range []string{
		`{"id":"evt_1","product":"payments","type":"paiement.success","data":{"a":[1,{"b":null}]}}`,
		`{"data":{"a":"\ud83d\ude00"},"data":1}`, `{"createdAt":1e5,"x":{}}`, "\xEF\xBB\xBF{}", `[{"id":"a"}]`, `{"id":"\ud83d"}`, `{}`, ` null `,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		doc, err := parse(text, 1)
		if (err == nil) != (json.Valid(text) && isUTF8(text)) {
			t.Fatalf("%q: parsed with %v", text, err)
		}
		if err != nil {
			return
		}
		event := decode[gateway.EventInput](doc)
		decode[gateway.WebhookInput](doc)
		decode[gateway.PreviewInput](doc)
		var strict map[string]json.RawMessage
		if len(event.Faults) > 0 || json.Unmarshal(text, &strict) != nil {
			return
		}
		if data := strict["data"]; event.Value.Data.Set && !event.Value.Data.Null && string(data) != string(event.Value.Data.Value) {
			t.Fatalf("%q: data is %q, want %q", text, event.Value.Data.Value, data)
		}
	})
}

func isUTF8(text []byte) bool {
	return !strings.Contains(strings.ToValidUTF8(string(text), "\x00bad"), "\x00bad")
}

// No text but one that was sealed for the same key opens.
func FuzzCursor(f *testing.F) {
	c, err := newCursors(make([]byte, 32))
	if err != nil {
		f.Fatal(err)
	}
	real, err := c.seal(position{List: "/v1/events", After: "a"})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(real)
	f.Add("")
	f.Add(strings.Repeat("A", 100))
	f.Fuzz(func(t *testing.T, text string) {
		if p, ok := c.open(text); ok && p != (position{List: "/v1/events", After: "a"}) {
			t.Fatalf("%q opened: %+v", text, p)
		}
	})
}
