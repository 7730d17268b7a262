package faults

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// outOfMemory has Redis refuse every write for a while, as a full one does.
func outOfMemory(c *cluster) {
	client := c.redis.client()
	defer client.Close()
	ctx := context.Background()
	set := func(key, value string) {
		if err := client.ConfigSet(ctx, key, value).Err(); err != nil {
			c.t.Error(err)
		}
	}
	set("maxmemory-policy", "noeviction")
	set("maxmemory", "1")
	<-time.After(pick(3*time.Second, 30*time.Second))
	set("maxmemory", "0")
}

// TestFlush_DelayedOnesComeBackToo empties Redis while deliveries wait for their next attempt and while the receiver
// is down.
func TestFlush_DelayedOnesComeBackToo(t *testing.T) {
	n := 200
	if long {
		n = 1000
	}
	c := newCluster(t, options{store: sqlite, workers: 1})
	c.organisation("org_a")
	c.webhook("org_a", map[string]any{
		// The later ones are for a machine so slow that some are tried twice before all were tried once.
		"retry": map[string]any{"schedule": "custom", "delays": []string{"20s", "20s", "20s", "20s", "20s", "20s"}}, "quarantine": map[string]any{"after": 0},
	}, "/down/1")
	c.receive.broken.Store(true)
	p := c.publisher("org_a", "evt")
	p.run(t.Context(), n, 500, patience)
	until(t, patience, "all wait for their next attempt", func() bool { return c.countReason("retrying") == min(n, 200) })
	c.redis.flush()
	c.receive.broken.Store(false)
	took, duplicates := c.awaitAll(p, patience, "/down/1")
	t.Logf("%d delayed, 0 lost, %d twice, all arrived %s after the flush", n, duplicates, took.Round(time.Millisecond))
	if duplicates > 0 {
		t.Errorf("%d came twice", duplicates)
	}
}

// countReason counts the pending deliveries of a reason on the first page of the list.
func (c *cluster) countReason(reason string) (n int) {
	c.t.Helper()
	var list struct {
		Data []struct {
			Reason string `json:"reason"`
		} `json:"data"`
	}
	c.must("GET", "/v1/deliveries?status=pending&limit=200", nil, &list)
	for _, d := range list.Data {
		if d.Reason == reason {
			n++
		}
	}
	return n
}

// TestWorkerKilled_OnTheLastAttempt kills a worker while the only attempt that a delivery has is under way.
func TestWorkerKilled_OnTheLastAttempt(t *testing.T) {
	c := newCluster(t, options{store: sqlite, workers: 1})
	c.organisation("org_a")
	c.webhook("org_a", map[string]any{"retry": map[string]any{"schedule": "custom", "delays": []string{}}}, "/held/1")
	p := c.publisher("org_a", "evt")
	p.run(t.Context(), 1, 1, patience)
	until(t, patience, "the request is under way", func() bool { return c.receive.seen("/held/1")["evt_0"] == 1 })
	c.workers[0].kill()
	close(c.receive.letGo)
	killed := time.Now()
	c.startWorker()
	until(t, 45*time.Second, "it is sent again", func() bool { return c.receive.seen("/held/1")["evt_0"] == 2 })
	t.Logf("sent again %s after the kill", time.Since(killed).Round(time.Millisecond))
	until(t, patience, "it is delivered", func() bool {
		var list struct {
			Data []struct {
				Status string `json:"status"`
			} `json:"data"`
		}
		c.must("GET", "/v1/deliveries", nil, &list)
		return len(list.Data) == 1 && list.Data[0].Status == "delivered"
	})
}

// TestSoak mixes quick, slow, failing and hanging receivers and breaks something again and again; nothing that a
// process holds may grow. UNIHOOK_FAULTS_SOAK is how long, such as 1h.
func TestSoak(t *testing.T) {
	span, every := 25*time.Second, 8*time.Second
	if text := os.Getenv("UNIHOOK_FAULTS_SOAK"); text != "" {
		asked, err := time.ParseDuration(text)
		if err != nil {
			t.Fatal(err)
		}
		span, every = asked, time.Minute
	}
	c := newCluster(t, options{store: sqlite, workers: 2})
	c.organisation("org_a")
	c.webhook("org_a", nil, "/ok/1", "/slow/2")
	c.organisation("org_b")
	c.webhook("org_b", map[string]any{"timeoutSeconds": 2}, "/hang/3")
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	p, noise := c.publisher("org_a", "evt"), c.publisher("org_b", "noise")
	done := make(chan struct{}, 2)
	go func() {
		p.run(ctx, int(span.Seconds()*40), 40, time.Minute)
		done <- struct{}{}
	}()
	go func() {
		noise.run(ctx, int(span.Seconds()*2), 2, time.Minute)
		done <- struct{}{}
	}()
	var sizes []size
	kinds := []func(*cluster){
		func(c *cluster) { c.redis.flush() },
		func(c *cluster) { cut(c.t, c.redis.proxy, time.Second) },
		func(c *cluster) { holdLock(c, time.Second) },
		func(c *cluster) { c.redis.restart(500 * time.Millisecond) },
		func(c *cluster) { c.redis.freeze(time.Second) },
	}
	for end := time.Now().Add(span - every); time.Now().Before(end); {
		<-time.After(every)
		kinds[rand.N(len(kinds))](c)
		sizes = append(sizes, c.workers[0].size(t))
	}
	<-done
	<-done
	_, duplicates := c.awaitAll(p, patience, "/ok/1", "/slow/2")
	first, last := sizes[0], c.workers[0].size(t)
	t.Logf("%d events over %s with a fault each %s: 0 lost, %d twice; a worker had %s, has %s", len(p.ids()), span, every, duplicates, first, last)
	if last.descriptors > 2*first.descriptors+50 {
		t.Errorf("descriptors grew from %d to %d", first.descriptors, last.descriptors)
	}
	if last.memory > 2*first.memory+64<<20 {
		t.Errorf("memory grew from %d to %d bytes", first.memory, last.memory)
	}
}

// size is what a process holds.
type size struct {
	memory, threads int
	descriptors     int
}

func (s size) String() string {
	return fmt.Sprintf("%d MiB, %d threads, %d descriptors", s.memory>>20, s.threads, s.descriptors)
}

// size reads what the process holds from /proc.
func (p *process) size(t *testing.T) (s size) {
	t.Helper()
	dir := fmt.Sprintf("/proc/%d", p.cmd.Process.Pid)
	files, err := os.ReadDir(filepath.Join(dir, "fd"))
	if err != nil {
		missing(t, "no /proc to read a process's size from")
	}
	s.descriptors = len(files)
	text, err := os.ReadFile(filepath.Join(dir, "status"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		var n int
		if _, err := fmt.Sscanf(line, "VmRSS: %d kB", &n); err == nil {
			s.memory = n << 10
		}
		if _, err := fmt.Sscanf(line, "Threads: %d", &n); err == nil {
			s.threads = n
		}
	}
	return s
}
