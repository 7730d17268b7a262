package main

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
)

// peers is a receiver that notes the address of each request's sender, and answers with it.
type peers struct {
	*httptest.Server
	mu   sync.Mutex
	seen map[string]string // by event id
}

func newPeers(t *testing.T, a *authority) *peers {
	p := &peers{seen: map[string]string{}}
	p.Server = a.server(t, func(w http.ResponseWriter, q *http.Request) {
		host, _, _ := net.SplitHostPort(q.RemoteAddr)
		p.mu.Lock()
		p.seen[q.Header.Get("webhook-id")] = host
		p.mu.Unlock()
		fmt.Fprintf(w, "you are %s\n", host)
	})
	return p
}

// addresses are those that requests came from, by event.
func (p *peers) addresses() map[string]string {
	p.mu.Lock()
	defer p.mu.Unlock()
	seen := map[string]string{}
	for id, host := range p.seen {
		seen[id] = host
	}
	return seen
}

// attempted is what a test reads of a delivery.
type attempted struct {
	ID, Event, Status string
	Attempts          []struct {
		Status                                                         int
		URL, Failure, Error, LocalAddress, RemoteAddress, ResponseBody string
	}
}

// organise makes an organisation with a webhook for all events, active and tried once.
func organise(d *daemon, organisation string, urls ...string) {
	d.t.Helper()
	d.call(201, "POST", "/v1/organisations", `{"id":"`+organisation+`","name":"x"}`, nil)
	endpoints := make([]string, len(urls))
	for i, url := range urls {
		endpoints[i] = `{"url":"` + url + `"}`
	}
	d.call(201, "POST", "/v1/webhooks", `{"organisation":"`+organisation+`","status":"active","endpoints":[`+strings.Join(endpoints, ",")+`],
		"events":[{"product":"*","type":"*"}],"retry":{"schedule":"custom","delays":[]},"quarantine":{"after":0}}`, nil)
}

func publish(d *daemon, organisation, id string) {
	d.t.Helper()
	d.call(202, "POST", "/v1/events", `{"id":"`+id+`","organisation":"`+organisation+`","product":"payments","type":"paiement.success","data":{"id":"pmt_1","amount":5000}}`, nil)
}

// settled waits until nothing of an organisation is pending, and answers its deliveries with their attempts.
func settled(d *daemon, organisation string) []attempted {
	d.t.Helper()
	until(d.t, "nothing is pending", func() bool {
		var pending struct{ Data []any }
		d.call(200, "GET", "/v1/deliveries?status=pending&organisation="+organisation, "", &pending)
		return len(pending.Data) == 0
	})
	var list struct{ Data []attempted }
	d.call(200, "GET", "/v1/deliveries?limit=200&organisation="+organisation, "", &list)
	for i := range list.Data {
		d.call(200, "GET", "/v1/deliveries/"+list.Data[i].ID, "", &list.Data[i])
	}
	return list.Data
}

// checkLeft holds that every event was received from the address, and that the attempts say so.
func checkLeft(t *testing.T, p *peers, list []attempted, events int, from string) {
	t.Helper()
	seen := p.addresses()
	if len(seen) != events || len(list) != events {
		t.Errorf("%d events were received and %d delivered, want %d", len(seen), len(list), events)
	}
	for _, d := range list {
		if d.Status != "delivered" || seen[d.Event] != from || d.Attempts[0].LocalAddress != from {
			t.Errorf("%s is %s; the receiver saw %s, want %s; recorded is %+v", d.Event, d.Status, seen[d.Event], from, d.Attempts)
		}
	}
}

// checkFacts holds what the gateway tells of its addresses, in each of the three ways and without a key.
func checkFacts(t *testing.T, d *daemon, want, text string) {
	t.Helper()
	for path, want := range map[string]string{"/v1/egress": want, "/egress.json": want, "/egress.txt": text} {
		status, _, got := d.send("", "GET", path, "")
		if status != 200 || strings.TrimSpace(string(got)) != strings.TrimSpace(want) {
			t.Errorf("%s answers %d %s, want %s", path, status, got, want)
		}
	}
}

func TestEgress_BoundAddress(t *testing.T) {
	a := newAuthority(t)
	p := newPeers(t, a)
	const from = "127.0.0.5"
	settings := []string{"--egress-ip", from, "--allow-network", "127.0.0.0/8", "--ca-file", a.file}
	d := launch(t, nil, append([]string{"serve", "--data-dir", t.TempDir(), "--listen", "127.0.0.1:0", "--egress-upcoming", "192.0.2.9@2027-01-31"}, settings...)...)
	organise(d, "org_a", p.URL)
	for i := range 10 {
		publish(d, "org_a", fmt.Sprintf("evt_%d", i))
	}
	checkLeft(t, p, settled(d, "org_a"), 10, from)
	checkFacts(t, d, `{"addresses":["127.0.0.5"],"upcoming":[{"address":"192.0.2.9","from":"2027-01-31"}],"mode":"bind"}`, from)

	check := append([]string{"egress", "check", p.URL}, settings...)
	if got := runProcess(t, nil, check...); got.status != 0 || !strings.Contains(got.out, "Proved") || !strings.Contains(got.out, from) {
		t.Errorf("the check answers %+v", got)
	}
	if got := runProcess(t, nil, append(check, "--egress-public-ip", "192.0.2.1", "--json")...); got.status != 1 || !strings.Contains(got.out, `"proved":false`) {
		t.Errorf("the check of another promised address answers %+v", got)
	}
}

func TestEgress_AddressOfAnotherMachine(t *testing.T) {
	for _, command := range [][]string{
		{"serve", "--data-dir", t.TempDir(), "--listen", "127.0.0.1:0"},
		{"egress", "--listen", "127.0.0.1:0", "--token", "t0ken-of-the-proxy"},
	} {
		got := runProcess(t, nil, append(command, "--egress-ip", "192.0.2.1")...)
		if want := "192.0.2.1 is not an address of this machine"; got.status != 1 || !strings.Contains(got.errors, want) || strings.Contains(got.errors, "goroutine") {
			t.Errorf("%s: got %+v, want 1 and a sentence with %q", command[0], got, want)
		}
	}
}

// The proxy that lends its address to two workers; the api process, which sends nothing, tells what the address is.
func TestEgress_ProxyOfTwoWorkers(t *testing.T) {
	a := newAuthority(t)
	p := newPeers(t, a)
	const from, token = "127.0.0.6", "t0ken-of-the-proxy"
	certFile, keyFile := a.issue(t)
	loopback := []string{"--allow-network", "127.0.0.0/8"}
	proxy := launch(t, []string{"UNIHOOK_TOKEN=" + token}, append([]string{"egress", "--listen", "127.0.0.1:0", "--egress-ip", from, "--tls-cert", certFile, "--tls-key", keyFile}, loopback...)...)
	redis, _ := startRedis(t, "redis-passw0rd")
	through := []string{"UNIHOOK_EGRESS_PROXY=https://" + token + "@" + proxy.at, "UNIHOOK_REDIS_URI=" + redis}
	shared := append([]string{"--data-dir", t.TempDir(), "--ca-file", a.file}, loopback...)
	api := launch(t, through, append([]string{"api", "--listen", "127.0.0.1:0"}, shared...)...)
	for range 2 {
		launch(t, through, append([]string{"worker"}, shared...)...)
	}
	organise(api, "org_a", p.URL)
	for i := range 60 {
		publish(api, "org_a", fmt.Sprintf("evt_%d", i))
	}
	checkLeft(t, p, settled(api, "org_a"), 60, from)
	checkFacts(t, api, `{"addresses":["127.0.0.6"],"upcoming":[],"mode":"proxy"}`, from)

	cmd := program(t.Context(), t, through, append([]string{"egress", "check", p.URL, "--ca-file", a.file}, loopback...)...)
	if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "Proved") || !strings.Contains(string(out), from) {
		t.Errorf("the check answers %v: %s", err, out)
	}

	// Without the proxy nothing leaves: no worker goes round it, and each says why.
	proxy.stop()
	publish(api, "org_a", "evt_without")
	list := settled(api, "org_a")
	i := slices.IndexFunc(list, func(d attempted) bool { return d.Event == "evt_without" })
	if got := list[i].Attempts[0]; got.Failure != "connect" || got.Status != 0 || !strings.Contains(got.Error, "proxy") {
		t.Errorf("without the proxy: %+v", got)
	}
	if _, received := p.addresses()["evt_without"]; received {
		t.Error("a worker went round the proxy")
	}
}

func TestEgress_ProxyDoesNotStartOpen(t *testing.T) {
	for says, args := range map[string][]string{
		"needs a token or a client CA":  {"--listen", "127.0.0.1:0"},
		"needs a TLS certificate":       {"--listen", "0.0.0.0:0", "--token", "t0ken-of-the-proxy"},
		"not an address of this":        {"--listen", "127.0.0.1:0", "--token", "t0ken-of-the-proxy", "--egress-ip", "2001:db8::1"},
		"needs a TLS certificate of it": {"--listen", "127.0.0.1:0", "--client-ca", newAuthority(t).file},
	} {
		got := runProcess(t, nil, append([]string{"egress"}, args...)...)
		if got.status != 1 || !strings.Contains(got.errors, says) || strings.Contains(got.out, "listens") {
			t.Errorf("%v: got %+v, want 1 and %q", args, got, says)
		}
	}
}

// What cannot be meant is a call that is not understood, and nothing is put in its place.
func TestEgress_ProxySettings(t *testing.T) {
	for says, args := range map[string][]string{
		"--tls-cert and --tls-key go": {"--tls-cert", "x"},
		"--max-connections must be 1": {"--max-connections", "0"},
		"--idle must be above 0":      {"--idle", "0s"},
		"--grace must not be neg":     {"--grace=-1s"},
	} {
		got := runProcess(t, nil, append([]string{"egress", "--listen", "127.0.0.1:0", "--token", "t0ken-of-the-proxy"}, args...)...)
		if got.status != 2 || !strings.Contains(got.errors, says) {
			t.Errorf("%v: got %+v, want 2 and %q", args, got, says)
		}
	}
}

// A proxy may ask for certificates in place of a token.
func TestEgress_ProxyOfClientsWithCertificates(t *testing.T) {
	a := newAuthority(t)
	p := newPeers(t, a)
	certFile, keyFile := a.issue(t)
	proxy := launch(t, nil, "egress", "--listen", "127.0.0.1:0", "--egress-ip", "127.0.0.7", "--client-ca", a.file,
		"--tls-cert", certFile, "--tls-key", keyFile, "--allow-network", "127.0.0.0/8")
	check := []string{"egress", "check", p.URL, "--egress-proxy", "https://" + proxy.at, "--allow-network", "127.0.0.0/8", "--ca-file", a.file}
	if got := runProcess(t, nil, check...); got.status != 1 || !strings.Contains(got.errors, "connect") {
		t.Errorf("without a certificate: got %+v", got)
	}
	got := runProcess(t, nil, append(check, "--egress-proxy-cert", certFile, "--egress-proxy-key", keyFile)...)
	if got.status != 0 || !strings.Contains(got.out, "Seen:      127.0.0.7") {
		t.Errorf("with a certificate: got %+v", got)
	}
}

// What --egress-* names is no target, though it is public.
func TestEgress_OwnAddressesAreNoTargets(t *testing.T) {
	d := launch(t, nil, "serve", "--data-dir", t.TempDir(), "--listen", "127.0.0.1:0",
		"--egress-public-ip", "8.8.4.1", "--egress-upcoming", "8.8.4.2@2027-01-31", "--egress-proxy", "https://t0ken@8.8.4.3:8443")
	d.call(201, "POST", "/v1/organisations", `{"id":"org_a","name":"x"}`, nil)
	for host, want := range map[string]int{"8.8.4.1": 422, "8.8.4.2": 422, "8.8.4.3:8443": 422, "8.8.4.4": 201} {
		status, _, text := d.send(testOperatorKey, "POST", "/v1/webhooks", `{"organisation":"org_a","endpoints":[{"url":"https://`+host+`/"}],"events":[{"product":"*","type":"*"}]}`)
		if status != want || want == 422 && !strings.Contains(string(text), "does not lead to a public address") {
			t.Errorf("%s is answered %d, want %d: %s", host, status, want, text)
		}
	}
}
