package mapping_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/unihook/unihook/mapping"
)

// vector is one case of mapping.json or mapping_ops.json, as testdata has it.
type vector struct {
	ID        string          `json:"id"`
	Rules     json.RawMessage `json:"rules"`
	RulesText string          `json:"rules_text"`
	Input     []byte          `json:"input_b64"`
	Compare   string          `json:"compare"`
	At        []int           `json:"at"`
	Want      struct {
		Output       []byte `json:"output_b64"`
		Text         string `json:"output"` // the same, where it is UTF-8; some cases have it alone
		RefusedRules bool   `json:"refused_rules"`
		InvalidJSON  bool   `json:"invalid_json"`
		TooLarge     bool   `json:"too_large"`
	} `json:"want"`
}

func (v vector) rules() []byte {
	if v.RulesText != "" {
		return []byte(v.RulesText)
	}
	return v.Rules
}

// vectorLimit is four times the default of --max-event-bytes.
const vectorLimit = 4 * 256 << 10

func readVectors[T any](t testing.TB, file string) []T {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", file))
	if err != nil {
		t.Fatal(err)
	}
	var content struct {
		Cases []T `json:"cases"`
	}
	if err := json.Unmarshal(data, &content); err != nil {
		t.Fatal(err)
	}
	return content.Cases
}

func TestApply_Vectors(t *testing.T) {
	for _, file := range []string{"mapping.json", "mapping_ops.json"} {
		for _, v := range readVectors[vector](t, file) {
			t.Run(v.ID, func(t *testing.T) { checkVector(t, v) })
		}
	}
}

func checkVector(t *testing.T, v vector) {
	rules, err := mapping.ParseRules(v.rules())
	if v.Want.RefusedRules {
		checkRefusal(t, err, v.At)
		return
	}
	if err != nil {
		t.Fatalf("ParseRules: %v", err)
	}
	m, err := mapping.Compile(rules)
	if err != nil {
		t.Fatalf("Compile: %v", err)
	}
	got, err := m.Apply(v.Input, vectorLimit)
	switch {
	case v.Want.InvalidJSON:
		if !errors.Is(err, mapping.ErrInvalidJSON) {
			t.Errorf("got %q, %v, want an error about invalid JSON", got, err)
		}
		return
	case v.Want.TooLarge:
		if !errors.Is(err, mapping.ErrTooLarge) {
			t.Errorf("got %d bytes, %v, want an error about too large a body", len(got), err)
		}
		return
	case err != nil:
		t.Fatalf("Apply: %v", err)
	}
	want := v.Want.Output
	if want == nil {
		want = []byte(v.Want.Text)
	}
	if v.Compare == "tokens" {
		got, want = mapping.Compact(nil, got), mapping.Compact(nil, want)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("rules %s\ninput %s\ngot   %s\nwant  %s", v.rules(), v.Input, got, want)
	}
}

// checkRefusal demands an error about rules that names one of the rules at fault, where the case says which these are.
func checkRefusal(t *testing.T, err error, at []int) {
	t.Helper()
	var refused *mapping.RulesError
	if !errors.As(err, &refused) {
		t.Fatalf("got %v, want a RulesError", err)
	}
	for _, fault := range refused.Faults {
		for _, i := range at {
			if fault.Rule == i {
				return
			}
		}
	}
	if len(at) > 0 {
		t.Errorf("got %v, want a fault of one of the rules %v", err, at)
	}
}

func TestParseRules_Vectors(t *testing.T) {
	type ruleSet struct {
		ID      string          `json:"id"`
		Rules   json.RawMessage `json:"rules"`
		Verdict string          `json:"verdict"`
		Why     string          `json:"why"`
	}
	for _, v := range readVectors[ruleSet](t, "mapping_rules.json") {
		_, err := mapping.ParseRules(v.Rules)
		if v.Verdict == "refuse" && err == nil || v.Verdict == "accept" && err != nil {
			t.Errorf("%s (%s): got %v, want verdict %s", v.ID, v.Why, err, v.Verdict)
		}
	}
}

func TestCheckJSON_Suite(t *testing.T) {
	type text struct {
		Name string `json:"name"`
		Ours string `json:"ours"`
		Data []byte `json:"b64"`
	}
	none, err := mapping.Compile(nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range readVectors[text](t, "json_suite.json") {
		got, err := none.Apply(v.Data, vectorLimit)
		if v.Ours == "accept" && (err != nil || !bytes.Equal(got, v.Data)) {
			t.Errorf("%s: got %v, want the same bytes", v.Name, err)
		}
		if v.Ours == "refuse" && !errors.Is(err, mapping.ErrInvalidJSON) && !errors.Is(err, mapping.ErrTooDeep) {
			t.Errorf("%s: got %v, want a refusal", v.Name, err)
		}
	}
}
