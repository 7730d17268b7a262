package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// composeService is what compose.yaml says of a service.
type composeService struct {
	Build struct {
		Dockerfile string `yaml:"dockerfile_inline"`
	}
	Command     []string
	User        string
	ReadOnly    bool     `yaml:"read_only"`
	CapDrop     []string `yaml:"cap_drop"`
	Privileged  bool
	SecurityOpt []string `yaml:"security_opt"`
	Environment map[string]string
	Entrypoint  []string
	Secrets     []string
	Ports       []string
	Networks    []string
	Volumes     []string
	Healthcheck struct{ Test []string }
	DependsOn   map[string]struct{ Condition string } `yaml:"depends_on"`
}

type composeFile struct {
	Services map[string]composeService
	Secrets  map[string]struct{ File string }
	Networks map[string]struct{ Internal bool }
	Volumes  map[string]any
	Configs  map[string]struct{ Content string }
}

func readCompose(t *testing.T) composeFile {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, "compose.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var file composeFile
	if err := yaml.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestCompose_EveryServiceIsConfined(t *testing.T) {
	file := readCompose(t)
	for _, name := range []string{"api", "worker", "mongo", "redis"} {
		s, ok := file.Services[name]
		if !ok {
			t.Errorf("there is no service %s", name)
			continue
		}
		id, _, _ := strings.Cut(s.User, ":")
		switch {
		case id == "" || id == "0" || id == "root":
			t.Errorf("%s runs as user %q; want one that is not root", name, s.User)
		case !s.ReadOnly || s.Privileged:
			t.Errorf("%s may write to its root or is privileged", name)
		case !slices.Equal(s.CapDrop, []string{"ALL"}):
			t.Errorf("%s drops the capabilities %q; want ALL", name, s.CapDrop)
		case !slices.Contains(s.SecurityOpt, "no-new-privileges:true"):
			t.Errorf("%s may gain privileges", name)
		case len(s.Healthcheck.Test) < 2:
			t.Errorf("%s has no health check", name)
		}
	}
}

func TestCompose_StoresAreReachableInsideOnly(t *testing.T) {
	file := readCompose(t)
	for _, name := range []string{"mongo", "redis"} {
		s := file.Services[name]
		if len(s.Ports) > 0 || !slices.Equal(s.Networks, []string{"stores"}) {
			t.Errorf("%s publishes %q and is in the networks %q; want none, and stores alone", name, s.Ports, s.Networks)
		}
		if len(s.Volumes) == 0 {
			t.Errorf("%s keeps its data in no volume", name)
		}
		for _, half := range []string{"api", "worker"} {
			if got := file.Services[half].DependsOn[name].Condition; got != "service_healthy" {
				t.Errorf("%s waits for %s to be %q; want service_healthy", half, name, got)
			}
		}
	}
	if !file.Networks["stores"].Internal {
		t.Error("the network stores has a way out")
	}
	for name, s := range file.Services {
		for _, port := range s.Ports {
			if !strings.HasPrefix(port, "127.0.0.1:") {
				t.Errorf("%s publishes %s beyond loopback", name, port)
			}
		}
	}
	redis := strings.Join(file.Services["redis"].Entrypoint, "\n")
	if !strings.Contains(redis, "appendonly yes") || !strings.Contains(redis, "requirepass") {
		t.Error("redis is not append-only, or asks for no password")
	}
	if mongo := strings.Join(file.Services["mongo"].Entrypoint, "\n"); !strings.Contains(mongo, "--replSet rs0") || !strings.Contains(mongo, "--keyFile") {
		t.Error("mongo is no replica set, or asks for no password")
	}
}

func TestCompose_PasswordsComeFromFiles(t *testing.T) {
	file := readCompose(t)
	secret := regexp.MustCompile(`PASSWORD|_URI|_KEY|TOKEN`)
	for name, s := range file.Services {
		for variable, value := range s.Environment {
			if secret.MatchString(variable) && (!strings.HasSuffix(variable, "_FILE") || !strings.HasPrefix(value, "/run/secrets/")) {
				t.Errorf("%s has %s in its environment; want a secret's file", name, variable)
			}
			plain := strings.TrimSuffix(variable, "_FILE")
			if strings.HasSuffix(variable, "_FILE") && strings.HasPrefix(variable, "UNIHOOK_") && !slices.Contains(secretVariables, plain) {
				t.Errorf("%s: %s does not take a file", name, plain)
			}
			if mounted, ok := strings.CutPrefix(value, "/run/secrets/"); ok && !slices.Contains(s.Secrets, mounted) {
				t.Errorf("%s reads the secret %s, which it is not given", name, mounted)
			}
		}
		for _, given := range s.Secrets {
			if got, want := file.Secrets[given].File, ".secrets/"+given; got != want {
				t.Errorf("the secret %s is in %q; want %q", given, got, want)
			}
		}
	}
}

func TestCompose_ImageHasWhatTheProgramIsMadeOf(t *testing.T) {
	dockerfile := readCompose(t).Services["api"].Build.Dockerfile
	ignore, err := os.ReadFile(filepath.Join(root, ".dockerignore"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range top {
		if name == "README.md" || name == "compose.yaml" {
			continue
		}
		copied := strings.Contains(dockerfile, "COPY "+name) || strings.HasPrefix(name, "go.") && strings.Contains(dockerfile, "COPY go.mod go.sum")
		if !copied || !strings.Contains(string(ignore), "\n!"+name+"\n") {
			t.Errorf("the image is built without %s", name)
		}
	}
	if !strings.Contains(dockerfile, "\nUSER 65532:65532\n") {
		t.Error("the image's own user is root")
	}
}

// The script that makes the secrets makes each that compose.yaml names, once, and a URI with its server's password.
func TestCompose_SecretsAreMadeOnce(t *testing.T) {
	demand(t, "bash")
	script, err := os.ReadFile(filepath.Join(root, ".ci", "secrets"))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, ".ci"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, ".ci", "secrets"), script, 0o700); err != nil {
		t.Fatal(err)
	}
	made := func() map[string]string {
		if out, err := exec.CommandContext(t.Context(), "bash", filepath.Join(dir, ".ci", "secrets")).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		texts := map[string]string{}
		for name := range readCompose(t).Secrets {
			text, err := os.ReadFile(filepath.Join(dir, ".secrets", name))
			if err != nil {
				t.Fatal(err)
			}
			texts[name] = strings.TrimSpace(string(text))
		}
		return texts
	}
	first, second := made(), made()
	for name, text := range first {
		if text != second[name] {
			t.Errorf("%s was made twice", name)
		}
	}
	if info, err := os.Stat(filepath.Join(dir, ".secrets")); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the folder of the secrets has %v, %v; want 0700", info.Mode(), err)
	}
	if !strings.Contains(first["mongo-uri"], ":"+first["mongo-password"]+"@mongo:27017/") || !strings.Contains(first["redis-uri"], ":"+first["redis-password"]+"@redis:6379/") {
		t.Error("a URI has another password than its server")
	}
	if _, err := decodeKey(first["encryption-key"]); err != nil || len(first["operator-key"]) < minOperatorKey {
		t.Errorf("the program does not take the keys: %v", err)
	}
}
