package egress_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/unihook/unihook/gateway/egress"
)

func TestCheckHeaders_Vectors(t *testing.T) {
	type vector struct {
		ID, Why, Level, Optional string
		Headers                  []struct{ Name, Value json.RawMessage }
	}
	var v struct{ Refuse, Accept []vector }
	readVectors(t, "headers.json", &v)
	// read is false where a name or a value is no string: the API refuses those before this check.
	read := func(c vector) (names, values []string, read bool) {
		for _, h := range c.Headers {
			var name, value *string
			if json.Unmarshal(h.Name, &name) != nil || json.Unmarshal(h.Value, &value) != nil || name == nil || value == nil {
				return nil, nil, false
			}
			names, values = append(names, *name), append(values, *value)
		}
		return names, values, true
	}
	advised := 0
	for _, c := range v.Refuse {
		// API.md's list is closed: what it does not name is the customer's to set.
		if c.Level == "should" || c.Optional != "" {
			advised++
			continue
		}
		if names, values, ok := read(c); ok && len(egress.CheckHeaders(names, values, "")) == 0 {
			t.Errorf("%s %.80q was let through: %s", c.ID, names, c.Why)
		}
	}
	for _, c := range v.Accept {
		names, values, _ := read(c)
		if faults := egress.CheckHeaders(names, values, ""); len(faults) != 0 {
			t.Errorf("%s %.80q was refused (%+v): %s", c.ID, names, faults, c.Why)
		}
	}
	if advised == len(v.Refuse) {
		t.Error("no vector was tried")
	}
}

func TestCheckHeaders_ReservedNames(t *testing.T) {
	for _, name := range []string{"Host", "Content-Length", "Content-Type", "Content-Encoding", "Transfer-Encoding", "Connection",
		"Keep-Alive", "TE", "Trailer", "Upgrade", "HTTP2-Settings", "Expect", "Proxy-Anything", "proxy-", "webhook-id", "Webhook-New",
		"unidy-webhook-version", "unipile-signature", "X-Unisoft-Signature", "X-Mine"} {
		for _, spelled := range []string{name, strings.ToLower(name), strings.ToUpper(name)} {
			faults := egress.CheckHeaders([]string{"X-Ok", spelled}, []string{"v", "v"}, "x-mine")
			if len(faults) != 1 || faults[0].Index != 1 || faults[0].Field != "name" || faults[0].Code != "header_reserved" {
				t.Errorf("%s: %+v", spelled, faults)
			}
		}
	}
}

func TestCheckHeaders_EveryFaultAtOnce(t *testing.T) {
	names := []string{"a b", "X-A", "x-a", "X-Long", strings.Repeat("n", 257)}
	values := []string{"\n", "", "1", strings.Repeat("v", 8193), strings.Repeat("v", 8192)}
	var got []string
	for _, f := range egress.CheckHeaders(names, values, "") {
		got = append(got, fmt.Sprint(f.Index, " ", f.Field, " ", f.Code))
	}
	want := "0 name header_name, 0 value header_value, 2 name header_repeated, 3 value header_value, 4 name header_name, -1  headers_length"
	if strings.Join(got, ", ") != want {
		t.Errorf("got  %s\nwant %s", strings.Join(got, ", "), want)
	}
}

func TestCheckSigningHeader(t *testing.T) {
	for _, c := range []struct {
		name, own string
		open      bool
	}{
		{"X-Signature", "X-Unisoft-Signature", true},
		{"x-unisoft-signature", "X-Unisoft-Signature", true},
		{"X-Unisoft-Signature", "unipile-signature", false},
		{"unidy-webhook-signature", "unidy-webhook-signature", true},
		{"unidy-webhook-version", "unidy-webhook-signature", false},
		{"Host", "", false},
		{"X Sig", "", false},
		{"", "", false},
	} {
		if fault := egress.CheckSigningHeader(c.name, c.own); (fault == nil) != c.open {
			t.Errorf("%q of %q: %+v, want open %v", c.name, c.own, fault, c.open)
		}
	}
}
