package gateway

import (
	"context"
	"sync"
	"time"
)

// turnPatience bounds how long a call waits for others that change the same thing: while the store hangs they are slow,
// and answers must not add up.
const turnPatience = 10 * time.Second

// turns lets those who change one thing do it one after the other, within this process: the store alone keeps
// processes apart, by making the later one begin anew.
type turns struct {
	mu sync.Mutex
	by map[string]*turn
}

// turn is one thing that somebody is at.
type turn struct {
	free   chan struct{} // has one element while nobody is at it
	wanted int           // who is at it, and who waits
}

// take waits until nobody else is at the thing. The caller calls end when it is done; waited tells that somebody was
// before it, so that what it knows of the thing may be old. It is Unavailable when the wait is too long.
func (t *turns) take(ctx context.Context, thing string) (end func(), waited bool, err error) {
	t.mu.Lock()
	own, waited := t.by[thing]
	if !waited {
		own = &turn{free: make(chan struct{}, 1)}
		own.free <- struct{}{}
		if t.by == nil {
			t.by = map[string]*turn{}
		}
		t.by[thing] = own
	}
	own.wanted++
	t.mu.Unlock()
	patience := time.NewTimer(turnPatience)
	defer patience.Stop()
	select {
	case <-own.free:
		return func() { own.free <- struct{}{}; t.leave(thing, own) }, waited, nil
	case <-patience.C:
		err = &Error{Kind: Unavailable, Detail: "others are changing this, and it takes long; try again", RetryAfter: 2 * time.Second}
	case <-ctx.Done():
		err = ctx.Err()
	}
	t.leave(thing, own)
	return nil, waited, err
}

func (t *turns) leave(thing string, own *turn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if own.wanted--; own.wanted == 0 {
		delete(t.by, thing)
	}
}
