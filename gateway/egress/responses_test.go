package egress_test

import (
	"bytes"
	"compress/gzip"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/unihook/unihook/gateway/egress"
)

type responseVector struct {
	ID, Raw, TLS, Expect, Why, Describe string
	Status                              int
	Headers                             map[string]string
}

// wants are the classes that a vector's expectation allows; nil is success alone.
func (v responseVector) wants() []egress.Failure {
	switch {
	case v.Expect == "success" || strings.HasPrefix(v.Expect, "success:"):
		return []egress.Failure{egress.None}
	case v.Expect == "disable":
		return []egress.Failure{egress.Gone}
	case v.Expect == "retry failure tls":
		return []egress.Failure{egress.TLS}
	case v.Status >= 300 && v.Status <= 399:
		return []egress.Failure{egress.Redirect}
	case v.Status > 0 || v.Raw == "status-999":
		return []egress.Failure{egress.Status}
	case v.Raw == "1xx-flood" || v.Raw == "stall-tls":
		return []egress.Failure{egress.Timeout}
	case v.Raw == "no-response" || v.Raw == "half-header" || v.Raw == "garbage" || v.Raw == "hdr-10MB":
		return []egress.Failure{egress.Broken}
	}
	// The status is known and is a success, whatever becomes of the body.
	return []egress.Failure{egress.None}
}

func TestDo_ResponseVectors(t *testing.T) {
	var v struct{ Cases []responseVector }
	readVectors(t, "responses.json", &v)
	ca := newAuthority(t)
	names := newNameServer(t)
	names.set("hook.example.com", dnsAnswer{A: []string{"127.0.0.1"}})
	names.set("a.b.example.com", dnsAnswer{A: []string{"127.0.0.1"}})
	c := newClient(t, egress.Options{Policy: &egress.Policy{Networks: mustAllow(t, "127.0.0.1")}, RootCAs: ca.PEM, Resolver: names.resolver()})
	for _, v := range v.Cases {
		t.Run(v.ID, func(t *testing.T) {
			ln := receiverOf(t, ca, v)
			host := "hook.example.com"
			if v.TLS == "wildcard-deep" {
				host = "a.b.example.com"
			}
			// These last as long as they may; the others answer, and get time for it on a busy machine.
			timeout := 30 * time.Second
			if v.Raw == "1xx-flood" || v.Raw == "stall-tls" || v.Raw == "slow-body" {
				timeout = 2 * time.Second
			}
			began := time.Now()
			out := c.Do(t.Context(), egress.Request{URL: at(host, ln) + "/secret-path?token=secret", Body: bytes.Repeat([]byte("x"), 256<<10), Timeout: timeout})
			if took := time.Since(began); took > timeout+15*time.Second {
				t.Errorf("it took %s", took)
			}
			if wants := v.wants(); out.Failure != wants[0] {
				t.Errorf("failure %q (%s), want %q: %s %s", out.Failure, out.Error, wants[0], v.Why, v.Describe)
			}
			if (out.Failure == egress.None) != (out.Error == "") {
				t.Errorf("failure %q with error %q", out.Failure, out.Error)
			}
			if strings.Contains(out.Error, "secret") || strings.Contains(out.Error, "127.0.0.1") {
				t.Errorf("the sentence tells too much: %s", out.Error)
			}
			if want := strings.TrimSpace(v.Headers["Retry-After"]); v.Status > 0 && out.RetryAfter != want && !strings.HasPrefix(want, "$") {
				t.Errorf("Retry-After %q, want %q", out.RetryAfter, want)
			}
			if v.Status > 0 && out.Status != v.Status {
				t.Errorf("status %d, want %d", out.Status, v.Status)
			}
		})
	}
}

// receiverOf starts the receiver that a vector describes.
func receiverOf(t *testing.T, ca *authority, v responseVector) net.Listener {
	if v.TLS != "" {
		return tlsReceiver(t, ca, v.TLS)
	}
	cert := ca.issue(t, []string{"hook.example.com"}, nil)
	ln := listen(t, "127.0.0.1:0")
	if v.Raw == "stall-tls" {
		serveRaw(t, ln, func(c net.Conn) { io.Copy(io.Discard, c) })
		return ln
	}
	serveRaw(t, tls.NewListener(ln, &tls.Config{Certificates: []tls.Certificate{cert}}), func(c net.Conn) {
		if v.Raw == "early-200" {
			io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
			return
		}
		request := make([]byte, 4096)
		n, _ := c.Read(request)
		if v.Raw == "" {
			io.CopyN(io.Discard, c, int64(256<<10+bytes.Index(request, []byte("\r\n\r\n"))+4-n))
		} else {
			go io.Copy(io.Discard, c)
		}
		answer(c, v)
	})
	return ln
}

// bombPart is a megabyte of zeros as gzip has it.
var bombPart = func() []byte {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	z.Write(make([]byte, 1<<20))
	z.Close()
	return b.Bytes()
}()

// answer writes what a vector describes, byte by byte.
func answer(c net.Conn, v responseVector) {
	ok := "HTTP/1.1 200 OK\r\n"
	switch v.Raw {
	case "":
		fmt.Fprintf(c, "HTTP/1.1 %d X\r\n", v.Status)
		for name, value := range v.Headers {
			fmt.Fprintf(c, "%s: %s\r\n", name, value)
		}
		io.WriteString(c, "Connection: close\r\n\r\n")
	case "no-response":
	case "half-header":
		io.WriteString(c, ok+"Content-Ty")
	case "garbage":
		io.WriteString(c, "220 mail.example.com ESMTP\r\n\r\n")
	case "http10":
		io.WriteString(c, "HTTP/1.0 200 OK\r\n\r\nfine")
	case "status-999":
		io.WriteString(c, "HTTP/1.1 999 X\r\nContent-Length: 0\r\n\r\n")
	case "1xx-flood":
		for err := error(nil); err == nil; {
			_, err = io.WriteString(c, "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")
		}
	case "hdr-10MB":
		io.WriteString(c, ok)
		for i := 0; i < 10<<10; i++ {
			if _, err := fmt.Fprintf(c, "X-%d: %s\r\n", i, strings.Repeat("v", 1024)); err != nil {
				return
			}
		}
		io.WriteString(c, "\r\n")
	case "gzip-bomb":
		// A bomb is its own answer many times over: 1 KiB of this is 1 MiB of zeros, and nothing here unpacks it.
		fmt.Fprintf(c, "%sContent-Encoding: gzip\r\n\r\n", ok)
		for err := error(nil); err == nil; {
			_, err = c.Write(bombPart)
		}
	case "slow-body":
		io.WriteString(c, ok+"Content-Length: 100\r\n\r\nx")
		io.Copy(io.Discard, c)
	case "cl-te":
		io.WriteString(c, ok+"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n")
	case "html-body":
		io.WriteString(c, ok+"Content-Type: text/html\r\nContent-Length: 17\r\n\r\n<script></script>")
	case "set-cookie":
		io.WriteString(c, ok+"Set-Cookie: a=b\r\nContent-Length: 0\r\n\r\n")
	default:
		panic("no receiver for " + v.Raw)
	}
}

// tlsReceiver answers 200 over TLS as a vector describes it.
func tlsReceiver(t *testing.T, ca *authority, kind string) net.Listener {
	names := []string{"hook.example.com"}
	config := &tls.Config{}
	issuer, edit := ca, func(*x509.Certificate) {}
	switch kind {
	case "valid", "sni":
	case "not-yet":
		edit = func(c *x509.Certificate) {
			c.NotBefore, c.NotAfter = time.Now().Add(24*time.Hour), time.Now().Add(48*time.Hour)
		}
	case "unknown-ca":
		issuer = newAuthority(t)
	case "cn-only":
		edit = func(c *x509.Certificate) { c.DNSNames = nil }
	case "wildcard-deep":
		names = []string{"*.example.com"}
	case "tls11":
		config.MinVersion, config.MaxVersion = tls.VersionTLS10, tls.VersionTLS11
	case "tls13":
		config.MinVersion = tls.VersionTLS13
	case "big-chain":
	case "sha1":
		edit = func(c *x509.Certificate) { c.SignatureAlgorithm = x509.ECDSAWithSHA1 }
	default:
		t.Fatalf("no receiver for %s", kind)
	}
	config.Certificates = []tls.Certificate{issuer.issue(t, names, edit)}
	if kind == "big-chain" {
		for len(config.Certificates[0].Certificate)*len(ca.cert.Raw) < 100<<10 {
			config.Certificates[0].Certificate = append(config.Certificates[0].Certificate, ca.cert.Raw)
		}
	}
	if kind == "sni" {
		right, wrong := config.Certificates[0], ca.issue(t, []string{"other.example.com"}, nil)
		config.GetCertificate = func(h *tls.ClientHelloInfo) (*tls.Certificate, error) {
			if h.ServerName == "hook.example.com" {
				return &right, nil
			}
			return &wrong, nil
		}
	}
	ln := listen(t, "127.0.0.1:0")
	srv := &http.Server{Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}), TLSConfig: config, ErrorLog: log.New(io.Discard, "", 0)}
	go srv.ServeTLS(ln, "", "")
	t.Cleanup(func() { srv.Close() })
	return ln
}
