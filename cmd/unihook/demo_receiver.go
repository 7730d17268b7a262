package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/netip"
	"os"
	"sync"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

// received is one request as the demo's receiver got it.
type received struct {
	at            time.Time
	line          string // method and path
	header        http.Header
	body          []byte
	authorization bool  // the webhook's secret header came as it was configured
	verified      error // what the Standard Webhooks library says of the signature; nil is valid
}

// receiver is a customer's server: HTTPS with a certificate of a CA of its own, verifying signatures with the library
// that customers use. It answers 204 to what it could verify and 401 to all else.
type receiver struct {
	addr     netip.AddrPort
	server   *http.Server
	requests chan received

	mu            sync.Mutex
	verifier      *standardwebhooks.Webhook
	authorization string
}

// maxUnread is the most requests that wait to be looked at: many more than the catalogue has examples.
const maxUnread = 1 << 10

// maxReceived is the most bytes of a body that the receiver reads: more than any event of the catalogue has.
const maxReceived = 1 << 20

// startReceiver listens on a free port of loopback and writes its CA's certificate to caFile.
func startReceiver(caFile string) (*receiver, error) {
	certificate, ca, err := makeCertificate(time.Now())
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(caFile, ca, 0o600); err != nil {
		return nil, err
	}
	listener, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12})
	if err != nil {
		return nil, err
	}
	r := &receiver{addr: listener.Addr().(*net.TCPAddr).AddrPort(), requests: make(chan received, maxUnread)}
	r.server = &http.Server{Handler: r, ReadHeaderTimeout: 10 * time.Second, ErrorLog: log.New(io.Discard, "", 0)}
	go func() { _ = r.server.Serve(listener) }() // until close
	return r, nil
}

func (r *receiver) url() string { return fmt.Sprintf("https://%s/hooks", r.addr) }

func (r *receiver) close() { _ = r.server.Close() }

// expect tells the receiver its secrets: the one that requests are signed with, and the header that they carry.
func (r *receiver) expect(secret, authorization string) error {
	verifier, err := standardwebhooks.NewWebhook(secret)
	if err != nil {
		return fmt.Errorf("reading the signing secret: %w", err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.verifier, r.authorization = verifier, authorization
	return nil
}

// ServeHTTP verifies a request and hands it on.
func (r *receiver) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, request.Body, maxReceived))
	if err != nil {
		http.Error(w, "the body cannot be read", http.StatusBadRequest)
		return
	}
	got := received{at: time.Now(), line: request.Method + " " + request.URL.Path, header: request.Header.Clone(), body: body}
	r.mu.Lock()
	got.authorization = r.authorization != "" && request.Header.Get("Authorization") == r.authorization
	if got.verified = errors.New("the receiver has no secret yet"); r.verifier != nil {
		got.verified = r.verifier.Verify(body, request.Header)
	}
	r.mu.Unlock()
	if got.verified != nil || !got.authorization {
		w.WriteHeader(http.StatusUnauthorized)
	} else {
		w.WriteHeader(http.StatusNoContent)
	}
	select {
	case r.requests <- got:
	default: // the examples are over and nobody looks any more
	}
}

// certificateLife is how long the demo's certificates hold: longer than anybody watches.
const certificateLife = 30 * 24 * time.Hour

// makeCertificate makes a CA and a certificate of it for 127.0.0.1, both in memory; ca is the CA's own as PEM.
func makeCertificate(now time.Time) (certificate tls.Certificate, ca []byte, err error) {
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return certificate, nil, err
	}
	issuer := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Unihook demo CA"},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(certificateLife),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	caDER, err := x509.CreateCertificate(rand.Reader, issuer, issuer, caKey.Public(), caKey)
	if err != nil {
		return certificate, nil, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return certificate, nil, err
	}
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "Unihook demo receiver"},
		NotBefore: issuer.NotBefore, NotAfter: issuer.NotAfter, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, leaf, issuer, key.Public(), caKey)
	if err != nil {
		return certificate, nil, err
	}
	ca = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: caDER})
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, ca, nil
}
