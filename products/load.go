package products

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"
)

const (
	// maxFileBytes limits each file: it is the default of --max-event-bytes, and a larger example could not be published.
	maxFileBytes = 256 << 10
	// maxEventTypes limits a catalogue: GET /v1/products answers it whole, and a folder given by mistake ends here.
	maxEventTypes = 5000

	indexFile     = "product.json"
	schemaSuffix  = ".schema.json"
	exampleSuffix = ".example.json"
)

// namePattern is what products and event types are called: names that need no escape in a URL, a file or a metric.
var namePattern = regexp.MustCompile(`^[a-z0-9]([a-z0-9._-]{0,62}[a-z0-9])?$`)

const nameRule = "names have 1 to 64 lower case letters, digits, '.', '_' and '-', a letter or digit first and last"

// Load reads and checks the catalogue in fsys: a folder per product, as schemas/README.md describes. The error of a bad
// catalogue joins one error for each fault, every fault at once, each naming its file and the place in it.
func Load(fsys fs.FS) (*Catalogue, error) {
	l := &loader{fsys: fsys}
	products := l.products()
	if len(l.faults) > 0 {
		return nil, errors.Join(l.faults...)
	}
	return newCatalogue(products), nil
}

// loader reads one catalogue and gathers its faults.
type loader struct {
	fsys   fs.FS
	types  int
	faults []error
}

// fault notes what is wrong with a file or folder.
func (l *loader) fault(name, format string, args ...any) {
	l.faults = append(l.faults, fmt.Errorf("%s: %s", name, fmt.Sprintf(format, args...)))
}

// list returns the folders and files in a folder, by name. Names that begin with a dot are left out: a ConfigMap's
// mount has some, and so has a folder under version control. Symbolic links count as what they lead to.
func (l *loader) list(dir string) (folders, files []string) {
	entries, err := fs.ReadDir(l.fsys, dir)
	if err != nil {
		l.fault(dir, "%v", err)
		return nil, nil
	}
	for _, entry := range entries {
		name := entry.Name()
		if strings.HasPrefix(name, ".") {
			continue
		}
		info, err := fs.Stat(l.fsys, path.Join(dir, name))
		switch {
		case err != nil:
			l.fault(path.Join(dir, name), "%v", err)
		case info.IsDir():
			folders = append(folders, name)
		default:
			files = append(files, name)
		}
	}
	return folders, files
}

func (l *loader) products() []Product {
	folders, files := l.list(".")
	for _, name := range files {
		if strings.HasSuffix(name, ".json") {
			l.fault(name, "lies beside the products: it belongs into a product's folder")
		}
	}
	if len(folders) == 0 {
		l.faults = append(l.faults, errors.New("the catalogue has no product: it needs a folder for each"))
	}
	var products []Product
	for _, name := range folders {
		products = append(products, l.product(name))
		if l.types > maxEventTypes {
			l.fault(name, "the catalogue has more than %d event types", maxEventTypes)
			break
		}
	}
	return products
}

// product reads the product in the folder name.
func (l *loader) product(name string) Product {
	p := Product{Product: name}
	if !namePattern.MatchString(name) {
		l.fault(name, "%q cannot name a product: %s", name, nameRule)
	}
	if name == Reserved {
		l.fault(name, "the product %q is the gateway's own", Reserved)
	}
	types, indexed := l.typesOf(name)
	if len(types) == 0 {
		l.fault(name, "the product has no event type: it needs a <type>%s and a <type>%s", schemaSuffix, exampleSuffix)
	}
	if indexed {
		p.Title, p.Description = l.index(path.Join(name, indexFile))
	} else {
		l.fault(name, "%s is missing", indexFile)
	}
	for _, typ := range types {
		if l.types++; l.types > maxEventTypes {
			break
		}
		p.Events = append(p.Events, l.event(name, typ))
	}
	return p
}

// typesOf returns the event types that a product's folder has files for, by name, and whether it has its index file.
func (l *loader) typesOf(product string) (types []string, indexed bool) {
	folders, files := l.list(product)
	for _, name := range folders {
		l.fault(path.Join(product, name), "a product's folder has no folders")
	}
	for _, name := range files {
		switch {
		case name == indexFile:
			indexed = true
		case strings.HasSuffix(name, schemaSuffix):
			types = append(types, strings.TrimSuffix(name, schemaSuffix))
		case strings.HasSuffix(name, exampleSuffix):
			types = append(types, strings.TrimSuffix(name, exampleSuffix))
		case strings.HasSuffix(name, ".md"):
		default:
			l.fault(path.Join(product, name), "is neither %s nor a <type>%s, a <type>%s or a .md", indexFile, schemaSuffix, exampleSuffix)
		}
	}
	slices.Sort(types)
	return slices.Compact(types), indexed
}

// index reads a product's title and description.
func (l *loader) index(name string) (title, description string) {
	f, ok := l.read(name)
	if !ok {
		return "", ""
	}
	for _, key := range f.keys() {
		if key != "title" && key != "description" {
			l.fault(name, "at /%s: unknown key: a product has title and description", pointer(key))
		}
	}
	return l.texts(name, f)
}

// event reads the event type typ of product.
func (l *loader) event(product, typ string) EventType {
	e := EventType{Product: product, Type: typ}
	schemaName, exampleName := path.Join(product, typ+schemaSuffix), path.Join(product, typ+exampleSuffix)
	if !namePattern.MatchString(typ) {
		l.fault(path.Join(product, typ), "%q cannot name an event type: %s", typ, nameRule)
	}
	schema, schemaRead := l.read(schemaName)
	example, exampleRead := l.read(exampleName)
	e.Example = example.compact
	if !schemaRead {
		return e
	}
	e.Schema = schema.compact
	e.Title, e.Description = l.texts(schemaName, schema)
	e.compiled = l.compile(schemaName, schema)
	if e.compiled != nil && exampleRead {
		l.try(exampleName, example, schemaName, e.compiled)
	}
	return e
}

// texts returns the title and the description of a file and notes what is wrong with them.
func (l *loader) texts(name string, f file) (title, description string) {
	var faults []string
	title, faults = f.text("title", maxTitle, faults)
	if _, given := f.object["title"]; !given {
		faults = append(faults, "has no title")
	}
	description, faults = f.text("description", maxDescription, faults)
	for _, fault := range faults {
		l.fault(name, "%s", fault)
	}
	return title, description
}

// read reads a file that holds a JSON object, notes every fault of its text, and reports whether it can be used.
func (l *loader) read(name string) (file, bool) {
	raw, err := l.bytes(name)
	if errors.Is(err, fs.ErrNotExist) {
		l.fault(name, "is missing")
		return file{}, false
	}
	if err != nil {
		l.fault(name, "%v", err)
		return file{}, false
	}
	f, faults := parse(raw)
	for _, fault := range faults {
		l.fault(name, "%s", fault)
	}
	return f, f.object != nil
}

// bytes reads a file up to the limit.
func (l *loader) bytes(name string) ([]byte, error) {
	in, err := l.fsys.Open(name)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	raw, err := io.ReadAll(io.LimitReader(in, maxFileBytes+1))
	if err != nil {
		return nil, err
	}
	if len(raw) > maxFileBytes {
		return nil, fmt.Errorf("has more than %d bytes", maxFileBytes)
	}
	return raw, nil
}
