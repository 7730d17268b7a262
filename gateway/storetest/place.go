package storetest

import (
	"slices"

	"github.com/unihook/unihook/gateway"
)

func placeCases() []testCase {
	return []testCase{
		{"Due_LaterAndClaimsHaveTheirOwnTimes", dueCuts},
		{"Due_IsOldestFirstAndLimited", dueOrder},
		{"Spare_IsInTheOrderOfTurns", spareOrder},
		{"Claim_OnlyFromThePlaceThatWasRead", claimConditions},
		{"Claim_FromEveryPlace", claimPlaces},
		{"Claim_TwoFeedersAtOnce", claimTwice},
		{"RenewRun_OnlyItsOwnClaims", renewRun},
		{"RenewRun_NowGivesBack", giveBack},
		{"Finished_HasNoPlace", finishedHasNoPlace},
	}
}

// place moves a delivery that was just accepted to another place, by the only way there is: it is written there.
func (f *fixture) placed(second int, endpoint string, place gateway.Place) gateway.Delivery {
	f.Helper()
	e, d := f.event(acme, second, endpoint)
	d[0].Place = place
	_, err := f.Accept(f.ctx, []gateway.Event{e}, d)
	f.ok(err)
	return d[0]
}

func (f *fixture) due(later, claims gateway.Time, limit int) []gateway.Delivery {
	f.Helper()
	list, err := f.Due(f.ctx, later, claims, limit)
	f.ok(err)
	return list
}

func dueCuts(f *fixture) {
	claimed := f.placed(0, "ep_a", gateway.Place{Run: "run_1", LookAt: at(20)})
	later := f.placed(1, "ep_a", gateway.Place{LookAt: at(30)})
	f.placed(2, "ep_a", gateway.Place{Turn: at(1)})
	f.placed(3, "ep_a", gateway.Place{Lane: gateway.LaneKey("ep_a", "0003")})

	f.same("before anything", ids(f.due(at(19), at(19), 10)), []string{})
	f.same("claims that ended", ids(f.due(at(19), at(20), 10)), []string{claimed.ID})
	f.same("later ones due", ids(f.due(at(30), at(19), 10)), []string{later.ID})
	f.same("both, to the millisecond", ids(f.due(at(30)-1, at(20), 10)), []string{claimed.ID})
	f.same("both", f.due(at(30), at(20), 10), []gateway.Delivery{
		{ID: claimed.ID, Organisation: acme, Endpoint: "ep_a", Place: claimed.Place},
		{ID: later.ID, Organisation: acme, Endpoint: "ep_a", Place: later.Place},
	})
}

func dueOrder(f *fixture) {
	third := f.placed(0, "ep_a", gateway.Place{LookAt: at(12)})
	first := f.placed(1, "ep_a", gateway.Place{LookAt: at(10)})
	second := f.placed(2, "ep_a", gateway.Place{Run: "run_1", LookAt: at(11)})
	f.same("all", ids(f.due(at(99), at(99), 10)), []string{first.ID, second.ID, third.ID})
	f.same("limited", ids(f.due(at(99), at(99), 2)), []string{first.ID, second.ID})
}

func spareOrder(f *fixture) {
	second := f.placed(0, "ep_a", gateway.Place{Turn: at(20)})
	first := f.placed(1, "ep_b", gateway.Place{Turn: at(10)})
	f.placed(2, "ep_b", gateway.Place{Run: "run_1", LookAt: at(5)})
	list, err := f.Spare(f.ctx, 10)
	f.ok(err)
	f.same("spare", list, []gateway.Delivery{
		{ID: first.ID, Organisation: acme, Endpoint: "ep_b", Place: first.Place},
		{ID: second.ID, Organisation: acme, Endpoint: "ep_a", Place: second.Place},
	})
	list, err = f.Spare(f.ctx, 1)
	f.ok(err)
	f.same("limited", ids(list), []string{first.ID})
}

func claimConditions(f *fixture) {
	now := gateway.Place{Run: "run_1", LookAt: at(20)}
	for _, c := range []struct {
		name string
		was  gateway.Place
	}{
		{"another run", gateway.Place{Run: "run_0", LookAt: at(20)}},
		{"another end", gateway.Place{Run: "run_1", LookAt: at(21)}},
		{"no run", gateway.Place{LookAt: at(20)}},
		{"a turn", gateway.Place{Turn: at(20)}},
		{"a turn too", gateway.Place{Run: "run_1", LookAt: at(20), Turn: at(1)}},
		{"a lane too", gateway.Place{Run: "run_1", LookAt: at(20), Lane: "ep_a/1"}},
		{"nowhere", gateway.Place{}},
	} {
		d := f.placed(0, "ep_a", now)
		f.ok(f.Claim(f.ctx, []gateway.Claim{{Delivery: d.ID, Was: c.was, Run: "run_2", Until: at(60)}}))
		f.same("claimed from "+c.name, f.stored(d.ID).Place, now)
	}
	d := f.placed(0, "ep_a", now)
	f.ok(f.Record(f.ctx, []gateway.Result{delivered(d, 1)}))
	f.ok(f.Claim(f.ctx, []gateway.Claim{
		{Delivery: d.ID, Was: gateway.Place{}, Run: "run_2", Until: at(60)},
		{Delivery: d.ID, Was: now, Run: "run_2", Until: at(60)},
		{Delivery: "dlv_unknown", Was: now, Run: "run_2", Until: at(60)},
	}))
	f.same("a finished one", f.stored(d.ID).Place, gateway.Place{})
}

func claimPlaces(f *fixture) {
	var claims []gateway.Claim
	var all []gateway.Delivery
	for _, place := range []gateway.Place{{Run: "run_1", LookAt: at(20)}, {LookAt: at(30)}, {Turn: at(40)}} {
		d := f.placed(0, "ep_a", place)
		all = append(all, d)
		claims = append(claims, gateway.Claim{Delivery: d.ID, Was: place, Run: "run_2", Until: at(60)})
	}
	f.ok(f.Claim(f.ctx, claims))
	f.ok(f.Claim(f.ctx, claims)) // repeated
	for _, d := range all {
		want := d
		want.Place = gateway.Place{Run: "run_2", LookAt: at(60)}
		f.same("the delivery", f.stored(d.ID), want)
	}
	spare, err := f.Spare(f.ctx, 10)
	f.ok(err)
	f.same("spare", ids(spare), []string{})
	f.same("due before the claim ends", ids(f.due(at(59), at(59), 10)), []string{})
	f.same("due when it ended", sorted(ids(f.due(at(0), at(60), 10))), sorted(ids(all)))
}

func claimTwice(f *fixture) {
	d := f.placed(0, "ep_a", gateway.Place{LookAt: at(1)})
	runs := []string{"run_a", "run_b", "run_c", "run_d"}
	together(len(runs), func(i int) {
		if err := f.Claim(f.ctx, []gateway.Claim{{Delivery: d.ID, Was: d.Place, Run: runs[i], Until: at(60 + i)}}); err != nil {
			f.Error(err)
		}
	})
	got := f.stored(d.ID).Place
	i := slices.Index(runs, got.Run)
	f.same("the claim is one feeder's whole", got, gateway.Place{Run: got.Run, LookAt: at(60 + i)})
}

func renewRun(f *fixture) {
	mine, foreign := f.placed(0, "ep_a", gateway.Place{Run: "run_1", LookAt: at(20)}), f.placed(1, "ep_a", gateway.Place{Run: "run_2", LookAt: at(20)})
	done := f.acceptOne(acme, 2, "ep_a")
	f.ok(f.Record(f.ctx, []gateway.Result{delivered(done, 1)}))
	parked := f.placed(3, "ep_a", gateway.Place{Lane: "ep_a/1"})
	left := f.placed(4, "ep_a", gateway.Place{Run: "run_1", LookAt: at(20)})
	f.ok(f.RenewRun(f.ctx, "run_1", []string{mine.ID, foreign.ID, done.ID, parked.ID, "dlv_unknown"}, at(40)))
	for id, want := range map[string]gateway.Place{
		mine.ID: {Run: "run_1", LookAt: at(40)}, foreign.ID: foreign.Place, done.ID: {}, parked.ID: parked.Place, left.ID: left.Place,
	} {
		f.same("place", f.stored(id).Place, want)
	}
}

func giveBack(f *fixture) {
	d := f.placed(0, "ep_a", gateway.Place{Run: "run_1", LookAt: at(20)})
	f.ok(f.RenewRun(f.ctx, "run_1", []string{d.ID}, at(3)))
	f.same("due now", ids(f.due(at(3), at(3), 10)), []string{d.ID})
}

func finishedHasNoPlace(f *fixture) {
	places := []gateway.Place{{Run: "run_1", LookAt: at(1)}, {LookAt: at(1)}, {Turn: at(1)}, {Lane: "ep_a/1"}}
	finishers := map[string]func(d gateway.Delivery) error{
		"delivered": func(d gateway.Delivery) error { return f.Record(f.ctx, []gateway.Result{delivered(d, 1)}) },
		"failed":    func(d gateway.Delivery) error { return f.Record(f.ctx, []gateway.Result{failed(d, 1)}) },
		"by hand": func(d gateway.Delivery) error {
			r := delivered(d, 1)
			r.Manual = true
			return f.Record(f.ctx, []gateway.Result{r})
		},
		"cancelled": func(d gateway.Delivery) error {
			return f.CancelDelivery(f.ctx, acme, d.ID, gateway.ByHand, at(9))
		},
		"expired": func(d gateway.Delivery) error { _, err := f.ExpirePending(f.ctx, at(1), at(9), 10); return err },
	}
	for name, finish := range finishers {
		for _, place := range places {
			d := f.placed(0, "ep_a", place)
			f.ok(finish(d))
			got := f.stored(d.ID)
			f.same("place when "+name, got.Place, gateway.Place{})
			f.same("next attempt when "+name, got.NextAttemptAt, gateway.Time(0))
		}
	}
	f.same("due", ids(f.due(at(99), at(99), 10)), []string{})
	spare, err := f.Spare(f.ctx, 10)
	f.ok(err)
	f.same("spare", ids(spare), []string{})
	lane, err := f.NextLane(f.ctx, "")
	f.ok(err)
	f.same("lanes", lane, "")
}

func laneCases() []testCase {
	return []testCase{
		{"Park_OnlyFromItsOwnClaim", parkConditions},
		{"LaneHead_IsOldestFirstAfterTheKeyGiven", laneHead},
		{"NextLane_WalksOverEndpoints", nextLane},
		{"CountParked_CountsEachEndpoint", countParked},
		{"Reparked_ChangesTheLaneAlone", reparked},
	}
}

func parkConditions(f *fixture) {
	mine, foreign := f.acceptOne(acme, 0, "ep_a"), f.placed(1, "ep_a", gateway.Place{Run: "run_2", LookAt: at(20)})
	later := f.placed(2, "ep_a", gateway.Place{LookAt: at(20)})
	done := f.acceptOne(acme, 3, "ep_a")
	f.ok(f.Record(f.ctx, []gateway.Result{delivered(done, 1)}))
	finished := f.stored(done.ID)
	var parkings []gateway.Parking
	for _, d := range []gateway.Delivery{mine, foreign, later, done, {ID: "dlv_unknown", Endpoint: "ep_a"}} {
		parkings = append(parkings, gateway.Parking{Delivery: d.ID, Run: "run_1", Lane: gateway.LaneKey("ep_a", d.Order),
			Reason: gateway.InQuarantine, NextAttemptAt: at(90)})
	}
	f.ok(f.Park(f.ctx, parkings))
	f.ok(f.Park(f.ctx, parkings)) // repeated
	want := mine
	want.Place, want.Reason, want.NextAttemptAt = gateway.Place{Lane: gateway.LaneKey("ep_a", mine.Order)}, gateway.InQuarantine, at(90)
	f.same("parked", f.stored(mine.ID), want)
	f.same("another's claim", f.stored(foreign.ID), foreign)
	f.same("a later one", f.stored(later.ID), later)
	f.same("a finished one", f.stored(done.ID), finished)
	f.same("due", sorted(ids(f.due(at(99), at(99), 10))), sorted(ids([]gateway.Delivery{foreign, later})))
}

func (f *fixture) parked(endpoint, order string) gateway.Delivery {
	f.Helper()
	return f.placed(0, endpoint, gateway.Place{Lane: gateway.LaneKey(endpoint, order)})
}

func laneHead(f *fixture) {
	f.parked("ep", "0001") // a name that begins another
	third, first, second := f.parked("ep_a", "0003"), f.parked("ep_a", "0001"), f.parked("ep_a", "0002")
	f.parked("ep_a2", "0000")
	f.parked("ep_b", "0000")
	head := func(after string, limit int) []gateway.Delivery {
		list, err := f.LaneHead(f.ctx, "ep_a", after, limit)
		f.ok(err)
		return list
	}
	f.same("whole", head("", 10), []gateway.Delivery{first, second, third})
	f.same("limited", head("", 2), []gateway.Delivery{first, second})
	f.same("after", head(first.Place.Lane, 10), []gateway.Delivery{second, third})
	f.same("after the last", head(third.Place.Lane, 10), []gateway.Delivery{})
	none, err := f.LaneHead(f.ctx, "ep_none", "", 10)
	f.ok(err)
	f.same("of another", none, []gateway.Delivery{})
}

func nextLane(f *fixture) {
	for _, endpoint := range []string{"ep_c", "ep_a", "ep_a", "ep_a2", "ep_b"} {
		f.parked(endpoint, "0001")
	}
	f.acceptOne(acme, 0, "ep_z")
	var got []string
	for after, i := "", 0; i < 10; i++ {
		next, err := f.NextLane(f.ctx, after)
		f.ok(err)
		if next == "" {
			break
		}
		got = append(got, next)
		after = next
	}
	f.same("endpoints, each once", sorted(got), []string{"ep_a", "ep_a2", "ep_b", "ep_c"})
}

func countParked(f *fixture) {
	f.parked("ep_a", "0001")
	f.parked("ep_a", "0002")
	f.parked("ep_a2", "0001")
	f.acceptOne(acme, 0, "ep_b")
	got, err := f.CountParked(f.ctx, []string{"ep_a", "ep_b", "ep_none"})
	f.ok(err)
	for endpoint, n := range got {
		if n == 0 {
			delete(got, endpoint)
		}
	}
	f.same("counts", got, map[string]int{"ep_a": 2})
}

func reparked(f *fixture) {
	a, b, foreign := f.parked("ep_a", "0001"), f.parked("ep_a", "0002"), f.parked("ep_a2", "0001")
	claimed := f.acceptOne(acme, 0, "ep_a")
	f.ok(f.Reparked(f.ctx, "ep_a", gateway.WebhookInactive, at(77)))
	for _, d := range []gateway.Delivery{a, b} {
		d.Reason, d.NextAttemptAt = gateway.WebhookInactive, at(77)
		f.same("parked", f.stored(d.ID), d)
	}
	f.same("another endpoint's", f.stored(foreign.ID), foreign)
	f.same("not parked", f.stored(claimed.ID), claimed)
}
