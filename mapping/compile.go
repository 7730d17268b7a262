package mapping

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
)

// Mapping is a compiled set of rules. It never changes and may be used by any number of goroutines at once.
type Mapping struct {
	root      *node
	rules     []*rule // each once, in the order given
	given     []Rule  // as given, for Explain
	ruleOf    []int   // index into rules of each given rule
	canonical []byte
	moves     []*rule // the rules that move, by rule.move
	hasKeep   bool
	growth    int // bytes that the rules may add where no `#` repeats them
}

// rule is a Rule that was found sound.
type rule struct {
	id     int // index into Mapping.rules
	op     string
	path   []Segment
	to     []Segment // move
	newKey []byte    // rename: the key in quotation marks
	name   string    // rename: the key
	value  []byte    // set: compact
	first  int       // index among the rules given
	move   int       // move: index into Mapping.moves
	text   []byte    // canonical
}

var (
	tooManyRules = Fault{WholeList, "", "too_many_rules", "more than 200"}
	rulesTooLong = Fault{WholeList, "", "rules_too_long", "longer than 64 KiB without white space"}
)

// Compile checks rules and prepares them. The error is a *RulesError that holds every fault.
// The bytes of the rules' values are copied.
func Compile(rules []Rule) (*Mapping, error) {
	sound, faults := checkRules(rules, nil)
	if len(faults) > 0 {
		return nil, &RulesError{faults}
	}
	m := &Mapping{given: slices.Clone(rules)}
	seen := map[string]int{}
	for i, r := range sound {
		at, known := seen[string(r.text)]
		if !known {
			at = len(m.rules)
			seen[string(r.text)] = at
			r.id = at
			m.rules = append(m.rules, r)
		}
		m.given[i].Value = slices.Clone(m.given[i].Value)
		m.ruleOf = append(m.ruleOf, at)
	}
	for _, r := range m.rules {
		if r.op == OpMove {
			r.move = len(m.moves)
			m.moves = append(m.moves, r)
		}
		m.hasKeep = m.hasKeep || r.op == OpKeep
		m.growth += r.growth()
	}
	m.canonical = canonical(m.rules)
	m.root = buildTree(m.rules)
	return m, nil
}

// growth is the most that the rule adds to a payload, in bytes, at a path that leads to one property.
func (r *rule) growth() int {
	if hasEvery(r.path) {
		return 0
	}
	n := len(r.value)
	if r.op == OpRename {
		n = max(0, len(r.newKey)-len(r.path[len(r.path)-1].Key)-2)
	}
	for _, s := range r.place() {
		n += len(s.Key) + len(`,{"":}`)
	}
	return n
}

// checkRules judges each rule alone, and then those without a fault with the others. Known are faults that were found
// before, by rule; they are part of the answer, and nothing more is said about their fields.
func checkRules(rules []Rule, known map[int][]Fault) ([]*rule, []Fault) {
	faults := slices.Clone(known[WholeList])
	if len(rules) > MaxRules {
		faults = append(faults, tooManyRules)
		rules = rules[:MaxRules]
	}
	sound := make([]*rule, len(rules))
	size := len("[]") - len(",")
	for i, given := range rules {
		r, wrong := checkRule(i, given)
		if wrong = addFaults(known[i], wrong); len(wrong) > 0 {
			faults = append(faults, wrong...)
			continue
		}
		sound[i] = r
		size += len(r.text) + len(",")
	}
	if size > MaxRulesBytes && len(known[WholeList]) == 0 {
		faults = append(faults, rulesTooLong)
	}
	faults = append(faults, findConflicts(sound)...)
	slices.SortStableFunc(faults, func(a, b Fault) int { return a.Rule - b.Rule })
	return sound, faults
}

// addFaults adds those of more that are about other fields than the known ones, unless the whole rule is at fault.
func addFaults(known, more []Fault) []Fault {
	all := slices.Clone(known)
	for _, f := range more {
		if !slices.ContainsFunc(known, func(k Fault) bool { return k.Field == f.Field || k.Field == "" }) {
			all = append(all, f)
		}
	}
	return all
}

// checkRule judges one rule by itself.
func checkRule(i int, given Rule) (*rule, []Fault) {
	r := &rule{op: given.Op, first: i}
	var faults []Fault
	report := func(field string, p problem) {
		if !p.ok() {
			faults = append(faults, Fault{i, field, field + "_" + p.code, p.detail})
		}
	}
	known := slices.Contains([]string{OpRemove, OpRename, OpKeep, OpMove, OpSet}, given.Op)
	if !known {
		report("op", problem{"unknown", "is not one of remove, rename, keep, move and set"})
	}
	var p problem
	r.path, p = splitPath(given.Path)
	report("path", p)
	if p.ok() {
		report("path", checkWildcards(given.Op, r.path))
	}
	if known {
		report("to", r.takeTo(given))
		report("value", r.takeValue(given))
	}
	if len(faults) == 0 && r.op == OpMove && covers(r.path, r.to) {
		report("to", problem{"inside_itself", "is at or inside the property that is moved"})
	}
	r.text = r.canonical()
	return r, faults
}

// checkWildcards refuses `#` where a rule could not say which element it means.
func checkWildcards(op string, path []Segment) problem {
	switch {
	case op == OpMove && hasEvery(path):
		return problem{"wildcard", "has a # or * in it, which a move does not take"}
	case op == OpRename && path[len(path)-1].Every:
		return problem{"wildcard", "ends in # or *: an element of an array has no key to rename"}
	}
	return problem{}
}

// takeTo reads the new key of a rename or the new path of a move.
func (r *rule) takeTo(given Rule) (p problem) {
	switch {
	case r.op != OpRename && r.op != OpMove:
		if given.To != "" {
			return problem{"not_allowed", "belongs to rename and move alone"}
		}
	case given.To == "":
		return problem{"missing", "is missing"}
	case r.op == OpRename:
		r.name, r.newKey = given.To, appendQuoted(nil, given.To)
		return checkKey(given.To)
	default:
		if r.to, p = splitPath(given.To); p.ok() {
			return checkWildcards(OpMove, r.to)
		}
	}
	return p
}

// takeValue reads the value of a set.
func (r *rule) takeValue(given Rule) problem {
	if r.op != OpSet {
		if len(given.Value) > 0 {
			return problem{"not_allowed", "belongs to set alone"}
		}
		return problem{}
	}
	if len(given.Value) == 0 {
		return problem{"missing", "is missing; null would be a value"}
	}
	err := CheckJSON(given.Value, MaxDepth-len(r.path))
	if errors.Is(err, ErrTooDeep) {
		return problem{"too_deep", "would be nested more than 1024 levels deep"}
	}
	if err != nil {
		return problem{"invalid", "is " + err.Error()}
	}
	if r.value = Compact(nil, given.Value); len(r.value) > MaxValueBytes {
		return problem{"too_long", "is longer than 4 KiB without white space"}
	}
	return problem{}
}

// canonical writes the rule in the one form that equal rules share.
func (r *rule) canonical() []byte {
	out := append([]byte(`{"op":`), appendQuoted(nil, r.op)...)
	out = appendQuoted(append(out, `,"path":`...), pathText(r.path))
	switch r.op {
	case OpRename:
		out = append(append(out, `,"to":`...), r.newKey...)
	case OpMove:
		out = appendQuoted(append(out, `,"to":`...), pathText(r.to))
	case OpSet:
		out = append(append(out, `,"value":`...), r.value...)
	}
	return append(out, '}')
}

func canonical(rules []*rule) []byte {
	texts := make([][]byte, len(rules))
	for i, r := range rules {
		texts[i] = r.text
	}
	slices.SortFunc(texts, bytes.Compare)
	return append(append([]byte("["), bytes.Join(texts, []byte(","))...), ']')
}

// findConflicts reports each rule that contradicts an earlier one. Nil rules are skipped.
func findConflicts(rules []*rule) []Fault {
	var faults []Fault
	for j, later := range rules {
		if later == nil {
			continue
		}
		for i, earlier := range rules[:j] {
			if earlier == nil || bytes.Equal(earlier.text, later.text) {
				continue
			}
			if field, why := contradiction(earlier, later); why != "" {
				faults = append(faults, Fault{j, field, "conflict", fmt.Sprintf("contradicts rules[%d]: %s", i, why)})
				break
			}
		}
	}
	return faults
}

// contradiction says why two different rules cannot both hold, and which field of the later one shows it.
func contradiction(earlier, later *rule) (field, why string) {
	if overlap(earlier.path, later.path) && !agree(earlier.op, later.op) {
		return "path", "both could address one property"
	}
	if earlier.op == OpRename && later.op == OpRename && earlier.name == later.name &&
		overlap(earlier.path[:len(earlier.path)-1], later.path[:len(later.path)-1]) {
		return "to", "both rename to one key of one object"
	}
	if a, b := earlier.place(), later.place(); a != nil && b != nil && (covers(a, b) || covers(b, a)) {
		return later.placeField(), "both put something at one place, or one inside the other"
	}
	if later.op == OpMove && earlier.op != OpKeep && covers(earlier.path, later.to) {
		return "to", "the new place is at or in what that rule addresses"
	}
	if earlier.op == OpMove && later.op != OpKeep && covers(later.path, earlier.to) {
		return "path", "it addresses the new place of what that rule moves, or what encloses it"
	}
	return "", ""
}

// agree says whether two different rules may address one property.
func agree(a, b string) bool {
	if a == OpKeep || b == OpKeep {
		return a != OpRemove && b != OpRemove
	}
	return a == OpRemove && b == OpRemove
}

// place is where the rule puts something, or nil.
func (r *rule) place() []Segment {
	switch r.op {
	case OpSet:
		return r.path
	case OpMove:
		return r.to
	}
	return nil
}

func (r *rule) placeField() string {
	if r.op == OpMove {
		return "to"
	}
	return "path"
}

// Canonical returns the effective rules as compact JSON: each rule once, in an order of its own, so that two lists that
// do the same by the same rules have the same bytes. It is meant for content hashes. The caller must not change it.
func (m *Mapping) Canonical() []byte { return m.canonical }

// Empty says whether there are no rules.
func (m *Mapping) Empty() bool { return len(m.rules) == 0 }

// Touches says whether any rule could remove, rename, move, set or leave out the property at this path of keys,
// something that encloses it, or something in it, or put something in its place.
func (m *Mapping) Touches(keys ...string) bool {
	path := make([]Segment, len(keys))
	for i, key := range keys {
		path[i] = Segment{Key: key, Index: -1}
	}
	kept := !m.hasKeep
	for _, r := range m.rules {
		if r.op == OpKeep {
			kept = kept || covers(r.path, path)
			continue
		}
		if related(r.path, path) || related(r.to, path) && r.op == OpMove {
			return true
		}
		if r.op == OpRename && related(r.renamed(), path) {
			return true
		}
	}
	return !kept
}

// related says whether one path could lie at or inside the other.
func related(a, b []Segment) bool { return covers(a, b) || covers(b, a) }

// renamed is the path of the property under its new key.
func (r *rule) renamed() []Segment {
	path := slices.Clone(r.path)
	path[len(path)-1] = Segment{Key: r.name, Index: -1}
	return path
}
