package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/unihook/unihook/mapping"
)

// mapCommand is `unihook map`: a mapping applied to standard input by the code that deliveries run. Any JSON value is
// taken. Standard output gets the body's bytes and nothing else, and gets nothing at all when something is wrong.
type mapCommand struct {
	// A rule holds commas and backslashes of its own: kong must not split at them.
	Rule          []string `sep:"none" placeholder:"LINE" xor:"rules" help:"A rule: 'remove PATH', 'keep PATH', 'rename PATH KEY', 'move PATH PATH' or 'set PATH JSON'; give one flag for each."`
	Rules         *string  `placeholder:"FILE" xor:"rules" help:"File with the rules as a JSON array, as a webhook has them."`
	MaxEventBytes int      `env:"UNIHOOK_MAX_EVENT_BYTES" default:"262144" help:"Most bytes of an event's data; a mapped body may have four times as many."`
}

// maxMapInput bounds what is read from standard input: far above what a gateway takes, far below a machine's memory.
const maxMapInput = 64 << 20

// unusable ends the program with the status of a call, or an input, that cannot be understood.
func unusable(format string, args ...any) error {
	return exitStatus{2, fmt.Sprintf(format, args...)}
}

// Run maps standard input to standard output. Rules or JSON that are not valid, and a body that is too large, end with
// status 2.
func (c *mapCommand) Run(_ context.Context, t terminal) error {
	if c.MaxEventBytes < minEventBytes || c.MaxEventBytes > maxEventBytes {
		return unusable("--max-event-bytes must be from %d to %d", minEventBytes, maxEventBytes)
	}
	rules, err := c.rules()
	if err != nil {
		return err
	}
	compiled, err := mapping.Compile(rules)
	if err != nil {
		return unusable("%v", err)
	}
	payload, err := io.ReadAll(io.LimitReader(t.in, maxMapInput+1))
	if err != nil {
		return fmt.Errorf("reading standard input: %w", err)
	}
	if len(payload) > maxMapInput {
		return unusable("the JSON on standard input has more than %d bytes", maxMapInput)
	}
	body, err := compiled.Apply(payload, 4*c.MaxEventBytes)
	if errors.Is(err, mapping.ErrTooLarge) {
		return unusable("%v", err)
	}
	if err != nil {
		return unusable("standard input: %v", err)
	}
	if _, err := t.out.Write(body); err != nil {
		return fmt.Errorf("writing the body: %w", err)
	}
	return nil
}

// rules reads the rules, from their file or from the lines.
func (c *mapCommand) rules() ([]mapping.Rule, error) {
	if c.Rules != nil {
		if *c.Rules == "" { // a variable that was not set: the payload must not leave as it came
			return nil, unusable("--rules names no file")
		}
		text, err := os.ReadFile(*c.Rules)
		if err != nil {
			return nil, unusable("reading --rules: %v", err)
		}
		rules, err := mapping.ParseRules(text)
		if err != nil {
			return nil, unusable("%s: %v", *c.Rules, err)
		}
		return rules, nil
	}
	var rules []mapping.Rule
	for _, line := range c.Rule {
		rule, err := mapping.ParseLine(line)
		if err != nil {
			return nil, unusable("--rule: %v", err)
		}
		rules = append(rules, rule)
	}
	return rules, nil
}
