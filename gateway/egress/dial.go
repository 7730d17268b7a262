package egress

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	// dialConnect bounds the connecting to all of a host's addresses together, inside the request's own time.
	dialConnect = 10 * time.Second
	// dialHeadStart is what an address gets before the next one is tried beside it (RFC 8305, 5).
	dialHeadStart = 250 * time.Millisecond
	// maxAddresses are the addresses of one host that are tried; names with hundreds must not open hundreds of sockets.
	maxAddresses = 6
)

// route is an open connection and the two ends that a receiver would see: in proxy mode the proxy's.
type route struct {
	net.Conn
	local  netip.Addr
	remote netip.AddrPort
	// socket is what lies under all TLS.
	socket net.Conn
}

// abort closes the connection without a goodbye, which a side that does not read would hold up.
func (r *route) abort() { r.socket.Close() }

// dialer opens connections to targets. There are two: direct, and through a proxy.
type dialer interface {
	// dial connects for an organisation and adds what it took to timing. Its errors are *failed.
	dial(ctx context.Context, organisation string, target Target, timing *Timing) (*route, error)
	// mayReuse says whether an open connection may serve another request of an organisation.
	mayReuse(organisation string, r *route) bool
	// check says whether connections can be made at all.
	check(ctx context.Context) error
}

// direct dials from this machine. The policy is asked twice: before anything is dialled, to choose among the answers,
// and in the socket's control hook, which sees the address that is really connected to.
type direct struct {
	policy   *Policy
	resolver Resolver
	sources  []netip.Addr
	turn     atomic.Uint32
}

func (d *direct) dial(ctx context.Context, organisation string, target Target, timing *Timing) (*route, error) {
	addrs, err := d.addresses(ctx, organisation, target, timing)
	if err != nil {
		return nil, err
	}
	began := time.Now()
	defer func() { timing.Connect = time.Since(began) }()
	bounded, cancel := context.WithTimeout(ctx, dialConnect)
	defer cancel()
	conn, err := d.race(bounded, organisation, addrs)
	if err != nil {
		return nil, connectFailed(err)
	}
	return &route{conn, endOf(conn.LocalAddr()).Addr(), endOf(conn.RemoteAddr()), conn}, nil
}

func (d *direct) mayReuse(organisation string, r *route) bool {
	return d.policy.CheckAddress(organisation, r.remote) == nil
}

func (d *direct) check(context.Context) error { return checkSources(d.sources) }

// addresses are the ones to try, in order: those of the answers that may be called. Where some may and some may not, the
// public ones are used: a network with DNS64 answers with both.
func (d *direct) addresses(ctx context.Context, organisation string, target Target, timing *Timing) ([]netip.AddrPort, error) {
	answers := []netip.Addr{target.address}
	if !target.address.IsValid() {
		began := time.Now()
		bounded, cancel := context.WithTimeout(ctx, dialLookup)
		defer cancel()
		var err error
		answers, err = d.policy.lookup(bounded, d.resolver, organisation, target.Host)
		timing.DNS = time.Since(began)
		if err != nil {
			return nil, lookupFailed(err)
		}
		if len(answers) == 0 {
			return nil, &failed{DNS, "the host's name has no address"}
		}
	}
	var open []netip.AddrPort
	for _, addr := range answers {
		to := netip.AddrPortFrom(addr, target.Port)
		if d.policy.CheckAddress(organisation, to) == nil {
			open = append(open, to)
		}
	}
	if len(open) == 0 {
		return nil, &failed{Blocked, notPublic}
	}
	usable := d.ofOurFamilies(open)
	if len(usable) == 0 {
		return nil, &failed{Connect, "the host has no address of the family (IPv4, IPv6) that the gateway sends from"}
	}
	return interleave(usable), nil
}

// ofOurFamilies leaves out what no source address can reach: a connection never leaves from an address that is not
// announced.
func (d *direct) ofOurFamilies(addrs []netip.AddrPort) []netip.AddrPort {
	if len(d.sources) == 0 {
		return addrs
	}
	var usable []netip.AddrPort
	for _, to := range addrs {
		if len(d.sourcesFor(to.Addr())) > 0 {
			usable = append(usable, to)
		}
	}
	return usable
}

// interleave puts IPv6 and IPv4 in turn, as the resolver ordered each, and cuts the list.
func interleave(addrs []netip.AddrPort) []netip.AddrPort {
	var six, four, mixed []netip.AddrPort
	for _, a := range addrs {
		if a.Addr().Is4() {
			four = append(four, a)
		} else {
			six = append(six, a)
		}
	}
	for len(six)+len(four) > 0 && len(mixed) < maxAddresses {
		if len(six) > 0 {
			mixed, six = append(mixed, six[0]), six[1:]
		}
		if len(four) > 0 {
			mixed, four = append(mixed, four[0]), four[1:]
		}
	}
	return mixed
}

// race connects to the addresses in order, each with a head start before the next, and returns the first connection; the
// others are given up and closed before it returns.
func (d *direct) race(ctx context.Context, organisation string, addrs []netip.AddrPort) (net.Conn, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type result struct {
		conn net.Conn
		err  error
	}
	results := make(chan result)
	started, ended := 0, 0
	start := func() {
		to := addrs[started]
		started++
		go func() {
			conn, err := d.connect(ctx, organisation, to)
			results <- result{conn, err}
		}()
	}
	start()
	headStart := time.NewTimer(dialHeadStart)
	defer headStart.Stop()
	var winner net.Conn
	var first error
	for ended < started {
		select {
		case <-headStart.C:
			if started < len(addrs) && winner == nil {
				start()
				headStart.Reset(dialHeadStart)
			}
		case r := <-results:
			ended++
			switch {
			case r.err == nil && winner == nil:
				winner = r.conn
				cancel()
			case r.err == nil:
				r.conn.Close()
			default:
				if first == nil {
					first = r.err
				}
				if winner == nil && started < len(addrs) && ctx.Err() == nil {
					start()
					headStart.Reset(dialHeadStart)
				}
			}
		}
	}
	if winner == nil {
		return nil, first
	}
	return winner, nil
}

// errForbidden is what the control hook stops a connection with.
var errForbidden = errors.New(notPublic)

// connect opens one connection to one address that was checked, from our source address of its family.
func (d *direct) connect(ctx context.Context, organisation string, to netip.AddrPort) (net.Conn, error) {
	nd := net.Dialer{
		ControlContext: func(_ context.Context, _, address string, socket syscall.RawConn) error {
			actual, err := netip.ParseAddrPort(address)
			if err != nil || d.policy.CheckAddress(organisation, actual) != nil {
				return errForbidden
			}
			return lateBind(socket)
		},
	}
	if sources := d.sourcesFor(to.Addr()); len(sources) > 0 {
		// Several are used in turn.
		source := sources[int(d.turn.Add(1)%uint32(len(sources)))]
		nd.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(source, 0))
	}
	return nd.DialContext(ctx, "tcp", to.String())
}

// sourcesFor are our addresses of a target's family.
func (d *direct) sourcesFor(to netip.Addr) []netip.Addr {
	var of []netip.Addr
	for _, s := range d.sources {
		if s.Is4() == to.Is4() {
			of = append(of, s)
		}
	}
	return of
}

// connectFailed puts a failure to connect into words of ours: the system's name the address.
func connectFailed(err error) *failed {
	switch {
	case errors.Is(err, errForbidden):
		return &failed{Blocked, notPublic}
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, syscall.ETIMEDOUT):
		return &failed{Timeout, "the host did not take the connection in time"}
	case errors.Is(err, context.Canceled):
		return &failed{Timeout, stopped}
	case errors.Is(err, syscall.ECONNREFUSED):
		return &failed{Connect, "the host refused the connection"}
	case errors.Is(err, syscall.ECONNRESET):
		return &failed{Connect, "the host reset the connection"}
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return &failed{Connect, "the gateway's own sending address is not available"}
	}
	return &failed{Connect, "the host cannot be reached"}
}

// endOf reads a socket's address; the zero value where it is none of TCP's.
func endOf(a net.Addr) netip.AddrPort {
	if tcp, ok := a.(*net.TCPAddr); ok {
		ap := tcp.AddrPort()
		return netip.AddrPortFrom(plain(ap.Addr()), ap.Port())
	}
	return netip.AddrPort{}
}
