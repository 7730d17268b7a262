package egress

import (
	"fmt"
	"net"
	"net/netip"
)

// checkSources says which of the addresses to send from is not this machine's, or not usable now.
func checkSources(sources []netip.Addr) error {
	var here machine
	for _, source := range sources {
		if !here.has(source) {
			return fmt.Errorf("egress address %s is not an address of this machine", source)
		}
		// An address that is being withdrawn, or not yet confirmed, is listed and cannot be bound.
		probe, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(source, 0)))
		if err != nil {
			return fmt.Errorf("egress address %s cannot be used on this machine: %w", source, err)
		}
		probe.Close()
	}
	return nil
}
