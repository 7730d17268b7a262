package main

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"testing"
)

// otherKey is another encryption key than that of the tests.
var otherKey = base64.StdEncoding.EncodeToString([]byte("another-wrapping-key-of-32-bytes"))

// runWith runs a command that ends by itself.
func runWith(t *testing.T, env []string, args ...string) result {
	t.Helper()
	cmd := program(t.Context(), t, env, args...)
	var out, errs strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &errs
	_ = cmd.Run() // the status says it
	return result{cmd.ProcessState.ExitCode(), out.String(), errs.String()}
}

func checkWorks(t *testing.T, d *daemon, p *peers, event string) {
	t.Helper()
	publish(d, "org_a", event)
	settled(d, "org_a")
	if p.addresses()[event] == "" {
		t.Errorf("%s was not received", event)
	}
}

// The keys are exchanged while everything runs, and nothing stops for it.
func TestKeysRotate_BesideRunningProcesses(t *testing.T) {
	a := newAuthority(t)
	for _, kind := range []string{"serve", "api and worker"} {
		t.Run(kind, func(t *testing.T) {
			p, dir := newPeers(t, a), t.TempDir()
			settings := []string{"--data-dir", dir, "--allow-network", "127.0.0.0/8", "--ca-file", a.file}
			listen := append([]string{"--listen", "127.0.0.1:0"}, settings...)
			var d *daemon
			if kind == "serve" {
				d = launch(t, nil, append([]string{"serve"}, listen...)...)
			} else {
				redis, _ := startRedis(t, "redis-passw0rd")
				env := []string{"UNIHOOK_REDIS_URI=" + redis}
				d = launch(t, env, append([]string{"api"}, listen...)...)
				launch(t, env, append([]string{"worker"}, settings...)...)
			}
			organise(d, "org_a", p.URL+"/t0ken")
			checkWorks(t, d, p, "evt_before")
			env := []string{"UNIHOOK_ENCRYPTION_KEY=" + testEncryptionKey}
			if got := runWith(t, env, "keys", "rotate", "--data-dir", dir); got.status != 0 || !strings.Contains(got.out, "1 webhooks are sealed anew\nwaiting for saves that are under way\nthe old key is retired\n") {
				t.Fatalf("got %+v", got)
			}
			checkWorks(t, d, p, "evt_after")
			var audit struct {
				Data []struct {
					Actor, Action string
					Applied       bool
				}
			}
			d.call(200, "GET", "/v1/audit?actor=cli", "", &audit)
			if len(audit.Data) != 1 || audit.Data[0].Action != "keys.rotated" || !audit.Data[0].Applied {
				t.Errorf("the audit has %+v", audit.Data)
			}
		})
	}
}

// A wrapping key is exchanged by giving both for a while; any other opens nothing, and none is made anew.
func TestEncryptionKey_IsExchangedAndNeverMadeAnew(t *testing.T) {
	a, dir := newAuthority(t), t.TempDir()
	p := newPeers(t, a)
	serve := []string{"serve", "--data-dir", dir, "--listen", "127.0.0.1:0", "--allow-network", "127.0.0.0/8", "--ca-file", a.file}
	with := func(keys string) []string { return []string{"UNIHOOK_ENCRYPTION_KEY=" + keys} }
	d := launch(t, nil, serve...)
	organise(d, "org_a", p.URL)
	d.stop()
	refused := func(env []string, says string) {
		t.Helper()
		if got := runWith(t, env, serve...); got.status != 1 || !strings.Contains(got.errors, says) {
			t.Errorf("got %+v, want 1 and %q", got, says)
		}
	}
	refused(with(otherKey), "the encryption key does not open this store")
	refused(nil, "none is made anew")
	if _, err := os.Stat(dir + "/encryption-key"); err == nil {
		t.Error("a key was made for a store that has one")
	}
	for i, keys := range []string{otherKey + "," + testEncryptionKey, otherKey} {
		d := launch(t, with(keys), serve...)
		checkWorks(t, d, p, fmt.Sprintf("evt_%d", i))
		d.stop()
	}
	refused(with(testEncryptionKey), "the encryption key does not open this store")
}

// Durations have days everywhere, an empty variable is none, and a bad value is told in a sentence that names the setting.
func TestSettings(t *testing.T) {
	empty := []string{
		"UNIHOOK_GRACE=", "UNIHOOK_RETENTION=", "UNIHOOK_MAX_EVENT_BYTES=", "UNIHOOK_ALLOW_HTTP=", "UNIHOOK_DEFAULT_STATUS=",
		"UNIHOOK_LISTEN=", "UNIHOOK_RETRY_SCALE=", "UNIHOOK_ENCRYPTION_KEY=", "UNIHOOK_OPERATOR_KEY_FILE=",
	}
	const good = "serve: --max-pending must be 1 or more\n" // all else was taken
	for _, r := range []struct {
		says string
		env  []string
		args []string
	}{
		{good, empty, []string{"--max-pending", "0"}},
		{good, nil, []string{"--max-pending", "0", "--grace", "1d", "--retention", "1d12h", "--quarantine-for", "1m30s"}},
		{`--grace: "soon" is not a duration such as 90s, 1h30m or 7d`, nil, []string{"--grace", "soon"}},
		{`(from envar UNIHOOK_GRACE="soon")`, []string{"UNIHOOK_GRACE=soon"}, nil},
		{"--allow-port must be from 1 to 65535", nil, []string{"--allow-port", "8081,0"}},
	} {
		args := append([]string{"serve", "--data-dir", t.TempDir(), "--listen", "127.0.0.1:0"}, r.args...)
		if got := runWith(t, r.env, args...); got.status == 0 || !strings.Contains(got.errors, r.says) {
			t.Errorf("%v %v: got %+v, want %q", r.env, r.args, got, r.says)
		}
	}
}

func TestStart_RefusesWhatIsOpenToAnybody(t *testing.T) {
	dir := t.TempDir()
	rows := []struct {
		says string
		args []string
	}{
		{"off loopback: give --tls-cert", []string{"serve", "--listen", "0.0.0.0:0"}},
		{"off loopback: give --tls-cert", []string{"serve", "--listen", "[::]:0", "--public-url", "http://hooks.example.com"}},
		{"is off loopback and has no password", []string{"serve", "--listen", "127.0.0.1:0", "--redis-uri", "redis://192.0.2.7:6379"}},
		{"is off loopback and has no password", []string{"worker", "--redis-uri", "redis://redis.example.com:6379/1"}},
		{"32 characters or more", []string{"serve", "--operator-key", "short"}},
		{"--tls-cert and --tls-key go together", []string{"serve", "--tls-cert", "cert.pem"}},
		{"is not a CIDR", []string{"serve", "--trusted-proxy", "10.0.0.1"}},
		{"exclude each other", []string{"serve", "--egress-ip", "127.0.0.1", "--egress-proxy", "https://t0ken@127.0.0.1:1"}},
		{"its token would be sent in clear", []string{"serve", "--listen", "127.0.0.1:0", "--egress-proxy", "http://t0ken@192.0.2.7:8443"}},
		{"not given as https://token@host:port", []string{"serve", "--listen", "127.0.0.1:0", "--egress-proxy", "https://t0ken@192.0.2.7:8443/path"}},
	}
	for _, r := range rows {
		args := append(r.args, "--data-dir", dir)
		got := runWith(t, []string{"UNIHOOK_ENCRYPTION_KEY=" + testEncryptionKey}, args...)
		if got.status == 0 || !strings.Contains(got.errors, r.says) || strings.Contains(got.errors, "t0ken") || strings.Contains(got.errors, "goroutine") {
			t.Errorf("%v: got %+v, want a sentence with %q", r.args, got, r.says)
		}
	}
}

// The listener encrypts, limits each key, believes its own proxies alone, and reads hardly anything of strangers.
func TestListener(t *testing.T) {
	a := newAuthority(t)
	certFile, keyFile := a.issue(t)
	d := launch(t, nil, "serve", "--data-dir", t.TempDir(), "--listen", "127.0.0.1:0", "--tls-cert", certFile, "--tls-key", keyFile,
		"--trusted-proxy", "127.0.0.1/32", "--key-rate", "5")
	roots := x509.NewCertPool()
	if text, err := os.ReadFile(a.file); err != nil || !roots.AppendCertsFromPEM(text) {
		t.Fatal(err)
	}
	config := &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: config}}
	do := func(key, method, path, body string, headers ...string) *http.Response {
		t.Helper()
		q, err := http.NewRequestWithContext(t.Context(), method, d.at+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		q.Header.Set("Authorization", "Bearer "+key)
		q.Header.Set("Content-Type", "application/json")
		for i := 0; i+1 < len(headers); i += 2 {
			q.Header.Set(headers[i], headers[i+1])
		}
		answer, err := client.Do(q)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		return answer
	}
	if !strings.HasPrefix(d.at, "https://") {
		t.Fatalf("it listens on %s", d.at)
	}
	first := do(testOperatorKey, "POST", "/v1/organisations", `{"id":"org_a","name":"a"}`, "X-Forwarded-For", "203.0.113.9, 198.51.100.7")
	if first.StatusCode != 201 || first.Header.Get("Strict-Transport-Security") == "" || first.Header.Get("X-Content-Type-Options") != "nosniff" || first.Header.Get("Content-Security-Policy") == "" {
		t.Errorf("got %d with %v", first.StatusCode, first.Header)
	}
	var limited *http.Response
	until(t, "the key's rate is over", func() bool {
		limited = do(testOperatorKey, "GET", "/v1/products", "")
		return limited.StatusCode == 429
	})
	if wait, err := strconv.Atoi(limited.Header.Get("Retry-After")); err != nil || wait < 1 {
		t.Errorf("429 has Retry-After %q", limited.Header.Get("Retry-After"))
	}
	if got := do("nobody's", "POST", "/v1/events", strings.Repeat(" ", 5<<10)); got.StatusCode != 401 && got.StatusCode != 413 {
		t.Errorf("a stranger's 5 KiB are answered %d", got.StatusCode)
	}
	u, err := url.Parse(d.at)
	if err != nil {
		t.Fatal(err)
	}
	for name, head := range map[string]string{
		"both lengths": "POST /v1/events HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"no host":      "GET /healthz HTTP/1.1\r\n\r\n",
		"two hosts":    "GET /healthz HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
	} {
		conn, err := tls.Dial("tcp", u.Host, config)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprint(conn, head)
		answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil || answer.StatusCode != 400 {
			t.Errorf("%s: got %+v, %v", name, answer, err)
		}
		conn.Close()
	}
	if plain, err := net.Dial("tcp", u.Host); err == nil {
		fmt.Fprint(plain, "GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
		if answer, err := http.ReadResponse(bufio.NewReader(plain), nil); err == nil && answer.StatusCode == 200 {
			t.Error("it answers without TLS")
		}
		plain.Close()
	}
}
