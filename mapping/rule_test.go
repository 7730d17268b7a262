package mapping_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/unihook/unihook/mapping"
)

// faultsOf lists the faults of an error as "rule field code".
func faultsOf(t *testing.T, err error) (list []string) {
	t.Helper()
	var refused *mapping.RulesError
	if err != nil && !errors.As(err, &refused) {
		t.Fatalf("got %v, want a RulesError", err)
	}
	if err != nil {
		for _, f := range refused.Faults {
			list = append(list, strings.TrimSpace(fmt.Sprintf("%d %s", f.Rule, strings.TrimSpace(f.Field+" "+f.Code))))
		}
	}
	return list
}

func TestParseRules_NamesEveryFault(t *testing.T) {
	long := strings.Repeat("k", 257)
	cases := []struct {
		name, text string
		want       []string
	}{
		{"not an array", `{"op":"remove","path":"a"}`, []string{"-1 not_an_array"}},
		{"not an object", `[1,{"op":"remove","path":"a"},null]`, []string{"0 not_an_object", "2 not_an_object"}},
		{"nothing in it", `[{}]`, []string{"0 op op_missing", "0 path path_missing"}},
		{"unknown and repeated keys", `[{"op":"remove","path":"a..b","pth":1,"op":"keep"}]`,
			[]string{"0 pth unknown_key", "0 op repeated_key", "0 path path_empty_key"}},
		{"a repeated key in other letters", `[{"op":"remove","path":"a","p\u0061th":"b"}]`, []string{"0 path repeated_key"}},
		{"keys match exactly", `[{"Op":"remove","op":"remove","path":"a"}]`, []string{"0 Op unknown_key"}},
		{"wrong types", `[{"op":1,"path":["a"]},{"op":"rename","path":"a","to":{}}]`,
			[]string{"0 op op_not_a_string", "0 path path_not_a_string", "1 to to_not_a_string"}},
		{"unknown operation", `[{"op":"delete","path":"a"}]`, []string{"0 op op_unknown"}},
		{"empty path", `[{"op":"remove","path":""}]`, []string{"0 path path_empty"}},
		{"backslash at the end", `[{"op":"remove","path":"a\\"}]`, []string{"0 path path_backslash_at_end"}},
		{"control characters", `[{"op":"remove","path":"a\u007f"},{"op":"rename","path":"a","to":"\u0000"}]`,
			[]string{"0 path path_control_character", "1 to to_control_character"}},
		{"half a surrogate pair", `[{"op":"remove","path":"\ud800"}]`, []string{"0 path path_not_utf8"}},
		{"a key too long", `[{"op":"remove","path":"a.` + long + `"},{"op":"rename","path":"a","to":"` + long + `"}]`,
			[]string{"0 path path_key_too_long", "1 to to_key_too_long"}},
		{"a path too long", `[{"op":"remove","path":"` + strings.Repeat("abc.", 256) + `a"}]`, []string{"0 path path_too_long"}},
		{"too many keys", `[{"op":"remove","path":"` + strings.Repeat("a.", 64) + `a"}]`, []string{"0 path path_too_many_keys"}},
		{"to where none belongs", `[{"op":"remove","path":"a","to":"b"},{"op":"set","path":"c","value":1,"to":"d"}]`,
			[]string{"0 to to_not_allowed", "1 to to_not_allowed"}},
		{"no to", `[{"op":"rename","path":"a"},{"op":"move","path":"b"},{"op":"move","path":"c","to":""}]`,
			[]string{"0 to to_missing", "1 to to_missing", "2 to to_empty"}},
		{"value", `[{"op":"set","path":"a"},{"op":"keep","path":"b","value":null}]`,
			[]string{"0 value value_missing", "1 value value_not_allowed"}},
		{"a value too long", `[{"op":"set","path":"a","value":"` + strings.Repeat("v", 4095) + `"}]`, []string{"0 value value_too_long"}},
		{"a value too deep", `[{"op":"set","path":"a.b","value":` + strings.Repeat("[", 1023) + strings.Repeat("]", 1023) + `}]`,
			[]string{"-1 too_deep"}},
		{"wildcards", `[{"op":"rename","path":"l.*","to":"x"},{"op":"move","path":"m.#.a","to":"b"},{"op":"move","path":"c","to":"m.#"}]`,
			[]string{"0 path path_wildcard", "1 path path_wildcard", "2 to to_wildcard"}},
		{"into itself", `[{"op":"move","path":"a","to":"a"},{"op":"move","path":"b","to":"b.c"}]`,
			[]string{"0 to to_inside_itself", "1 to to_inside_itself"}},
		{"to is null", `[{"op":"remove","path":"a","to":null}]`, nil},
		{"the largest of all", `[{"op":"set","path":"` + strings.Repeat("a.", 63) + `a","value":"` + strings.Repeat("v", 4094) + `"}]`, nil},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			_, err := mapping.ParseRules([]byte(c.text))
			if errors.Is(err, mapping.ErrTooDeep) {
				err = &mapping.RulesError{Faults: []mapping.Fault{{Rule: -1, Code: "too_deep"}}}
			}
			if diff := cmp.Diff(c.want, faultsOf(t, err)); diff != "" {
				t.Errorf("%v\n(-want +got):\n%s", err, diff)
			}
		})
	}
}

func TestCompile_Contradictions(t *testing.T) {
	cases := []struct {
		lines string
		want  []string
	}{
		{"remove a; remove a; remove l.#; remove l.0", nil},
		{"keep l.#; keep l.0; rename a b; keep a; set l.1 2", nil},
		{"rename a b; rename a c", []string{"1 path conflict"}},
		{"rename l.#.a b; remove l.7.a", []string{"1 path conflict"}},
		{`remove a.0; rename a.\0 b`, []string{"1 path conflict"}},
		{`remove a.#; rename a.\# b`, nil},
		{"keep a; remove a; remove b; keep b", []string{"1 path conflict", "3 path conflict"}},
		{"rename a.b k; rename a.c k; rename b.c k", []string{"1 to conflict"}},
		{"set a 1; set a.b 2", []string{"1 path conflict"}},
		{"set a 1; set a 1.0", []string{"1 path conflict"}},
		{`set a {"x":[1, 2]}; set a { "x": [1,2]}`, nil},
		{"move a x.y; set x 1", []string{"1 path conflict"}},
		{"set x 1; move a x.y", []string{"1 to conflict"}},
		{"move a x; move b x", []string{"1 to conflict"}},
		{"remove x; move a x.y", []string{"1 to conflict"}},
		{"move a x.y; rename x z", []string{"1 path conflict"}},
		{"keep x; move a x.y", nil},
		{"remove a; set a.b 1; move a.c d; rename a.e f", nil},
		{"move a.b a", nil},
		{"rename a b; set b 1", nil},
		{"set l.# 1; set l.2.x 1", []string{"1 path conflict"}},
		{"rename l.#.a x; rename l.99999999999999999999.b x", []string{"1 to conflict"}},
	}
	for _, c := range cases {
		var rules []mapping.Rule
		for line := range strings.SplitSeq(c.lines, "; ") {
			rules = append(rules, parseLine(t, line))
		}
		_, err := mapping.Compile(rules)
		if diff := cmp.Diff(c.want, faultsOf(t, err)); diff != "" {
			t.Errorf("%s: %v\n(-want +got):\n%s", c.lines, err, diff)
		}
	}
}

func TestCompile_Limits(t *testing.T) {
	var many, long []mapping.Rule
	for i := range 201 {
		many = append(many, mapping.Rule{Op: "remove", Path: fmt.Sprintf("k%d", i)})
	}
	for i := range 17 {
		value := json.RawMessage(`"` + strings.Repeat("v", 4000) + `"`)
		long = append(long, mapping.Rule{Op: "set", Path: fmt.Sprintf("k%d", i), Value: value})
	}
	cases := []struct {
		name  string
		rules []mapping.Rule
		want  []string
	}{
		{"200 rules", many[:200], nil},
		{"201 rules", many, []string{"-1 too_many_rules"}},
		{"16 long values", long[:16], nil},
		{"17 long values", long, []string{"-1 rules_too_long"}},
		{"a value that no request can hold", []mapping.Rule{{Op: "set", Path: "a", Value: json.RawMessage("{")}},
			[]string{"0 value value_invalid"}},
		{"a value too deep where it is put", []mapping.Rule{{Op: "set", Path: "a.b",
			Value: json.RawMessage(strings.Repeat("[", 1023) + strings.Repeat("]", 1023))}}, []string{"0 value value_too_deep"}},
		{"bytes that are not UTF-8", []mapping.Rule{{Op: "remove", Path: "\xff"}}, []string{"0 path path_not_utf8"}},
	}
	for _, c := range cases {
		_, err := mapping.Compile(c.rules)
		if diff := cmp.Diff(c.want, faultsOf(t, err)); diff != "" {
			t.Errorf("%s: %v\n(-want +got):\n%s", c.name, err, diff)
		}
	}
}

func parseLine(t testing.TB, line string) mapping.Rule {
	t.Helper()
	rule, err := mapping.ParseLine(line)
	if err != nil {
		t.Fatal(err)
	}
	return rule
}

func compileLines(t testing.TB, lines ...string) *mapping.Mapping {
	t.Helper()
	var rules []mapping.Rule
	for _, line := range lines {
		rules = append(rules, parseLine(t, line))
	}
	m, err := mapping.Compile(rules)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestParseLine(t *testing.T) {
	cases := []struct {
		line string
		want mapping.Rule
	}{
		{"remove a", mapping.Rule{Op: "remove", Path: "a"}},
		{" keep \t a.#.b ", mapping.Rule{Op: "keep", Path: "a.#.b"}},
		{`remove a\ b\\`, mapping.Rule{Op: "remove", Path: `a\ b\\`}},
		{`rename a first\ name`, mapping.Rule{Op: "rename", Path: "a", To: "first name"}},
		{`rename a x.y`, mapping.Rule{Op: "rename", Path: "a", To: "x.y"}},
		{`move a b.c`, mapping.Rule{Op: "move", Path: "a", To: "b.c"}},
		{`set a  "x y" `, mapping.Rule{Op: "set", Path: "a", Value: json.RawMessage(`"x y"`)}},
	}
	for _, c := range cases {
		if diff := cmp.Diff(c.want, parseLine(t, c.line)); diff != "" {
			t.Errorf("%q (-want +got):\n%s", c.line, diff)
		}
	}
	for _, line := range []string{"", "remove", "delete a", "remove a b", "rename a", "rename a b c", "move a", "set a", "set", "Remove a"} {
		if rule, err := mapping.ParseLine(line); err == nil {
			t.Errorf("%q: got %+v, want an error", line, rule)
		}
	}
}

func TestMapping_Canonical(t *testing.T) {
	a := compileLines(t, "remove a", "set b [1, 2]", "remove l.#.x", "remove a")
	b := compileLines(t, "remove l.*.x", `remove \a`, "set b [1,2]")
	if string(a.Canonical()) != string(b.Canonical()) {
		t.Errorf("got %s and %s, want the same", a.Canonical(), b.Canonical())
	}
	if err := mapping.CheckJSON(a.Canonical(), 10); err != nil {
		t.Error(err)
	}
	for _, other := range []string{`remove a.\0`, "remove a.0", "remove a.1", `remove a.\#`, "remove a.#", "keep a", "rename a b", "set a 1", "move a b"} {
		c := compileLines(t, other)
		for _, another := range []string{"remove a", "set a 1.0", "rename a c", "move a c"} {
			if d := compileLines(t, another); string(c.Canonical()) == string(d.Canonical()) {
				t.Errorf("%s and %s have the same canonical form", other, another)
			}
		}
	}
	if !compileLines(t).Empty() || a.Empty() {
		t.Error("Empty is wrong")
	}
}

func TestMapping_Touches(t *testing.T) {
	cases := []struct {
		line string
		want bool
	}{
		{"remove nonce", true},
		{"remove nonce.x", true},
		{"remove data", false},
		{"remove data.nonce", false},
		{`remove \nonce`, true},
		{"rename data nonce", true},
		{"rename data.x nonce", false},
		{"rename nonce n", true},
		{"move data.id nonce", true},
		{"move nonce data.n", true},
		{"set nonce 1", true},
		{"set other 1", false},
		{"keep nonce", false},
		{"keep data", true},
		{"keep nonce.x", true},
	}
	for _, c := range cases {
		if got := compileLines(t, c.line).Touches("nonce"); got != c.want {
			t.Errorf("%s: got %v, want %v", c.line, got, c.want)
		}
	}
	if compileLines(t).Touches("nonce") {
		t.Error("no rules touch something")
	}
	if !compileLines(t, "remove a").Touches("a", "b") || !compileLines(t, "remove a.b.c").Touches("a", "b") {
		t.Error("a rule around or inside a property does not touch it")
	}
}
