package faults

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	toxiproxy "github.com/Shopify/toxiproxy/v2"

	"github.com/unihook/unihook/gateway/storetest"
)

// long is whether the long form runs.
var long = os.Getenv("UNIHOOK_FAULTS") == "long"

// backing is which store the processes share.
type backing string

const (
	sqlite backing = "sqlite"
	mongo  backing = "mongo"
)

// cluster is one api process and two workers on one store and one Redis.
type cluster struct {
	t       *testing.T
	store   backing
	dir     string
	env     []string
	redis   *redisServer
	mongo   *toxiproxy.Proxy // nil on SQLite
	receive *receiver
	api     *process
	apiAddr string
	workers []*process
	client  *http.Client
}

// options change a cluster before it starts.
type options struct {
	store   backing
	workers int
	flags   []string
}

func newCluster(t *testing.T, o options) *cluster {
	t.Helper()
	c := &cluster{t: t, store: o.store, dir: filepath.Join(t.TempDir(), "data"), redis: startRedis(t), receive: newReceiver(t)}
	c.apiAddr = freeAddress(t)
	c.client = newHTTPClient()
	c.env = append(c.env,
		"UNIHOOK_DATA_DIR="+c.dir, "UNIHOOK_REDIS_URI="+c.redis.uri(), "UNIHOOK_OPERATOR_KEY="+operatorKey,
		"UNIHOOK_ENCRYPTION_KEY="+encryptionKey, "UNIHOOK_ALLOW_NETWORK=127.0.0.0/8", "UNIHOOK_CA_FILE="+c.receive.caFile,
		"UNIHOOK_DEFAULT_STATUS=active", "UNIHOOK_RETRY_SCALE=0.2", "UNIHOOK_GRACE=10s",
	)
	if o.store == mongo {
		c.startMongo()
	}
	c.env = append(c.env, o.flags...)
	c.startAPI()
	for range max(o.workers, 1) {
		c.startWorker()
	}
	return c
}

// newHTTPClient gives up on an answer far later than any bound that a test holds.
func newHTTPClient() *http.Client {
	return &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
}

// startMongo leads to a server that speaks MongoDB's protocol.
func (c *cluster) startMongo() {
	c.t.Helper()
	uri, stop, err := storetest.StartMongo(context.Background())
	if errors.Is(err, storetest.ErrNoMongo) {
		missing(c.t, err.Error())
	}
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(stop)
	u, err := url.Parse(uri)
	if err != nil {
		c.t.Fatal(err)
	}
	c.mongo = newProxy(c.t, u.Host)
	u.Host, u.Path = c.mongo.Listen, fmt.Sprintf("/faults_%d", time.Now().UnixNano())
	c.env = append(c.env, "UNIHOOK_MONGO_URI="+u.String())
}

func (c *cluster) startAPI() { c.api = start(c.t, c.env, "api", "--listen", c.apiAddr) }

func (c *cluster) startWorker() {
	c.workers = append(c.workers, start(c.t, c.env, "worker"))
}

// call makes one request to the API and decodes its answer into out.
func (c *cluster) call(method, path string, in, out any) (status int, err error) {
	text, err := json.Marshal(in)
	if err != nil {
		return 0, err
	}
	q, err := http.NewRequest(method, "http://"+c.apiAddr+path, bytes.NewReader(text))
	if err != nil {
		return 0, err
	}
	q.Header.Set("Authorization", "Bearer "+operatorKey)
	q.Header.Set("Content-Type", "application/json")
	if method == http.MethodPatch {
		q.Header.Set("Content-Type", "application/merge-patch+json")
	}
	answer, err := c.client.Do(q)
	if err != nil {
		return 0, err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		return answer.StatusCode, err
	}
	if out != nil && answer.StatusCode < 300 {
		return answer.StatusCode, json.Unmarshal(body, out)
	}
	if answer.StatusCode >= 400 {
		return answer.StatusCode, fmt.Errorf("%s %s: %d %s", method, path, answer.StatusCode, body)
	}
	return answer.StatusCode, nil
}

// must is call for what cannot fail.
func (c *cluster) must(method, path string, in, out any) {
	c.t.Helper()
	if _, err := c.call(method, path, in, out); err != nil {
		c.t.Fatal(err)
	}
}

// hook is a webhook as far as the tests need it.
type hook struct {
	ID        string `json:"id"`
	Endpoints []struct {
		ID     string `json:"id"`
		Health struct {
			Status  string `json:"status"`
			Waiting int    `json:"waiting"`
		} `json:"health"`
	} `json:"endpoints"`
}

func (c *cluster) organisation(id string) {
	c.t.Helper()
	c.must("POST", "/v1/organisations", map[string]any{"id": id, "name": id}, nil)
}

// webhook makes one of an organisation, with an endpoint for each path of the receiver.
func (c *cluster) webhook(organisation string, more map[string]any, paths ...string) hook {
	c.t.Helper()
	in := map[string]any{
		"organisation": organisation, "status": "active",
		"events": []any{map[string]any{"product": "payments", "type": "paiement.success"}},
	}
	var endpoints []any
	for _, path := range paths {
		endpoints = append(endpoints, map[string]any{"url": c.receive.URL + path})
	}
	in["endpoints"] = endpoints
	for key, value := range more {
		in[key] = value
	}
	var made hook
	c.must("POST", "/v1/webhooks", in, &made)
	return made
}

// publisher publishes events until each was acknowledged, with the same id however often that takes.
type publisher struct {
	c            *cluster
	organisation string
	prefix       string

	mu    sync.Mutex
	acked map[string]time.Time
	// answers are how long each answer took that came, whatever it said, by when it was asked for.
	answers []answered
	refused int
}

// answered is one request that was answered.
type answered struct {
	asked time.Time
	took  time.Duration
}

func (c *cluster) publisher(organisation, prefix string) *publisher {
	return &publisher{c: c, organisation: organisation, prefix: prefix, acked: map[string]time.Time{}}
}

// run publishes n events at a rate, side by side; patience bounds how long one is tried.
func (p *publisher) run(ctx context.Context, n int, perSecond float64, patience time.Duration) {
	var wait sync.WaitGroup
	began := time.Now()
	slots := make(chan struct{}, 64)
	for i := range n {
		due := began.Add(time.Duration(float64(i) / perSecond * float64(time.Second)))
		select {
		case <-time.After(time.Until(due)):
		case <-ctx.Done():
			return
		}
		slots <- struct{}{}
		wait.Go(func() {
			defer func() { <-slots }()
			p.one(ctx, fmt.Sprintf("%s_%d", p.prefix, i), patience)
		})
	}
	wait.Wait()
}

// one publishes an event until it is acknowledged.
func (p *publisher) one(ctx context.Context, id string, patience time.Duration) {
	in := map[string]any{
		"id": id, "product": "payments", "type": "paiement.success", "organisation": p.organisation,
		"data": map[string]any{"id": id, "amount": 5000, "currency": "EUR", "contact": map[string]any{"id": "c"}},
	}
	end := time.Now().Add(patience)
	for ctx.Err() == nil && time.Now().Before(end) {
		began := time.Now()
		status, err := p.c.call("POST", "/v1/events", in, nil)
		p.note(id, status, err, began)
		if status == http.StatusAccepted {
			return
		}
		<-time.After(100 * time.Millisecond)
	}
}

func (p *publisher) note(id string, status int, err error, asked time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case status == http.StatusAccepted:
		p.acked[id] = time.Now()
	case status != 0 && status != http.StatusServiceUnavailable:
		p.c.t.Errorf("publishing %s: %v; want 202, or 503 while something is away", id, err)
	default:
		p.refused++
	}
	if status != 0 {
		p.answers = append(p.answers, answered{asked, time.Since(asked)})
	}
}

// answeredWithin is how long the answers took that were asked for in a span: the middle one and the slowest.
func (p *publisher) answeredWithin(from, to time.Time) (middle, slowest time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var list []time.Duration
	for _, a := range p.answers {
		if !a.asked.Before(from) && a.asked.Before(to) {
			list = append(list, a.took)
		}
	}
	if len(list) == 0 {
		return 0, 0
	}
	slices.Sort(list)
	return list[len(list)/2], list[len(list)-1]
}

func (p *publisher) ids() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	list := make([]string, 0, len(p.acked))
	for id := range p.acked {
		list = append(list, id)
	}
	slices.Sort(list)
	return list
}

// count is what arrived of the acknowledged events at a path.
func (c *cluster) count(p *publisher, path string) (lost []string, duplicates int) {
	seen := c.receive.seen(path)
	for _, id := range p.ids() {
		switch n := seen[id]; {
		case n == 0:
			lost = append(lost, id)
		default:
			duplicates += n - 1
		}
	}
	return lost, duplicates
}

// awaitAll waits until every acknowledged event arrived at every path, and answers how long that took and how many
// came twice.
func (c *cluster) awaitAll(p *publisher, patience time.Duration, paths ...string) (took time.Duration, duplicates int) {
	c.t.Helper()
	began := time.Now()
	for {
		var lost []string
		duplicates = 0
		for _, path := range paths {
			l, d := c.count(p, path)
			lost, duplicates = append(lost, l...), duplicates+d
		}
		if len(lost) == 0 {
			return time.Since(began), duplicates
		}
		if time.Since(began) > patience {
			c.t.Fatalf("%d of %d acknowledged events did not arrive within %s, such as %s; %s",
				len(lost), len(p.ids()), patience, strings.Join(lost[:min(3, len(lost))], ", "), c.about(lost[0]))
		}
		<-time.After(50 * time.Millisecond)
	}
}

// about tells what the API knows of an event's deliveries, for a failure.
func (c *cluster) about(event string) string {
	var list struct {
		Data []json.RawMessage `json:"data"`
	}
	if _, err := c.call("GET", "/v1/deliveries?event="+event, nil, &list); err != nil {
		return err.Error()
	}
	return fmt.Sprintf("its deliveries: %s", list.Data)
}
