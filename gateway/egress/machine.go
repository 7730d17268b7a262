package egress

import (
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// machineAge is how long the list of this machine's addresses is believed. Reading it costs a few system calls, too many
// for every connection; an address that comes up meanwhile is not a target yet.
const machineAge = 5 * time.Second

// machine knows the addresses of this machine's interfaces. The zero value reads them at the first question.
type machine struct {
	mu       sync.Mutex
	read     time.Time
	networks []netip.Prefix
}

// has says whether the address is this machine's own. All of a loopback network is: 127.0.0.2 answers like 127.0.0.1.
func (m *machine) has(addr netip.Addr) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.read.IsZero() || time.Since(m.read) > machineAge {
		// Where the interfaces cannot be read the list before stays: what is not public is refused without it.
		if networks, err := interfaceNetworks(); err == nil {
			m.networks = networks
		}
		m.read = time.Now()
	}
	return slices.ContainsFunc(m.networks, func(n netip.Prefix) bool { return n.Contains(addr) })
}

// interfaceNetworks lists what this machine answers for: the interfaces' addresses, and whole networks of loopback ones.
func interfaceNetworks() ([]netip.Prefix, error) {
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		return nil, err
	}
	var networks []netip.Prefix
	for _, a := range addresses {
		ipnet, ok := a.(*net.IPNet)
		if !ok {
			continue
		}
		addr, ok := netip.AddrFromSlice(ipnet.IP)
		if !ok {
			continue
		}
		addr = plain(addr)
		bits := addr.BitLen()
		if ones, _ := ipnet.Mask.Size(); addr.IsLoopback() {
			bits = ones
		}
		networks = append(networks, netip.PrefixFrom(addr, bits).Masked())
	}
	return networks, nil
}
