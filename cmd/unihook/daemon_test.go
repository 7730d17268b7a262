package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/unihook/unihook/gateway/storetest"
)

// testOperatorKey and testEncryptionKey are those of every process that tests start.
const (
	testOperatorKey   = "0perat0r-key-of-the-tests-0123456789abcdef"
	testEncryptionKey = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
)

// patience is how long tests wait for what must happen: long, since the machine may be busy.
const patience = 2 * time.Minute

// daemon is a running process of the program.
type daemon struct {
	t    *testing.T
	cmd  *exec.Cmd
	out  *safeBuffer
	done chan struct{}
	// at is where it listens: a URL, or host:port of the egress proxy; empty for a worker.
	at string
}

// safeBuffer is written by a process and read by a test.
type safeBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// Write appends.
func (b *safeBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

// String is all that was written.
func (b *safeBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// ready is what a process says when others may use it.
var ready = regexp.MustCompile(`^(?:Unihook listens on (\S+)|Unihook works\.|The egress proxy listens on (\S+)\.)$`)

// launch starts `unihook args...` and waits until it is ready. It ends with the test.
func launch(t *testing.T, env []string, args ...string) *daemon {
	t.Helper()
	env = append([]string{"UNIHOOK_OPERATOR_KEY=" + testOperatorKey, "UNIHOOK_ENCRYPTION_KEY=" + testEncryptionKey}, env...)
	d := &daemon{t: t, cmd: program(context.WithoutCancel(t.Context()), t, env, args...), out: &safeBuffer{}, done: make(chan struct{})}
	d.cmd.Stderr = d.out
	pipe, err := d.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := d.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		d.stop()
		if t.Failed() {
			t.Logf("%s said:\n%s", strings.Join(args, " "), d.out)
		}
	})
	listening := make(chan string, 1)
	go func() {
		defer close(d.done)
		for lines := bufio.NewScanner(pipe); lines.Scan(); {
			fmt.Fprintln(d.out, lines.Text())
			if found := ready.FindStringSubmatch(lines.Text()); found != nil {
				listening <- found[1] + found[2]
			}
		}
		_ = d.cmd.Wait()
	}()
	select {
	case d.at = <-listening:
	case <-d.done:
		t.Fatalf("%v ended: %s", args, d.out)
	case <-time.After(patience):
		t.Fatalf("%v is not ready: %s", args, d.out)
	}
	return d
}

// stop asks the process to end and waits for it.
func (d *daemon) stop() {
	_ = d.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-d.done:
	case <-time.After(patience):
		_ = d.cmd.Process.Kill()
		<-d.done
		d.t.Errorf("the process did not end by itself: %s", d.out)
	}
}

// send makes one request to the API and answers the status, the headers and the body.
func (d *daemon) send(key, method, path, body string, headers ...string) (int, http.Header, []byte) {
	d.t.Helper()
	q, err := http.NewRequestWithContext(d.t.Context(), method, d.at+path, strings.NewReader(body))
	if err != nil {
		d.t.Fatal(err)
	}
	if body != "" {
		q.Header.Set("Content-Type", "application/json")
	}
	if key != "" {
		q.Header.Set("Authorization", "Bearer "+key)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		q.Header.Set(headers[i], headers[i+1])
	}
	answer, err := http.DefaultClient.Do(q)
	if err != nil {
		d.t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		d.t.Fatal(err)
	}
	return answer.StatusCode, answer.Header, text
}

// call makes a request as the operator, demands the status and reads the answer into what is given.
func (d *daemon) call(want int, method, path, body string, into any) {
	d.t.Helper()
	status, _, text := d.send(testOperatorKey, method, path, body)
	if status != want {
		d.t.Fatalf("%s %s answered %d, want %d: %s", method, path, status, want, text)
	}
	if into == nil {
		return
	}
	if err := json.Unmarshal(text, into); err != nil {
		d.t.Fatalf("%s %s: %v in %s", method, path, err, text)
	}
}

// until waits for a condition that other processes bring about.
func until(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for began := time.Now(); !holds(); {
		if time.Since(began) > patience {
			t.Fatalf("not within %s: %s", patience, what)
		}
		<-time.After(20 * time.Millisecond)
	}
}

// authority signs the certificates of a test.
type authority struct {
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
	// file is the certificate in PEM form.
	file string
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{key: newECKey(t), file: filepath.Join(t.TempDir(), "ca.pem")}
	a.cert = &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "tests"}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, a.cert, a.cert, &a.key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	writePEM(t, a.file, "CERTIFICATE", der)
	return a
}

func newECKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func writePEM(t *testing.T, file, kind string, der []byte) {
	t.Helper()
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
}

// issue makes a certificate for loopback addresses and names, in files.
func (a *authority) issue(t *testing.T, names ...string) (certFile, keyFile string) {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), NotAfter: time.Now().Add(time.Hour), DNSNames: names,
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
	}
	key := newECKey(t)
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, &key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certFile, keyFile = filepath.Join(t.TempDir(), "cert.pem"), filepath.Join(t.TempDir(), "key.pem")
	writePEM(t, certFile, "CERTIFICATE", der)
	writePEM(t, keyFile, "PRIVATE KEY", keyDER)
	return certFile, keyFile
}

// server serves https on loopback with a certificate of the authority.
func (a *authority) server(t *testing.T, handler http.HandlerFunc) *httptest.Server {
	t.Helper()
	certFile, keyFile := a.issue(t)
	pair, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewUnstartedServer(handler)
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.TLS = &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
	s.StartTLS()
	t.Cleanup(s.Close)
	return s
}

// startRedis runs a real Redis with the password, and answers its URI and its directory.
func startRedis(t *testing.T, password string) (uri, dir string) {
	t.Helper()
	demand(t, "redis-server")
	at, err := storetest.FreeAddress()
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(at)
	dir = t.TempDir()
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), "redis-server", "--port", port, "--bind", "127.0.0.1",
		"--requirepass", password, "--save", "", "--appendonly", "yes", "--appendfsync", "no", "--dir", dir)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	until(t, "redis listens", func() bool {
		c, err := net.Dial("tcp", at)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
	return "redis://:" + password + "@" + at, dir
}

// demand has a test go on only where programs are installed.
func demand(t *testing.T, programs ...string) {
	t.Helper()
	for _, program := range programs {
		if _, err := exec.LookPath(program); err != nil {
			unavailable(t, program+" is not installed")
		}
	}
}

// unavailable fails where everything must be there, and skips elsewhere.
func unavailable(t *testing.T, what string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatal(what)
	}
	t.Skip(what)
}
