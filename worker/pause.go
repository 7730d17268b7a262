package worker

import (
	"sync/atomic"

	"github.com/unihook/unihook/gateway"
)

// A read of the feeder that finds nothing rests for feedRest passes, so that an idle worker asks the store once a
// second. It looks as far ahead as it rests: nothing is late for it but what another process writes meanwhile for a
// time within that second.
const (
	feedRest  = 3
	feedAhead = (feedRest + 1) * feedEvery
)

// pause spaces one of the feeder's reads out. The zero value is ready.
type pause struct {
	left atomic.Int32 // passes to rest for
	soon atomic.Bool  // the next pass reads, whatever the last one found
}

// rests tells whether this pass leaves the read out.
func (p *pause) rests() bool {
	if p.soon.Swap(false) || p.left.Load() <= 0 {
		return false
	}
	p.left.Add(-1)
	return true
}

// read notes how much the read found.
func (p *pause) read(found int) {
	if found > 0 {
		p.left.Store(0)
		return
	}
	p.left.Store(feedRest)
}

// wake has the next pass read.
func (p *pause) wake() { p.soon.Store(true) }

// expect tells of something that this process has stored for a time, which may come before the read is made again.
func (p *pause) expect(at, now gateway.Time) {
	if at != 0 && at < now.Add(feedAhead) {
		p.wake()
	}
}
