package mongostore_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/unihook/unihook/gateway"
	"github.com/unihook/unihook/gateway/mongostore"
	"github.com/unihook/unihook/gateway/storetest"
)

// line is a network between a store and its server, which can be cut.
type line struct {
	addr, to string

	mu       sync.Mutex
	listener net.Listener
	conns    []net.Conn
}

func (l *line) mend(t *testing.T) {
	t.Helper()
	listener, err := net.Listen("tcp", l.addr)
	if err != nil {
		t.Fatal(err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.listener = listener
	go func() {
		for {
			near, err := listener.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("tcp", l.to)
			if err != nil {
				_ = near.Close()
				continue
			}
			l.join(near, far)
		}
	}()
}

func (l *line) join(near, far net.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.conns = append(l.conns, near, far)
	for _, way := range [][2]net.Conn{{near, far}, {far, near}} {
		go func() {
			_, _ = io.Copy(way[0], way[1])
			_ = way[0].Close()
		}()
	}
}

func (l *line) cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	_ = l.listener.Close()
	for _, c := range l.conns {
		_ = c.Close()
	}
	l.conns = nil
}

// TestStore_ServerAway holds that calls answer ErrAway soon while the server cannot be reached, and go on by
// themselves when it can.
func TestStore_ServerAway(t *testing.T) {
	open(t) // skips without a server
	u, err := url.Parse(server.uri)
	if err != nil || u.Port() == "" {
		t.Skip("UNIHOOK_TEST_MONGO_URI does not name one host and its port: the line to it cannot be cut")
	}
	addr, err := storetest.FreeAddress()
	if err != nil {
		t.Fatal(err)
	}
	l := &line{addr: addr, to: u.Host}
	l.mend(t)
	defer l.cut()
	through := *u
	through.Host = l.addr
	q := through.Query()
	q.Set("directConnection", "true")
	through.RawQuery = q.Encode()
	const patience = 800 * time.Millisecond
	s, err := mongostore.Open(t.Context(), through.String(), mongostore.Options{
		Database: fmt.Sprintf("away_%d", time.Now().UnixMicro()), SelectionTimeout: patience,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()

	if err := s.InsertKey(t.Context(), gateway.Key{ID: "key_before"}); err != nil {
		t.Fatal(err)
	}
	l.cut()
	var group sync.WaitGroup
	for i := range 20 {
		group.Go(func() {
			start := time.Now()
			err := s.InsertKey(t.Context(), gateway.Key{ID: fmt.Sprintf("key_%d", i)})
			if took := time.Since(start); !errors.Is(err, gateway.ErrAway) || took > 20*time.Second {
				t.Errorf("an insert while the server is away: error %v after %v, want ErrAway soon", err, took)
			}
			if _, err := s.Key(t.Context(), "key_before"); !errors.Is(err, gateway.ErrAway) {
				t.Errorf("a read while the server is away: error %v, want ErrAway", err)
			}
		})
	}
	group.Wait()
	// A request makes several calls: by now each is to give up sooner than the first ones did. The quickest of some tells
	// the store's patience from the machine's.
	quickest := time.Hour
	for range 5 {
		start := time.Now()
		if err := s.Ping(t.Context()); !errors.Is(err, gateway.ErrAway) {
			t.Errorf("a ping while the server is away: error %v, want ErrAway", err)
		}
		quickest = min(quickest, time.Since(start))
	}
	if quickest > patience*3/4 {
		t.Errorf("pings take %v and more though the server has been away for some time", quickest)
	}
	l.mend(t)
	end := time.After(time.Minute)
	for s.Ping(t.Context()) != nil { // each waits for the server itself
		select {
		case <-end:
			t.Fatal("the store does not find its server again")
		default:
		}
	}
	if k, err := s.Key(t.Context(), "key_before"); err != nil || k.ID != "key_before" {
		t.Errorf("got key %q and error %v", k.ID, err)
	}
}
