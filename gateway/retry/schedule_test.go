package retry_test

import (
	"encoding/json"
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/unihook/unihook/gateway/retry"
)

const almostOne = 1 - 1e-12 // the largest random that callers draw is just under 1

func custom(delays ...retry.Delay) retry.Schedule {
	return retry.Schedule{Name: retry.Custom, Delays: append([]retry.Delay{}, delays...)}
}

func TestSchedule_Waits(t *testing.T) {
	for _, c := range []struct {
		name     string
		schedule retry.Schedule
		want     []string
	}{
		{"standard", retry.Schedule{Name: retry.Standard}, []string{"5s", "5m", "30m", "2h", "5h", "10h", "14h", "20h", "1d"}},
		{"the zero value is the standard one", retry.Schedule{}, []string{"5s", "5m", "30m", "2h", "5h", "10h", "14h", "20h", "1d"}},
		{"custom", custom("10s", "1m", "1d12h"), []string{"10s", "1m", "1d12h"}},
		{"custom without a retry", custom(), []string{}},
		{"one that Check refuses", custom("10s", "soon"), []string{"5s", "5m", "30m", "2h", "5h", "10h", "14h", "20h", "1d"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := []string{}
			for _, wait := range c.schedule.Waits() {
				got = append(got, retry.FormatDuration(wait))
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("waits (-want +got):\n%s", diff)
			}
			if got, want := c.schedule.Attempts(), len(c.want)+1; got != want {
				t.Errorf("got %d attempts, want %d", got, want)
			}
		})
	}
}

func TestSchedule_UnidyFollowsItsFormulaFor21Days(t *testing.T) {
	waits := retry.Schedule{Name: retry.Unidy}.Waits()
	if len(waits) != 25 {
		t.Fatalf("got %d retries, want 25", len(waits))
	}
	var total time.Duration
	for n, wait := range waits {
		total += wait
		if want := 1.03 * (math.Pow(float64(n), 4) + 15); math.Abs(wait.Seconds()-want) > 1e-6 {
			t.Errorf("retry %d: got %s, want %f s", n, wait, want)
		}
	}
	if days := total.Hours() / 24; math.Round(days) != 21 {
		t.Errorf("got %f days in all, want 21", days)
	}
}

func TestSchedule_Next(t *testing.T) {
	for _, c := range []struct {
		name          string
		schedule      retry.Schedule
		failures      int
		scale, random float64
		want          string // "" is exhausted
	}{
		{"standard, first", retry.Schedule{Name: "standard"}, 1, 1, 0, "5s"},
		{"standard, jitter in the middle", retry.Schedule{Name: "standard"}, 1, 1, 0.5, "5.5s"},
		{"standard, most jitter", retry.Schedule{Name: "standard"}, 1, 1, almostOne, "6s"},
		{"standard, last", retry.Schedule{Name: "standard"}, 9, 1, 0.5, "1d2h24m"},
		{"standard, exhausted", retry.Schedule{Name: "standard"}, 10, 1, 0, ""},
		{"unidy, first", retry.Schedule{Name: "unidy"}, 1, 1, 0, "15.45s"},
		{"unidy, most jitter, rounded up to milliseconds", retry.Schedule{Name: "unidy"}, 1, 1, almostOne, "15.759s"},
		{"unidy, last", retry.Schedule{Name: "unidy"}, 25, 1, 0, "3d22h55m44.73s"},
		{"unidy, exhausted", retry.Schedule{Name: "unidy"}, 26, 1, 0, ""},
		{"custom, second", custom("10s", "1m"), 2, 1, 0, "1m"},
		{"custom, exhausted", custom("10s", "1m"), 3, 1, 0, ""},
		{"custom, no retry at all", custom(), 1, 1, 0, ""},
		{"scaled down", retry.Schedule{}, 2, 0.001, 0, "300ms"},
		{"scaled up, jitter too", retry.Schedule{}, 1, 2, 0.5, "11s"},
		{"scaled below a millisecond", retry.Schedule{}, 1, 1e-9, 0, "1ms"},
		{"scaled to nothing", retry.Schedule{}, 1, 0, 0, "0s"},
		{"a scale that is no number", retry.Schedule{}, 1, math.NaN(), 0, "0s"},
		{"scaled beyond a duration", retry.Schedule{}, 9, 1e12, 0, "106751d23h47m16.854s"},
	} {
		t.Run(c.name, func(t *testing.T) {
			delay, ok := c.schedule.Next(c.failures, c.scale, c.random)
			got := ""
			if ok {
				got = retry.FormatDuration(delay)
			}
			if got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

// Jitter never shortens a delay, and adds at most 20 % (2 % for unidy).
func TestSchedule_NextStaysWithinItsJitter(t *testing.T) {
	shares := map[string]float64{retry.Standard: 0.2, retry.Unidy: 0.02, retry.Custom: 0.2}
	rapid.Check(t, func(t *rapid.T) {
		schedule := custom("1s", "1m30s", "7d")
		if name := rapid.SampledFrom([]string{retry.Standard, retry.Unidy, retry.Custom}).Draw(t, "schedule"); name != retry.Custom {
			schedule = retry.Schedule{Name: name}
		}
		waits := schedule.Waits()
		failures := rapid.IntRange(1, len(waits)).Draw(t, "failures")
		random := rapid.Float64Range(0, almostOne).Draw(t, "random")
		delay, ok := schedule.Next(failures, 1, random)
		least := waits[failures-1]
		most := least + time.Duration(float64(least)*shares[schedule.Name]) + time.Millisecond
		if !ok || delay < least || delay > most || delay%time.Millisecond != 0 {
			t.Fatalf("got %s, %v, want %s to %s in milliseconds", delay, ok, least, most)
		}
	})
}

func TestSchedule_Check(t *testing.T) {
	type fault struct {
		Field string
		Index int
		Code  string
	}
	for _, c := range []struct {
		name     string
		schedule retry.Schedule
		want     []fault
	}{
		{"standard", retry.Schedule{Name: "standard"}, nil},
		{"unidy", retry.Schedule{Name: "unidy"}, nil},
		{"custom", custom("1s", "7d", "168h", "1m30s"), nil},
		{"custom without a retry", custom(), nil},
		{"30 delays", custom(make30("1s")...), nil},
		{"31 delays", custom(append(make30("1s"), "x")...), []fault{{"delays", -1, "delays_too_many"}}},
		{"every fault at once", custom("1s", "999ms", "soon", "", "7d1ns", "-1h", "10"), []fault{
			{"delays", 1, "delay_out_of_range"}, {"delays", 2, "delay_malformed"}, {"delays", 3, "delay_malformed"},
			{"delays", 4, "delay_out_of_range"}, {"delays", 5, "delay_out_of_range"}, {"delays", 6, "delay_malformed"}}},
		{"custom that forgot its delays", retry.Schedule{Name: "custom"}, []fault{{"delays", -1, "delays_missing"}}},
		{"delays that standard would ignore", retry.Schedule{Name: "standard", Delays: []retry.Delay{"1s"}}, []fault{{"delays", -1, "delays_unexpected"}}},
		{"another name", retry.Schedule{Name: "Standard"}, []fault{{"schedule", -1, "schedule_unknown"}}},
		{"no name", retry.Schedule{}, []fault{{"schedule", -1, "schedule_unknown"}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got []fault
			for _, f := range c.schedule.Check() {
				got = append(got, fault{f.Field, f.Index, f.Code})
				if f.Detail == "" {
					t.Errorf("%s has no detail", f.Code)
				}
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("faults (-want +got):\n%s", diff)
			}
		})
	}
}

func make30(delay retry.Delay) []retry.Delay {
	delays := make([]retry.Delay, 30)
	for i := range delays {
		delays[i] = delay
	}
	return delays
}

func TestSchedule_JSONIsReadBackAsWritten(t *testing.T) {
	for _, text := range []string{`{"schedule":"standard"}`, `{"schedule":"custom","delays":[]}`, `{"schedule":"custom","delays":["90s","1m"]}`} {
		var schedule retry.Schedule
		if err := json.Unmarshal([]byte(text), &schedule); err != nil {
			t.Fatal(err)
		}
		if got, err := json.Marshal(schedule); err != nil || string(got) != text {
			t.Errorf("got %s, %v, want %s", got, err, text)
		}
	}
}

func ExampleSchedule_Next() {
	schedule := retry.Schedule{Name: retry.Custom, Delays: []retry.Delay{"10s", "1m"}}
	for failures := 1; ; failures++ {
		delay, ok := schedule.Next(failures, 1, 0)
		if !ok {
			fmt.Println("exhausted after", failures, "attempts")
			return
		}
		fmt.Println(retry.FormatDuration(delay))
	}
	// Output:
	// 10s
	// 1m
	// exhausted after 3 attempts
}
