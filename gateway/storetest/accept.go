package storetest

import (
	"slices"
	"strings"
	"sync/atomic"

	"github.com/google/go-cmp/cmp"

	"github.com/unihook/unihook/gateway"
)

func acceptCases() []testCase {
	return []testCase{
		{"NewEvents_AreWrittenWithTheirDeliveries", acceptNew},
		{"TakenEvent_ItsDeliveriesAreNotWritten", acceptTaken},
		{"TwinsInOneCall_TheFirstCounts", acceptTwins},
		{"OneIDInTwoOrganisations_AreTwoEvents", acceptOrganisations},
		{"ConcurrentPublishersOfOneID_MakeOneEvent", acceptConcurrently},
		{"Repeated_ChangesNothing", acceptRepeated},
		{"InsertDeliveries_WritesWhatIsMissing", insertMissing},
		{"Nothing_IsAccepted", acceptNothing},
	}
}

func acceptNew(f *fixture) {
	e1, d1 := f.event(acme, 0, "ep_a", "ep_b")
	e2, d2 := f.event(other, 1, "ep_c")
	e3, _ := f.event(acme, 2)
	spare := d2[0]
	spare.Place = gateway.Place{Turn: at(9)}
	taken, err := f.Accept(f.ctx, []gateway.Event{e1, e2, e3}, append(d1, spare))
	f.ok(err)
	f.same("taken", taken, []bool{false, false, false})

	want := append(slices.Clone(d1), spare)
	got, err := f.DeliveriesByID(f.ctx, []string{d1[0].ID, "dlv_unknown", d1[1].ID, spare.ID})
	f.ok(err)
	if diff := cmp.Diff(want, got, byID()); diff != "" {
		f.Errorf("deliveries (-want +got):\n%s", diff)
	}
	for _, e := range []gateway.Event{e1, e2, e3} {
		got, err := f.EventsByKey(f.ctx, []string{gateway.EventKey(e.Organisation, e.ID)})
		f.ok(err)
		f.same("event", got, []gateway.Event{e})
	}
}

func acceptTaken(f *fixture) {
	e1, d1 := f.accept(acme, 0, "ep_a")
	again := e1
	again.AcceptedAt, again.Data = at(5), []byte(`{"other":1}`)
	late := f.delivery(again, "ep_b")
	e2, d2 := f.event(acme, 6, "ep_a")
	taken, err := f.Accept(f.ctx, []gateway.Event{again, e2}, []gateway.Delivery{late, d2[0]})
	f.ok(err)
	f.same("taken", taken, []bool{true, false})
	got, err := f.DeliveriesByID(f.ctx, []string{d1[0].ID, late.ID, d2[0].ID})
	f.ok(err)
	f.same("deliveries", sorted(ids(got)), sorted([]string{d1[0].ID, d2[0].ID}))
	first, err := f.Event(f.ctx, gateway.Only(acme), e1.ID)
	f.ok(err)
	f.same("the first event", first, e1)
}

func acceptTwins(f *fixture) {
	first, d1 := f.event(acme, 0, "ep_a")
	second := first
	second.AcceptedAt = at(1)
	d2 := f.delivery(second, "ep_a")
	second.Plan = []gateway.Planned{{Delivery: d2.ID, Endpoint: "ep_a", Webhook: d2.Webhook, Revision: 3, Shape: d2.Shape}}
	taken, err := f.Accept(f.ctx, []gateway.Event{first, second}, []gateway.Delivery{d1[0], d2})
	f.ok(err)
	f.same("taken", taken, []bool{false, true})
	list, _, err := f.ListDeliveries(f.ctx, gateway.Only(acme), gateway.DeliveryFilter{}, gateway.Page{Limit: 10})
	f.ok(err)
	f.same("deliveries", ids(list), ids(d1))
}

func acceptOrganisations(f *fixture) {
	e1, _ := f.accept(acme, 0, "ep_a")
	e2 := e1
	e2.Organisation, e2.AcceptedAt, e2.Order, e2.Data = other, at(1), e1.Order+"1", []byte(`{"of":"other"}`)
	taken, err := f.Accept(f.ctx, []gateway.Event{e2}, nil)
	f.ok(err)
	f.same("taken", taken, []bool{false})
	for _, want := range []gateway.Event{e1, e2} {
		got, err := f.Event(f.ctx, gateway.Only(want.Organisation), want.ID)
		f.ok(err)
		f.same("event of "+want.Organisation, got, want)
	}
	newest, err := f.Event(f.ctx, gateway.Everyone(), e1.ID)
	f.ok(err)
	f.same("the operator sees the newest", newest, e2)
}

func acceptConcurrently(f *fixture) {
	e, d := f.event(acme, 0, "ep_a", "ep_b")
	var fresh atomic.Int32
	together(20, func(i int) {
		mine, deliveries := e, slices.Clone(d)
		taken, err := f.Accept(f.ctx, []gateway.Event{mine}, deliveries)
		if err != nil {
			f.Error(err)
			return
		}
		if !taken[0] {
			fresh.Add(1)
		}
	})
	if fresh.Load() != 1 {
		f.Errorf("%d publishers were the first, want 1", fresh.Load())
	}
	events, _, err := f.ListEvents(f.ctx, gateway.Only(acme), gateway.EventFilter{}, gateway.Page{Limit: 10})
	f.ok(err)
	counts, err := f.CountDeliveries(f.ctx, gateway.Only(acme), gateway.DeliveryFilter{})
	f.ok(err)
	f.same("events", len(events), 1)
	f.same("deliveries", counts, map[gateway.DeliveryStatus]int{gateway.Pending: 2})
}

func acceptRepeated(f *fixture) {
	e, d := f.accept(acme, 0, "ep_a")
	f.ok(f.Record(f.ctx, []gateway.Result{delivered(d[0], 1)}))
	before := f.stored(d[0].ID)
	taken, err := f.Accept(f.ctx, []gateway.Event{e}, d)
	f.ok(err)
	f.same("taken", taken, []bool{true})
	f.ok(f.InsertDeliveries(f.ctx, d))
	f.same("the delivery", f.stored(d[0].ID), before)
}

func insertMissing(f *fixture) {
	e, d := f.event(acme, 0, "ep_a", "ep_b")
	_, err := f.Accept(f.ctx, []gateway.Event{e}, d[:1])
	f.ok(err)
	f.ok(f.InsertDeliveries(f.ctx, d))
	replay := "rpl_1"
	test := f.delivery(e, "ep_c")
	test.Test = true
	again := f.delivery(e, "ep_d")
	again.ID, again.Replay = gateway.DeliveryID(at(7), acme, e.ID, "ep_d", replay), &replay
	f.ok(f.InsertDeliveries(f.ctx, []gateway.Delivery{test, again}))
	got, err := f.DeliveriesByID(f.ctx, []string{d[0].ID, d[1].ID, test.ID, again.ID})
	f.ok(err)
	if diff := cmp.Diff([]gateway.Delivery{d[0], d[1], test, again}, got, byID()); diff != "" {
		f.Errorf("deliveries (-want +got):\n%s", diff)
	}
}

func acceptNothing(f *fixture) {
	taken, err := f.Accept(f.ctx, nil, nil)
	f.ok(err)
	f.same("taken", taken, []bool{})
	f.ok(f.InsertDeliveries(f.ctx, nil))
	f.ok(f.Record(f.ctx, nil))
	f.ok(f.Claim(f.ctx, nil))
	f.ok(f.Park(f.ctx, nil))
	f.ok(f.RenewRun(f.ctx, "run_1", nil, at(1)))
	f.ok(f.PutShapes(f.ctx, nil))
	f.ok(f.PutAccounts(f.ctx, nil))
	f.ok(f.TouchKeys(f.ctx, nil))
	for name, read := range map[string]func() (int, error){
		"DeliveriesByID": func() (int, error) { l, err := f.DeliveriesByID(f.ctx, nil); return len(l), err },
		"EventsByKey":    func() (int, error) { l, err := f.EventsByKey(f.ctx, nil); return len(l), err },
		"WebhooksByID":   func() (int, error) { l, err := f.WebhooksByID(f.ctx, nil); return len(l), err },
		"Shapes":         func() (int, error) { l, err := f.Shapes(f.ctx, nil); return len(l), err },
		"EndpointStates": func() (int, error) { l, err := f.EndpointStates(f.ctx, nil); return len(l), err },
		"SwapEndpoints":  func() (int, error) { l, err := f.SwapEndpoints(f.ctx, nil); return len(l), err },
		"CountParked":    func() (int, error) { l, err := f.CountParked(f.ctx, nil); return len(l), err },
	} {
		n, err := read()
		if n != 0 || err != nil {
			f.Errorf("%s of nothing: got %d and error %v", name, n, err)
		}
	}
}

func sorted(list []string) []string {
	slices.SortFunc(list, strings.Compare)
	return list
}
