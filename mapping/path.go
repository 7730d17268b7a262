package mapping

import (
	"math"
	"strings"
	"unicode/utf8"
)

// Segment is one key of a path, decoded.
type Segment struct {
	// Key is the decoded key; for `#` and `*` it is "#".
	Key string
	// Every is true for `#` and `*`: every element of an array, nothing in an object.
	Every bool
	// Index is the element that the segment addresses in an array, or -1 when it is a key alone.
	// A number beyond the range of int is the largest int, which no array reaches.
	Index int
}

// problem is what is wrong with one field, before it is known of which rule.
type problem struct{ code, detail string }

func (p problem) ok() bool { return p.code == "" }

// SplitPath decodes a path into its keys. The error is a sentence that says what is wrong with the path.
func SplitPath(path string) ([]Segment, error) {
	segments, p := splitPath(path)
	if !p.ok() {
		return nil, &RulesError{Faults: []Fault{{Rule: WholeList, Field: "path", Code: "path_" + p.code, Detail: p.detail}}}
	}
	return segments, nil
}

// splitPath is SplitPath with the fault's code, without the field's name before it.
func splitPath(path string) ([]Segment, problem) {
	if p := checkPathText(path); !p.ok() {
		return nil, p
	}
	var segments []Segment
	var key []byte
	escaped := false
	for i := 0; i <= len(path); i++ {
		switch {
		case i == len(path) || path[i] == '.':
			segment, p := newSegment(string(key), escaped)
			if !p.ok() {
				return nil, p
			}
			segments = append(segments, segment)
			key, escaped = key[:0], false
		case path[i] == '\\':
			i++
			if i == len(path) {
				return nil, problem{"backslash_at_end", `ends in a backslash, which has nothing to escape`}
			}
			key, escaped = append(key, path[i]), true
		default:
			key = append(key, path[i])
		}
	}
	if len(segments) > MaxPathKeys {
		return nil, problem{"too_many_keys", "has more than 64 keys"}
	}
	return segments, problem{}
}

// checkPathText judges what can be said of a path before it is split.
func checkPathText(path string) problem {
	switch {
	case path == "":
		return problem{"empty", "is empty"}
	case len(path) > MaxPathBytes:
		return problem{"too_long", "is longer than 1024 bytes"}
	}
	return checkText(path)
}

// checkText refuses what no key may hold.
func checkText(s string) problem {
	if !utf8.ValidString(s) {
		return problem{"not_utf8", "is not valid UTF-8"}
	}
	for i := range len(s) {
		if s[i] < 0x20 || s[i] == 0x7F {
			return problem{"control_character", "has a control character in it"}
		}
	}
	return problem{}
}

// checkKey judges the new name of a rename.
func checkKey(key string) problem {
	switch {
	case key == "":
		return problem{"empty", "is empty"}
	case len(key) > MaxKeyBytes:
		return problem{"key_too_long", "is longer than 256 bytes"}
	}
	return checkText(key)
}

func newSegment(key string, escaped bool) (Segment, problem) {
	switch {
	case key == "":
		return Segment{}, problem{"empty_key", "has an empty key in it"}
	case len(key) > MaxKeyBytes:
		return Segment{}, problem{"key_too_long", "has a key of more than 256 bytes in it"}
	case escaped:
		return Segment{Key: key, Index: -1}, problem{}
	case key == "#" || key == "*":
		return Segment{Key: "#", Every: true, Index: -1}, problem{}
	}
	return Segment{Key: key, Index: parseIndex(key)}, problem{}
}

// parseIndex reads digits without a leading zero, and answers -1 for anything else.
func parseIndex(key string) int {
	if key == "0" {
		return 0
	}
	n := 0
	for i := range len(key) {
		digit := int(key[i]) - '0'
		if digit < 0 || digit > 9 || i == 0 && digit == 0 {
			return -1
		}
		if n > (math.MaxInt-digit)/10 {
			n = math.MaxInt
			continue
		}
		if n < math.MaxInt {
			n = n*10 + digit
		}
	}
	return n
}

// text writes the segment as a path would, in the one form that equal segments share.
func (s Segment) text() string {
	if s.Every {
		return "#"
	}
	escaped := strings.NewReplacer(`\`, `\\`, `.`, `\.`).Replace(s.Key)
	if escaped == s.Key && s.Index < 0 && (s.Key == "#" || s.Key == "*" || parseIndex(s.Key) >= 0) {
		return `\` + s.Key
	}
	return escaped
}

func pathText(path []Segment) string {
	parts := make([]string, len(path))
	for i, s := range path {
		parts[i] = s.text()
	}
	return strings.Join(parts, ".")
}

// meets says whether both segments could address the same property of the same object or array.
func (s Segment) meets(t Segment) bool {
	switch {
	case s.Every && t.Every:
		return true
	case s.Every:
		return t.Index >= 0
	case t.Every:
		return s.Index >= 0
	}
	return s.Key == t.Key
}

// overlap says whether both paths could address the same property.
func overlap(a, b []Segment) bool {
	return len(a) == len(b) && covers(a, b)
}

// covers says whether b could lie at or inside what a addresses.
func covers(a, b []Segment) bool {
	if len(a) > len(b) {
		return false
	}
	for i := range a {
		if !a[i].meets(b[i]) {
			return false
		}
	}
	return true
}

// hasEvery says whether a path has a `#` or `*` in it.
func hasEvery(path []Segment) bool {
	for _, s := range path {
		if s.Every {
			return true
		}
	}
	return false
}
