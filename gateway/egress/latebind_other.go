//go:build !linux

package egress

import "syscall"

// lateBind does nothing here: the local port is chosen when the source address is bound.
func lateBind(syscall.RawConn) error { return nil }
