package products_test

import (
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/unihook/unihook/products"
)

// files is a catalogue by file name.
type files map[string]string

func (f files) fs() fs.FS {
	out := fstest.MapFS{}
	for name, text := range f {
		out[name] = &fstest.MapFile{Data: []byte(text)}
	}
	return out
}

// with returns the catalogue with the given files added, replaced, or (where the text is "-") taken away.
func (f files) with(more files) files {
	out := maps.Clone(f)
	for name, text := range more {
		if out[name] = text; text == "-" {
			delete(out, name)
		}
	}
	return out
}

// shop is a small catalogue that is right.
func shop() files {
	return files{
		"README.md":                    "not JSON",
		"shop/product.json":            `{"title":"Shop"}`,
		"shop/notes.md":                "not JSON",
		"shop/.DS_Store":               "\x00",
		".git/config":                  "[core]",
		"shop/order.paid.schema.json":  "{\n \"type\": \"object\", \"title\": \"Order paid\", \"description\": \"Paid.\",\n \"properties\": {\"z\": {}, \"a\": {\"type\": \"number\"}}\n}\n",
		"shop/order.paid.example.json": `{ "z": "\u00e9 <b>", "a": 12345678901234567890.10 }`,
	}
}

func load(t testing.TB, f files) *products.Catalogue {
	t.Helper()
	c, err := products.Load(f.fs())
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestLoad_TellsEveryFault(t *testing.T) {
	const (
		schema  = "shop/order.paid.schema.json"
		example = "shop/order.paid.example.json"
	)
	for _, tc := range []struct {
		name   string
		change files
		want   []string
	}{
		{"an example that its schema refuses", files{example: `{"z":1,"a":"many"}`},
			[]string{`shop/order.paid.example.json: shop/order.paid.schema.json refuses it: at /a: got string, want number`}},
		{"an example that its schema refuses in several places", files{
			schema:  `{"title":"T","required":["b"],"properties":{"a":{"items":{"type":"string","format":"date-time"}}}}`,
			example: `{"a":["2026-05-18T10:32:14Z","soon",3]}`},
			[]string{
				`shop/order.paid.example.json: shop/order.paid.schema.json refuses it: at /a/1: 'soon' is not valid date-time: less than 20 characters long`,
				`shop/order.paid.example.json: shop/order.paid.schema.json refuses it: at /a/2: got number, want string`,
				`shop/order.paid.example.json: shop/order.paid.schema.json refuses it: at the top: missing property 'b'`}},
		{"files that are missing", files{example: "-", "shop/a.example.json": `{}`, "shop/product.json": "-"},
			[]string{"shop: product.json is missing", "shop/a.schema.json: is missing", "shop/order.paid.example.json: is missing"}},
		{"a product without event types", files{"empty/product.json": `{"title":"Empty"}`},
			[]string{"empty: the product has no event type: it needs a <type>.schema.json and a <type>.example.json"}},
		{"files that are not JSON", files{schema: "{\n\"title\": \"T\",\n}", example: `{"a":1} {}`, "shop/product.json": ""},
			[]string{
				"shop/product.json: is not JSON: line 1: unexpected end of JSON input",
				"shop/order.paid.schema.json: is not JSON: line 3: invalid character '}' looking for beginning of object key string",
				"shop/order.paid.example.json: is not JSON: line 1: invalid character '{' after top-level value"}},
		{"files that are not what they should hold", files{schema: `true`, example: `[]`, "shop/product.json": "\xef\xbb\xbf{}", "shop/b.schema.json": "{\"title\":\"\xff\"}", "shop/b.example.json": `{}`},
			[]string{
				"shop/product.json: begins with a byte order mark: save it as UTF-8 without one",
				"shop/b.schema.json: is not UTF-8",
				"shop/order.paid.schema.json: does not hold a JSON object",
				"shop/order.paid.example.json: does not hold a JSON object"}},
		{"keys that stand twice", files{example: `{"a":1,"z":[0,{"x/y":1,"x/y":2}],"a":2}`},
			[]string{"shop/order.paid.example.json: at /z/1/x~1y: the key stands there twice", "shop/order.paid.example.json: at /a: the key stands there twice"}},
		{"nesting that is too deep", files{example: `{"z":` + strings.Repeat("[", 1024) + strings.Repeat("]", 1024) + `}`},
			[]string{"shop/order.paid.example.json: is nested deeper than 1024 levels"}},
		{"numbers that cannot be compared", files{example: `{"z":1E400,"a":[0,1e-1001]}`, schema: `{"title":"T","minimum":1e99999999999999999999}`},
			[]string{
				"shop/order.paid.schema.json: at /minimum: the exponent of 1e99999999999999999999 is beyond 1000",
				"shop/order.paid.example.json: at /a/1: the exponent of 1e-1001 is beyond 1000"}},
		{"a file that is too large", files{example: `{"z":"` + strings.Repeat("x", 256<<10) + `"}`},
			[]string{"shop/order.paid.example.json: has more than 262144 bytes"}},
		{"titles and descriptions", files{"shop/product.json": `{"title":7,"Description":"x","description":"` + strings.Repeat("é", 1001) + `"}`, schema: `{"description":"no title"}`,
			"shop/b.schema.json": `{"title":" "}`, "shop/b.example.json": `{}`, "shop/c.schema.json": `{"title":"` + strings.Repeat("é", 81) + `"}`, "shop/c.example.json": `{}`},
			[]string{
				"shop/product.json: at /Description: unknown key: a product has title and description",
				"shop/product.json: at /title: is not a string",
				"shop/product.json: at /description: has more than 1000 characters",
				"shop/b.schema.json: at /title: is empty",
				"shop/c.schema.json: at /title: has more than 80 characters",
				"shop/order.paid.schema.json: has no title"}},
		{"schemas that are none", files{schema: `{"title":"T","type":"objekt","properties":{"a":{"minimum":"1"}}}`,
			"shop/b.schema.json": `{"title":"T","properties":{"a":{"pattern":"(?=x)"}}}`, "shop/b.example.json": `{}`},
			[]string{
				"shop/b.schema.json: is not a JSON Schema: at /properties/a/pattern: '(?=x)' is not valid regex: error parsing regexp: invalid or unsupported Perl syntax: `(?=`",
				"shop/order.paid.schema.json: is not a JSON Schema: at /properties/a/minimum: got string, want number",
				"shop/order.paid.schema.json: is not a JSON Schema: at /type: got string, want array",
				"shop/order.paid.schema.json: is not a JSON Schema: at /type: value must be one of 'array', 'boolean', 'integer', 'null', 'number', 'object', 'string'"}},
		{"a schema of another draft", files{schema: `{"title":"T","$schema":"http://json-schema.org/draft-07/schema#"}`},
			[]string{"shop/order.paid.schema.json: at /$schema: is not https://json-schema.org/draft/2020-12/schema"}},
		{"references out of the file", files{schema: `{"title":"T","$ref":"file:///etc/passwd"}`,
			"shop/b.schema.json": `{"title":"T","$ref":"https://example.com/x.json"}`, "shop/b.example.json": `{}`,
			"shop/c.schema.json": `{"title":"T","$ref":"order.paid.schema.json"}`, "shop/c.example.json": `{}`,
			"shop/d.schema.json": `{"title":"T","$ref":"#/$defs/none"}`, "shop/d.example.json": `{}`},
			[]string{
				`shop/b.schema.json: is not a JSON Schema: failing loading "https://example.com/x.json": https://example.com/x.json is outside this file; a schema refers to its own $defs alone`,
				`shop/c.schema.json: is not a JSON Schema: failing loading "catalogue:///shop/order.paid.schema.json": catalogue:///shop/order.paid.schema.json is outside this file; a schema refers to its own $defs alone`,
				`shop/d.schema.json: is not a JSON Schema: json-pointer in "#/$defs/none" not found`,
				`shop/order.paid.schema.json: is not a JSON Schema: failing loading "file:///etc/passwd": file:///etc/passwd is outside this file; a schema refers to its own $defs alone`}},
		{"names", files{"Sho p/product.json": `{"title":"T"}`, "Sho p/a.schema.json": `{"title":"T"}`, "Sho p/a.example.json": `{}`,
			"unihook/product.json": `{"title":"T"}`, "unihook/a.schema.json": `{"title":"T"}`, "unihook/a.example.json": `{}`,
			"shop/*.schema.json": `{"title":"T"}`, "shop/*.example.json": `{}`,
			"shop/.x.schema.json":                              `{"title":"left out: it begins with a dot"}`,
			"shop/" + strings.Repeat("a", 65) + ".schema.json": `{"title":"T"}`, "shop/" + strings.Repeat("a", 65) + ".example.json": `{}`},
			[]string{
				`Sho p: "Sho p" cannot name a product: names have 1 to 64 lower case letters, digits, '.', '_' and '-', a letter or digit first and last`,
				`shop/*: "*" cannot name an event type: names have 1 to 64 lower case letters, digits, '.', '_' and '-', a letter or digit first and last`,
				`shop/` + strings.Repeat("a", 65) + `: "` + strings.Repeat("a", 65) + `" cannot name an event type: names have 1 to 64 lower case letters, digits, '.', '_' and '-', a letter or digit first and last`,
				`unihook: the product "unihook" is the gateway's own`}},
		{"files that nothing reads", files{"order.json": `{}`, "shop/order.paid.exmaple.json": `{}`, "shop/old/x.schema.json": `{}`},
			[]string{
				"order.json: lies beside the products: it belongs into a product's folder",
				"shop/old: a product's folder has no folders",
				"shop/order.paid.exmaple.json: is neither product.json nor a <type>.schema.json, a <type>.example.json or a .md"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c, err := products.Load(shop().with(tc.change).fs())
			if err == nil || c != nil {
				t.Fatalf("Load = %v, %v, want nil and an error", c, err)
			}
			if diff := cmp.Diff(tc.want, strings.Split(err.Error(), "\n")); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestLoad_EmptyCatalogue(t *testing.T) {
	_, err := products.Load(files{"README.md": ""}.fs())
	if err == nil || err.Error() != "the catalogue has no product: it needs a folder for each" {
		t.Errorf("got %v", err)
	}
}

func TestLoad_FolderThatIsNotThere(t *testing.T) {
	if _, err := products.Load(os.DirFS(filepath.Join(t.TempDir(), "none"))); err == nil {
		t.Error("a folder that is not there is a catalogue")
	}
}

// A ConfigMap is mounted as links through a hidden folder.
func TestLoad_FollowsLinks(t *testing.T) {
	dir := t.TempDir()
	if err := os.CopyFS(filepath.Join(dir, "..data"), files{
		"shop/product.json": `{"title":"Shop"}`, "shop/a.schema.json": `{"title":"A"}`, "shop/a.example.json": `{}`,
	}.fs()); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join("..data", "shop"), filepath.Join(dir, "shop")); err != nil {
		t.Fatal(err)
	}
	c, err := products.Load(os.DirFS(dir))
	if err != nil {
		t.Fatal(err)
	}
	if !c.Has("shop", "a") || len(c.Products()) != 1 {
		t.Errorf("got %v", c.Products())
	}
}

func TestLoad_TooManyEventTypes(t *testing.T) {
	_, err := products.Load(many(5001).fs())
	if err == nil || err.Error() != "big: the catalogue has more than 5000 event types" {
		t.Errorf("got %v", err)
	}
}

// The catalogue that the README writes out is one.
func TestLoad_README(t *testing.T) {
	text, err := os.ReadFile("../schemas/README.md")
	if err != nil {
		t.Fatal(err)
	}
	written := files{}
	for _, m := range regexp.MustCompile("(?s)\n`(shop/[a-z.]+)`:.*?\n```json\n(.*?)```\n").FindAllStringSubmatch(string(text), -1) {
		written[m[1]] = m[2]
	}
	c := load(t, written)
	e, ok := c.Event("shop", "order.paid")
	if !ok || len(written) != 3 {
		t.Fatalf("the README has %v", slices.Sorted(maps.Keys(written)))
	}
	if !e.Required([]string{"total"}) || !e.HasPath([]string{"lines", "#", "sku"}) {
		t.Error("the README's schema has not its properties")
	}
}

func BenchmarkLoad_500EventTypes(b *testing.B) {
	built := builtinFiles(b)
	for n := range 500 / 2 {
		for _, typ := range []string{"contact.created", "contact.updated"} {
			for _, suffix := range []string{".schema.json", ".example.json"} {
				built[fmt.Sprintf("contacts/%s%d%s", typ, n, suffix)] = built["contacts/"+typ+suffix]
			}
		}
	}
	fsys := built.fs()
	for b.Loop() {
		if _, err := products.Load(fsys); err != nil {
			b.Fatal(err)
		}
	}
}

// builtinFiles returns the files of a built-in product.
func builtinFiles(t testing.TB) files {
	t.Helper()
	out := files{}
	for _, name := range []string{"product.json", "contact.created.schema.json", "contact.created.example.json", "contact.updated.schema.json", "contact.updated.example.json"} {
		text, err := os.ReadFile("../schemas/contacts/" + name)
		if err != nil {
			t.Fatal(err)
		}
		out["contacts/"+name] = string(text)
	}
	return out
}

// many returns a catalogue of n small event types.
func many(n int) files {
	f := files{"big/product.json": `{"title":"Big"}`}
	for i := range n {
		f[fmt.Sprintf("big/t%d.schema.json", i)] = `{"title":"T"}`
		f[fmt.Sprintf("big/t%d.example.json", i)] = `{}`
	}
	return f
}
