package gateway_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/unihook/unihook/gateway"
	"github.com/unihook/unihook/gateway/sign"
	"github.com/unihook/unihook/mapping"
)

// stored puts an active webhook with the endpoint ep_1 into the store as it is, past all checks.
func (b *bench) stored(t *testing.T, organisation string, edit func(*gateway.Webhook)) gateway.Webhook {
	t.Helper()
	w := gateway.Webhook{
		ID: gateway.NewID(gateway.PrefixWebhook, b.clock.now()), Organisation: organisation, Revision: 1, Name: "test",
		Status: gateway.Active, Endpoints: []gateway.Endpoint{{ID: "ep_1", URL: "https://hook.example.com"}},
		Events: []gateway.Selection{{Product: "payments", Type: "paiement.success"}}, Payload: gateway.PayloadEvent,
		Signing: gateway.Signing{Scheme: "none"}, Retry: gateway.Retry{Schedule: "standard", Gone: "stop"}, TimeoutSeconds: 30,
	}
	edit(&w)
	if err := b.store.InsertWebhook(t.Context(), w); err != nil {
		t.Fatal(err)
	}
	b.clock.move(time.Second) // past the age of every snapshot
	return w
}

func unchanged(*gateway.Webhook) {}

// payment is what a publisher writes of a payment.
func payment(id, organisation, data string) gateway.EventInput {
	return gateway.EventInput{
		ID: gateway.Given(id), Product: gateway.Given("payments"), Type: gateway.Given("paiement.success"),
		Organisation: gateway.Given(organisation), Data: gateway.Given(gateway.RawJSON(data)),
	}
}

func (b *bench) publish(t *testing.T, in gateway.EventInput) gateway.Published {
	t.Helper()
	answer, err := b.Publish(t.Context(), operator, body(in))
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

func (b *bench) deliveries(t *testing.T, filter gateway.DeliveryFilter) []gateway.Delivery {
	t.Helper()
	list, _, err := b.ListDeliveries(t.Context(), operator, gateway.Everyone(), filter, gateway.Page{Limit: 200})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func TestPublish(t *testing.T) {
	t.Run("Accepted_ItsDeliveriesAreClaimedAndListed", func(t *testing.T) {
		b := openBench(t)
		b.organisation(t, "org_a")
		w := b.stored(t, "org_a", unchanged)
		want := gateway.Published{ID: "evt_1", Deliveries: 1}
		if diff := cmp.Diff(want, b.publish(t, payment("evt_1", "org_a", `{"id":"pmt_1"}`))); diff != "" {
			t.Fatal(diff)
		}
		list := b.deliveries(t, gateway.DeliveryFilter{Event: "evt_1"})
		if len(list) != 1 || list[0].Webhook != w.ID || list[0].Status != gateway.Pending || list[0].Place.Run == "" || list[0].NextAttemptAt == 0 {
			t.Errorf("got %+v, want one claimed delivery of %s", list, w.ID)
		}
	})

	t.Run("Again_SendsNothingNew", func(t *testing.T) {
		b := openBench(t)
		b.organisation(t, "org_a")
		b.stored(t, "org_a", unchanged)
		b.publish(t, payment("evt_1", "org_a", `{"a":1}`))
		want := gateway.Published{ID: "evt_1", Deliveries: 1, Duplicate: true}
		if diff := cmp.Diff(want, b.publish(t, payment("evt_1", "org_a", `{"a":1}`))); diff != "" {
			t.Error(diff)
		}
		if n := len(b.deliveries(t, gateway.DeliveryFilter{})); n != 1 {
			t.Errorf("got %d deliveries, want 1", n)
		}
	})

	t.Run("SameIDAndOtherData_IsAConflict", func(t *testing.T) {
		b := openBench(t)
		b.organisation(t, "org_a")
		b.publish(t, payment("evt_1", "org_a", `{"a":1}`))
		_, err := b.Publish(t.Context(), operator, body(payment("evt_1", "org_a", `{"a":1.0}`)))
		if !gateway.IsKind(err, gateway.Conflict) {
			t.Errorf("got %v, want a conflict", err)
		}
	})

	t.Run("SameIDOfAnotherOrganisation_IsAnotherEvent", func(t *testing.T) {
		b := openBench(t)
		b.organisation(t, "org_a")
		b.organisation(t, "org_b")
		b.publish(t, payment("evt_1", "org_a", `{"a":1}`))
		if b.publish(t, payment("evt_1", "org_b", `{"a":2}`)).Duplicate {
			t.Error("another organisation's id counted as a repetition")
		}
	})

	t.Run("HundredPublishersOfOneID_OneEventAndOneSetOfDeliveries", func(t *testing.T) {
		b := openBench(t)
		b.organisation(t, "org_a")
		b.stored(t, "org_a", unchanged)
		var wait sync.WaitGroup
		var mu sync.Mutex
		first := 0
		for range 100 {
			wait.Go(func() {
				answer, err := b.Publish(t.Context(), operator, body(payment("evt_1", "org_a", `{}`)))
				if err != nil {
					t.Error(err)
				}
				mu.Lock()
				defer mu.Unlock()
				if !answer.Duplicate {
					first++
				}
			})
		}
		wait.Wait()
		if n := len(b.deliveries(t, gateway.DeliveryFilter{})); n != 1 || first != 1 {
			t.Errorf("got %d deliveries and %d first publishes, want 1 and 1", n, first)
		}
	})

	t.Run("Faults_AreAllToldAtOnceAndNothingIsStored", func(t *testing.T) {
		b := openBench(t)
		_, err := b.Publish(t.Context(), operator, body(gateway.EventInput{
			ID: gateway.Given("a b"), Product: gateway.Given("nope"), Organisation: gateway.Given("org_none"),
			CreatedAt: gateway.Given("yesterday"), Data: gateway.Given(gateway.RawJSON(`[1]`)),
		}))
		want := []string{"/id id_malformed", "/product product_unknown", "/type type_missing", "/createdAt time_malformed", "/data type_object", "/organisation organisation_unknown"}
		if diff := cmp.Diff(want, codes(err)); diff != "" {
			t.Error(diff)
		}
		list, _, err := b.ListEvents(t.Context(), operator, gateway.Everyone(), gateway.EventFilter{}, gateway.Page{Limit: 10})
		if err != nil || len(list) != 0 {
			t.Errorf("got %v, %v, want no event", list, err)
		}
	})

	t.Run("DataOverItsLimit_IsTooLarge", func(t *testing.T) {
		b := openBench(t, func(o *gateway.Options) { o.MaxEventBytes = 1 << 10 })
		b.organisation(t, "org_a")
		_, err := b.Publish(t.Context(), operator, body(payment("evt_1", "org_a", `{"a":"`+strings.Repeat("x", 1<<10)+`"}`)))
		if !gateway.IsKind(err, gateway.TooLarge) {
			t.Errorf("got %v, want too large", err)
		}
	})

	t.Run("PublisherBeyondItsProductsOrOrganisations_IsForbidden", func(t *testing.T) {
		b := openBench(t)
		b.organisation(t, "org_a")
		for name, a := range map[string]gateway.Actor{
			"products":      {Kind: gateway.KindPublisher, Products: []string{"sms"}},
			"organisations": {Kind: gateway.KindPublisher, Organisations: []string{"org_b"}},
			"kind":          {Kind: gateway.KindOrganisation, Organisation: "org_a"},
		} {
			if _, err := b.Publish(t.Context(), a, body(payment("evt_1", "org_a", `{}`))); !gateway.IsKind(err, gateway.Forbidden) {
				t.Errorf("%s: got %v, want forbidden", name, err)
			}
		}
	})

	t.Run("MorePendingThanAllowed_IsTooMany", func(t *testing.T) {
		b := openBench(t, func(o *gateway.Options) { o.MaxPending = 2 })
		b.organisation(t, "org_a")
		b.stored(t, "org_a", unchanged)
		b.publish(t, payment("evt_1", "org_a", `{}`))
		b.publish(t, payment("evt_2", "org_a", `{}`))
		_, err := b.Publish(t.Context(), operator, body(payment("evt_3", "org_a", `{}`)))
		var e *gateway.Error
		if !errors.As(err, &e) || e.Kind != gateway.TooMany || e.RetryAfter <= 0 {
			t.Errorf("got %v, want too many with a time to come back", err)
		}
	})
}

// cutStore writes events and loses the connection before their deliveries.
type cutStore struct {
	gateway.Store
	mu  sync.Mutex
	cut bool
}

func (s *cutStore) Accept(ctx context.Context, events []gateway.Event, deliveries []gateway.Delivery) ([]bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.cut {
		return s.Store.Accept(ctx, events, deliveries)
	}
	s.cut = false
	if _, err := s.Store.Accept(ctx, events, nil); err != nil {
		return nil, err
	}
	return nil, fmt.Errorf("the connection broke: %w", gateway.ErrAway)
}

func TestPublish_StoreFailsBetweenEventAndDeliveries_PublishingAgainCompletesThem(t *testing.T) {
	cut := &cutStore{cut: true}
	b := openBench(t, func(o *gateway.Options) { cut.Store = o.Store; o.Store = cut })
	b.organisation(t, "org_a")
	b.stored(t, "org_a", unchanged)
	if _, err := b.Publish(t.Context(), operator, body(payment("evt_1", "org_a", `{}`))); !gateway.IsKind(err, gateway.Unavailable) {
		t.Fatalf("got %v, want unavailable", err)
	}
	if n := len(b.deliveries(t, gateway.DeliveryFilter{})); n != 0 {
		t.Fatalf("got %d deliveries after the cut, want none: the test proves nothing", n)
	}
	want := gateway.Published{ID: "evt_1", Deliveries: 1, Duplicate: true}
	if diff := cmp.Diff(want, b.publish(t, payment("evt_1", "org_a", `{}`))); diff != "" {
		t.Error(diff)
	}
	list := b.deliveries(t, gateway.DeliveryFilter{Event: "evt_1"})
	if len(list) != 1 || list[0].Place.Run == "" {
		t.Errorf("got %+v, want one claimed delivery", list)
	}
}

// awayStore holds reads of organisations up until it is released, and is away then.
type awayStore struct {
	gateway.Store
	away    atomic.Bool
	release chan struct{}
	reads   atomic.Int64
}

func (s *awayStore) Organisation(ctx context.Context, id string) (gateway.Organisation, error) {
	if !s.away.Load() {
		return s.Store.Organisation(ctx, id)
	}
	s.reads.Add(1)
	<-s.release
	return gateway.Organisation{}, gateway.ErrAway
}

// TestPublish_StoreAway_PublishersShareTheWait holds that publishers of one organisation do not wait for an absent
// store one after the other.
func TestPublish_StoreAway_PublishersShareTheWait(t *testing.T) {
	store := &awayStore{release: make(chan struct{})}
	b := openBench(t, func(o *gateway.Options) { store.Store = o.Store; o.Store = store })
	b.organisation(t, "org_a")
	store.away.Store(true)
	const publishers = 50
	started := make(chan struct{}, publishers)
	var group sync.WaitGroup
	for i := range publishers {
		group.Go(func() {
			started <- struct{}{}
			_, err := b.Publish(t.Context(), operator, body(payment(fmt.Sprintf("evt_%d", i), "org_a", `{}`)))
			if !gateway.IsKind(err, gateway.Unavailable) {
				t.Errorf("got %v, want unavailable", err)
			}
		})
	}
	for range publishers {
		<-started
	}
	close(store.release)
	group.Wait()
	if n := store.reads.Load(); n >= publishers {
		t.Errorf("%d publishers made %d reads one after the other, want them to share", publishers, n)
	}
}

func TestPublishBatch_EachStandsAlone(t *testing.T) {
	b := openBench(t)
	b.organisation(t, "org_a")
	b.publish(t, payment("evt_taken", "org_a", `{"a":1}`))
	bad := payment("evt_bad", "org_a", `[]`)
	items, err := b.PublishBatch(t.Context(), operator, []gateway.Body[gateway.EventInput]{
		body(payment("evt_1", "org_a", `{}`)), body(bad), body(payment("evt_taken", "org_a", `{"a":2}`)), body(payment("evt_1", "org_a", `{}`)),
	})
	if err != nil {
		t.Fatal(err)
	}
	got := []string{}
	for _, item := range items {
		text, err := json.Marshal(item)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, string(text))
	}
	want := []string{
		`{"status":202,"id":"evt_1","deliveries":0,"duplicate":false}`,
		`{"status":422,"errors":[{"pointer":"/data","code":"type_object","detail":"the data must be a JSON object"}]}`,
		`{"status":409,"detail":"an event \"evt_taken\" with another product, type, account or data was accepted at 2026-05-18T10:32:14.000Z"}`,
		`{"status":202,"id":"evt_1","deliveries":0,"duplicate":true}`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// behindQueue has a run that waits for long.
type behindQueue struct{ idleQueue }

func (*behindQueue) Behind() time.Duration { return 2 * time.Second }

// brokenQueue takes nothing.
type brokenQueue struct{ idleQueue }

func (*brokenQueue) EnqueueRun(context.Context, string, []string) error {
	return errors.New("redis is away")
}

func TestPublish_Places(t *testing.T) {
	t.Run("QueueAway_GivenBackForAFeeder", func(t *testing.T) {
		b := openBench(t, func(o *gateway.Options) { o.Queue = &brokenQueue{} })
		b.organisation(t, "org_a")
		b.stored(t, "org_a", unchanged)
		b.publish(t, payment("evt_1", "org_a", `{}`))
		b.Close() // the queue is told after the answer
		due, err := b.store.Due(t.Context(), gateway.At(b.clock.now()), gateway.At(b.clock.now()), 10)
		if err != nil || len(due) != 1 {
			t.Errorf("got %v, %v due now, want the delivery", due, err)
		}
	})

	t.Run("QueueBehind_SpareInTurns", func(t *testing.T) {
		b := openBench(t, func(o *gateway.Options) { o.Queue = &behindQueue{} })
		b.organisation(t, "org_loud")
		b.organisation(t, "org_quiet")
		b.stored(t, "org_loud", unchanged)
		b.stored(t, "org_quiet", func(w *gateway.Webhook) { w.Endpoints[0].ID = "ep_2" })
		for i := range 10 {
			b.publish(t, payment(fmt.Sprintf("evt_%d", i), "org_loud", `{}`))
		}
		b.clock.move(time.Minute) // by now each of the loud one's turns is past
		b.publish(t, payment("evt_q", "org_quiet", `{}`))
		spare, err := b.store.Spare(t.Context(), 100)
		if err != nil {
			t.Fatal(err)
		}
		at := -1
		for i, d := range spare {
			if d.Organisation == "org_quiet" {
				at = i
			}
		}
		if len(spare) != 11 || at < 0 || at > 1 {
			t.Errorf("got the quiet organisation at turn %d of %d, want it among the first two of 11", at, len(spare))
		}
	})

	t.Run("OrderedOrLimitedWebhook_BornInTheLaneInTheOrderOfAcceptance", func(t *testing.T) {
		limit := 5.0
		for reason, edit := range map[gateway.Reason]func(*gateway.Webhook){
			gateway.InOrder:     func(w *gateway.Webhook) { w.Ordered = true },
			gateway.RateLimited: func(w *gateway.Webhook) { w.RateLimit = &limit },
		} {
			b := openBench(t)
			b.organisation(t, "org_a")
			b.stored(t, "org_a", edit)
			for i := range 5 {
				b.publish(t, payment(fmt.Sprintf("evt_%d", i), "org_a", `{}`))
			}
			lane, err := b.store.LaneHead(t.Context(), "ep_1", "", 10)
			if err != nil {
				t.Fatal(err)
			}
			got := []string{}
			for _, d := range lane {
				got = append(got, d.Event+" "+string(d.Reason))
			}
			want := []string{}
			for i := range 5 {
				want = append(want, fmt.Sprintf("evt_%d %s", i, reason))
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
			b.queue.mu.Lock() // the last hint follows its 202
			if len(b.queue.lanes) == 0 {
				t.Error("nobody was told of the lane")
			}
			b.queue.mu.Unlock()
		}
	})

	t.Run("InactiveWebhookOrOtherAccount_NoDelivery", func(t *testing.T) {
		b := openBench(t)
		b.organisation(t, "org_a")
		b.stored(t, "org_a", func(w *gateway.Webhook) { w.Status = gateway.Inactive })
		b.stored(t, "org_a", func(w *gateway.Webhook) { w.Accounts = []string{"acc_2"} })
		in := payment("evt_1", "org_a", `{}`)
		in.Account = gateway.Given("acc_1")
		if n := b.publish(t, in).Deliveries; n != 0 {
			t.Errorf("got %d deliveries, want none", n)
		}
		in.ID, in.Account = gateway.Given("evt_2"), gateway.Given("acc_2")
		if n := b.publish(t, in).Deliveries; n != 1 {
			t.Errorf("got %d deliveries for a listed account, want 1", n)
		}
	})
}

func TestBody(t *testing.T) {
	remove := func(path string) []mapping.Rule { return []mapping.Rule{{Op: "remove", Path: path}} }
	data := `{"id": 12345678901234567890, "b":1.0, "contact":{"email":"a@b"}}`
	cases := []struct {
		name string
		edit func(*gateway.Webhook)
		want string
	}{
		{"Event", unchanged, `{"id":"evt_1","type":"paiement.success","product":"payments","createdAt":"2026-05-18T10:32:14.000Z","organisation":"org_a","account":"acc \u2028 \"1\"","data":` + data + `}`},
		{"Data", func(w *gateway.Webhook) { w.Payload = gateway.PayloadData }, data},
		{"MostExactSelection_ItsMappingCounts", func(w *gateway.Webhook) {
			w.Payload = gateway.PayloadData
			w.Mapping = remove("b")
			w.Events = []gateway.Selection{{Product: "*", Type: "*"}, {Product: "payments", Type: "paiement.success", Mapping: remove("contact")}, {Product: "payments", Type: "*", Mapping: remove("id")}}
		}, `{"id": 12345678901234567890}`},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			b := openBench(t)
			b.organisation(t, "org_a")
			b.stored(t, "org_a", c.edit)
			in := payment("evt_1", "org_a", data)
			in.Account, in.CreatedAt = gateway.Given("acc \u2028 \"1\""), gateway.Given("2026-05-18T12:32:14.0009+02:00")
			b.publish(t, in)
			e, err := b.FindEvent(t.Context(), operator, gateway.Only("org_a"), "evt_1")
			if err != nil {
				t.Fatal(err)
			}
			got, sig, err := b.Body(t.Context(), e, b.deliveries(t, gateway.DeliveryFilter{})[0], nil)
			if err != nil || sig != "" {
				t.Fatalf("got signature %q, error %v", sig, err)
			}
			if diff := cmp.Diff(c.want, string(got)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestPreview(t *testing.T) {
	b := openBench(t)
	customer := b.organisation(t, "org_a")
	preview := func(rules, data string) (gateway.Preview, error) {
		return b.Preview(t.Context(), customer, body(gateway.PreviewInput{
			Product: gateway.Given("payments"), Type: gateway.Given("paiement.success"), Payload: gateway.Given("data"),
			Mapping: gateway.Given(gateway.RawJSON(rules)), Data: gateway.Given(gateway.RawJSON(data)),
		}))
	}
	t.Run("Body_IsWhatADeliverySends", func(t *testing.T) {
		p, err := preview(`[{"op":"rename","path":"contact.email","to":"mail"},{"op":"remove","path":"nothing.here"}]`, `{"amount": 1.0, "contact":{"email":"a@b"}}`)
		if err != nil {
			t.Fatal(err)
		}
		if want := `{"amount": 1.0, "contact":{"mail":"a@b"}}`; p.Body != want || string(p.After) != want {
			t.Errorf("got %s, want %s", p.Body, want)
		}
		got := []string{}
		for _, w := range p.Warnings {
			got = append(got, fmt.Sprintf("%d %s", w.Rule, w.Code))
		}
		if diff := cmp.Diff([]string{"1 matched_nothing", "1 path_not_in_schema"}, got); diff != "" {
			t.Error(diff)
		}
		if p.Changes[0].Matched != 1 || p.Changes[1].Matched != 0 {
			t.Errorf("got changes %+v", p.Changes)
		}
	})
	t.Run("UnifiedBody_TellsOfAWebhookOfTheOrganisation", func(t *testing.T) {
		p, err := b.Preview(t.Context(), customer, body(gateway.PreviewInput{
			Product: gateway.Given("payments"), Type: gateway.Given("paiement.success"), Payload: gateway.Given("unified"),
			Mapping: gateway.Given(gateway.RawJSON(`[{"op":"remove","path":"data.0.id"}]`)),
		}))
		if err != nil {
			t.Fatal(err)
		}
		want := `"webhook":{"id":"wh_example","name":"Example","organisation":"org_a","events":[{"product":"payments","type":"paiement.success"}],"accounts":[],` +
			`"createdAt":"2026-05-18T10:32:14.000Z","updatedAt":"2026-05-18T10:32:14.000Z"}`
		if !strings.Contains(p.Body, want) {
			t.Errorf("got %s, want %s in it", p.Body, want)
		}
		if len(p.Warnings) != 1 || p.Warnings[0].Code != "required_removed" {
			t.Errorf("got warnings %+v, want that a required property is removed", p.Warnings)
		}
	})
	t.Run("UnifiedBody_SignsTheDataWhereTheRulesPutIt", func(t *testing.T) {
		for rules, place := range map[string][]string{
			`[]`:                                   {"data"},
			`[{"op":"remove","path":"data.0.id"}]`: {"data"},
			`[{"op":"rename","path":"data","to":"items"}]`:                                           {"items"},
			`[{"op":"rename","path":"data","to":"items"},{"op":"rename","path":"type","to":"data"}]`: {"items"},
			`[{"op":"move","path":"d\\ata","to":"page.items"}]`:                                      {"page", "items"},
		} {
			p, err := b.Preview(t.Context(), customer, body(gateway.PreviewInput{
				Product: gateway.Given("payments"), Type: gateway.Given("paiement.success"), Payload: gateway.Given("unified"),
				Mapping: gateway.Given(gateway.RawJSON(rules)), Data: gateway.Given(gateway.RawJSON(`{"id": "1"}`)),
			}))
			if err != nil {
				t.Fatal(rules, err)
			}
			data, ok := mapping.Lookup([]byte(p.Body), place...)
			nonce, _ := mapping.Lookup([]byte(p.Body), "nonce")
			sig, _ := mapping.Lookup([]byte(p.Body), "sig")
			want := sign.UnifiedSig("example", mapping.Compact(nil, data), strings.Trim(string(nonce), `"`))
			if !ok || string(sig) != `"`+want+`"` {
				t.Errorf("%s: got %s, want it signed with %s", rules, p.Body, want)
			}
		}
	})
	t.Run("ContradictingRules_AreRefusedWithTheirPlaces", func(t *testing.T) {
		_, err := preview(`[{"op":"remove","path":"a"},{"op":"rename","path":"a","to":"b"},{"op":"remove","path":""}]`, `{}`)
		if got := codes(err); len(got) == 0 || !strings.HasPrefix(got[0], "/mapping/") {
			t.Errorf("got %v, want faults below /mapping", got)
		}
	})
	t.Run("AnotherOrganisationsEvent_IsNotFound", func(t *testing.T) {
		b.organisation(t, "org_b")
		b.publish(t, payment("evt_b", "org_b", `{}`))
		_, err := b.Preview(t.Context(), customer, body(gateway.PreviewInput{
			Product: gateway.Given("payments"), Type: gateway.Given("paiement.success"), Event: gateway.Given("evt_b"),
		}))
		if !gateway.IsKind(err, gateway.NotFound) {
			t.Errorf("got %v, want not found", err)
		}
	})
}
