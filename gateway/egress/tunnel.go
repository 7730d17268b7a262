package egress

import (
	"context"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// tunnelBuffer is what each direction of a tunnel holds in memory, in bytes.
const tunnelBuffer = 16 << 10

// tunnel passes bytes between a client and a target.
type tunnel struct {
	client     net.Conn
	fromClient io.Reader
	target     net.Conn
	idle, age  time.Duration
	// last is when a byte was passed on, in nanoseconds since began.
	began time.Time
	last  atomic.Int64
	// sent and received are bytes to and from the target.
	sent, received atomic.Uint64
}

// run ends when both sides are done, when nothing was passed on for the idle time, at the total age, or when ctx ends.
// Both connections are closed then.
func (t *tunnel) run(ctx context.Context) {
	t.began = time.Now()
	ctx, cancel := context.WithTimeout(ctx, t.age)
	defer cancel()
	var both sync.WaitGroup
	both.Go(func() { t.pass(t.target, t.fromClient, &t.sent, cancel) })
	both.Go(func() { t.pass(t.client, t.target, &t.received, cancel) })
	ended := make(chan struct{})
	go func() { both.Wait(); close(ended) }()
	t.guard(ctx, ended)
	t.client.SetDeadline(time.Unix(1, 0))
	t.target.SetDeadline(time.Unix(1, 0))
	<-ended
	t.client.Close()
	t.target.Close()
}

// guard waits for the end, one way or another.
func (t *tunnel) guard(ctx context.Context, ended <-chan struct{}) {
	timer := time.NewTimer(t.idle)
	defer timer.Stop()
	for {
		select {
		case <-ended:
			return
		case <-ctx.Done():
			return
		case <-timer.C:
			left := t.idle - (time.Since(t.began) - time.Duration(t.last.Load()))
			if left <= 0 {
				return
			}
			timer.Reset(left)
		}
	}
}

// pass copies one direction. A side that says that it is done is done in this direction alone; one that breaks ends both.
func (t *tunnel) pass(to net.Conn, from io.Reader, count *atomic.Uint64, breakUp func()) {
	buffer := make([]byte, tunnelBuffer)
	for {
		n, err := from.Read(buffer)
		t.last.Store(int64(time.Since(t.began)))
		if n > 0 {
			if _, err := to.Write(buffer[:n]); err != nil {
				breakUp()
				return
			}
			count.Add(uint64(n))
			t.last.Store(int64(time.Since(t.began)))
		}
		if err == io.EOF {
			if half, ok := to.(interface{ CloseWrite() error }); ok && half.CloseWrite() == nil {
				return
			}
		}
		if err != nil {
			breakUp()
			return
		}
	}
}
