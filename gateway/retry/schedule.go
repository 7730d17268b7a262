package retry

import (
	"fmt"
	"math"
	"time"
)

// The names of the schedules: `retry.schedule` in the API.
const (
	// Standard waits from 5 s to 24 h, nine times.
	Standard = "standard"
	// Unidy waits from 15 s to four days, 25 times, 21 days in all.
	Unidy = "unidy"
	// Custom waits as the webhook's own Delays say.
	Custom = "custom"
)

const (
	// MaxDelays is how many delays a custom schedule may have.
	MaxDelays = 30
	// MinDelay and MaxDelay bound each delay of a custom schedule.
	MinDelay = time.Second
	MaxDelay = 7 * day

	unidyRetries = 25
	unidyUnit    = 1030 * time.Millisecond // of n⁴ + 15

	jitter      = 0.2 // the most that is added, as a share of the delay
	unidyJitter = 0.02
)

// Delay is how a delay of a custom schedule is spelled (`10s`, `1m`, `1d12h`), kept as the customer wrote it.
type Delay string

// Schedule is how long a delivery waits after each failure. The zero value is the standard one.
type Schedule struct {
	// Name is Standard, Unidy or Custom.
	Name string `json:"schedule" bson:"schedule"`
	// Delays belongs to Custom alone, in the order of the failures. Empty is one attempt and no retry; nil is a fault, since
	// who forgot it did not ask for that.
	Delays []Delay `json:"delays,omitzero" bson:"delays"`
}

// Fault is one thing that is wrong with a schedule.
type Fault struct {
	Field  string // the key at fault, "schedule" or "delays"
	Index  int    // of the element of delays at fault; -1 for the field as a whole
	Code   string // for programs
	Detail string // a sentence for people
}

// Check returns every fault of a schedule that a customer wrote, nil when it is valid. It does not fill in a default: an empty
// name is unknown.
func (s Schedule) Check() []Fault {
	switch s.Name {
	case Custom:
		return s.checkDelays()
	case Standard, Unidy:
		if s.Delays != nil {
			return []Fault{{"delays", -1, "delays_unexpected", fmt.Sprintf("delays belong to the schedule custom, and this one is %s", s.Name)}}
		}
		return nil
	}
	return []Fault{{"schedule", -1, "schedule_unknown", fmt.Sprintf("%.64q is not a schedule: it is standard, unidy or custom", s.Name)}}
}

func (s Schedule) checkDelays() []Fault {
	if s.Delays == nil {
		return []Fault{{"delays", -1, "delays_missing", "the schedule custom needs delays, an array that may be empty"}}
	}
	if len(s.Delays) > MaxDelays {
		return []Fault{{"delays", -1, "delays_too_many", fmt.Sprintf("%d delays are given, at most %d are allowed", len(s.Delays), MaxDelays)}}
	}
	var faults []Fault
	for i, text := range s.Delays {
		delay, err := ParseDuration(string(text))
		switch {
		case err != nil:
			faults = append(faults, Fault{"delays", i, "delay_malformed", err.Error()})
		case delay < MinDelay || delay > MaxDelay:
			faults = append(faults, Fault{"delays", i, "delay_out_of_range",
				fmt.Sprintf("%s is not between %s and %s", text, FormatDuration(MinDelay), FormatDuration(MaxDelay))})
		}
	}
	return faults
}

// Waits returns the delay after each failure in turn, without jitter. A schedule that Check refuses waits as the standard one:
// a delivery that is underway is not given up for it.
func (s Schedule) Waits() []time.Duration {
	switch {
	case s.Name == Unidy:
		return unidyWaits()
	case s.Name == Custom && s.Check() == nil:
		waits := make([]time.Duration, len(s.Delays))
		for i, text := range s.Delays {
			waits[i], _ = ParseDuration(string(text)) // checked above
		}
		return waits
	}
	return []time.Duration{5 * time.Second, 5 * time.Minute, 30 * time.Minute, 2 * time.Hour, 5 * time.Hour,
		10 * time.Hour, 14 * time.Hour, 20 * time.Hour, 24 * time.Hour}
}

func unidyWaits() []time.Duration {
	waits := make([]time.Duration, unidyRetries)
	for n := range waits {
		waits[n] = unidyUnit * time.Duration(n*n*n*n+15)
	}
	return waits
}

// Attempts returns how many attempts the schedule makes, the first one included.
func (s Schedule) Attempts() int { return len(s.Waits()) + 1 }

// Next returns how long a delivery waits after its failures so far, of which there is at least one, and false when the
// schedule is exhausted. random, in [0,1), chooses the jitter; scale multiplies the whole. The delay is rounded up to
// milliseconds, in which times are kept, so that it is never shorter than the schedule says.
func (s Schedule) Next(failures int, scale, random float64) (delay time.Duration, ok bool) {
	waits := s.Waits()
	failures = max(failures, 1)
	if failures > len(waits) {
		return 0, false
	}
	share := jitter
	if s.Name == Unidy {
		share = unidyJitter
	}
	wait := waits[failures-1]
	return scaled(wait+time.Duration(float64(wait)*share*random), scale), true
}

// scaled multiplies a duration and rounds up to milliseconds. It stays within what a duration holds; a scale that is no
// positive number leaves nothing.
func scaled(d time.Duration, scale float64) time.Duration {
	const most = math.MaxInt64 / int64(time.Millisecond)
	milliseconds := math.Ceil(float64(d) * scale / float64(time.Millisecond))
	if milliseconds >= float64(most) {
		return time.Duration(most) * time.Millisecond
	}
	if !(milliseconds > 0) {
		return 0
	}
	return time.Duration(milliseconds) * time.Millisecond
}
