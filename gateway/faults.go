package gateway

import "slices"

// startFaults begins with the faults that reading the body found.
func startFaults(found []Fault) faults { return slices.Clone(found) }

// require notes a fault at pointer where a required value is not given.
func (f *faults) require(pointer string, given bool) {
	if !given {
		f.add(pointer, "required", "a value is required here")
	}
}
