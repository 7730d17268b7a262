package products

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// dialect is the JSON Schema that schemas are written in.
const dialect = "https://json-schema.org/draft/2020-12/schema"

// sealed is the loader of schemas that others refer to: it has none. A catalogue must not read other files or call other
// hosts when it loads, and who reads a schema through the API has nothing but that schema.
type sealed struct{}

// Load refuses url.
func (sealed) Load(url string) (any, error) {
	return nil, fmt.Errorf("%s is outside this file; a schema refers to its own $defs alone", url)
}

// compile makes a schema ready for use and notes its faults. It returns nil where there are some.
func (l *loader) compile(name string, f file) *jsonschema.Schema {
	if draft, given := f.object["$schema"]; given && draft != dialect {
		l.fault(name, "at /$schema: is not %s", dialect)
		return nil
	}
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft2020)
	c.UseLoader(sealed{})
	// An example shows people what a format looks like, so here a format is a demand and not a remark.
	c.AssertFormat()
	url := "catalogue:///" + name
	if err := c.AddResource(url, f.object); err != nil {
		l.fault(name, "%v", err)
		return nil
	}
	schema, err := c.Compile(url)
	if err == nil {
		return schema
	}
	var bad *jsonschema.SchemaValidationError
	var refused *jsonschema.ValidationError
	if errors.As(err, &bad) && errors.As(bad.Err, &refused) {
		for _, fault := range leaves(refused) {
			l.fault(name, "is not a JSON Schema: %s", fault)
		}
		return nil
	}
	l.fault(name, "is not a JSON Schema: %s", strings.ReplaceAll(err.Error(), url, ""))
	return nil
}

// try notes where an example is not what its schema says.
func (l *loader) try(name string, example file, schemaName string, schema *jsonschema.Schema) {
	err := schema.Validate(example.object)
	if err == nil {
		return
	}
	var refused *jsonschema.ValidationError
	if !errors.As(err, &refused) {
		l.fault(name, "checking it with %s: %v", schemaName, err)
		return
	}
	for _, fault := range leaves(refused) {
		l.fault(name, "%s refuses it: %s", schemaName, fault)
	}
}

// leaves returns the innermost causes of a refusal, each with its place, in the order of their places.
func leaves(e *jsonschema.ValidationError) []string {
	var out []string
	var walk func(e *jsonschema.ValidationError)
	walk = func(e *jsonschema.ValidationError) {
		for _, cause := range e.Causes {
			walk(cause)
		}
		if len(e.Causes) > 0 {
			return
		}
		at := ""
		for _, key := range e.InstanceLocation {
			at += "/" + pointer(key)
		}
		if at == "" {
			at = "the top"
		}
		out = append(out, fmt.Sprintf("at %s: %s", at, e.BasicOutput().Error))
	}
	walk(e)
	slices.Sort(out)
	return slices.Compact(out)
}
