package egress_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/unihook/unihook/gateway/egress"
	"go.uber.org/goleak"
)

// echo answers with the address that the request came from.
func echo(w http.ResponseWriter, r *http.Request) {
	io.Copy(io.Discard, r.Body)
	host, _, _ := net.SplitHostPort(r.RemoteAddr)
	io.WriteString(w, host)
}

func TestDo_LeavesFromTheBoundAddress(t *testing.T) {
	ca := newAuthority(t)
	ln := serveTLS(t, "127.0.0.1:0", ca.issue(t, []string{"127.0.0.1"}, nil), http.HandlerFunc(echo))
	for _, source := range []string{"127.0.0.5", "127.0.0.6"} {
		c := newClient(t, egress.Options{
			Policy: &egress.Policy{Networks: mustAllow(t, "127.0.0.0/8")}, RootCAs: ca.PEM,
			SourceIPs: []netip.Addr{netip.MustParseAddr(source)},
		})
		out := c.Do(t.Context(), egress.Request{URL: at("127.0.0.1", ln)})
		if out.Failure != egress.None || string(out.Body) != source || out.Local != source {
			t.Errorf("%s: seen %s, recorded %s (%s)", source, out.Body, out.Local, out.Error)
		}
		if mode, addrs := c.Addresses(); mode != "bind" || len(addrs) != 1 || addrs[0].String() != source {
			t.Errorf("%s: %s %v", source, mode, addrs)
		}
		if err := c.Check(t.Context()); err != nil {
			t.Error(err)
		}
		if proof, err := egress.Prove(t.Context(), c, at("127.0.0.1", ln)); err != nil || !proof.Same || proof.Seen.String() != source {
			t.Errorf("%s: %+v %v", source, proof, err)
		}
	}
}

func TestDo_SourcesInTurnAndByFamily(t *testing.T) {
	ca := newAuthority(t)
	ln := serveTLS(t, "127.0.0.1:0", ca.issue(t, []string{"127.0.0.1"}, nil), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Connection", "close")
		echo(w, r)
	}))
	c := newClient(t, egress.Options{
		Policy: &egress.Policy{Networks: mustAllow(t, "127.0.0.0/8", "::1")}, RootCAs: ca.PEM,
		SourceIPs: []netip.Addr{netip.MustParseAddr("127.0.0.5"), netip.MustParseAddr("127.0.0.6")},
	})
	seen := map[string]int{}
	for range 10 {
		seen[string(c.Do(t.Context(), egress.Request{URL: at("127.0.0.1", ln)}).Body)]++
	}
	if seen["127.0.0.5"] != 5 || seen["127.0.0.6"] != 5 {
		t.Errorf("%v", seen)
	}
	if out := c.Do(t.Context(), egress.Request{URL: "https://[::1]:8443/"}); out.Failure != egress.Connect || out.Local != "" {
		t.Errorf("an IPv6 target without an IPv6 source: %s %s", out.Failure, out.Error)
	}
}

func TestNew_SourceOfAnotherMachine(t *testing.T) {
	_, err := egress.New(egress.Options{SourceIPs: []netip.Addr{netip.MustParseAddr("93.184.216.34")}})
	if err == nil || !strings.Contains(err.Error(), "93.184.216.34 is not an address of this machine") {
		t.Errorf("%v", err)
	}
}

func TestDo_ReusesConnections(t *testing.T) {
	ca := newAuthority(t)
	var connections atomic.Int64
	cert := ca.issue(t, []string{"127.0.0.1", "localhost"}, nil)
	ln := serveTLS(t, "127.0.0.1:0", cert, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		connections.Add(1)
	}))
	c := newClient(t, egress.Options{Policy: &egress.Policy{Networks: mustAllow(t, "127.0.0.0/8", "org_c=::1")}, RootCAs: ca.PEM})
	do := func(organisation string) time.Duration {
		out := c.Do(t.Context(), egress.Request{Organisation: organisation, URL: at("127.0.0.1", ln), Body: []byte("{}")})
		if out.Failure != egress.None || out.TLSVersion != "TLS 1.3" {
			t.Fatalf("%s %s %s", out.Failure, out.Error, out.TLSVersion)
		}
		return out.Timing.TLS
	}
	for i := range 5 {
		if handshake := do("org_a"); (handshake > 0) != (i == 0) {
			t.Errorf("request %d of org_a: handshake took %s", i, handshake)
		}
	}
	if do("org_b") == 0 {
		t.Error("org_b used a connection of org_a's")
	}
}

// An open connection to an address that only one organisation may reach serves no other.
func TestDo_AnAllowanceIsNotShared(t *testing.T) {
	ca := newAuthority(t)
	names := newNameServer(t)
	names.set("hook.example.com", dnsAnswer{A: []string{"127.0.0.1"}})
	ln := serveTLS(t, "127.0.0.1:0", ca.issue(t, []string{"hook.example.com"}, nil), http.HandlerFunc(echo))
	c := newClient(t, egress.Options{Policy: &egress.Policy{Networks: mustAllow(t, "org_a=127.0.0.1")}, RootCAs: ca.PEM, Resolver: names.resolver()})
	for organisation, want := range map[string]egress.Failure{"org_a": egress.None, "org_b": egress.Blocked, "": egress.Blocked} {
		for range 3 {
			if out := c.Do(t.Context(), egress.Request{Organisation: organisation, URL: at("hook.example.com", ln)}); out.Failure != want {
				t.Errorf("%q: %q, want %q", organisation, out.Failure, want)
			}
		}
	}
}

// A receiver that closes between requests, or says more than was asked, costs no attempt.
func TestDo_ConnectionsThatEndOrTalk(t *testing.T) {
	ca := newAuthority(t)
	ln := listen(t, "127.0.0.1:0")
	closed := make(chan bool, 100)
	serveRaw(t, tlsListener(ln, ca.issue(t, []string{"127.0.0.1"}, nil)), func(conn net.Conn) {
		conn.Read(make([]byte, 4096))
		io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 500 unasked\r\n\r\n")
		conn.Close()
		closed <- true
	})
	c := newClient(t, egress.Options{Policy: &egress.Policy{Networks: mustAllow(t, "127.0.0.1")}, RootCAs: ca.PEM})
	for range 20 {
		if out := c.Do(t.Context(), egress.Request{URL: at("127.0.0.1", ln)}); out.Failure != egress.None || string(out.Body) != "ok" {
			t.Fatalf("%s %s", out.Failure, out.Error)
		}
		<-closed
	}
}

func TestDo_HeadersOnTheWire(t *testing.T) {
	ca := newAuthority(t)
	seen := make(chan string, 1)
	ln := listen(t, "127.0.0.1:0")
	serveRaw(t, tlsListener(ln, ca.issue(t, []string{"127.0.0.1"}, nil)), func(conn net.Conn) {
		b := make([]byte, 4096)
		n, _ := conn.Read(b)
		seen <- string(b[:n])
		io.WriteString(conn, "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
	})
	c := newClient(t, egress.Options{Policy: &egress.Policy{Networks: mustAllow(t, "127.0.0.1")}, RootCAs: ca.PEM, UserAgent: "unihook"})
	out := c.Do(t.Context(), egress.Request{URL: at("127.0.0.1", ln) + "/h", Body: []byte(`{"a":1}`), Header: []egress.Header{
		{"content-type", "application/json"}, {"X-Twice", "first"}, {"x-TWICE", "second"}, {"Idempotency-Key", "k"},
	}})
	if out.Failure != egress.None {
		t.Fatal(out.Error)
	}
	want := "POST /h HTTP/1.1\r\nHost: " + ln.Addr().String() + "\r\ncontent-type: application/json\r\nx-TWICE: second\r\n" +
		"Idempotency-Key: k\r\nUser-Agent: unihook\r\nContent-Length: 7\r\n\r\n{\"a\":1}"
	if got := <-seen; got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

// What should never have been saved stops the request, and never splits it.
func TestDo_BadHeadersFailClosed(t *testing.T) {
	c := newClient(t, egress.Options{})
	for _, h := range []egress.Header{
		{"X-A", "a\r\nX-Evil: 1"}, {"X-A", "a\x00"}, {"X-A", "\u010a"}, {"X-A\r\nX", "v"}, {"X A", "v"}, {"", "v"},
		{"Host", "evil"}, {"content-length", "1"}, {"TRANSFER-ENCODING", "chunked"}, {"Connection", "x"}, {"Proxy-Authorization", "x"},
	} {
		out := c.Do(t.Context(), egress.Request{URL: "https://example.com/", Header: []egress.Header{h}})
		if out.Failure != egress.Blocked || out.Sent {
			t.Errorf("%q: %s %s", h, out.Failure, out.Error)
		}
	}
}

// One attempt is one request, also with headers that net/http takes as leave to send again.
func TestDo_NeverSendsTwice(t *testing.T) {
	ca := newAuthority(t)
	var requests atomic.Int64
	ln := listen(t, "127.0.0.1:0")
	serveRaw(t, tlsListener(ln, ca.issue(t, []string{"127.0.0.1"}, nil)), func(conn net.Conn) {
		b := make([]byte, 4096)
		for i := 0; ; i++ {
			if _, err := conn.Read(b); err != nil {
				return
			}
			requests.Add(1)
			if i > 0 {
				return // the second request on a connection is read and gets no answer
			}
			io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
		}
	})
	c := newClient(t, egress.Options{Policy: &egress.Policy{Networks: mustAllow(t, "127.0.0.1")}, RootCAs: ca.PEM})
	for i := range 6 {
		out := c.Do(t.Context(), egress.Request{URL: at("127.0.0.1", ln), Header: []egress.Header{{"Idempotency-Key", "k"}}})
		if want := []egress.Failure{egress.None, egress.Broken}[i%2]; out.Failure != want {
			t.Errorf("request %d: %q (%s), want %q", i, out.Failure, out.Error, want)
		}
	}
	if requests.Load() != 6 {
		t.Errorf("%d requests for 6 calls", requests.Load())
	}
}

func TestDo_EndsWithItsContext(t *testing.T) {
	ca := newAuthority(t)
	arrived := make(chan bool, 1)
	hold := make(chan bool)
	ln := serveTLS(t, "127.0.0.1:0", ca.issue(t, []string{"127.0.0.1"}, nil), http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		arrived <- true
		<-hold
	}))
	defer close(hold)
	c := newClient(t, egress.Options{Policy: &egress.Policy{Networks: mustAllow(t, "127.0.0.1")}, RootCAs: ca.PEM})
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-arrived; cancel() }()
	if out := c.Do(ctx, egress.Request{URL: at("127.0.0.1", ln)}); out.Failure != egress.Timeout || !out.Sent || out.Status != 0 {
		t.Errorf("cancelled: %+v", out)
	}
	began := time.Now()
	if out := c.Do(t.Context(), egress.Request{URL: at("127.0.0.1", ln), Timeout: 200 * time.Millisecond}); out.Failure != egress.Timeout {
		t.Errorf("timed out: %+v", out)
	}
	if took := time.Since(began); took > 15*time.Second {
		t.Errorf("it took %s", took)
	}
}

func TestDo_RefusedConnection(t *testing.T) {
	ln := listen(t, "127.0.0.1:0")
	ln.Close()
	c := newClient(t, egress.Options{Policy: &egress.Policy{AllowHTTP: true, Networks: mustAllow(t, "127.0.0.1")}})
	out := c.Do(t.Context(), egress.Request{URL: strings.Replace(at("127.0.0.1", ln), "https", "http", 1)})
	if out.Failure != egress.Connect || out.Error != "the host refused the connection" || out.Sent {
		t.Errorf("%+v", out)
	}
	plain := listen(t, "127.0.0.1:0")
	serveRaw(t, plain, func(conn net.Conn) { io.WriteString(conn, "SSH-2.0-OpenSSH\r\n") })
	// The connection came to be: between which addresses is what a person looks for who reads of the failure.
	out = c.Do(t.Context(), egress.Request{URL: at("127.0.0.1", plain)})
	if out.Failure != egress.TLS || out.Local != "127.0.0.1" || out.Remote != plain.Addr().String() {
		t.Errorf("%+v", out)
	}
}

func TestDo_AnswersThatAreNone(t *testing.T) {
	for answer, want := range map[string]string{
		"":                                   "the receiver closed the connection without a whole answer",
		"HTTP/1.1 200 OK\r\nContent-Le":      "the receiver closed the connection without a whole answer",
		"HTTP/1.1 200 OK\r\nX-A: b\r\n":      "the receiver closed the connection without a whole answer",
		"220 mail.example.com ESMTP\r\n\r\n": "the receiver's answer is not HTTP",
		// As a status it would count as none, with an answer that there was.
		"HTTP/1.1 000 None\r\n\r\n": "the receiver's answer is not HTTP",
		"HTTP/1.1 099 Low\r\n\r\n":  "the receiver's answer is not HTTP",
	} {
		ln := listen(t, "127.0.0.1:0")
		serveRaw(t, ln, func(conn net.Conn) {
			conn.Read(make([]byte, 4096))
			io.WriteString(conn, answer)
		})
		c := newClient(t, egress.Options{Policy: &egress.Policy{AllowHTTP: true, Networks: mustAllow(t, "127.0.0.1")}})
		out := c.Do(t.Context(), egress.Request{URL: strings.Replace(at("127.0.0.1", ln), "https", "http", 1)})
		if out.Failure != egress.Broken || out.Status != 0 || out.Error != want {
			t.Errorf("%q: %q, status %d: %s", answer, out.Failure, out.Status, out.Error)
		}
	}
}

func TestDo_LateAlertIsTLS(t *testing.T) {
	ca := newAuthority(t)
	ln := listen(t, "127.0.0.1:0")
	serveRaw(t, tlsListenerAskingForCertificates(ln, ca.issue(t, []string{"127.0.0.1"}, nil)), func(conn net.Conn) { io.Copy(io.Discard, conn) })
	c := newClient(t, egress.Options{Policy: &egress.Policy{Networks: mustAllow(t, "127.0.0.1")}, RootCAs: ca.PEM})
	out := c.Do(t.Context(), egress.Request{URL: at("127.0.0.1", ln)})
	if out.Failure != egress.TLS || !strings.Contains(out.Error, "certificate required") {
		t.Errorf("%s: %s", out.Failure, out.Error)
	}
}

func TestDo_TheEnvironmentIsNotAsked(t *testing.T) {
	ca := newAuthority(t)
	var touched atomic.Int64
	proxy := listen(t, "127.0.0.1:0")
	serveRaw(t, proxy, func(net.Conn) { touched.Add(1) })
	for _, name := range []string{"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"} {
		t.Setenv(name, "http://"+proxy.Addr().String())
	}
	ln := serveTLS(t, "127.0.0.2:0", ca.issue(t, []string{"127.0.0.2"}, nil), http.HandlerFunc(echo))
	c := newClient(t, egress.Options{Policy: &egress.Policy{Networks: mustAllow(t, "127.0.0.2")}, RootCAs: ca.PEM})
	if out := c.Do(t.Context(), egress.Request{URL: at("127.0.0.2", ln)}); out.Failure != egress.None {
		t.Error(out.Error)
	}
	if out := c.Do(t.Context(), egress.Request{URL: "https://10.0.0.1/"}); out.Failure != egress.Blocked {
		t.Error(out.Failure)
	}
	if touched.Load() > 0 {
		t.Error("a proxy of the environment was used")
	}
}

func TestDo_ManyAtOnceLeaveNothingBehind(t *testing.T) {
	ignore := goleak.IgnoreCurrent()
	ca := newAuthority(t)
	ln := serveTLS(t, "127.0.0.1:0", ca.issue(t, []string{"127.0.0.1"}, nil), http.HandlerFunc(echo))
	c := newClient(t, egress.Options{Policy: &egress.Policy{Networks: mustAllow(t, "127.0.0.1")}, RootCAs: ca.PEM})
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			for range 20 {
				if out := c.Do(t.Context(), egress.Request{URL: at("127.0.0.1", ln), Body: make([]byte, 100<<10)}); out.Failure != egress.None {
					t.Error(out.Error)
				}
			}
		})
	}
	all.Wait()
	c.Close()
	ln.Close()
	var left error
	for end := time.Now().Add(time.Minute); time.Now().Before(end); { // each look takes up to a second
		left = goleak.Find(ignore, goleak.IgnoreAnyFunction("net/http.(*conn).serve"), goleak.IgnoreAnyFunction("net/http.(*connReader).backgroundRead"))
		if left == nil {
			return
		}
	}
	t.Error(left)
}
