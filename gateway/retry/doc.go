// Package retry says when a failed delivery is tried again.
//
// It owns the schedules and the reading of Retry-After. It is pure: the time and the randomness are given to it.
package retry
