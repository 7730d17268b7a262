package faults

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	"github.com/rs/zerolog"

	"github.com/unihook/unihook/gateway/storetest"
)

// quiet discards what servers log about connections that the tests break.
var quiet = log.New(io.Discard, "", 0)

// patience is how long tests wait for what must happen, where the time is not what they try: long, since the machine
// may be busy.
const patience = 2 * time.Minute

const operatorKey = "an-operator-key-for-the-fault-suite-only"

// encryptionKey is 32 bytes in hex.
const encryptionKey = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"

// program is the built unihook: made once for all tests.
var program = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "unihook-program-")
	if err != nil {
		return "", err
	}
	file := filepath.Join(dir, "unihook")
	build := exec.Command("go", "build", "-o", file, "github.com/unihook/unihook/cmd/unihook")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building the program: %w\n%s", err, out)
	}
	return file, nil
})

func TestMain(m *testing.M) {
	status := m.Run()
	if file, err := program(); err == nil {
		os.RemoveAll(filepath.Dir(file))
	}
	os.Exit(status)
}

// process is one running program.
type process struct {
	t    *testing.T
	cmd  *exec.Cmd
	log  *tail
	done chan struct{}
	url  string
}

// tail keeps the last of what a process says, for when it fails.
type tail struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *tail) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.text.Len() > 64<<10 {
		l.text.Reset()
	}
	return l.text.Write(p)
}

func (l *tail) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// start runs a command of the program and waits until it says where it listens, or that it works.
func start(t *testing.T, env []string, args ...string) *process {
	t.Helper()
	file, err := program()
	if err != nil {
		t.Fatal(err)
	}
	p := &process{t: t, cmd: exec.Command(file, args...), log: &tail{}, done: make(chan struct{})}
	p.cmd.Env = append(os.Environ(), env...)
	p.cmd.Stderr = p.log
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ready := make(chan string, 1)
	go func() {
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			fmt.Fprintln(p.log, lines.Text())
			if found := listens.FindStringSubmatch(lines.Text()); found != nil {
				ready <- found[1]
			}
		}
		_ = p.cmd.Wait()
		close(p.done)
	}()
	t.Cleanup(func() {
		p.kill()
		if t.Failed() {
			t.Logf("%s said:\n%s", strings.Join(args, " "), lastLines(p.log.String(), 40))
		}
	})
	select {
	case p.url = <-ready:
	case <-p.done:
		t.Fatalf("%v ended:\n%s", args, p.log)
	case <-time.After(patience):
		t.Fatalf("%v does not say that it listens:\n%s", args, p.log)
	}
	return p
}

// listens is what the program says when it is ready.
var listens = regexp.MustCompile(`^Unihook (?:listens on |works)(\S*)`)

func lastLines(text string, n int) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

// kill ends the process as kill -9 does.
func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	<-p.done
}

// terminate asks the process to end and answers how long that took.
func (p *process) terminate() time.Duration {
	began := time.Now()
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	<-p.done
	return time.Since(began)
}

// redisServer is a real Redis, reached through a proxy that can be cut.
type redisServer struct {
	t     *testing.T
	cmd   *exec.Cmd
	addr  string
	proxy *toxiproxy.Proxy
}

func startRedis(t *testing.T) *redisServer {
	t.Helper()
	r := &redisServer{t: t, addr: freeAddress(t)}
	r.run()
	t.Cleanup(func() {
		_ = r.cmd.Process.Signal(syscall.SIGCONT)
		_ = r.cmd.Process.Kill()
		_ = r.cmd.Wait()
	})
	r.proxy = newProxy(t, r.addr)
	return r
}

// run starts the server, empty, and waits until it answers.
func (r *redisServer) run() {
	r.t.Helper()
	file, err := exec.LookPath("redis-server")
	if err != nil {
		missing(r.t, "redis-server is not installed")
	}
	_, port, _ := net.SplitHostPort(r.addr)
	r.cmd = exec.Command(file, "--port", port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", r.t.TempDir())
	if err := r.cmd.Start(); err != nil {
		r.t.Fatal(err)
	}
	client := r.client()
	defer client.Close()
	until(r.t, patience, "redis answers", func() bool { return client.Ping(context.Background()).Err() == nil })
}

func (r *redisServer) client() *redis.Client {
	return redis.NewClient(&redis.Options{Addr: r.addr})
}

// flush empties it.
func (r *redisServer) flush() {
	client := r.client()
	defer client.Close()
	if err := client.FlushAll(context.Background()).Err(); err != nil {
		r.t.Error(err)
	}
}

// restart kills it and starts an empty one.
func (r *redisServer) restart(away time.Duration) {
	_ = r.cmd.Process.Kill()
	_ = r.cmd.Wait()
	<-time.After(away)
	r.run()
}

// freeze stops the process for a while: it holds its connections and answers nothing.
func (r *redisServer) freeze(for_ time.Duration) {
	_ = r.cmd.Process.Signal(syscall.SIGSTOP)
	<-time.After(for_)
	_ = r.cmd.Process.Signal(syscall.SIGCONT)
}

func (r *redisServer) uri() string { return "redis://" + r.proxy.Listen }

// newProxy leads to upstream until it is cut.
func newProxy(t *testing.T, upstream string) *toxiproxy.Proxy {
	t.Helper()
	server := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop())
	proxy := toxiproxy.NewProxy(server, "fault", freeAddress(t), upstream)
	if err := proxy.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(proxy.Stop)
	return proxy
}

// cut breaks all connections and refuses new ones for a while.
func cut(t *testing.T, proxy *toxiproxy.Proxy, away time.Duration) {
	proxy.Stop()
	<-time.After(away)
	if err := proxy.Start(); err != nil {
		t.Error(err)
	}
}

// freeAddress is where a server can listen, and listen again after it was away.
func freeAddress(t *testing.T) string {
	t.Helper()
	addr, err := storetest.FreeAddress()
	if err != nil {
		t.Fatal(err)
	}
	return addr
}

// missing fails where everything must be there, and skips elsewhere.
func missing(t *testing.T, what string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatal(what)
	}
	t.Skip(what)
}

// until waits for a condition that other processes bring about.
func until(t *testing.T, patience time.Duration, what string, holds func() bool) time.Duration {
	t.Helper()
	began := time.Now()
	for !holds() {
		if time.Since(began) > patience {
			t.Fatalf("%s: not within %s", what, patience)
		}
		<-time.After(20 * time.Millisecond)
	}
	return time.Since(began)
}
