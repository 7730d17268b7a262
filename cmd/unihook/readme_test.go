package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/alecthomas/kong"
)

func readme(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// tourStep is a block of the tour, with the answer that the page shows for it.
type tourStep struct{ script, answer string }

// tourSteps are the page's blocks of "sh tour", each with the block of "json answer" that follows it at once, if any.
func tourSteps(page string) (steps []tourStep) {
	block := regexp.MustCompile("(?ms)^```(sh tour|json answer)\n(.*?)^```$")
	for _, m := range block.FindAllStringSubmatch(page, -1) {
		if m[1] == "sh tour" {
			steps = append(steps, tourStep{script: m[2]})
		} else {
			steps[len(steps)-1].answer = m[2]
		}
	}
	return steps
}

// The tour runs line by line in one shell, against `unihook serve` as a process that has two settings: where the tour's
// receiver is and who made its certificate. Each answer has what the page says of it.
func TestReadme_Tour(t *testing.T) {
	steps := tourSteps(readme(t))
	if len(steps) < 8 {
		t.Fatalf("the tour has %d steps; this test no longer finds it", len(steps))
	}
	demand(t, "bash", "curl")
	dir := t.TempDir()
	hook := startHook(t, filepath.Join(dir, "ca.pem"))
	url := startServe(t, dir, "--ca-file", filepath.Join(dir, "ca.pem"), "--allow-network", "127.0.0.1/32")

	const end = "-- end of step"
	var script strings.Builder
	// On a busy machine a second may not be enough.
	script.WriteString(`sleep() {
		command sleep "$1"
		for _ in {1..600}; do
			curl -sS -H "Authorization: Bearer $OPERATOR" "$URL/v1/deliveries?status=pending" | grep dlv_ > pending || break
			command sleep 0.1
		done
	}
	`)
	for _, s := range steps {
		fmt.Fprintf(&script, "%s\necho; echo '%s'\n", s.script, end)
	}
	shell := exec.CommandContext(t.Context(), "bash", "-euo", "pipefail", "-c", script.String())
	shell.Dir = dir
	shell.Env = []string{"PATH=" + os.Getenv("PATH"), "URL=" + url, "HOOK=" + hook}
	var errs bytes.Buffer
	shell.Stderr = &errs
	out, err := shell.Output()
	outputs := strings.Split(string(out), end)
	if err != nil || len(outputs) != len(steps)+1 {
		t.Fatalf("the tour ended early: %v\n%s\n%s", err, out, errs.String())
	}
	for i, s := range steps {
		if s.answer != "" {
			checkAnswer(t, s, outputs[i])
		}
	}
}

// checkAnswer holds what a step printed against the answer that the page shows, in which "..." stands for anything, and
// which leaves out what does not matter.
func checkAnswer(t *testing.T, s tourStep, output string) {
	t.Helper()
	got, err := decodeExactly([]byte(output))
	want, wantErr := decodeExactly([]byte(s.answer))
	if wantErr != nil {
		t.Fatalf("the page's answer is not JSON: %v\n%s", wantErr, s.answer)
	}
	if err != nil || !has(got, want) {
		t.Errorf("%s\nprinted %s\nwhich is not what the page shows: %s", s.script, output, s.answer)
	}
}

// has says whether got is what want shows of it.
func has(got, want any) bool {
	switch w := want.(type) {
	case map[string]any:
		object, ok := got.(map[string]any)
		for key, value := range w {
			ok = ok && has(object[key], value)
		}
		return ok
	case []any:
		list, ok := got.([]any)
		ok = ok && len(list) == len(w)
		for i := range w {
			ok = ok && has(list[i], w[i])
		}
		return ok
	case string:
		if pattern, open := strings.CutSuffix(w, "..."); open {
			text, ok := got.(string)
			return ok && strings.HasPrefix(text, pattern)
		}
	}
	return got == want
}

// startHook is the tour's receiver: HTTPS, with a CA of its own in caFile.
func startHook(t *testing.T, caFile string) string {
	t.Helper()
	certificate, ca, err := makeCertificate(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(caFile, ca, 0o600); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok")) }))
	server.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}}
	server.StartTLS()
	t.Cleanup(server.Close)
	return server.URL
}

// startServe runs `unihook serve` as a process in dir until the test ends, and answers where it listens.
func startServe(t *testing.T, dir string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	cmd := program(ctx, t, nil, append([]string{"serve", "--listen", "127.0.0.1:0"}, args...)...)
	cmd.Dir = dir
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = time.Minute
	var log bytes.Buffer
	cmd.Stderr = &log
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		_ = cmd.Wait()
		if cmd.ProcessState.ExitCode() != 0 {
			t.Errorf("serve ended with %v\n%s", cmd.ProcessState, log.String())
		}
	})
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if url, ok := strings.CutPrefix(lines.Text(), "Unihook listens on "); ok {
			go func() {
				for lines.Scan() { // so that the pipe never fills
				}
			}()
			return url
		}
	}
	t.Fatalf("serve ended before it listened\n%s", log.String())
	return ""
}

// settingsTable is the README's table, made from the flags of serve.
func settingsTable(t *testing.T) string {
	t.Helper()
	var target struct{ settings }
	parser, err := kong.New(&target)
	if err != nil {
		t.Fatal(err)
	}
	var table strings.Builder
	table.WriteString("| flag | variable | default | what |\n| --- | --- | --- | --- |\n")
	for _, flag := range parser.Model.Flags {
		if flag.Name == "help" {
			continue
		}
		shown := "none"
		if flag.HasDefault {
			shown = "`" + flag.Default + "`"
		} else if flag.IsBool() {
			shown = "false"
		}
		fmt.Fprintf(&table, "| `--%s` | `%s` | %s | %s |\n", flag.Name, flag.Envs[0], shown, flag.Help)
	}
	return table.String()
}

func TestReadme_SettingsTable(t *testing.T) {
	if want := settingsTable(t); !strings.Contains(readme(t), want) {
		t.Errorf("the README's table of settings is not this one:\n%s", want)
	}
}

func TestReadme_SecretSettings(t *testing.T) {
	page := readme(t)
	for _, name := range secretVariables {
		if !strings.Contains(page, name+"_FILE") {
			t.Errorf("the README does not say that %s_FILE is taken", name)
		}
	}
}

// Every command that the page names is one of the program's.
func TestReadme_Commands(t *testing.T) {
	parser, err := newParser(terminal{})
	if err != nil {
		t.Fatal(err)
	}
	commands := map[string]bool{}
	for _, node := range parser.Model.Leaves(false) {
		name, _, _ := strings.Cut(node.FullPath(), " [")
		first, _, _ := strings.Cut(strings.TrimPrefix(name, "unihook "), " ")
		commands[first] = true
	}
	for _, m := range regexp.MustCompile("(?m)(?:`|run ./cmd/)unihook ([a-z]+)").FindAllStringSubmatch(readme(t), -1) {
		if !commands[m[1]] {
			t.Errorf("the README names `unihook %s`, which is no command", m[1])
		}
	}
}

// What .ci/run calls is the command that the page tells people to run.
func TestReadme_TestCommandIsTheOneOfCI(t *testing.T) {
	script, err := os.ReadFile(filepath.Join(root, ".ci", "run"))
	if err != nil {
		t.Fatal(err)
	}
	block := regexp.MustCompile("(?s)## Tests\n\n```sh\n(.*?)\n```").FindStringSubmatch(readme(t))
	if block == nil || !strings.Contains(string(script), "tested test "+block[1]+";") {
		t.Errorf("the README's test command %q is not the one that .ci/run calls", block)
	}
}

func TestReadme_MapExample(t *testing.T) {
	block := regexp.MustCompile("(?ms)^```sh map\n(.*?)^```$\n+```json map\n(.*?)\n```$").FindStringSubmatch(readme(t))
	if block == nil {
		t.Fatal("the README has no example of map")
	}
	demand(t, "bash")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	shell := exec.CommandContext(t.Context(), "bash", "-euc", `unihook() { "$SELF" "$@"; }; `+block[1])
	shell.Env = []string{asProgram + "=1", "SELF=" + self}
	out, err := shell.Output()
	if err != nil || string(out) != block[2]+"\n" {
		t.Errorf("got %s and %v; want %s", out, err, block[2])
	}
	var v any
	if err := json.Unmarshal(out, &v); err != nil {
		t.Error(err)
	}
}
