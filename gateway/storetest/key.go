package storetest

import (
	"fmt"

	"github.com/unihook/unihook/gateway"
)

func keyCases() []testCase {
	return []testCase{
		{"Key_IsKeptWhole", keyKept},
		{"Insert_OfATakenID", keyTaken},
		{"List_IsNewestFirstInStablePages", keyList},
		{"Delete_TakesItAtOnce", keyDelete},
		{"Touch_KeepsTheLaterTime", keyTouch},
	}
}

func key(id string, second int) gateway.Key {
	return gateway.Key{ID: id, Kind: gateway.KindPublisher, Products: []string{"payments"}, Organisations: []string{acme, other},
		Name: "backend", CreatedAt: at(second), ExpiresAt: at(second + 1000), Hash: []byte{0, 1, 254, 255}}
}

func keyKept(f *fixture) {
	for _, want := range []gateway.Key{
		key("key_1", 0),
		{ID: "key_2", Kind: gateway.KindOrganisation, Organisation: acme, CreatedAt: at(1), LastUsedAt: at(2), Hash: []byte{7}},
	} {
		f.ok(f.InsertKey(f.ctx, want))
		got, err := f.Key(f.ctx, want.ID)
		f.ok(err)
		f.same("key", got, want)
	}
	_, err := f.Key(f.ctx, "key_unknown")
	f.is(err, gateway.ErrNotFound)
}

func keyTaken(f *fixture) {
	f.ok(f.InsertKey(f.ctx, key("key_1", 0)))
	f.is(f.InsertKey(f.ctx, key("key_1", 1)), gateway.ErrTaken)
}

func keyList(f *fixture) {
	var want []string
	for i := range 5 {
		id := fmt.Sprintf("key_%d", i)
		f.ok(f.InsertKey(f.ctx, key(id, 10*i)))
		want = append([]string{id}, want...)
	}
	got := pages(f, 2, func(page gateway.Page) ([]gateway.Key, string, error) { return f.ListKeys(f.ctx, page) },
		func(k gateway.Key) string { return k.ID },
		func() { f.ok(f.InsertKey(f.ctx, key(fmt.Sprintf("key_new%d", f.next()), 100))) })
	f.same("ids", got, want)
}

func keyDelete(f *fixture) {
	f.ok(f.InsertKey(f.ctx, key("key_1", 0)))
	f.ok(f.DeleteKey(f.ctx, "key_1"))
	_, err := f.Key(f.ctx, "key_1")
	f.is(err, gateway.ErrNotFound)
	f.is(f.DeleteKey(f.ctx, "key_1"), gateway.ErrNotFound)
}

func keyTouch(f *fixture) {
	want := key("key_1", 0)
	f.ok(f.InsertKey(f.ctx, want))
	f.ok(f.TouchKeys(f.ctx, map[string]gateway.Time{"key_1": at(9), "key_unknown": at(9)}))
	f.ok(f.TouchKeys(f.ctx, map[string]gateway.Time{"key_1": at(8)}))
	got, err := f.Key(f.ctx, "key_1")
	f.ok(err)
	want.LastUsedAt = at(9)
	f.same("key", got, want)
	list, _, err := f.ListKeys(f.ctx, gateway.Page{Limit: 10})
	f.ok(err)
	f.same("in the list", list, []gateway.Key{want})
}
