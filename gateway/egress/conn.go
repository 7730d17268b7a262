package egress

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"math"
	"net"
)

// conn is an open connection to a target, with TLS where the scheme asks for it. It serves one request at a time.
type conn struct {
	net.Conn
	route *route
	in    *bufio.Reader
	meter *meter
	// version is the TLS version, "TLS 1.3"; empty for http.
	version string
}

// newConn takes a route that is ready for requests; stream is the route itself, or TLS over it.
func newConn(r *route, stream net.Conn, version string) *conn {
	m := &meter{from: stream, left: math.MaxInt64}
	return &conn{Conn: stream, route: r, in: bufio.NewReader(m), meter: m, version: version}
}

// abort closes the connection at once. TLS would say goodbye first, and wait for a receiver that does not read.
func (c *conn) abort() { c.route.abort() }

// meter counts what is read down to a limit. It bounds a response's headers, which the parser does not.
type meter struct {
	from io.Reader
	left int64
	// ended says that the other side has closed the connection.
	ended bool
}

// errTooLong is read in place of bytes beyond the limit.
var errTooLong = errors.New("more bytes than are read")

func (m *meter) Read(p []byte) (int, error) {
	if m.left <= 0 {
		return 0, errTooLong
	}
	if int64(len(p)) > m.left {
		p = p[:m.left]
	}
	n, err := m.from.Read(p)
	m.left -= int64(n)
	m.ended = m.ended || err == io.EOF
	return n, err
}

// secure puts TLS over a route. Its errors are *failed.
func secure(ctx context.Context, r *route, config *tls.Config, host string) (*tls.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, maxHandshake)
	defer cancel()
	config = config.Clone()
	config.ServerName = host
	stream := tls.Client(r, config)
	if err := stream.HandshakeContext(ctx); err != nil {
		r.Close()
		return nil, handshakeFailed(err)
	}
	return stream, nil
}
