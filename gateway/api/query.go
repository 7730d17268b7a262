package api

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/unihook/unihook/gateway"
)

const (
	// defaultLimit and maxLimit bound a page of a list.
	defaultLimit, maxLimit = 50, 200
	// maxParameterBytes is more than any id, name or time has; a cursor has its own limit.
	maxParameterBytes = 256
)

// query is a request's parameters and what is wrong with them. Reading goes on past a fault, so that all are told at
// once, together with those of the body where there is one.
type query struct {
	values url.Values
	faults []gateway.Fault
}

// parseQuery reads the raw query of a route that takes the parameters named.
func parseQuery(raw string, names []string) query {
	values, err := url.ParseQuery(raw)
	q := query{values: values}
	if err != nil {
		q.fault(unreadable(raw), "malformed", "the query string cannot be read: "+err.Error())
	}
	// In the order of the names, so that one query always has one answer.
	for _, name := range sortedKeys(values) {
		switch given := values[name]; {
		case !slices.Contains(names, name):
			q.fault(name, "unknown_parameter", unknownParameter(names))
			continue
		case len(given) > 1:
			q.fault(name, "repeated_parameter", "is there twice")
		case name != "cursor" && len(given[0]) > maxParameterBytes:
			q.fault(name, "too_long", fmt.Sprintf("is longer than %d bytes", maxParameterBytes))
		case !plain(given[0]):
			q.fault(name, "malformed", "has control characters in it, or is not UTF-8")
		default:
			continue
		}
		values.Del(name)
	}
	return q
}

// unreadable is the name of the first parameter that cannot be read, as it was written.
func unreadable(raw string) string {
	for pair := range strings.SplitSeq(raw, "&") {
		if _, err := url.ParseQuery(pair); err != nil {
			name, _, _ := strings.Cut(pair, "=")
			return strings.ToValidUTF8(name[:min(len(name), maxParameterBytes)], "")
		}
	}
	return ""
}

func sortedKeys(values url.Values) []string {
	names := make([]string, 0, len(values))
	for name := range values {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func unknownParameter(names []string) string {
	if len(names) == 0 {
		return "no parameter is known here"
	}
	return "is not known here: there are " + strings.Join(names, ", ")
}

// plain tells whether text is UTF-8 without control characters: what an id, a name or a time can be.
func plain(text string) bool {
	return utf8.ValidString(text) && !strings.ContainsFunc(text, func(r rune) bool { return r < 0x20 || r == 0x7F })
}

func (q *query) fault(name, code, detail string) {
	if len(q.faults) < maxFaults {
		q.faults = append(q.faults, gateway.Fault{Parameter: name, Code: code, Detail: detail})
	}
}

// err is the refusal of the parameters, or nil.
func (q *query) err() error { return gateway.RefuseFaults(q.faults) }

// text is a parameter's value; empty where it is absent.
func (q *query) text(name string) string { return q.values.Get(name) }

// time reads an RFC 3339 time; zero where it is absent.
func (q *query) time(name string) gateway.Time {
	text := q.text(name)
	if text == "" {
		return 0
	}
	// A plus sign that was not escaped arrives as a space, and times with an offset have one.
	t, err := gateway.ParseTime(strings.ReplaceAll(text, " ", "+"))
	if err != nil {
		q.fault(name, "malformed", err.Error())
	}
	return t
}

// window reads since and until.
func (q *query) window() (since, until gateway.Time) {
	since, until = q.time("since"), q.time("until")
	if until <= 0 && q.text("until") != "" {
		until = 1 // nothing here is from before 1970, whose first moment would stand for no bound
	}
	if since != 0 && until != 0 && until < since {
		q.fault("until", "out_of_range", "is before since")
	}
	return since, until
}

// limit reads the size of a page.
func (q *query) limit() int {
	if !q.values.Has("limit") {
		return defaultLimit
	}
	n, err := strconv.Atoi(q.text("limit"))
	if err != nil || n < 1 || n > maxLimit || strconv.Itoa(n) != q.text("limit") {
		q.fault("limit", "out_of_range", fmt.Sprintf("must be a whole number from 1 to %d", maxLimit))
		return defaultLimit
	}
	return n
}

// oneOf reads a comma-separated list of words, each of which must be known.
func oneOf[T ~string](q *query, name string, known ...T) []T {
	text := q.text(name)
	if text == "" {
		return nil
	}
	var words []T
	for word := range strings.SplitSeq(text, ",") {
		if !slices.Contains(known, T(word)) {
			q.fault(name, "unknown_value", fmt.Sprintf("%.64q is not one of %v", word, known))
			return nil
		}
		words = append(words, T(word))
	}
	return words
}
