package retry

import (
	"fmt"
	"math"
	"strings"
	"time"
)

const (
	day = 24 * time.Hour
	// maxDurationText is far more than a duration needs; it keeps what is repeated in an error short.
	maxDurationText = 64
)

// ParseDuration reads a Go duration that may begin with days: `90s`, `1h30m`, `7d`, `1d12h`, `1.5d`. A day has 24 hours. A sign
// in front is taken. The error is a sentence that names the text.
func ParseDuration(text string) (time.Duration, error) {
	if len(text) > maxDurationText {
		return 0, fmt.Errorf("a duration of %d characters is too long", len(text))
	}
	duration, ok := parseDuration(text)
	if !ok {
		return 0, fmt.Errorf("%q is not a duration such as 90s, 1h30m or 7d", text)
	}
	return duration, nil
}

func parseDuration(text string) (time.Duration, bool) {
	days, rest, found := strings.Cut(text, "d") // no other unit has this letter
	if !found {
		duration, err := time.ParseDuration(text)
		return duration, err == nil
	}
	sign := time.Duration(1)
	if days != "" && (days[0] == '-' || days[0] == '+') {
		if days[0] == '-' {
			sign = -1
		}
		days = days[1:]
	}
	whole, ok := parseDays(days)
	if !ok || rest == "" {
		return sign * whole, ok
	}
	if !isDecimal(rest[:1]) {
		return 0, false // a second sign, or a unit without a number
	}
	part, err := time.ParseDuration(rest)
	if err != nil || part > math.MaxInt64-whole {
		return 0, false
	}
	return sign * (whole + part), true
}

// parseDays reads an unsigned decimal number of days.
func parseDays(number string) (time.Duration, bool) {
	if !isDecimal(number) {
		return 0, false // hours before days, and signs, would pass below
	}
	hours, err := time.ParseDuration(number + "h")
	if err != nil || hours > math.MaxInt64/24 {
		return 0, false
	}
	return hours * 24, true
}

func isDecimal(text string) bool {
	return strings.Trim(text, "0123456789.") == ""
}

// FormatDuration writes a duration as ParseDuration reads it, days first and without the zero units that Go appends: `7d`,
// `1d12h`, `1h30m`, `0s`.
func FormatDuration(d time.Duration) string {
	days, rest := d/day, d%day
	if days == 0 {
		return trimZeros(rest.String())
	}
	text := fmt.Sprintf("%dd", days)
	if rest == 0 {
		return text
	}
	return text + trimZeros(max(rest, -rest).String())
}

// trimZeros turns 1h0m0s into 1h.
func trimZeros(text string) string {
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}
