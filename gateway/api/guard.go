package api

import (
	"bytes"
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"
)

// securityHeaders are on every answer; a page may set its own Content-Security-Policy.
var securityHeaders = [][2]string{
	{"Content-Security-Policy", "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"},
	{"X-Content-Type-Options", "nosniff"},
	{"X-Frame-Options", "DENY"},
	{"Referrer-Policy", "no-referrer"},
	{"Cross-Origin-Opener-Policy", "same-origin"},
	{"Cross-Origin-Embedder-Policy", "require-corp"},
	{"Cross-Origin-Resource-Policy", "same-origin"},
	{"Origin-Agent-Cluster", "?1"},
	{"Permissions-Policy", "accelerometer=(), camera=(), geolocation=(), gyroscope=(), microphone=(), payment=(), usb=()"},
	{"X-DNS-Prefetch-Control", "off"},
	{"X-Download-Options", "noopen"},
	{"X-Permitted-Cross-Domain-Policies", "none"},
	{"X-XSS-Protection", "0"},
	{"Cache-Control", "no-store"},
}

// hsts asks browsers to come back over TLS alone, for a year.
const hsts = "max-age=31536000; includeSubDomains"

// secure sets the headers that every answer has, refusals of broken requests included.
func secure(c *fiber.Ctx) {
	h := &c.Response().Header
	for _, header := range securityHeaders {
		h.Set(header[0], header[1])
	}
	if c.Protocol() == "https" {
		h.Set("Strict-Transport-Security", hsts)
	}
	h.Set(fiber.HeaderXRequestID, requestID(c))
}

// framing says what is wrong with the head of a request, or nothing. A request that two servers could read in two ways
// is how one is smuggled past the first of them, so it is refused and its connection closed.
func framing(h *fasthttp.RequestHeader) string {
	var hosts, lengths, encodings, keys, types int
	for line := range bytes.SplitSeq(h.RawHeaders(), []byte("\n")) {
		if len(line) == 0 {
			continue // behind the last line
		}
		// A line that a bare LF ends goes on for others, with what they take for a part of its value.
		line, ended := bytes.CutSuffix(line, []byte("\r"))
		if ended && len(line) == 0 {
			continue
		}
		name, _, ok := bytes.Cut(line, []byte(":"))
		if !ended || !ok || len(name) == 0 || bytes.ContainsAny(name, " \t") {
			return "a header line is malformed"
		}
		switch strings.ToLower(string(name)) {
		case "host":
			hosts++
		case "content-length":
			lengths++
		case "transfer-encoding":
			encodings++
		case "authorization":
			keys++
		case "content-type":
			types++
		}
	}
	switch {
	case hosts != 1 || len(h.Host()) == 0:
		return "one Host is needed"
	case lengths > 1 || encodings > 1 || lengths+encodings > 1:
		return "Content-Length and Transfer-Encoding exclude each other and themselves"
	case encodings == 1 && !h.IsHTTP11():
		return "a Transfer-Encoding is of HTTP/1.1 alone"
	case encodings == 1 && h.ContentLength() != -1:
		return "a Transfer-Encoding other than chunked is not taken"
	case keys > 1 || types > 1:
		return "Authorization and Content-Type may be there once"
	}
	return ""
}

// addressOf is where a request comes from: the peer, or what the operator's own proxies say of it. Each proxy appends
// the address it saw, so the first from the right that is none of theirs is the last that can be believed.
func (a *API) addressOf(c *fasthttp.RequestCtx) string {
	peer, ok := netip.AddrFromSlice(c.RemoteIP())
	if !ok {
		return ""
	}
	peer = peer.Unmap()
	if !a.trusted(peer) {
		return peer.String()
	}
	var forwarded []string
	for _, header := range c.Request.Header.PeekAll(fiber.HeaderXForwardedFor) {
		forwarded = append(forwarded, strings.Split(string(header), ",")...)
	}
	for _, text := range slices.Backward(forwarded) {
		text = strings.TrimSpace(text)
		from, err := netip.ParseAddr(text)
		if err != nil {
			// Some proxies write the port too.
			with, err := netip.ParseAddrPort(text)
			if err != nil {
				break
			}
			from = with.Addr()
		}
		if peer = from.Unmap().WithZone(""); !a.trusted(peer) {
			break
		}
	}
	return peer.String()
}

func (a *API) trusted(address netip.Addr) bool {
	return slices.ContainsFunc(a.proxies, func(p netip.Prefix) bool { return p.Contains(address) })
}

// listener hands out connections that can be closed without cutting off the answer.
type listener struct{ net.Listener }

func (l listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &conn{Conn: c}, nil
}
