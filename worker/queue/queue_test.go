package queue_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"github.com/unihook/unihook/gateway/storetest"
	"github.com/unihook/unihook/worker/queue"
)

// patience is how long a test waits for what must happen: long, since the machine may be busy.
const patience = time.Minute

// server is a Redis of its own: a program on a free port, with its data in a temporary folder.
type server struct {
	addr string
	dir  string
	cmd  *exec.Cmd
}

// startRedis skips where the program is missing, but never in CI.
func startRedis(t testing.TB) *server {
	t.Helper()
	if _, err := exec.LookPath("redis-server"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("redis-server is not installed: CI runs these tests")
		}
		t.Skip("redis-server is not installed (with CI=true this is a failure)")
	}
	addr, err := storetest.FreeAddress()
	if err != nil {
		t.Fatal(err)
	}
	s := &server{addr: addr, dir: t.TempDir()}
	s.start(t)
	t.Cleanup(func() { s.kill() })
	return s
}

func (s *server) start(t testing.TB) {
	t.Helper()
	_, port, _ := net.SplitHostPort(s.addr)
	s.cmd = exec.Command("redis-server", "--port", port, "--bind", "127.0.0.1", "--dir", s.dir,
		"--save", "", "--appendonly", "no", "--daemonize", "no")
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	c := s.client(t)
	eventually(t, "Redis answers", func() bool { return c.Ping(t.Context()).Err() == nil })
}

func (s *server) kill() {
	if s.cmd != nil {
		_ = s.cmd.Process.Signal(syscall.SIGCONT)
		_ = s.cmd.Process.Kill()
		_ = s.cmd.Wait()
		s.cmd = nil
	}
}

func (s *server) uri() string { return "redis://" + s.addr }

func (s *server) client(t testing.TB) *redis.Client {
	c := redis.NewClient(&redis.Options{Addr: s.addr})
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// eventually asks until it is so: for what another process does and cannot be waited for.
func eventually(t testing.TB, what string, is func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	end := time.After(patience)
	for !is() {
		select {
		case <-tick.C:
		case <-end:
			t.Fatalf("in %v it did not happen: %s", patience, what)
		}
	}
}

// insist does until it is done: on a busy machine Redis may take longer for an answer than a queue waits.
func insist(t testing.TB, do func() error) {
	t.Helper()
	var err error
	defer func() {
		if err != nil {
			t.Log(err)
		}
	}()
	eventually(t, "it is done", func() bool {
		err = do()
		return err == nil
	})
}

func open(t testing.TB, opts queue.Options) *queue.Queue {
	t.Helper()
	q, err := queue.Open(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := q.Close(); err != nil {
			t.Error(err)
		}
	})
	return q
}

// served is a queue whose tasks arrive in channels, as text.
type served struct {
	runs, lanes, jobs chan string
	stop              context.CancelFunc
	ended             chan error
}

func serve(t testing.TB, q *queue.Queue) *served {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	s := &served{
		runs: make(chan string, 100_000), lanes: make(chan string, 1000), jobs: make(chan string, 1000),
		stop: cancel, ended: make(chan error, 1),
	}
	go func() {
		s.ended <- q.Serve(ctx, queue.Handlers{
			Run:  func(_ context.Context, run string, ids []string) { s.runs <- run + " " + strings.Join(ids, ",") },
			Lane: func(_ context.Context, endpoint string) { s.lanes <- endpoint },
			Job:  func(_ context.Context, job string) { s.jobs <- job },
		})
	}()
	t.Cleanup(func() { s.end(t) })
	return s
}

func (s *served) end(t testing.TB) {
	t.Helper()
	s.stop()
	select {
	case err := <-s.ended:
		if err != nil {
			t.Error(err)
		}
		s.ended <- nil
	case <-time.After(patience):
		t.Error("Serve did not end")
	}
}

func receive(t testing.TB, from <-chan string) string {
	t.Helper()
	select {
	case got := <-from:
		return got
	case <-time.After(patience):
		t.Fatalf("no task in %v", patience)
		return ""
	}
}

// both runs a test on the embedded Redis and on a real one.
func both(t *testing.T, test func(t *testing.T, opts queue.Options)) {
	t.Run("embedded", func(t *testing.T) { test(t, queue.Options{}) })
	t.Run("redis", func(t *testing.T) { test(t, queue.Options{URI: startRedis(t).uri()}) })
}

func TestServe_HandsOverEachKind(t *testing.T) {
	both(t, func(t *testing.T, opts queue.Options) {
		q := open(t, opts)
		s := serve(t, q)
		insist(t, func() error { return q.EnqueueRun(t.Context(), "run_1", []string{"dlv_a", "dlv_b"}) })
		insist(t, func() error { return q.EnqueueLane(t.Context(), "ep_1") })
		insist(t, func() error { return q.EnqueueJob(t.Context(), "job_1") })
		got := []string{receive(t, s.runs), receive(t, s.lanes), receive(t, s.jobs)}
		if want := []string{"run_1 dlv_a,dlv_b", "ep_1", "job_1"}; !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}

func TestEnqueue_AnIDThatWaits_IsNoErrorAndOneTask(t *testing.T) {
	both(t, func(t *testing.T, opts queue.Options) {
		q := open(t, opts)
		for range 3 {
			insist(t, func() error { return q.EnqueueRun(t.Context(), "run_1", []string{"dlv_a"}) })
		}
		insist(t, func() error { return q.EnqueueRun(t.Context(), "run_2", []string{"dlv_b"}) })
		s := serve(t, q)
		if got := []string{receive(t, s.runs), receive(t, s.runs)}; !slices.Contains(got, "run_2 dlv_b") {
			t.Errorf("got %q: the first run came twice", got)
		}
	})
}

func TestEnqueue_WhatIsNoID_IsRefused(t *testing.T) {
	q := open(t, queue.Options{})
	for _, id := range []string{"", "run{1}", "run 1", strings.Repeat("r", 200)} {
		if err := q.EnqueueRun(t.Context(), id, []string{"dlv_a"}); err == nil {
			t.Errorf("run %q was taken", id)
		}
		if err := q.EnqueueRun(t.Context(), "run_1", []string{id}); err == nil {
			t.Errorf("delivery %q was taken", id)
		}
	}
	if err := q.EnqueueRun(t.Context(), "run_1", nil); err == nil {
		t.Error("a run without deliveries was taken")
	}
}

func TestServe_AnotherProcessIsWoken(t *testing.T) {
	r := startRedis(t)
	s := serve(t, open(t, queue.Options{URI: r.uri()}))
	api := open(t, queue.Options{URI: r.uri()})
	c := r.client(t)
	eventually(t, "the server listens", func() bool {
		n, _ := c.PubSubNumSub(t.Context(), "unihook:wake").Result()
		return n["unihook:wake"] == 1
	})
	var waits []time.Duration
	for i := range 20 {
		start := time.Now()
		insist(t, func() error { return api.EnqueueRun(t.Context(), fmt.Sprintf("run_%d", i), []string{"dlv_a"}) })
		receive(t, s.runs)
		waits = append(waits, time.Since(start))
	}
	slices.Sort(waits)
	// Who is not woken looks again after half a second.
	if middle := waits[len(waits)/2]; middle > 250*time.Millisecond {
		t.Errorf("from enqueue to start took %v in the middle, want at once", middle)
	}
}

func TestServe_APanicIsCountedAndTheNextTaskRuns(t *testing.T) {
	var text syncBuffer
	q := open(t, queue.Options{Log: slog.New(slog.NewTextHandler(&text, nil))})
	next := make(chan string, 10)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- q.Serve(ctx, queue.Handlers{Run: func(_ context.Context, run string, _ []string) {
			if run == "run_bad" {
				panic("a bug")
			}
			next <- run
		}})
	}()
	for _, run := range []string{"run_bad", "run_good"} {
		insist(t, func() error { return q.EnqueueRun(t.Context(), run, []string{"dlv_a"}) })
	}
	receive(t, next)
	eventually(t, "the panic is counted", func() bool { return q.Stats().Panics == 1 })
	eventually(t, "the log tells of the panic", func() bool { return strings.Contains(text.String(), "a bug") })
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestServe_ForgedTasksAreDropped(t *testing.T) {
	r := startRedis(t)
	q := open(t, queue.Options{URI: r.uri()})
	forger := asynq.NewClientFromRedisClient(r.client(t))
	forged := []*asynq.Task{
		asynq.NewTask("run", []byte("run_1")),
		asynq.NewTask("run", []byte(`{"run":"run_1"}`)),
		asynq.NewTask("run", nil),
		asynq.NewTask("other", []byte("run_1 dlv_a")),
		asynq.NewTask("run", bytes.Repeat([]byte("run_1 "), 20_000)),
	}
	for i, task := range forged {
		if _, err := forger.Enqueue(task, asynq.Queue("unihook-run"), asynq.TaskID(fmt.Sprint(i))); err != nil {
			t.Fatal(err)
		}
	}
	// An entry whose task is missing, and one that Asynq itself cannot read.
	c := r.client(t)
	c.HSet(t.Context(), "asynq:{unihook-run}:t:broken", "msg", "\xff\xff", "state", "pending", "pending_since", "x")
	c.LPush(t.Context(), "asynq:{unihook-run}:pending", "missing", "broken")

	s := serve(t, q)
	insist(t, func() error { return q.EnqueueRun(t.Context(), "run_real", []string{"dlv_a"}) })
	if got := receive(t, s.runs); got != "run_real dlv_a" {
		t.Errorf("a forged task came through: %s", got)
	}
	eventually(t, "all are dropped", func() bool { return q.Stats().Dropped == int64(len(forged)) })
}

func TestMark_OneIsToldOfEachWipe(t *testing.T) {
	r := startRedis(t)
	a, b := open(t, queue.Options{URI: r.uri()}), open(t, queue.Options{URI: r.uri()})
	told := func() (n int) {
		for _, q := range []*queue.Queue{a, b, a, b} {
			var wiped bool
			insist(t, func() (err error) {
				wiped, err = q.Mark(t.Context())
				return err
			})
			if wiped {
				n++
			}
		}
		return n
	}
	if n := told(); n != 1 {
		t.Errorf("of an empty Redis %d were told, want 1", n)
	}
	if n := told(); n != 0 {
		t.Errorf("of a marked Redis %d were told, want none", n)
	}
	if err := r.client(t).FlushAll(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	if n := told(); n != 1 {
		t.Errorf("of a wiped Redis %d were told, want 1", n)
	}
	queues, err := r.client(t).SMembers(t.Context(), "asynq:queues").Result()
	if err != nil || len(queues) != 3 {
		t.Errorf("Asynq's tools find the queues %q (%v), want three", queues, err)
	}
}

func TestServe_GoesOnByItself(t *testing.T) {
	enqueue := func(t *testing.T, q *queue.Queue, s *served, run string) {
		t.Helper()
		eventually(t, "Redis takes a task again", func() bool {
			return q.EnqueueRun(t.Context(), run, []string{"dlv_a"}) == nil
		})
		for receive(t, s.runs) != run+" dlv_a" {
		}
	}
	t.Run("after FLUSHALL", func(t *testing.T) {
		r := startRedis(t)
		q := open(t, queue.Options{URI: r.uri()})
		s := serve(t, q)
		enqueue(t, q, s, "run_1")
		if err := r.client(t).FlushAll(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
		enqueue(t, q, s, "run_1")
	})
	t.Run("after a restart with nothing", func(t *testing.T) {
		r := startRedis(t)
		q := open(t, queue.Options{URI: r.uri()})
		s := serve(t, q)
		enqueue(t, q, s, "run_1")
		r.kill()
		if err := q.EnqueueRun(t.Context(), "run_2", []string{"dlv_a"}); err == nil {
			t.Error("a Redis that is gone took a task")
		}
		r.start(t)
		enqueue(t, q, s, "run_3")
	})
	t.Run("after a stop", func(t *testing.T) {
		r := startRedis(t)
		q := open(t, queue.Options{URI: r.uri()})
		s := serve(t, q)
		enqueue(t, q, s, "run_1")
		if err := r.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		err := q.EnqueueRun(t.Context(), "run_2", []string{"dlv_a"})
		// 300 ms by itself; a client with its own defaults takes three seconds and more.
		if took := time.Since(start); err == nil || took > 2500*time.Millisecond {
			t.Errorf("a hung Redis: error %v after %v, want one soon", err, took)
		}
		if err := q.EnqueueRun(t.Context(), "run_3", []string{"dlv_a"}); !errors.Is(err, queue.ErrAway) {
			t.Errorf("the next enqueue: error %v, want ErrAway, which asks nobody", err)
		}
		if _, _, err := q.Allow(t.Context(), "key", 5); !errors.Is(err, queue.ErrAway) {
			t.Errorf("Allow answers %v, want ErrAway", err)
		}
		if err := r.cmd.Process.Signal(syscall.SIGCONT); err != nil {
			t.Fatal(err)
		}
		enqueue(t, q, s, "run_4")
	})
}

func TestServe_EndsWhileRedisHangs(t *testing.T) {
	r := startRedis(t)
	q := open(t, queue.Options{URI: r.uri()})
	s := serve(t, q)
	insist(t, func() error { return q.EnqueueRun(t.Context(), "run_1", []string{"dlv_a"}) })
	receive(t, s.runs)
	if err := r.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	s.end(t)
}

func TestServe_EndsHandlersWithItself(t *testing.T) {
	q := open(t, queue.Options{})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	started := make(chan string, 1)
	go func() {
		ended <- q.Serve(ctx, queue.Handlers{Job: func(ctx context.Context, job string) {
			started <- job
			<-ctx.Done()
		}})
	}()
	insist(t, func() error { return q.EnqueueJob(t.Context(), "job_1") })
	receive(t, started)
	if err := q.Serve(ctx, queue.Handlers{}); err == nil {
		t.Error("a queue was served twice at once")
	}
	cancel()
	select {
	case err := <-ended:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(patience):
		t.Fatal("Serve did not end")
	}
}

func TestBehind(t *testing.T) {
	both(t, func(t *testing.T, opts queue.Options) {
		q := open(t, opts)
		if got := q.Behind(); got != 0 {
			t.Errorf("an empty queue is %v behind", got)
		}
		insist(t, func() error { return q.EnqueueRun(t.Context(), "run_1", []string{"dlv_a"}) })
		eventually(t, "a run that nobody takes grows old", func() bool { return q.Behind() > 300*time.Millisecond })
		s := serve(t, q)
		receive(t, s.runs)
		eventually(t, "the queue is up to date again", func() bool { return q.Behind() == 0 })
	})
}

func TestAllow(t *testing.T) {
	both(t, func(t *testing.T, opts queue.Options) {
		q := open(t, opts)
		keys := 0
		// On a slow machine the fourth comes when it may.
		eventually(t, "of a new key's first four requests in a moment the fourth is one too many", func() bool {
			keys++
			key := fmt.Sprintf("key_%d", keys)
			for range 3 {
				if ok, _, err := q.Allow(t.Context(), key, 3); !ok || err != nil {
					return false
				}
			}
			ok, after, err := q.Allow(t.Context(), key, 3)
			return !ok && err == nil && after > 0 && after <= time.Second
		})
		if ok, _, err := q.Allow(t.Context(), "key_1", 0); !ok || err != nil {
			t.Errorf("no limit: %v, %v", ok, err)
		}
	})
}

func TestOpen_URIs(t *testing.T) {
	for _, c := range []struct {
		uri      string
		insecure bool
		opens    bool
		says     string
	}{
		{uri: "redis://127.0.0.1:1", opens: true},
		{uri: "redis://localhost:1/3", opens: true},
		{uri: "redis://[::1]:1", opens: true},
		{uri: "redis://user:s3cret@192.0.2.1:1", opens: true},
		{uri: "redis://192.0.2.1:1"},
		{uri: "redis://192.0.2.1:1", insecure: true, opens: true},
		{uri: "redis-sentinel://127.0.0.1:1?master_name=main&addr=127.0.0.2:1", opens: true},
		{uri: "redis-sentinel://127.0.0.1:1?master_name=main&addr=192.0.2.1:1"},
		{uri: "redis-sentinel://:s3cret@192.0.2.1:1?master_name=main", says: "password= in the URI's query"},
		{uri: "redis-sentinel://:s3cret@192.0.2.1:1?master_name=main&password=s3cret", opens: true},
		{uri: "redis-cluster://127.0.0.1:1?addr=127.0.0.2:1", opens: true},
		{uri: "http://127.0.0.1:1"},
		{uri: "redis://:s3cret@[bad"},
		{uri: "redis://:s3cret/is-cut-here@127.0.0.1:1"},
		{uri: "redis://:a?s3cret=b@127.0.0.1:1"},
	} {
		ctx, cancel := context.WithCancel(t.Context())
		cancel() // none of them is there
		q, err := queue.Open(ctx, queue.Options{URI: c.uri, Insecure: c.insecure})
		if (err == nil) != c.opens {
			t.Errorf("%s: %v", c.uri, err)
		}
		if err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: got %v, want %q", c.uri, err, c.says)
		}
		if err != nil && strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: the error tells the password: %v", c.uri, err)
		}
		if q != nil {
			_ = q.Close()
		}
	}
}

// syncBuffer is a buffer that a logger and a test share.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}
