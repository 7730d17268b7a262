// Package mapping changes JSON payloads by rules: remove, rename, keep, move and set.
//
// It is pure: bytes and rules in, bytes out. It knows nothing of webhooks, stores or HTTP.
//
//	rules, err := mapping.ParseRules(text)  // or ParseLine, for each line of a command
//	m, err := mapping.Compile(rules)        // once
//	body, err := m.Apply(payload, limit)    // any number of times, from any goroutine
//
// Rules that contradict each other are refused by Compile, so that the order of rules never matters. Apply checks the
// payload (CheckJSON) and then writes it anew in one pass whatever the number of rules; ApplyValid leaves out the check. A
// value that no rule touches keeps its exact bytes, because text is copied and never decoded. What no rule leads to is
// skipped unread. README.md shows the language by example.
package mapping
