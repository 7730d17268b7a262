package egress_test

import (
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/unihook/unihook/gateway/egress"
)

// Fifty receivers that never stop sending, of five kinds, cost less than 64 MiB together.
func TestDo_FloodsAreBounded(t *testing.T) {
	ca := newAuthority(t)
	cert := ca.issue(t, []string{"127.0.0.1"}, nil)
	part := make([]byte, 64<<10)
	many := func(c net.Conn, line func(i int) string) {
		for i := 0; ; i++ {
			if _, err := io.WriteString(c, line(i)); err != nil {
				return
			}
		}
	}
	floods := map[string]func(net.Conn){
		"body": func(c net.Conn) {
			io.WriteString(c, "HTTP/1.1 200 OK\r\n\r\n")
			many(c, func(int) string { return string(part) })
		},
		"chunks": func(c net.Conn) {
			io.WriteString(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
			many(c, func(int) string { return "1\r\nx\r\n" })
		},
		"bomb": func(c net.Conn) {
			io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n")
			many(c, func(int) string { return string(bombPart) })
		},
		"headers": func(c net.Conn) {
			io.WriteString(c, "HTTP/1.1 200 OK\r\n")
			many(c, func(i int) string { return fmt.Sprintf("H%d:\r\n", i) })
		},
		"line":     func(c net.Conn) { many(c, func(int) string { return strings.Repeat("H", 4096) }) },
		"interims": func(c net.Conn) { many(c, func(int) string { return "HTTP/1.1 103 Early Hints\r\n\r\n" }) },
	}
	urls := map[string]string{}
	for name, flood := range floods {
		ln := listen(t, "127.0.0.1:0")
		serveRaw(t, tlsListener(ln, cert), func(c net.Conn) { c.Read(make([]byte, 4096)); flood(c) })
		urls[name] = at("127.0.0.1", ln)
	}
	c := newClient(t, egress.Options{Policy: &egress.Policy{Networks: mustAllow(t, "127.0.0.1")}, RootCAs: ca.PEM})
	runtime.GC()
	var before runtime.MemStats
	runtime.ReadMemStats(&before)
	var peak atomic.Uint64
	stop := make(chan bool)
	var watching, all sync.WaitGroup
	watching.Go(func() {
		for tick := time.NewTicker(10 * time.Millisecond); ; {
			var now runtime.MemStats
			runtime.ReadMemStats(&now)
			peak.Store(max(peak.Load(), now.HeapInuse+now.StackInuse))
			select {
			case <-stop:
				tick.Stop()
				return
			case <-tick.C:
			}
		}
	})
	for name, url := range urls {
		for range 50 / len(urls) {
			all.Go(func() {
				timeout := time.Minute // what floods is cut long before, also on a slow machine
				if name == "interims" {
					timeout = 3 * time.Second // it alone ends by its timeout
				}
				out := c.Do(t.Context(), egress.Request{URL: url, Timeout: timeout})
				want := map[string]egress.Failure{"headers": egress.Broken, "line": egress.Broken, "interims": egress.Timeout}[name]
				if out.Failure != want || len(out.Body) > 64<<10 || want == egress.None && !out.BodyTruncated {
					t.Errorf("%s: %q (%s), want %q; %d bytes", name, out.Failure, out.Error, want, len(out.Body))
				}
			})
		}
	}
	all.Wait()
	close(stop)
	watching.Wait()
	grown := int64(peak.Load()) - int64(before.HeapInuse+before.StackInuse)
	t.Logf("grew by %d KiB at most", grown>>10)
	if grown > 64<<20 {
		t.Errorf("grew by %d MiB", grown>>20)
	}
}
