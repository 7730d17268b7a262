package main

import (
	"bufio"
	"encoding/json"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// module is the path of this module; a room is a package's path in it.
const module = "github.com/unihook/unihook"

// top is all that the top level may hold beside dotfiles.
var top = []string{"cmd", "gateway", "mapping", "products", "schemas", "worker", "go.mod", "go.sum", "README.md", "compose.yaml"}

// mayImport is the import table: for each room the other rooms that it may import. Imports run one way:
// cmd, worker, gateway, then mapping, products, schemas, sign, retry and egress.
var mayImport = map[string][]string{
	"cmd/unihook": {
		"worker", "worker/queue", "worker/breaker", "gateway", "gateway/api", "gateway/portal", "gateway/mongostore", "gateway/sqlitestore",
		"gateway/egress", "gateway/retry", "gateway/sign", "mapping", "products", "schemas",
	},
	"cmd/unihook/faults":  {}, // it knows the program from outside alone
	"worker":              {"worker/queue", "worker/breaker", "gateway", "gateway/egress", "gateway/retry", "gateway/sign", "mapping", "products"},
	"worker/queue":        {"gateway"},
	"worker/breaker":      {"gateway"},
	"gateway/api":         {"gateway", "gateway/egress", "gateway/retry", "gateway/sign", "mapping", "products", "schemas"},
	"gateway/portal":      {"gateway", "gateway/egress", "gateway/retry", "gateway/sign", "mapping", "products"},
	"gateway/mongostore":  {"gateway", "gateway/retry", "mapping"},
	"gateway/sqlitestore": {"gateway", "gateway/retry", "mapping"},
	"gateway/storetest":   {"gateway", "gateway/retry", "mapping"},
	"gateway":             {"gateway/egress", "gateway/retry", "gateway/sign", "mapping", "products"},
	"gateway/egress":      {},
	"gateway/retry":       {},
	"gateway/sign":        {},
	"mapping":             {},
	"products":            {"schemas"},
	"schemas":             {},
}

// testsMayImport is what the tests of every room may import beside its own row: the stores that stand in for a mock.
var testsMayImport = []string{"gateway/sqlitestore", "gateway/storetest"}

// home is where a third-party module is imported; inTests is everywhere, but in tests alone.
var home = map[string][]string{
	"code.dny.dev/ssrf":                     {"gateway/egress"},
	"github.com/Shopify/toxiproxy/v2":       {inTests},
	"github.com/alecthomas/kong":            {"cmd/unihook"},
	"github.com/alicebob/miniredis/v2":      {"worker/queue"},
	"github.com/evanphx/json-patch/v5":      {inTests},
	"github.com/getkin/kin-openapi":         {inTests},
	"github.com/go-redis/redis_rate/v10":    {"worker/queue"},
	"github.com/gofiber/fiber/v2":           {"gateway/api", "gateway/portal"},
	"github.com/google/go-cmp":              {inTests},
	"github.com/hibiken/asynq":              {"worker/queue"},
	"github.com/oklog/ulid/v2":              {"gateway", "gateway/sqlitestore"}, // the store reads the time in an id
	"github.com/prometheus/client_golang":   {"cmd/unihook"},
	"github.com/redis/go-redis/v9":          {"worker/queue", "cmd/unihook/faults"}, // faults wipes and fills a Redis
	"github.com/rs/zerolog":                 {"cmd/unihook/faults"},                 // toxiproxy takes a logger of its
	"github.com/santhosh-tekuri/jsonschema": {"products"},
	// The demo's receiver verifies with it, as a customer's would.
	"github.com/standard-webhooks/standard-webhooks/libraries": {"gateway/sign", "cmd/unihook", inTests},
	"github.com/tidwall/gjson":                                 {"mapping"},
	"github.com/tidwall/sjson":                                 {"mapping"},
	"github.com/tink-crypto/tink-go/v2":                        {"gateway"},
	"github.com/valyala/fasthttp":                              {"gateway/api", "gateway/portal"},
	"go.mongodb.org/mongo-driver/v2":                           {"gateway/mongostore"},
	"go.uber.org/goleak":                                       {inTests},
	"go.yaml.in/yaml/v3":                                       {"gateway/api", inTests},
	"golang.org/x/net":                                         {"gateway/egress"},
	"golang.org/x/sync":                                        {"gateway/mongostore", inTests},
	"golang.org/x/term":                                        {"cmd/unihook"},
	"modernc.org/sqlite":                                       {"gateway/sqlitestore", "cmd/unihook/faults"}, // faults locks the file
	"pgregory.net/rapid":                                       {inTests},
}

const inTests = "tests of any room"

// floors are the lowest versions that lack a hole or a bug that matters here.
var floors = map[string]string{
	"github.com/gofiber/fiber/v2":    "v2.52.15",
	"github.com/valyala/fasthttp":    "v1.65.0", // 1.51 reads whole bodies before a handler, takes the last of two Content-Lengths
	"github.com/tidwall/gjson":       "v1.20.0",
	"github.com/tidwall/sjson":       "v1.2.5",
	"github.com/hibiken/asynq":       "v0.26.0",
	"go.mongodb.org/mongo-driver/v2": "v2.9.3",
	"code.dny.dev/ssrf":              "v0.3.0", // knows the newest special-purpose registries
	"golang.org/x/crypto":            "v0.58.0",
	"golang.org/x/net":               "v0.62.0",
	"golang.org/x/text":              "v0.43.0",
	"google.golang.org/protobuf":     "v1.36.12",
}

// maxLines is where a file should become two.
const maxLines = 600

// root is the module's folder.
var root = filepath.Join("..", "..")

// listed is what `go list` says of a package.
type listed struct {
	ImportPath                         string
	Imports, TestImports, XTestImports []string
}

func (p listed) room() string {
	return strings.TrimPrefix(strings.TrimPrefix(p.ImportPath, module), "/")
}

func listPackages(t *testing.T) []listed {
	t.Helper()
	var list []listed
	out := output(t, "go", "list", "-json=ImportPath,Imports,TestImports,XTestImports", "./...")
	for d := json.NewDecoder(strings.NewReader(out)); d.More(); {
		var p listed
		if err := d.Decode(&p); err != nil {
			t.Fatal(err)
		}
		list = append(list, p)
	}
	return list
}

func output(t *testing.T, name string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Dir, cmd.Stderr = root, os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %s: %v", name, strings.Join(args, " "), err)
	}
	return string(out)
}

func TestTree_TopLevel(t *testing.T) {
	entries, err := os.ReadDir(root)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		// The program and its data may lie where it was built and run; .gitignore leaves them out.
		if name := e.Name(); !strings.HasPrefix(name, ".") && !slices.Contains(top, name) && name != "unihook" && name != "unihook-data" {
			t.Errorf("%s is at the top level, which holds only %s and dotfiles", name, strings.Join(top, ", "))
		}
	}
}

func TestTree_ImportsRunOneWay(t *testing.T) {
	for _, p := range listPackages(t) {
		room := p.room()
		rooms, known := mayImport[room]
		if !known {
			t.Errorf("%s has no row in the import table", room)
			continue
		}
		check := func(imports []string, also ...string) {
			for _, path := range imports {
				other, ours := strings.CutPrefix(path, module+"/")
				if ours && other != room && !slices.Contains(rooms, other) && !slices.Contains(also, other) {
					t.Errorf("%s imports %s, which its row in the import table does not have", room, other)
				}
			}
		}
		check(p.Imports)
		check(p.TestImports, testsMayImport...)
		check(p.XTestImports, testsMayImport...)
	}
}

func TestTree_ModulesHaveOneHome(t *testing.T) {
	for _, p := range listPackages(t) {
		room := p.room()
		check := func(imports []string, tests bool) {
			for _, path := range imports {
				if !strings.Contains(strings.Split(path, "/")[0], ".") || strings.HasPrefix(path, module) {
					continue
				}
				homes := homesOf(path)
				if !slices.Contains(homes, room) && !(tests && slices.Contains(homes, inTests)) {
					t.Errorf("%s imports %s, whose home is %q", room, path, homes)
				}
			}
		}
		check(p.Imports, room == "gateway/storetest")
		check(p.TestImports, true)
		check(p.XTestImports, true)
	}
}

// homesOf is the row of the module that a package is in: none for a module without a home.
func homesOf(path string) []string {
	for module, homes := range home {
		if path == module || strings.HasPrefix(path, module+"/") {
			return homes
		}
	}
	return nil
}

func TestTree_EveryPackageSaysWhatItIs(t *testing.T) {
	comments := map[string]int{} // by folder
	forEachGoFile(t, func(path string) {
		folder := filepath.Dir(path)
		file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(root, path), nil, parser.PackageClauseOnly|parser.ParseComments)
		if err != nil {
			t.Error(err)
			return
		}
		comments[folder] += 0
		if file.Doc == nil {
			return
		}
		comments[folder]++
		begins := "Package " + file.Name.Name + " "
		if file.Name.Name == "main" {
			begins = "Command " + filepath.Base(folder) + " "
		}
		if !strings.HasPrefix(file.Doc.Text(), begins) {
			t.Errorf("%s: the package comment does not begin with %q", path, begins)
		}
	})
	for folder, n := range comments {
		if n != 1 {
			t.Errorf("%s has %d package comments; want 1", folder, n)
		}
	}
}

func TestTree_FilesAreShort(t *testing.T) {
	forEachGoFile(t, func(path string) {
		file, err := os.Open(filepath.Join(root, path))
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		lines := 0
		for s := bufio.NewScanner(file); s.Scan(); {
			lines++
		}
		if lines >= maxLines {
			t.Errorf("%s has %d lines; want fewer than %d", path, lines, maxLines)
		}
	})
}

// forEachGoFile calls do with the path, from the root, of every Go file of the module.
func forEachGoFile(t *testing.T, do func(path string)) {
	t.Helper()
	err := fs.WalkDir(os.DirFS(root), ".", func(path string, d fs.DirEntry, err error) error {
		if d != nil && d.IsDir() && path != "." && strings.HasPrefix(d.Name(), ".") {
			return fs.SkipDir
		}
		if err == nil && strings.HasSuffix(path, ".go") {
			do(path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestTree_ModulesAreNewEnough(t *testing.T) {
	var mod struct {
		Go      string
		Require []struct{ Path, Version string }
	}
	if err := json.Unmarshal([]byte(output(t, "go", "mod", "edit", "-json")), &mod); err != nil {
		t.Fatal(err)
	}
	versions := map[string]string{}
	for _, m := range mod.Require {
		versions[m.Path] = m.Version
	}
	if !atLeast("v"+mod.Go, "v1.26.0") {
		t.Errorf("go.mod asks for Go %s; want 1.26 or later", mod.Go)
	}
	for path, floor := range floors {
		if !atLeast(versions[path], floor) {
			t.Errorf("go.mod has %s %s; want %s or later", path, versions[path], floor)
		}
	}
}

// atLeast compares release versions such as v1.20.0.
func atLeast(version, floor string) bool {
	numbers := func(v string) (list []int) {
		for _, part := range strings.Split(strings.TrimPrefix(v, "v"), ".") {
			n, err := strconv.Atoi(part)
			if err != nil {
				return nil // a pre-release or a commit, which no floor trusts
			}
			list = append(list, n)
		}
		return list
	}
	return slices.Compare(numbers(version), numbers(floor)) >= 0
}
