package storetest

import (
	"slices"

	"github.com/unihook/unihook/gateway"
)

func deliveryCases() []testCase {
	return []testCase{
		{"AnotherOrganisations_IsNotFound", deliveryScope},
		{"List_IsNewestFirstInStablePages", deliveryList},
		{"List_OldestFirst", deliveryOldest},
		{"List_Filters", deliveryFilters},
		{"List_LeavesAttemptsOutAndShowsTheLast", deliveryListed},
		{"CountPending_CountsUpToTheLimit", countPending},
		{"Cancel_FinishesAPendingOne", cancelOne},
		{"CancelPending_CancelsWhatMatchesInSteps", cancelPending},
		{"ForgetResponses_TakesWhatReceiversAnswered", forgetResponses},
		{"Expire_FailsTheOldestInSteps", expirePending},
		{"Purge_TakesFinishedOnesInSteps", purgeDeliveries},
		{"Replay_IsKeptWhole", replayKept},
		{"Replay_OneRunsForAWebhook", replayOne},
		{"Replay_OnlyARunningOneIsUpdated", replayUpdate},
	}
}

func (f *fixture) list(scope gateway.Scope, filter gateway.DeliveryFilter) []string {
	f.Helper()
	list, next, err := f.ListDeliveries(f.ctx, scope, filter, gateway.Page{Limit: 100})
	f.ok(err)
	f.same("next", next, "")
	return ids(list)
}

func deliveryScope(f *fixture) {
	e, deliveries := f.accept(acme, 0, "ep_a")
	d := deliveries[0]
	for _, scope := range []gateway.Scope{gateway.Only(other), {}} {
		_, err := f.Delivery(f.ctx, scope, d.ID)
		f.is(err, gateway.ErrNotFound)
		for _, filter := range []gateway.DeliveryFilter{{}, {Event: e.ID}, {Webhook: d.Webhook}, {Endpoint: d.Endpoint},
			{Statuses: []gateway.DeliveryStatus{gateway.Pending}}} {
			f.same("list", f.list(scope, filter), []string{})
			counts, err := f.CountDeliveries(f.ctx, scope, filter)
			f.ok(err)
			f.same("counts", counts, map[gateway.DeliveryStatus]int{})
		}
	}
	f.is(f.CancelDelivery(f.ctx, other, d.ID, gateway.ByHand, at(1)), gateway.ErrNotFound)
	for _, filter := range []gateway.DeliveryFilter{{}, {Event: e.ID}, {Webhook: d.Webhook}, {Endpoint: d.Endpoint}} {
		n, err := f.CancelPending(f.ctx, other, filter, gateway.ByHand, at(1), 10)
		f.ok(err)
		f.same("cancelled", n, 0)
	}
	n, err := f.CountPending(f.ctx, other, 10)
	f.ok(err)
	f.same("pending", n, 0)
	got, err := f.Delivery(f.ctx, gateway.Only(acme), d.ID)
	f.ok(err)
	f.same("its own", got, d)
}

func deliveryList(f *fixture) {
	var want []string
	for i := range 5 {
		want = append([]string{f.acceptOne(acme, i, "ep_a").ID}, want...)
	}
	f.acceptOne(other, 2, "ep_a")
	got := pages(f, 2, func(page gateway.Page) ([]gateway.Delivery, string, error) {
		return f.ListDeliveries(f.ctx, gateway.Only(acme), gateway.DeliveryFilter{}, page)
	}, func(d gateway.Delivery) string { return d.ID }, func() { f.acceptOne(acme, 100, "ep_a") })
	f.same("ids", got, want)
}

func deliveryOldest(f *fixture) {
	var want []string
	for i := range 5 {
		want = append(want, f.acceptOne(acme, i, "ep_a").ID)
	}
	late := f.acceptOne(acme, 100, "ep_a")
	got := pages(f, 2, func(page gateway.Page) ([]gateway.Delivery, string, error) {
		return f.ListDeliveries(f.ctx, gateway.Only(acme), gateway.DeliveryFilter{Webhook: late.Webhook, Until: at(99), Oldest: true}, page)
	}, func(d gateway.Delivery) string { return d.ID }, func() {})
	f.same("ids", got, want)
}

func deliveryFilters(f *fixture) {
	e1, d1 := f.accept(acme, 0, "ep_a", "ep_b")
	d2 := f.acceptOne(acme, 10, "ep_a")
	d3 := f.acceptOne(acme, 20, "ep_a")
	d4 := f.acceptOne(other, 30, "ep_a")
	replayed := f.delivery(e1, "ep_a")
	replay := "rpl_1"
	replayed.CreatedAt = at(40)
	replayed.ID, replayed.Replay = gateway.DeliveryID(at(40), acme, e1.ID, "ep_a", replay), &replay
	f.ok(f.InsertDeliveries(f.ctx, []gateway.Delivery{replayed}))
	f.ok(f.Record(f.ctx, []gateway.Result{delivered(d1[0], 1), failed(d2, 1)}))
	f.ok(f.CancelDelivery(f.ctx, acme, d3.ID, gateway.ByHand, at(50)))
	test := f.delivery(e1, "ep_t")
	test.Webhook, test.Test = d2.Webhook, true
	f.ok(f.InsertDeliveries(f.ctx, []gateway.Delivery{test}))
	a, b, c, d := d1[0].ID, d1[1].ID, d2.ID, d3.ID
	for _, c := range []struct {
		name   string
		scope  gateway.Scope
		filter gateway.DeliveryFilter
		want   []string
	}{
		{"none", gateway.Only(acme), gateway.DeliveryFilter{}, []string{a, b, c, d, test.ID, replayed.ID}},
		{"everyone", gateway.Everyone(), gateway.DeliveryFilter{}, []string{a, b, c, d, test.ID, d4.ID, replayed.ID}},
		{"webhook", gateway.Only(acme), gateway.DeliveryFilter{Webhook: d2.Webhook}, []string{a, c, d, test.ID, replayed.ID}},
		{"endpoint", gateway.Everyone(), gateway.DeliveryFilter{Endpoint: "ep_a"}, []string{a, c, d, d4.ID, replayed.ID}},
		{"event", gateway.Only(acme), gateway.DeliveryFilter{Event: e1.ID}, []string{a, b, test.ID, replayed.ID}},
		{"replay", gateway.Only(acme), gateway.DeliveryFilter{Replay: replay}, []string{replayed.ID}},
		{"pending", gateway.Only(acme), gateway.DeliveryFilter{Statuses: []gateway.DeliveryStatus{gateway.Pending}}, []string{b, test.ID, replayed.ID}},
		{"pending of everyone", gateway.Everyone(), gateway.DeliveryFilter{Statuses: []gateway.DeliveryStatus{gateway.Pending}}, []string{b, test.ID, d4.ID, replayed.ID}},
		{"delivered", gateway.Only(acme), gateway.DeliveryFilter{Statuses: []gateway.DeliveryStatus{gateway.Delivered}}, []string{a}},
		{"failed and cancelled", gateway.Only(acme), gateway.DeliveryFilter{Statuses: []gateway.DeliveryStatus{gateway.Failed, gateway.Cancelled}}, []string{c, d}},
		{"delivered and failed", gateway.Everyone(), gateway.DeliveryFilter{Statuses: []gateway.DeliveryStatus{gateway.Delivered, gateway.Failed}}, []string{a, c}},
		{"since is included", gateway.Only(acme), gateway.DeliveryFilter{Since: at(20)}, []string{d, replayed.ID}},
		{"until is not", gateway.Only(acme), gateway.DeliveryFilter{Until: at(20)}, []string{a, b, test.ID, c}},
		{"all at once", gateway.Only(acme), gateway.DeliveryFilter{Webhook: d2.Webhook, Endpoint: "ep_a", Event: d2.Event,
			Statuses: []gateway.DeliveryStatus{gateway.Failed}, Since: at(10), Until: at(11)}, []string{c}},
		{"no tests", gateway.Everyone(), gateway.DeliveryFilter{Webhook: d2.Webhook, NoTests: true}, []string{a, c, d, d4.ID, replayed.ID}},
		{"a foreign event", gateway.Only(acme), gateway.DeliveryFilter{Event: d4.Event}, []string{}},
	} {
		f.same(c.name, sorted(f.list(c.scope, c.filter)), sorted(slices.Clone(c.want)))
		counts, err := f.CountDeliveries(f.ctx, c.scope, c.filter)
		f.ok(err)
		total := 0
		for _, n := range counts {
			total += n
		}
		f.same(c.name+": count", total, len(c.want))
	}
	counts, err := f.CountDeliveries(f.ctx, gateway.Only(acme), gateway.DeliveryFilter{})
	f.ok(err)
	f.same("counts by status", counts, map[gateway.DeliveryStatus]int{gateway.Pending: 3, gateway.Delivered: 1, gateway.Failed: 1, gateway.Cancelled: 1})
}

func deliveryListed(f *fixture) {
	d := f.acceptOne(acme, 0, "ep_a")
	r := retried(d, 1)
	f.ok(f.Record(f.ctx, []gateway.Result{r}))
	want := with(d, r)
	want.Attempts = nil
	list, _, err := f.ListDeliveries(f.ctx, gateway.Only(acme), gateway.DeliveryFilter{}, gateway.Page{Limit: 10})
	f.ok(err)
	f.same("list", list, []gateway.Delivery{want})
}

func countPending(f *fixture) {
	for i := range 5 {
		d := f.acceptOne(acme, i, "ep_a")
		if i == 0 {
			f.ok(f.Record(f.ctx, []gateway.Result{failed(d, 1)}))
		}
	}
	f.acceptOne(other, 0, "ep_a")
	for limit, want := range map[int]int{100: 4, 4: 4, 3: 3} {
		n, err := f.CountPending(f.ctx, acme, limit)
		f.ok(err)
		f.same("pending", n, want)
	}
}

func cancelOne(f *fixture) {
	d := f.acceptOne(acme, 0, "ep_a")
	f.ok(f.CancelDelivery(f.ctx, acme, d.ID, gateway.ByHand, at(9)))
	want := d
	want.Status, want.Reason, want.FinishedAt = gateway.Cancelled, gateway.ByHand, at(9)
	want.NextAttemptAt, want.Place = 0, gateway.Place{}
	f.same("cancelled", f.stored(d.ID), want)
	f.is(f.CancelDelivery(f.ctx, acme, d.ID, gateway.WebhookDeleted, at(10)), gateway.ErrStale)
	f.same("a second time", f.stored(d.ID), want)
	f.is(f.CancelDelivery(f.ctx, acme, "dlv_unknown", gateway.ByHand, at(9)), gateway.ErrNotFound)
}

func cancelPending(f *fixture) {
	var mine []gateway.Delivery
	for i := range 3 {
		_, d := f.accept(acme, i, "ep_a", "ep_b")
		mine = append(mine, d[0])
	}
	foreign := f.acceptOne(other, 0, "ep_a")
	done := f.acceptOne(acme, 9, "ep_a")
	f.ok(f.Record(f.ctx, []gateway.Result{delivered(done, 1)}))
	filter := gateway.DeliveryFilter{Endpoint: "ep_a"}
	for _, want := range []int{2, 1, 0} {
		n, err := f.CancelPending(f.ctx, acme, filter, gateway.EndpointRemoved, at(9), 2)
		f.ok(err)
		f.same("cancelled", n, want)
	}
	for _, d := range mine {
		want := d
		want.Status, want.Reason, want.FinishedAt = gateway.Cancelled, gateway.EndpointRemoved, at(9)
		want.NextAttemptAt, want.Place = 0, gateway.Place{}
		f.same("cancelled", f.stored(d.ID), want)
	}
	f.same("another organisation's", f.stored(foreign.ID), foreign)
	f.same("a finished one", f.stored(done.ID).Status, gateway.Delivered)
	n, err := f.CancelPending(f.ctx, acme, gateway.DeliveryFilter{Statuses: []gateway.DeliveryStatus{gateway.Failed}}, gateway.ByHand, at(9), 100)
	f.ok(err)
	f.same("pending ones that failed", n, 0)
	n, err = f.CancelPending(f.ctx, acme, gateway.DeliveryFilter{}, gateway.ByHand, at(9), 100)
	f.ok(err)
	f.same("all the rest", n, 3)
}

func forgetResponses(f *fixture) {
	e, d := f.accept(acme, 0, "ep_a", "ep_b")
	foreign := e
	foreign.Organisation = other
	d2 := f.delivery(foreign, "ep_a")
	_, err := f.Accept(f.ctx, []gateway.Event{foreign}, []gateway.Delivery{d2})
	f.ok(err)
	f.ok(f.Record(f.ctx, []gateway.Result{retried(d[0], 1), delivered(d[0], 2), delivered(d[1], 1), delivered(d2, 1)}))
	f.ok(f.ForgetResponses(f.ctx, acme, e.ID))
	f.ok(f.ForgetResponses(f.ctx, acme, e.ID))
	for id, n := range map[string]int{d[0].ID: 2, d[1].ID: 1} {
		got := f.stored(id)
		f.same("attempts", len(got.Attempts), n)
		for _, a := range got.Attempts {
			f.same("what was answered", []any{len(a.ResponseHeaders), a.ResponseBody, a.ResponseEncoding}, []any{0, "", ""})
			f.same("what is kept", []any{a.BodySHA, a.URLNumber, a.RequestHeaders}, []any{attempt(a.Number).BodySHA, 7, attempt(a.Number).RequestHeaders})
		}
	}
	kept := f.stored(d2.ID).Attempts[0]
	f.same("another organisation's", kept.ResponseBody, delivered(d2, 1).Attempt.ResponseBody)
}

func expirePending(f *fixture) {
	var old []gateway.Delivery
	for i := range 3 {
		old = append(old, f.acceptOne([]string{acme, other, acme}[i], i, "ep_a"))
	}
	done := f.acceptOne(acme, 0, "ep_a")
	f.ok(f.Record(f.ctx, []gateway.Result{delivered(done, 1)}))
	young := f.acceptOne(acme, 3, "ep_a")
	for _, want := range []int{2, 1, 0} {
		n, err := f.ExpirePending(f.ctx, at(3), at(99), 2)
		f.ok(err)
		f.same("expired", n, want)
	}
	for _, d := range old {
		want := d
		want.Status, want.Reason, want.FinishedAt = gateway.Failed, gateway.Expired, at(99)
		want.NextAttemptAt, want.Place = 0, gateway.Place{}
		f.same("expired", f.stored(d.ID), want)
	}
	f.same("young", f.stored(young.ID), young)
	f.same("finished", f.stored(done.ID).Status, gateway.Delivered)
}

func purgeDeliveries(f *fixture) {
	var finished []gateway.Delivery
	for i := range 3 {
		d := f.acceptOne(acme, i, "ep_a")
		finished = append(finished, d)
		f.ok(f.Record(f.ctx, []gateway.Result{delivered(d, 1)})) // finished at 101 s
	}
	pending := f.acceptOne(acme, 0, "ep_a")
	late := f.acceptOne(acme, 0, "ep_a")
	f.ok(f.Record(f.ctx, []gateway.Result{delivered(late, 2)})) // finished at 201 s
	n, err := f.PurgeDeliveries(f.ctx, at(101), 10)
	f.ok(err)
	f.same("purged before their time", n, 0)
	for _, want := range []int{2, 1, 0} {
		n, err := f.PurgeDeliveries(f.ctx, at(101)+1, 2)
		f.ok(err)
		f.same("purged", n, want)
	}
	for _, d := range finished {
		_, err := f.Delivery(f.ctx, gateway.Everyone(), d.ID)
		f.is(err, gateway.ErrNotFound)
	}
	f.same("left", sorted(f.list(gateway.Only(acme), gateway.DeliveryFilter{})), sorted([]string{pending.ID, late.ID}))
	f.ok(f.InsertDeliveries(f.ctx, finished[:1]))
	f.same("attempts went too", len(f.stored(finished[0].ID).Attempts), 0)
}

func replay(id, webhook string) gateway.Replay {
	return gateway.Replay{ID: id, Organisation: acme, Webhook: webhook, Status: gateway.ReplayRunning, Matched: 5, Made: 2,
		CreatedAt: at(9), Since: at(1), Until: at(5), FailedOnly: true, Original: true, After: "dlv_x", Running: webhook}
}

func replayKept(f *fixture) {
	want := replay("rpl_1", "wh_1")
	f.ok(f.InsertReplay(f.ctx, want))
	got, err := f.Replay(f.ctx, gateway.Only(acme), "rpl_1")
	f.ok(err)
	f.same("replay", got, want)
	for _, scope := range []gateway.Scope{gateway.Only(other), {}} {
		_, err = f.Replay(f.ctx, scope, "rpl_1")
		f.is(err, gateway.ErrNotFound)
	}
	_, err = f.Replay(f.ctx, gateway.Everyone(), "rpl_1")
	f.ok(err)
}

func replayOne(f *fixture) {
	f.ok(f.InsertReplay(f.ctx, replay("rpl_1", "wh_1")))
	f.is(f.InsertReplay(f.ctx, replay("rpl_2", "wh_1")), gateway.ErrTaken)
	f.ok(f.InsertReplay(f.ctx, replay("rpl_3", "wh_2")))
	over := replay("rpl_1", "wh_1")
	over.Status, over.Running, over.FinishedAt = gateway.ReplayDone, "", at(20)
	f.ok(f.UpdateReplay(f.ctx, over))
	f.ok(f.InsertReplay(f.ctx, replay("rpl_4", "wh_1")))
	got, err := f.Replay(f.ctx, gateway.Only(acme), "rpl_1")
	f.ok(err)
	f.same("the first", got, over)
}

func replayUpdate(f *fixture) {
	r := replay("rpl_1", "wh_1")
	f.is(f.UpdateReplay(f.ctx, r), gateway.ErrStale)
	f.ok(f.InsertReplay(f.ctx, r))
	r.Made, r.After = 4, "dlv_y"
	f.ok(f.UpdateReplay(f.ctx, r))
	f.ok(f.UpdateReplay(f.ctx, r))
	got, err := f.Replay(f.ctx, gateway.Only(acme), "rpl_1")
	f.ok(err)
	f.same("updated", got, r)
	r.Status, r.Running = gateway.ReplayCancelled, ""
	f.ok(f.UpdateReplay(f.ctx, r))
	late := r
	late.Made = 99
	f.is(f.UpdateReplay(f.ctx, late), gateway.ErrStale)
	got, err = f.Replay(f.ctx, gateway.Only(acme), "rpl_1")
	f.ok(err)
	f.same("over", got, r)
}
