package retry_test

import (
	"encoding/json"
	"math/big"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/unihook/unihook/gateway/retry"
)

var now = time.Date(2026, 5, 18, 10, 32, 14, 0, time.UTC)

const httpDate = "Mon, 02 Jan 2006 15:04:05 GMT"

// responses.json has what receivers answer; its cases with a Retry-After say how long that makes a delivery wait.
func TestRetryAfter_Vectors(t *testing.T) {
	text, err := os.ReadFile("testdata/responses.json")
	if err != nil {
		t.Fatal(err)
	}
	var vectors struct {
		Cases []struct {
			ID      string
			Why     string
			Headers map[string]string
			AtLeast any `json:"delay_at_least_s"`
		}
	}
	if err := json.Unmarshal(text, &vectors); err != nil {
		t.Fatal(err)
	}
	tried := 0
	for _, c := range vectors.Cases {
		header, found := c.Headers["Retry-After"]
		if !found {
			continue
		}
		tried++
		header = strings.Replace(header, "$NOW+300s_HTTP_DATE", now.Add(300*time.Second).Format(httpDate), 1)
		wait, ok := retry.RetryAfter(header, now)
		var want time.Duration // where the vector leaves a choice, the one that API.md takes
		switch atLeast := c.AtLeast.(type) {
		case float64:
			want = time.Duration(atLeast) * time.Second
		case string:
			if strings.HasPrefix(atLeast, "cap") {
				want = retry.MaxRetryAfter
			}
		}
		if wantOK := c.AtLeast != "ignore" && c.AtLeast != "ignore_or_2"; ok != wantOK || wait != want {
			t.Errorf("%s (%s): %q: got %s, %v, want %s, %v", c.ID, c.Why, header, wait, ok, want, wantOK)
		}
	}
	if tried == 0 {
		t.Error("no case has a Retry-After")
	}
}

func TestRetryAfter(t *testing.T) {
	for _, c := range []struct {
		name, header, want string // want "" is ignored
	}{
		{"seconds", "120", "2m"},
		{"white space around", " \t120 ", "2m"},
		{"leading zeros", "000000000000000000000000000120", "2m"},
		{"a second under the limit", "86399", "23h59m59s"},
		{"the limit", "86400", "1d"},
		{"over the limit", "86401", "1d"},
		{"nanoseconds overflow at this many", "9223372037", "1d"},
		{"4,000 digits", strings.Repeat("9", 4000), "1d"},
		{"a sign", "+5", ""},
		{"a unit", "120s", ""},
		{"an exponent", "1e3", ""},
		{"hexadecimal", "0x10", ""},
		{"a separator", "1_000", ""},
		{"white space inside", "1 2", ""},
		{"white space alone", " ", ""},
		{"Arabic digits", "١٢٠", ""},

		{"IMF-fixdate", "Mon, 18 May 2026 10:37:14 GMT", "5m"},
		{"RFC 850", "Monday, 18-May-26 10:37:14 GMT", "5m"},
		{"asctime", "Mon May 18 10:37:14 2026", "5m"},
		{"asctime, one digit", "Tue May 19 01:00:00 2026", "14h27m46s"},
		{"far ahead", "Fri, 31 Dec 9999 23:59:59 GMT", "1d"},
		{"a wrong weekday", "Sun, 18 May 2026 10:37:14 GMT", "5m"},
		{"this very second", "Mon, 18 May 2026 10:32:14 GMT", ""},
		{"long ago", "Mon Jan  1 00:00:00 0001", ""},
		{"another zone", "Mon, 18 May 2026 12:37:14 CEST", ""},
		{"an offset", "Mon, 18 May 2026 10:37:14 +0000", ""},
		{"RFC 850 in another zone", "Monday, 18-May-26 10:37:14 EST", ""},
		{"a fraction, which Go would read", "Mon, 18 May 2026 10:37:14.5 GMT", ""},
		{"one digit of an hour, which Go would read", "Tue, 19 May 2026 1:37:14 GMT", ""},
		{"RFC 3339", "2026-05-18T10:37:14Z", ""},
		{"no such day", "Mon, 31 Feb 2027 10:37:14 GMT", ""},
		{"no such weekday", "Xyz, 18 May 2026 10:37:14 GMT", ""},
		{"a date and more", "Mon, 18 May 2026 10:37:14 GMT, 120", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			wait, ok := retry.RetryAfter(c.header, now)
			got := ""
			if ok {
				got = retry.FormatDuration(wait)
			}
			if got != c.want {
				t.Errorf("%.80q: got %q, want %q", c.header, got, c.want)
			}
		})
	}
}

// A date has whole seconds and now has milliseconds: what is between them is waited too.
func TestRetryAfter_DateIsNotCutShort(t *testing.T) {
	wait, ok := retry.RetryAfter("Mon, 18 May 2026 10:32:15 GMT", now.Add(250*time.Millisecond))
	if want := 750 * time.Millisecond; !ok || wait != want {
		t.Errorf("got %s, %v, want %s", wait, ok, want)
	}
}

// FuzzRetryAfter holds that a wait is always within its bounds, and that digits count as the number that they write.
func FuzzRetryAfter(f *testing.F) {
	for _, header := range []string{"120", "0", "", "-5", "99999999999999999999", "Mon, 18 May 2026 10:37:14 GMT",
		"Monday, 18-May-26 10:37:14 GMT", "Mon May 18 10:37:14 2026"} {
		f.Add(header)
	}
	f.Fuzz(func(t *testing.T, header string) {
		wait, ok := retry.RetryAfter(header, now)
		if wait < 0 || wait > retry.MaxRetryAfter || !ok && wait != 0 {
			t.Fatalf("%q: got %s, %v", header, wait, ok)
		}
		if header == "" || len(header) > 1000 || strings.Trim(header, "0123456789") != "" {
			return
		}
		seconds, _ := new(big.Int).SetString(header, 10)
		want := retry.MaxRetryAfter
		if seconds.Cmp(big.NewInt(86400)) < 0 {
			want = time.Duration(seconds.Int64()) * time.Second
		}
		if !ok || wait != want {
			t.Fatalf("%q: got %s, %v, want %s", header, wait, ok, want)
		}
	})
}
