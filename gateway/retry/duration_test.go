package retry_test

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/unihook/unihook/gateway/retry"
)

func TestParseDuration(t *testing.T) {
	const day = 24 * time.Hour
	for _, c := range []struct {
		text string
		want time.Duration
	}{
		{"90s", 90 * time.Second}, {"1h30m", 90 * time.Minute}, {"1.5s", 1500 * time.Millisecond}, {"0", 0}, {"0s", 0},
		{"1d", day}, {"7d", 7 * day}, {"1d12h", 36 * time.Hour}, {"1.5d", 36 * time.Hour}, {"2d1m1s", 2*day + 61*time.Second},
		{"0d", 0}, {".5d", 12 * time.Hour}, {"-1d12h", -36 * time.Hour}, {"+1d", day}, {"-90s", -90 * time.Second},
		{"106751d23h47m16.854775807s", math.MaxInt64},
	} {
		if got, err := retry.ParseDuration(c.text); err != nil || got != c.want {
			t.Errorf("%q: got %s, %v, want %s", c.text, got, err, c.want)
		}
	}
}

func TestParseDuration_Refuses(t *testing.T) {
	for _, text := range []string{
		"", "10", "d", "-d", "1", "s", "1 d", " 1d", "1d ", "1day", "1D", "1w", "1.2.3d", ".d", "1e3s", "１d", "0x1d", "1_0d",
		"1h1d",                                                                                     // days come first
		"1d2d",                                                                                     // and once
		"1d-5h",                                                                                    // one sign, in front
		"1d+5h",                                                                                    // the same
		"1d5",                                                                                      // a number without its unit
		"1dh",                                                                                      // a unit without its number
		"--1d",                                                                                     // two signs
		"1-d",                                                                                      // a sign behind
		"1h1.5d",                                                                                   // hours would be read as 1h1.5h
		"106752d", "999999999999999999999d", "106751d23h47m16.854775808s", "9223372036854775808ns", // overflow
		strings.Repeat("0", 64) + "1s", // longer than any duration
	} {
		if got, err := retry.ParseDuration(text); err == nil {
			t.Errorf("%q: got %s, want an error", text, got)
		}
	}
}

func TestFormatDuration(t *testing.T) {
	for want, d := range map[string]time.Duration{
		"0s": 0, "90ms": 90 * time.Millisecond, "10s": 10 * time.Second, "1m": time.Minute, "1m30s": 90 * time.Second,
		"1h": time.Hour, "1h0m5s": time.Hour + 5*time.Second, "1h30m": 90 * time.Minute, "20h": 20 * time.Hour, "10m": 10 * time.Minute,
		"1d": 24 * time.Hour, "1d12h": 36 * time.Hour, "30d": 720 * time.Hour, "1d500ms": 24*time.Hour + 500*time.Millisecond, "-1d1s": -24*time.Hour - time.Second, "-5m": -5 * time.Minute,
		"-106751d23h47m16.854775808s": math.MinInt64,
	} {
		if got := retry.FormatDuration(d); got != want {
			t.Errorf("%d ns: got %s, want %s", d, got, want)
		}
	}
}

// FuzzParseDuration holds that what is read can be written and read again, and that without days Go's reading counts.
func FuzzParseDuration(f *testing.F) {
	for _, text := range []string{"90s", "1h30m", "7d", "1d12h", "-1.5d2µs", "1d-5h", "106751d23h", "d", "9223372036854775807ns"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, err := retry.ParseDuration(text)
		if plain, plainErr := time.ParseDuration(text); len(text) <= 64 && plainErr == nil && (err != nil || got != plain) {
			t.Fatalf("%q: got %s, %v, Go reads %s", text, got, err, plain)
		}
		if err != nil || got == math.MinInt64 { // whose positive number is out of reach
			return
		}
		written := retry.FormatDuration(got)
		if again, err := retry.ParseDuration(written); err != nil || again != got {
			t.Fatalf("%q: %s is written %s and read %s, %v", text, got, written, again, err)
		}
	})
}
