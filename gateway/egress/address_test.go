package egress_test

import (
	"net"
	"net/netip"
	"testing"

	"github.com/unihook/unihook/gateway/egress"
)

func TestCheckAddress_Vectors(t *testing.T) {
	var v struct{ Refuse, Accept []struct{ IP, Why string } }
	readVectors(t, "ips.json", &v)
	p := new(egress.Policy)
	for _, c := range v.Refuse {
		if fault := p.CheckAddress("org_a", netip.AddrPortFrom(netip.MustParseAddr(c.IP), 443)); fault == nil {
			t.Errorf("%s was let through: %s", c.IP, c.Why)
		} else if fault.Detail != "the host does not lead to a public address" {
			t.Errorf("%s: detail %q", c.IP, fault.Detail)
		}
	}
	for _, c := range v.Accept {
		if fault := p.CheckAddress("org_a", netip.AddrPortFrom(netip.MustParseAddr(c.IP), 443)); fault != nil {
			t.Errorf("%s was refused (%s): %s", c.IP, fault.Detail, c.Why)
		}
	}
}

func TestCheckAddress_Allowances(t *testing.T) {
	p := &egress.Policy{
		AllowPorts: []uint16{6379},
		Networks: mustAllow(t, "10.0.0.0/8", "org_b=192.168.1.0/24@8443", "169.254.0.0/16", "100.100.100.200", "64:ff9b::/96",
			"127.0.0.0/8", "168.63.129.16/32@443", "fd00::/8"),
		Listeners: []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:8080"), netip.MustParseAddrPort("[::]:9443")},
		Own:       []netip.Addr{netip.MustParseAddr("9.9.9.9")},
	}
	for _, c := range []struct {
		organisation, address string
		open                  bool
		why                   string
	}{
		{"org_a", "10.1.2.3:443", true, "in an allowed network"},
		{"org_a", "[::ffff:10.1.2.3]:443", true, "the same address, mapped"},
		{"org_a", "10.1.2.3:22", false, "an allowed network opens no port"},
		{"org_a", "10.1.2.3:5432", false, "nor one of the list"},
		{"org_a", "10.1.2.3:6379", true, "an allowed port in an allowed network"},
		{"org_a", "172.16.0.1:443", false, "another network"},
		{"org_a", "192.168.1.5:8443", false, "another organisation's"},
		{"org_b", "192.168.1.5:8443", true, "its own"},
		{"org_b", "192.168.1.5:443", false, "its own at another port"},
		{"", "192.168.1.5:8443", false, "nobody's"},
		{"org_a", "169.254.1.1:443", true, "link local, allowed"},
		{"org_a", "169.254.169.254:443", false, "metadata needs an entry for the very address"},
		{"org_a", "100.100.100.200:443", true, "metadata with its entry"},
		{"org_a", "168.63.129.16:443", true, "metadata with its entry, at its port"},
		{"org_a", "168.63.129.16:8443", false, "metadata with its entry, at another port"},
		{"org_a", "[fd00:ec2::254]:443", false, "metadata in an allowed network"},
		{"org_a", "[fd00::1]:443", true, "beside metadata in an allowed network"},
		{"org_a", "[64:ff9b::808:808]:443", true, "an allowed translator"},
		{"org_a", "[64:ff9b::a9fe:a9fe]:443", false, "metadata through an allowed translator"},
		{"org_a", "127.0.0.1:8443", true, "loopback, allowed"},
		{"org_a", "127.0.0.1:8080", false, "our own listener, whatever is allowed"},
		{"org_a", "[::ffff:127.0.0.1]:8080", false, "our own listener, mapped"},
		{"org_a", "127.0.0.7:9443", false, "a listener on all addresses has this one too"},
		{"org_a", "8.8.8.8:9443", true, "a listener's port elsewhere"},
		{"org_a", "9.9.9.9:443", false, "the address that we are known by"},
		{"org_a", "0.0.0.0:443", false, "reaches this machine"},
		{"org_a", "8.8.8.8:80", false, "http is not open"},
		{"org_a", "8.8.8.8:0", false, "no port"},
	} {
		fault := p.CheckAddress(c.organisation, netip.MustParseAddrPort(c.address))
		if open := fault == nil; open != c.open {
			t.Errorf("%s for %q: open %v, want %v (%s)", c.address, c.organisation, open, c.open, c.why)
		}
	}
}

func TestCheckAddress_ThisMachinesOwnAddresses(t *testing.T) {
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	p := new(egress.Policy)
	for _, a := range addresses {
		addr, _ := netip.AddrFromSlice(a.(*net.IPNet).IP)
		if p.CheckAddress("", netip.AddrPortFrom(addr, 443)) == nil {
			t.Errorf("%s of this machine was let through", addr)
		}
	}
}

func TestParseAllowance(t *testing.T) {
	for text, want := range map[string]egress.Allowance{
		"10.0.0.0/8":            {Network: netip.MustParsePrefix("10.0.0.0/8")},
		"10.1.2.3/8":            {Network: netip.MustParsePrefix("10.0.0.0/8")},
		"127.0.0.1":             {Network: netip.MustParsePrefix("127.0.0.1/32")},
		"::ffff:127.0.0.1":      {Network: netip.MustParsePrefix("127.0.0.1/32")},
		"org_a=fd00::/8@8443":   {Organisation: "org_a", Network: netip.MustParsePrefix("fd00::/8"), Port: 8443},
		"org_a=10.0.0.0/8":      {Organisation: "org_a", Network: netip.MustParsePrefix("10.0.0.0/8")},
		"169.254.169.254/32@80": {Network: netip.MustParsePrefix("169.254.169.254/32"), Port: 80},
	} {
		got, err := egress.ParseAllowance(text)
		if err != nil || got != want {
			t.Errorf("%s: %+v, %v; want %+v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "=10.0.0.0/8", "10.0.0.0/8@", "10.0.0.0/8@0", "10.0.0.0/8@65536", "10.0.0.0/33", "example.com", "::ffff:10.0.0.0/104", "fe80::1%eth0", "10.0.0.0/8@443@444"} {
		if a, err := egress.ParseAllowance(text); err == nil {
			t.Errorf("%q was read as %+v", text, a)
		}
	}
}
