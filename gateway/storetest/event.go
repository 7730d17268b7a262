package storetest

import (
	"fmt"

	"github.com/unihook/unihook/gateway"
)

func eventCases() []testCase {
	return []testCase{
		{"Data_IsKeptByteForByte", eventBytes},
	}
}

func eventBytes(f *fixture) {
	for _, data := range []string{
		`{"id":12345678901234567890,"amount":1.0,"big":1e400,"tiny":-0.0}`,
		`{"a":1,"a":2,"":{"":null}}`,
		`{"e":"\u00e9","é":"é","s":"\/","u":"\ud83d\ude00","lone":"\ud800"}`,
		" {\t\"a\" :\r\n [ 1 , 2 ] } ",
		`{"html":"<a href='x'>&amp;</a>","line":"` + "\u2028" + `"}`,
		`{}`,
	} {
		e, _ := f.event(acme, 0)
		e.Data = []byte(data)
		_, err := f.Accept(f.ctx, []gateway.Event{e}, nil)
		f.ok(err)
		got, err := f.Event(f.ctx, gateway.Only(acme), e.ID)
		f.ok(err)
		f.same("data", string(got.Data), data)
		list, err := f.EventsByKey(f.ctx, []string{gateway.EventKey(acme, e.ID)})
		f.ok(err)
		f.same("data by key", fmt.Sprintf("%s", list[0].Data), data)
	}
}
