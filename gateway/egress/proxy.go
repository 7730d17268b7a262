package egress

import (
	"bufio"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/netutil"
)

const (
	// maxRequestHeaders and requestHeadersTime bound what a client may send before it is known.
	maxRequestHeaders  = 8 << 10
	requestHeadersTime = 5 * time.Second
	// proxyDial bounds a look-up and the connecting after it.
	proxyDial = 15 * time.Second
	// spareConnections are accepted beyond MaxConnections, so that a client is told that the proxy is full.
	spareConnections = 64
)

// ProxyOptions are what a Proxy is made of. Token or ClientCAs is needed.
type ProxyOptions struct {
	// SourceIPs are the addresses to connect from, as in Options.
	SourceIPs []netip.Addr
	// Token is what a client gives as the user name of Basic in Proxy-Authorization; empty asks for none.
	Token string
	// ClientCAs (PEM) sign the certificates that clients must show; empty asks for none. With both, both are asked for.
	ClientCAs []byte
	// Certificate is the proxy's own; nil serves in clear, on loopback alone.
	Certificate *tls.Certificate
	// AllowPorts and Networks are as in Policy.
	AllowPorts []uint16
	Networks   []Allowance
	// MaxConnections are open at once; 0 is 4,096. More are answered 503.
	MaxConnections int
	// Idle is how long a connection may carry nothing; 0 is 90 s. MaxAge is how long it may last; 0 is 1 h.
	Idle, MaxAge time.Duration
	// Grace is what open connections are given when the proxy stops; 0 is 30 s.
	Grace time.Duration
	// Resolver looks names up; nil is this machine's.
	Resolver Resolver
}

func (o *ProxyOptions) setDefaults() {
	if o.MaxConnections <= 0 {
		o.MaxConnections = 4096
	}
	if o.Idle <= 0 {
		o.Idle = 90 * time.Second
	}
	if o.MaxAge <= 0 {
		o.MaxAge = time.Hour
	}
	if o.Grace <= 0 {
		o.Grace = 30 * time.Second
	}
}

// Proxy is `unihook egress`: a CONNECT proxy on the host with the fixed address, for any number of workers. It opens a
// connection only to where the guard lets it, asked about the address after DNS, and passes bytes on. It is an
// http.Handler for CONNECT, GET /healthz and GET /metrics; Serve runs it.
type Proxy struct {
	options ProxyOptions
	policy  *Policy
	dialer  *direct
	tls     *tls.Config
	token   [sha256.Size]byte
	slots   chan struct{}
	tunnels sync.WaitGroup
	// stop is cancelled when the time of open connections is over.
	stop     context.Context
	stopNow  context.CancelFunc
	counters proxyCounters
}

// NewProxy makes a Proxy. It fails with a sentence for the operator when nobody would have to prove who they are, or when
// a source address is not this machine's.
func NewProxy(o ProxyOptions) (*Proxy, error) {
	o.setDefaults()
	if o.Token == "" && len(o.ClientCAs) == 0 {
		return nil, errors.New("the egress proxy needs a token or a client CA: without one anybody could send from this address")
	}
	if len(o.ClientCAs) > 0 && o.Certificate == nil {
		return nil, errors.New("the egress proxy needs a TLS certificate of its own to ask clients for theirs")
	}
	policy := &Policy{AllowPorts: o.AllowPorts, Networks: o.Networks}
	for _, source := range o.SourceIPs {
		policy.Own = append(policy.Own, plain(source))
	}
	if err := checkSources(policy.Own); err != nil {
		return nil, err
	}
	p := &Proxy{
		options: o, policy: policy, token: sha256.Sum256([]byte(o.Token)), slots: make(chan struct{}, o.MaxConnections),
		dialer: &direct{policy: policy, resolver: o.Resolver, sources: policy.Own},
	}
	p.stop, p.stopNow = context.WithCancel(context.Background())
	if o.Certificate != nil {
		p.tls = &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{*o.Certificate}, NextProtos: []string{"http/1.1"}}
	}
	if len(o.ClientCAs) > 0 {
		p.tls.ClientAuth, p.tls.ClientCAs = tls.RequireAndVerifyClientCert, x509.NewCertPool()
		if !p.tls.ClientCAs.AppendCertsFromPEM(o.ClientCAs) {
			return nil, errors.New("the client CA file holds no certificate in PEM form")
		}
	}
	return p, nil
}

// MayListen refuses an address off loopback where the proxy has no TLS. Serve asks it; who wants to say beforehand that
// the proxy listens asks too.
func (p *Proxy) MayListen(at net.Addr) error {
	if p.tls == nil && !endOf(at).Addr().IsLoopback() {
		return fmt.Errorf("the egress proxy listens on %s, which is not loopback, and needs a TLS certificate: tokens would be sent in clear", at)
	}
	return nil
}

// Serve takes connections until ctx ends, then lets open ones finish within the grace period, and closes the listener.
// It is called once. It refuses a listener off loopback without TLS.
func (p *Proxy) Serve(ctx context.Context, ln net.Listener) error {
	defer p.stopNow()
	defer ln.Close()
	if err := p.MayListen(ln.Addr()); err != nil {
		return err
	}
	p.policy.Listeners = []netip.AddrPort{endOf(ln.Addr())}
	ln = netutil.LimitListener(ln, p.options.MaxConnections+spareConnections)
	if p.tls != nil {
		ln = tls.NewListener(ln, p.tls)
	}
	// What clients do wrong before they are known is counted nowhere and logged nowhere: anybody can do it.
	srv := &http.Server{
		Handler: p, ReadHeaderTimeout: requestHeadersTime, IdleTimeout: requestHeadersTime, MaxHeaderBytes: maxRequestHeaders,
		ErrorLog: log.New(io.Discard, "", 0),
	}
	failed := make(chan error, 1)
	go func() { failed <- srv.Serve(ln) }()
	select {
	case err := <-failed:
		return fmt.Errorf("serving the egress proxy: %w", err)
	case <-ctx.Done():
	}
	return p.finish(srv)
}

// finish stops taking connections and waits for those that are open, as long as the grace period goes.
func (p *Proxy) finish(srv *http.Server) error {
	grace := time.AfterFunc(p.options.Grace, p.stopNow)
	defer grace.Stop()
	err := srv.Shutdown(p.stop)
	p.tunnels.Wait()
	srv.Close()
	if err != nil && !errors.Is(err, context.Canceled) {
		return fmt.Errorf("stopping the egress proxy: %w", err)
	}
	return nil
}

// ServeHTTP answers one request of a client.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !p.authorised(r) {
		p.counters.unauthorised.Add(1)
		w.Header().Set("Proxy-Authenticate", `Basic realm="egress"`)
		// What a client sent together with a CONNECT is for its target: it must not be read as the next request.
		w.Header().Set("Connection", "close")
		http.Error(w, "a token is needed", http.StatusProxyAuthRequired)
		return
	}
	switch {
	case r.Method == http.MethodConnect:
		p.connect(w, r)
	case r.Method != http.MethodGet:
		w.Header().Set("Allow", "CONNECT, GET")
		http.Error(w, "CONNECT alone is served", http.StatusMethodNotAllowed)
	case r.URL.Path == "/healthz":
		p.getHealth(w)
	case r.URL.Path == "/metrics":
		p.Stats().write(w)
	default:
		http.NotFound(w, r)
	}
}

// getHealth handles GET /healthz, which tells workers the addresses that they leave from.
func (p *Proxy) getHealth(w http.ResponseWriter) {
	if err := checkSources(p.policy.Own); err != nil {
		w.Header().Set(headerError, "the egress proxy lost its address")
		http.Error(w, "the egress proxy lost its address", http.StatusServiceUnavailable)
		return
	}
	var list []string
	for _, addr := range p.policy.Own {
		list = append(list, addr.String())
	}
	w.Header().Set(headerAddresses, strings.Join(list, ", "))
	io.WriteString(w, "ok\n")
}

// authorised checks the token. Certificates were checked in the handshake.
func (p *Proxy) authorised(r *http.Request) bool {
	if p.options.Token == "" {
		return r.TLS != nil && len(r.TLS.VerifiedChains) > 0
	}
	given := r.Header.Values("Proxy-Authorization")
	if len(given) != 1 {
		return false
	}
	// BasicAuth reads Authorization alone.
	as := http.Request{Header: http.Header{"Authorization": given}}
	user, _, ok := as.BasicAuth()
	hash := sha256.Sum256([]byte(user))
	return subtle.ConstantTimeCompare(hash[:], p.token[:]) == 1 && ok
}

// connect handles CONNECT: it judges the authority of the request line, connects, and passes bytes on.
func (p *Proxy) connect(w http.ResponseWriter, r *http.Request) {
	organisation, target, f := p.target(r)
	if f != nil {
		p.refuse(w, f)
		return
	}
	select {
	case p.slots <- struct{}{}:
	default:
		p.counters.busy.Add(1)
		w.Header().Set("Retry-After", "1")
		p.deny(w, http.StatusServiceUnavailable, &failed{Connect, "the egress proxy has no connection left"})
		return
	}
	p.tunnels.Add(1)
	defer func() { <-p.slots; p.tunnels.Done() }()
	ctx, cancel := context.WithTimeout(r.Context(), proxyDial)
	defer cancel()
	defer context.AfterFunc(p.stop, cancel)()
	var timing Timing
	route, err := p.dialer.dial(ctx, organisation, target, &timing)
	if err != nil {
		w.Header().Set(headerTiming, writeTiming(timing))
		errors.As(err, &f)
		p.refuse(w, f)
		return
	}
	defer route.abort()
	p.open(w, route, timing)
}

// target reads what a CONNECT asks for: the authority of the request line alone, in one spelling.
func (p *Proxy) target(r *http.Request) (organisation string, target Target, f *failed) {
	organisation = r.Header.Get(headerOrganisation)
	if r.ContentLength != 0 || len(r.TransferEncoding) > 0 {
		return "", Target{}, &failed{Broken, "CONNECT has no body"}
	}
	target, fault := p.policy.CheckURL(organisation, "https://"+r.RequestURI, nil)
	if fault != nil {
		return "", Target{}, &failed{Blocked, fault.Detail}
	}
	if target.hostPort() != strings.ToLower(r.RequestURI) {
		return "", Target{}, &failed{Broken, "CONNECT asks for host:port"}
	}
	return organisation, target, nil
}

// refuse answers that there is no connection, and counts why.
func (p *Proxy) refuse(w http.ResponseWriter, f *failed) {
	status := http.StatusBadGateway
	switch f.class {
	case Broken:
		p.counters.invalid.Add(1)
		status = http.StatusBadRequest
	case Blocked:
		p.counters.blocked.Add(1)
		status = http.StatusForbidden
	case Timeout:
		p.counters.timeout.Add(1)
		status = http.StatusGatewayTimeout
	case DNS:
		p.counters.dns.Add(1)
	default:
		p.counters.connect.Add(1)
	}
	p.deny(w, status, f)
}

func (p *Proxy) deny(w http.ResponseWriter, status int, f *failed) {
	w.Header().Set(headerFailure, string(f.class))
	w.Header().Set(headerError, f.text)
	w.Header().Set("Connection", "close")
	http.Error(w, f.text, status)
}

// open tells the client that its connection is there, and passes bytes on until it ends.
func (p *Proxy) open(w http.ResponseWriter, route *route, timing Timing) {
	client, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		p.deny(w, http.StatusInternalServerError, &failed{Connect, "the egress proxy made no connection"})
		return
	}
	answer := "HTTP/1.1 200 OK\r\n" +
		headerLocal + ": " + route.local.String() + "\r\n" +
		headerRemote + ": " + route.remote.String() + "\r\n" +
		headerTiming + ": " + writeTiming(timing) + "\r\n\r\n"
	client.SetWriteDeadline(time.Now().Add(requestHeadersTime))
	if _, err := io.WriteString(client, answer); err != nil {
		client.Close()
		return
	}
	client.SetWriteDeadline(time.Time{})
	p.counters.opened.Add(1)
	p.counters.active.Add(1)
	defer p.counters.active.Add(-1)
	t := tunnel{client: client, fromClient: leftover(buffered.Reader, client), target: route.Conn, idle: p.options.Idle, age: p.options.MaxAge}
	t.run(p.stop)
	p.counters.sent.Add(t.sent.Load())
	p.counters.received.Add(t.received.Load())
}

// leftover reads what the server read beyond the request's head, then the connection itself.
func leftover(in *bufio.Reader, conn net.Conn) io.Reader {
	return &drained{Conn: conn, in: in}
}

// proxyCounters are Stats while they are counted.
type proxyCounters struct {
	opened, blocked, dns, connect, timeout, invalid, unauthorised, busy atomic.Uint64
	active                                                              atomic.Int64
	sent, received                                                      atomic.Uint64
}
