package mapping

import (
	"errors"
	"fmt"
	"strings"
)

// What Apply, ApplyValid and CheckJSON refuse a payload for; compare with errors.Is.
var (
	// ErrInvalidJSON is the kind of every error about a text that is not JSON in valid UTF-8.
	ErrInvalidJSON = errors.New("not valid JSON")
	// ErrTooDeep is the kind of every error about nesting beyond the limit, of a payload or of a mapped body.
	ErrTooDeep = errors.New("nested too deeply")
	// ErrTooLarge says that the mapped body would be larger than the limit. It was not built.
	ErrTooLarge = errors.New("the mapped body is too large")
)

// JSONError says where a text stops being JSON that is accepted. It is an ErrInvalidJSON or an ErrTooDeep.
type JSONError struct {
	Offset int    // bytes before the fault
	Line   int    // from 1
	Column int    // in characters, from 1
	Reason string // what is wrong there
	Kind   error  // ErrInvalidJSON or ErrTooDeep
}

func (e *JSONError) Error() string {
	return fmt.Sprintf("%v at line %d, column %d: %s", e.Kind, e.Line, e.Column, e.Reason)
}

func (e *JSONError) Unwrap() error { return e.Kind }

// WholeList is the Fault.Rule of a fault that is not one rule's, such as too many rules.
const WholeList = -1

// Fault is one thing that is wrong with a list of rules.
type Fault struct {
	Rule   int    // index of the rule, from 0, or WholeList
	Field  string // "op", "path", "to", "value", an unknown or repeated key, or "" for the rule itself
	Code   string // snake_case, for programs: path_empty, conflict, too_many_rules
	Detail string // a clause for people, such as "is empty"
}

func (f Fault) String() string {
	switch {
	case f.Rule == WholeList && f.Field == "":
		return "the rules: " + f.Detail
	case f.Rule == WholeList:
		return "the " + f.Field + " " + f.Detail
	case f.Field == "":
		return fmt.Sprintf("rules[%d] %s", f.Rule, f.Detail)
	}
	return fmt.Sprintf("rules[%d].%s %s", f.Rule, f.Field, f.Detail)
}

// RulesError holds every fault of a list of rules.
type RulesError struct{ Faults []Fault }

func (e *RulesError) Error() string {
	parts := make([]string, len(e.Faults))
	for i, f := range e.Faults {
		parts[i] = f.String()
	}
	return strings.Join(parts, "; ")
}
