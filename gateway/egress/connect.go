package egress

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// What a Proxy says beside its status, and what it is told beside the authority.
const (
	headerOrganisation = "Unihook-Organisation"
	headerLocal        = "Unihook-Local-Address"
	headerRemote       = "Unihook-Remote-Address"
	headerFailure      = "Unihook-Failure"
	headerError        = "Unihook-Error"
	headerAddresses    = "Unihook-Egress-Addresses"
	headerTiming       = "Server-Timing"
)

const (
	// maxProxyHeaders bounds the proxy's answer, in bytes.
	maxProxyHeaders = 8 << 10
	// proxyCheck bounds a check of the proxy: readiness is asked for every few seconds.
	proxyCheck = 3 * time.Second
)

// connect dials through a Proxy, by CONNECT for https and http. It reaches the proxy's address and nothing else: there is
// no way from here around the proxy.
type connect struct {
	policy        *Policy
	host, address string
	authorization string
	// tls is nil for a proxy on this machine that is spoken to in clear.
	tls *tls.Config

	mu    sync.Mutex
	known []netip.Addr
}

// newConnect reads "https://token@host:port".
func newConnect(o Options, config *tls.Config) (*connect, error) {
	u, err := url.Parse(o.ProxyURL)
	if err != nil || u.Hostname() == "" || u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.Fragment != "" {
		// The URL holds the token: it is not repeated.
		return nil, errors.New("the egress proxy is not given as https://token@host:port")
	}
	c := &connect{policy: o.Policy, host: u.Hostname()}
	port := u.Port()
	switch {
	case u.Scheme == "https":
		c.tls = config.Clone()
		// Every new target costs a handshake with the proxy; a resumed one is cheap.
		c.tls.ClientSessionCache = tls.NewLRUClientSessionCache(0)
		if o.ProxyCertificate != nil {
			c.tls.Certificates = []tls.Certificate{*o.ProxyCertificate}
		}
	case u.Scheme == "http" && isLoopbackName(c.host):
	case u.Scheme == "http":
		return nil, fmt.Errorf("the egress proxy %s is not on this machine and needs https://: its token would be sent in clear", u.Host)
	default:
		return nil, errors.New("the egress proxy's URL begins with neither https:// nor http://")
	}
	if port == "" {
		port = strconv.Itoa(int(schemePort(u.Scheme)))
	}
	c.address = net.JoinHostPort(c.host, port)
	if token := u.User.Username(); token != "" {
		c.authorization = basicToken(token)
	}
	return c, nil
}

func isLoopbackName(host string) bool {
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.Unmap().IsLoopback() || strings.EqualFold(host, "localhost")
}

func (c *connect) dial(ctx context.Context, organisation string, target Target, timing *Timing) (*route, error) {
	began := time.Now()
	defer func() {
		if timing.Connect == 0 {
			timing.Connect = time.Since(began)
		}
	}()
	r, err := c.reach(ctx)
	if err != nil {
		return nil, err
	}
	lines := "CONNECT " + target.hostPort() + " HTTP/1.1\r\nHost: " + target.hostPort() + "\r\n"
	if organisation != "" && isFieldValue(organisation) {
		lines += headerOrganisation + ": " + organisation + "\r\n"
	}
	answer, in, err := c.ask(ctx, r, http.MethodConnect, lines)
	if err != nil {
		r.abort()
		return nil, err
	}
	readTiming(answer.Header.Get(headerTiming), timing)
	if answer.StatusCode != http.StatusOK {
		r.abort()
		return nil, refusedBy(answer)
	}
	// Without a local address the zero value stands: it is not known then.
	r.local, _ = netip.ParseAddr(answer.Header.Get(headerLocal))
	r.remote, _ = netip.ParseAddrPort(answer.Header.Get(headerRemote))
	r.Conn = &drained{Conn: r.Conn, in: in}
	return r, nil
}

// mayReuse trusts the connection: the proxy judged its address, for this organisation alone, and the pool gives it to no
// other.
func (c *connect) mayReuse(string, *route) bool { return true }

// reach opens a connection to the proxy.
func (c *connect) reach(ctx context.Context) (*route, error) {
	bounded, cancel := context.WithTimeout(ctx, dialConnect)
	defer cancel()
	var nd net.Dialer
	socket, err := nd.DialContext(bounded, "tcp", c.address)
	if err != nil {
		return nil, &failed{Connect, "the egress proxy cannot be reached"}
	}
	r := &route{Conn: socket, socket: socket}
	if c.tls == nil {
		return r, nil
	}
	stream, err := secure(bounded, r, c.tls, c.host)
	if err != nil {
		return nil, &failed{Connect, "the egress proxy cannot be reached: the TLS handshake with it failed"}
	}
	return &route{Conn: stream, socket: socket}, nil
}

// ask sends the proxy a request, lines being its first lines, and reads the head of the answer. in has what was read
// beyond it.
func (c *connect) ask(ctx context.Context, r *route, method, lines string) (*http.Response, *bufio.Reader, error) {
	stop := context.AfterFunc(ctx, func() { r.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if c.authorization != "" {
		lines += "Proxy-Authorization: " + c.authorization + "\r\n"
	}
	_, err := r.Write([]byte(lines + "\r\n"))
	if err == nil {
		m := &meter{from: r.Conn, left: maxProxyHeaders}
		in := bufio.NewReader(m)
		var answer *http.Response
		if answer, err = http.ReadResponse(in, &http.Request{Method: method}); err == nil && stop() {
			m.left = 0
			return answer, in, nil
		}
	}
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return nil, nil, &failed{Timeout, "the connection through the egress proxy was not there in time"}
	case ctx.Err() != nil:
		return nil, nil, &failed{Timeout, stopped}
	case isAlert(err):
		return nil, nil, &failed{Connect, "the egress proxy does not take our certificate"}
	}
	return nil, nil, &failed{Connect, "the egress proxy gave no usable answer"}
}

// refusedBy reads why the proxy opened no connection: its classes are those of a direct attempt.
func refusedBy(answer *http.Response) *failed {
	if answer.StatusCode == http.StatusProxyAuthRequired {
		return &failed{Connect, "the egress proxy does not take our token"}
	}
	text := answer.Header.Get(headerError)
	if text == "" || len(text) > 200 || !isFieldValue(text) {
		text = "the egress proxy made no connection"
	}
	switch class := Failure(answer.Header.Get(headerFailure)); class {
	case DNS, Blocked, Timeout:
		return &failed{class, text}
	}
	return &failed{Connect, text}
}

// readTiming reads what the proxy's look-up and connecting took: "dns;dur=1.5, connect;dur=9" in milliseconds.
func readTiming(header string, timing *Timing) {
	for _, metric := range strings.Split(header, ",") {
		name, ms, _ := strings.Cut(strings.TrimSpace(metric), ";dur=")
		n, err := strconv.ParseFloat(ms, 64)
		if err != nil || !(n >= 0 && n < 1e6) {
			continue
		}
		switch took := time.Duration(n * float64(time.Millisecond)); name {
		case "dns":
			timing.DNS = took
		case "connect":
			timing.Connect = took
		}
	}
}

func writeTiming(timing Timing) string {
	ms := func(d time.Duration) string { return strconv.FormatFloat(d.Seconds()*1000, 'f', 3, 64) }
	return "dns;dur=" + ms(timing.DNS) + ", connect;dur=" + ms(timing.Connect)
}

// check asks the proxy how it is: that it can be reached, takes our token, and which addresses it sends from.
func (c *connect) check(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, proxyCheck)
	defer cancel()
	r, err := c.reach(ctx)
	if err != nil {
		return fmt.Errorf("checking the egress proxy %s: %w", c.address, err)
	}
	defer r.abort()
	answer, _, err := c.ask(ctx, r, http.MethodGet, "GET /healthz HTTP/1.1\r\nHost: "+c.address+"\r\nConnection: close\r\n")
	if err != nil {
		return fmt.Errorf("checking the egress proxy %s: %w", c.address, err)
	}
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("checking the egress proxy %s: %w", c.address, refusedBy(answer))
	}
	c.learn(answer.Header.Get(headerAddresses))
	return nil
}

// learn keeps the addresses that the proxy says it sends from.
func (c *connect) learn(list string) {
	var known []netip.Addr
	for _, text := range strings.Split(list, ",") {
		if addr, err := netip.ParseAddr(strings.TrimSpace(text)); err == nil {
			known = append(known, addr)
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.known = known
}

func (c *connect) addresses() []netip.Addr {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.known)
}

// drained is a connection of which the first bytes were read already.
type drained struct {
	net.Conn
	in *bufio.Reader
}

func (d *drained) Read(p []byte) (int, error) {
	if d.in.Buffered() > 0 {
		return d.in.Read(p[:min(len(p), d.in.Buffered())])
	}
	return d.Conn.Read(p)
}
