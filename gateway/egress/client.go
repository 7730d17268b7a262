package egress

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"syscall"
	"time"
)

// defaultTimeout is a request's whole time where none is given.
const defaultTimeout = 30 * time.Second

// Options are what a Client is made of; the zero value calls public https addresses straight from this machine.
type Options struct {
	// Policy says what may be called; nil is the zero Policy.
	Policy *Policy
	// SourceIPs are the addresses to send from, of this machine; none leaves the choice to the system. A target of a
	// family without one is not called.
	SourceIPs []netip.Addr
	// Elsewhere says that the source addresses are another machine's: this client is asked about them and sends nothing.
	Elsewhere bool
	// ProxyURL is "https://token@host:port" of `unihook egress`; empty is direct. Not together with SourceIPs.
	ProxyURL string
	// ProxyCertificate is shown to a proxy that asks for one; nil is none.
	ProxyCertificate *tls.Certificate
	// RootCAs are certificates (PEM) to trust in addition to the system's, for targets and for the proxy.
	RootCAs []byte
	// Resolver looks names up; nil is this machine's.
	Resolver Resolver
	// UserAgent is sent where a request brings none.
	UserAgent string
}

// Client calls targets. It is safe for use by many goroutines, and is closed with Close.
type Client struct {
	policy    *Policy
	dialer    dialer
	tls       *tls.Config
	pool      pool
	userAgent string
	sources   []netip.Addr
}

// New makes a Client. It fails with a sentence for the operator when a source address is not this machine's, or when the
// proxy's URL or the roots cannot be read; it connects to nothing.
func New(o Options) (*Client, error) {
	if o.Policy == nil {
		o.Policy = new(Policy)
	}
	config, err := clientTLS(o.RootCAs)
	if err != nil {
		return nil, err
	}
	c := &Client{policy: o.Policy, tls: config, userAgent: o.UserAgent, pool: pool{idle: map[place][]*idle{}}}
	for _, source := range o.SourceIPs {
		c.sources = append(c.sources, plain(source))
	}
	if o.ProxyURL != "" {
		if len(c.sources) > 0 {
			return nil, errors.New("egress addresses and an egress proxy exclude each other: the proxy binds its own")
		}
		through, err := newConnect(o, config)
		if err != nil {
			return nil, err
		}
		c.dialer = through
		return c, nil
	}
	if !o.Elsewhere {
		if err := checkSources(c.sources); err != nil {
			return nil, err
		}
	}
	c.dialer = &direct{policy: o.Policy, resolver: o.Resolver, sources: c.sources}
	return c, nil
}

// Request is one call.
type Request struct {
	// Organisation is whose allowances hold.
	Organisation string
	// URL is checked again, text and all.
	URL string
	// Hosts narrow the organisation's targets, as in CheckURL.
	Hosts []string
	// Method is POST where empty.
	Method string
	// Header is sent in this order and spelling; of two with one name the later one is. Host, Content-Length and the
	// like are not among them.
	Header []Header
	// Body is not changed, and not used any more when Do has returned.
	Body []byte
	// Timeout is for all of it: look-up, connection, handshake, answer and its body. 0 is 30 s.
	Timeout time.Duration
	// MaxBody is how much of the answer's body is read, in bytes; 0 is 64 KiB.
	MaxBody int64
}

func (r *Request) method() string {
	if r.Method == "" {
		return http.MethodPost
	}
	return r.Method
}

// Timing is where an attempt's time went. DNS, Connect and TLS are 0 on a connection that was open already.
type Timing struct {
	DNS, Connect, TLS time.Duration
	// Wait is from the start of sending to the end of the answer's headers.
	Wait time.Duration
	// Read is for the answer's body.
	Read time.Duration
}

// Response is the outcome of one call, of every kind.
type Response struct {
	// Status is the answer's; 0 without one.
	Status int
	// Failure is the class, empty for success; Error says it in words that name no address, path or query and quote
	// nothing of the receiver's.
	Failure Failure
	Error   string
	// Header and Body are the receiver's, and may hold anything. The body is as it came, never decompressed.
	Header http.Header
	Body   []byte
	// BodyTruncated says that there was more of the body, or that it broke off.
	BodyTruncated bool
	// Sent says that the request was begun on the wire: the receiver may have acted on it.
	Sent bool
	// Local is the address that the request left from ("157.175.105.131"), in proxy mode the proxy's; Remote is where it
	// went ("93.184.216.34:443"). Both are empty where no connection came to be.
	Local, Remote string
	Timing        Timing
	// TLSVersion is "TLS 1.3" or the like; empty for http.
	TLSVersion string
	// RetryAfter is the header as it came.
	RetryAfter string
}

// Do makes one request on the wire, at most, and returns what came of it. It ends within the request's timeout, and when
// ctx does.
func (c *Client) Do(ctx context.Context, r Request) Response {
	var out Response
	if err := c.do(ctx, &r, &out); err != nil {
		var f *failed
		if !errors.As(err, &f) {
			panic("egress: an error without a class: " + err.Error())
		}
		out.Failure, out.Error = f.class, f.text
	}
	return out
}

func (c *Client) do(ctx context.Context, r *Request, out *Response) error {
	target, fault := c.policy.CheckURL(r.Organisation, r.URL, r.Hosts)
	if fault != nil {
		return &failed{Blocked, fault.Detail}
	}
	begin, refused := head(r, target, c.userAgent)
	if refused != nil {
		return refused
	}
	if r.Timeout <= 0 {
		r.Timeout = defaultTimeout
	}
	if r.MaxBody <= 0 {
		r.MaxBody = defaultMaxBody
	}
	ctx, cancel := context.WithTimeout(ctx, r.Timeout)
	defer cancel()
	at := place{r.Organisation, target.Origin}
	conn, err := c.connection(ctx, at, target, out)
	if err != nil {
		return err
	}
	out.TLSVersion, out.Sent = conn.version, true
	x := exchange{conn: conn, method: r.method(), head: begin, body: r.Body, max: r.MaxBody}
	if x.run(ctx, out) {
		c.pool.put(at, conn)
	}
	return nil
}

// connection is an open one that may serve the request, or a new one. It notes in out between which addresses it runs,
// also where the handshake fails, and what it took.
func (c *Client) connection(ctx context.Context, at place, target Target, out *Response) (*conn, error) {
	for {
		conn := c.pool.take(at)
		if conn == nil {
			break
		}
		if c.dialer.mayReuse(at.organisation, conn.route) {
			out.travelled(conn.route)
			return conn, nil
		}
		conn.abort()
	}
	r, err := c.dialer.dial(ctx, at.organisation, target, &out.Timing)
	if err != nil {
		return nil, err
	}
	out.travelled(r)
	if target.Scheme == "http" {
		return newConn(r, r, ""), nil
	}
	began := time.Now()
	stream, err := secure(ctx, r, c.tls, target.Host)
	out.Timing.TLS = time.Since(began)
	if err != nil {
		return nil, err
	}
	return newConn(r, stream, tls.VersionName(stream.ConnectionState().Version)), nil
}

// travelled notes the ends of a connection, as far as they are known.
func (out *Response) travelled(r *route) {
	if r.local.IsValid() {
		out.Local = r.local.String()
	}
	if r.remote.IsValid() {
		out.Remote = r.remote.String()
	}
}

// Check says, for readiness, whether requests can leave: the source addresses are still this machine's, the proxy can be
// reached and takes our token. The error is for the operator.
func (c *Client) Check(ctx context.Context) error { return c.dialer.check(ctx) }

// Addresses are those that requests leave from, as far as they are known, and how: "bind", "proxy" or "direct". The
// proxy's are known once Check has reached it.
func (c *Client) Addresses() (mode string, addrs []netip.Addr) {
	if through, ok := c.dialer.(*connect); ok {
		return "proxy", through.addresses()
	}
	if len(c.sources) > 0 {
		return "bind", slices.Clone(c.sources)
	}
	return "direct", nil
}

// Close ends the connections that no request is using. Requests under way go on.
func (c *Client) Close() { c.pool.close() }

// isReset says whether the other side ended a connection without saying so.
func isReset(err error) bool {
	return errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) || errors.Is(err, net.ErrClosed)
}
