package storetest

import (
	"sync/atomic"

	"github.com/unihook/unihook/gateway"
)

func jobCases() []testCase {
	return []testCase{
		{"Job_IsKeptWhole", jobKept},
		{"Due_AreThoseWhoseTurnHasCome", jobDue},
		{"Swap_OneOfManyWins", jobSwap},
		{"Delete_IsHarmlessToRepeat", jobDelete},
	}
}

func job(id string, turn gateway.Time) gateway.Job {
	return gateway.Job{ID: id, Kind: gateway.JobRetry, Organisation: acme, Ref: "dlv_1", TurnAt: turn, Owner: "w1", OwnerUntil: at(5)}
}

func jobKept(f *fixture) {
	want := job("job_1", at(3))
	f.ok(f.InsertJob(f.ctx, want))
	got, err := f.Job(f.ctx, "job_1")
	f.ok(err)
	f.same("job", got, want)
	f.is(f.InsertJob(f.ctx, want), gateway.ErrTaken)
	_, err = f.Job(f.ctx, "job_unknown")
	f.is(err, gateway.ErrNotFound)
}

func jobDue(f *fixture) {
	for id, turn := range map[string]gateway.Time{"job_a": at(30), "job_b": at(10), "job_c": 0} {
		f.ok(f.InsertJob(f.ctx, job(id, turn)))
	}
	for now, want := range map[gateway.Time][]string{at(9): {}, at(10): {"job_b"}, at(30): {"job_b", "job_a"}} {
		list, err := f.DueJobs(f.ctx, now, 10)
		f.ok(err)
		f.same("due", jobIDs(list), want)
	}
	list, err := f.DueJobs(f.ctx, at(99), 1)
	f.ok(err)
	f.same("limited", jobIDs(list), []string{"job_b"})
}

func jobIDs(list []gateway.Job) []string {
	got := make([]string, 0, len(list))
	for _, j := range list {
		got = append(got, j.ID)
	}
	return got
}

func jobSwap(f *fixture) {
	f.ok(f.InsertJob(f.ctx, job("job_1", at(1))))
	var won atomic.Int32
	together(8, func(i int) {
		j := job("job_1", at(60+i))
		err := f.SwapJob(f.ctx, j)
		if err == nil {
			won.Add(1)
		} else {
			f.stale(err)
		}
	})
	f.same("winners", int(won.Load()), 1)
	got, err := f.Job(f.ctx, "job_1")
	f.ok(err)
	f.same("version", got.Version, int64(1))
	f.ok(f.SwapJob(f.ctx, got))
	due, err := f.DueJobs(f.ctx, at(59), 10)
	f.ok(err)
	f.same("due", jobIDs(due), []string{})
	f.is(f.SwapJob(f.ctx, job("job_unknown", at(1))), gateway.ErrStale)
}

func jobDelete(f *fixture) {
	f.ok(f.InsertJob(f.ctx, job("job_1", at(1))))
	f.ok(f.DeleteJob(f.ctx, "job_1"))
	f.ok(f.DeleteJob(f.ctx, "job_1"))
	_, err := f.Job(f.ctx, "job_1")
	f.is(err, gateway.ErrNotFound)
}
