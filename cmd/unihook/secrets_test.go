package main

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// hoard is what must be found nowhere, by what it is.
type hoard map[string][]byte

// add takes a secret as text and, where it is an encoding, the bytes that it stands for.
func (h hoard) add(what, secret string) {
	h[what] = []byte(secret)
	h[what+", encoded"] = []byte(base64.StdEncoding.EncodeToString([]byte(secret)))
	if _, rest, ok := strings.Cut(secret, "_"); ok && strings.HasPrefix(secret, "whsec_") {
		if raw, err := base64.StdEncoding.DecodeString(rest); err == nil {
			h[what+", bare"], h[what+", decoded"] = []byte(rest), raw
		}
	}
	if raw, err := hex.DecodeString(secret); err == nil {
		h[what+", decoded"] = raw
	}
}

// check searches a text byte for byte.
func (h hoard) check(t *testing.T, where string, text []byte) {
	t.Helper()
	for what, secret := range h {
		if at := bytes.Index(text, secret); at >= 0 {
			t.Errorf("%s has the %s: ...%.200q", where, what, text[max(0, at-60):min(len(text), at+len(secret)+20)])
		}
	}
}

// checkFiles searches all files below a folder, and answers how many bytes there were.
func (h hoard) checkFiles(t *testing.T, dir string) (size int) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		size += len(text)
		h.check(t, filepath.Base(path), text)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return size
}

// echo sends back all that it was sent, in headers and body, with a status.
func echo(status int) http.HandlerFunc {
	return func(w http.ResponseWriter, q *http.Request) {
		body, _ := io.ReadAll(q.Body)
		w.Header().Set("X-Uri", q.RequestURI)
		w.Header().Set("X-Echo", q.Header.Get("X-Secret"))
		w.Header().Set("Location", "https://elsewhere.example.com"+q.RequestURI)
		w.WriteHeader(status)
		all, _ := json.Marshal(map[string]any{"headers": q.Header, "uri": q.RequestURI, "path": q.URL.Path, "query": q.URL.Query()})
		fmt.Fprintf(w, "%s\n%s\n%q\n%s", all, q.Header.Get("Authorization"), q.Header, body)
	}
}

// targets are receivers of every kind, each under a path and query with tokens of its own.
func targets(t *testing.T, a *authority, secrets hoard) []string {
	stranger := newAuthority(t)
	refused, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	refused.Close()
	broken := a.server(t, func(w http.ResponseWriter, q *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err == nil {
			fmt.Fprintf(conn, "I do not speak HTTP, but you asked for %s with %s\r\n\r\n", q.RequestURI, q.Header)
			conn.Close()
		}
	})
	origins := map[string]string{
		"echoing": a.server(t, echo(200)).URL, "failing": a.server(t, echo(500)).URL, "redirecting": a.server(t, echo(302)).URL,
		"gone": a.server(t, echo(410)).URL, "distrusted": stranger.server(t, echo(200)).URL, "broken": broken.URL,
		"refused": "https://" + refused.Addr().String(), "nowhere": "https://no-such-host.example.com",
	}
	var list []string
	for name, origin := range origins {
		path, query := "P4th-t0ken-"+name+"-0123456789", "qu3ry-t0ken-"+name+"-0123456789"
		secrets.add("token in the path of "+name, path)
		secrets.add("token in the query of "+name, query)
		list = append(list, origin+"/hooks/"+path+"/in?key="+query)
	}
	return list
}

// made is what a create answers, of a webhook and of a key.
type made struct {
	ID      string
	Key     string
	Secret  string
	Signing struct{ Secret string }
}

// live uses the gateway as customers do, well and badly.
func live(t *testing.T, d *daemon, urls []string, secrets hoard) {
	t.Helper()
	d.call(201, "POST", "/v1/organisations", `{"id":"org_a","name":"x"}`, nil)
	var organisation, publisher made
	d.call(201, "POST", "/v1/keys", `{"kind":"organisation","organisation":"org_a","name":"x"}`, &organisation)
	d.call(201, "POST", "/v1/keys", `{"kind":"publisher","name":"x"}`, &publisher)
	secrets.add("organisation's key", organisation.Key)
	secrets.add("publisher's key", publisher.Key)
	endpoints := make([]string, len(urls))
	for i, url := range urls {
		endpoints[i] = `{"url":"` + url + `"}`
	}
	var webhooks []made
	for _, scheme := range []string{"standard", "standard-ed25519", "unisoft", "unipile", "unidy", "unified"} {
		payload := "event"
		if scheme == "unified" {
			payload = "unified"
		}
		header := "h3ader-of-" + scheme + "-0123456789/+="
		secrets.add("secret header of "+scheme, header)
		body := fmt.Sprintf(`{"status":"active","payload":%q,"endpoints":[%s],"events":[{"product":"*","type":"*"}],"signing":{"scheme":%q},
			"retry":{"schedule":"custom","delays":["1s"]},"quarantine":{"after":2,"for":"1s"},
			"headers":[{"name":"Authorization","value":"Bearer %s"},{"name":"X-Secret","value":%q}]}`,
			payload, strings.Join(endpoints, ","), scheme, header, header)
		var w made
		if status, _, text := d.send(organisation.Key, "POST", "/v1/webhooks", body); status != 201 {
			t.Fatalf("%s: %d %s", scheme, status, text)
		} else if err := json.Unmarshal(text, &w); err != nil {
			t.Fatal(err)
		}
		if w.Signing.Secret != "" {
			secrets.add("signing secret of "+scheme, w.Signing.Secret)
		}
		webhooks = append(webhooks, w)
	}
	for i := range 3 {
		status, _, text := d.send(publisher.Key, "POST", "/v1/events", fmt.Sprintf(`{"id":"evt_%d","organisation":"org_a","product":"payments","type":"paiement.success","data":{"id":"pmt_%d"}}`, i, i))
		if status != 202 {
			t.Fatalf("publishing: %d %s", status, text)
		}
	}
	var rotated made
	d.call(200, "POST", "/v1/webhooks/"+webhooks[0].ID+"/secret", `{"graceSeconds":3600}`, &rotated)
	secrets.add("rotated secret", rotated.Secret)
	const brought = "br0ught-along-secret-0123456789"
	secrets.add("secret brought along", brought)
	d.call(200, "POST", "/v1/webhooks/"+webhooks[2].ID+"/secret", `{"secret":"`+brought+`"}`, nil)
	d.call(200, "POST", "/v1/webhooks/"+webhooks[1].ID+"/test", `{}`, nil)
	d.call(200, "PATCH", "/v1/webhooks/"+webhooks[3].ID, `{"name":"renamed"}`, nil)
	d.call(204, "DELETE", "/v1/webhooks/"+webhooks[4].ID, "", nil)
	// What is refused, and what cannot be read.
	d.send(organisation.Key, "POST", "/v1/webhooks", `{"endpoints":[{"url":"http://127.0.0.1/`+string(secrets["token in the path of gone"])+`"}],"headers":[{"name":"Host","value":"`+string(secrets["secret header of unidy"])+`"}]}`)
	d.send(organisation.Key, "POST", "/v1/webhooks", `{"`+string(secrets["secret header of unidy"]))
	d.send(organisation.Key+"x", "GET", "/v1/webhooks?cursor="+organisation.Key, "")
}

// reads are what the API says afterwards. The owner may see a URL whole, and nobody a secret.
func reads(d *daemon) (of map[string][]byte) {
	of = map[string][]byte{}
	for _, path := range []string{"/v1/webhooks?organisation=org_a&limit=200", "/v1/deliveries?organisation=org_a&limit=200", "/v1/keys", "/v1/audit?limit=200", "/v1/organisations", "/metrics"} {
		_, _, of[path] = d.send(testOperatorKey, "GET", path, "")
	}
	var list struct{ Data []attempted }
	_ = json.Unmarshal(of["/v1/deliveries?organisation=org_a&limit=200"], &list)
	for _, delivery := range list.Data {
		_, _, of["/v1/deliveries/"+delivery.ID] = d.send(testOperatorKey, "GET", "/v1/deliveries/"+delivery.ID, "")
	}
	return of
}

// checkNowhere searches what processes said, what they answer, and what is on disk.
func checkNowhere(t *testing.T, secrets hoard, d *daemon, processes []*daemon, dirs ...string) {
	t.Helper()
	// Where the first ones are answered soon, what comes later is not tried: its endpoint is left alone.
	until(t, "every delivery was tried, or its endpoint is closed to it", func() bool {
		var list struct {
			Data []struct {
				Reason      string
				LastAttempt *struct{ Number int }
			}
		}
		d.call(200, "GET", "/v1/deliveries?organisation=org_a&limit=200&status=pending", "", &list)
		for _, delivery := range list.Data {
			if delivery.LastAttempt == nil && delivery.Reason != "quarantined" && delivery.Reason != "gone" {
				return false
			}
		}
		return true
	})
	for path, text := range reads(d) {
		if len(text) < 30 || text[0] == '{' && bytes.Contains(text[:30], []byte("about:blank")) {
			t.Errorf("%s answers %s", path, text)
		}
		for what, secret := range secrets {
			shown := strings.HasPrefix(what, "token in the") && strings.HasPrefix(path, "/v1/") && !strings.HasPrefix(path, "/v1/audit")
			if at := bytes.Index(text, secret); at >= 0 && !shown {
				t.Errorf("%s shows the %s: %.300s", path, what, text[max(0, at-100):])
			}
		}
	}
	for _, dir := range dirs {
		if size := secrets.checkFiles(t, dir); size < 10_000 {
			t.Errorf("%s has %d bytes: there is nothing to search", dir, size)
		}
	}
	for _, p := range processes {
		p.stop()
		secrets.check(t, "the log of "+strings.Join(p.cmd.Args[1:2], " "), []byte(p.out.String()))
	}
	for _, dir := range dirs {
		secrets.checkFiles(t, dir)
	}
}

func TestSecrets_OfServeAreNowhere(t *testing.T) {
	a, secrets, dir := newAuthority(t), hoard{}, t.TempDir()
	secrets.add("operator's key", testOperatorKey)
	secrets.add("encryption key", testEncryptionKey)
	urls := targets(t, a, secrets)
	d := launch(t, nil, "serve", "--data-dir", dir, "--listen", "127.0.0.1:0", "--allow-network", "127.0.0.0/8", "--ca-file", a.file, "--retry-scale", "0.1")
	live(t, d, urls, secrets)
	checkNowhere(t, secrets, d, []*daemon{d}, dir)
}

func TestSecrets_OfAClusterOfProcessesAreNowhere(t *testing.T) {
	a, secrets, dir := newAuthority(t), hoard{}, t.TempDir()
	const token, password = "pr0xy-t0ken-0123456789abcdef", "redis-passw0rd-0123456789abcdef"
	secrets.add("operator's key", testOperatorKey)
	secrets.add("encryption key", testEncryptionKey)
	secrets.add("proxy's token", token)
	secrets.add("password of Redis", password)
	urls := targets(t, a, secrets)
	certFile, keyFile := a.issue(t)
	proxy := launch(t, []string{"UNIHOOK_TOKEN=" + token}, "egress", "--listen", "127.0.0.1:0", "--allow-network", "127.0.0.0/8", "--tls-cert", certFile, "--tls-key", keyFile)
	redis, redisDir := startRedis(t, password)
	env := []string{"UNIHOOK_EGRESS_PROXY=https://" + token + "@" + proxy.at, "UNIHOOK_REDIS_URI=" + redis}
	shared := []string{"--data-dir", dir, "--allow-network", "127.0.0.0/8", "--ca-file", a.file, "--retry-scale", "0.1"}
	api := launch(t, env, append([]string{"api", "--listen", "127.0.0.1:0"}, shared...)...)
	worker := launch(t, env, append([]string{"worker"}, shared...)...)
	live(t, api, urls, secrets)
	checkNowhere(t, secrets, api, []*daemon{api, worker, proxy}, dir, redisDir)
}
