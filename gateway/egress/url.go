package egress

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// MaxURL is the longest URL, in bytes.
const MaxURL = 2048

// maxName and maxLabel are DNS's own limits (RFC 1035, 2.3.4), in bytes.
const (
	maxName  = 253
	maxLabel = 63
)

// Target is where a URL leads, as far as its text says.
type Target struct {
	// Scheme is "https" or "http".
	Scheme string
	// Host is the name or address in lower case, without brackets and trailing dot.
	Host string
	// Port is the given one, or the scheme's.
	Port uint16
	// Origin is "https://host:port", always with the port: what stands in clear where a URL is sealed, and what tells
	// whether two URLs lead to one place.
	Origin string

	// address is valid where the host is one.
	address netip.Addr
	// path is what the request line asks for: path and query exactly as given, "/" where there is no path.
	path string
}

// authority is host and port as the Host header has them: without the scheme's own port.
func (t Target) authority() string {
	host := t.Host
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	if t.Port == schemePort(t.Scheme) {
		return host
	}
	return host + ":" + strconv.Itoa(int(t.Port))
}

// hostPort is host and port as a dialer and CONNECT have them.
func (t Target) hostPort() string { return net.JoinHostPort(t.Host, strconv.Itoa(int(t.Port))) }

func schemePort(scheme string) uint16 {
	if scheme == "http" {
		return 80
	}
	return 443
}

// CheckURL judges the text of a URL for an organisation; hosts are the patterns that narrow it ("hook.example.com",
// "*.example.com"), none narrows nothing. It looks nothing up: CheckName does that at save, the dialer each time.
func (p *Policy) CheckURL(organisation, raw string, hosts []string) (Target, *Fault) {
	if fault := checkText(raw); fault != nil {
		return Target{}, fault
	}
	scheme, rest, fault := p.splitScheme(raw)
	if fault != nil {
		return Target{}, fault
	}
	authority, path := rest, ""
	if i := strings.IndexAny(rest, "/?"); i >= 0 {
		authority, path = rest[:i], rest[i:]
	}
	if !strings.HasPrefix(path, "/") {
		path = "/" + path
	}
	host, port, fault := splitAuthority(authority, scheme)
	if fault != nil {
		return Target{}, fault
	}
	if fault := p.checkPort(port); fault != nil {
		return Target{}, fault
	}
	target := Target{Scheme: scheme, Port: port, path: path}
	if fault := p.checkHost(organisation, host, &target); fault != nil {
		return Target{}, fault
	}
	// A second parser must see the same host: where two read a URL differently one of them is being fooled.
	if u, err := url.Parse(raw); err != nil || !strings.EqualFold(u.Host, authority) || u.User != nil || u.Opaque != "" {
		return Target{}, &Fault{"url_syntax", "this is not a well-formed URL"}
	}
	target.Origin = scheme + "://" + target.hostPort()
	if len(hosts) > 0 && !slices.ContainsFunc(hosts, func(h string) bool { return matchesHost(h, target.Host) }) {
		return Target{}, &Fault{"url_host_refused", fmt.Sprintf("%s is not one of the hosts that this organisation may call", target.Host)}
	}
	return target, nil
}

// checkText refuses what no part of a URL may hold.
func checkText(raw string) *Fault {
	if raw == "" {
		return &Fault{"url_empty", "a URL is needed"}
	}
	if len(raw) > MaxURL {
		return &Fault{"url_length", fmt.Sprintf("the URL is longer than %d characters", MaxURL)}
	}
	for i := range len(raw) {
		switch c := raw[i]; {
		case c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\v' || c == '\f':
			return &Fault{"url_character", "the URL has white space in it; %20 stands for a space"}
		case c < ' ' || c == 0x7f:
			return &Fault{"url_character", "the URL has a control character in it"}
		case c > 0x7f:
			return &Fault{"url_character", "the URL has a character in it that is not ASCII; use punycode in the host and percent-encoding after it"}
		case c == '\\':
			return &Fault{"url_character", `the URL has a backslash in it; %5C stands for one`}
		case c == '#':
			return &Fault{"url_fragment", "the URL has a fragment (#...), which is never sent"}
		}
	}
	return nil
}

func (p *Policy) splitScheme(raw string) (scheme, rest string, fault *Fault) {
	scheme, rest, found := strings.Cut(raw, "://")
	switch scheme = strings.ToLower(scheme); {
	case found && scheme == "https":
		return scheme, rest, nil
	case found && scheme == "http" && p.AllowHTTP:
		return scheme, rest, nil
	case found && scheme == "http":
		return "", "", &Fault{"url_scheme", "http:// sends the payload in clear and is not open here; use https://"}
	}
	return "", "", &Fault{"url_scheme", "the URL must begin with https://"}
}

// splitAuthority takes "host", "host:port" or "[address]:port" apart; host keeps its brackets.
func splitAuthority(authority, scheme string) (host string, port uint16, fault *Fault) {
	if strings.Contains(authority, "@") {
		return "", 0, &Fault{"url_user", "a user name in a URL is not sent; use a header"}
	}
	host, digits, given := strings.Cut(authority, ":")
	if strings.HasPrefix(authority, "[") {
		end := strings.LastIndexByte(authority, ']')
		if end < 0 {
			return "", 0, &Fault{"url_host", "the address in brackets has no end"}
		}
		host, digits = authority[:end+1], authority[end+1:]
		if digits, given = strings.CutPrefix(digits, ":"); !given && digits != "" {
			return "", 0, &Fault{"url_host", "after the address in brackets only a port can follow"}
		}
	}
	if host == "" {
		return "", 0, &Fault{"url_host", "the URL has no host"}
	}
	if !given {
		return host, schemePort(scheme), nil
	}
	port, ok := parsePort(digits)
	if !ok {
		return "", 0, &Fault{"url_port", "the port is not a number from 1 to 65535"}
	}
	return host, port, nil
}

// parsePort takes digits alone, and no leading zeros: one spelling for one port.
func parsePort(digits string) (uint16, bool) {
	n, err := strconv.ParseUint(digits, 10, 16)
	return uint16(n), err == nil && digits[0] != '0'
}

// checkHost judges a host as it stands in a URL and fills the target with it.
func (p *Policy) checkHost(organisation, host string, target *Target) *Fault {
	if literal, found := strings.CutPrefix(host, "["); found {
		literal = strings.TrimSuffix(literal, "]")
		addr, err := netip.ParseAddr(literal)
		if err != nil || !addr.Is6() || addr.Zone() != "" {
			return &Fault{"url_host", "what stands in brackets is not an IPv6 address without a zone"}
		}
		return p.checkLiteral(organisation, addr, target)
	}
	if addr, err := netip.ParseAddr(host); err == nil && addr.Is4() {
		return p.checkLiteral(organisation, addr, target)
	}
	name := strings.ToLower(strings.TrimSuffix(host, "."))
	if fault := checkLabels(name); fault != nil {
		return fault
	}
	if !isPublicName(name) && !p.opensNames(organisation) {
		return forbidden()
	}
	target.Host = name
	return nil
}

func (p *Policy) checkLiteral(organisation string, addr netip.Addr, target *Target) *Fault {
	addr = plain(addr)
	if !p.mayReach(organisation, addr, target.Port) {
		return forbidden()
	}
	target.Host, target.address = addr.String(), addr
	return nil
}

// checkLabels holds a name to what DNS can carry, and to no spelling of an address: resolvers read 127.1, 0x7f.1 and
// 2130706433 as addresses.
func checkLabels(name string) *Fault {
	if len(name) > maxName {
		return &Fault{"url_host", fmt.Sprintf("the host is longer than %d characters", maxName)}
	}
	labels := strings.Split(name, ".")
	for _, label := range labels {
		if label == "" || len(label) > maxLabel || label[0] == '-' || label[len(label)-1] == '-' || !isLabel(label) {
			return &Fault{"url_host", "the host is not a valid name: labels of letters, digits and hyphens with dots between them"}
		}
	}
	if isNumber(labels[len(labels)-1]) {
		return &Fault{"url_host", "the host is neither a name nor an address that is written in full"}
	}
	return nil
}

// isLabel looks at every character. Underscores are not of host names (RFC 952) and yet in use.
func isLabel(label string) bool {
	for i := range len(label) {
		c := label[i]
		if !(c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-' || c == '_') {
			return false
		}
	}
	return true
}

// isNumber says whether a label is a number as resolvers read them: decimal, octal or hexadecimal (0x alone is 0).
func isNumber(label string) bool {
	digits, hexadecimal := strings.CutPrefix(label, "0x")
	for i := range len(digits) {
		c := digits[i]
		if !(c >= '0' && c <= '9' || hexadecimal && c >= 'a' && c <= 'f') {
			return false
		}
	}
	return true
}

// privateNames are the ends of names that lead inside a network, or nowhere.
var privateNames = []string{"localhost", "localdomain", "local", "internal", "lan", "home.arpa", "svc", "onion", "invalid", "in-addr.arpa", "ip6.arpa"}

func isPublicName(name string) bool {
	if !strings.Contains(name, ".") {
		return false
	}
	return !slices.ContainsFunc(privateNames, func(end string) bool {
		return name == end || strings.HasSuffix(name, "."+end)
	})
}

// opensNames says whether names that lead inside a network are open to an organisation: they are where some network is.
func (p *Policy) opensNames(organisation string) bool {
	return slices.ContainsFunc(p.Networks, func(a Allowance) bool { return a.holdsFor(organisation) })
}

// matchesHost compares a host with an operator's pattern: itself, or "*." and the end of a longer name.
func matchesHost(pattern, host string) bool {
	pattern = strings.TrimSuffix(strings.ToLower(pattern), ".")
	pattern = strings.TrimSuffix(strings.TrimPrefix(pattern, "["), "]")
	if end, found := strings.CutPrefix(pattern, "*"); found && (end == "" || end[0] == '.') {
		return strings.HasSuffix(host, end) && len(host) > len(end)
	}
	return pattern == host
}
