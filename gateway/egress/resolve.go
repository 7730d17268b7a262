package egress

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"time"
)

// Resolver looks names up. *net.Resolver is one; tests give one that asks a name server of their own.
type Resolver interface {
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
}

const (
	// saveLookup is how long a save waits for a name: a person is waiting, and the dialer looks again each time.
	saveLookup = 2 * time.Second
	// dialLookup bounds a look-up before a connection, inside the request's own time.
	dialLookup = 5 * time.Second
)

// CheckName looks a target's name up for at most two seconds and refuses it when any answer is an address that may not
// be called. No answer is no fault: names are often made after the webhook is. A nil resolver is this machine's.
func (p *Policy) CheckName(ctx context.Context, resolver Resolver, organisation string, target Target) *Fault {
	if target.address.IsValid() {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, saveLookup)
	defer cancel()
	addrs, err := p.lookup(ctx, resolver, organisation, target.Host)
	if err != nil {
		return nil
	}
	for _, addr := range addrs {
		if fault := p.CheckAddress(organisation, netip.AddrPortFrom(addr, target.Port)); fault != nil {
			return fault
		}
	}
	return nil
}

// lookup asks for a name's addresses, IPv4 and IPv6. A public name is asked for as it is, never with the search list of
// this machine behind it: hook.example.com.default.svc.cluster.local is somebody else's.
func (p *Policy) lookup(ctx context.Context, resolver Resolver, organisation, name string) ([]netip.Addr, error) {
	if resolver == nil {
		resolver = systemResolver
	}
	if !p.opensNames(organisation) {
		name += "."
	}
	addrs, err := resolver.LookupNetIP(ctx, "ip", name)
	for i := range addrs {
		addrs[i] = plain(addrs[i])
	}
	return addrs, err
}

// systemResolver is Go's own: it obeys its context, and does not read 127.1 as an address as the C library does.
var systemResolver Resolver = &net.Resolver{PreferGo: true}

// lookupFailed puts a look-up's error into words of ours: the resolver's own name the server that was asked.
func lookupFailed(err error) *failed {
	var dns *net.DNSError
	switch {
	case errors.As(err, &dns) && dns.IsNotFound:
		return &failed{DNS, "the host's name does not exist or has no address"}
	case errors.As(err, &dns) && dns.IsTimeout, errors.Is(err, context.DeadlineExceeded):
		return &failed{DNS, "the host's name servers did not answer in time"}
	}
	return &failed{DNS, "the host's name could not be looked up"}
}
