package api_test

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/unihook/unihook/gateway"
	"github.com/unihook/unihook/gateway/api"
)

// raw sends bytes as they are and answers the statuses of all that comes back until the connection closes.
func (s *server) raw(text string) (statuses []int) {
	s.t.Helper()
	c, err := net.Dial("tcp", s.address)
	if err != nil {
		s.t.Fatal(err)
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		s.t.Fatal(err)
	}
	if _, err := io.WriteString(c, text); err != nil {
		s.t.Fatal(err)
	}
	if err := c.(*net.TCPConn).CloseWrite(); err != nil {
		s.t.Fatal(err)
	}
	r := bufio.NewReader(c)
	for {
		res, err := http.ReadResponse(r, nil)
		if err != nil {
			return statuses
		}
		if res.StatusCode != http.StatusContinue {
			statuses = append(statuses, res.StatusCode)
		}
		if res.StatusCode >= 400 && res.Header.Get("Content-Type") != "application/problem+json" {
			s.t.Errorf("%q: %d is no problem", text, res.StatusCode)
		}
		_, _ = io.Copy(io.Discard, res.Body)
		res.Body.Close()
	}
}

// A request that two servers could read in two ways is refused, and what follows on its connection is not read.
func TestFraming(t *testing.T) {
	s := start(t)
	const next = "GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n"
	post := func(headers, body string) string {
		return "POST /v1/organisations HTTP/1.1\r\nAuthorization: Bearer " + operatorKey + "\r\nContent-Type: application/json\r\n" + headers + "\r\n\r\n" + body + next
	}
	chunked := "c\r\n{\"name\":\"c\"}\r\n0\r\n\r\n"
	for name, tc := range map[string]struct {
		text string
		want []int
	}{
		"two requests":              {next + next, []int{200, 200}},
		"a body":                    {post("Host: a\r\nContent-Length: 12", `{"name":"b"}`), []int{201, 200}},
		"a chunked body":            {post("Host: a\r\nTransfer-Encoding: chunked", chunked), []int{201, 200}},
		"Expect":                    {post("Host: a\r\nExpect: 100-continue\r\nContent-Length: 12", `{"name":"d"}`), []int{201, 200}},
		"a body of a GET":           {"GET /healthz HTTP/1.1\r\nHost: a\r\nContent-Length: 34\r\n\r\n" + next + next, []int{200, 200}},
		"no Host":                   {"GET /healthz HTTP/1.1\r\nA: b\r\n\r\n" + next, []int{400}},
		"no Host in HTTP/1.0":       {"GET /healthz HTTP/1.0\r\n\r\n" + next, []int{400}},
		"an empty Host":             {"GET /healthz HTTP/1.1\r\nHost:\r\n\r\n" + next, []int{400}},
		"two Hosts":                 {"GET /healthz HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n" + next, []int{400}},
		"two Hosts in other cases":  {"GET /healthz HTTP/1.1\r\nHost: a\r\nhOST: b\r\n\r\n" + next, []int{400}},
		"both lengths":              {post("Host: a\r\nContent-Length: 12\r\nTransfer-Encoding: chunked", chunked), []int{400}},
		"both, the other way round": {post("Host: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 12", chunked), []int{400}},
		"two lengths":               {post("Host: a\r\nContent-Length: 12\r\nContent-Length: 12", `{"name":"b"}`), []int{400}},
		"two encodings":             {post("Host: a\r\nTransfer-Encoding: identity\r\nTransfer-Encoding: chunked", chunked), []int{400}},
		"an encoding of identity":   {post("Host: a\r\nTransfer-Encoding: identity", chunked), []int{400}},
		"an unknown encoding":       {post("Host: a\r\nTransfer-Encoding: xchunked", chunked), []int{400}},
		"a list of encodings":       {post("Host: a\r\nTransfer-Encoding: gzip, chunked", chunked), []int{400}},
		"a space before the colon":  {post("Host: a\r\nContent-Length : 12", `{"name":"b"}`), []int{400}},
		"a folded header":           {post("Host: a\r\nX: a\r\n Content-Length: 12", ``), []int{400}},
		"a line that LF alone ends": {post("Host: a\nX: y\r\nContent-Length: 12", `{"name":"b"}`), []int{400}},
		"an encoding hidden by LF":  {post("Host: a\r\nX: y\nTransfer-Encoding: chunked", chunked), []int{400}},
		"chunks in HTTP/1.0":        {strings.Replace(post("Host: a\r\nTransfer-Encoding: chunked", chunked), "HTTP/1.1", "HTTP/1.0", 1), []int{400}},
		"a signed length":           {post("Host: a\r\nContent-Length: +12", `{"name":"b"}`), []int{400}},
		"two keys":                  {post("Host: a\r\nContent-Length: 12\r\nAuthorization: Bearer x", `{"name":"b"}`), []int{400}},
		"two content types":         {post("Host: a\r\nContent-Length: 12\r\nContent-Type: text/plain", `{"name":"b"}`), []int{400}},
		"no HTTP":                   {"hello\r\n\r\n" + next, []int{400}},
		"a large head":              {"GET /healthz HTTP/1.1\r\nHost: a\r\nX: " + strings.Repeat("a", 20<<10) + "\r\n\r\n" + next, []int{431}},
		"a chunked body, no key":    {"POST /v1/events HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + strings.Repeat("1000\r\n"+strings.Repeat("a", 0x1000)+"\r\n", 3) + "0\r\n\r\n" + next, []int{401}},
	} {
		t.Run(name, func(t *testing.T) {
			got := s.raw(tc.text)
			if len(got) != len(tc.want) || got[0] != tc.want[0] || got[len(got)-1] != tc.want[len(tc.want)-1] {
				t.Errorf("answered %v, want %v", got, tc.want)
			}
		})
	}
}

// The address in the audit is the peer's, or what a trusted proxy says it saw; what clients make up counts for nothing.
func TestTrustedProxy(t *testing.T) {
	for name, tc := range map[string]struct {
		trusted   string
		forwarded string
		want      string
	}{
		"no proxy":                 {"", "198.51.100.7", "127.0.0.1"},
		"another proxy":            {"10.0.0.0/8", "198.51.100.7", "127.0.0.1"},
		"a proxy":                  {"127.0.0.0/8", "198.51.100.7", "198.51.100.7"},
		"a made-up first address":  {"127.0.0.0/8", "203.0.113.9, 198.51.100.7", "198.51.100.7"},
		"proxies in a row":         {"127.0.0.0/8,10.0.0.0/8", "203.0.113.9, 198.51.100.7, 10.1.2.3", "198.51.100.7"},
		"no address":               {"127.0.0.0/8", "203.0.113.9, unknown", "127.0.0.1"},
		"an address with a port":   {"127.0.0.0/8", "198.51.100.7:4711", "198.51.100.7"},
		"an IPv6 one with a port":  {"127.0.0.0/8", "[2001:db8::7]:4711", "2001:db8::7"},
		"an address in the mapped": {"127.0.0.0/8", "::ffff:198.51.100.7", "198.51.100.7"},
	} {
		t.Run(name, func(t *testing.T) {
			s := start(t, func(_ *gateway.Options, o *api.Options) {
				for text := range strings.SplitSeq(tc.trusted, ",") {
					if text != "" {
						o.TrustedProxies = append(o.TrustedProxies, netip.MustParsePrefix(text))
					}
				}
			})
			got := s.send(request{key: operatorKey, method: "POST", path: "/v1/organisations", body: `{"id":"org_a","name":"a"}`,
				header: map[string]string{"X-Forwarded-For": tc.forwarded, "X-Forwarded-Proto": "https"}})
			if got.status != 201 {
				t.Fatalf("answered %d: %s", got.status, got.body)
			}
			list, _, err := s.store.ListAudit(t.Context(), gateway.Only("org_a"), gateway.AuditFilter{}, gateway.Page{Limit: 1})
			if err != nil || len(list) != 1 || list[0].Address != tc.want {
				t.Errorf("the audit has %+v (%v), want %s", list, err, tc.want)
			}
			if secured := got.header.Get("Strict-Transport-Security") != ""; secured != strings.HasPrefix(tc.trusted, "127.") {
				t.Errorf("Strict-Transport-Security: %v", secured)
			}
		})
	}
}

func TestTLS(t *testing.T) {
	other := httptest.NewTLSServer(nil)
	defer other.Close()
	certificate := other.TLS.Certificates[0]
	s := start(t, func(_ *gateway.Options, o *api.Options) {
		o.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}}
	})
	roots := x509.NewCertPool()
	roots.AddCert(other.Certificate())
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, ServerName: "example.com"}}}
	defer client.CloseIdleConnections()
	res, err := client.Get("https://" + s.address + "/healthz")
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != 200 || res.Header.Get("Strict-Transport-Security") == "" {
		t.Errorf("answered %d, Strict-Transport-Security %q", res.StatusCode, res.Header.Get("Strict-Transport-Security"))
	}
	// A refused body's answer arrives over TLS too.
	res, err = client.Post("https://"+s.address+"/v1/events", "application/json", bytes.NewReader(make([]byte, 2<<20)))
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != 401 {
		t.Errorf("a large body without a key: %d", res.StatusCode)
	}
}
