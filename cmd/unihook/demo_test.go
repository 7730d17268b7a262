package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/unihook/unihook/products"
)

// lines decodes a demo's output for programs.
func lines(t *testing.T, out string) (opening map[string]any, exhibits []exhibit, sum map[string]any) {
	t.Helper()
	all := strings.Split(strings.TrimSpace(out), "\n")
	decode := func(line string, into any) {
		if err := json.Unmarshal([]byte(line), into); err != nil {
			t.Fatalf("%.200q: %v", line, err)
		}
	}
	decode(all[0], &opening)
	decode(all[len(all)-1], &sum)
	for _, line := range all[1 : len(all)-1] {
		var e exhibit
		decode(line, &e)
		exhibits = append(exhibits, e)
	}
	return opening, exhibits, sum
}

func countEventTypes(t *testing.T) (n int) {
	t.Helper()
	catalogue, err := products.Builtin()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range catalogue.Products() {
		n += len(p.Events)
	}
	return n
}

// The demo is alone with its folder: what the environment sets for real gateways is not for it.
func TestDemo_Once_EveryExampleArrivesMappedAndVerified(t *testing.T) {
	temp := t.TempDir()
	t.Setenv("TMPDIR", temp)
	t.Setenv("UNIHOOK_MONGO_URI", "mongodb://192.0.2.1/")
	t.Setenv("UNIHOOK_LISTEN", "0.0.0.0:1")
	got := runHere(t, nil, "demo", "--once", "--json")
	if got.status != 0 || got.errors != "" {
		t.Fatalf("got status %d and %s", got.status, got.errors)
	}
	_, exhibits, sum := lines(t, got.out)
	n := countEventTypes(t)
	want := map[string]any{"published": float64(n), "arrived": float64(n), "mapped": float64(n), "verified": float64(n)}
	delete(sum, "medianMilliseconds")
	if diff := cmp.Diff(want, sum); diff != "" || len(exhibits) != n {
		t.Errorf("%d exhibits; want %d\n%s", len(exhibits), n, diff)
	}
	for _, e := range exhibits {
		if !e.good() || e.Fault != "" || bytes.Equal(e.Before, e.After) || !strings.HasPrefix(e.Signature, "v1,") {
			t.Errorf("%s is not as it should be: %+v", e.Type, e)
		}
		if e.Type == "paiement.success" && (bytes.Contains(e.After, []byte("sarah")) || !bytes.Contains(e.Before, []byte("sarah"))) {
			t.Errorf("the e-mail address is there after the rules, or was not there before: %s", e.After)
		}
	}
	if left, _ := os.ReadDir(temp); len(left) > 0 {
		t.Errorf("the demo left %v behind", left)
	}
}

func TestDemo_ForPeople(t *testing.T) {
	got := runHere(t, nil, "demo", "--once")
	if got.status != 0 {
		t.Fatalf("got status %d and %s", got.status, got.errors)
	}
	for _, want := range []string{"payments · paiement.success", "before the rules", "✓ verified by Standard Webhooks", " 22 verified"} {
		if !strings.Contains(got.out, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	if strings.Contains(got.out, "✗") || strings.Contains(got.out, "\x1b") {
		t.Error("the page has a failure, or colours though it is no terminal")
	}
}

// Who looks at the beginning alone (head) leaves no folder with keys behind, and no claim that all was shown.
func TestDemo_ReaderGoesAway(t *testing.T) {
	temp := t.TempDir()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	var errs bytes.Buffer
	cmd := program(t.Context(), t, []string{"TMPDIR=" + temp}, "demo", "--once")
	cmd.Stdout, cmd.Stderr = w, &errs
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_ = w.Close()
	_ = r.Close()
	_ = cmd.Wait()
	if status := cmd.ProcessState.ExitCode(); status != 1 || errs.Len() > 0 {
		t.Errorf("got status %d and %q, want 1 and nothing", status, errs.String())
	}
	if left, _ := os.ReadDir(temp); len(left) > 0 {
		t.Errorf("the demo left %v behind", left)
	}
}

// Without --once it serves on, until it is told to end, and leaves nothing behind.
func TestDemo_GoesOnServing(t *testing.T) {
	temp := t.TempDir()
	t.Setenv("TMPDIR", temp)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	r, w := io.Pipe()
	ended := make(chan int, 1)
	go func() {
		ended <- run(ctx, []string{"demo", "--json"}, terminal{strings.NewReader(""), w, io.Discard})
		_ = w.Close()
	}()
	var serving struct{ Serving, OperatorKeyFile string }
	for s := bufio.NewScanner(r); serving.Serving == "" && s.Scan(); {
		if err := json.Unmarshal(s.Bytes(), &serving); err != nil {
			t.Fatal(err)
		}
	}
	response, err := http.Get(serving.Serving + "/readyz")
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	if _, err := os.Stat(serving.OperatorKeyFile); err != nil || response.StatusCode != http.StatusOK {
		t.Errorf("/readyz answers %d, and the operator's key: %v", response.StatusCode, err)
	}
	cancel()
	if status := <-ended; status != 0 {
		t.Errorf("ended with %d; want 0", status)
	}
	if left, _ := os.ReadDir(temp); len(left) > 0 {
		t.Errorf("the demo left %v behind", left)
	}
}

// A receiver that knows another secret refuses, and the demo says so instead of claiming success.
func TestDemo_WrongSecret_IsTold(t *testing.T) {
	dir := t.TempDir()
	r, err := startReceiver(filepath.Join(dir, "ca.pem"))
	if err != nil {
		t.Fatal(err)
	}
	defer r.close()
	s, err := demoSettings(dir, "127.0.0.1:0", r.addr)
	if err != nil {
		t.Fatal(err)
	}
	g, err := startGateway(t.Context(), s, filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := g.stop(); err != nil {
			t.Error(err)
		}
	}()
	d := &demo{demoClient: newDemoClient(g.running.url), receiver: r, operator: g.running.operatorKey}
	// Fewer than start quarantine, in which the rest would wait.
	few := func(context.Context) error {
		d.exhibits = d.exhibits[:3]
		return nil
	}
	otherSecret := func(context.Context) error {
		return r.expect("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "Bearer another")
	}
	for _, step := range []func(context.Context) error{d.makeOrganisation, d.readCatalogue, few, d.makeWebhook, otherSecret, d.publish, d.receive, d.judge} {
		if err := step(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	for _, e := range d.exhibits {
		if e.good() || e.Verified || e.Arrived || !e.Mapped || !strings.Contains(e.Fault, "signature") {
			t.Errorf("%s: got %+v; want it mapped and not verified", e.Type, e)
		}
	}
}

func TestDemo_BadListen_IsRefused(t *testing.T) {
	checkRefused(t, runHere(t, nil, "demo", "--once", "--listen", "0.0.0.0:0"))
}

func TestVisible_EscapesWhatPaintsOverThePage(t *testing.T) {
	for text, want := range map[string]string{
		"plain é 漢 ✓ 😀":                  "plain é 漢 ✓ 😀",
		"\x1b[2Jgone":                    `\u001b[2Jgone`,
		"a\u202eb\u2066c\u200f":          `a\u202eb\u2066c\u200f`,
		"zero\u200bwidth\ufeff":          `zero\u200bwidth\ufeff`,
		"\u2028\u0085\x7f\u00ad":         `\u2028\u0085\u007f\u00ad`,
		"tag \U000E0041, private \ue000": `tag \udb40\udc41, private \ue000`,
	} {
		if got := visible(text); got != want {
			t.Errorf("visible(%q) is %q; want %q", text, got, want)
		}
	}
}

func TestDemoPage_KeepsItsWidth(t *testing.T) {
	e := &exhibit{
		Product: "p", Type: "t", Title: strings.Repeat("title ", 30), Event: "evt_1", Arrived: true, Fault: strings.Repeat("fault ", 30),
		Before: json.RawMessage(`{"a":"` + strings.Repeat("漢字", 60) + `","b":[1,2]}`),
		After:  json.RawMessage(`{"c":"` + strings.Repeat("漢字", 60) + `","b":[1]}`),
	}
	for _, width := range []int{narrowest, 79, 80, 96, 133} {
		var out strings.Builder
		p := &demoPage{out: &out, width: width}
		p.exhibit(1, 22, e)
		p.opening("http://127.0.0.1:12345", &demo{receiver: &receiver{}, webhook: "wh_" + strings.Repeat("0", 26)})
		for _, line := range strings.Split(out.String(), "\n") {
			if columns(line) > width {
				t.Errorf("at %d columns a line has %d: %s", width, columns(line), line)
			}
		}
	}
}

func TestCompareLines(t *testing.T) {
	before := strings.Split(`{|"id": 1,|"firstName": "S",|"email": "s@e",|"tags": [],|"last": 2|}`, "|")
	after := strings.Split(`{|"id": 1,|"first_name": "S",|"tags": []|"more": 3|}`, "|")
	want := []linePair{
		{`{`, `{`, true},
		{`"id": 1,`, `"id": 1,`, true},
		{`"firstName": "S",`, `"first_name": "S",`, false},
		{`"email": "s@e",`, ``, false},
		{`"tags": [],`, `"tags": []`, true},
		{``, `"more": 3`, false},
		{`"last": 2`, ``, false},
		{`}`, `}`, true},
	}
	if diff := cmp.Diff(want, compareLines(before, after), cmp.AllowUnexported(linePair{}), cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}
