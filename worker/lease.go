package worker

import "github.com/unihook/unihook/gateway"

// The functions here are the life of a lane's lease, as pure functions on an endpoint's state. While the lane is
// owned, TurnAt is the lease's end: if the owner dies, the feeder finds the lane then.

// acquire takes the lease for owner, if nobody else has it.
func acquire(s gateway.EndpointState, owner string, now gateway.Time) (gateway.EndpointState, bool) {
	if s.Owner != owner && isOwned(s, now) {
		return s, false
	}
	s.InLane, s.Owner, s.OwnerUntil = true, owner, now.Add(gateway.ClaimFor)
	s.TurnAt = s.OwnerUntil
	return s, true
}

// renew prolongs a lease that owner still has.
func renew(s gateway.EndpointState, owner string, now gateway.Time) (gateway.EndpointState, bool) {
	if s.Owner != owner {
		return s, false
	}
	return acquire(s, owner, now)
}

// release ends the lease. The lane stays where inLane is true, and is looked at again at turn; zero is when somebody
// says so.
func release(s gateway.EndpointState, owner string, turn gateway.Time, inLane bool) (gateway.EndpointState, bool) {
	if s.Owner != owner {
		return s, false
	}
	s.Owner, s.OwnerUntil = "", 0
	s.InLane, s.TurnAt = inLane, turn
	s.Draining = s.Draining && inLane
	return s, true
}

// rest is a lane that nobody owns and nobody need look at before turn.
func rest(s gateway.EndpointState, turn, now gateway.Time) (gateway.EndpointState, bool) {
	if isOwned(s, now) {
		return s, false
	}
	if s.InLane && s.Owner == "" && s.TurnAt == turn {
		return s, false
	}
	s.Owner, s.OwnerUntil = "", 0
	s.InLane, s.TurnAt = true, turn
	return s, true
}

// isOwned tells that somebody works the lane. A lease that ends later than any lease can was made before the clock was
// set back: its owner, if it lives, renews it.
func isOwned(s gateway.EndpointState, now gateway.Time) bool {
	return s.Owner != "" && s.OwnerUntil > now && s.OwnerUntil <= now.Add(2*gateway.ClaimFor)
}
