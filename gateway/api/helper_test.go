package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/unihook/unihook/gateway"
	"github.com/unihook/unihook/gateway/api"
	"github.com/unihook/unihook/gateway/egress"
	"github.com/unihook/unihook/gateway/sqlitestore"
	"github.com/unihook/unihook/products"
)

const operatorKey = "operator-key-of-at-least-32-characters"

// idleQueue takes hints and does nothing with them: no worker runs in these tests, and a queue's hints may be lost.
type idleQueue struct{}

func (idleQueue) EnqueueRun(context.Context, string, []string) error { return nil }
func (idleQueue) EnqueueLane(context.Context, string) error          { return nil }
func (idleQueue) EnqueueJob(context.Context, string) error           { return nil }
func (idleQueue) Behind() time.Duration                              { return 0 }

// publicResolver answers every name with one public address.
type publicResolver struct{}

func (publicResolver) LookupNetIP(context.Context, string, string) ([]netip.Addr, error) {
	return []netip.Addr{netip.MustParseAddr("93.184.216.34")}, nil
}

// server is the API on a loopback port, over the embedded store.
type server struct {
	t       *testing.T
	gateway *gateway.Gateway
	store   *sqlitestore.Store
	api     *api.API
	address string
	log     *bytes.Buffer
	stop    func() error
	// seen, where made, collects the operations that were answered with success.
	seen map[string]bool
}

// start starts a server; edit may change what it is made of.
func start(t *testing.T, edit ...func(*gateway.Options, *api.Options)) *server {
	t.Helper()
	store, err := sqlitestore.Open(t.Context(), t.TempDir(), sqlitestore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	catalogue, err := products.Builtin()
	if err != nil {
		t.Fatal(err)
	}
	secret := bytes.Repeat([]byte{7}, gateway.WrappingKeyBytes)
	seals, err := gateway.OpenSeals(t.Context(), store, secret)
	if err != nil {
		t.Fatal(err)
	}
	s := &server{t: t, store: store, log: &bytes.Buffer{}}
	below := gateway.Options{
		Store: store, Queue: idleQueue{}, Catalogue: catalogue, Policy: &egress.Policy{}, Resolver: publicResolver{},
		Seals: seals, OperatorKey: operatorKey,
	}
	above := api.Options{Secret: secret, Grace: 5 * time.Second, Log: slog.New(slog.NewTextHandler(s.log, nil))}
	for _, e := range edit {
		e(&below, &above)
	}
	if s.gateway, err = gateway.New(below); err != nil {
		t.Fatal(err)
	}
	above.Gateway = s.gateway
	if s.api, err = api.New(above); err != nil {
		t.Fatal(err)
	}
	s.serve()
	t.Cleanup(func() {
		if err := s.stop(); err != nil {
			t.Error(err)
		}
		s.gateway.Close()
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func (s *server) serve() {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		s.t.Fatal(err)
	}
	s.address = ln.Addr().String()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.api.Serve(ctx, ln) }()
	s.stop = func() error {
		cancel()
		http.DefaultClient.CloseIdleConnections()
		err := <-done
		done <- nil
		return err
	}
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// field is a field of a JSON body: "data.0.id".
func (a answer) field(path string) any {
	var value any
	decoder := json.NewDecoder(bytes.NewReader(a.body))
	decoder.UseNumber()
	if decoder.Decode(&value) != nil {
		return nil
	}
	for key := range strings.SplitSeq(path, ".") {
		switch node := value.(type) {
		case map[string]any:
			value = node[key]
		case []any:
			i := int(key[0] - '0')
			if i >= len(node) {
				return nil
			}
			value = node[i]
		default:
			return nil
		}
	}
	return value
}

func (a answer) text(path string) string {
	text, _ := a.field(path).(string)
	return text
}

// faults are a problem's errors as "pointer code", or "?parameter code".
func (a answer) faults() []string {
	var p struct {
		Errors []gateway.Fault `json:"errors"`
	}
	_ = json.Unmarshal(a.body, &p)
	list := []string{}
	for _, f := range p.Errors {
		where := f.Pointer
		if f.Parameter != "" {
			where = "?" + f.Parameter
		}
		list = append(list, where+" "+f.Code)
	}
	return list
}

// request is one call; the zero values of its fields are what most calls need.
type request struct {
	key, method, path, body, contentType string
	header                               map[string]string
}

// send makes the call and reads the answer.
func (s *server) send(r request) answer {
	s.t.Helper()
	var body io.Reader
	if r.body != "" {
		body = strings.NewReader(r.body)
	}
	req, err := http.NewRequestWithContext(s.t.Context(), r.method, "http://"+s.address+r.path, body)
	if err != nil {
		s.t.Fatal(err)
	}
	if r.key != "" {
		req.Header.Set("Authorization", "Bearer "+r.key)
	}
	if r.contentType == "" {
		r.contentType = "application/json"
	}
	if r.body != "" {
		req.Header.Set("Content-Type", r.contentType)
	}
	for name, value := range r.header {
		req.Header.Set(name, value)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatalf("%s %s: %v", r.method, r.path, err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		s.t.Fatalf("%s %s: %v", r.method, r.path, err)
	}
	a := answer{res.StatusCode, res.Header, text}
	c, err := described()
	if err != nil {
		s.t.Fatal(err)
	}
	if operation := c.judge(s.t, req, a); s.seen != nil && a.status < 300 {
		s.seen[operation] = true
	}
	return a
}

// call is send with the operator's key; the answer must have the status.
func (s *server) call(status int, method, path, body string) answer {
	s.t.Helper()
	return s.as(operatorKey, status, method, path, body)
}

// as is call with another key.
func (s *server) as(key string, status int, method, path, body string) answer {
	s.t.Helper()
	a := s.send(request{key: key, method: method, path: path, body: body})
	if a.status != status {
		s.t.Fatalf("%s %s answered %d, want %d: %s", method, path, a.status, status, a.body)
	}
	return a
}

// organisation makes an organisation and a key of it.
func (s *server) organisation(id string) (key string) {
	s.t.Helper()
	s.call(201, "POST", "/v1/organisations", `{"id":"`+id+`","name":"`+id+`"}`)
	return s.key(`{"kind":"organisation","name":"test","organisation":"` + id + `"}`)
}

func (s *server) key(body string) string {
	s.t.Helper()
	return s.call(201, "POST", "/v1/keys", body).text("key")
}

// attempted records what a worker would: an attempt of a delivery that failed.
func (s *server) attempted(delivery string) {
	s.t.Helper()
	at := gateway.At(time.Now())
	err := s.store.Record(s.t.Context(), []gateway.Result{{
		Delivery: delivery, Status: gateway.Pending, Reason: gateway.Retrying, NextAttemptAt: at.Add(time.Hour), Failures: 1,
		Attempt: &gateway.Attempt{
			Number: 1, At: at, DurationMs: 1.5, Trigger: gateway.BySchedule, URL: "https://hook.example.com", Status: 500, Failure: "status",
			Error: "answered 500", RequestHeaders: map[string]string{"webhook-id": "e1"}, ResponseHeaders: map[string]string{"server": "x"}, ResponseBody: "no",
		},
	}})
	if err != nil {
		s.t.Fatal(err)
	}
}

// tested asks for a test of a webhook and records, as a worker would, that it was delivered.
func (s *server) tested(key, hook string) {
	s.t.Helper()
	done := make(chan answer)
	go func() { done <- s.send(request{key: key, method: "POST", path: hook + "/test"}) }()
	for {
		select {
		case a := <-done:
			if a.status != 200 {
				s.t.Errorf("the test answered %d: %s", a.status, a.body)
			}
			return
		case <-time.After(5 * time.Millisecond):
		}
		list, _, err := s.store.ListDeliveries(s.t.Context(), gateway.Everyone(), gateway.DeliveryFilter{}, gateway.Page{Limit: 10})
		if err != nil {
			s.t.Fatal(err)
		}
		for _, d := range list {
			if d.Test && d.Status == gateway.Pending {
				at := gateway.At(time.Now())
				err := s.store.Record(s.t.Context(), []gateway.Result{{
					Delivery: d.ID, Status: gateway.Delivered, FinishedAt: at,
					Attempt: &gateway.Attempt{Number: 1, At: at, Trigger: gateway.ByTest, Status: 204, LocalAddress: "127.0.0.1"},
				}})
				if err != nil {
					s.t.Fatal(err)
				}
			}
		}
	}
}
