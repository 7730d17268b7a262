package storetest

import (
	"fmt"
	"strings"
	"time"

	"github.com/unihook/unihook/gateway"
)

// attempt makes an attempt with every field that a store keeps.
func attempt(number int) *gateway.Attempt {
	return &gateway.Attempt{
		Number: number, At: at(100 * number), DurationMs: 41.25, Trigger: gateway.BySchedule, URL: "https://hook.example.com", Status: 503,
		Failure: "status", Error: "the receiver answered 503", LocalAddress: "192.0.2.1", RemoteAddress: "93.184.216.34:443",
		Timing:         gateway.Timing{DNSMs: 1.125, ConnectMs: 9.5, TLSMs: 12, WaitMs: 18, ReadMs: 0.3},
		RequestHeaders: map[string]string{"Webhook-Id": "evt_1", "X.Dotted$Name": "a<b>&c"},
		ResponseHeaders: map[string]string{
			"Content-Type": "text/plain", "x.y": "1", "$z": "2",
		},
		ResponseBody: fmt.Sprintf("body %d \u00e9 <>& \u2028", number), ResponseEncoding: "base64", ResponseTruncated: true,
		BodySHA: []byte{0, 1, 2, 255, byte(number)}, URLNumber: 7, BodySig: "n0nce",
	}
}

// delivered is the result of a successful attempt.
func delivered(d gateway.Delivery, number int) gateway.Result {
	a := attempt(number)
	a.Status, a.Failure, a.Error = 200, "", ""
	return gateway.Result{Delivery: d.ID, Attempt: a, Status: gateway.Delivered, FinishedAt: a.At.Add(time.Second), Failures: number - 1}
}

// retried is the result of an attempt after which another follows.
func retried(d gateway.Delivery, number int) gateway.Result {
	a := attempt(number)
	return gateway.Result{Delivery: d.ID, Attempt: a, Status: gateway.Pending, Reason: gateway.Retrying,
		NextAttemptAt: a.At.Add(time.Minute), Failures: number}
}

// failed is the result of the last attempt.
func failed(d gateway.Delivery, number int) gateway.Result {
	a := attempt(number)
	return gateway.Result{Delivery: d.ID, Attempt: a, Status: gateway.Failed, Reason: gateway.Exhausted,
		FinishedAt: a.At.Add(time.Second), Failures: number}
}

// with is d as a result leaves it: what the contract says, in Go.
func with(d gateway.Delivery, results ...gateway.Result) gateway.Delivery {
	for _, r := range results {
		if a := r.Attempt; a != nil {
			d.Attempts = append(d.Attempts, *a)
			d.AttemptCount = a.Number
			d.LastAttempt = &gateway.LastAttempt{Number: a.Number, At: a.At, Status: a.Status, Failure: a.Failure}
		}
		d.Status, d.Reason, d.FinishedAt, d.Failures = r.Status, r.Reason, r.FinishedAt, r.Failures
		d.NextAttemptAt, d.Place = r.NextAttemptAt, gateway.Place{LookAt: r.NextAttemptAt}
	}
	return d
}

func recordCases() []testCase {
	return []testCase{
		{"Results_AreWritten", recordResults},
		{"Repeated_ChangesNothing", recordRepeated},
		{"NotPending_OnlyTheAttemptIsAdded", recordNotPending},
		{"Manual_ChangesTheStateWhenDeliveredAlone", recordManual},
		{"KeepLane_LeavesTheLane", recordKeepLane},
		{"WithoutAttempt_ChangesTheState", recordWithoutAttempt},
		{"Unknown_IsLeftOut", recordUnknown},
		{"Attempts_TheFirstAndTheLastAreKept", recordKept},
		{"Attempts_ResponseBodiesOfTheLastAreKept", recordBodies},
		{"Batch_OfManyDeliveries", recordBatch},
	}
}

func recordResults(f *fixture) {
	for _, c := range []struct {
		name string
		make func(gateway.Delivery, int) gateway.Result
	}{{"delivered", delivered}, {"retried", retried}, {"failed", failed}} {
		d := f.acceptOne(acme, 0, "ep_a")
		first, second := retried(d, 1), c.make(d, 2)
		f.ok(f.Record(f.ctx, []gateway.Result{first}))
		f.same("after one attempt", f.stored(d.ID), with(d, first))
		f.ok(f.Record(f.ctx, []gateway.Result{second}))
		want := with(d, first, second)
		f.same(c.name, f.stored(d.ID), want)
		want.Attempts = nil
		list, err := f.DeliveriesByID(f.ctx, []string{d.ID})
		f.ok(err)
		f.same("without attempts", list, []gateway.Delivery{want})
	}
}

func recordRepeated(f *fixture) {
	d := f.acceptOne(acme, 0, "ep_a")
	r := retried(d, 1)
	f.ok(f.Record(f.ctx, []gateway.Result{r, r}))
	f.ok(f.Record(f.ctx, []gateway.Result{r}))
	f.same("after a retry", f.stored(d.ID), with(d, r))
	last := delivered(d, 2)
	f.ok(f.Record(f.ctx, []gateway.Result{last}))
	f.ok(f.Record(f.ctx, []gateway.Result{r, last}))
	f.same("after the end", f.stored(d.ID), with(d, r, last))
}

func recordNotPending(f *fixture) {
	d := f.acceptOne(acme, 0, "ep_a")
	f.ok(f.CancelDelivery(f.ctx, acme, d.ID, gateway.ByHand, at(50)))
	r := retried(d, 1)
	f.ok(f.Record(f.ctx, []gateway.Result{r}))
	want := with(d, r)
	want.Status, want.Reason, want.FinishedAt, want.Failures = gateway.Cancelled, gateway.ByHand, at(50), 0
	want.NextAttemptAt, want.Place = 0, gateway.Place{}
	f.same("cancelled meanwhile", f.stored(d.ID), want)
	f.same("due", ids(f.due(at(9999), at(9999), 10)), []string{})

	success := delivered(d, 2)
	f.ok(f.Record(f.ctx, []gateway.Result{success}))
	f.same("a success by the schedule", f.stored(d.ID).Status, gateway.Cancelled)
}

func recordManual(f *fixture) {
	byHand := func(r gateway.Result) gateway.Result {
		r.Manual, r.Attempt.Trigger = true, gateway.ByManual
		return r
	}
	d := f.acceptOne(acme, 0, "ep_a")
	no := byHand(retried(d, 1))
	f.ok(f.Record(f.ctx, []gateway.Result{no}))
	want := with(d, no)
	want.Status, want.Reason, want.NextAttemptAt, want.Failures, want.Place = d.Status, d.Reason, d.NextAttemptAt, 0, d.Place
	f.same("a failure leaves a pending one", f.stored(d.ID), want)

	f.ok(f.Record(f.ctx, []gateway.Result{failed(d, 2)}))
	ended := f.stored(d.ID)
	f.ok(f.Record(f.ctx, []gateway.Result{byHand(failed(d, 3))}))
	got := f.stored(d.ID)
	f.same("a failure leaves a failed one", []any{got.Status, got.Reason, got.FinishedAt, got.Failures, len(got.Attempts)},
		[]any{ended.Status, ended.Reason, ended.FinishedAt, ended.Failures, 3})

	yes := byHand(delivered(d, 4))
	f.ok(f.Record(f.ctx, []gateway.Result{yes}))
	f.ok(f.Record(f.ctx, []gateway.Result{yes}))
	got = f.stored(d.ID)
	f.same("a success delivers a failed one", []any{got.Status, got.Reason, got.FinishedAt, got.NextAttemptAt, len(got.Attempts), got.LastAttempt.Number},
		[]any{gateway.Delivered, gateway.Reason(""), yes.FinishedAt, gateway.Time(0), 4, 4})

	pending := f.acceptOne(acme, 1, "ep_a")
	f.ok(f.Record(f.ctx, []gateway.Result{byHand(delivered(pending, 1))}))
	got = f.stored(pending.ID)
	f.same("a success delivers a pending one", []any{got.Status, got.Place}, []any{gateway.Delivered, gateway.Place{}})
}

func recordKeepLane(f *fixture) {
	d := f.parked("ep_a", "0001")
	r := retried(d, 1)
	r.KeepLane, r.Reason = true, gateway.InQuarantine
	f.ok(f.Record(f.ctx, []gateway.Result{r}))
	want := with(d, r)
	want.Place = d.Place
	f.same("kept", f.stored(d.ID), want)
	f.same("due", ids(f.due(at(9999), at(9999), 10)), []string{})

	r = retried(d, 2)
	f.ok(f.Record(f.ctx, []gateway.Result{r}))
	f.same("left", f.stored(d.ID).Place, gateway.Place{LookAt: r.NextAttemptAt})
}

func recordWithoutAttempt(f *fixture) {
	d := f.acceptOne(acme, 0, "ep_a")
	r := gateway.Result{Delivery: d.ID, Status: gateway.Cancelled, Reason: gateway.EndpointRemoved, FinishedAt: at(9)}
	f.ok(f.Record(f.ctx, []gateway.Result{r}))
	f.same("cancelled", f.stored(d.ID), with(d, r))
	late := r
	late.Reason, late.FinishedAt = gateway.WebhookDeleted, at(10)
	f.ok(f.Record(f.ctx, []gateway.Result{late}))
	f.same("a second time", f.stored(d.ID), with(d, r))

	d = f.acceptOne(acme, 1, "ep_a")
	f.ok(f.Record(f.ctx, []gateway.Result{retried(d, 1)}))
	r.Delivery = d.ID
	f.ok(f.Record(f.ctx, []gateway.Result{r}))
	got := f.stored(d.ID)
	f.same("after an attempt", []any{got.AttemptCount, got.LastAttempt.Number, len(got.Attempts)}, []any{1, 1, 1})
}

func recordUnknown(f *fixture) {
	d := f.acceptOne(acme, 0, "ep_a")
	unknown := gateway.Delivery{ID: "dlv_unknown"}
	f.ok(f.Record(f.ctx, []gateway.Result{delivered(unknown, 1), delivered(d, 1)}))
	f.same("its neighbour", f.stored(d.ID).Status, gateway.Delivered)
	_, err := f.Delivery(f.ctx, gateway.Everyone(), unknown.ID)
	f.is(err, gateway.ErrNotFound)
}

func recordKept(f *fixture) {
	d := f.acceptOne(acme, 0, "ep_a")
	const all = 2*gateway.KeptAttempts + 5
	for number := 1; number <= all; number++ {
		f.ok(f.Record(f.ctx, []gateway.Result{retried(d, number)}))
	}
	got := f.stored(d.ID)
	var want, numbers []int
	for number := 1; number <= gateway.KeptAttempts; number++ {
		want = append(want, number)
	}
	for number := all - gateway.KeptAttempts + 1; number <= all; number++ {
		want = append(want, number)
	}
	for _, a := range got.Attempts {
		numbers = append(numbers, a.Number)
	}
	f.same("numbers", numbers, want)
	f.same("count", []int{got.AttemptCount, got.LastAttempt.Number}, []int{all, all})
}

func recordBodies(f *fixture) {
	d := f.acceptOne(acme, 0, "ep_a")
	for number := 1; number <= gateway.KeptBodies+2; number++ {
		f.ok(f.Record(f.ctx, []gateway.Result{retried(d, number)}))
	}
	for _, a := range f.stored(d.ID).Attempts {
		want := *attempt(a.Number)
		if a.Number <= 2 {
			want.ResponseBody, want.ResponseEncoding = "", ""
		}
		f.same(fmt.Sprintf("attempt %d", a.Number), a, want)
	}
	f.ok(f.Record(f.ctx, []gateway.Result{retried(d, gateway.KeptBodies+2)}))
	first := f.stored(d.ID).Attempts[0]
	if strings.Contains(first.ResponseBody, "body") {
		f.Error("a repeated write brought a body back")
	}
}

func recordBatch(f *fixture) {
	var events []gateway.Event
	var deliveries []gateway.Delivery
	var results []gateway.Result
	for i := range 64 {
		e, d := f.event(acme, i, "ep_a", "ep_b")
		events, deliveries = append(events, e), append(deliveries, d...)
	}
	_, err := f.Accept(f.ctx, events, deliveries)
	f.ok(err)
	for i, d := range deliveries {
		make := []func(gateway.Delivery, int) gateway.Result{delivered, retried, failed}[i%3]
		results = append(results, make(d, 1))
	}
	f.ok(f.Record(f.ctx, results))
	counts, err := f.CountDeliveries(f.ctx, gateway.Only(acme), gateway.DeliveryFilter{})
	f.ok(err)
	f.same("counts", counts, map[gateway.DeliveryStatus]int{gateway.Delivered: 43, gateway.Pending: 43, gateway.Failed: 42})
	f.same("due", len(f.due(at(9999), at(9999), 100)), 43)
}
