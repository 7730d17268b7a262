package worker

import (
	"sync"

	"github.com/unihook/unihook/gateway"
)

// flights are the deliveries that this process is at: each is reserved before it is read and let go after its result
// is stored, so that a doubled task never sends it twice.
type flights struct {
	mu sync.Mutex
	by map[string]flight
}

// flight is one delivery's claim; run is empty for one that a lane or a job holds.
type flight struct {
	run   string
	until gateway.Time
}

func newFlights() *flights { return &flights{by: map[string]flight{}} }

// reserve answers those of ids that were free, and are this caller's now.
func (f *flights) reserve(run string, ids []string) (mine []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, id := range ids {
		if _, taken := f.by[id]; !taken {
			f.by[id] = flight{run: run}
			mine = append(mine, id)
		}
	}
	return mine
}

// claimed notes the claim of a reserved delivery: its run and when it ends. A lane's and a job's stay without one. It is
// false where the delivery is not reserved.
func (f *flights) claimed(id, run string, until gateway.Time) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	held, ok := f.by[id]
	if ok && held.run != "" {
		f.by[id] = flight{run, until}
	}
	return ok
}

// renewed notes that a claim ends later, if the delivery has no other by now.
func (f *flights) renewed(id, run string, until gateway.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if held, ok := f.by[id]; ok && held.run == run {
		f.by[id] = flight{run, until}
	}
}

// drop releases a delivery, and answers the run that it was claimed for: nobody can claim it for another in between.
func (f *flights) drop(id string) (run string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	run = f.by[id].run
	delete(f.by, id)
	return run
}

// runOf is the run that a reserved delivery is claimed for; empty for none.
func (f *flights) runOf(id string) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.by[id].run
}

func (f *flights) release(ids ...string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, id := range ids {
		delete(f.by, id)
	}
}

func (f *flights) has(id string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	_, ok := f.by[id]
	return ok
}

func (f *flights) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.by)
}

// ending lists the deliveries, by run, whose claims are to be renewed.
func (f *flights) ending(now gateway.Time) map[string][]string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var runs map[string][]string
	for id, held := range f.by {
		if held.run == "" || !isDue(held.until, now) {
			continue
		}
		if runs == nil {
			runs = map[string][]string{}
		}
		runs[held.run] = append(runs[held.run], id)
	}
	return runs
}
