package storetest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
)

// given are the addresses that this process has handed out: a server that is to listen on one may not have begun.
var given sync.Map

// FreeAddress finds a loopback address, host:port, that nobody listens on, for a server that cannot choose by itself or
// that must come back where it was. The port is below those that systems lend to outgoing connections (32768 and up on
// Linux): one of them would take it while the server is away.
func FreeAddress() (string, error) {
	const lowest, count, tries = 20000, 12000, 100
	for range tries {
		addr := fmt.Sprintf("127.0.0.1:%d", lowest+rand.IntN(count))
		if _, taken := given.LoadOrStore(addr, true); taken {
			continue
		}
		if l, err := net.Listen("tcp", addr); err == nil {
			return addr, l.Close()
		}
	}
	return "", errors.New("no port is free on loopback")
}
