package retry

import (
	"strings"
	"time"
)

// MaxRetryAfter is the longest that a receiver may ask us to wait. More counts as this.
const MaxRetryAfter = 24 * time.Hour

// RetryAfter reads a Retry-After header (RFC 9110, section 10.2.3): whole seconds, or an HTTP date in any of its three
// formats, from which now is taken away. It returns a wait of 0 to MaxRetryAfter, and false for what says nothing about when
// to come back: an empty header, a time that is over, anything else.
func RetryAfter(header string, now time.Time) (time.Duration, bool) {
	header = strings.Trim(header, " \t")
	if header == "" {
		return 0, false
	}
	if strings.Trim(header, "0123456789") == "" {
		return afterSeconds(header), true
	}
	date, ok := parseDate(header)
	if !ok || !date.After(now) {
		return 0, false
	}
	return min(date.Sub(now), MaxRetryAfter), true
}

// afterSeconds stops at the limit, so that no number of digits overflows.
func afterSeconds(digits string) time.Duration {
	var wait time.Duration
	for _, digit := range []byte(digits) {
		wait = wait*10 + time.Duration(digit-'0')*time.Second
		if wait >= MaxRetryAfter {
			return MaxRetryAfter
		}
	}
	return wait
}

// parseDate reads an HTTP date: IMF-fixdate, RFC 850 or asctime, always in GMT.
func parseDate(text string) (time.Time, bool) {
	for _, layout := range []string{"Mon, 02 Jan 2006 15:04:05 GMT", "Monday, 02-Jan-06 15:04:05 GMT", time.ANSIC} {
		date, err := time.Parse(layout, text)
		if err != nil {
			continue
		}
		// time.Parse lets fractions and missing zeros pass. The weekday says nothing that the date does not: it may be wrong.
		return date, strings.EqualFold(withoutWeekday(text), withoutWeekday(date.Format(layout)))
	}
	return time.Time{}, false
}

func withoutWeekday(date string) string {
	_, rest, _ := strings.Cut(date, " ")
	return rest
}
