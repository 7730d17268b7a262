// Package faults starts the built program as processes, breaks what is around it, and counts at the receiver: what was
// acknowledged and never arrived must be nothing.
//
// It has no hooks in the program: processes are killed and stopped, Redis is emptied, and the ways to Redis and to
// MongoDB lead through a proxy that can be cut. A short form runs with all other tests; UNIHOOK_FAULTS=long runs
// thousands of events through each fault, and prints a table of duplicates and times to recover.
package faults
