package worker_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/unihook/unihook/gateway"
	"github.com/unihook/unihook/gateway/egress"
	"github.com/unihook/unihook/gateway/sqlitestore"
	"github.com/unihook/unihook/products"
	"github.com/unihook/unihook/worker"
	"github.com/unihook/unihook/worker/queue"
)

// patience is how long a test waits for what must happen: long, since the machine may be busy.
const patience = time.Minute

var operator = gateway.Actor{Kind: gateway.KindOperator, Key: "operator"}

// bench is a whole gateway with one worker or more, on the embedded store and queue.
type bench struct {
	t       testing.TB
	gateway *gateway.Gateway
	store   *sqlitestore.Store
	queue   *queue.Queue
	client  *egress.Client
	change  []func(*worker.Options)
	log     *slog.Logger
}

func quiet() *slog.Logger {
	if os.Getenv("UNIHOOK_TEST_LOG") != "" {
		return slog.New(slog.NewTextHandler(os.Stderr, nil))
	}
	return slog.New(slog.DiscardHandler)
}

// open makes a bench without a worker. The options are those of each worker that is started.
func open(t testing.TB, change ...func(*worker.Options)) *bench {
	t.Helper()
	b := &bench{t: t, change: change, log: quiet()}
	var err error
	if b.store, err = sqlitestore.Open(t.Context(), t.TempDir(), sqlitestore.Options{}); err != nil {
		t.Fatal(err)
	}
	if b.queue, err = queue.Open(t.Context(), queue.Options{}); err != nil {
		t.Fatal(err)
	}
	catalogue, err := products.Builtin()
	if err != nil {
		t.Fatal(err)
	}
	seals, err := gateway.OpenSeals(t.Context(), b.store, make([]byte, gateway.WrappingKeyBytes))
	if err != nil {
		t.Fatal(err)
	}
	loopback, err := egress.ParseAllowance("127.0.0.0/8")
	if err != nil {
		t.Fatal(err)
	}
	policy := &egress.Policy{AllowHTTP: true, Networks: []egress.Allowance{loopback}}
	if b.client, err = egress.New(egress.Options{Policy: policy}); err != nil {
		t.Fatal(err)
	}
	b.gateway, err = gateway.New(gateway.Options{
		Store: b.store, Queue: b.queue, Catalogue: catalogue, Policy: policy, Seals: seals,
		OperatorKey: "operator-key-of-at-least-32-characters", DefaultStatus: gateway.Active, Log: b.log,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		b.gateway.Close()
		b.client.Close()
		if err := b.queue.Close(); err != nil {
			t.Error(err)
		}
		if err := b.store.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

// worker makes a worker that is not running.
func (b *bench) worker() *worker.Worker {
	b.t.Helper()
	o := worker.Options{Gateway: b.gateway, Store: b.store, Queue: b.queue, Client: b.client, Log: b.log, Grace: patience / 2}
	for _, edit := range b.change {
		edit(&o)
	}
	w, err := worker.New(o)
	if err != nil {
		b.t.Fatal(err)
	}
	return w
}

// run runs a worker until stop is called, or the test ends.
func (b *bench) run() (w *worker.Worker, stop func()) {
	b.t.Helper()
	w = b.worker()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		select {
		case err := <-ended:
			if err != nil {
				b.t.Error(err)
			}
		case <-time.After(patience):
			b.t.Error("the worker did not end")
		}
	})
	b.t.Cleanup(stop)
	return w, stop
}

func input[T any](value T) gateway.Body[T] { return gateway.Body[T]{Value: value} }

func (b *bench) organisation(id string) {
	b.t.Helper()
	_, err := b.gateway.CreateOrganisation(b.t.Context(), operator, input(gateway.OrganisationInput{ID: gateway.Given(id), Name: gateway.Given(id)}))
	if err != nil {
		b.t.Fatal(err)
	}
}

// webhook makes one of the organisation for payments, with an endpoint per URL. The fields are those of the API, as
// JSON would hold them.
func (b *bench) webhook(organisation string, edit func(*gateway.WebhookInput), urls ...string) gateway.Webhook {
	b.t.Helper()
	in := gateway.WebhookInput{
		Organisation: gateway.Given(organisation),
		Events:       gateway.Given([]gateway.SelectionInput{{Product: gateway.Given("payments"), Type: gateway.Given("*")}}),
	}
	var endpoints []gateway.EndpointInput
	for _, url := range urls {
		endpoints = append(endpoints, gateway.EndpointInput{URL: gateway.Given(url)})
	}
	in.Endpoints = gateway.Given(endpoints)
	if edit != nil {
		edit(&in)
	}
	w, err := b.gateway.CreateWebhook(b.t.Context(), operator, input(in))
	if err != nil {
		b.t.Fatal(err)
	}
	return w
}

// patch changes a webhook.
func (b *bench) patch(w gateway.Webhook, in gateway.WebhookInput) {
	b.t.Helper()
	present, err := b.gateway.FindWebhook(b.t.Context(), operator, w.ID)
	if err == nil {
		_, err = b.gateway.UpdateWebhook(b.t.Context(), operator, present, input(in), nil)
	}
	if err != nil {
		b.t.Fatal(err)
	}
}

// publish publishes a payment with a number, and answers its event's id.
func (b *bench) publish(organisation string, n int) string {
	b.t.Helper()
	id := fmt.Sprintf("evt_%s_%06d", organisation, n)
	in := gateway.EventInput{
		ID: gateway.Given(id), Product: gateway.Given("payments"), Type: gateway.Given("paiement.success"),
		Organisation: gateway.Given(organisation), Data: gateway.Given(gateway.RawJSON(fmt.Sprintf(`{"id":"pmt_%d","amount":%d}`, n, n))),
	}
	if _, err := b.gateway.Publish(b.t.Context(), operator, input(in)); err != nil {
		b.t.Fatal(err)
	}
	return id
}

// deliveries lists what the filter finds, with attempts.
func (b *bench) deliveries(filter gateway.DeliveryFilter) []gateway.Delivery {
	b.t.Helper()
	list, _, err := b.store.ListDeliveries(b.t.Context(), gateway.Everyone(), filter, gateway.Page{Limit: 200})
	if err != nil {
		b.t.Fatal(err)
	}
	for i := range list {
		if list[i], err = b.gateway.FindDelivery(b.t.Context(), operator, list[i].ID); err != nil {
			b.t.Fatal(err)
		}
	}
	return list
}

func (b *bench) counts(filter gateway.DeliveryFilter) map[gateway.DeliveryStatus]int {
	b.t.Helper()
	counts, err := b.store.CountDeliveries(b.t.Context(), gateway.Everyone(), filter)
	if err != nil {
		b.t.Fatal(err)
	}
	return counts
}

// state is what is stored of an endpoint.
func (b *bench) state(endpoint string) gateway.EndpointState {
	b.t.Helper()
	list, err := b.store.EndpointStates(b.t.Context(), []string{endpoint})
	if err != nil {
		b.t.Fatal(err)
	}
	if len(list) == 0 {
		return gateway.EndpointState{}
	}
	return list[0]
}

// eventually asks until it is so.
func (b *bench) eventually(what string, is func() bool) {
	b.t.Helper()
	b.within(patience, what, is)
}

func (b *bench) within(patience time.Duration, what string, is func() bool) {
	b.t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	end := time.After(patience)
	for !is() {
		select {
		case <-tick.C:
		case <-end:
			b.t.Fatalf("in %v it did not happen: %s; of what is pending: %s", patience, what, b.pending())
		}
	}
}

// insist does until it is done: on a busy machine the queue may take longer for an answer than its client waits.
func (b *bench) insist(do func() error) {
	b.t.Helper()
	b.eventually("the queue answers", func() bool { return do() == nil })
}

// pending describes some of what is pending, and the lanes.
func (b *bench) pending() (text string) {
	list, _, err := b.store.ListDeliveries(context.Background(), gateway.Everyone(),
		gateway.DeliveryFilter{Statuses: []gateway.DeliveryStatus{gateway.Pending}, Oldest: true}, gateway.Page{Limit: 5})
	if err != nil {
		return err.Error()
	}
	for _, d := range list {
		text += fmt.Sprintf("\n%s %s, %d attempts, made %s, next %s, %+v, endpoint %+v", d.ID, d.Reason, d.AttemptCount, d.CreatedAt, d.NextAttemptAt, d.Place, b.state(d.Endpoint))
	}
	return text
}

// settled waits until nothing is pending, for as long as it becomes less.
func (b *bench) settled() {
	b.t.Helper()
	pending := func() int { return b.counts(gateway.DeliveryFilter{})[gateway.Pending] }
	for left := pending(); left > 0; {
		before := left
		b.eventually("less is pending", func() bool {
			left = pending()
			return left < before
		})
	}
}

// received is one request at a receiver.
type received struct {
	header http.Header
	body   []byte
	at     time.Time
}

func (r received) id() string { return r.header.Get("webhook-id") }

// receiver keeps a ledger of what it got, and answers as its answer says.
type receiver struct {
	*httptest.Server
	mu     sync.Mutex
	got    []received
	answer http.HandlerFunc
	// arrived has room for more than any test sends.
	arrived chan received
}

func receive(t testing.TB, answer http.HandlerFunc) *receiver {
	r := &receiver{answer: answer, arrived: make(chan received, 100_000)}
	r.Server = httptest.NewServer(http.HandlerFunc(r.serve))
	t.Cleanup(r.Close)
	return r
}

func (r *receiver) serve(out http.ResponseWriter, in *http.Request) {
	body, _ := io.ReadAll(in.Body)
	got := received{in.Header.Clone(), body, time.Now()}
	r.mu.Lock()
	r.got = append(r.got, got)
	answer := r.answer
	r.mu.Unlock()
	r.arrived <- got
	if answer != nil {
		answer(out, in)
	}
}

// answers changes what the receiver says from now on.
func (r *receiver) answers(answer http.HandlerFunc) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.answer = answer
}

func (r *receiver) ledger() []received {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]received(nil), r.got...)
}

// times counts requests by event.
func (r *receiver) times() map[string]int {
	times := map[string]int{}
	for _, got := range r.ledger() {
		times[got.id()]++
	}
	return times
}

func (r *receiver) next(t testing.TB) received {
	t.Helper()
	select {
	case got := <-r.arrived:
		return got
	case <-time.After(patience):
		t.Fatalf("no request in %v", patience)
		return received{}
	}
}

func status(code int) http.HandlerFunc {
	return func(out http.ResponseWriter, _ *http.Request) { out.WriteHeader(code) }
}

func retries(delays ...string) func(*gateway.WebhookInput) {
	return func(in *gateway.WebhookInput) {
		in.Retry = gateway.Given(gateway.RetryInput{Schedule: gateway.Given("custom"), Delays: gateway.Given(append([]string{}, delays...))})
	}
}

func scale(by float64) func(*worker.Options) {
	return func(o *worker.Options) { o.RetryScale = by }
}

func mustJSON(t testing.TB, text []byte, into any) {
	t.Helper()
	if err := json.Unmarshal(text, into); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
}
