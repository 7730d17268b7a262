package products_test

import (
	"strings"
	"testing"

	"github.com/unihook/unihook/products"
)

// typed returns an event type with this schema and example.
func typed(t *testing.T, schema, example string) products.EventType {
	t.Helper()
	e, ok := load(t, files{"p/product.json": `{"title":"P"}`, "p/t.schema.json": schema, "p/t.example.json": example}).Event("p", "t")
	if !ok {
		t.Fatal("the event type is not there")
	}
	return e
}

func TestEventType_Paths(t *testing.T) {
	const defs = `{
		"node":{"properties":{"v":{"type":"string"},"next":{"$ref":"#/$defs/node"},"all":{"type":"array","items":{"$ref":"#/$defs/node"}}}},
		"loop":{"anyOf":[{"$ref":"#/$defs/loop"},{"properties":{"b":{}}}]}}`
	for _, tc := range []struct {
		name, schema string
		has, hasNot  string // paths below x, by spaces
	}{
		{"properties are those that are listed", `{"properties":{"a":{"properties":{"b":{"type":"string"}}}}}`, "a a.b", "b a.c a.b.c a.#"},
		{"a schema that says nothing has everything", `{}`, "a a.b # 0 #.a", ""},
		{"an object of which nothing is said has every property", `{"type":"object","properties":{}}`, "a a.b 0 0.a", "# #.a"},
		{"an array of which nothing is said has every element", `{"type":"array"}`, "# * 0 #.a.b", "a a.b"},
		{"items", `{"type":"array","items":{"properties":{"a":{"type":"string"}}}}`, "# #.a *.a 7.a", "a #.b 07.a -1.a"},
		{"items that are scalars", `{"type":"array","items":{"type":"string"}}`, "# 3", "#.a #.#"},
		{"prefixItems", `{"type":"array","prefixItems":[{"properties":{"a":{}}},{"properties":{"b":{}}}],"items":false}`, "0.a 1.b #.a #.b", "1.a 2 2.a"},
		{"contains", `{"type":"array","contains":{"properties":{"a":{}}}}`, "#.a", "#.b"},
		{"a number and # may be keys", `{"type":"object","properties":{"0":{"type":"string"},"#":{"type":"string"}}}`, "0 #", "1 *"},
		{"additionalProperties let others in", `{"properties":{"a":{"type":"string"}},"additionalProperties":true}`, "a b b.c", "a.b #"},
		{"additionalProperties with a schema", `{"additionalProperties":{"properties":{"a":{}}}}`, "k k.a 5.a", "k.b"},
		{"additionalProperties keep others out", `{"additionalProperties":false}`, "", "a"},
		{"unevaluatedProperties", `{"allOf":[{"properties":{"a":{}}}],"unevaluatedProperties":{"type":"string"}}`, "a b", "b.c"},
		{"patternProperties", `{"patternProperties":{"^x_":{"type":"string"}},"additionalProperties":false}`, "x_1", "y x_1.a"},
		{"propertyNames", `{"additionalProperties":true,"propertyNames":{"pattern":"^[a-z]+$"}}`, "ab", "A"},
		{"a property that must not be there", `{"properties":{"a":false},"additionalProperties":true}`, "b", "a"},
		{"allOf adds up", `{"allOf":[{"properties":{"a":{}}},{"properties":{"b":{}}}]}`, "a b", "c"},
		{"anyOf and oneOf have what a branch has", `{"properties":{"k":{"type":"string"}},"anyOf":[{"required":["k"]},{"properties":{"a":{}}}],"oneOf":[{"properties":{"b":{}}},{"type":"null"}]}`, "k a b", "c"},
		{"a branch of another type counts for nothing", `{"anyOf":[{"type":"string"},{"type":"null"}]}`, "", "a #"},
		{"if, then and else", `{"if":{"required":["a"]},"then":{"properties":{"a":{}}},"else":{"properties":{"b":{}}}}`, "a b", "c"},
		{"dependentSchemas", `{"properties":{"a":{}},"dependentSchemas":{"a":{"properties":{"b":{}}}}}`, "a b", "c"},
		{"const and enum", `{"properties":{"a":{"const":"x"},"b":{"enum":["x",{"y":1}]}}}`, "a b b.y", "a.y"},
		{"an object or nothing", `{"type":["object","null"],"properties":{"a":{}}}`, "a", "b"},
		{"a schema that refers to itself", `{"$ref":"#/$defs/node"}`, "v next.next.next.v all.#.all.0.next.v", "w next.w next.next.w all.v"},
		{"a schema that is only itself", `{"$ref":"#/$defs/loop"}`, "b", "c"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			e := typed(t, `{"title":"T","properties":{"x":`+tc.schema+`},"$defs":`+defs+`}`, `{}`)
			for _, path := range strings.Fields(tc.has) {
				if !e.HasPath(strings.Split("x."+path, ".")) {
					t.Errorf("%s: is not there", path)
				}
			}
			for _, path := range strings.Fields(tc.hasNot) {
				if e.HasPath(strings.Split("x."+path, ".")) {
					t.Errorf("%s: is there", path)
				}
			}
		})
	}
}

func TestEventType_Required(t *testing.T) {
	for _, tc := range []struct {
		name, schema, example string
		yes, no               string // paths, by spaces
	}{
		{"of its parent, which may be optional", `{"required":["a"],"properties":{"a":{"required":["b"],"properties":{"b":{},"c":{}}},"o":{"required":["b"],"properties":{"b":{"properties":{"c":{}}}}}}}`, `{"a":0}`, "a a.b o.b", "a.c o o.b.c z z.b"},
		{"what is required need not be listed", `{"required":["a"]}`, `{"a":0}`, "a", "b a.b"},
		{"in elements of an array", `{"required":["a"],"properties":{"a":{"type":"array","items":{"required":["b"],"properties":{"b":{},"c":{}}}},"o":{"items":{"required":["b"]}}}}`, `{"a":[]}`, "a a.#.b a.0.b a.*.b o.#.b", "a.# a.0 a.#.c o"},
		{"a number may be a key", `{"required":["0"],"properties":{"0":{"required":["b"],"properties":{"b":{}}}}}`, `{"0":0}`, "0 0.b", "1"},
		{"allOf and $ref", `{"allOf":[{"required":["a"]}],"$ref":"#/$defs/d","$defs":{"d":{"required":["b"],"properties":{"b":{"required":["c"]}}}}}`, `{"a":0,"b":0}`, "a b b.c", "c"},
		{"every branch must demand it", `{"oneOf":[{"required":["k","a"]},{"required":["k","b"]}]}`, `{"k":0,"a":0}`, "k", "a b"},
		{"an object or null", `{"required":["a","b"],"properties":{"a":{"anyOf":[{"type":"null"},{"type":"object","required":["x"],"properties":{"x":{"required":["y"]}}}]},"b":{"type":["object","null"],"required":["x"]}}}`, `{"a":null,"b":null}`, "a.x a.x.y b.x", "a.y"},
		{"a condition demands nothing for certain", `{"if":{"required":["a"]},"then":{"required":["b"]},"dependentRequired":{"a":["c"]}}`, `{}`, "", "a b c"},
		{"a schema that refers to itself", `{"anyOf":[{"$ref":"#"},{"required":["a"]}],"required":["b"],"properties":{"b":{"$ref":"#"}}}`, `{"a":0,"b":0}`, "b b.b b.b.b", "a b.a"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			e := typed(t, `{"title":"T",`+tc.schema[1:], tc.example)
			for _, path := range strings.Fields(tc.yes) {
				if !e.Required(strings.Split(path, ".")) {
					t.Errorf("%s: is not required", path)
				}
			}
			for _, path := range strings.Fields(tc.no) {
				if e.Required(strings.Split(path, ".")) {
					t.Errorf("%s: is required", path)
				}
			}
		})
	}
}

func TestEventType_WithoutSchemaOrKeys(t *testing.T) {
	var unknown products.EventType
	if !unknown.HasPath([]string{"a"}) || unknown.Required([]string{"a"}) {
		t.Error("something can be said of an event type without a schema")
	}
	e := typed(t, `{"title":"T","properties":{"a":{}}}`, `{}`)
	if !e.HasPath(nil) || !e.Required(nil) {
		t.Error("data itself is not there")
	}
}
