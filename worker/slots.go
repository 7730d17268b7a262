package worker

import (
	"sync"
	"time"
)

// What an endpoint may hold of the requests in flight.
const (
	slotsFirst = 8   // of an endpoint that nothing is known of
	slotsMost  = 128 // after enough successes
	slotsSlow  = 4   // as soon as one of its requests is older than slowAfter
	// slotsGrow successes in a row double what an endpoint may hold.
	slotsGrow = 8
	slowAfter = time.Second
	// slotsIdle is how long an endpoint without requests is remembered.
	slotsIdle = 10 * time.Minute
)

// slotKey is whose request it is.
type slotKey struct {
	endpoint, organisation string
	// origin is scheme, host and port of the URL: many endpoints of one organisation may lead to one machine.
	origin string
}

func (k slotKey) place() string { return k.organisation + " " + k.origin }

// slots bounds the requests in flight, so that a receiver that hangs costs the others nothing: per endpoint, per
// organisation, per organisation and origin (never per origin over all organisations), and in all.
type slots struct {
	most int // in all

	mu        sync.Mutex
	used      int
	slow      int // of those, by endpoints that are slow
	endpoints map[string]*endpointSlots
	owners    map[string]int // by organisation
	places    map[string]int // by organisation and origin
	// waiting are woken one by one when a slot is given back; whoever still gets none waits again.
	waiting []*waiter
	sweptAt time.Time
	// begun are the requests of the last slowAfter, oldest first: those that are still there after it are slow.
	begun []begunAt
}

// waiter is somebody who found no slot. It is in the line once, however often it asks.
type waiter struct {
	wake   func()
	inLine bool
}

// begunAt is a request's begin.
type begunAt struct {
	endpoint string
	at       time.Time
}

// endpointSlots is what is known of one endpoint.
type endpointSlots struct {
	limit     int
	isSlow    bool
	successes int
	begun     []time.Time // of the requests in flight, oldest first
	usedAt    time.Time
}

func newSlots(most int) *slots {
	return &slots{most: max(most, 1), endpoints: map[string]*endpointSlots{}, owners: map[string]int{}, places: map[string]int{}}
}

// take answers whether a request may start now. Each one taken is given back.
func (s *slots) take(key slotKey, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.judge(now)
	e := s.endpoint(key.endpoint, now)
	if !s.free(e, key) {
		return false
	}
	e.begun = append(e.begun, now)
	s.begun = append(s.begun, begunAt{key.endpoint, now})
	e.usedAt = now
	s.used++
	if e.isSlow {
		s.slow++
	}
	s.owners[key.organisation]++
	s.places[key.place()]++
	return true
}

// free tells whether all bounds leave room for one more.
func (s *slots) free(e *endpointSlots, key slotKey) bool {
	switch held := len(e.begun); {
	case held >= e.limit || s.used >= s.most:
		return false
	case e.isSlow && s.slow >= max(s.most/4, 1):
		return false
	case s.used >= s.most/2 && held >= slotsFirst:
		// Half of all is in use: those that have grown leave the rest to others, should they begin to hang.
		return false
	}
	return s.owners[key.organisation] < max(s.most/2, 1) && s.places[key.place()] < max(s.most/4, slotsFirst)
}

// judge makes endpoints slow as soon as one of their requests is.
func (s *slots) judge(now time.Time) {
	for len(s.begun) > 0 && now.Sub(s.begun[0].at) > slowAfter {
		first := s.begun[0]
		s.begun = s.begun[1:]
		if e := s.endpoints[first.endpoint]; e != nil && !e.isSlow && len(e.begun) > 0 && !e.begun[0].After(first.at) {
			s.slowDown(e)
		}
	}
}

func (s *slots) slowDown(e *endpointSlots) {
	e.isSlow, e.limit, e.successes = true, slotsSlow, 0
	s.slow += len(e.begun)
}

// give takes back the slot of a request that began at begun. Answered is false for one that failed.
func (s *slots) give(key slotKey, begun, now time.Time, answered bool) {
	s.mu.Lock()
	e := s.endpoint(key.endpoint, now)
	if !e.isSlow && now.Sub(begun) > slowAfter {
		s.slowDown(e)
	}
	for i, at := range e.begun {
		if at.Equal(begun) {
			e.begun = append(e.begun[:i], e.begun[i+1:]...)
			break
		}
	}
	s.used--
	if e.isSlow {
		s.slow--
	}
	count(s.owners, key.organisation)
	count(s.places, key.place())
	e.usedAt = now
	s.grow(e, answered && now.Sub(begun) <= slowAfter)
	next := s.next()
	s.mu.Unlock()
	if next != nil {
		next.wake()
	}
}

// grow doubles what an endpoint may hold after enough quick successes; a slow one begins anew.
func (s *slots) grow(e *endpointSlots, quick bool) {
	if !quick {
		e.successes = 0
		return
	}
	if e.successes++; e.successes < slotsGrow {
		return
	}
	e.successes = 0
	if e.isSlow {
		e.isSlow = false
		s.slow -= len(e.begun)
	}
	e.limit = min(max(2*e.limit, slotsFirst), slotsMost)
}

// await has a waiter woken, once, when a slot was given back.
func (s *slots) await(w *waiter) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !w.inLine {
		w.inLine = true
		s.waiting = append(s.waiting, w)
	}
}

func (s *slots) next() *waiter {
	if len(s.waiting) == 0 {
		return nil
	}
	w := s.waiting[0]
	s.waiting, w.inLine = s.waiting[1:], false
	return w
}

func (s *slots) endpoint(id string, now time.Time) *endpointSlots {
	if now.Sub(s.sweptAt) > slotsIdle {
		s.sweptAt = now
		for id, e := range s.endpoints {
			if len(e.begun) == 0 && now.Sub(e.usedAt) > slotsIdle {
				delete(s.endpoints, id)
			}
		}
	}
	e, ok := s.endpoints[id]
	if !ok {
		e = &endpointSlots{limit: slotsFirst, usedAt: now}
		s.endpoints[id] = e
	}
	return e
}

// inFlight is how many slots are taken, and how many of them by slow endpoints.
func (s *slots) inFlight() (used, slow int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.used, s.slow
}

// count takes one off and forgets what is at zero.
func count(m map[string]int, key string) {
	if m[key]--; m[key] <= 0 {
		delete(m, key)
	}
}
