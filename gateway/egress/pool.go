package egress

import (
	"errors"
	"os"
	"slices"
	"sync"
	"time"
)

const (
	// idleTime is how long an unused connection is kept. Common servers (Node, Apache) close after 5 s; a request that
	// meets the closing is lost and is an attempt that failed, so we close first.
	idleTime = 4 * time.Second
	// maxIdlePlace and maxIdle bound the unused connections to one place for one organisation, and all of them.
	maxIdlePlace = 64
	maxIdle      = 1024
)

// place is what a connection may be used again for. The organisation is part of it: an allowance that one has must serve
// no other, and what a receiver does to a connection stays with the one that called it.
type place struct {
	organisation, origin string
}

// pool keeps connections between requests. Each is watched: one that the receiver closes, or speaks on unasked, is
// closed here too.
type pool struct {
	mu     sync.Mutex
	idle   map[place][]*idle
	count  int
	closed bool
	done   sync.WaitGroup
}

type idle struct {
	conn  *conn
	place place
	// ended is closed when the watcher has let go of the connection; err is then what it read.
	ended chan struct{}
	err   error
}

// take gives out the connection that was used last, or nil.
func (p *pool) take(at place) *conn {
	for {
		p.mu.Lock()
		list := p.idle[at]
		if len(list) == 0 {
			p.mu.Unlock()
			return nil
		}
		i := list[len(list)-1]
		p.remove(i)
		p.mu.Unlock()
		// A deadline in the past wakes the watcher.
		i.conn.SetReadDeadline(time.Unix(1, 0))
		<-i.ended
		if errors.Is(i.err, os.ErrDeadlineExceeded) && i.conn.in.Buffered() == 0 && i.conn.SetDeadline(time.Time{}) == nil {
			return i.conn
		}
		i.conn.abort()
	}
}

// put keeps a connection whose last answer was read to its end.
func (p *pool) put(at place, c *conn) {
	i := &idle{conn: c, place: at, ended: make(chan struct{})}
	p.mu.Lock()
	if p.closed || p.count >= maxIdle || len(p.idle[at]) >= maxIdlePlace || c.SetReadDeadline(time.Now().Add(idleTime)) != nil {
		p.mu.Unlock()
		c.Close()
		return
	}
	p.idle[at] = append(p.idle[at], i)
	p.count++
	p.done.Add(1)
	p.mu.Unlock()
	go p.watch(i)
}

// watch waits until the connection is taken, times out, is closed by the receiver or brings something unasked.
func (p *pool) watch(i *idle) {
	defer p.done.Done()
	_, i.err = i.conn.in.Peek(1)
	p.mu.Lock()
	untaken := p.remove(i)
	p.mu.Unlock()
	close(i.ended)
	if untaken {
		i.conn.Close()
	}
}

// remove takes a connection off the list, under the lock; false when it is not there any more.
func (p *pool) remove(i *idle) bool {
	list := p.idle[i.place]
	at := slices.Index(list, i)
	if at < 0 {
		return false
	}
	p.count--
	if list = slices.Delete(list, at, at+1); len(list) == 0 {
		delete(p.idle, i.place)
	} else {
		p.idle[i.place] = list
	}
	return true
}

// close ends all unused connections and waits for their watchers; what is put afterwards is closed.
func (p *pool) close() {
	p.mu.Lock()
	p.closed = true
	for _, list := range p.idle {
		for _, i := range list {
			i.conn.SetReadDeadline(time.Unix(1, 0))
		}
	}
	p.mu.Unlock()
	p.done.Wait()
}
