package egress_test

import (
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/unihook/unihook/gateway/egress"
)

// In these tests 127.0.0.2 stands for the public address of a vector, and is the one that is allowed; everything else of
// this machine is as forbidden as it is in production, and counts who connects to it.
const (
	publicStand = "127.0.0.2"
	vectorsSay  = "93.184.216.34"
)

// canaries listen on one port of every address that must not be reached.
func canaries(t *testing.T, port uint16) (touched *atomic.Int64) {
	t.Helper()
	touched = new(atomic.Int64)
	for _, host := range []string{"127.0.0.1", "127.0.0.3", "::1"} {
		ln, err := net.Listen("tcp", net.JoinHostPort(host, fmt.Sprint(port)))
		if err != nil {
			t.Logf("no canary at %s: %v", host, err)
			continue
		}
		serveRaw(t, ln, func(net.Conn) { touched.Add(1) })
	}
	return touched
}

// dnsVector is one case of dns.json.
type dnsVector struct {
	ID, Host, Expect, Why string
	Answers               []dnsAnswer
	HTTP                  *struct {
		Status   int
		Location string
	}
}

func (v dnsVector) standIn() []dnsAnswer {
	var answers []dnsAnswer
	for _, a := range v.Answers {
		var in []string
		for _, addr := range a.A {
			in = append(in, strings.ReplaceAll(addr, vectorsSay, publicStand))
		}
		a.A = in
		answers = append(answers, a)
	}
	return answers
}

func TestDo_DNSVectors(t *testing.T) {
	var v struct{ Cases []dnsVector }
	readVectors(t, "dns.json", &v)
	ca := newAuthority(t)
	for _, v := range v.Cases {
		t.Run(v.ID, func(t *testing.T) {
			names := newNameServer(t)
			names.set(v.Host, v.standIn()...)
			var requests atomic.Int64
			ln := serveTLS(t, publicStand+":0", ca.issue(t, []string{v.Host}, nil), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				requests.Add(1)
				if v.HTTP != nil {
					w.Header().Set("Location", v.HTTP.Location)
					w.WriteHeader(v.HTTP.Status)
				}
			}))
			touched := canaries(t, portOf(ln))
			policy := &egress.Policy{Networks: mustAllow(t, publicStand)}
			c := newClient(t, egress.Options{Policy: policy, RootCAs: ca.PEM, Resolver: names.resolver()})
			for range 4 {
				out := c.Do(t.Context(), egress.Request{URL: at(v.Host, ln) + "/", Timeout: 30 * time.Second})
				judgeDNS(t, v, out)
			}
			if n := touched.Load(); n > 0 {
				t.Errorf("%d connections to a forbidden address", n)
			}
			if v.HTTP != nil && requests.Load() != 4 {
				t.Errorf("%d requests for 4 attempts", requests.Load())
			}
		})
	}
}

func judgeDNS(t *testing.T, v dnsVector, out egress.Response) {
	t.Helper()
	open := map[string][]egress.Failure{
		"blocked":                {egress.Blocked},
		"blocked_or_public_only": {egress.Blocked, egress.None},
		"ok":                     {egress.None},
		"retry":                  {egress.DNS},
		"failed_no_follow":       {egress.Redirect},
	}[v.Expect]
	for _, f := range open {
		if out.Failure == f {
			return
		}
	}
	t.Errorf("failure %q (%s), want one of %q: %s", out.Failure, out.Error, open, v.Why)
}

// A name whose answers change between an allowed address and a forbidden one: nothing ever connects to the latter.
func TestDo_Rebinding(t *testing.T) {
	ca := newAuthority(t)
	names := newNameServer(t)
	const host = "rebind.example.com"
	names.set(host, dnsAnswer{A: []string{publicStand}}, dnsAnswer{A: []string{"127.0.0.1"}}, dnsAnswer{A: []string{"127.0.0.3", publicStand}, AAAA: []string{"::1"}})
	ln := serveTLS(t, publicStand+":0", ca.issue(t, []string{host}, nil), http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Connection", "close")
	}))
	touched := canaries(t, portOf(ln))
	c := newClient(t, egress.Options{Policy: &egress.Policy{Networks: mustAllow(t, publicStand)}, RootCAs: ca.PEM, Resolver: names.resolver()})
	rebind(t, c, at(host, ln), touched)
}

func rebind(t *testing.T, c *egress.Client, url string, touched *atomic.Int64) {
	t.Helper()
	count := map[egress.Failure]int{}
	for range 1000 {
		out := c.Do(t.Context(), egress.Request{URL: url, Timeout: 30 * time.Second})
		count[out.Failure]++
		if out.Failure == egress.None && !strings.HasPrefix(out.Remote, publicStand+":") {
			t.Fatalf("delivered to %s", out.Remote)
		}
	}
	if n := touched.Load(); n > 0 {
		t.Errorf("%d connections to a forbidden address", n)
	}
	if count[egress.None] == 0 || count[egress.Blocked] == 0 || count[egress.None]+count[egress.Blocked] != 1000 {
		t.Errorf("outcomes %v: some must be delivered and some blocked, and nothing else", count)
	}
	t.Logf("outcomes of 1000 tries: %v", count)
}

func TestDo_SilentNameServer(t *testing.T) {
	names := newNameServer(t)
	names.hush()
	c := newClient(t, egress.Options{Resolver: names.resolver()})
	out := c.Do(t.Context(), egress.Request{URL: "https://example.com/", Timeout: 300 * time.Millisecond})
	if out.Failure != egress.DNS {
		t.Errorf("%s: %s", out.Failure, out.Error)
	}
}
