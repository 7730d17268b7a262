package storetest

import (
	"sync/atomic"

	"github.com/unihook/unihook/gateway"
)

func keyringCases() []testCase {
	return []testCase{
		{"Keyset_OnlyTheVersionThatWasReadIsReplaced", keyset},
		{"Keyset_OneOfManyMakesIt", keysetConcurrently},
		{"HasSealed_TellsWhetherThereIsAnything", hasSealed},
		{"Processes_AreThoseSeenSince", processes},
		{"Ping_Answers", ping},
	}
}

func keyset(f *fixture) {
	_, err := f.Keyset(f.ctx)
	f.is(err, gateway.ErrNotFound)
	f.is(f.SwapKeyset(f.ctx, gateway.Keyset{Blob: []byte("x"), Version: 1}), gateway.ErrStale)
	f.ok(f.SwapKeyset(f.ctx, gateway.Keyset{Blob: []byte{0, 255}}))
	f.is(f.SwapKeyset(f.ctx, gateway.Keyset{Blob: []byte("late")}), gateway.ErrStale)
	got, err := f.Keyset(f.ctx)
	f.ok(err)
	f.same("keyset", got, gateway.Keyset{Blob: []byte{0, 255}, Version: 1})
	f.ok(f.SwapKeyset(f.ctx, gateway.Keyset{Blob: []byte("second"), Version: 1}))
	f.is(f.SwapKeyset(f.ctx, gateway.Keyset{Blob: []byte("late"), Version: 1}), gateway.ErrStale)
	got, err = f.Keyset(f.ctx)
	f.ok(err)
	f.same("keyset", got, gateway.Keyset{Blob: []byte("second"), Version: 2})
}

func keysetConcurrently(f *fixture) {
	var won atomic.Int32
	together(8, func(i int) {
		err := f.SwapKeyset(f.ctx, gateway.Keyset{Blob: []byte{byte(i)}})
		if err == nil {
			won.Add(1)
		} else {
			f.stale(err)
		}
	})
	f.same("winners", int(won.Load()), 1)
}

func hasSealed(f *fixture) {
	check := func(want bool) {
		f.Helper()
		got, err := f.HasSealed(f.ctx)
		f.ok(err)
		f.same("sealed", got, want)
	}
	check(false)
	w := webhook(acme, "wh_1")
	w.Sealed = gateway.Sealed{}
	f.ok(f.InsertWebhook(f.ctx, w))
	check(false)
	w.Revision, w.Sealed = 2, gateway.Sealed{URLs: map[string][]byte{"ep/1": {1}}}
	f.ok(f.ReplaceWebhook(f.ctx, w, 1))
	check(true)
	w.Revision, w.DeletedAt, w.Sealed = 3, at(1), gateway.Sealed{}
	f.ok(f.ReplaceWebhook(f.ctx, w, 2))
	check(false)
}

func processes(f *fixture) {
	old := gateway.Process{ID: "p1", Kind: "api", KeysetVersion: 1, SeenAt: at(1)}
	recent := gateway.Process{ID: "p2", Kind: "worker", KeysetVersion: 2, SeenAt: at(10)}
	f.ok(f.Beat(f.ctx, old))
	f.ok(f.Beat(f.ctx, recent))
	got, err := f.Processes(f.ctx, at(10))
	f.ok(err)
	f.same("seen since", got, []gateway.Process{recent})
	old.SeenAt, old.KeysetVersion = at(11), 2
	f.ok(f.Beat(f.ctx, old))
	got, err = f.Processes(f.ctx, at(11))
	f.ok(err)
	f.same("seen again", got, []gateway.Process{old})
}

func ping(f *fixture) { f.ok(f.Ping(f.ctx)) }
