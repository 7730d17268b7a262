package mapping

import (
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/tidwall/gjson"
)

// The limits of the public contract. Bytes are counted without white space between tokens.
const (
	MaxRules      = 200      // rules in a set, repeated ones counted
	MaxPathKeys   = 64       // keys in a path
	MaxKeyBytes   = 256      // bytes of a decoded key
	MaxPathBytes  = 1024     // bytes of a path as it is written, escapes included
	MaxValueBytes = 4 << 10  // bytes of a set's value
	MaxRulesBytes = 64 << 10 // bytes of all rules as a JSON array
	MaxDepth      = 1024     // levels of objects and arrays in a payload, before and after
)

// The operations.
const (
	OpRemove = "remove" // the property is left out
	OpRename = "rename" // the property's key becomes To
	OpKeep   = "keep"   // only kept properties remain
	OpMove   = "move"   // the property goes to the path To
	OpSet    = "set"    // the property is Value
)

// Rule is one rule as it is written and stored.
type Rule struct {
	Op    string          `json:"op" bson:"op"`
	Path  string          `json:"path" bson:"path"`
	To    string          `json:"to,omitempty" bson:"to,omitempty"`       // rename: a key; move: a path
	Value json.RawMessage `json:"value,omitempty" bson:"value,omitempty"` // set: any JSON, null included; else absent
}

// ParseRules reads a JSON array of rules. Keys match exactly; an unknown or repeated one is a fault, and so is a value
// of the wrong type. What Compile would refuse is refused here too, so that every fault is told at once.
// The error is a *RulesError, or a *JSONError when text is not JSON.
func ParseRules(text []byte) ([]Rule, error) {
	if err := CheckJSON(text, MaxDepth); err != nil {
		return nil, err
	}
	list := gjson.ParseBytes(text)
	if !list.IsArray() {
		return nil, &RulesError{[]Fault{{WholeList, "", "not_an_array", "not a JSON array of rules"}}}
	}
	known := map[int][]Fault{}
	// A limit on the text itself: its escapes may be longer than what they stand for, which Compile counts.
	if len(Compact(nil, text)) > MaxRulesBytes {
		known[WholeList] = []Fault{rulesTooLong}
	}
	var rules []Rule
	list.ForEach(func(_, value gjson.Result) bool {
		rule, wrong := parseRule(len(rules), value)
		if len(wrong) > 0 {
			known[len(rules)] = wrong
		}
		rules = append(rules, rule)
		return len(rules) <= MaxRules
	})
	if _, faults := checkRules(rules, known); len(faults) > 0 {
		return nil, &RulesError{faults}
	}
	return rules, nil
}

// parseRule reads one element of the array and says what is wrong with its shape.
func parseRule(i int, value gjson.Result) (Rule, []Fault) {
	if !value.IsObject() {
		return Rule{}, []Fault{{i, "", "not_an_object", "is not a rule: a rule is an object"}}
	}
	var rule Rule
	var faults []Fault
	seen := map[string]bool{}
	value.ForEach(func(key, v gjson.Result) bool {
		name := key.String()
		p := problem{}
		if seen[name] {
			p = problem{"repeated_key", "is there twice"}
		} else {
			p = rule.take(name, v)
		}
		if seen[name] = true; !p.ok() {
			faults = append(faults, Fault{i, name, p.code, p.detail})
		}
		return true
	})
	for _, name := range []string{"op", "path"} {
		if !seen[name] {
			faults = append(faults, Fault{i, name, name + "_missing", "is missing"})
		}
	}
	return rule, faults
}

// take puts one member of a rule's object where it belongs.
func (r *Rule) take(name string, v gjson.Result) problem {
	var field *string
	switch name {
	case "op":
		field = &r.Op
	case "path":
		field = &r.Path
	case "to":
		// Null is an optional field's default, here as everywhere in the API.
		if v.Type == gjson.Null {
			return problem{}
		}
		field = &r.To
	case "value":
		r.Value = json.RawMessage(v.Raw)
		return problem{}
	default:
		return problem{"unknown_key", "is not a field of a rule"}
	}
	if v.Type != gjson.String {
		return problem{name + "_not_a_string", "is not a string"}
	}
	if name == "to" && v.Str == "" {
		return problem{"to_empty", "is empty"}
	}
	// An unpaired surrogate has no UTF-8: as U+FFFD it would address another key than the one written.
	if hasLoneSurrogate(v.Raw) {
		return problem{name + "_not_utf8", "has half of a surrogate pair in it"}
	}
	*field = v.Str
	return problem{}
}

func hasLoneSurrogate(raw string) bool {
	return strings.Contains(raw, `\`) && !utf8.Valid(appendUnquoted(nil, []byte(raw[1:len(raw)-1])))
}

// ParseLine reads the command-line form of a rule:
//
//	remove data.contact.email
//	rename data.contact.firstName first_name
//	keep data.id
//	move a b.c
//	set a {"x":1}
//
// `set` takes the rest of the line; elsewhere a space is written as `\ `. The rule is not checked further: Compile does.
func ParseLine(line string) (Rule, error) {
	op, rest := cutWord(line)
	path, rest := cutWord(rest)
	rule := Rule{Op: op, Path: path}
	switch op {
	case OpRemove, OpKeep:
	case OpRename:
		rule.To, rest = cutWord(rest)
		// A new name is a key and not a path, so that this is the one escape it has.
		rule.To = strings.ReplaceAll(rule.To, `\ `, " ")
	case OpMove:
		rule.To, rest = cutWord(rest)
	case OpSet:
		rule.Value, rest = json.RawMessage(strings.Trim(rest, " \t\r\n")), ""
	default:
		return Rule{}, fmt.Errorf("rule %q: the operation is one of remove, rename, keep, move and set", line)
	}
	switch {
	case path == "":
		return Rule{}, fmt.Errorf("rule %q: the path is missing", line)
	case op == OpSet && len(rule.Value) == 0:
		return Rule{}, fmt.Errorf("rule %q: the value is missing", line)
	case (op == OpRename || op == OpMove) && rule.To == "":
		return Rule{}, fmt.Errorf("rule %q: what comes after the path, the new place, is missing", line)
	case strings.Trim(rest, " \t\r\n") != "":
		return Rule{}, fmt.Errorf(`rule %q: there is more than the rule takes; a space in a path is written as "\ "`, line)
	}
	return rule, nil
}

// cutWord takes the first word of s, in which a backslash keeps the next character, also a space, in the word.
func cutWord(s string) (word, rest string) {
	s = strings.TrimLeft(s, " \t\r\n")
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case ' ', '\t', '\r', '\n':
			return s[:i], s[i:]
		}
	}
	return s, ""
}
