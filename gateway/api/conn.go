package api

import (
	"crypto/tls"
	"io"
	"net"
	"sync/atomic"
	"time"
)

const (
	// lingerFor and lingerBytes bound what is still read from a client whose body was refused: a connection that is
	// closed with bytes unread is reset, and the client may never see the answer.
	lingerFor   = time.Second
	lingerBytes = 16 << 20
)

// conn is a connection that can be closed without cutting off the answer.
type conn struct {
	net.Conn
	lingers atomic.Bool
}

// linger has a connection closed late, for the sake of the answer that was just written.
func linger(c net.Conn) {
	if secured, ok := c.(*tls.Conn); ok {
		c = secured.NetConn()
	}
	if ours, ok := c.(*conn); ok {
		ours.lingers.Store(true)
	}
}

// Close closes the connection, at once or after what the client still sends.
func (c *conn) Close() error {
	if c.lingers.CompareAndSwap(true, false) {
		if half, ok := c.Conn.(interface{ CloseWrite() error }); ok && half.CloseWrite() == nil {
			_ = c.Conn.SetReadDeadline(time.Now().Add(lingerFor))
			_, _ = io.CopyN(io.Discard, c.Conn, lingerBytes)
		}
	}
	return c.Conn.Close()
}
