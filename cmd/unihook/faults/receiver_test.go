package faults

import (
	"crypto/tls"
	"encoding/pem"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// receipt is one request that a receiver has read whole.
type receipt struct {
	id   string
	path string
	at   time.Time
}

// receiver is an HTTPS server that keeps a ledger. What it answers depends on the first segment of the path: "ok",
// "hang" (until it ends), "held" (until letGo is closed), "slow" (200 ms), "down" (500 while broken is set), "lost" (the
// first time it has done the work and closes the connection without an answer).
type receiver struct {
	*httptest.Server
	caFile string
	broken atomic.Bool
	letGo  chan struct{}
	ended  chan struct{}

	mu     sync.Mutex
	ledger []receipt
	times  map[string]int
}

func newReceiver(t *testing.T) *receiver {
	t.Helper()
	r := &receiver{times: map[string]int{}, letGo: make(chan struct{}), ended: make(chan struct{})}
	r.Server = httptest.NewUnstartedServer(r)
	r.Config.ErrorLog = quiet
	r.Server.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
	r.StartTLS()
	r.caFile = filepath.Join(t.TempDir(), "ca.pem")
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: r.Certificate().Raw})
	if err := os.WriteFile(r.caFile, text, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		close(r.ended)
		r.Close()
	})
	return r
}

// ServeHTTP notes a request once its body was read whole.
func (r *receiver) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	if _, err := io.Copy(io.Discard, q.Body); err != nil {
		return
	}
	id, path := q.Header.Get("webhook-id"), q.URL.Path
	kind := strings.Split(path, "/")[1]
	if kind == "down" && r.broken.Load() {
		http.Error(w, "down", http.StatusInternalServerError)
		return
	}
	first := r.note(id, path)
	switch kind {
	case "hang":
		select {
		case <-r.ended:
		case <-q.Context().Done():
		}
	case "held":
		select {
		case <-r.letGo:
		case <-r.ended:
		case <-q.Context().Done():
		}
	case "slow":
		select {
		case <-r.ended:
		case <-time.After(200 * time.Millisecond):
		}
	case "lost":
		if first {
			panic(http.ErrAbortHandler)
		}
	}
}

func (r *receiver) note(id, path string) (first bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ledger = append(r.ledger, receipt{id, path, time.Now()})
	key := id + " " + path
	r.times[key]++
	return r.times[key] == 1
}

// seen is how often each event arrived at a path.
func (r *receiver) seen(path string) map[string]int {
	r.mu.Lock()
	defer r.mu.Unlock()
	got := map[string]int{}
	for _, entry := range r.ledger {
		if entry.path == path {
			got[entry.id]++
		}
	}
	return got
}

// since lists the receipts at a path from a moment on.
func (r *receiver) since(path string, from time.Time) []receipt {
	r.mu.Lock()
	defer r.mu.Unlock()
	var list []receipt
	for _, entry := range r.ledger {
		if entry.path == path && !entry.at.Before(from) {
			list = append(list, entry)
		}
	}
	return list
}
