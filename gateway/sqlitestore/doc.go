// Package sqlitestore keeps everything in one SQLite file: the embedded store, and what tests use.
//
// One connection writes. What many callers want written at one time goes into one transaction, each in a savepoint of
// its own, and is answered after the one fsync (WAL, synchronous=FULL): see writer. Reads have a pool of connections
// and never wait for writes.
//
// The data directory is locked: one process has it alone, or several of one host share it (Options.Shared); a command
// may look in beside them (Options.Beside). A database
// that another process holds locked, and a full disk, are gateway.ErrAway; both are left without a restart.
//
// This package is the home of modernc.org/sqlite. It decides nothing about deliveries: package gateway's Store says
// what each method promises, and package storetest holds it to that.
package sqlitestore
