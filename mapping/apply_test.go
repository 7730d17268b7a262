package mapping_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/unihook/unihook/mapping"
)

// TestApply_Corners has what the vectors do not show, each row with the sentence of the contract that it is about.
func TestApply_Corners(t *testing.T) {
	cases := []struct {
		name, lines, input, want string
	}{
		{"a renamed property meets a new sibling", "rename a b; set b 1", `{"a":0}`, `{"b":0}`},
		{"and one that is replaced in place", "rename a b; set b 1", `{"b":2,"a":0}`, `{"b":0}`},
		{"without it the new one is there", "rename a b; set b 1", `{"c":0}`, `{"c":0,"b":1}`},
		{"a renamed property meets what is made", "rename a b; set b.x.y 1", `{"a":0}`, `{"b":0}`},
		{"twins are renamed alike", "rename a b", `{"a":1,"b":2,"a":3}`, `{"b":1,"b":3}`},
		{"of twins the last is moved, none stays", "move a b", `{"a":1,"a":2}`, `{"b":2}`},
		{"twins of a parent are twins too", "move p.a b", `{"p":{"a":1},"p":{"c":2}}`, `{"p":{},"p":{"c":2},"b":1}`},
		{"at a to the last is entered", "move a p.x", `{"a":1,"p":{},"p":{"y":2}}`, `{"p":{},"p":{"y":2,"x":1}}`},
		{"or in the way", "move a p.x", `{"a":1,"p":{},"p":null}`, `{"a":1,"p":{},"p":null}`},
		{"a parent that is absent is not removed", "remove a; set a.b 1", `{}`, `{"a":{"b":1}}`},
		{"a parent that is there is", "remove a; set a.b 1", `{"a":{}}`, `{}`},
		{"a place further up", "move a.b a", `{"a":{"b":1,"c":2},"d":0}`, `{"a":1,"d":0}`},
		{"out of what is replaced", "move b.x c; move a b", `{"a":1,"b":{"x":2}}`, `{"b":1,"c":2}`},
		{"a move before and after", "move a.x c; move a b", `{"c":0,"a":{"x":1,"y":2},"b":3}`, `{"c":1,"b":{"y":2}}`},
		{"rules for what is in a moved element", "move l.0 x; remove l.#.s; rename l.0.a b", `{"l":[{"a":1,"s":2},{"a":3,"s":4}]}`,
			`{"l":[{"a":3}],"x":{"b":1}}`},
		{"new keys in the order of their bytes", `set o.é 1; set o.z 2; set o.Z 3; move m o.a`, `{"m":0,"o":{}}`,
			`{"o":{"Z":3,"a":0,"z":2,"é":1}}`},
		{"made objects are shared", "set a.b.c 1; set a.b.d 2; move m a.e", `{"m":0}`, `{"a":{"b":{"c":1,"d":2},"e":0}}`},
		{"a number is the key of what is made", `set a.0 1; set a.\1 2`, `{}`, `{"a":{"0":1,"1":2}}`},
		{"a rename whose property is absent keeps nothing", "keep k; rename a.b c", `{"a":{"x":1},"k":0}`, `{"k":0}`},
		{"what encloses a set stays", "keep k; set a.b 1", `{"a":{"x":1},"k":0}`, `{"a":{"b":1},"k":0}`},
		{"a keep inside what is renamed", "rename a b; keep a.x", `{"a":{"x":1,"y":2},"z":3}`, `{"b":{"x":1}}`},
		{"a keep inside what is moved", "move a b; keep a.x", `{"a":{"x":1,"y":2},"z":3}`, `{"b":{"x":1}}`},
		{"an array on a kept path", "keep a.b", `{"a":[1,{"b":2}]}`, `{"a":[]}`},
		{"a scalar on a kept path", "keep a.b", `{"a":5,"c":6}`, `{}`},
		{"keep of a payload that is no object", "keep a", `"s"`, `"s"`},
		{"white space around what goes", "remove b; remove c", "{ \"a\" : 1 , \"b\" : 2 , \"c\" : 3 }", "{ \"a\" : 1 }"},
		{"white space around what goes first", "remove a; remove b", "[ { \"a\" : 1 , \"b\" : 2 , \"c\" : 3 } ]", "[ { \"a\" : 1 , \"b\" : 2 , \"c\" : 3 } ]"},
		{"brackets in strings", "remove b", `{"a":["]}\\\"",{"x":"\\"}],"b":1,"c":"{[\""}`, `{"a":["]}\\\"",{"x":"\\"}],"c":"{[\""}`},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got, err := compileLines(t, strings.Split(c.lines, "; ")...).Apply([]byte(c.input), 0)
			if err != nil || string(got) != c.want {
				t.Errorf("%s of %s\ngot  %s, %v\nwant %s", c.lines, c.input, got, err, c.want)
			}
		})
	}
}

func TestApply_Depth(t *testing.T) {
	nested := func(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }
	cases := []struct {
		name, line, input string
		want              error
	}{
		{"1024 levels", "remove x", nested(1024), nil},
		{"1025 levels", "remove x", nested(1025), mapping.ErrTooDeep},
		{"100,000 levels", "remove x", nested(100_000), mapping.ErrTooDeep},
		{"a move to the same level", "move a b", `{"a":` + nested(1023) + `}`, nil},
		{"a move one further down", "move a b.c", `{"a":` + nested(1022) + `}`, nil},
		{"a move too far down", "move a b.c", `{"a":` + nested(1023) + `}`, mapping.ErrTooDeep},
		{"a move up", "move o.a b", `{"o":{"a":` + nested(1022) + `}}`, nil},
	}
	for _, c := range cases {
		got, err := compileLines(t, c.line).Apply([]byte(c.input), 0)
		if !errors.Is(err, c.want) || c.want == nil && mapping.CheckJSON(got, mapping.MaxDepth) != nil {
			t.Errorf("%s: got %v, want %v", c.name, err, c.want)
		}
	}
}

func TestApply_Limit(t *testing.T) {
	m := compileLines(t, `set b "xx"`)
	if got, err := m.Apply([]byte(`{"a":1}`), 16); err != nil || len(got) != 16 {
		t.Errorf("got %s, %v, want 16 bytes", got, err)
	}
	if got, err := m.Apply([]byte(`{"a":1}`), 15); !errors.Is(err, mapping.ErrTooLarge) || got != nil {
		t.Errorf("got %s, %v, want ErrTooLarge", got, err)
	}
	if got, err := compileLines(t, "remove zz").Apply([]byte(`{"a":1}`), 3); err != nil || string(got) != `{"a":1}` {
		t.Errorf("got %s, %v, want the payload that no rule matched", got, err)
	}
}

// TestApply_ManyElementsManyRules maps the payload that is worst for an engine that remembers something per element.
func TestApply_ManyElementsManyRules(t *testing.T) {
	payload := []byte("[" + strings.Repeat("{},", 86_999) + "{}]")
	for _, line := range []string{"remove #.k%d", "rename #.k%d r%d", "keep #.k%d", "set #.k%d 1", "set #.o.k%d 1", "set #.k%d.#.x 1", "remove %d.x", "move %d.x m%d"} {
		var lines []string
		for i := range 200 {
			lines = append(lines, strings.ReplaceAll(line, "%d", fmt.Sprint(i)))
		}
		m := compileLines(t, lines...)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := m.Apply(payload, vectorLimit)
		runtime.ReadMemStats(&after)
		if allocated := after.TotalAlloc - before.TotalAlloc; allocated > 8<<20 {
			t.Errorf("%s: allocated %d bytes, want at most 8 MiB", line, allocated)
		}
		if err != nil && !errors.Is(err, mapping.ErrTooLarge) {
			t.Errorf("%s: %v", line, err)
		}
	}
}

func TestApplyValid_BrokenPayloadsNeverPanic(t *testing.T) {
	valid := `{"a":{"b":[1,{"c":"d\"e"}]},"b":2,"l":[{"a":1},{"\u0061":"x"}],"c":null}`
	mappings := []*mapping.Mapping{
		compileLines(t, "remove a.b.0", "rename l.#.a x", "set c.d 1"),
		compileLines(t, "keep a.b.#.c", "rename b c", "set l.0.z 1"),
		compileLines(t, "move a.b.1.c x.y", "move l.1 a.z", "rename c d"),
	}
	for _, m := range mappings {
		for i := range valid {
			for _, insert := range []string{"", `"`, "{", "}", "[", "]", ",", ":", `\`} {
				for _, broken := range []string{valid[:i] + insert, valid[i:], valid[:i] + insert + valid[i:], valid[:i] + insert + valid[i+1:]} {
					_, _ = m.ApplyValid([]byte(broken), 1000)
					m.Explain([]byte(broken))
					mapping.Lookup([]byte(broken), "a", "b")
					mapping.Compact(nil, []byte(broken))
				}
			}
		}
	}
}

func TestApply_LeavesThePayloadAlone(t *testing.T) {
	payload := []byte(`{"a":{"x":1},"b":[1,2],"c":3}`)
	before := string(payload)
	if _, err := compileLines(t, "move a d.e", "remove b.0", "rename c f", "set g 1").Apply(payload, 0); err != nil {
		t.Fatal(err)
	}
	if string(payload) != before {
		t.Errorf("the payload is now %s, want %s", payload, before)
	}
}

func TestApply_OneAllocation(t *testing.T) {
	payload := []byte(`{"id":"evt_1","data":{"contact":{"email":"x","name":"y"},"items":[{"a":1,"\u0062":2},{"b":3}]}}`)
	for _, lines := range [][]string{
		{"remove data.contact.email", "rename id key", "rename data.items.#.b c"},
		{"keep data.contact", "keep data.items.#.b"},
		{"move id data.id", "set data.contact.x.y 1", "set data.z 2", "move data.contact.name n"},
	} {
		m := compileLines(t, lines...)
		// The scratch memory is in a pool, which may be emptied at any time: the average is not exactly 1.
		got := testing.AllocsPerRun(2000, func() {
			if _, err := m.ApplyValid(payload, 0); err != nil {
				t.Fatal(err)
			}
		})
		if got > 1 && !raceEnabled {
			t.Errorf("%v: %v allocations, want 1", lines, got)
		}
	}
}

func TestExplain(t *testing.T) {
	payload := []byte(`{"a":1,"b":{"c":null},"l":[{"x":1,"y":2},{"x":3},4],"z":5,"m":6}`)
	m := compileLines(t, "remove l.#.x", "rename a z", "set b.c.d 1", "set b.n 1", "move m l.q", "move zz b.q", "remove nothing", "keep b",
		"set l.#.w 1", "remove l.#.x", "move m.x z.x")
	changes, warnings := m.Explain(payload)
	gotChanges, _ := json.Marshal(changes)
	wantChanges := `[{"op":"remove","path":"l.#.x","matched":2},{"op":"rename","path":"a","to":"z","matched":1},` +
		`{"op":"set","path":"b.c.d","matched":0},{"op":"set","path":"b.n","matched":1},{"op":"move","path":"m","to":"l.q","matched":0},` +
		`{"op":"move","path":"zz","to":"b.q","matched":0},{"op":"remove","path":"nothing","matched":0},{"op":"keep","path":"b","matched":1},` +
		`{"op":"set","path":"l.#.w","matched":2},{"op":"remove","path":"l.#.x","matched":2},{"op":"move","path":"m.x","to":"z.x","matched":0}]`
	if diff := cmp.Diff(wantChanges, string(gotChanges)); diff != "" {
		t.Errorf("changes (-want +got):\n%s", diff)
	}
	var got []string
	for _, w := range warnings {
		got = append(got, fmt.Sprint(w.Rule, " ", w.Code))
	}
	want := []string{"1 rename_hides_sibling", "2 blocked", "4 blocked", "5 matched_nothing", "6 matched_nothing", "8 blocked", "10 matched_nothing"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("warnings (-want +got):\n%s", diff)
	}
	if changes, warnings := compileLines(t).Explain(payload); len(changes) != 0 || len(warnings) != 0 || warnings == nil {
		t.Errorf("without rules: got %v, %v", changes, warnings)
	}
}
