package worker

import "sync"

// manual bounds the manual retries in flight, which go past the slots.
type manual struct {
	mu sync.Mutex
	in int
	by map[string]int // by endpoint
}

func (m *manual) take(endpoint string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.in >= manualMost || m.by[endpoint] >= manualEach {
		return false
	}
	if m.by == nil {
		m.by = map[string]int{}
	}
	m.in++
	m.by[endpoint]++
	return true
}

func (m *manual) give(endpoint string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.in--
	count(m.by, endpoint)
}
