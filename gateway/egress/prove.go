package egress

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
)

// Proof is what a receiver saw of us beside what we recorded.
type Proof struct {
	// Mode is how requests leave: "bind", "proxy" or "direct".
	Mode string
	// Local is the address that the attempt recorded, Seen the one that the receiver answered with; either may be
	// invalid where it is not known.
	Local, Seen netip.Addr
	// Same says that both are known and are one address.
	Same bool
	// Response is the whole outcome.
	Response Response
}

// Prove calls a receiver that answers with its peer's address ("157.175.105.131", alone or anywhere in the body, with a
// port or without) and compares that with the address that the request left from. The error says that there is nothing to
// compare.
func Prove(ctx context.Context, c *Client, url string) (Proof, error) {
	var p Proof
	p.Mode, _ = c.Addresses()
	p.Response = c.Do(ctx, Request{URL: url, Method: http.MethodGet})
	if p.Response.Failure != None {
		return p, fmt.Errorf("calling the receiver: %s (%s)", p.Response.Error, p.Response.Failure)
	}
	p.Local, _ = netip.ParseAddr(p.Response.Local)
	p.Seen = firstAddress(string(p.Response.Body))
	if !p.Seen.IsValid() {
		return p, fmt.Errorf("calling the receiver: its answer has no address in it")
	}
	p.Same = p.Local.IsValid() && p.Local == p.Seen
	return p, nil
}

// firstAddress finds the first IP address of a text; the zero value where it has none.
func firstAddress(text string) netip.Addr {
	words := strings.FieldsFunc(text, func(r rune) bool {
		return !(r >= '0' && r <= '9' || r >= 'a' && r <= 'f' || r >= 'A' && r <= 'F' || r == '.' || r == ':' || r == '[' || r == ']')
	})
	for _, word := range words {
		word = strings.TrimLeft(strings.TrimRight(word, ".:"), ".")
		if addr, err := netip.ParseAddr(word); err == nil {
			return plain(addr)
		}
		if ap, err := netip.ParseAddrPort(word); err == nil {
			return plain(ap.Addr())
		}
	}
	return netip.Addr{}
}
