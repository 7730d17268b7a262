package main

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"unicode"

	"github.com/unihook/unihook/mapping"
)

// sharedRules are the demo webhook's own: they touch every event.
func sharedRules() []mapping.Rule {
	return []mapping.Rule{
		{Op: mapping.OpRename, Path: "createdAt", To: "created_at"},
		{Op: mapping.OpSet, Path: "source", Value: json.RawMessage(`"unihook demo"`)},
	}
}

// schemaNode is what the demo reads of a JSON Schema.
type schemaNode struct {
	Ref        string                 `json:"$ref"`
	Defs       map[string]*schemaNode `json:"$defs"`
	Properties map[string]*schemaNode `json:"properties"`
	Items      *schemaNode            `json:"items"`
	Personal   bool                   `json:"x-personal-data"`
}

// rulesOf is what a careful customer asks for of one event type: what its schema calls personal data is left out, and
// the keys in camel case become keys in snake case.
func rulesOf(schema json.RawMessage) ([]mapping.Rule, error) {
	top := new(schemaNode)
	if err := json.Unmarshal(schema, top); err != nil {
		return nil, err
	}
	w := ruleWriter{defs: top.Defs}
	w.walk(top, "data", 0)
	return w.rules, nil
}

// maxSchemaDepth ends the walk of a schema that contains itself.
const maxSchemaDepth = 12

type ruleWriter struct {
	defs  map[string]*schemaNode
	rules []mapping.Rule
}

func (w *ruleWriter) walk(node *schemaNode, path string, depth int) {
	node = w.resolve(node)
	if node == nil || depth > maxSchemaDepth {
		return
	}
	w.walk(node.Items, path+".#", depth+1)
	for _, key := range slices.Sorted(maps.Keys(node.Properties)) {
		child, at := node.Properties[key], path+"."+escapeKey(key)
		target := w.resolve(child)
		if child.Personal || target != nil && target.Personal {
			w.rules = append(w.rules, mapping.Rule{Op: mapping.OpRemove, Path: at})
			continue
		}
		if snake := snakeCase(key); snake != key && node.Properties[snake] == nil {
			w.rules = append(w.rules, mapping.Rule{Op: mapping.OpRename, Path: at, To: snake})
		}
		w.walk(child, at, depth+1)
	}
}

// resolve follows a reference to the schema's own definitions.
func (w *ruleWriter) resolve(node *schemaNode) *schemaNode {
	if node == nil || node.Ref == "" {
		return node
	}
	return w.defs[strings.TrimPrefix(node.Ref, "#/$defs/")]
}

// escapeKey writes a key as a path has it.
func escapeKey(key string) string {
	key = strings.NewReplacer(`\`, `\\`, `.`, `\.`).Replace(key)
	if key == "#" || key == "*" || key != "" && strings.Trim(key, "0123456789") == "" {
		return `\` + key
	}
	return key
}

// snakeCase turns firstName into first_name.
func snakeCase(key string) string {
	var b strings.Builder
	for i, r := range key {
		if unicode.IsUpper(r) && i > 0 {
			b.WriteByte('_')
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}

// expected is what the demo's rules make of a decoded body, worked out without the mapping engine: what arrives is
// held against it. Path is the value's own, as the rules write it.
func expected(value any, path string, rules map[string]mapping.Rule) any {
	below := func(key string) string { return strings.TrimPrefix(path+"."+key, ".") }
	switch v := value.(type) {
	case []any:
		list := make([]any, len(v))
		for i, element := range v {
			list[i] = expected(element, below("#"), rules)
		}
		return list
	case map[string]any:
		object := map[string]any{}
		for key, member := range v {
			at := below(escapeKey(key))
			switch rule := rules[at]; rule.Op {
			case mapping.OpRemove:
			case mapping.OpRename:
				object[rule.To] = expected(member, at, rules)
			default:
				object[key] = expected(member, at, rules)
			}
		}
		if path == "" {
			setConstants(object, rules)
		}
		return object
	}
	return value
}

// setConstants puts in what the rules set, which the demo does at the top level alone.
func setConstants(object map[string]any, rules map[string]mapping.Rule) {
	for path, rule := range rules {
		if rule.Op == mapping.OpSet {
			object[path], _ = decodeExactly(rule.Value)
		}
	}
}
