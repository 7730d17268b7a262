package api_test

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/unihook/unihook/gateway"
	"github.com/unihook/unihook/gateway/api"
)

func TestHTTP_Routing(t *testing.T) {
	s := start(t)
	for _, tc := range []struct {
		method, path string
		status       int
		allow        string
	}{
		{"GET", "/nothing", 404, ""},
		{"GET", "/v1/products/", 404, ""},
		{"GET", "/V1/products", 404, ""},
		{"GET", "//v1/products", 404, ""},
		{"GET", "/v1/events/a/b", 404, ""},
		{"GET", "/v1/events//", 404, ""},
		{"DELETE", "/v1/products", 405, "GET, HEAD"},
		{"OPTIONS", "/v1/events", 405, "POST, GET, HEAD"},
		{"OPTIONS", "/healthz", 405, "GET, HEAD"},
		{"TRACE", "/healthz", 405, "GET, HEAD"},
		{"BREW", "/healthz", 405, "GET, HEAD"},
		{"BREW", "/nothing", 404, ""},
		// The key comes before the thing, and before the body.
		{"GET", "/v1/products/none", 401, ""},
		{"POST", "/v1/events", 401, ""},
		{"GET", "/healthz", 200, ""},
		{"HEAD", "/healthz", 200, ""},
		{"GET", "/healthz?a=1", 422, ""},
	} {
		got := s.send(request{method: tc.method, path: tc.path})
		if got.status != tc.status || got.header.Get("Allow") != tc.allow {
			t.Errorf("%s %s: %d, Allow %q; want %d, %q", tc.method, tc.path, got.status, got.header.Get("Allow"), tc.status, tc.allow)
		}
		if tc.status >= 400 && (got.header.Get("Content-Type") != "application/problem+json" || got.text("type") != "about:blank" || got.text("title") == "" || got.text("detail") == "") {
			t.Errorf("%s %s: no problem: %s", tc.method, tc.path, got.body)
		}
		if tc.status == 401 && got.header.Get("WWW-Authenticate") != "Bearer" {
			t.Errorf("%s %s: no WWW-Authenticate", tc.method, tc.path)
		}
	}
	if got := s.send(request{method: "HEAD", path: "/v1/products", key: operatorKey}); got.status != 200 || len(got.body) != 0 || got.header.Get("Content-Length") == "0" {
		t.Errorf("HEAD: %d, %q, Content-Length %s", got.status, got.body, got.header.Get("Content-Length"))
	}
}

func TestHTTP_Headers(t *testing.T) {
	s := start(t)
	for _, path := range []string{"/healthz", "/nothing", "/v1/webhooks"} {
		got := s.send(request{method: "GET", path: path})
		for name, want := range map[string]string{
			"X-Content-Type-Options":  "nosniff",
			"X-Frame-Options":         "DENY",
			"Referrer-Policy":         "no-referrer",
			"Cache-Control":           "no-store",
			"Content-Security-Policy": "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
			"Server":                  "",
			// Only over TLS.
			"Strict-Transport-Security": "",
		} {
			if got.header.Get(name) != want {
				t.Errorf("%s: %s is %q, want %q", path, name, got.header.Get(name), want)
			}
		}
		if got.header.Get("X-Request-Id") == "" {
			t.Errorf("%s: no X-Request-Id", path)
		}
	}
}

func TestHTTP_Bodies(t *testing.T) {
	s := start(t)
	for _, tc := range []struct {
		name   string
		r      request
		status int
		faults []string
	}{
		{"no JSON", request{body: `{"name":}`}, 400, nil},
		{"trailing text", request{body: `{"name":"a"} x`}, 400, nil},
		{"a byte order mark", request{body: "\xEF\xBB\xBF{}"}, 400, nil},
		{"not UTF-8", request{body: "{\"name\":\"\xff\"}"}, 400, nil},
		{"no body", request{header: map[string]string{"Content-Type": "application/json"}}, 400, nil},
		{"a form", request{body: "name=a", contentType: "application/x-www-form-urlencoded"}, 415, nil},
		{"a form in parts", request{body: "--x\r\n\r\n\r\n--x--", contentType: "multipart/form-data; boundary=x"}, 415, nil},
		{"text", request{body: `{}`, contentType: "text/plain"}, 415, nil},
		{"a merge patch", request{body: `{}`, contentType: "application/merge-patch+json"}, 415, nil},
		{"another charset", request{body: `{}`, contentType: "application/json; charset=utf-16"}, 415, nil},
		{"an encoding", request{body: `{}`, header: map[string]string{"Content-Encoding": "gzip"}}, 415, nil},
		{"no object", request{body: `[]`}, 422, []string{" wrong_type"}},
		{"every fault at once", request{path: "/v1/organisations?organisation=a&b=c", body: `{"id":"a b","nam":"x","hosts":[1],"hosts":[]}`}, 422, []string{
			"?b unknown_parameter", "?organisation unknown_parameter", "/nam unknown_key", "/hosts/0 wrong_type", "/hosts repeated_key", "/name required", "/id id_character"}},
		{"too large", request{body: `{"name":"` + strings.Repeat("a", 1<<20) + `"}`}, 413, nil},
		{"what the gateway sets", request{body: `{"id":"sent-back","name":"x","revision":9,"createdAt":"no time","updatedAt":null,"hosts":null}`, contentType: "application/json; charset=UTF-8"}, 201, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tc.r.method, tc.r.key = "POST", operatorKey
			if tc.r.path == "" {
				tc.r.path = "/v1/organisations"
			}
			got := s.send(tc.r)
			if got.status != tc.status {
				t.Fatalf("answered %d, want %d: %s", got.status, tc.status, got.body)
			}
			if diff := cmp.Diff(tc.faults, got.faults()); tc.faults != nil && diff != "" {
				t.Error(diff)
			}
		})
	}
}

// Without a valid key little is read; key and kind are judged before the body is complained of.
func TestHTTP_LimitsByKey(t *testing.T) {
	s := start(t)
	customer := s.organisation("org_a")
	large := `{"name":"` + strings.Repeat("a", 100<<10) + `"}`
	for _, tc := range []struct {
		name, key, path, body string
		status                int
	}{
		{"no key, small", "", "/v1/events", `{}`, 401},
		{"no key, large", "", "/v1/events", large, 401},
		{"no key, huge", "", "/v1/events/batch", strings.Repeat(" ", 6<<20), 401},
		{"a false key, large", "uhk_x", "/v1/events", large, 401},
		{"another kind, huge", customer, "/v1/events", strings.Repeat(" ", 6<<20), 403},
		{"another kind, no JSON", customer, "/v1/events", `{`, 403},
		{"data over its limit", operatorKey, "/v1/events", `{"product":"payments","type":"paiement.success","organisation":"org_a","data":{"a":"` + strings.Repeat("a", 256<<10) + `"}}`, 413},
		{"a batch over its limit", operatorKey, "/v1/events/batch", strings.Repeat(" ", 9<<20), 413},
		{"no such route, huge", operatorKey, "/v1/nothing", strings.Repeat(" ", 6<<20), 404},
		{"not this method, huge", operatorKey, "/v1/products", strings.Repeat(" ", 6<<20), 405},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := s.send(request{key: tc.key, method: "POST", path: tc.path, body: tc.body}); got.status != tc.status {
				t.Errorf("answered %d, want %d: %.300s", got.status, tc.status, got.body)
			}
		})
	}
}

func TestHTTP_RateOfKeys(t *testing.T) {
	var asked []string
	s := start(t, func(_ *gateway.Options, o *api.Options) {
		o.Allow = func(_ context.Context, key string) (bool, time.Duration, error) {
			asked = append(asked, key)
			return len(asked) < 2, 1500 * time.Millisecond, nil
		}
	})
	s.call(200, "GET", "/v1/products", "")
	if got := s.call(429, "GET", "/v1/products", ""); got.header.Get("Retry-After") != "2" {
		t.Errorf("Retry-After is %q, want 2", got.header.Get("Retry-After"))
	}
	s.as("", 200, "GET", "/healthz", "")
	if diff := cmp.Diff([]string{"operator", "operator"}, asked); diff != "" {
		t.Error(diff)
	}
}

func TestHTTP_Panic(t *testing.T) {
	s := start(t, func(_ *gateway.Options, o *api.Options) {
		o.Metrics = http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("s3cret") })
	})
	got := s.call(500, "GET", "/metrics", "")
	if got.text("detail") != "internal error" || strings.Contains(string(got.body), "s3cret") || got.text("requestId") != got.header.Get("X-Request-Id") {
		t.Errorf("answered %s", got.body)
	}
	if n := s.api.Panics(); n != 1 {
		t.Errorf("%d panics are counted, want 1", n)
	}
	if log := s.log.String(); !strings.Contains(log, "s3cret") || !strings.Contains(log, got.text("requestId")) {
		t.Errorf("the log lacks the panic or the request's id: %s", log)
	}
	s.call(200, "GET", "/v1/products", "")
}

func TestHTTP_Readiness(t *testing.T) {
	fails := false
	s := start(t, func(_ *gateway.Options, o *api.Options) {
		o.Checks = []api.Check{{Name: "egress", Run: func(context.Context) error {
			if fails {
				return gateway.ErrAway
			}
			return nil
		}}}
	})
	monitor := s.key(`{"kind":"monitor","name":"m"}`)
	customer := s.organisation("org_a")
	if got := s.as(monitor, 200, "GET", "/readyz", ""); got.text("checks.store") != "ok" || got.text("checks.egress") != "ok" {
		t.Errorf("answered %s", got.body)
	}
	fails = true
	if got := s.as(operatorKey, 503, "GET", "/readyz", ""); got.text("checks.egress") != "the store is away" || got.header.Get("Retry-After") == "" {
		t.Errorf("answered %s", got.body)
	}
	for _, key := range []string{"", "false", customer} {
		if got := s.as(key, 503, "GET", "/readyz", ""); got.field("checks") != nil {
			t.Errorf("details are shown: %s", got.body)
		}
	}
}

// A check costs connections, and strangers may ask: they share one answer a second.
func TestHTTP_ReadinessOfStrangersIsShared(t *testing.T) {
	var checks atomic.Int64
	entered, leave := make(chan struct{}), make(chan struct{})
	s := start(t, func(_ *gateway.Options, o *api.Options) {
		o.Checks = []api.Check{{Name: "egress", Run: func(context.Context) error {
			if checks.Add(1) == 1 {
				close(entered)
				<-leave
			}
			return nil
		}}}
	})
	const strangers = 30
	var all sync.WaitGroup
	for range strangers {
		all.Go(func() { s.as("", 200, "GET", "/readyz", "") })
	}
	<-entered
	close(leave)
	all.Wait()
	if n := checks.Load(); n >= strangers {
		t.Errorf("%d requests made %d checks", strangers, n)
	}
}

// An event's id is its organisation's: an erasure must not fall on whoever used the same one last.
func TestHTTP_EraseOfAnIDThatTwoHave(t *testing.T) {
	s := start(t)
	for _, o := range []string{"org_a", "org_b"} {
		s.organisation(o)
		s.call(202, "POST", "/v1/events", `{"id":"same","product":"payments","type":"paiement.success","organisation":"`+o+`","data":{}}`)
	}
	s.as(operatorKey, 422, "DELETE", "/v1/events/same", "")
	s.as(operatorKey, 204, "DELETE", "/v1/events/same?organisation=org_a", "")
	if got := s.as(operatorKey, 200, "GET", "/v1/events/same?organisation=org_b", ""); got.field("data") == nil {
		t.Errorf("the other one is erased: %s", got.body)
	}
}

func TestHTTP_Cursors(t *testing.T) {
	s := start(t)
	mine, theirs := s.organisation("org_a"), s.organisation("org_b")
	for _, id := range []string{"1", "2", "3"} {
		for _, o := range []string{"org_a", "org_b"} {
			s.call(202, "POST", "/v1/events", `{"id":"`+id+`","product":"payments","type":"paiement.success","organisation":"`+o+`","data":{}}`)
		}
	}
	first := s.as(mine, 200, "GET", "/v1/events?limit=2&product=payments", "")
	if first.text("data.0.id") != "3" || first.text("data.1.id") != "2" || first.text("data.2.id") != "" {
		t.Fatalf("first page: %s", first.body)
	}
	cursor := first.text("next")
	last := s.as(mine, 200, "GET", "/v1/events?limit=2&product=payments&cursor="+cursor, "")
	if last.text("data.0.id") != "1" || last.text("data.1.id") != "" || last.field("next") != nil {
		t.Errorf("last page: %s", last.body)
	}
	for _, tc := range []struct {
		name, key, path string
		status          int
	}{
		{"another size of page", mine, "/v1/events?limit=1&product=payments&cursor=" + cursor, 200},
		{"other filters", mine, "/v1/events?cursor=" + cursor, 422},
		{"another list", mine, "/v1/deliveries?cursor=" + cursor, 422},
		{"no cursor at all", mine, "/v1/events?cursor=x", 422},
		{"a changed one", mine, "/v1/events?product=payments&cursor=" + cursor[:len(cursor)-2] + "AA", 422},
		{"another organisation's", theirs, "/v1/events?product=payments&cursor=" + cursor, 404},
		{"an operator's, of everyone", operatorKey, "/v1/events?product=payments&cursor=" + cursor, 422},
		{"an operator's, of that organisation", operatorKey, "/v1/events?product=payments&organisation=org_a&cursor=" + cursor, 200},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := s.as(tc.key, tc.status, "GET", tc.path, "")
			if diff := cmp.Diff([]string{"?cursor cursor_unknown"}, got.faults()); tc.status == 422 && diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestHTTP_Queries(t *testing.T) {
	s := start(t)
	for path, want := range map[string][]string{
		"/v1/deliveries?limit=0&status=done,failed&since=yesterday&x=1&webhook=a&webhook=b": {
			"?webhook repeated_parameter", "?x unknown_parameter", "?status unknown_value", "?since malformed", "?limit out_of_range"},
		"/v1/events?a&b%zz=1":                            {"?b%zz malformed", "?a unknown_parameter"},
		"/v1/events?limit=201":                           {"?limit out_of_range"},
		"/v1/events?limit=007":                           {"?limit out_of_range"},
		"/v1/events?limit=":                              {"?limit out_of_range"},
		"/v1/events?product=%00":                         {"?product malformed"},
		"/v1/events?product=%ff":                         {"?product malformed"},
		"/v1/events?product=" + strings.Repeat("a", 257): {"?product too_long"},
		"/v1/events?since=2026-05-18T10:00:00Z&until=2026-05-17T10:00:00Z": {"?until out_of_range"},
	} {
		if diff := cmp.Diff(want, s.call(422, "GET", path, "").faults()); diff != "" {
			t.Errorf("%s: %s", path, diff)
		}
	}
	s.call(422, "GET", "/v1/events?product=%zz", "")
	for _, since := range []string{"2026-05-18T1:00:00Z", "2026-05-18T10:00:00,5Z", "2026-05-18 10:00:00Z", "2026-05-18T10:00:00", "2026-02-30T10:00:00Z", "1"} {
		s.call(422, "GET", "/v1/deliveries?since="+url.QueryEscape(since), "")
	}
	for _, since := range []string{"2026-05-18t10:00:00z", "2026-05-18T10:00:00.123456789-11:30"} {
		s.call(200, "GET", "/v1/deliveries?since="+url.QueryEscape(since), "")
	}
	s.call(200, "GET", "/v1/deliveries?webhook=&endpoint=&event=&status=&since=2026-05-18T10:00:00+02:00&until=", "")
}

func TestHTTP_Batch(t *testing.T) {
	s := start(t)
	s.organisation("org_a")
	item := func(id string) string {
		return `{"id":"` + id + `","product":"payments","type":"paiement.success","organisation":"org_a","data":{}}`
	}
	mixed := s.call(202, "POST", "/v1/events/batch", `[`+item("a")+`,{"id":"b","dat":{}},1,`+item("a")+`]`)
	for path, want := range map[string]string{
		"data.0.status": "202", "data.0.id": "a", "data.1.status": "422", "data.1.errors.0.pointer": "/dat", "data.2.status": "422", "data.3.duplicate": "true",
	} {
		if got := mixed.field(path); textOf(got) != want {
			t.Errorf("%s is %v, want %s: %s", path, got, want, mixed.body)
		}
	}
	lines := s.send(request{key: operatorKey, method: "POST", path: "/v1/events/batch", contentType: "application/x-ndjson",
		body: item("c") + "\r\n\n{\"id\":\n" + item("d")})
	if lines.status != 202 || textOf(lines.field("data.0.status")) != "202" || textOf(lines.field("data.1.status")) != "422" || lines.text("data.2.id") != "d" {
		t.Errorf("lines: %d %s", lines.status, lines.body)
	}
	// What is no object at all lacks no fields: one fault says it.
	for name, item := range map[string]any{"an element": mixed.field("data.2.errors"), "a line": lines.field("data.1.errors")} {
		if errors, _ := item.([]any); len(errors) != 1 {
			t.Errorf("%s that cannot be read has the faults %v, want one", name, item)
		}
	}
	s.call(400, "POST", "/v1/events/batch", `[`)
	if whole := s.call(422, "POST", "/v1/events/batch", `[]`); !strings.Contains(string(whole.body), `{"pointer":"","code":"too_few"`) {
		t.Errorf("a fault of the whole body: %s", whole.body)
	}
	s.call(422, "POST", "/v1/events/batch", `{}`)
	s.call(422, "POST", "/v1/events/batch", `[`+strings.Repeat(`1,`, 1000)+`1]`)
	if many := s.call(202, "POST", "/v1/events/batch", `[`+strings.Repeat(`1,`, 999)+`1]`); textOf(many.field("data.0.status")) != "422" {
		t.Errorf("1,000 faulty items: %.300s", many.body)
	}
}

func textOf(value any) string {
	switch v := value.(type) {
	case interface{ String() string }:
		return v.String()
	case string:
		return v
	case bool:
		if v {
			return "true"
		}
		return "false"
	}
	return ""
}

func TestHTTP_EventIsKeptByteForByte(t *testing.T) {
	s := start(t)
	customer := s.organisation("org_a")
	data := "{ \"a\" : 1.0, \"a\":12345678901234567890,\n\"é\":\"\\u00e9<&>\" }"
	s.call(202, "POST", "/v1/events?organisation=org_a", `{"id":"e","product":"payments","type":"paiement.success","data":`+data+`}`)
	got := s.as(customer, 200, "GET", "/v1/events/e", "")
	if !strings.Contains(string(got.body), `"data":`+data+`}`) {
		t.Errorf("answered %s", got.body)
	}
	s.as(customer, 204, "DELETE", "/v1/events/e", "")
	if got := s.as(customer, 200, "GET", "/v1/events/e", ""); got.field("data") != nil || textOf(got.field("erased")) != "true" {
		t.Errorf("after erasing: %s", got.body)
	}
}

// The first moment of 1970 is a time like any other: as a publisher's createdAt, and as the end of a window.
func TestHTTP_TheFirstMomentOf1970(t *testing.T) {
	const first = "1970-01-01T00:00:00.000Z"
	s := start(t)
	customer := s.organisation("org_a")
	hook := s.as(customer, 201, "POST", "/v1/webhooks", `{"status":"active","endpoints":[{"url":"https://hook.example.com/"}],"events":[{"product":"*","type":"*"}]}`)
	s.call(202, "POST", "/v1/events?organisation=org_a", `{"id":"e","product":"payments","type":"paiement.success","data":{},"createdAt":"1970-01-01T01:00:00+01:00"}`)
	if got := s.as(customer, 200, "GET", "/v1/events/e", ""); got.text("createdAt") != first {
		t.Errorf("the event: %s", got.body)
	}
	if got := s.as(customer, 200, "GET", "/v1/events", ""); got.text("data.0.createdAt") != first {
		t.Errorf("in the list: %s", got.body)
	}
	for _, list := range []string{"events", "deliveries", "audit"} {
		for _, until := range []string{first, "1960-01-01T00:00:00Z"} {
			if got := s.as(customer, 200, "GET", "/v1/"+list+"?until="+until, ""); got.field("data.0") != nil {
				t.Errorf("%s until %s: %s", list, until, got.body)
			}
		}
	}
	for _, until := range []string{first, "1960-01-01T00:00:00Z"} {
		got := s.as(customer, 200, "POST", "/v1/webhooks/"+hook.text("id")+"/replay", `{"since":"1950-01-01T00:00:00Z","until":"`+until+`","status":"any","dryRun":true}`)
		if textOf(got.field("matched")) != "0" {
			t.Errorf("a replay until %s: %s", until, got.body)
		}
	}
}

// A replay sends again what it matches: an end that was left empty by mistake is not taken for none.
func TestHTTP_ReplayOfABadWindow(t *testing.T) {
	s := start(t)
	customer := s.organisation("org_a")
	hook := s.as(customer, 201, "POST", "/v1/webhooks", `{"endpoints":[{"url":"https://hook.example.com/"}],"events":[{"product":"*","type":"*"}]}`)
	for body, want := range map[string]string{
		`{"until":"2026-05-18T10:00:00Z"}`:               "/since since_missing",
		`{"since":"2026-05-18","until":null}`:            "/since time_malformed",
		`{"since":"2026-05-18T10:00:00Z","until":""}`:    "/until time_malformed",
		`{"since":"2026-05-18T10:00:00Z","until":false}`: "/until wrong_type",
	} {
		got := s.as(customer, 422, "POST", "/v1/webhooks/"+hook.text("id")+"/replay", body)
		if diff := cmp.Diff([]string{want}, got.faults()); diff != "" {
			t.Errorf("%s (-want +got)\n%s", body, diff)
		}
	}
}

// An organisation that is not there is a fault of the body, also where an event of it is asked for.
func TestHTTP_PreviewOfNobodysEvent(t *testing.T) {
	s := start(t)
	got := s.call(422, "POST", "/v1/mappings/preview?organisation=none", `{"product":"payments","type":"paiement.success","event":"e"}`)
	if diff := cmp.Diff([]string{"/organisation organisation_missing"}, got.faults()); diff != "" {
		t.Error(diff)
	}
}

func TestHTTP_GracefulStop(t *testing.T) {
	begun, finish := make(chan struct{}), make(chan struct{})
	s := start(t, func(_ *gateway.Options, o *api.Options) {
		o.Metrics = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			close(begun)
			<-finish
			_, _ = w.Write([]byte("metrics 1\n"))
		})
	})
	answered := make(chan answer)
	go func() { answered <- s.send(request{key: operatorKey, method: "GET", path: "/metrics"}) }()
	<-begun
	stopped := make(chan error, 1)
	go func() { stopped <- s.stop() }()
	close(finish)
	if got := <-answered; got.status != 200 || string(got.body) != "metrics 1\n" {
		t.Errorf("answered %d %s", got.status, got.body)
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}
