package mapping_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/tidwall/gjson"

	"github.com/unihook/unihook/mapping"
)

// fuzzSeeds adds every case of the vectors.
func fuzzSeeds(f *testing.F) {
	for _, file := range []string{"mapping.json", "mapping_ops.json"} {
		for _, v := range readVectors[vector](f, file) {
			if len(v.Input) < 4096 {
				f.Add(v.Input, v.rules())
			}
		}
	}
}

func FuzzApply(f *testing.F) {
	fuzzSeeds(f)
	f.Fuzz(func(t *testing.T, payload, text []byte) {
		rules, err := mapping.ParseRules(text)
		if err != nil {
			checkIsRefusal(t, err)
			rules = nil
		}
		m, err := mapping.Compile(rules)
		if err != nil {
			t.Fatalf("what ParseRules accepts is refused: %v", err)
		}
		// Whatever the payload, neither of these panics or hangs.
		_, _ = m.ApplyValid(payload, vectorLimit)
		m.Explain(payload)
		if mapping.CheckJSON(payload, mapping.MaxDepth) != nil {
			return
		}
		got, err := m.Apply(payload, vectorLimit)
		if err != nil {
			if !errors.Is(err, mapping.ErrTooLarge) && !errors.Is(err, mapping.ErrTooDeep) {
				t.Fatal(err)
			}
			return
		}
		checkBody(t, rules, payload, got)
		checkOrder(t, rules, payload, got)
	})
}

func checkIsRefusal(t *testing.T, err error) {
	var refused *mapping.RulesError
	if !errors.As(err, &refused) && !errors.Is(err, mapping.ErrInvalidJSON) && !errors.Is(err, mapping.ErrTooDeep) {
		t.Fatalf("got %v, want a refusal with its reason", err)
	}
}

// checkBody demands valid JSON, the same bytes without rules, and the exact bytes of every property that no rule can reach.
func checkBody(t *testing.T, rules []mapping.Rule, payload, got []byte) {
	if err := mapping.CheckJSON(got, mapping.MaxDepth); err != nil || !json.Valid(got) {
		t.Fatalf("the body %s is %v", got, err)
	}
	if len(rules) == 0 && !bytes.Equal(got, payload) {
		t.Fatalf("without rules got %s", got)
	}
	named := map[string]bool{}
	for _, r := range rules {
		if r.Op == mapping.OpKeep {
			return
		}
		path, _ := mapping.SplitPath(r.Path)
		named[path[0].Key] = true
		named[r.To] = true
		if to, err := mapping.SplitPath(r.To); err == nil {
			named[to[0].Key] = true
		}
	}
	if !gjson.ParseBytes(payload).IsObject() {
		return
	}
	gjson.ParseBytes(payload).ForEach(func(key, value gjson.Result) bool {
		before, _ := mapping.Lookup(payload, key.Str)
		after, _ := mapping.Lookup(got, key.Str)
		if !named[key.Str] && !bytes.Equal(before, after) {
			t.Fatalf("%q was %s and is %s", key.Str, before, after)
		}
		return true
	})
}

// checkOrder demands the same body from the same rules, each twice, in another order.
func checkOrder(t *testing.T, rules []mapping.Rule, payload, got []byte) {
	other := slices.Clone(rules)
	slices.Reverse(other)
	if len(rules) <= mapping.MaxRules/4 {
		other = append(other, rules...)
	}
	m, err := mapping.Compile(other)
	if err != nil {
		// Twice the rules may be more bytes than are allowed.
		if !strings.Contains(err.Error(), "64 KiB") {
			t.Fatalf("in another order: %v", err)
		}
		return
	}
	again, err := m.Apply(payload, vectorLimit)
	if err != nil || !bytes.Equal(again, got) {
		t.Fatalf("got %s\nin another order %s, %v", got, again, err)
	}
}

func FuzzParseRules(f *testing.F) {
	for _, v := range readVectors[vector](f, "mapping_ops.json") {
		f.Add(v.rules())
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		rules, err := mapping.ParseRules(text)
		if err != nil {
			checkIsRefusal(t, err)
			return
		}
		m, err := mapping.Compile(rules)
		if err != nil {
			t.Fatalf("what ParseRules accepts is refused: %v", err)
		}
		again, err := mapping.ParseRules(m.Canonical())
		if err != nil {
			t.Fatalf("the canonical form %s is refused: %v", m.Canonical(), err)
		}
		same, err := mapping.Compile(again)
		if err != nil || !bytes.Equal(same.Canonical(), m.Canonical()) {
			t.Fatalf("the canonical form of %s is %s, %v", m.Canonical(), same.Canonical(), err)
		}
	})
}

func FuzzParseLine(f *testing.F) {
	for _, line := range []string{"remove a", `rename a\ b c`, "set a {}", "move a b.c", "keep *"} {
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, line string) {
		rule, err := mapping.ParseLine(line)
		if err != nil {
			return
		}
		if _, err := mapping.Compile([]mapping.Rule{rule}); err != nil {
			checkIsRefusal(t, err)
		}
	})
}

// FuzzCheckJSON compares with the standard library, which takes the same texts but for UTF-8, byte order marks and depth.
func FuzzCheckJSON(f *testing.F) {
	type text struct {
		Data []byte `json:"b64"`
	}
	for _, v := range readVectors[text](f, "json_suite.json") {
		if len(v.Data) < 4096 {
			f.Add(v.Data)
		}
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		err := mapping.CheckJSON(text, mapping.MaxDepth)
		if errors.Is(err, mapping.ErrTooDeep) {
			return
		}
		if want := json.Valid(text) && utf8.Valid(text); want != (err == nil) {
			t.Fatalf("%q: got %v, want valid: %v", text, err, want)
		}
		if err != nil {
			return
		}
		var compact bytes.Buffer
		if json.Compact(&compact, text) == nil && !bytes.Equal(compact.Bytes(), mapping.Compact(nil, text)) {
			t.Fatalf("%q: compact %q", text, mapping.Compact(nil, text))
		}
	})
}
