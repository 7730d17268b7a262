package mapping

import "fmt"

// Change says what a rule found in a payload.
type Change struct {
	Op   string `json:"op"`
	Path string `json:"path"`
	To   string `json:"to,omitempty"`
	// Matched is how many properties or elements the rule addresses; of a set, those that it puts there too. A move that
	// has no place to go to matches nothing.
	Matched int `json:"matched"`
}

// The codes of warnings.
const (
	WarnMatchedNothing = "matched_nothing"      // nothing in the payload is what the rule names
	WarnHidesSibling   = "rename_hides_sibling" // the renamed property takes the place of another
	WarnBlocked        = "blocked"              // a set or move would lead through a value that cannot hold it
)

// Warning says what about a rule and a payload may not be meant.
type Warning struct {
	Rule   int    `json:"rule"` // index of the rule as given, from 0
	Code   string `json:"code"`
	Detail string `json:"detail"`
}

// Explain says, for a payload that CheckJSON accepts, what each rule found in it, in the order in which the rules were given,
// and what may not be meant.
func (m *Mapping) Explain(payload []byte) (changes []Change, warnings []Warning) {
	found := m.explore(payload)
	changes = make([]Change, len(m.given))
	warnings = []Warning{}
	for i, given := range m.given {
		id := m.ruleOf[i]
		changes[i] = Change{given.Op, given.Path, given.To, found[id].matched}
		for _, code := range found[id].warnings() {
			warnings = append(warnings, Warning{i, code, warningText(code, m.rules[id])})
		}
	}
	return changes, warnings
}

// finding is what one rule found.
type finding struct {
	matched        int
	hides, blocked bool
}

func (f finding) warnings() (codes []string) {
	if f.hides {
		codes = append(codes, WarnHidesSibling)
	}
	if f.blocked {
		codes = append(codes, WarnBlocked)
	}
	if f.matched == 0 && !f.blocked {
		codes = append(codes, WarnMatchedNothing)
	}
	return codes
}

func warningText(code string, r *rule) string {
	switch {
	case code == WarnHidesSibling:
		return fmt.Sprintf("%s takes the place of another property that is called %q", pathText(r.path), r.name)
	case code == WarnBlocked && r.op == OpMove:
		return fmt.Sprintf("%s stays where it is: on the way to %s is a value that cannot hold it", pathText(r.path), pathText(r.to))
	case code == WarnBlocked:
		return fmt.Sprintf("on the way to %s is a value that cannot hold it", pathText(r.path))
	}
	return fmt.Sprintf("there is no %s in this payload", pathText(r.path))
}

// explore reads the payload as ApplyValid would, into everything that a rule names, also where another rule takes it away.
func (m *Mapping) explore(payload []byte) []finding {
	w := writers.Get().(*writer)
	defer w.release()
	w.m, w.src = m, payload
	w.stack = append(w.stack[:0], m.root)
	pos := skipSpace(payload, 0)
	x := explorer{writer: w, found: make([]finding, len(m.rules)), blocked: map[*node]bool{}}
	if len(m.moves) > 0 {
		w.locateAll(pos)
		for i, r := range m.moves {
			if w.moves[i].ok {
				x.found[r.id].matched = 1
			}
			x.found[r.id].blocked = w.moves[i].found && w.moves[i].blocked
		}
	}
	x.explore(pos, 0, 1)
	return x.found
}

// explorer counts what rules find.
type explorer struct {
	*writer
	found   []finding
	blocked map[*node]bool // nodes whose sets were noted as blocked
}

// explore counts in the value at pos and answers where it ends.
func (x *explorer) explore(pos, lo, hi int) int {
	if lo == hi || pos >= len(x.src) {
		return skipValue(x.src, pos)
	}
	for _, n := range x.stack[lo:hi] {
		for _, r := range []*rule{n.keep, n.remove, n.set} {
			if r != nil {
				x.found[r.id].matched++
			}
		}
	}
	switch x.src[pos] {
	case '{':
		return x.object(pos, lo, hi)
	case '[':
		return x.array(pos, lo, hi)
	}
	for _, n := range x.stack[lo:hi] {
		x.block(n)
	}
	return skipValue(x.src, pos)
}

// block notes the sets inside a scalar.
func (x *explorer) block(n *node) {
	if x.blocked[n] {
		return
	}
	x.blocked[n] = true
	for _, child := range n.children() {
		if child.set != nil {
			x.found[child.set.id].blocked = true
		}
		x.block(child)
	}
}

func (x *explorer) object(pos, lo, hi int) int {
	f := frame{pos: pos, lo: lo, hi: hi}
	var hidden []int
	eachMember(x.src, pos, func(m member) {
		at := len(x.stack)
		slot := x.step(&f, m.key)
		var a action
		x.actionOf(&a, at, len(x.stack))
		if a.rename != nil {
			x.found[a.rename.id].matched++
		} else if slot >= 0 && !(a.remove || a.source != nil && x.moves[a.source.move].ok) {
			hidden = append(hidden, slot)
		}
		x.explore(m.value, at, len(x.stack))
		x.stack = x.stack[:at]
	})
	for _, slot := range hidden {
		if f.seen.has(slot) {
			x.hide(&f, slot)
		}
	}
	x.missing(&f)
	return skipValue(x.src, pos)
}

// hide notes the rename of a slot as one that hides a sibling.
func (x *explorer) hide(f *frame, slot int) {
	base := 0
	for _, n := range x.stack[f.lo:f.hi] {
		for i := range n.edges {
			if e := &n.edges[i]; e.slot >= 0 && base+e.slot == slot {
				x.found[e.renamed().id].hides = true
			}
		}
		base += n.slots
	}
}

// missing counts the sets of keys that an object lacks, and notes what a renamed property hides of them.
func (x *explorer) missing(f *frame) {
	base := 0
	for _, n := range x.stack[f.lo:f.hi] {
		for _, e := range n.makers {
			if f.seen.has(base + e.slot) {
				continue
			}
			if e.hiddenBy >= 0 && f.seen.has(base+e.hiddenBy) {
				x.hide(f, base+e.hiddenBy)
			}
			x.countMade(e.to, e.alt)
		}
		base += n.slots
	}
}

// countMade counts the sets that make something where nothing is.
func (x *explorer) countMade(nodes ...*node) {
	for _, n := range nodes {
		if n == nil || !n.makes {
			continue
		}
		if n.set != nil {
			x.found[n.set.id].matched++
		}
		for _, e := range n.makers {
			x.countMade(e.to, e.alt)
		}
	}
}

func (x *explorer) array(pos, lo, hi int) int {
	last := x.lastNamed(lo, hi)
	i := skipSpace(x.src, pos+1)
	for index := 0; i < len(x.src) && x.src[i] != ']' && index <= last; index++ {
		at := len(x.stack)
		x.stepElement(lo, hi, index)
		end := x.explore(i, at, len(x.stack))
		x.stack = x.stack[:at]
		i = skipSpace(x.src, max(end, i+1))
		if i < len(x.src) && x.src[i] == ',' {
			i = skipSpace(x.src, i+1)
		}
	}
	return skipValue(x.src, pos)
}

// children lists where a node leads to.
func (n *node) children() (all []*node) {
	for i := range n.edges {
		for _, child := range []*node{n.edges[i].to, n.edges[i].alt} {
			if child != nil {
				all = append(all, child)
			}
		}
	}
	for _, e := range n.elems {
		all = append(all, e.to)
	}
	if n.every != nil {
		all = append(all, n.every)
	}
	return all
}
