//go:build race

package mapping_test

// raceEnabled says that the race detector is on, under which a sync.Pool drops what it is given at random.
const raceEnabled = true
