package products

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

const (
	// maxDepth limits nesting to what the API takes in an event's data.
	maxDepth = 1024
	// maxTitle and maxDescription count characters: lists and menus show a title on one line, as a webhook's name.
	maxTitle, maxDescription = 80, 1000
	// maxExponent limits the powers of ten of numbers: a number is compared with a schema's bounds as a fraction, which for
	// 1e1000000 has a million digits.
	maxExponent = 1000
)

// file is the JSON object in a file.
type file struct {
	// compact is the text without white space between tokens: keys in their order, values byte for byte.
	compact json.RawMessage
	// object is the same with numbers as json.Number, nil where the text holds no object.
	object map[string]any
}

// parse reads a JSON object and returns every fault of the text. Faults that leave the object readable come with it.
func parse(raw []byte) (file, []string) {
	if bytes.HasPrefix(raw, []byte("\xef\xbb\xbf")) {
		return file{}, []string{"begins with a byte order mark: save it as UTF-8 without one"}
	}
	if !utf8.Valid(raw) {
		return file{}, []string{"is not UTF-8"}
	}
	faults, err := scan(raw)
	if err != nil {
		return file{}, []string{err.Error()}
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
	if err != nil {
		return file{}, []string{"is not JSON: " + err.Error()}
	}
	object, ok := value.(map[string]any)
	if !ok {
		return file{}, []string{"does not hold a JSON object"}
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, raw); err != nil {
		return file{}, []string{"is not JSON: " + err.Error()}
	}
	return file{compact.Bytes(), object}, faults
}

// level is an object or array that scan is inside of.
type level struct {
	// keys are those that an object has had; nil in an array.
	keys map[string]bool
	key  string
	// wantsKey is true in an object where the next string is a key.
	wantsKey bool
	// index is the current element's in an array.
	index int
}

// scan looks at what decoding into a map hides: a key that stands twice in an object, and the depth of nesting. An error
// means that the text is not JSON, too deep to be read by anything recursive, or has a number too large to compare.
func scan(raw []byte) (faults []string, err error) {
	if err := syntax(raw); err != nil {
		return nil, err
	}
	var at []*level
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	for {
		token, err := dec.Token()
		if err != nil {
			return faults, nil // the syntax was checked: this is the end
		}
		if delim, ok := token.(json.Delim); ok && (delim == '}' || delim == ']') {
			at = at[:len(at)-1]
			continue
		}
		if len(at) > 0 {
			top := at[len(at)-1]
			if key, ok := token.(string); ok && top.wantsKey {
				top.key, top.wantsKey = key, false
				if top.keys[key] {
					faults = append(faults, fmt.Sprintf("at %s: the key stands there twice", place(at)))
				}
				top.keys[key] = true
				continue
			}
			top.index++
			top.wantsKey = top.keys != nil
		}
		if number, ok := token.(json.Number); ok && !moderate(number) {
			return nil, fmt.Errorf("at %s: the exponent of %.40s is beyond %d", place(at), number, maxExponent)
		}
		switch token {
		case json.Delim('{'):
			at = append(at, &level{keys: map[string]bool{}, wantsKey: true, index: -1})
		case json.Delim('['):
			at = append(at, &level{index: -1})
		}
		if len(at) > maxDepth {
			return nil, fmt.Errorf("is nested deeper than %d levels", maxDepth)
		}
	}
}

// moderate reports whether a number's exponent is within maxExponent.
func moderate(number json.Number) bool {
	i := strings.IndexAny(string(number), "eE")
	if i < 0 {
		return true
	}
	exponent, err := strconv.Atoi(string(number[i+1:]))
	return err == nil && -maxExponent <= exponent && exponent <= maxExponent
}

// syntax returns nil for one JSON value, and otherwise an error that names the line.
func syntax(raw []byte) error {
	var value json.RawMessage
	err := json.Unmarshal(raw, &value)
	if err == nil {
		return nil
	}
	var bad *json.SyntaxError
	if !errors.As(err, &bad) {
		return fmt.Errorf("is not JSON: %w", err)
	}
	line := 1 + bytes.Count(raw[:min(int(bad.Offset), len(raw))], []byte("\n"))
	return fmt.Errorf("is not JSON: line %d: %w", line, err)
}

// place returns the JSON Pointer of where scan is.
func place(at []*level) string {
	var b strings.Builder
	for _, l := range at {
		if l.keys != nil {
			b.WriteString("/" + pointer(l.key))
		} else {
			fmt.Fprintf(&b, "/%d", l.index)
		}
	}
	return b.String()
}

// pointer escapes a key for a JSON Pointer (RFC 6901).
func pointer(key string) string {
	return strings.NewReplacer("~", "~0", "/", "~1").Replace(key)
}

// keys returns the object's keys in the order of their names.
func (f file) keys() []string {
	keys := make([]string, 0, len(f.object))
	for key := range f.object {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}

// text returns the text at key and adds a fault where it is there and is no text that people can be shown.
func (f file) text(key string, limit int, faults []string) (string, []string) {
	value, given := f.object[key]
	if !given {
		return "", faults
	}
	s, ok := value.(string)
	switch {
	case !ok:
		faults = append(faults, fmt.Sprintf("at /%s: is not a string", key))
	case strings.TrimSpace(s) == "" && key == "title":
		faults = append(faults, fmt.Sprintf("at /%s: is empty", key))
	case utf8.RuneCountInString(s) > limit:
		faults = append(faults, fmt.Sprintf("at /%s: has more than %d characters", key, limit))
	}
	return s, faults
}
