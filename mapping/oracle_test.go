package mapping_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	jsonpatch "github.com/evanphx/json-patch/v5"
	"pgregory.net/rapid"

	"github.com/unihook/unihook/mapping"
)

// TestApply_JSONPatch compares remove and rename with RFC 6902 as another library does it, on payloads without twins.
func TestApply_JSONPatch(t *testing.T) {
	check(t, func(t *rapid.T) {
		root := drawItem(t, nil, 4)
		root.dropTwins()
		rules := drawRules(t, []string{mapping.OpRemove, mapping.OpRename})
		m, err := mapping.Compile(rules)
		if err != nil {
			t.Fatal(err)
		}
		input := root.text()
		got, err := m.Apply([]byte(input), 0)
		if err != nil {
			t.Fatal(err)
		}
		patch := patchOf(root, rules)
		decoded, err := jsonpatch.DecodePatch(patch)
		if err != nil {
			t.Fatal(err)
		}
		want, err := decoded.Apply([]byte(input))
		if err != nil {
			t.Fatalf("%s on %s: %v", patch, input, err)
		}
		if !jsonpatch.Equal(got, want) {
			t.Fatalf("rules %+v\npatch %s\ninput %s\ngot   %s\nwant  %s", rules, patch, input, got, want)
		}
	})
}

// dropTwins leaves each key once. A payload of the oracle is an object or array, and its numbers are those that it can compare.
func (it *item) dropTwins() {
	if it.kind == 's' {
		if it.raw = "1"; it.parent == nil {
			it.kind = 'o'
		}
	}
	seen := map[string]bool{}
	it.children = slices.DeleteFunc(it.children, func(child *item) bool {
		twin := it.kind == 'o' && seen[child.key]
		seen[child.key] = true
		return twin
	})
	for _, child := range it.children {
		child.dropTwins()
	}
}

// step is one operation of a patch, with what decides when it must come: a patch's operations see each other's work.
type step struct {
	Op    string `json:"op"`
	Path  string `json:"path"`
	From  string `json:"from,omitempty"`
	depth int
	phase int // removals, then renames to names of their own, then to those that are wanted
	index int
}

// patchOf writes the operations that do what the rules do, deepest first and from the last element to the first.
func patchOf(root *item, rules []mapping.Rule) []byte {
	var steps []step
	seen := map[*item]bool{}
	for _, r := range rules {
		path, _ := mapping.SplitPath(r.Path)
		for _, it := range root.match(path, ignore) {
			if seen[it] {
				continue
			}
			seen[it] = true
			at, index := it.pointer()
			if r.Op == mapping.OpRemove {
				steps = append(steps, step{Op: "remove", Path: at, depth: len(path), index: index})
				continue
			}
			if it.parent.kind != 'o' {
				continue
			}
			parent := at[:strings.LastIndexByte(at, '/')+1]
			between := fmt.Sprintf("%sbetween-%d", parent, len(steps))
			steps = append(steps, step{Op: "move", From: at, Path: between, depth: len(path), phase: 1},
				step{Op: "move", From: between, Path: parent + r.To, depth: len(path), phase: 2})
		}
	}
	slices.SortStableFunc(steps, func(a, b step) int {
		return slices.Compare([]int{-a.depth, a.phase, -a.index}, []int{-b.depth, b.phase, -b.index})
	})
	text, _ := json.Marshal(steps)
	if len(steps) == 0 {
		return []byte("[]")
	}
	return text
}

// pointer is the RFC 6901 pointer of an item, and its index in an array.
func (it *item) pointer() (text string, index int) {
	if it.parent == nil {
		return "", 0
	}
	at, _ := it.parent.pointer()
	if it.parent.kind == 'o' {
		return at + "/" + it.key, 0
	}
	index = slices.Index(it.parent.children, it)
	return fmt.Sprintf("%s/%d", at, index), index
}
