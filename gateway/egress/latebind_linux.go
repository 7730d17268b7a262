package egress

import "syscall"

// ipBindAddressNoPort is IP_BIND_ADDRESS_NO_PORT of linux/in.h, which package syscall lacks.
const ipBindAddressNoPort = 24

// lateBind lets the kernel choose the local port when it connects, not when it binds the source address: a port then
// counts per target, and 28,000 connections in all (those waiting to be forgotten among them) are no limit any more. A
// kernel that cannot do so goes on as before.
func lateBind(socket syscall.RawConn) error {
	return socket.Control(func(fd uintptr) {
		_ = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_IP, ipBindAddressNoPort, 1)
	})
}
