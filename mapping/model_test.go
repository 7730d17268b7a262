package mapping_test

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/unihook/unihook/mapping"
)

// model is the public contract once more, on trees and without regard to speed: TestApply_Model compares the two.
type model struct {
	root    *item
	hasKeep bool
}

// item is a property, an element, or the payload, with what the rules make of it.
type item struct {
	key, rawKey string
	kind        byte // 'o', 'a' or 's'
	raw         string
	children    []*item
	parent      *item

	removed, gone, keep, keepBelow bool
	name                           string // of a rename
	set                            string
	put                            *item
	made                           []*item
}

// match lists the items that a path leads to. On the way it calls passed.
func (it *item) match(path []mapping.Segment, passed func(*item)) []*item {
	if len(path) == 0 {
		return []*item{it}
	}
	passed(it)
	var found []*item
	for i, child := range it.children {
		if it.leads(path[0], i, child) {
			found = append(found, child.match(path[1:], passed)...)
		}
	}
	return found
}

func (it *item) leads(s mapping.Segment, i int, child *item) bool {
	if it.kind == 'o' {
		return !s.Every && s.Key == child.key
	}
	return s.Every || s.Index == i
}

func ignore(*item) {}

func (m *model) take(r mapping.Rule) {
	path, _ := mapping.SplitPath(r.Path)
	switch r.Op {
	case mapping.OpRemove:
		for _, it := range m.root.match(path, ignore) {
			it.removed = true
		}
	case mapping.OpKeep:
		m.hasKeep = true
		for _, it := range m.root.match(path, func(it *item) { it.keepBelow = true }) {
			it.keep = true
		}
	case mapping.OpRename:
		for _, it := range m.root.match(path, ignore) {
			if it.parent.kind == 'o' {
				it.name = r.To
			}
		}
	case mapping.OpSet:
		m.root.takeSet(path, string(r.Value))
	}
}

func (it *item) takeSet(path []mapping.Segment, value string) {
	if len(path) == 0 {
		it.set = value
		return
	}
	there := false
	for i, child := range it.children {
		if it.leads(path[0], i, child) {
			there = true
			child.takeSet(path[1:], value)
		}
	}
	if it.kind == 'o' && !there && !slices.ContainsFunc(path, func(s mapping.Segment) bool { return s.Every }) {
		it.make(path).set = value
	}
}

// make makes objects down to the last key of a path.
func (it *item) make(path []mapping.Segment) *item {
	for _, s := range path {
		at := slices.IndexFunc(it.made, func(m *item) bool { return m.key == s.Key })
		if at < 0 {
			at = len(it.made)
			it.made = append(it.made, &item{key: s.Key, rawKey: strconv.Quote(s.Key), kind: 'o', parent: it})
		}
		it = it.made[at]
	}
	return it
}

func (m *model) move(r mapping.Rule) {
	path, _ := mapping.SplitPath(r.Path)
	to, _ := mapping.SplitPath(r.To)
	sources := m.root.match(path, ignore)
	if len(sources) == 0 {
		return
	}
	source := sources[len(sources)-1]
	if source.kind == 's' && source.keepBelow && !m.whole(source) {
		return
	}
	place := m.root
	for i, s := range to {
		var next *item
		for j, child := range place.children {
			if place.leads(s, j, child) {
				next = child
			}
		}
		if next == nil && place.kind == 'o' {
			place = place.make(to[i:])
			break
		}
		if next == nil {
			return
		}
		place = next
	}
	place.put = source
	for _, it := range sources {
		it.gone = true
	}
}

// whole says whether everything in an item stays but for what rules take from it.
func (m *model) whole(it *item) bool {
	for ; it != nil; it = it.parent {
		if it.keep {
			return true
		}
	}
	return !m.hasKeep
}

// render writes an item's value, and says whether anything of it stays.
func (m *model) render(it *item, whole bool) (string, bool) {
	switch {
	case it.set != "":
		return it.set, true
	case it.put != nil:
		text, _ := m.render(&item{kind: it.put.kind, raw: it.put.raw, children: it.put.children, made: it.put.made},
			m.whole(it.put) || !it.put.keepBelow)
		return text, true
	}
	whole = whole || it.keep || it.name != "" && !it.keepBelow
	if it.kind == 's' {
		return it.raw, whole
	}
	parts := m.renderChildren(it, whole)
	kept := whole || it.keepBelow || len(parts) > 0
	if it.kind == 'a' {
		return "[" + strings.Join(parts, ",") + "]", kept
	}
	return "{" + strings.Join(parts, ",") + "}", kept
}

func (m *model) renderChildren(it *item, whole bool) (parts []string) {
	taken := map[string]bool{}
	for _, child := range it.children {
		taken[child.name] = true
	}
	for _, child := range it.children {
		hidden := it.kind == 'o' && child.name == "" && taken[child.key]
		if child.removed || child.gone || hidden {
			continue
		}
		text, kept := m.render(child, whole)
		if !kept {
			continue
		}
		switch {
		case child.name != "":
			text = strconv.Quote(child.name) + ":" + text
		case it.kind == 'o':
			text = child.rawKey + ":" + text
		}
		parts = append(parts, text)
	}
	slices.SortFunc(it.made, func(a, b *item) int { return cmp.Compare(a.key, b.key) })
	for _, made := range it.made {
		if text, kept := m.render(made, true); kept && !taken[made.key] {
			parts = append(parts, made.rawKey+":"+text)
		}
	}
	return parts
}

func (m *model) apply(rules []mapping.Rule) string {
	for _, r := range rules {
		m.take(r)
	}
	for _, r := range rules {
		if r.Op == mapping.OpMove {
			m.move(r)
		}
	}
	m.root.keep = m.root.keep || m.root.kind == 's'
	text, _ := m.render(m.root, !m.hasKeep)
	return text
}

// drawItem draws a payload with twins, escaped keys and nested arrays.
func drawItem(t *rapid.T, parent *item, depth int) *item {
	it := &item{kind: 's', parent: parent}
	kinds := "oooaas"
	if depth == 0 {
		kinds = "s"
	}
	it.kind = rapid.SampledFrom([]byte(kinds)).Draw(t, "kind")
	switch it.kind {
	case 's':
		it.raw = rapid.SampledFrom([]string{"1", "1.0", "null", `"\u00e9"`, `"x]},{"`, "1e400", "true", `"\\"`}).Draw(t, "raw")
		return it
	case 'o', 'a':
		for range rapid.IntRange(0, 4).Draw(t, "children") {
			child := drawItem(t, it, depth-1)
			child.key = rapid.SampledFrom([]string{"a", "b", "c", "0", "1", "#"}).Draw(t, "key")
			child.rawKey = `"` + child.key + `"`
			if child.key == "b" && rapid.Bool().Draw(t, "escaped") {
				child.rawKey = `"\u0062"`
			}
			it.children = append(it.children, child)
		}
	}
	return it
}

func (it *item) text() string {
	var parts []string
	switch it.kind {
	case 's':
		return it.raw
	case 'a':
		for _, child := range it.children {
			parts = append(parts, child.text())
		}
		return "[" + strings.Join(parts, ",") + "]"
	}
	for _, child := range it.children {
		parts = append(parts, child.rawKey+":"+child.text())
	}
	return "{" + strings.Join(parts, ",") + "}"
}

func drawRules(t *rapid.T, ops []string) (rules []mapping.Rule) {
	segment := rapid.SampledFrom([]string{"a", "a", "b", "b", "c", "0", "1", "#", `\#`, `\0`})
	path := func(name string) string {
		return strings.Join(rapid.SliceOfN(segment, 1, 4).Draw(t, name), ".")
	}
	for range rapid.IntRange(1, 6).Draw(t, "rules") {
		r := mapping.Rule{Op: rapid.SampledFrom(ops).Draw(t, "op"), Path: path("path")}
		switch r.Op {
		case mapping.OpRename:
			r.To = rapid.SampledFrom([]string{"a", "b", "c", "x", "0"}).Draw(t, "key")
		case mapping.OpMove:
			r.To = path("to")
		case mapping.OpSet:
			r.Value = []byte(rapid.SampledFrom([]string{"7", `{"a":{}}`, "null"}).Draw(t, "value"))
		}
		// A rule that contradicts the ones before is left out, so that most lists are long.
		if _, err := mapping.Compile(append(slices.Clone(rules), r)); err == nil {
			rules = append(rules, r)
		}
	}
	return rules
}

func TestApply_Model(t *testing.T) {
	ops := []string{mapping.OpRemove, mapping.OpRename, mapping.OpKeep, mapping.OpMove, mapping.OpMove, mapping.OpSet}
	check(t, func(t *rapid.T) {
		ops := ops
		if rapid.Bool().Draw(t, "without keep") {
			ops = slices.DeleteFunc(slices.Clone(ops), func(op string) bool { return op == mapping.OpKeep })
		}
		rules := drawRules(t, ops)
		root := drawItem(t, nil, 4)
		input := root.text()
		m, err := mapping.Compile(rules)
		if err != nil {
			t.Fatal(err)
		}
		got, err := m.Apply([]byte(input), 0)
		want := (&model{root: root}).apply(rules)
		if err != nil || string(got) != want {
			t.Fatalf("rules %+v\ninput %s\ngot   %s, %v\nwant  %s", rules, input, got, err, want)
		}
		m.Explain([]byte(input))
	})
}

// check runs a property often enough to meet rules that get into each other's way.
func check(t *testing.T, property func(*rapid.T)) {
	for range 20 {
		rapid.Check(t, property)
	}
}
