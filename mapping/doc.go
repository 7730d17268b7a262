// Package mapping changes JSON payloads by rules: remove, rename, keep, move and set.
//
// It is pure: bytes and rules in, bytes out. Rules are compiled once and applied many times, in one pass over the
// payload whatever their number. A value that no rule touches keeps its exact bytes. It knows nothing of webhooks,
// stores or HTTP.
package mapping
