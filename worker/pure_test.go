package worker

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/unihook/unihook/gateway"
	"github.com/unihook/unihook/gateway/egress"
	"github.com/unihook/unihook/gateway/retry"
)

func TestJudge(t *testing.T) {
	at := time.Date(2026, 5, 18, 10, 0, 0, 0, time.UTC)
	now := at.Add(time.Second)
	custom := retry.Schedule{Name: retry.Custom, Delays: []retry.Delay{"10s", "20s"}}
	in := func(d time.Duration) gateway.Time { return gateway.At(now.Add(d)) }
	for _, c := range []struct {
		name     string
		t        tried
		r        rules
		status   gateway.DeliveryStatus
		reason   gateway.Reason
		next     gateway.Time
		failures int
		failure  gateway.Failure
		health   bool
	}{
		{name: "2xx", t: tried{status: 204}, status: gateway.Delivered, health: true},
		{name: "a failure waits as the schedule says", t: tried{status: 500, failure: "status"},
			status: gateway.Pending, reason: gateway.Retrying, next: in(10 * time.Second), failures: 1, failure: "status", health: true},
		{name: "the second one longer", t: tried{status: 500, failure: "status", delivery: gateway.Delivery{Failures: 1}},
			status: gateway.Pending, reason: gateway.Retrying, next: in(20 * time.Second), failures: 2, failure: "status", health: true},
		{name: "the last one is the end", t: tried{failure: "timeout", delivery: gateway.Delivery{Failures: 2}},
			status: gateway.Failed, reason: gateway.Exhausted, failures: 3, failure: "timeout", health: true},
		{name: "429 with a longer Retry-After", t: tried{status: 429, failure: "status", retryAfter: "3600"},
			status: gateway.Pending, reason: gateway.Retrying, next: in(time.Hour), failures: 1, failure: "status", health: true},
		{name: "503 with a shorter one", t: tried{status: 503, failure: "status", retryAfter: "3"},
			status: gateway.Pending, reason: gateway.Retrying, next: in(10 * time.Second), failures: 1, failure: "status", health: true},
		{name: "500 does not ask for a time", t: tried{status: 500, failure: "status", retryAfter: "3600"},
			status: gateway.Pending, reason: gateway.Retrying, next: in(10 * time.Second), failures: 1, failure: "status", health: true},
		{name: "the scale is not for Retry-After", t: tried{status: 503, failure: "status", retryAfter: "60"}, r: rules{scale: 0.001},
			status: gateway.Pending, reason: gateway.Retrying, next: in(time.Minute), failures: 1, failure: "status", health: true},
		{name: "410 closes", t: tried{status: 410, failure: "gone"}, r: rules{goneStops: true},
			status: gateway.Failed, reason: gateway.EndpointGone, failure: "gone", health: true},
		{name: "410 that is a failure like any other", t: tried{status: 410, failure: "gone"},
			status: gateway.Pending, reason: gateway.Retrying, next: in(10 * time.Second), failures: 1, failure: "status", health: true},
		{name: "a mapping that cannot be applied", t: tried{failure: gateway.FailureMapping},
			status: gateway.Failed, reason: gateway.BadMapping, failure: "mapping"},
		{name: "a probe uses up nothing", t: tried{status: 500, failure: "status", trigger: gateway.ByProbe, delivery: gateway.Delivery{Failures: 1}},
			status: gateway.Pending, reason: gateway.InQuarantine, next: in(0), failures: 1, failure: "status", health: true},
		{name: "a test is tried once", t: tried{status: 500, failure: "status", trigger: gateway.ByTest},
			status: gateway.Failed, reason: gateway.TestFailed, next: in(10 * time.Second), failures: 1, failure: "status"},
		{name: "a manual retry does not count", t: tried{status: 410, failure: "gone", trigger: gateway.ByManual}, r: rules{goneStops: true},
			status: gateway.Failed, reason: gateway.EndpointGone, failure: "gone"},
	} {
		c.t.at, c.t.now = at, now
		if c.t.trigger == "" {
			c.t.trigger = gateway.BySchedule
		}
		if c.r.scale == 0 {
			c.r.scale = 1
		}
		c.r.schedule = custom
		v := judge(c.t, c.r)
		if v.status != c.status || v.reason != c.reason || v.next != c.next || v.failures != c.failures || v.failure != c.failure || (v.outcome != nil) != c.health {
			t.Errorf("%s: got %+v", c.name, v)
		}
	}
}

// TestJudge_Vectors holds the verdicts of the shared vectors that have a status.
func TestJudge_Vectors(t *testing.T) {
	text, err := os.ReadFile("../gateway/egress/testdata/responses.json")
	if err != nil {
		t.Fatal(err)
	}
	var vectors struct {
		Cases []struct {
			ID      string            `json:"id"`
			Status  int               `json:"status"`
			Headers map[string]string `json:"headers"`
			Expect  string            `json:"expect"`
			Delay   any               `json:"delay_at_least_s"`
		} `json:"cases"`
	}
	if err := json.Unmarshal(text, &vectors); err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 5, 18, 10, 0, 0, 0, time.UTC)
	tested := 0
	for _, c := range vectors.Cases {
		if c.Status == 0 {
			continue
		}
		tested++
		after := strings.ReplaceAll(c.Headers["Retry-After"], "$NOW+300s_HTTP_DATE", now.Add(300*time.Second).Format("Mon, 02 Jan 2006 15:04:05 GMT"))
		v := judge(tried{status: c.Status, failure: classOf(c.Status), trigger: gateway.BySchedule, at: now, now: now, retryAfter: after}, rules{scale: 1, goneStops: true})
		want := gateway.Pending
		switch c.Expect {
		case "success":
			want = gateway.Delivered
		case "disable":
			want = gateway.Failed
		}
		if v.status != want {
			t.Errorf("%s: %d is %s, want %s", c.ID, c.Status, v.status, want)
		}
		least := 5.0
		switch d := c.Delay.(type) {
		case float64:
			least = max(least, d)
		case string:
			if d == "cap" {
				least = (24 * time.Hour).Seconds()
			}
		}
		if wait := v.next.Sub(gateway.At(now)).Seconds(); want == gateway.Pending && (wait < least || wait > (24*time.Hour).Seconds()) {
			t.Errorf("%s: waits %v s, want at least %v", c.ID, wait, least)
		}
	}
	if tested < 30 {
		t.Errorf("only %d vectors were tested", tested)
	}
}

// classOf is the class that package egress gives a status.
func classOf(status int) gateway.Failure {
	switch {
	case status >= 200 && status <= 299:
		return ""
	case status >= 300 && status <= 399:
		return gateway.Failure(egress.Redirect)
	case status == 410:
		return gateway.Failure(egress.Gone)
	}
	return gateway.Failure(egress.Status)
}

func TestSlots_GrowWithSuccessesAndShrinkWhenSlow(t *testing.T) {
	s := newSlots(512)
	now := time.Unix(1000, 0)
	key := slotKey{"ep_1", "org_a", "https://a"}
	take := func() (n int) {
		for s.take(key, now) {
			n++
		}
		return n
	}
	if n := take(); n != 8 {
		t.Fatalf("a new endpoint has %d slots, want 8", n)
	}
	for range 8 {
		s.give(key, now, now.Add(10*time.Millisecond), true)
	}
	if n := take(); n != 16 {
		t.Fatalf("after 8 successes it has %d, want 16", n)
	}
	for range 15 {
		s.give(key, now, now.Add(10*time.Millisecond), false)
	}
	began := now
	now = now.Add(1001 * time.Millisecond)
	if n := take(); n != 3 {
		t.Fatalf("with one request older than a second it gets %d more, want 3 of 4", n)
	}
	if used, slow := s.inFlight(); used != 4 || slow != 4 {
		t.Fatalf("%d in flight, %d of them slow", used, slow)
	}
	s.give(key, began, now, true)
	for range 3 {
		s.give(key, now, now, true)
	}
	if used, slow := s.inFlight(); used != 0 || slow != 0 || len(s.owners) != 0 || len(s.places) != 0 {
		t.Fatalf("after all it is %d, %d, %v, %v", used, slow, s.owners, s.places)
	}
}

func TestSlots_Bounds(t *testing.T) {
	now := time.Unix(1000, 0)
	fill := func(s *slots, org, origin string, endpoints int) (n int) {
		for i := range endpoints {
			for s.take(slotKey{string(rune('a'+i)) + org + origin, org, origin}, now) {
				n++
			}
		}
		return n
	}
	s := newSlots(128)
	if n := fill(s, "org_a", "https://one", 20); n != 32 {
		t.Errorf("one organisation's machine gets %d, want a quarter", n)
	}
	if n := fill(s, "org_a", "https://two", 20) + fill(s, "org_a", "https://three", 20); n != 32 {
		t.Errorf("one organisation gets %d more, want half in all", n)
	}
	if n := fill(s, "org_b", "https://one", 20); n != 32 {
		t.Errorf("another organisation's machine of the same name gets %d", n)
	}

	slow := newSlots(128)
	for i := range 20 {
		slow.take(slotKey{string(rune('a' + i)), "org_" + string(rune('a'+i)), "o"}, now)
	}
	now = now.Add(2 * time.Second)
	n := 0
	for i := range 20 {
		for slow.take(slotKey{string(rune('a' + i)), "org_" + string(rune('a'+i)), "o"}, now) {
			n++
		}
	}
	if used, of := slow.inFlight(); of > 32 || used != of || n != 12 || of != 32 {
		t.Errorf("slow endpoints hold %d of %d (%d new), want a quarter of 128", of, used, n)
	}
}

func TestPace(t *testing.T) {
	now := time.Unix(1000, 0)
	strict := pace{rate: 10, strict: true}
	if w := strict.wait(now); w != 0 {
		t.Errorf("the first waits %v", w)
	}
	strict.spend(now)
	if w := strict.wait(now); w != 100*time.Millisecond {
		t.Errorf("the second waits %v", w)
	}
	now = now.Add(time.Minute)
	strict.spend(now)
	if w := strict.wait(now); w != 100*time.Millisecond {
		t.Errorf("after a pause %v, want nothing saved up", w)
	}
	now = now.Add(-time.Hour)
	if w := strict.wait(now); w > 100*time.Millisecond {
		t.Errorf("after the clock went back %v", w)
	}
	if got := drainRate(1000, 10*time.Second); got != 200 {
		t.Errorf("1000 in 10 s drain at %v", got)
	}
	if got := drainRate(10, time.Minute); got != 50 {
		t.Errorf("10 in a minute drain at %v", got)
	}
}

func TestLease(t *testing.T) {
	const now = 1_000_000
	s, ok := acquire(gateway.EndpointState{}, "w1", now)
	if !ok || !s.InLane || s.Owner != "w1" || s.TurnAt != s.OwnerUntil {
		t.Fatalf("got %+v", s)
	}
	if _, ok := acquire(s, "w2", now+1); ok {
		t.Error("a lease was taken from its owner")
	}
	if _, ok := acquire(s, "w2", s.OwnerUntil); !ok {
		t.Error("a lease that ended was not to be had")
	}
	if _, ok := acquire(s, "w2", now-gateway.Time(time.Hour.Milliseconds())); !ok {
		t.Error("after the clock went back an hour a dead owner keeps its lease")
	}
	if _, ok := renew(s, "w2", now); ok {
		t.Error("another renewed it")
	}
	s, ok = release(s, "w1", 77, stayInLane)
	if !ok || s.Owner != "" || !s.InLane || s.TurnAt != 77 {
		t.Errorf("released: %+v", s)
	}
}

func TestTrimRune(t *testing.T) {
	for in, want := range map[string]string{"": "", "abc": "abc", "ab\xc3": "ab", "abé": "abé", "a\xe2\x82": "a", "a€": "a€", "\xff\xff": "\xff\xff"} {
		if got := string(trimRune([]byte(in))); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

func TestRenewal_AlsoOfWhatWasDatedBeforeTheClockWasSetBack(t *testing.T) {
	const now = gateway.Time(1_800_000_000_000)
	for name, c := range map[string]struct {
		until gateway.Time
		want  bool
	}{
		"fresh":                  {now.Add(gateway.ClaimFor), false},
		"ends soon":              {now.Add(renewAhead - time.Second), true},
		"has ended":              {now.Add(-time.Second), true},
		"from before a set-back": {now.Add(time.Hour), true},
	} {
		f := newFlights()
		f.reserve("run_1", []string{"dlv_1"})
		f.claimed("dlv_1", "run_1", c.until)
		if got := len(f.ending(now)) == 1; got != c.want {
			t.Errorf("a claim that %s: to be renewed is %v", name, got)
		}
		if got := (&lane{until: c.until}).wantsRenewal(now); got != c.want {
			t.Errorf("a lease that %s: to be renewed is %v", name, got)
		}
	}
}
