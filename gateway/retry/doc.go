// Package retry says when a failed delivery is tried again.
//
// It owns the schedules, the spelling of durations and the reading of Retry-After:
//
//	delay, ok := webhook.Retry.Next(failures, scale, rand.Float64())
//	if asked, found := retry.RetryAfter(response.Header.Get("Retry-After"), now); found {
//		delay = max(delay, asked)
//	}
//
// It is pure: the time and the randomness are given to it. Which failures count, and what happens when a schedule is
// exhausted, is the caller's.
package retry
