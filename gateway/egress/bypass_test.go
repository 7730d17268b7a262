package egress_test

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/unihook/unihook/gateway/egress"
)

// bypass is one way that was tried to get somewhere one should not get, or a harmless neighbour of one.
type bypass struct {
	url  string
	open bool
	why  string
}

// bypasses are the URLs that were tried, each with its verdict and reason. A code at the start of the reason says which
// fault is the first to be seen.
var bypasses = []bypass{
	// The scheme.
	{"", false, "url_empty: nothing"},
	{"http://example.com/", false, "url_scheme: http is not open by itself"},
	{"hTTp://example.com/", false, "url_scheme: nor in another case"},
	{"ftp://example.com/", false, "url_scheme: another protocol"},
	{"file:///etc/passwd", false, "url_scheme: a file"},
	{"dict://127.0.0.1:11211/stats", false, "url_scheme: another protocol"},
	{"gopher://127.0.0.1:6379/_INFO", false, "url_scheme: bytes of one's choice"},
	{"ldap://example.com/", false, "url_scheme: another protocol"},
	{"data:text/plain,x", false, "url_scheme: no request at all"},
	{"blob:https://example.com/1", false, "url_scheme: a scheme before the scheme"},
	{"view-source:https://example.com/", false, "url_scheme: a scheme before the scheme"},
	{"https:example.com", false, "url_scheme: no slashes; browsers repair it"},
	{"https:/example.com", false, "url_scheme: one slash; browsers repair it"},
	{"https:\\\\example.com", false, "url_character: backslashes; browsers turn them"},
	{"//example.com/", false, "url_scheme: relative to nothing"},
	{"https://https://example.com/", false, "url_port: the host is https, its port empty"},
	{"url:https://example.com/", false, "url_scheme: an old prefix"},
	{"https\t://example.com/", false, "url_character: a tab, which browsers drop"},
	{"ht\ntps://example.com/", false, "url_character: a line feed, which browsers drop"},

	// The user.
	{"https://user@example.com/", false, "url_user: a user"},
	{"https://@example.com/", false, "url_user: an empty one"},
	{"https://example.com@10.0.0.1/", false, "url_user: the host is after the @"},
	{"https://example.com:443@10.0.0.1/", false, "url_user: what looks like a port is a password"},
	{"https://10.0.0.1@example.com/", false, "url_user: also where the host is public"},
	{"https://a@b@example.com/", false, "url_user: two of them"},
	{"https://example.com&@10.0.0.1/", false, "url_user: parsers differ about &"},
	{"https://example.com%40@10.0.0.1/", false, "url_user: an encoded @ before a real one"},
	{"https://10.0.0.1%40example.com/", false, "url_host: an encoded @"},
	{"https://example.com;@10.0.0.1/", false, "url_user: parsers differ about ;"},
	{"https://example.com/@10.0.0.1", true, "in a path an @ is only a character"},
	{"https://example.com?@10.0.0.1/", true, "in a query too; the host ends at ?"},
	{"https://example.com#@10.0.0.1/", false, "url_fragment: parsers differ about where the host ends"},
	{"https://example.com\\@10.0.0.1/", false, "url_character: browsers end the host at the backslash, others at the @"},

	// IPv4 in all spellings.
	{"https://127.0.0.1/", false, "url_address: loopback"},
	{"https://127.0.0.1:8443/", false, "url_address: at another port"},
	{"https://127.255.255.254/", false, "url_address: the end of loopback"},
	{"https://127.1/", false, "url_host: two parts"},
	{"https://127.0.1/", false, "url_host: three parts"},
	{"https://2130706433/", false, "url_host: decimal"},
	{"https://017700000001/", false, "url_host: octal"},
	{"https://0x7f000001/", false, "url_host: hexadecimal"},
	{"https://0X7F000001/", false, "url_host: hexadecimal in capitals"},
	{"https://0x7f.0.0.1/", false, "url_host: the first part hexadecimal"},
	{"https://0x7f.0x0.0x0.0x1/", false, "url_host: every part hexadecimal"},
	{"https://0177.0.0.01/", false, "url_host: octal parts"},
	{"https://127.0.0.01/", false, "url_host: a leading zero"},
	{"https://127.0.0.0x1/", false, "url_host: the last part hexadecimal"},
	{"https://127.0.0.0x/", false, "url_host: 0x alone is 0"},
	{"https://example.0x10/", false, "url_host: a name cannot end in a number"},
	{"https://example.123/", false, "url_host: nor in a decimal one"},
	{"https://example.123./", false, "url_host: nor with a dot after it"},
	{"https://127.0.0.1./", false, "url_host: an address with a dot after it"},
	{"https://8.8.8.8./", false, "url_host: a public one too"},
	{"https://127.0.0.1../", false, "url_host: two dots"},
	{"https://127..1/", false, "url_host: an empty part"},
	{"https://.127.0.0.1/", false, "url_host: a dot before it"},
	{"https://127.0.0.1.1/", false, "url_host: five parts"},
	{"https://4294967297/", false, "url_host: 2^32 + 1, which wraps to 0.0.0.1"},
	{"https://383.0.0.1/", false, "url_host: 383 is 127 modulo 256"},
	{"https://127.0.0.1%00.example.com/", false, "url_host: an encoded NUL ends the name for C"},
	{"https://127.0.0.1%2f.example.com/", false, "url_host: an encoded slash"},
	{"https://127。0。0。1/", false, "url_character: ideographic full stops"},
	{"https://①②⑦.⓪.⓪.①/", false, "url_character: digits in circles"},
	{"https://١٢٧.٠.٠.١/", false, "url_character: Arabic digits"},
	{"https://127.0.0.1\u00ad/", false, "url_character: a soft hyphen, which IDNA drops"},
	{"https://0.0.0.0/", false, "url_address: this machine"},
	{"https://0/", false, "url_host: this machine, short"},
	{"https://10.0.0.1/", false, "url_address: private"},
	{"https://172.16.0.1/", false, "url_address: private"},
	{"https://192.168.0.1/", false, "url_address: private"},
	{"https://100.100.100.200/", false, "url_address: Alibaba's metadata, in CGNAT"},
	{"https://169.254.169.254/latest/meta-data/", false, "url_address: metadata"},
	{"https://2852039166/", false, "url_host: metadata in decimal"},
	{"https://168.63.129.16/", false, "url_address: Azure's wire server, in public space"},
	{"https://192.0.0.192/", false, "url_address: Oracle's old metadata"},
	{"https://192.0.2.1/", false, "url_address: documentation"},
	{"https://198.18.0.1/", false, "url_address: benchmarks"},
	{"https://192.88.99.1/", false, "url_address: 6to4 relay"},
	{"https://224.0.0.1/", false, "url_address: multicast"},
	{"https://240.0.0.1/", false, "url_address: reserved"},
	{"https://255.255.255.255/", false, "url_address: broadcast"},
	{"https://1.1.1.1/", true, "a public address"},

	// IPv6.
	{"https://[::1]/", false, "url_address: loopback"},
	{"https://[0:0:0:0:0:0:0:1]/", false, "url_address: loopback in full"},
	{"https://[::]/", false, "url_address: this machine"},
	{"https://[::ffff:127.0.0.1]/", false, "url_address: mapped loopback"},
	{"https://[::ffff:7f00:1]/", false, "url_address: mapped loopback in hexadecimal"},
	{"https://[::ffff:a9fe:a9fe]/", false, "url_address: mapped metadata"},
	{"https://[::ffff:0x7f.0.0.1]/", false, "url_host: mapped, with a hexadecimal part"},
	{"https://[::ffff:127.0.0.01]/", false, "url_host: mapped, with a leading zero"},
	{"https://[::127.0.0.1]/", false, "url_address: compatible"},
	{"https://[::ffff:0:127.0.0.1]/", false, "url_address: translated"},
	{"https://[64:ff9b::127.0.0.1]/", false, "url_address: NAT64 of loopback"},
	{"https://[64:ff9b:1::10.0.0.1]/", false, "url_address: local NAT64"},
	{"https://[2002:7f00:1::1]/", false, "url_address: 6to4 of loopback"},
	{"https://[2001:0:a9fe:a9fe::1]/", false, "url_address: Teredo"},
	{"https://[fe80::1]/", false, "url_address: link local"},
	{"https://[fe80::1%25lo]/", false, "url_host: a zone"},
	{"https://[2606:4700:4700::1111%25lo]/", false, "url_host: a zone after a public address"},
	{"https://[::1%lo]/", false, "url_host: a zone, not encoded"},
	{"https://[fc00::1]/", false, "url_address: private"},
	{"https://[fd00:ec2::254]/", false, "url_address: metadata"},
	{"https://[fd20:ce::254]/", false, "url_address: metadata"},
	{"https://[ff02::1]/", false, "url_address: multicast"},
	{"https://[2001:db8::1]/", false, "url_address: documentation"},
	{"https://[3fff::1]/", false, "url_address: documentation"},
	{"https://[100::1]/", false, "url_address: discard"},
	{"https://[5f00::1]/", false, "url_address: segment routing"},
	{"https://[127.0.0.1]/", false, "url_host: IPv4 in brackets"},
	{"https://[example.com]/", false, "url_host: a name in brackets"},
	{"https://[::1/", false, "url_host: no bracket at the end"},
	{"https://::1]/", false, "url_host: none at the start"},
	{"https://::1/", false, "url_host: none at all"},
	{"https://[::1]x/", false, "url_host: something after the bracket"},
	{"https://[::1]example.com/", false, "url_host: a name after the bracket"},
	{"https://[[::1]]/", false, "url_host: two brackets"},
	{"https://[v1.::1]/", false, "url_host: a future version (RFC 3986)"},
	{"https://[2606:4700:4700::1111]/", true, "a public address"},
	{"https://[2606:4700:4700::1111]:8443/", true, "with a port"},

	// Names.
	{"https://localhost/", false, "url_address: this machine"},
	{"https://localhost./", false, "url_address: with a dot"},
	{"https://LocalHost/", false, "url_address: in another case"},
	{"https://foo.localhost/", false, "url_address: a name under it (RFC 6761)"},
	{"https://localhost.localdomain/", false, "url_address: this machine"},
	{"https://printer.local/", false, "url_address: multicast DNS"},
	{"https://router.lan/", false, "url_address: a home network"},
	{"https://nas.home.arpa/", false, "url_address: a home network"},
	{"https://home.arpa/", false, "url_address: the zone itself"},
	{"https://metadata.google.internal/", false, "url_address: metadata"},
	{"https://metadata.google.internal./", false, "url_address: with a dot"},
	{"https://METADATA.GOOGLE.INTERNAL/", false, "url_address: in capitals"},
	{"https://host.docker.internal/", false, "url_address: the host of a container"},
	{"https://kubernetes.default.svc/", false, "url_address: a cluster"},
	{"https://kubernetes.default.svc.cluster.local/", false, "url_address: a cluster"},
	{"https://kubernetes/", false, "url_address: one label"},
	{"https://com./", false, "url_address: one label with a dot"},
	{"https://a.onion/", false, "url_address: no DNS name"},
	{"https://a.invalid/", false, "url_address: no name at all"},
	{"https://1.0.0.127.in-addr.arpa/", false, "url_address: the reverse zone"},
	{"https://1.ip6.arpa/", false, "url_address: the reverse zone"},
	{"https://internal/", false, "url_address: one label, and the zone itself"},
	{"https://myinternal.example.com/", true, "internal is no label here"},
	{"https://internal.example.com/", true, "nor the end"},
	{"https://local.com/", true, "nor here"},
	{"https://%6c%6f%63alhost/", false, "url_host: percent-encoded letters"},
	{"https://example.com%00/", false, "url_host: an encoded NUL"},
	{"https://ⓛocalhost/", false, "url_character: a letter in a circle"},
	{"https://loc\u200balhost/", false, "url_character: a space without width"},
	{"https://xn--lhost-6ve/", false, "url_address: punycode with one label"},
	{"https://xn--bcher-kva.example/", true, "punycode is a name like any other"},
	{"https://example..com/", false, "url_host: an empty label"},
	{"https://.example.com/", false, "url_host: an empty label at the start"},
	{"https://example.com../", false, "url_host: two dots at the end"},
	{"https://-a.example.com/", false, "url_host: a hyphen at the start"},
	{"https://a-.example.com/", false, "url_host: a hyphen at the end"},
	{"https://" + strings.Repeat("a", 64) + ".example.com/", false, "url_host: a label too long for DNS"},
	{"https://" + strings.Repeat("a.", 127) + "com/", false, "url_host: a name too long for DNS"},
	{"https://exa$mple.com/", false, "url_host: a character that shells read"},
	{"https://example.com,10.0.0.1/", false, "url_host: a list"},
	{"https://example.com;10.0.0.1/", false, "url_host: a list"},
	{"https://*.example.com/", false, "url_host: a pattern"},
	{"https://_dmarc.example.com/", true, "underscores are in use"},
	{"https://example.com./", true, "the dot at the end of a whole name"},
	{"https://10.0.0.1.nip.io/", true, "a public name by its text; its address is refused when it is looked up"},

	// Ports.
	{"https://example.com:/", false, "url_port: none after the colon"},
	{"https://example.com:0/", false, "url_port: 0"},
	{"https://example.com:00443/", false, "url_port: leading zeros"},
	{"https://example.com:+443/", false, "url_port: a sign"},
	{"https://example.com:65536/", false, "url_port: too large"},
	{"https://example.com:65979/", false, "url_port: 443 modulo 65536"},
	{"https://example.com:443:443/", false, "url_port: two"},
	{"https://example.com:443@10.0.0.1:443/", false, "url_user: a password that looks like a port"},
	{"https://example.com:22/", false, "url_port: SSH"},
	{"https://example.com:25/", false, "url_port: mail"},
	{"https://example.com:80/", false, "url_port: http's"},
	{"https://example.com:1023/", false, "url_port: the last that is closed"},
	{"https://example.com:1024/", true, "the first that is open"},
	{"https://example.com:2375/", false, "url_port: Docker"},
	{"https://example.com:3306/", false, "url_port: MySQL"},
	{"https://example.com:5432/", false, "url_port: PostgreSQL"},
	{"https://example.com:6000/", false, "url_port: X11"},
	{"https://example.com:6379/", false, "url_port: Redis"},
	{"https://example.com:6667/", false, "url_port: IRC"},
	{"https://example.com:11211/", false, "url_port: memcached"},
	{"https://example.com:27017/", false, "url_port: MongoDB"},
	{"https://example.com:8443/", true, "in use for https"},

	// Text.
	{" https://example.com/", false, "url_character: a space before"},
	{"https://example.com/ ", false, "url_character: a space after"},
	{"https://example.com/\r\nX-Evil: 1", false, "url_character: another header"},
	{"https://example.com/%0d%0aX-Evil:%201", true, "encoded it stays in the request line"},
	{"https://example.com/\x7f", false, "url_character: DEL"},
	{"https://example.com/\u0085", false, "url_character: NEL"},
	{"https://example.com/é", false, "url_character: not ASCII"},
	{"https://example.com/%zz", false, "url_syntax: no percent-encoding"},
	{"https://example.com/" + strings.Repeat("a", 2048), false, "url_length: too long"},
	{"https:///example.com/", false, "url_host: three slashes; browsers repair it"},
	{"https://?x", false, "url_host: a query alone"},
	{"https://example.com/#", false, "url_fragment: an empty one"},
}

func TestBypasses_URLs(t *testing.T) {
	p := new(egress.Policy)
	seen := map[string]bool{}
	for _, b := range bypasses {
		if seen[b.url] {
			t.Errorf("%q is in the list twice", b.url)
		}
		seen[b.url] = true
		_, fault := p.CheckURL("org_a", b.url, nil)
		if (fault == nil) != b.open {
			t.Errorf("%.80q: %+v, want open %v: %s", b.url, fault, b.open, b.why)
		}
		if code, _, coded := strings.Cut(b.why, ": "); fault != nil && (!coded || fault.Code != code) {
			t.Errorf("%.80q: code %s, want %s", b.url, fault.Code, code)
		}
	}
	if len(bypasses) < 100 {
		t.Errorf("only %d URLs were tried", len(bypasses))
	}
}

// bypassAddresses are what a name might lead to; none may be connected to.
var bypassAddresses = map[string]string{
	"0.0.0.0": "this machine", "0.1.2.3": "this network", "10.255.255.255": "private", "100.64.0.1": "CGNAT", "100.127.255.255": "CGNAT, last",
	"127.0.0.53": "the stub resolver", "169.254.169.254": "metadata", "169.254.170.2": "container credentials", "172.31.255.255": "private, last",
	"192.0.0.1": "protocol assignments", "192.0.0.192": "metadata", "192.0.2.255": "documentation", "192.31.196.1": "AS112", "192.52.193.1": "AMT",
	"192.88.99.2": "6to4 relay", "192.168.255.255": "private, last", "192.175.48.1": "AS112", "198.19.255.255": "benchmarks, last", "198.51.100.255": "documentation",
	"203.0.113.255": "documentation", "224.0.0.251": "multicast DNS", "239.255.255.250": "SSDP", "240.0.0.1": "reserved", "255.255.255.255": "broadcast",
	"168.63.129.16": "Azure's wire server", "::": "this machine", "::1": "loopback", "::2": "compatible", "::127.0.0.1": "compatible loopback",
	"::ffff:127.0.0.1": "mapped loopback", "::ffff:169.254.169.254": "mapped metadata", "::ffff:0:127.0.0.1": "translated", "64:ff9b::a00:1": "NAT64 of a private one",
	"64:ff9b:1::1": "local NAT64", "100::": "discard", "100:0:0:1::1": "dummy prefix", "2001::1": "Teredo", "2001:2::1": "benchmarks", "2001:3::1": "AMT",
	"2001:4:112::1": "AS112", "2001:10::1": "ORCHID", "2001:20::1": "ORCHIDv2", "2001:30::1": "drone identifiers", "2001:db8:ffff::1": "documentation",
	"2002:a00:1::1": "6to4 of a private one", "2620:4f:8000::1": "AS112", "3fff:fff::1": "documentation", "4000::1": "unassigned", "5f00::1": "segment routing",
	"fc00::1": "private", "fd00:ec2::254": "metadata", "fdff:ffff::1": "private, last", "fe80::1": "link local", "fe80::1%eth0": "link local with a zone",
	"fec0::1": "site local", "ff02::fb": "multicast DNS", "ff0e::1": "multicast, global", "::1%lo": "loopback with a zone", "::ffff:10.0.0.1%lo": "mapped with a zone",
}

func TestBypasses_Addresses(t *testing.T) {
	p := new(egress.Policy)
	for text, why := range bypassAddresses {
		for _, port := range []uint16{443, 8443} {
			if p.CheckAddress("org_a", netip.AddrPortFrom(netip.MustParseAddr(text), port)) == nil {
				t.Errorf("%s port %d was let through: %s", text, port, why)
			}
		}
	}
}
