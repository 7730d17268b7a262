package gateway

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"time"
)

// Time is a moment in UTC, in milliseconds since 1970: the precision that every store keeps. Zero is "never" and is
// null in JSON; any other is RFC 3339 with milliseconds.
type Time int64

// timeFormat is how times are sent: always UTC, always three digits of a second.
const timeFormat = "2006-01-02T15:04:05.000Z"

// At cuts t to milliseconds.
func At(t time.Time) Time {
	if t.IsZero() {
		return 0
	}
	return Time(t.UnixMilli())
}

var timeShape = regexp.MustCompile(`^\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]([01]\d|2[0-3]):[0-5]\d)$`)

// ParseTime reads any RFC 3339 time whose year in UTC has four digits. A leap second is the first second of the next
// month.
func ParseTime(text string) (Time, error) {
	const leap, before, at = ":60", ":59", len("2006-01-02T15:04")
	fault := fmt.Errorf("%q is not an RFC 3339 time such as 2026-05-18T10:32:14Z", text)
	if !timeShape.MatchString(text) {
		return 0, fault
	}
	// Go's parser takes a comma and single digits, which the standard does not, and no small letters, which it does.
	upper, isLeap := strings.ToUpper(text), text[at:at+len(leap)] == leap
	if isLeap {
		upper = upper[:at] + before + upper[at+len(leap):]
	}
	t, err := time.Parse(time.RFC3339Nano, upper)
	if isLeap {
		t = t.Add(time.Second)
	}
	u := t.UTC()
	switch {
	case err != nil, u.Year() < 0, u.Year() > 9999:
		return 0, fault
	case isLeap && (u.Day() != 1 || u.Hour() != 0 || u.Minute() != 0):
		return 0, fault
	}
	return Time(u.UnixMilli()), nil
}

// Time is t as Go's own type, in UTC; zero for never.
func (t Time) Time() time.Time {
	if t == 0 {
		return time.Time{}
	}
	return time.UnixMilli(int64(t)).UTC()
}

// Add moves t by d, cut to milliseconds.
func (t Time) Add(d time.Duration) Time { return t + Time(d/time.Millisecond) }

// Sub is the span from u to t.
func (t Time) Sub(u Time) time.Duration { return time.Duration(t-u) * time.Millisecond }

// String is the RFC 3339 form, or "never".
func (t Time) String() string {
	if t == 0 {
		return "never"
	}
	return t.Time().Format(timeFormat)
}

// MarshalJSON writes null for never.
func (t Time) MarshalJSON() ([]byte, error) {
	if t == 0 {
		return []byte("null"), nil
	}
	return []byte(`"` + t.Time().Format(timeFormat) + `"`), nil
}

// UnmarshalJSON reads null and any RFC 3339 time.
func (t *Time) UnmarshalJSON(text []byte) error {
	if string(text) == "null" {
		*t = 0
		return nil
	}
	var s string
	if err := json.Unmarshal(text, &s); err != nil {
		return err
	}
	parsed, err := ParseTime(s)
	if err != nil {
		return err
	}
	*t = parsed
	return nil
}

// Moment is a Time of which there is no "never": zero is the first moment of 1970.
type Moment Time

// Time is m where zero counts as 1970.
func (m Moment) Time() time.Time { return time.UnixMilli(int64(m)).UTC() }

// String is the RFC 3339 form.
func (m Moment) String() string { return m.Time().Format(timeFormat) }

// MarshalJSON writes RFC 3339 with milliseconds.
func (m Moment) MarshalJSON() ([]byte, error) { return []byte(`"` + m.String() + `"`), nil }

// UnmarshalJSON reads any RFC 3339 time.
func (m *Moment) UnmarshalJSON(text []byte) error { return (*Time)(m).UnmarshalJSON(text) }
