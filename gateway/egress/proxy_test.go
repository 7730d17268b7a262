package egress_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/unihook/unihook/gateway/egress"
)

const token = "a-token-of-the-test"

// startProxy runs a proxy with TLS at an address of this machine; stop ends it and returns what Serve returned.
func startProxy(t *testing.T, ca *authority, o egress.ProxyOptions) (p *egress.Proxy, address string, stop func() error) {
	t.Helper()
	if o.Certificate == nil {
		cert := ca.issue(t, []string{"127.0.0.1"}, nil)
		o.Certificate = &cert
	}
	if o.Token == "" && o.ClientCAs == nil {
		o.Token = token
	}
	p, err := egress.NewProxy(o)
	if err != nil {
		t.Fatal(err)
	}
	ln := listen(t, "127.0.0.1:0")
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- p.Serve(ctx, ln) }()
	stop = sync.OnceValue(func() error { cancel(); return <-done })
	t.Cleanup(func() { stop() })
	return p, ln.Addr().String(), stop
}

func through(t *testing.T, ca *authority, address string, o egress.Options) *egress.Client {
	t.Helper()
	o.ProxyURL, o.RootCAs = "https://"+token+"@"+address, ca.PEM
	return newClient(t, o)
}

func TestProxy_TwoWorkersLeaveFromOneAddress(t *testing.T) {
	ca := newAuthority(t)
	cert := ca.issue(t, []string{"127.0.0.1", "hook.example.com"}, nil)
	names := newNameServer(t)
	names.set("hook.example.com", dnsAnswer{A: []string{"127.0.0.1"}})
	secure := serveTLS(t, "127.0.0.1:0", cert, http.HandlerFunc(echo))
	clear := listen(t, "127.0.0.1:0")
	srv := &http.Server{Handler: http.HandlerFunc(echo)}
	go srv.Serve(clear)
	defer srv.Close()
	p, address, _ := startProxy(t, ca, egress.ProxyOptions{
		SourceIPs: []netip.Addr{netip.MustParseAddr("127.0.0.9")}, Networks: mustAllow(t, "org_a=127.0.0.1"), Resolver: names.resolver(),
	})
	urls := []string{at("hook.example.com", secure) + "/x", at("127.0.0.1", secure), strings.Replace(at("127.0.0.1", clear), "https", "http", 1)}
	for range 2 {
		c := through(t, ca, address, egress.Options{Policy: &egress.Policy{AllowHTTP: true, Networks: mustAllow(t, "org_a=127.0.0.1")}})
		if err := c.Check(t.Context()); err != nil {
			t.Fatal(err)
		}
		if mode, addrs := c.Addresses(); mode != "proxy" || len(addrs) != 1 || addrs[0].String() != "127.0.0.9" {
			t.Errorf("%s %v", mode, addrs)
		}
		for _, url := range urls {
			for range 3 {
				out := c.Do(t.Context(), egress.Request{Organisation: "org_a", URL: url, Body: []byte("{}")})
				if out.Failure != egress.None || string(out.Body) != "127.0.0.9" || out.Local != "127.0.0.9" || !strings.HasPrefix(out.Remote, "127.0.0.1:") {
					t.Errorf("%s: seen %q, recorded %q to %q: %s %s", url, out.Body, out.Local, out.Remote, out.Failure, out.Error)
				}
			}
		}
	}
	if s := p.Stats(); s.Opened != 6 {
		t.Errorf("%d connections for 2 workers and 3 places: %+v", s.Opened, s)
	}
}

func TestProxy_RefusalsKeepTheirClass(t *testing.T) {
	ca := newAuthority(t)
	names := newNameServer(t)
	names.set("private.example.com", dnsAnswer{A: []string{"10.0.0.5"}})
	names.set("loopback.example.com", dnsAnswer{A: []string{"127.0.0.1"}})
	names.set("closed.example.com", dnsAnswer{A: []string{"127.0.0.2"}})
	names.set("failing.example.com", dnsAnswer{Rcode: "SERVFAIL"})
	p, address, _ := startProxy(t, ca, egress.ProxyOptions{Networks: mustAllow(t, "127.0.0.2", "org_a=127.0.0.3"), Resolver: names.resolver()})
	// The worker's own policy lets these through: the proxy's counts.
	c := through(t, ca, address, egress.Options{Policy: &egress.Policy{AllowPorts: []uint16{6379}, Networks: mustAllow(t, "127.0.0.0/8", "10.0.0.0/8")}})
	closed := listen(t, "127.0.0.2:0")
	closed.Close()
	for _, row := range []struct {
		organisation, url string
		want              egress.Failure
	}{
		{"", "https://private.example.com/", egress.Blocked},
		{"", "https://loopback.example.com:8443/", egress.Blocked},
		{"", "https://10.0.0.5/", egress.Blocked},
		{"", "https://127.0.0.1:8443/", egress.Blocked},
		{"", "https://" + address + "/", egress.Blocked},
		{"", "https://closed.example.com:6379/", egress.Blocked},
		{"org_b", "https://127.0.0.3:8443/", egress.Blocked},
		{"org_a", "https://127.0.0.3:8443/", egress.Connect},
		{"", at("closed.example.com", closed), egress.Connect},
		{"", "https://absent.example.com/", egress.DNS},
		{"", "https://failing.example.com/", egress.DNS},
	} {
		out := c.Do(t.Context(), egress.Request{Organisation: row.organisation, URL: row.url})
		if out.Failure != row.want || out.Error == "" || out.Sent || out.Local != "" {
			t.Errorf("%s for %q: %q (%s), want %q", row.url, row.organisation, out.Failure, out.Error, row.want)
		}
	}
	if s := p.Stats(); s.Blocked != 7 || s.Connect != 2 || s.DNS != 2 || s.Opened != 0 {
		t.Errorf("%+v", s)
	}
}

func TestProxy_Rebinding(t *testing.T) {
	ca := newAuthority(t)
	names := newNameServer(t)
	const host = "rebind.example.com"
	names.set(host, dnsAnswer{A: []string{publicStand}}, dnsAnswer{A: []string{"127.0.0.1"}}, dnsAnswer{A: []string{"127.0.0.3", publicStand}, AAAA: []string{"::1"}})
	ln := serveTLS(t, publicStand+":0", ca.issue(t, []string{host}, nil), http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Connection", "close")
	}))
	touched := canaries(t, portOf(ln))
	_, address, _ := startProxy(t, ca, egress.ProxyOptions{Networks: mustAllow(t, publicStand), Resolver: names.resolver()})
	rebind(t, through(t, ca, address, egress.Options{}), at(host, ln), touched)
}

// Without its proxy a worker sends nothing, and says why.
func TestProxy_NeverGoneRound(t *testing.T) {
	ca := newAuthority(t)
	ln := listen(t, "127.0.0.1:0")
	touched := make(chan bool, 1)
	serveRaw(t, ln, func(net.Conn) { touched <- true })
	gone := listen(t, "127.0.0.1:0")
	gone.Close()
	_, address, _ := startProxy(t, ca, egress.ProxyOptions{Networks: mustAllow(t, "127.0.0.1")})
	policy := &egress.Policy{AllowHTTP: true, Networks: mustAllow(t, "127.0.0.1")}
	other := newAuthority(t)
	for why, c := range map[string]*egress.Client{
		"out of reach":      newClient(t, egress.Options{Policy: policy, RootCAs: ca.PEM, ProxyURL: "https://" + token + "@" + gone.Addr().String()}),
		"wrong token":       newClient(t, egress.Options{Policy: policy, RootCAs: ca.PEM, ProxyURL: "https://wrong@" + address}),
		"no token":          newClient(t, egress.Options{Policy: policy, RootCAs: ca.PEM, ProxyURL: "https://" + address}),
		"unknown authority": newClient(t, egress.Options{Policy: policy, RootCAs: other.PEM, ProxyURL: "https://" + token + "@" + address}),
		"no TLS":            newClient(t, egress.Options{Policy: policy, RootCAs: ca.PEM, ProxyURL: "http://" + token + "@" + address}),
	} {
		if err := c.Check(t.Context()); err == nil || strings.Contains(err.Error(), token) {
			t.Errorf("%s: Check says %v", why, err)
		}
		for _, scheme := range []string{"https", "http"} {
			out := c.Do(t.Context(), egress.Request{URL: scheme + "://" + ln.Addr().String() + "/"})
			if out.Failure != egress.Connect || strings.Contains(out.Error, token) {
				t.Errorf("%s, %s: %q %s", why, scheme, out.Failure, out.Error)
			}
		}
	}
	if len(touched) > 0 {
		t.Error("the target was reached")
	}
}

func TestNew_ProxyURL(t *testing.T) {
	for _, url := range []string{"ftp://t@127.0.0.1:1", "https://", "127.0.0.1:3128", "http://t@192.0.2.1:3128", "https://secret@h:1/path", "https://secret@h:1?x", "https://secret@h:x"} {
		if _, err := egress.New(egress.Options{ProxyURL: url}); err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", url, err)
		}
	}
	if _, err := egress.New(egress.Options{ProxyURL: "https://t@127.0.0.1:1", SourceIPs: []netip.Addr{netip.MustParseAddr("127.0.0.1")}}); err == nil {
		t.Error("bind and proxy at once")
	}
}

func TestNewProxy_Refusals(t *testing.T) {
	if _, err := egress.NewProxy(egress.ProxyOptions{}); err == nil || !strings.Contains(err.Error(), "token") {
		t.Errorf("without anybody to prove: %v", err)
	}
	if _, err := egress.NewProxy(egress.ProxyOptions{Token: token, SourceIPs: []netip.Addr{netip.MustParseAddr("93.184.216.34")}}); err == nil {
		t.Error("with another machine's address")
	}
	p, err := egress.NewProxy(egress.ProxyOptions{Token: token})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Serve(t.Context(), listen(t, "0.0.0.0:0")); err == nil || !strings.Contains(err.Error(), "TLS") {
		t.Errorf("off loopback in clear: %v", err)
	}
}

func TestProxy_ClientCertificates(t *testing.T) {
	ca := newAuthority(t)
	clients := newAuthority(t)
	ln := serveTLS(t, "127.0.0.1:0", ca.issue(t, []string{"127.0.0.1"}, nil), http.HandlerFunc(echo))
	_, address, _ := startProxy(t, ca, egress.ProxyOptions{ClientCAs: clients.PEM, Networks: mustAllow(t, "127.0.0.1")})
	policy := &egress.Policy{Networks: mustAllow(t, "127.0.0.1")}
	good, bad := clients.issue(t, []string{"worker"}, nil), ca.issue(t, []string{"worker"}, nil)
	for _, row := range []struct {
		cert *tls.Certificate
		want egress.Failure
	}{{&good, egress.None}, {&bad, egress.Connect}, {nil, egress.Connect}} {
		c := newClient(t, egress.Options{Policy: policy, RootCAs: ca.PEM, ProxyURL: "https://" + address, ProxyCertificate: row.cert})
		if out := c.Do(t.Context(), egress.Request{URL: at("127.0.0.1", ln)}); out.Failure != row.want {
			t.Errorf("%q (%s), want %q", out.Failure, out.Error, row.want)
		}
		if err := c.Check(t.Context()); (err == nil) != (row.want == egress.None) {
			t.Errorf("Check says %v", err)
		}
	}
}

// ask writes bytes to the proxy and returns a reader of what comes back.
func ask(t *testing.T, ca *authority, address, text string) (net.Conn, *bufio.Reader) {
	t.Helper()
	roots := &tls.Config{RootCAs: newPool(ca)}
	conn, err := tls.Dial("tcp", address, roots)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(time.Minute)) // long, since the machine may be busy
	io.WriteString(conn, text)
	return conn, bufio.NewReader(conn)
}

func credentials() string {
	return "Proxy-Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(token+":")) + "\r\n"
}

func statusOf(t *testing.T, in *bufio.Reader) int {
	t.Helper()
	answer, err := http.ReadResponse(in, &http.Request{Method: http.MethodConnect})
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode
}

func TestProxy_Requests(t *testing.T) {
	ca := newAuthority(t)
	ln := listen(t, "127.0.0.2:0")
	serveRaw(t, ln, func(c net.Conn) { io.Copy(c, c) })
	to := ln.Addr().String()
	_, address, _ := startProxy(t, ca, egress.ProxyOptions{Networks: mustAllow(t, "127.0.0.2")})
	for _, row := range []struct {
		request string
		status  int
		why     string
	}{
		{"CONNECT " + to + " HTTP/1.1\r\nHost: " + to + "\r\n" + credentials() + "\r\n", 200, "allowed"},
		{"CONNECT 127.0.0.1:8443 HTTP/1.1\r\nHost: " + to + "\r\n" + credentials() + "\r\n", 403, "the request line counts"},
		{"CONNECT " + to + " HTTP/1.1\r\nHost: 127.0.0.1:1\r\n" + credentials() + "\r\n", 200, "the Host header does not"},
		{"CONNECT " + to + " HTTP/1.1\r\nHost: x\r\n\r\n", 407, "nobody"},
		{"CONNECT " + to + " HTTP/1.1\r\nHost: x\r\n" + credentials() + credentials() + "\r\n", 407, "twice somebody"},
		{"CONNECT " + to + " HTTP/1.1\r\nHost: x\r\nAuthorization: Basic " + base64.StdEncoding.EncodeToString([]byte(token+":")) + "\r\n\r\n", 407, "the wrong header"},
		{"CONNECT 127.2:443 HTTP/1.1\r\nHost: x\r\n" + credentials() + "\r\n", 403, "a short spelling"},
		{"CONNECT localhost:8443 HTTP/1.1\r\nHost: x\r\n" + credentials() + "\r\n", 403, "a name that leads to what is not allowed"},
		{"CONNECT 8.8.8.8:22 HTTP/1.1\r\nHost: x\r\n" + credentials() + "\r\n", 403, "a port that is not open"},
		{"CONNECT u@" + to + " HTTP/1.1\r\nHost: x\r\n" + credentials() + "\r\n", 403, "a user"},
		{"CONNECT " + to + "/x HTTP/1.1\r\nHost: x\r\n" + credentials() + "\r\n", 400, "a path"},
		{"CONNECT " + to + " HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n" + credentials() + "\r\nhello", 400, "a body"},
		{"GET http://" + to + "/ HTTP/1.1\r\nHost: " + to + "\r\n" + credentials() + "\r\n", 404, "no forward proxy"},
		{"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n" + credentials() + "\r\n", 405, "CONNECT alone"},
		{"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n", 407, "nobody"},
		{"GET /metrics HTTP/1.1\r\nHost: x\r\n" + credentials() + "\r\n", 200, "counters"},
		{"CONNECT " + to + " HTTP/1.1\r\nHost: x\r\nX-A: " + strings.Repeat("a", 16<<10) + "\r\n" + credentials() + "\r\n", 431, "too long"},
	} {
		conn, in := ask(t, ca, address, row.request)
		if got := statusOf(t, in); got != row.status {
			t.Errorf("%.60q: %d, want %d (%s)", row.request, got, row.status, row.why)
		}
		conn.Close()
	}
}

func TestProxy_WhatCameWithARefusedRequestIsNoRequest(t *testing.T) {
	ca := newAuthority(t)
	_, address, _ := startProxy(t, ca, egress.ProxyOptions{})
	hidden := "GET /healthz HTTP/1.1\r\nHost: x\r\n" + credentials() + "\r\n"
	for name, request := range map[string]string{
		"nobody":  "CONNECT 8.8.8.8:443 HTTP/1.1\r\nHost: x\r\n\r\n",
		"blocked": "CONNECT 10.0.0.1:443 HTTP/1.1\r\nHost: x\r\n" + credentials() + "\r\n",
	} {
		_, in := ask(t, ca, address, request+hidden)
		got, err := io.ReadAll(in)
		if n := strings.Count(string(got), "HTTP/1.1 "); n != 1 || err != nil {
			t.Errorf("%s: %d answers: %q %v", name, n, got, err)
		}
	}
}

func TestProxy_PassesOnWhatCameWithTheRequest(t *testing.T) {
	ca := newAuthority(t)
	ln := listen(t, "127.0.0.2:0")
	serveRaw(t, ln, func(c net.Conn) { io.Copy(c, c); c.(*net.TCPConn).CloseWrite() })
	_, address, _ := startProxy(t, ca, egress.ProxyOptions{Networks: mustAllow(t, "127.0.0.2")})
	conn, in := ask(t, ca, address, "CONNECT "+ln.Addr().String()+" HTTP/1.1\r\nHost: x\r\n"+credentials()+"\r\nearly ")
	if got := statusOf(t, in); got != 200 {
		t.Fatal(got)
	}
	io.WriteString(conn, "and late")
	conn.(*tls.Conn).CloseWrite()
	if got, err := io.ReadAll(in); string(got) != "early and late" || err != nil {
		t.Errorf("%q %v", got, err)
	}
}

func TestProxy_ClosesAtIdleAndAtAge(t *testing.T) {
	ca := newAuthority(t)
	ln := listen(t, "127.0.0.2:0")
	serveRaw(t, ln, func(c net.Conn) {
		for b := make([]byte, 1); ; {
			if _, err := c.Read(b); err != nil {
				return
			}
			c.Write(b)
		}
	})
	open := func(o egress.ProxyOptions) (net.Conn, *bufio.Reader) {
		o.Networks = mustAllow(t, "127.0.0.2")
		_, address, _ := startProxy(t, ca, o)
		conn, in := ask(t, ca, address, "CONNECT "+ln.Addr().String()+" HTTP/1.1\r\nHost: x\r\n"+credentials()+"\r\n")
		if got := statusOf(t, in); got != 200 {
			t.Fatal(got)
		}
		return conn, in
	}
	began := time.Now()
	_, in := open(egress.ProxyOptions{Idle: 150 * time.Millisecond})
	if _, err := in.ReadByte(); err == nil || time.Since(began) < 150*time.Millisecond || time.Since(began) > 30*time.Second {
		t.Errorf("idle: %v after %s", err, time.Since(began))
	}
	began = time.Now()
	conn, in := open(egress.ProxyOptions{Idle: time.Minute, MaxAge: 300 * time.Millisecond})
	var err error
	for err == nil && time.Since(began) < 30*time.Second {
		if _, err = conn.Write([]byte("x")); err == nil {
			_, err = in.ReadByte()
		}
	}
	if age := time.Since(began); err == nil || age < 300*time.Millisecond {
		t.Errorf("age: %v after %s", err, age)
	}
}

func TestProxy_FullSaysSo(t *testing.T) {
	ca := newAuthority(t)
	ln := listen(t, "127.0.0.2:0")
	serveRaw(t, ln, func(c net.Conn) { io.Copy(io.Discard, c) })
	_, address, _ := startProxy(t, ca, egress.ProxyOptions{Networks: mustAllow(t, "127.0.0.2"), MaxConnections: 1})
	request := "CONNECT " + ln.Addr().String() + " HTTP/1.1\r\nHost: x\r\n" + credentials() + "\r\n"
	_, first := ask(t, ca, address, request)
	if got := statusOf(t, first); got != 200 {
		t.Fatal(got)
	}
	_, second := ask(t, ca, address, request)
	if got := statusOf(t, second); got != 503 {
		t.Errorf("%d, want 503", got)
	}
}

func TestProxy_StopsWhenItsConnectionsAreDone(t *testing.T) {
	ca := newAuthority(t)
	ln := listen(t, "127.0.0.2:0")
	serveRaw(t, ln, func(c net.Conn) { io.Copy(c, c); c.(*net.TCPConn).CloseWrite() })
	request := "CONNECT " + ln.Addr().String() + " HTTP/1.1\r\nHost: x\r\n" + credentials() + "\r\n"
	for finishes, grace := range map[bool]time.Duration{true: time.Minute, false: 300 * time.Millisecond} {
		_, address, stop := startProxy(t, ca, egress.ProxyOptions{Networks: mustAllow(t, "127.0.0.2"), Grace: grace})
		conn, in := ask(t, ca, address, request)
		if got := statusOf(t, in); got != 200 {
			t.Fatal(got)
		}
		ended := make(chan error, 1)
		began := time.Now()
		go func() { ended <- stop() }()
		for c, err := net.Dial("tcp", address); err == nil; c, err = net.Dial("tcp", address) {
			c.Close()
		}
		if finishes {
			fmt.Fprint(conn, "last words")
			conn.(*tls.Conn).CloseWrite()
			if got, err := io.ReadAll(in); string(got) != "last words" || err != nil {
				t.Errorf("%q %v", got, err)
			}
		}
		if err := <-ended; err != nil {
			t.Errorf("Serve returned %v", err)
		}
		if took := time.Since(began); took > 30*time.Second || !finishes && took < grace {
			t.Errorf("finishes %v: it took %s", finishes, took)
		}
	}
}
