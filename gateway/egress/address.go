package egress

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"code.dny.dev/ssrf"
)

// Allowance is a network that targets may be in though it is not public, as --allow-network gives it.
type Allowance struct {
	// Organisation is the only one that it holds for; empty is every one.
	Organisation string
	// Network is masked and never IPv4-mapped.
	Network netip.Prefix
	// Port is the only port that it holds for; 0 is every one that Policy has open.
	Port uint16
}

// ParseAllowance reads "[organisation=]CIDR[@port]". An address without a length stands for itself alone.
func ParseAllowance(text string) (Allowance, error) {
	var a Allowance
	rest := text
	if organisation, after, found := strings.Cut(rest, "="); found {
		if organisation == "" {
			return a, fmt.Errorf("allowed network %q: the organisation before = is empty", text)
		}
		a.Organisation, rest = organisation, after
	}
	if before, port, found := strings.Cut(rest, "@"); found {
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil || n == 0 {
			return a, fmt.Errorf("allowed network %q: the port after @ is not a number from 1 to 65535", text)
		}
		a.Port, rest = uint16(n), before
	}
	network, err := parseNetwork(rest)
	if err != nil {
		return a, fmt.Errorf("allowed network %q: %q is not a network such as 10.0.0.0/8 or fd00::/8", text, rest)
	}
	a.Network = network
	return a, nil
}

func parseNetwork(text string) (netip.Prefix, error) {
	if addr, err := netip.ParseAddr(text); err == nil && addr.Zone() == "" {
		addr = addr.Unmap()
		return netip.PrefixFrom(addr, addr.BitLen()), nil
	}
	network, err := netip.ParsePrefix(text)
	if err != nil {
		return netip.Prefix{}, err
	}
	// An IPv4-mapped network would never match: addresses are unmapped before they are compared.
	if network.Addr().Is4In6() {
		return netip.Prefix{}, fmt.Errorf("%s is IPv4-mapped", network)
	}
	return network.Masked(), nil
}

// public knows the IANA registries of special addresses. It is asked last: it lets allowed networks through before
// anything else, which would open the metadata addresses in them.
var public = ssrf.New(ssrf.WithAnyNetwork(), ssrf.WithAnyPort())

// metadata are the addresses at which clouds hand out credentials and steer machines. A network that holds one does not
// open it: an allowance must name the very address.
var metadata = []netip.Addr{
	netip.MustParseAddr("169.254.169.254"),    // AWS, Google, Azure, Oracle, OpenStack, DigitalOcean, Hetzner
	netip.MustParseAddr("169.254.170.2"),      // AWS ECS credentials
	netip.MustParseAddr("169.254.170.23"),     // AWS EKS pod identity
	netip.MustParseAddr("169.254.169.253"),    // AWS resolver
	netip.MustParseAddr("169.254.169.123"),    // AWS time
	netip.MustParseAddr("169.254.169.250"),    // AWS Windows activation
	netip.MustParseAddr("169.254.169.251"),    // AWS Windows activation
	netip.MustParseAddr("169.254.0.23"),       // Tencent
	netip.MustParseAddr("169.254.10.10"),      // Tencent
	netip.MustParseAddr("169.254.42.42"),      // Scaleway
	netip.MustParseAddr("100.100.100.200"),    // Alibaba
	netip.MustParseAddr("192.0.0.192"),        // Oracle Classic
	netip.MustParseAddr("168.63.129.16"),      // Azure wire server: public space, in no registry
	netip.MustParseAddr("fd00:ec2::254"),      // AWS
	netip.MustParseAddr("fd00:ec2::253"),      // AWS resolver
	netip.MustParseAddr("fd00:ec2::123"),      // AWS time
	netip.MustParseAddr("fd00:ec2::23"),       // AWS EKS pod identity
	netip.MustParseAddr("fd20:ce::254"),       // Google
	netip.MustParseAddr("fd00:42::42"),        // Scaleway
	netip.MustParseAddr("fd00:c1::a9fe:a9fe"), // Oracle
}

// Policy says what may be called. It is filled before its first use, not changed afterwards, and not copied; its methods
// may be called from many goroutines at once. The zero value allows https to public addresses.
type Policy struct {
	// AllowHTTP lets http:// through, and port 80.
	AllowHTTP bool
	// AllowPorts are open in addition to 443 and to 1024-65535 without RefusedPorts.
	AllowPorts []uint16
	// Networks are open though they are not public. They open no port and no listener of ours.
	Networks []Allowance
	// Listeners are the addresses that this process serves on, and those of the gateway's own services beside it (Redis,
	// the egress proxy): never a target, whatever Networks says. One with an unspecified address stands for its port on
	// every address of this machine.
	Listeners []netip.AddrPort
	// Own are the addresses that we are known by outside (--egress-ip, --egress-public-ip): refused unless Networks
	// names them. The addresses of this machine's interfaces are refused likewise without being listed here.
	Own []netip.Addr

	machine machine
}

// CheckAddress judges the address of a connection that is about to be made for an organisation, after DNS: nil lets it
// be made. IPv4-mapped addresses are judged as IPv4, and zones are ignored.
func (p *Policy) CheckAddress(organisation string, address netip.AddrPort) *Fault {
	if fault := p.checkPort(address.Port()); fault != nil {
		return fault
	}
	if !p.mayReach(organisation, plain(address.Addr()), address.Port()) {
		return forbidden()
	}
	return nil
}

// plain is the form in which addresses are compared: no range contains an address with a zone, and the IPv4 ranges
// contain no mapped one.
func plain(addr netip.Addr) netip.Addr { return addr.Unmap().WithZone("") }

func (p *Policy) mayReach(organisation string, addr netip.Addr, port uint16) bool {
	// The unspecified address reaches this machine itself.
	if !addr.IsValid() || addr.IsUnspecified() || p.isListener(addr, port) {
		return false
	}
	if isMetadata(addr) {
		return p.allows(organisation, addr, port, true)
	}
	if p.allows(organisation, addr, port, false) {
		return true
	}
	if p.isOwn(addr) {
		return false
	}
	return public.SafeAddr(addr) == nil
}

// allows says whether an allowance opens the address; exact asks for one that names this address alone.
func (p *Policy) allows(organisation string, addr netip.Addr, port uint16, exact bool) bool {
	for _, a := range p.Networks {
		if a.holdsFor(organisation) && (a.Port == 0 || a.Port == port) &&
			a.Network.Contains(addr) && (!exact || a.Network.IsSingleIP()) {
			return true
		}
	}
	return false
}

func (a Allowance) holdsFor(organisation string) bool {
	return a.Organisation == "" || a.Organisation == organisation
}

func (p *Policy) isListener(addr netip.Addr, port uint16) bool {
	for _, l := range p.Listeners {
		if l.Port() != port {
			continue
		}
		listener := plain(l.Addr())
		if listener == addr || listener.IsUnspecified() && p.isOwn(addr) {
			return true
		}
	}
	return false
}

func (p *Policy) isOwn(addr netip.Addr) bool {
	return slices.ContainsFunc(p.Own, func(own netip.Addr) bool { return plain(own) == addr }) || p.machine.has(addr)
}

// isMetadata looks inside the IPv6 forms that carry an IPv4 address too: a gateway on the way may unpack them.
func isMetadata(addr netip.Addr) bool {
	if slices.Contains(metadata, addr) {
		return true
	}
	inner, found := embedded(addr)
	return found && slices.Contains(metadata, inner)
}

var (
	nat64      = netip.MustParsePrefix("64:ff9b::/96")
	compatible = netip.MustParsePrefix("::/96")
	translated = netip.MustParsePrefix("::ffff:0:0:0/96")
	sixToFour  = netip.MustParsePrefix("2002::/16")
)

// embedded is the IPv4 address that an IPv6 address carries for a translator: NAT64, 6to4, SIIT, or the old compatible
// form.
func embedded(addr netip.Addr) (netip.Addr, bool) {
	if !addr.Is6() {
		return netip.Addr{}, false
	}
	b := addr.As16()
	switch {
	case nat64.Contains(addr), compatible.Contains(addr), translated.Contains(addr):
		return netip.AddrFrom4([4]byte(b[12:16])), true
	case sixToFour.Contains(addr):
		return netip.AddrFrom4([4]byte(b[2:6])), true
	}
	return netip.Addr{}, false
}
