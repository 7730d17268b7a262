package api

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"

	"github.com/unihook/unihook/gateway"
	"github.com/unihook/unihook/schemas"
)

// What a request may cost before it is known to be worth it.
const (
	// smallBody is what a request without a valid key may send.
	smallBody = 4 << 10
	// maxBody bounds every body but those of events.
	maxBody = 1 << 20
	// maxBatchBody bounds a batch of events.
	maxBatchBody = 8 << 20
	// envelopeBytes is room for what is around an event's data, white space too.
	envelopeBytes = 64 << 10
	// maxHead bounds the request line and all headers.
	maxHead = 16 << 10

	headTimeout  = 10 * time.Second // to send the head, and a small body
	bodyTimeout  = 60 * time.Second // to send a large body, with a valid key
	writeTimeout = 30 * time.Second // to take the answer
	idleTimeout  = 75 * time.Second // between two requests: longer than a proxy's usual 60 s
)

// Options is what an API is made of. Gateway and Secret are required.
type Options struct {
	Gateway *gateway.Gateway
	// Secret is 32 bytes or more that all processes share: the encryption key. The key of cursors is derived from it.
	Secret []byte
	// TLS, where given, has connections encrypted; its certificates are set.
	TLS *tls.Config
	// TrustedProxies may say in X-Forwarded-For and X-Forwarded-Proto where a request came from.
	TrustedProxies []netip.Prefix
	// Allow, where given, says whether a key may send another request now, and else after how long.
	Allow func(ctx context.Context, key string) (ok bool, retryAfter time.Duration, err error)
	// Metrics serves GET /metrics; without it the route answers 404.
	Metrics http.Handler
	// Checks are what /readyz asks beside the store.
	Checks []Check
	// Observe, where given, is told of every request that reached a route: the route's path, not the request's.
	Observe func(method, route string, status int, took time.Duration)
	// Grace bounds how long Serve waits for requests under way once its context ends.
	Grace time.Duration
	Log   *slog.Logger
}

// Check is one thing that must hold for the process to be ready.
type Check struct {
	// Name is a word for the details of /readyz.
	Name string
	// Run answers nil when all is well. It must obey its context.
	Run func(ctx context.Context) error
}

// API serves HTTP. Its methods are safe for concurrent use.
type API struct {
	gateway *gateway.Gateway
	app     *fiber.App
	cursors cursors
	tls     *tls.Config
	proxies []netip.Prefix
	allow   func(ctx context.Context, key string) (bool, time.Duration, error)
	metrics http.Handler
	checks  []Check
	observe func(method, route string, status int, took time.Duration)
	grace   time.Duration
	log     *slog.Logger
	openapi []byte // as JSON

	panics    atomic.Int64
	readiness readiness
	large     refusals
	// base ends when the grace of Serve is over: what still runs then is given up.
	base context.Context
	stop context.CancelFunc
}

// New makes an API; Serve starts it.
func New(o Options) (*API, error) {
	if o.Gateway == nil || len(o.Secret) < gateway.WrappingKeyBytes {
		return nil, fmt.Errorf("api: Gateway and a Secret of %d bytes are required", gateway.WrappingKeyBytes)
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	sealed, err := newCursors(o.Secret)
	if err != nil {
		return nil, err
	}
	described, err := yamlToJSON(schemas.OpenAPI)
	if err != nil {
		return nil, err
	}
	a := &API{
		gateway: o.Gateway, cursors: sealed, tls: o.TLS, proxies: o.TrustedProxies, allow: o.Allow, metrics: o.Metrics,
		checks: o.Checks, observe: o.Observe, grace: o.Grace, log: o.Log, openapi: described,
	}
	a.base, a.stop = context.WithCancel(context.Background())
	a.app = a.newApp()
	return a, nil
}

// Panics counts the requests that ended in a panic, which was recovered and answered as an internal error.
func (a *API) Panics() int64 { return a.panics.Load() }

// newApp makes the server with its limits, and the routes.
func (a *API) newApp() *fiber.App {
	proxies := make([]string, len(a.proxies))
	for i, p := range a.proxies {
		proxies[i] = p.String()
	}
	app := fiber.New(fiber.Config{
		CaseSensitive: true, StrictRouting: true, Immutable: true, DisableStartupMessage: true,
		DisablePreParseMultipartForm: true, EnableTrustedProxyCheck: true, TrustedProxies: proxies,
		BodyLimit: smallBody, ReadBufferSize: maxHead,
		ReadTimeout: headTimeout, WriteTimeout: writeTimeout, IdleTimeout: idleTimeout,
		ErrorHandler: a.fail,
	})
	for i := range routes {
		r := &routes[i]
		app.Add(r.Method, r.fiberPath(), a.handler(r))
		if r.Method == fiber.MethodGet {
			app.Add(fiber.MethodHead, r.fiberPath(), a.handler(r))
		}
	}
	app.Use(func(c *fiber.Ctx) error { return unrouted(c.Path()) })
	app.Handler() // builds the routes; the server below is served without Fiber's own listener
	server := app.Server()
	server.HeaderReceived = a.limits
	server.ErrorHandler = a.unreadable
	server.SecureErrorLogMessage = true
	server.CloseOnShutdown = true
	server.NoDefaultContentType = true
	inner := server.Handler
	server.Handler = func(c *fasthttp.RequestCtx) { a.guarded(c, inner) }
	return app
}

// guarded refuses what no route should see: ambiguous framing, and methods that Fiber does not know.
func (a *API) guarded(fc *fasthttp.RequestCtx, next fasthttp.RequestHandler) {
	a.large.take(&fc.Request.Header)
	var err error
	if wrong := framing(&fc.Request.Header); wrong != "" {
		fc.SetConnectionClose()
		err = &refusal{status: fiber.StatusBadRequest, detail: wrong}
	} else if !slices.Contains(fiber.DefaultMethods, string(fc.Method())) {
		err = unrouted(string(fc.URI().PathOriginal()))
	}
	if err == nil {
		next(fc)
		return
	}
	a.refuse(fc, err)
}

// refuse answers a request that never came to a route.
func (a *API) refuse(fc *fasthttp.RequestCtx, err error) {
	c := a.app.AcquireCtx(fc)
	defer a.app.ReleaseCtx(c)
	if err := a.fail(c, err); err != nil {
		a.log.Error("refusing a request", slog.Any("error", err))
	}
}

// limits says how much of a body is read, once the head is there: little without a valid key. What a larger one is
// refused with is kept until the body is read: fasthttp forgets the head of a request whose body it gives up on.
func (a *API) limits(h *fasthttp.RequestHeader) fasthttp.RequestConfig {
	if length := h.ContentLength(); length >= 0 && length <= smallBody || length == -2 {
		return fasthttp.RequestConfig{MaxRequestBodySize: smallBody}
	}
	limit, err := a.judge(h)
	if err != nil {
		a.large.keep(h, err, time.Now())
		return fasthttp.RequestConfig{MaxRequestBodySize: smallBody}
	}
	tooLarge := &refusal{status: fiber.StatusRequestEntityTooLarge, detail: fmt.Sprintf("the body has at most %d bytes here", limit)}
	a.large.keep(h, tooLarge, time.Now())
	return fasthttp.RequestConfig{MaxRequestBodySize: limit, ReadTimeout: bodyTimeout}
}

// judge says what a request may send, by its head alone; the error is what it is refused with whatever it sends.
func (a *API) judge(h *fasthttp.RequestHeader) (limit int, err error) {
	if wrong := framing(h); wrong != "" {
		return 0, &refusal{status: fiber.StatusBadRequest, detail: wrong}
	}
	path := pathOf(string(h.RequestURI()))
	r, ok := routeFor(string(h.Method()), path)
	if !ok {
		return 0, unrouted(path)
	}
	if r.Act != open {
		bearer, _ := bearerOf(string(h.Peek(fiber.HeaderAuthorization)))
		actor, err := a.gateway.Authenticate(a.base, bearer, "")
		if err != nil {
			return 0, err
		}
		if err := actor.May(r.Act); err != nil {
			return 0, err
		}
	}
	if r.body == nil {
		return smallBody, nil
	}
	return r.body(a), nil
}

// eventBody is the limit of a body with one event's data in it.
func eventBody(a *API) int { return max(maxBody, a.gateway.MaxEventBytes+envelopeBytes) }

func plainBody(*API) int { return maxBody }

func batchBody(*API) int { return maxBatchBody }

// unreadable answers a request whose head or body could not be read. Its connection is closed.
func (a *API) unreadable(fc *fasthttp.RequestCtx, err error) {
	linger(fc.Conn())
	tooLarge := a.large.take(&fc.Request.Header)
	var (
		small   *fasthttp.ErrSmallBuffer
		network net.Error
	)
	switch {
	case errors.Is(err, fasthttp.ErrBodyTooLarge):
		a.refuse(fc, tooLarge)
	case errors.As(err, &small):
		a.refuse(fc, &refusal{status: fiber.StatusRequestHeaderFieldsTooLarge, detail: fmt.Sprintf("the request line and the headers have at most %d bytes", maxHead)})
	case errors.As(err, &network) && network.Timeout():
		a.refuse(fc, &refusal{status: fiber.StatusRequestTimeout, detail: "the request did not arrive in time"})
	default:
		a.refuse(fc, &refusal{status: fiber.StatusBadRequest, detail: "the request cannot be read as HTTP/1.1"})
	}
}

// Serve answers requests on ln until ctx ends, then finishes those under way, for as long as Grace allows. It closes
// ln. An API is served once.
func (a *API) Serve(ctx context.Context, ln net.Listener) error {
	ln = listener{ln}
	if a.tls != nil {
		ln = tls.NewListener(ln, a.tls)
	}
	done := make(chan error, 1)
	go func() { done <- a.app.Server().Serve(ln) }()
	defer a.stop()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), max(a.grace, time.Second))
	defer cancel()
	err := a.app.Server().ShutdownWithContext(bounded)
	_ = ln.Close() // where Serve had not got as far as to be shut down
	a.stop()
	<-done
	if err != nil {
		return fmt.Errorf("some requests were cut off: %w", err)
	}
	return nil
}

// requestKey is where Fiber keeps a request's id.
const requestKey = "request"

// requestID is the request's own id: in its X-Request-Id header, and in the log with an internal error.
func requestID(c *fiber.Ctx) string {
	if id, ok := c.Locals(requestKey).(string); ok {
		return id
	}
	id := gateway.NewID("req_", time.Now())
	c.Locals(requestKey, id)
	return id
}

// contextOf is the context of a request, which ends when the server gives up on what is still under way.
func (a *API) contextOf(c *fiber.Ctx) context.Context {
	c.SetUserContext(a.base)
	return c.UserContext()
}
