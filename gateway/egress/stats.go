package egress

import (
	"fmt"
	"io"
)

// ProxyStats are a Proxy's counters since it was made, for whoever shows metrics.
type ProxyStats struct {
	// Opened connections, and those that were refused, by reason.
	Opened, Blocked, DNS, Connect, Timeout, Invalid, Unauthorised, Busy uint64
	// Active connections now.
	Active int64
	// Sent and Received are bytes to and from targets, of connections that have ended.
	Sent, Received uint64
}

// Stats reads the counters.
func (p *Proxy) Stats() ProxyStats {
	c := &p.counters
	return ProxyStats{
		Opened: c.opened.Load(), Blocked: c.blocked.Load(), DNS: c.dns.Load(), Connect: c.connect.Load(), Timeout: c.timeout.Load(),
		Invalid: c.invalid.Load(), Unauthorised: c.unauthorised.Load(), Busy: c.busy.Load(),
		Active: c.active.Load(), Sent: c.sent.Load(), Received: c.received.Load(),
	}
}

// write puts the counters into the text form that Prometheus reads.
func (s ProxyStats) write(w io.Writer) {
	const name = "unihook_egress_connections_total"
	fmt.Fprintf(w, "# HELP %s Connections asked for, by what came of them.\n# TYPE %s counter\n", name, name)
	for _, row := range []struct {
		result string
		n      uint64
	}{
		{"opened", s.Opened}, {"blocked", s.Blocked}, {"dns", s.DNS}, {"connect", s.Connect}, {"timeout", s.Timeout},
		{"invalid", s.Invalid}, {"unauthorised", s.Unauthorised}, {"busy", s.Busy},
	} {
		fmt.Fprintf(w, "%s{result=%q} %d\n", name, row.result, row.n)
	}
	fmt.Fprintf(w, "# HELP unihook_egress_connections Connections open now.\n# TYPE unihook_egress_connections gauge\nunihook_egress_connections %d\n", s.Active)
	const bytes = "unihook_egress_bytes_total"
	fmt.Fprintf(w, "# HELP %s Bytes passed on, of connections that have ended.\n# TYPE %s counter\n", bytes, bytes)
	fmt.Fprintf(w, "%s{direction=\"sent\"} %d\n%s{direction=\"received\"} %d\n", bytes, s.Sent, bytes, s.Received)
}
