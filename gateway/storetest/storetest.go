// Package storetest is the suite that every gateway.Store must pass. It holds each promise of the contract's comments,
// with few records, so that it also runs against a slow server. A new store method starts as a case here.
//
//	func TestStore(t *testing.T) {
//		storetest.Run(t, func(t *testing.T) gateway.Store { return openEmpty(t) })
//	}
package storetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/unihook/unihook/gateway"
)

// Run runs the suite. Open opens an empty store, and closes it when its test ends.
func Run(t *testing.T, open func(t *testing.T) gateway.Store) {
	groups := []struct {
		name  string
		cases []testCase
	}{
		{"Organisation", organisationCases()},
		{"Key", keyCases()},
		{"Webhook", webhookCases()},
		{"Accept", acceptCases()},
		{"Event", eventCases()},
		{"Delivery", deliveryCases()},
		{"Place", placeCases()},
		{"Lane", laneCases()},
		{"Record", recordCases()},
		{"Endpoint", endpointCases()},
		{"Job", jobCases()},
		{"Audit", auditCases()},
		{"Keyring", keyringCases()},
	}
	for _, group := range groups {
		t.Run(group.name, func(t *testing.T) {
			for _, c := range group.cases {
				t.Run(c.name, func(t *testing.T) {
					c.run(&fixture{T: t, Store: open(t), ctx: t.Context()})
				})
			}
		})
	}
}

// testCase is one promise.
type testCase struct {
	name string
	run  func(f *fixture)
}

// fixture is what a case works with: an empty store, and makers of records.
type fixture struct {
	*testing.T
	gateway.Store
	ctx context.Context
	n   int
}

const (
	acme  = "org_acme"
	other = "org_other"
)

// start is when the records of the suite begin: not a whole second, so that what cuts milliseconds is found.
const start gateway.Time = 1779100334123

// at is so many seconds after start.
func at(seconds int) gateway.Time { return start.Add(time.Duration(seconds) * time.Second) }

// ok ends the case on an error.
func (f *fixture) ok(err error) {
	f.Helper()
	if err != nil {
		f.Fatalf("got error %v", err)
	}
}

// is ends the case unless err is want.
func (f *fixture) is(err, want error) {
	f.Helper()
	if !errors.Is(err, want) {
		f.Fatalf("got error %v, want %v", err, want)
	}
}

// same fails the case where got and want differ; nil and empty lists are alike.
func (f *fixture) same(what string, got, want any) {
	f.Helper()
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		f.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// next is a number that rises.
func (f *fixture) next() int {
	f.n++
	return f.n
}

// event makes an event accepted so many seconds after start, and its deliveries, one for each endpoint, claimed by
// "run_1" until ClaimFor later.
func (f *fixture) event(organisation string, second int, endpoints ...string) (gateway.Event, []gateway.Delivery) {
	n := f.next()
	accepted := at(second)
	e := gateway.Event{
		ID: fmt.Sprintf("evt_%04d", n), Product: "payments", Type: "paiement.success", Organisation: organisation, Account: "acc_1",
		CreatedAt: gateway.Moment(accepted.Add(-time.Second)), AcceptedAt: accepted, Data: []byte(fmt.Sprintf(`{"n":%d}`, n)),
		Hash: []byte{byte(n), 0, 255}, Order: fmt.Sprintf("%016x%04x", int64(accepted)*1000, n),
	}
	var deliveries []gateway.Delivery
	for _, endpoint := range endpoints {
		d := f.delivery(e, endpoint)
		deliveries = append(deliveries, d)
		e.Plan = append(e.Plan, gateway.Planned{Delivery: d.ID, Endpoint: endpoint, Webhook: d.Webhook, Revision: 3, Shape: d.Shape})
	}
	return e, deliveries
}

// delivery makes a delivery of e, claimed by "run_1".
func (f *fixture) delivery(e gateway.Event, endpoint string) gateway.Delivery {
	return gateway.Delivery{
		ID: gateway.DeliveryID(e.AcceptedAt, e.Organisation, e.ID, endpoint, ""), Event: e.ID, Organisation: e.Organisation,
		Webhook: "wh_of_" + endpoint, Endpoint: endpoint, WebhookRevision: 3, Product: e.Product, Type: e.Type,
		Status: gateway.Pending, Reason: gateway.Scheduled, NextAttemptAt: e.AcceptedAt, CreatedAt: e.AcceptedAt,
		Shape: "shape_1", Order: e.Order, Place: gateway.Place{Run: "run_1", LookAt: e.AcceptedAt.Add(gateway.ClaimFor)},
	}
}

// accept makes an event with its deliveries and writes both.
func (f *fixture) accept(organisation string, second int, endpoints ...string) (gateway.Event, []gateway.Delivery) {
	f.Helper()
	e, deliveries := f.event(organisation, second, endpoints...)
	taken, err := f.Accept(f.ctx, []gateway.Event{e}, deliveries)
	f.ok(err)
	f.same("taken", taken, []bool{false})
	return e, deliveries
}

// acceptOne is accept for one endpoint.
func (f *fixture) acceptOne(organisation string, second int, endpoint string) gateway.Delivery {
	f.Helper()
	_, deliveries := f.accept(organisation, second, endpoint)
	return deliveries[0]
}

// stored reads a delivery back, with its attempts.
func (f *fixture) stored(id string) gateway.Delivery {
	f.Helper()
	d, err := f.Delivery(f.ctx, gateway.Everyone(), id)
	f.ok(err)
	return d
}

// ids are those of deliveries, in their order.
func ids(deliveries []gateway.Delivery) []string {
	list := make([]string, 0, len(deliveries))
	for _, d := range deliveries {
		list = append(list, d.ID)
	}
	return list
}

// byID sorts deliveries, for methods that promise no order.
func byID() cmp.Option {
	return cmpopts.SortSlices(func(a, b gateway.Delivery) bool { return a.ID < b.ID })
}

// together runs n functions at one time and waits for all.
func together(n int, run func(i int)) {
	var group sync.WaitGroup
	for i := range n {
		group.Go(func() { run(i) })
	}
	group.Wait()
}
