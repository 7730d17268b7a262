package egress_test

import (
	"net/netip"
	"net/url"
	"strings"
	"testing"

	"github.com/unihook/unihook/gateway/egress"
)

// What is let through is a URL that another parser reads alike, whose host is a name or an address that may be called.
func FuzzCheckURL(f *testing.F) {
	var v struct{ Refuse, Accept, Either []struct{ URL string } }
	readVectors(f, "urls.json", &v)
	for _, list := range [][]struct{ URL string }{v.Refuse, v.Accept, v.Either} {
		for _, c := range list {
			f.Add(c.URL)
		}
	}
	for _, b := range bypasses {
		f.Add(b.url)
	}
	p := new(egress.Policy)
	f.Fuzz(func(t *testing.T, raw string) {
		target, fault := p.CheckURL("org_a", raw, nil)
		if fault != nil {
			if fault.Code == "" || fault.Detail == "" || target != (egress.Target{}) {
				t.Errorf("%q: %+v with %+v", raw, fault, target)
			}
			return
		}
		u, err := url.Parse(raw)
		if err != nil || u.Scheme != "https" || u.User != nil || len(raw) > egress.MaxURL {
			t.Fatalf("%q was let through: %v %+v", raw, err, u)
		}
		if host := strings.TrimSuffix(strings.ToLower(u.Hostname()), "."); host != target.Host && !sameAddress(host, target.Host) {
			t.Fatalf("%q leads to %q and %q", raw, host, target.Host)
		}
		for _, c := range []byte(raw) {
			if c <= ' ' || c >= 0x7f || c == '\\' || c == '#' {
				t.Fatalf("%q was let through", raw)
			}
		}
		checkHost(t, p, raw, target)
		if again, fault := p.CheckURL("org_a", target.Origin, nil); fault != nil || again.Origin != target.Origin {
			t.Fatalf("%q has the origin %q, which is read as %q: %+v", raw, target.Origin, again.Origin, fault)
		}
	})
}

func sameAddress(a, b string) bool {
	one, err1 := netip.ParseAddr(a)
	two, err2 := netip.ParseAddr(b)
	return err1 == nil && err2 == nil && one.Unmap() == two
}

func checkHost(t *testing.T, p *egress.Policy, raw string, target egress.Target) {
	if addr, err := netip.ParseAddr(target.Host); err == nil {
		if p.CheckAddress("org_a", netip.AddrPortFrom(addr, target.Port)) != nil {
			t.Fatalf("%q leads to %s", raw, addr)
		}
		return
	}
	labels := strings.Split(target.Host, ".")
	last := labels[len(labels)-1]
	if len(labels) < 2 || strings.Trim(last, "0123456789") == "" || strings.HasPrefix(last, "0x") && strings.Trim(last[2:], "0123456789abcdef") == "" {
		t.Fatalf("%q leads to %q", raw, target.Host)
	}
}

// What is let through cannot end a header, nor take the place of one of the gateway's.
func FuzzCheckHeaders(f *testing.F) {
	for _, seed := range []string{"X-A", "Host", "content-length", "Proxy-X", "webhook-id", "X A", "X-A\r\nEvil", "x-sig", ""} {
		for _, value := range []string{"v", "", "a\r\nX: 1", "a\x00", "\t ", "\u010a", strings.Repeat("v", 8193)} {
			f.Add(seed, value, "X-B", "1", "x-sig")
		}
	}
	f.Fuzz(func(t *testing.T, name1, value1, name2, value2, signing string) {
		names, values := []string{name1, name2}, []string{value1, value2}
		faults := egress.CheckHeaders(names, values, signing)
		for _, fault := range faults {
			if fault.Code == "" || fault.Detail == "" || fault.Index < -1 || fault.Index > 1 || (fault.Index >= 0) != (fault.Field != "") {
				t.Fatalf("%+v", fault)
			}
		}
		if len(faults) > 0 {
			return
		}
		if strings.EqualFold(name1, name2) {
			t.Fatalf("%q and %q are one", name1, name2)
		}
		for i, name := range names {
			lower := strings.ToLower(name)
			if name == "" || len(name) > 256 || strings.ContainsAny(name, " \t\r\n:\x00\"(),/;<=>?@[\\]{}") || len(values[i]) > 8192 ||
				signing != "" && lower == strings.ToLower(signing) || lower == "host" || strings.HasPrefix(lower, "proxy-") ||
				strings.HasPrefix(lower, "webhook-") || strings.HasPrefix(lower, "content-length") && len(lower) == 14 {
				t.Fatalf("%q was let through", name)
			}
			for _, c := range []byte(name + values[i]) {
				if c >= 0x7f || c < ' ' && c != '\t' {
					t.Fatalf("%q: %q was let through", name, values[i])
				}
			}
		}
	})
}
