// Package sign makes and checks the signatures of every scheme that the gateway speaks.
//
// It owns the schemes, their secrets' forms and the headers that carry a signature. It takes the exact bytes that are
// sent and never changes them; it stores nothing and reads no clock.
package sign
