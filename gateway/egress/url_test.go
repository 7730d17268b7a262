package egress_test

import (
	"context"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/unihook/unihook/gateway/egress"
)

func TestCheckURL_Vectors(t *testing.T) {
	var v struct {
		Refuse, Accept []struct {
			ID, URL, Why string
			DNS          dnsAnswer
		}
	}
	readVectors(t, "urls.json", &v)
	p, names := new(egress.Policy), newNameServer(t)
	for _, c := range v.Refuse {
		if _, fault := p.CheckURL("org_a", c.URL, nil); fault == nil {
			t.Errorf("%s %.80q was let through: %s", c.ID, c.URL, c.Why)
		}
	}
	for _, c := range v.Accept {
		target, fault := p.CheckURL("org_a", c.URL, nil)
		if fault != nil {
			t.Errorf("%s %.80q was refused (%s): %s", c.ID, c.URL, fault.Detail, c.Why)
			continue
		}
		names.set(target.Host, c.DNS)
		if fault := p.CheckName(t.Context(), names.resolver(), "org_a", target); fault != nil {
			t.Errorf("%s %.80q was refused after its look-up (%s)", c.ID, c.URL, fault.Detail)
		}
	}
}

func TestCheckURL_Target(t *testing.T) {
	p := &egress.Policy{AllowHTTP: true, AllowPorts: []uint16{22}, Networks: mustAllow(t, "org_a=fd00::/8")}
	for raw, want := range map[string]string{
		"https://Example.COM/Hook?x#": "",
		"https://Example.COM/Hook?x":  "https://example.com:443",
		"HTTPS://example.com.":        "https://example.com:443",
		"http://example.com":          "http://example.com:80",
		"http://example.com:8080/":    "http://example.com:8080",
		"https://example.com:22/":     "https://example.com:22",
		"https://[FD00::1]:8443/":     "https://[fd00::1]:8443",
		"https://1.1.1.1?x=1":         "https://1.1.1.1:443",
		"https://redis:8443/":         "https://redis:8443",
	} {
		target, fault := p.CheckURL("org_a", raw, nil)
		if (fault != nil) != (want == "") || target.Origin != want {
			t.Errorf("%s: %q, %+v; want %q", raw, target.Origin, fault, want)
		}
	}
	if _, fault := p.CheckURL("org_b", "https://redis:8443/", nil); fault == nil {
		t.Error("one organisation's allowance opened a single label to another")
	}
}

func TestCheckURL_Hosts(t *testing.T) {
	p := new(egress.Policy)
	for _, c := range []struct {
		pattern, url string
		open         bool
	}{
		{"*.example.com", "https://a.example.com/", true},
		{"*.example.com", "https://A.B.Example.com/", true},
		{"*.example.com", "https://example.com/", false},
		{"*.example.com", "https://evilexample.com/", false},
		{"*.example.com", "https://a.example.com.evil.com/", false},
		{"Example.com", "https://example.com./", true},
		{"example.com", "https://a.example.com/", false},
		{"[2606:4700::1]", "https://[2606:4700::1]/", true},
		{"*", "https://example.org/", true},
	} {
		if _, fault := p.CheckURL("org_a", c.url, []string{"other.org", c.pattern}); (fault == nil) != c.open {
			t.Errorf("%s with %s: %+v, want open %v", c.url, c.pattern, fault, c.open)
		}
	}
}

func TestRefusedPorts_AreRefused(t *testing.T) {
	p := new(egress.Policy)
	for _, r := range egress.RefusedPorts() {
		for _, port := range []uint16{r.From, r.To} {
			if p.CheckAddress("", netip.AddrPortFrom(netip.MustParseAddr("1.1.1.1"), port)) == nil {
				t.Errorf("port %d (%s) was let through", port, r.Why)
			}
		}
	}
}

func TestCheckName(t *testing.T) {
	names := newNameServer(t)
	names.set("private.example.com", dnsAnswer{A: []string{"10.0.0.5"}})
	names.set("mixed.example.com", dnsAnswer{A: []string{"93.184.216.34"}, AAAA: []string{"::1"}})
	names.set("public.example.com", dnsAnswer{A: []string{"93.184.216.34"}})
	p := new(egress.Policy)
	for host, refused := range map[string]bool{
		"private.example.com": true, "mixed.example.com": true, "public.example.com": false, "absent.example.com": false,
	} {
		target, fault := p.CheckURL("", "https://"+host+"/", nil)
		if fault != nil {
			t.Fatal(fault.Detail)
		}
		fault = p.CheckName(t.Context(), names.resolver(), "", target)
		if (fault != nil) != refused {
			t.Errorf("%s: %+v, want refused %v", host, fault, refused)
		}
		if fault != nil && strings.Contains(fault.Detail, "10.0.0.5") {
			t.Errorf("%s: the sentence names the address: %s", host, fault.Detail)
		}
	}
}

func TestCheckName_SilenceIsAcceptedAfterTwoSeconds(t *testing.T) {
	names := newNameServer(t)
	names.hush()
	p := new(egress.Policy)
	target, _ := p.CheckURL("", "https://example.com/", nil)
	began := time.Now()
	if fault := p.CheckName(context.Background(), names.resolver(), "", target); fault != nil {
		t.Error(fault.Detail)
	}
	// A resolver with its own patience takes ten seconds and more.
	if took := time.Since(began); took > 8*time.Second {
		t.Errorf("it took %s", took)
	}
}

// The path and query of a URL are sent byte for byte, whatever a URL library would make of them.
func TestDo_SendsThePathAsGiven(t *testing.T) {
	ca := newAuthority(t)
	seen := make(chan string, 1)
	ln := serveTLS(t, "127.0.0.1:0", ca.issue(t, []string{"127.0.0.1"}, nil), http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		seen <- r.RequestURI
	}))
	c := newClient(t, egress.Options{Policy: &egress.Policy{Networks: mustAllow(t, "127.0.0.1")}, RootCAs: ca.PEM})
	for given, want := range map[string]string{
		"/a//b/../c/./d": "/a//b/../c/./d", "//a|b": "//a|b", "/h?a=%2F%2f&b=+&c=%20": "/h?a=%2F%2f&b=+&c=%20", "": "/", "?x=1": "/?x=1",
		"/%c3%a9{}^`\"<>": "/%c3%a9{}^`\"<>", "/%0d%0aX:1": "/%0d%0aX:1",
	} {
		if out := c.Do(t.Context(), egress.Request{URL: at("127.0.0.1", ln) + given}); out.Failure != egress.None {
			t.Errorf("%q: %s %s", given, out.Failure, out.Error)
		} else if got := <-seen; got != want {
			t.Errorf("%q was sent as %q", given, got)
		}
	}
}
