// Package worker is what happens after "accepted": it sends deliveries, judges the answers, and brings every delivery
// to its end, whatever dies meanwhile.
//
// A pending delivery is in one of four places (gateway.Place), and each place has one who moves it on:
//
//	claimed  a run: its task is taken, each delivery gets a slot and is sent, or is parked (run.go)
//	later    the feeder claims it for a new run when it is due (feeder.go)
//	spare    the feeder, in the order of turns
//	parked   the endpoint's lane, which one process owns under a lease and works oldest first (lane.go)
//
// Decisions are pure functions apart from the loops that act on them: judge (what an answer means), modeOf (what an
// endpoint may be sent), breaker.After (quarantine), the lease of a lane, the slots. The loops are run around once.
//
// Claims and leases outlive their owner by 20 s. A worker that has the store alone (Options.Alone) ends those of the
// dead when it starts.
//
// The store is the truth. A result is written before its slot is given back, so that a store that is away stops new
// requests; tasks are hints, and one that is forged, doubled or stale does nothing.
package worker
