package gateway

import "time"

// HealthStatus is an endpoint's state as people see it.
type HealthStatus string

const (
	// Healthy: the last request succeeded, or there was none yet.
	Healthy HealthStatus = "healthy"
	// Failing: one or more failures in a row. Left by a success or a save.
	Failing HealthStatus = "failing"
	// Quarantined: so many failures in a row that nothing but a probe is sent. Left by a successful probe or a save.
	Quarantined HealthStatus = "quarantined"
	// Gone: the receiver answered 410. Left by a save of the webhook.
	Gone HealthStatus = "gone"
)

// Health is what an endpoint's state looks like from outside.
type Health struct {
	Status              HealthStatus `json:"status"`
	ConsecutiveFailures int          `json:"consecutiveFailures"`
	LastSuccessAt       Time         `json:"lastSuccessAt"`
	LastFailure         *LastFailure `json:"lastFailure"`
	QuarantinedSince    Time         `json:"quarantinedSince"`
	QuarantinedUntil    Time         `json:"quarantinedUntil"`
	// Waiting counts the deliveries that are parked for the endpoint.
	Waiting int `json:"waiting"`
}

// LastFailure is an endpoint's most recent failed attempt.
type LastFailure struct {
	At      Time    `json:"at" bson:"at"`
	Failure Failure `json:"failure" bson:"failure"`
	Status  int     `json:"status" bson:"status"`
	Error   string  `json:"error" bson:"error"`
}

// EndpointState is what the workers know of an endpoint: its health and its lane. It is a record of its own, so that
// it never bumps the webhook's revision. It is changed by compare and swap alone: read, change, SwapEndpoints.
type EndpointState struct {
	ID           string `json:"id" bson:"_id"`
	Organisation string `json:"organisation" bson:"organisation"`
	Webhook      string `json:"webhook" bson:"webhook"`
	// Version is 0 for a state that is not stored yet; each swap raises it.
	Version int64 `json:"version" bson:"version"`

	ConsecutiveFailures int          `json:"consecutiveFailures" bson:"consecutiveFailures"`
	LastSuccessAt       Time         `json:"lastSuccessAt" bson:"lastSuccessAt"`
	LastFailure         *LastFailure `json:"lastFailure" bson:"lastFailure"`
	// QuarantinedSince is zero outside quarantine. QuarantinedUntil is the end of the present cool-down: the first
	// waiting delivery after it is the probe.
	QuarantinedSince Time `json:"quarantinedSince" bson:"quarantinedSince"`
	QuarantinedUntil Time `json:"quarantinedUntil" bson:"quarantinedUntil"`
	// Cooldown is the length of the present cool-down; it doubles after each failed probe.
	Cooldown time.Duration `json:"cooldown" bson:"cooldown"`
	GoneAt   Time          `json:"goneAt" bson:"goneAt"`
	// ResetAt is when a save last reset the counts: the effect is had at most once a minute.
	ResetAt Time `json:"resetAt" bson:"resetAt"`

	// InLane is true while deliveries are, or may be, parked: what arrives is parked behind them.
	InLane bool `json:"inLane" bson:"inLane"`
	// Owner is the process that works the lane until OwnerUntil; empty when nobody does.
	Owner      string `json:"owner" bson:"owner"`
	OwnerUntil Time   `json:"ownerUntil" bson:"ownerUntil"`
	// TurnAt is when the feeder should see that somebody works the lane; zero is never (a store keeps it out of the
	// index). While the lane is owned it is not before OwnerUntil.
	TurnAt Time `json:"turnAt" bson:"turnAt,omitempty"`
	// NextAllowed is the earliest next request of a rate-limited endpoint, in microseconds since 1970.
	NextAllowed int64 `json:"nextAllowed" bson:"nextAllowed"`
	// Draining is true while what waited for the end of a quarantine, or for a save, goes out at a bounded rate; until
	// the lane is empty.
	Draining bool `json:"draining,omitempty" bson:"draining,omitempty"`
}

// Health is the state as people see it; waiting is counted apart.
func (s EndpointState) Health(waiting int) *Health {
	h := &Health{
		Status: Healthy, ConsecutiveFailures: s.ConsecutiveFailures, LastSuccessAt: s.LastSuccessAt,
		LastFailure: s.LastFailure, QuarantinedSince: s.QuarantinedSince, QuarantinedUntil: s.QuarantinedUntil,
		Waiting: waiting,
	}
	switch {
	case s.GoneAt != 0:
		h.Status = Gone
	case s.QuarantinedSince != 0:
		h.Status = Quarantined
	case s.ConsecutiveFailures > 0:
		h.Status = Failing
	}
	return h
}

// HealthChanges are what the audit keeps of an endpoint that is quarantined, resumed or gone.
func HealthChanges(before, after EndpointState) []AuditChange {
	fields := func(s EndpointState) map[string]any {
		h := s.Health(0)
		return map[string]any{
			"health.status": h.Status, "health.consecutiveFailures": h.ConsecutiveFailures, "health.quarantinedUntil": h.QuarantinedUntil,
		}
	}
	return changesBetween(fields(before), fields(after))
}
