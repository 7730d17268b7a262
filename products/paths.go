package products

import (
	"slices"
	"strconv"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// HasPath reports whether the schema could hold a property at this path of data, keys as a mapping's path has them after
// decoding. "#" and "*" lead to every element of an array, a number to one element or to the key of that name. An object
// or array that its schema says nothing about could hold anything; one whose properties are listed has those, and others
// only where additionalProperties, patternProperties or unevaluatedProperties let them in by name: a schema that is merely
// silent on them does not have them. Of anyOf, oneOf, then, else and dependentSchemas each branch counts. No keys are data
// itself, which is always there. The zero EventType has every path.
func (e EventType) HasPath(keys []string) bool {
	if e.compiled == nil {
		return true
	}
	at := []*jsonschema.Schema{e.compiled}
	for _, key := range keys {
		below, free := step(at, key, possible)
		if free {
			return true
		}
		if len(below) == 0 {
			return false
		}
		at = below
	}
	return true
}

// Required reports whether the schema demands the property at this path of data of whatever it lies in: taking it away
// makes data that its readers do not expect. What it lies in need not be there itself, be it an optional object or an
// element of an array. A value that may be null instead of an object counts as the object. It errs on the side of false
// where only some branches of an anyOf or oneOf demand the property. No keys are data itself, which is required.
func (e EventType) Required(keys []string) bool {
	if e.compiled == nil {
		return false
	}
	if len(keys) == 0 {
		return true
	}
	at := []*jsonschema.Schema{e.compiled}
	for _, key := range keys[:len(keys)-1] {
		at, _ = step(at, key, certain)
	}
	key := keys[len(keys)-1]
	return slices.ContainsFunc(at, func(s *jsonschema.Schema) bool { return newLens(object, certain).demands(s, key) })
}

// isElement reports whether a path's key may lead to elements of an array.
func isElement(key string) bool {
	_, numbered := index(key)
	return numbered || isEvery(key)
}

// isEvery reports whether a path's key leads to every element of an array.
func isEvery(key string) bool { return key == "#" || key == "*" }

// index returns the element that a path's key leads to, and whether it is a number as mappings write it.
func index(key string) (int, bool) {
	n, err := strconv.Atoi(key)
	return n, err == nil && n >= 0 && strconv.Itoa(n) == key
}

// step returns the schemas of what key leads to from a value that the schemas at describe, as object and as array. free
// says that nothing at all is said about what lies there.
func step(at []*jsonschema.Schema, key string, of branches) (below []*jsonschema.Schema, free bool) {
	asProperty, freeObject := newLens(object, of).properties(at, key)
	if !isElement(key) {
		return asProperty, freeObject
	}
	asElement, freeArray := newLens(array, of).elements(at, key)
	return append(asProperty, asElement...), freeArray || freeObject && !isEvery(key)
}

// The JSON types that something can lie in.
const (
	object = "object"
	array  = "array"
)

// branches says which branches of anyOf, oneOf, then, else and dependentSchemas a lens looks into.
type branches int

const (
	// possible: every one that admits the type.
	possible branches = iota
	// certain: those of an anyOf or oneOf of which only one admits the type.
	certain
)

// lens looks at schemas of one value, taken to be of one JSON type. A schema may refer to itself: what was seen is
// remembered.
type lens struct {
	typ      string
	of       branches
	seen     map[*jsonschema.Schema]bool
	admitted map[*jsonschema.Schema]bool
	demanded map[*jsonschema.Schema]bool
}

func newLens(typ string, of branches) *lens {
	return &lens{typ, of, map[*jsonschema.Schema]bool{}, map[*jsonschema.Schema]bool{}, map[*jsonschema.Schema]bool{}}
}

// properties returns the schemas that the property key has in the objects that the schemas at describe. free says that
// they say nothing about what lies in them.
func (l *lens) properties(at []*jsonschema.Schema, key string) (below []*jsonschema.Schema, free bool) {
	layer := l.layer(at)
	free = len(layer) > 0
	for _, s := range layer {
		below = append(below, property(s, key)...)
		free = free && !speaks(s)
	}
	return slices.DeleteFunc(below, isFalse), free
}

// elements is properties for the elements of an array that key leads to.
func (l *lens) elements(at []*jsonschema.Schema, key string) (below []*jsonschema.Schema, free bool) {
	layer := l.layer(at)
	free = len(layer) > 0
	for _, s := range layer {
		below = append(below, element(s, key)...)
		free = free && !speaks(s)
	}
	return slices.DeleteFunc(below, isFalse), free
}

// speaks reports whether s itself says something about what lies in a value. One that lists properties and names no type
// means an object, so this holds for both types.
func speaks(s *jsonschema.Schema) bool {
	return len(s.Properties)+len(s.PatternProperties)+len(s.PrefixItems) > 0 ||
		s.AdditionalProperties != nil || s.UnevaluatedProperties != nil || s.PropertyNames != nil ||
		s.Items2020 != nil || s.UnevaluatedItems != nil || s.Contains != nil
}

// property returns the schemas that s itself gives to the property key; "#" is one only where it is listed.
func property(s *jsonschema.Schema, key string) (below []*jsonschema.Schema) {
	if p, ok := s.Properties[key]; ok {
		below = append(below, p)
	}
	if isEvery(key) {
		return below // else every object that takes any key would seem to have elements
	}
	for pattern, p := range s.PatternProperties {
		if pattern.MatchString(key) {
			below = append(below, p)
		}
	}
	if below != nil || s.PropertyNames != nil && s.PropertyNames.Validate(key) != nil {
		return below
	}
	switch other := s.AdditionalProperties.(type) {
	case bool:
		if other {
			below = append(below, anything)
		}
	case *jsonschema.Schema:
		below = append(below, other)
	case nil:
		if s.UnevaluatedProperties != nil {
			below = append(below, s.UnevaluatedProperties)
		}
	}
	return below
}

// element returns the schemas that s itself gives to the elements that key leads to.
func element(s *jsonschema.Schema, key string) (below []*jsonschema.Schema) {
	n, numbered := index(key)
	switch {
	case numbered && n < len(s.PrefixItems):
		below = append(below, s.PrefixItems[n])
	case isEvery(key):
		below = append(below, s.PrefixItems...)
		fallthrough
	default:
		for _, rest := range []*jsonschema.Schema{s.Items2020, s.UnevaluatedItems} {
			if rest != nil {
				below = append(below, rest)
			}
		}
	}
	if s.Contains != nil {
		below = append(below, s.Contains)
	}
	return below
}

// anything is the schema true.
var anything = func() *jsonschema.Schema { yes := true; return &jsonschema.Schema{Bool: &yes} }()

// isFalse reports whether s is the schema false, which nothing satisfies.
func isFalse(s *jsonschema.Schema) bool { return s.Bool != nil && !*s.Bool }

// layer returns the schemas at that admit the lens's type, with all that apply to the same value with them.
func (l *lens) layer(at []*jsonschema.Schema) []*jsonschema.Schema {
	var out []*jsonschema.Schema
	var add func(s *jsonschema.Schema)
	add = func(s *jsonschema.Schema) {
		if l.seen[s] || !l.admits(s) {
			return
		}
		l.seen[s] = true
		out = append(out, s)
		for _, part := range l.parts(s) {
			add(part)
		}
	}
	for _, s := range at {
		add(s)
	}
	return out
}

// parts returns the schemas that apply to the same value as s does, as far as the lens looks.
func (l *lens) parts(s *jsonschema.Schema) []*jsonschema.Schema {
	parts := together(s)
	for _, group := range [][]*jsonschema.Schema{s.AnyOf, s.OneOf} {
		open := l.open(group)
		if l.of == possible || len(open) == 1 {
			parts = append(parts, open...)
		}
	}
	if l.of == certain {
		return parts
	}
	for _, branch := range []*jsonschema.Schema{s.Then, s.Else} {
		if branch != nil {
			parts = append(parts, branch)
		}
	}
	for _, branch := range s.DependentSchemas {
		parts = append(parts, branch)
	}
	return parts
}

// together returns the schemas that a value must satisfy wherever it satisfies s.
func together(s *jsonschema.Schema) []*jsonschema.Schema {
	all := slices.Clone(s.AllOf)
	if s.Ref != nil {
		all = append(all, s.Ref)
	}
	if s.DynamicRef != nil && s.DynamicRef.Ref != nil {
		all = append(all, s.DynamicRef.Ref)
	}
	return all
}

// open returns the branches that admit the lens's type.
func (l *lens) open(group []*jsonschema.Schema) []*jsonschema.Schema {
	var open []*jsonschema.Schema
	for _, branch := range group {
		if l.admits(branch) {
			open = append(open, branch)
		}
	}
	return open
}

// admits reports whether a value of the lens's type could satisfy s, judged by types alone.
func (l *lens) admits(s *jsonschema.Schema) bool {
	if known, ok := l.admitted[s]; ok {
		return known
	}
	l.admitted[s] = true // what refers to itself is decided by the rest of it
	ok := !isFalse(s) && (s.Types == nil || slices.Contains(s.Types.ToStrings(), l.typ))
	ok = ok && (s.Const == nil || jsonType(*s.Const) == l.typ)
	ok = ok && (s.Enum == nil || slices.ContainsFunc(s.Enum.Values, func(v any) bool { return jsonType(v) == l.typ }))
	ok = ok && !slices.ContainsFunc(together(s), func(part *jsonschema.Schema) bool { return !l.admits(part) })
	ok = ok && (len(s.AnyOf) == 0 || len(l.open(s.AnyOf)) > 0) && (len(s.OneOf) == 0 || len(l.open(s.OneOf)) > 0)
	l.admitted[s] = ok
	return ok
}

// demands reports whether every object that satisfies s has the property key.
func (l *lens) demands(s *jsonschema.Schema, key string) bool {
	if known, ok := l.demanded[s]; ok {
		return known
	}
	l.demanded[s] = false // what refers to itself demands what the rest of it does
	demand := func(part *jsonschema.Schema) bool { return l.demands(part, key) }
	ok := slices.Contains(s.Required, key) || slices.ContainsFunc(together(s), demand)
	for _, group := range [][]*jsonschema.Schema{s.AnyOf, s.OneOf} {
		open := l.open(group)
		ok = ok || len(open) > 0 && !slices.ContainsFunc(open, func(branch *jsonschema.Schema) bool { return !l.demands(branch, key) })
	}
	l.demanded[s] = ok
	return ok
}

// jsonType returns the type of a container, and "" for any other value.
func jsonType(v any) string {
	switch v.(type) {
	case map[string]any:
		return object
	case []any:
		return array
	}
	return ""
}
