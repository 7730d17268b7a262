package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// readCases reads a file of the mapping engine's vectors.
func readCases[T any](t *testing.T, file string) []T {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "mapping", "testdata", file))
	if err != nil {
		t.Fatal(err)
	}
	var content struct {
		Cases []T `json:"cases"`
	}
	if err := json.Unmarshal(text, &content); err != nil {
		t.Fatal(err)
	}
	return content.Cases
}

func writeFile(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "rules.json")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// checkRefused holds that a command ended with 2, a sentence on standard error, and nothing on standard output.
func checkRefused(t *testing.T, got result) {
	t.Helper()
	if got.status != 2 || got.out != "" || !strings.HasPrefix(got.errors, "unihook: ") || strings.Contains(got.errors, "goroutine") {
		t.Errorf("got status %d, output %.80q, standard error %.200q; want 2, none and a sentence", got.status, got.out, got.errors)
	}
}

func TestMap_JSONSuite(t *testing.T) {
	type text struct {
		Name    string `json:"name"`
		Verdict string `json:"verdict"`
		Bytes   []byte `json:"b64"`
	}
	rules := writeFile(t, "[]")
	for i, c := range readCases[text](t, "json_suite.json") {
		t.Run(c.Name, func(t *testing.T) {
			start := runHere
			if i%16 == 0 { // enough to see that a process answers as the function does
				start = runProcess
			}
			got := start(t, c.Bytes, "map", "--rules", rules)
			switch {
			case c.Verdict == "accept" && got != (result{0, string(c.Bytes), ""}):
				t.Errorf("got status %d, %.80q and %.200q; want 0 and the same bytes", got.status, got.out, got.errors)
			case c.Verdict == "refuse", c.Verdict == "either" && got.status != 0:
				checkRefused(t, got)
			}
		})
	}
}

func TestMap_Vectors(t *testing.T) {
	type vector struct {
		ID        string          `json:"id"`
		Rules     json.RawMessage `json:"rules"`
		RulesText string          `json:"rules_text"`
		Input     []byte          `json:"input_b64"`
		Compare   string          `json:"compare"`
		Want      struct {
			Output       []byte `json:"output_b64"`
			RefusedRules bool   `json:"refused_rules"`
			InvalidJSON  bool   `json:"invalid_json"`
			TooLarge     bool   `json:"too_large"`
		} `json:"want"`
	}
	for _, file := range []string{"mapping.json", "mapping_ops.json"} {
		for _, v := range readCases[vector](t, file) {
			t.Run(v.ID, func(t *testing.T) {
				text := string(v.Rules)
				if v.RulesText != "" {
					text = v.RulesText
				}
				got := runHere(t, v.Input, "map", "--rules", writeFile(t, text))
				switch {
				case v.Want.RefusedRules || v.Want.InvalidJSON || v.Want.TooLarge:
					checkRefused(t, got)
				case got.status != 0 || got.errors != "":
					t.Errorf("got status %d and %q", got.status, got.errors)
				case v.Compare == "bytes" && v.Want.Output != nil && got.out != string(v.Want.Output):
					t.Errorf("got  %.300q\nwant %.300q", got.out, v.Want.Output)
				}
			})
		}
	}
}

func TestMap_Lines(t *testing.T) {
	const event = `{"data":{"contact":{"email":"s@example.org","firstName":"Sarah"}},"a":1.0, "a b":"x,y", "z":[1,2]}`
	got := runProcess(t, []byte(event), "map",
		"--rule", "remove data.contact.email",
		"--rule", "rename data.contact.firstName first_name",
		"--rule", "move a b.c",
		"--rule", `set d {"x": 1, "y": [true, "two words, \\ and a comma"]}`,
		"--rule", `remove a\ b`)
	want := result{0, `{"data":{"contact":{"first_name":"Sarah"}},"z":[1,2],"b":{"c":1.0},"d":{"x":1,"y":[true,"two words, \\ and a comma"]}}`, ""}
	if strings.ReplaceAll(got.out, ", ", ",") != strings.ReplaceAll(want.out, ", ", ",") || got.status != 0 || got.errors != "" {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestMap_NoRules_SameBytes(t *testing.T) {
	for _, event := range []string{" {\"a\" : 1 }\n", "null", `"\ud800"`, "-0.0"} {
		if got := runHere(t, []byte(event), "map"); got != (result{0, event, ""}) {
			t.Errorf("%q: got %+v; want the same bytes", event, got)
		}
	}
}

func TestMap_Refused(t *testing.T) {
	large := `{"l":[` + strings.TrimSuffix(strings.Repeat("{},", 1000), ",") + `]}`
	rows := []struct {
		name, stdin, says string
		args              []string
	}{
		{"the rule's operation", "{}", "delete a", []string{"--rule", "delete a"}},
		{"the rule's path", "{}", "path", []string{"--rule", "remove a..b"}},
		{"the rule's value", "{}", "value", []string{"--rule", "set a {"}},
		{"rules that contradict each other", "{}", "rules[1]", []string{"--rule", "remove a", "--rule", "rename a b"}},
		{"rules that are no JSON", "{}", "not valid JSON", []string{"--rules", writeFile(t, `[{"op":`)}},
		{"rules that are no array", "{}", "array", []string{"--rules", writeFile(t, `{}`)}},
		{"a file without a name, as an unset variable leaves it", "{}", "names no file", []string{"--rules", ""}},
		{"no such file", "{}", "no such file", []string{"--rules", "no-such-file.json"}},
		{"both ways to give rules", "{}", "rule", []string{"--rule", "remove a", "--rules", writeFile(t, `[]`)}},
		{"no JSON", "{", "line 1, column 2", []string{"--rule", "remove a"}},
		{"nothing at all", "", "not valid JSON", nil},
		{"too large a body", large, "too large", []string{"--max-event-bytes", "1024", "--rule", `set l.#.x "0123456789"`}},
		{"too small a limit", "{}", "--max-event-bytes", []string{"--max-event-bytes", "1"}},
	}
	for _, r := range rows {
		t.Run(r.name, func(t *testing.T) {
			got := runHere(t, []byte(r.stdin), append([]string{"map"}, r.args...)...)
			checkRefused(t, got)
			if !strings.Contains(got.errors, r.says) {
				t.Errorf("standard error is %q; want it to name %q", got.errors, r.says)
			}
		})
	}
}
