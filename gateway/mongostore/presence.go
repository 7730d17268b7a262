package mongostore

import (
	"slices"
	"sync/atomic"
	"time"

	"go.mongodb.org/mongo-driver/v2/event"
)

// awayTimeout bounds a call while no server has taken writes for some time. A request makes several calls one after
// the other, and its 503 is to come soon; the driver asks the servers twice a second who is there.
const awayTimeout = 300 * time.Millisecond

// takesWrites are the kinds of servers that do.
var takesWrites = []string{"Standalone", "RSPrimary", "Mongos", "LoadBalancer"}

// presence is what the driver's monitor knows of a server that takes writes. The zero value is one that is there.
type presence struct {
	goneAt atomic.Int64 // Unix nanoseconds; zero while one is there
}

// monitor listens to the driver.
func (p *presence) monitor() *event.ServerMonitor {
	return &event.ServerMonitor{TopologyDescriptionChanged: func(e *event.TopologyDescriptionChangedEvent) {
		if slices.ContainsFunc(e.NewDescription.Servers, func(s event.ServerDescription) bool {
			return slices.Contains(takesWrites, s.Kind)
		}) {
			p.goneAt.Store(0)
			return
		}
		p.goneAt.CompareAndSwap(0, time.Now().UnixNano())
	}}
}

// goneFor is how long there has been none.
func (p *presence) goneFor() time.Duration {
	at := p.goneAt.Load()
	if at == 0 {
		return 0
	}
	return time.Since(time.Unix(0, at))
}
