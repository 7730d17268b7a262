package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// Our own listeners are no targets, whatever is allowed: the API's and that of the embedded Redis.
func TestEgress_OwnListenersAreNoTargets(t *testing.T) {
	d := launch(t, nil, "serve", "--data-dir", t.TempDir(), "--listen", "127.0.0.1:0", "--allow-network", "127.0.0.0/8")
	d.call(201, "POST", "/v1/organisations", `{"id":"org_a","name":"x"}`, nil)
	ports := listeningPorts(t, d.cmd.Process.Pid)
	if len(ports) != 2 {
		t.Fatalf("the process listens on %v, want two ports", ports)
	}
	for _, port := range ports {
		status, _, text := d.send(testOperatorKey, "POST", "/v1/webhooks", `{"organisation":"org_a","endpoints":[{"url":"https://127.0.0.1:`+port+`/"}],"events":[{"product":"*","type":"*"}]}`)
		if status != 422 {
			t.Errorf("port %s is answered %d: %s", port, status, text)
		}
	}
}

// The gateway's own services beside it are no targets either: what is posted to Redis reaches for the queue.
func TestEgress_OwnServicesAreNoTargets(t *testing.T) {
	redis, _ := startRedis(t, "redis-passw0rd")
	_, at, _ := strings.Cut(redis, "@")
	at, _, _ = strings.Cut(at, "/")
	d := launch(t, nil, "serve", "--data-dir", t.TempDir(), "--listen", "127.0.0.1:0", "--allow-network", "127.0.0.0/8",
		"--redis-uri", redis, "--egress-proxy", "https://t0ken@127.0.0.3:8443")
	d.call(201, "POST", "/v1/organisations", `{"id":"org_a","name":"x"}`, nil)
	for host, want := range map[string]int{at: 422, strings.Replace(at, "127.0.0.1", "localhost", 1): 422, "127.0.0.3:8443": 422, "127.0.0.3:8444": 201} {
		status, _, text := d.send(testOperatorKey, "POST", "/v1/webhooks", `{"organisation":"org_a","endpoints":[{"url":"https://`+host+`/"}],"events":[{"product":"*","type":"*"}]}`)
		if status != want {
			t.Errorf("%s is answered %d, want %d: %s", host, status, want, text)
		}
	}
}

// listeningPorts are those on which a process listens, as the kernel has them.
func listeningPorts(t *testing.T, pid int) (ports []string) {
	t.Helper()
	sockets := map[string]bool{}
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if target, err := os.Readlink(file); err == nil && strings.HasPrefix(target, "socket:[") {
			sockets[strings.Trim(target, "socket:[]")] = true
		}
	}
	table, err := os.ReadFile("/proc/net/tcp")
	if err != nil {
		t.Fatal(err)
	}
	const listening = "0A"
	for line := range strings.Lines(string(table)) {
		if f := strings.Fields(line); len(f) > 9 && f[3] == listening && sockets[f[9]] {
			_, port, _ := strings.Cut(f[1], ":")
			n, _ := strconv.ParseUint(port, 16, 16)
			ports = append(ports, strconv.FormatUint(n, 10))
		}
	}
	return ports
}

// inNamespace marks the copy of the test binary that runs in a network namespace of its own.
const inNamespace = "UNIHOOK_TEST_NAMESPACE"

// TestEgress_AddressDisappears runs in a network namespace, where addresses can come and go.
func TestEgress_AddressDisappears(t *testing.T) {
	if os.Getenv(inNamespace) == "" {
		self, err := os.Executable()
		if err != nil {
			t.Fatal(err)
		}
		demand(t, "unshare", "ip")
		if err := exec.CommandContext(t.Context(), "unshare", "--map-root-user", "--net", "ip", "link", "set", "lo", "up").Run(); err != nil {
			unavailable(t, "the kernel lets this user make no network namespace: "+err.Error())
		}
		cmd := exec.CommandContext(t.Context(), "unshare", "--map-root-user", "--net", self, "-test.run=^"+t.Name()+"$", "-test.count=1")
		cmd.Env = append(os.Environ(), inNamespace+"=1")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return
	}
	ip := func(args ...string) {
		t.Helper()
		if out, err := exec.CommandContext(t.Context(), "ip", args...).CombinedOutput(); err != nil {
			t.Fatalf("ip %v: %v %s", args, err, out)
		}
	}
	const from, six = "192.0.2.55", "2001:db8::55"
	ip("link", "set", "lo", "up")
	ip("addr", "add", from+"/32", "dev", "lo")
	ip("addr", "add", six+"/128", "dev", "lo", "nodad")
	a := newAuthority(t)
	p := newPeers(t, a)
	d := launch(t, nil, "serve", "--data-dir", t.TempDir(), "--listen", "127.0.0.1:0", "--egress-ip", from+","+six, "--allow-network", "127.0.0.0/8", "--ca-file", a.file)
	organise(d, "org_a", p.URL)
	publish(d, "org_a", "evt_1")
	checkLeft(t, p, settled(d, "org_a"), 1, from)
	isReady := func(want int) func() bool {
		return func() bool { status, _, _ := d.send("", "GET", "/readyz", ""); return status == want }
	}
	until(t, "it is ready", isReady(200))
	ip("addr", "del", from+"/32", "dev", "lo")
	until(t, "it is not ready any more", isReady(503))
	if _, _, text := d.send(testOperatorKey, "GET", "/readyz", ""); !strings.Contains(string(text), from+" is not an address of this machine") {
		t.Errorf("the details are %s", text)
	}
	ip("addr", "add", from+"/32", "dev", "lo")
	until(t, "it is ready again", isReady(200))
}
