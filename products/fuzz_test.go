package products_test

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"strings"
	"testing"

	"github.com/unihook/unihook/products"
	"github.com/unihook/unihook/schemas"
)

// FuzzLoad holds that whatever an operator's files contain is a catalogue or an error, that what is served is JSON with the
// file's bytes, and that any path can be asked for.
func FuzzLoad(f *testing.F) {
	names, err := fs.Glob(schemas.Catalogue, "*/*.schema.json")
	if err != nil {
		f.Fatal(err)
	}
	for _, name := range names {
		schema, _ := schemas.Catalogue.ReadFile(name)
		example, _ := schemas.Catalogue.ReadFile(strings.Replace(name, ".schema.", ".example.", 1))
		f.Add(schema, example, "contact.#.email")
	}
	f.Add([]byte(`{"title":"T","anyOf":[{"$ref":"#"},{"$dynamicRef":"#x"}],"$defs":{"x":{"$dynamicAnchor":"x"}}}`), []byte(`{"a":1e400}`), "0.*")
	f.Add([]byte(`{"title":"T","properties":{"a":{"minimum":1e999999999,"multipleOf":1e-999999}}}`), []byte(`{"a":1e999999999}`), "a")
	f.Fuzz(func(t *testing.T, schema, example []byte, path string) {
		c, err := products.Load(files{"p/product.json": `{"title":"P"}`, "p/t.schema.json": string(schema), "p/t.example.json": string(example)}.fs())
		if err != nil {
			return
		}
		e, ok := c.Event("p", "t")
		if !ok || !json.Valid(e.Schema) || !json.Valid(e.Example) || e.Title == "" {
			t.Fatalf("a broken event type was let in: %+v", e)
		}
		var compact bytes.Buffer
		if err := json.Compact(&compact, example); err != nil || !bytes.Equal(compact.Bytes(), e.Example) {
			t.Fatalf("the example %q became %q", example, e.Example)
		}
		keys := strings.Split(path, ".")
		e.HasPath(keys)
		e.Required(keys)
	})
}
