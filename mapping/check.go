package mapping

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/bits"
	"unicode/utf8"
)

// CheckJSON says whether data is one JSON value as RFC 8259 has it, in valid UTF-8 and without a byte order mark, with
// at most maxDepth levels of objects and arrays. It reads data once, and its stack does not grow with the nesting.
// The error is a *JSONError: ErrTooDeep, or ErrInvalidJSON.
func CheckJSON(data []byte, maxDepth int) error {
	c := checker{data: data, maxDepth: maxDepth}
	if bytes.HasPrefix(data, []byte("\xEF\xBB\xBF")) {
		c.fail(0, "a byte order mark is not JSON")
	} else {
		c.run()
	}
	if c.reason == "" {
		return nil
	}
	kind := ErrInvalidJSON
	if c.tooDeep {
		kind = ErrTooDeep
	}
	line, column := lineAndColumn(data, c.at)
	return &JSONError{Offset: c.at, Line: line, Column: column, Reason: c.reason, Kind: kind}
}

// checker holds where in the nesting a check is, one bit a level: whether it is an object.
type checker struct {
	data     []byte
	maxDepth int
	depth    int
	object   bool // the innermost level is one
	objects  [MaxDepth/64 + 1]uint64
	deeper   []uint64 // the levels beyond those, of a caller who allows more
	at       int
	reason   string
	tooDeep  bool
}

// fail notes the fault. It answers a position beyond every text, so that no caller reads on.
func (c *checker) fail(at int, reason string) int {
	if c.reason == "" {
		c.at, c.reason = min(at, len(c.data)), reason
	}
	return -1
}

// unexpected fails with what stands at a position where something else belongs.
func (c *checker) unexpected(at int, wanted string) int {
	if at >= len(c.data) {
		return c.fail(at, "the text ends where "+wanted+" belongs")
	}
	r, _ := utf8.DecodeRune(c.data[at:])
	return c.fail(at, fmt.Sprintf("%q stands where %s belongs", r, wanted))
}

// run walks over the whole text: each turn reads one value's beginning, then all that may follow its end.
func (c *checker) run() {
	i := skipSpace(c.data, 0)
	more := true
	for more && i >= 0 {
		opened := c.depth
		if i = c.value(i); i < 0 {
			return
		}
		switch {
		case c.depth > opened:
			if i, more = c.firstOf(i); !more && i >= 0 {
				i, more = c.after(i)
			}
		case c.object && i+1 < len(c.data) && c.data[i] == ',' && c.data[i+1] == '"':
			i = c.key(i + 1)
		default:
			i, more = c.after(i)
		}
	}
}

// value reads a scalar, or the bracket or brace that opens an array or object.
func (c *checker) value(i int) int {
	if i >= len(c.data) {
		return c.unexpected(i, "a value")
	}
	switch b := c.data[i]; b {
	case '"':
		return c.stringEnd(i + 1)
	case '{', '[':
		return c.open(i, b == '{')
	case '-', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9':
		return c.number(i)
	case 't':
		return c.literal(i, "true")
	case 'f':
		return c.literal(i, "false")
	case 'n':
		return c.literal(i, "null")
	}
	return c.unexpected(i, "a value")
}

func (c *checker) open(i int, object bool) int {
	if c.depth >= c.maxDepth {
		c.tooDeep = true
		return c.fail(i, fmt.Sprintf("more than %d levels", c.maxDepth))
	}
	word, bit := c.depth>>6, uint64(1)<<(c.depth&63)
	level := c.objects[:]
	if word >= len(c.objects) {
		if word -= len(c.objects); word == len(c.deeper) {
			c.deeper = append(c.deeper, 0)
		}
		level = c.deeper
	}
	level[word] &^= bit
	if object {
		level[word] |= bit
	}
	c.depth++
	c.object = object
	return i + 1
}

// leave goes one level up.
func (c *checker) leave() {
	c.depth--
	c.object = c.depth > 0 && c.inObject()
}

// inObject says whether the innermost level is an object.
func (c *checker) inObject() bool {
	top := c.depth - 1
	if word := top >> 6; word >= len(c.objects) {
		return c.deeper[word-len(c.objects)]>>(top&63)&1 != 0
	}
	return c.objects[top>>6]>>(top&63)&1 != 0
}

// firstOf answers where the first value in a new object or array begins, or where that closes at once.
func (c *checker) firstOf(i int) (next int, more bool) {
	i = skipSpace(c.data, i)
	closing, wanted := byte(']'), "a value or ]"
	if c.object {
		closing, wanted = '}', "a key or }"
	}
	switch {
	case i < len(c.data) && c.data[i] == closing:
		return i, false
	case i < len(c.data) && (c.data[i] == '}' || c.data[i] == ']'):
		return c.unexpected(i, wanted), false
	case c.object:
		return c.key(i), true
	}
	return i, true
}

// after reads what follows a value: closing brackets, and then a comma, a key where there must be one, or the end.
// It answers where the next value begins, and whether there is one.
func (c *checker) after(i int) (next int, more bool) {
	for c.depth > 0 {
		i = skipSpace(c.data, i)
		if i >= len(c.data) {
			return c.unexpected(i, "a comma or a closing bracket"), false
		}
		object := c.object
		switch b := c.data[i]; {
		case b == ',' && object:
			i = c.key(skipSpace(c.data, i+1))
			return i, i >= 0
		case b == ',':
			return skipSpace(c.data, i+1), true
		case b == '}' && object, b == ']' && !object:
			c.leave()
			i++
		case object:
			return c.unexpected(i, "a comma or }"), false
		default:
			return c.unexpected(i, "a comma or ]"), false
		}
	}
	if i = skipSpace(c.data, i); i < len(c.data) {
		c.unexpected(i, "the end")
	}
	return i, false
}

// key reads a key and its colon, and answers where the value begins.
func (c *checker) key(i int) int {
	if i >= len(c.data) || c.data[i] != '"' {
		return c.unexpected(i, "a key in quotation marks")
	}
	if i = c.stringEnd(i + 1); i < 0 {
		return i
	}
	if i = skipSpace(c.data, i); i >= len(c.data) || c.data[i] != ':' {
		return c.unexpected(i, "a colon")
	}
	return skipSpace(c.data, i+1)
}

func (c *checker) literal(i int, word string) int {
	if i+len(word) > len(c.data) || string(c.data[i:i+len(word)]) != word {
		return c.fail(i, "neither true, false nor null")
	}
	return i + len(word)
}

// number reads -?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?
func (c *checker) number(i int) int {
	if c.data[i] == '-' {
		i++
	}
	if i < len(c.data) && c.data[i] == '0' {
		i++
	} else if i = c.digits(i); i < 0 {
		return i
	}
	if i < len(c.data) && scalarEnd[c.data[i]] {
		return i
	}
	if i < len(c.data) && c.data[i] == '.' {
		if i = c.digits(i + 1); i < 0 {
			return i
		}
	}
	if i < len(c.data) && c.data[i]|0x20 == 'e' {
		i++
		if i < len(c.data) && (c.data[i] == '+' || c.data[i] == '-') {
			i++
		}
		return c.digits(i)
	}
	return i
}

// digits reads one digit or more.
func (c *checker) digits(i int) int {
	first := i
	for i < len(c.data) && c.data[i]-'0' <= 9 {
		i++
	}
	if i == first {
		return c.unexpected(i, "a digit")
	}
	return i
}

// stringEnd reads a string from its first character on and answers the position after its closing quotation mark.
func (c *checker) stringEnd(i int) int {
	data := c.data
	for i+8 <= len(data) {
		m := special(binary.LittleEndian.Uint64(data[i:]))
		if m == 0 {
			i += 8
			continue
		}
		i += bits.TrailingZeros64(m) >> 3
		b := data[i]
		if b == '"' {
			return i + 1
		}
		// The commonest escapes and characters of two bytes are read here: a call costs more than the rest of the word.
		if i+1 < len(data) && (b == '\\' && isEscape[data[i+1]] || b >= 0xC2 && b < 0xE0 && data[i+1]&0xC0 == 0x80) {
			i += 2
			continue
		}
		if i = c.inString(i); i < 0 {
			return i
		}
	}
	for i < len(data) && data[i] != '"' {
		if i = c.inString(i); i < 0 {
			return i
		}
	}
	if i >= len(data) {
		return c.fail(i, "the text ends inside a string")
	}
	return i + 1
}

// inString reads one character of a string, with what it escapes, or several that are no ASCII.
func (c *checker) inString(i int) int {
	switch b := c.data[i]; {
	case b == '\\':
		return c.escape(i)
	case b < 0x20:
		return c.fail(i, fmt.Sprintf("the control character %U must be escaped in a string", b))
	case b >= utf8.RuneSelf:
		return c.beyondASCII(i)
	}
	return i + 1
}

// special marks the lowest byte of x that ends a plain run of a string: `"`, `\`, a control character, or no ASCII.
func special(x uint64) uint64 {
	control := (x - ones*0x20) &^ x
	return (zeroBytes(x^ones*'"') | zeroBytes(x^ones*'\\') | control | x) & highs
}

// beyondASCII reads a run of characters of more than one byte.
func (c *checker) beyondASCII(i int) int {
	for i < len(c.data) && c.data[i] >= utf8.RuneSelf {
		r, size := utf8.DecodeRune(c.data[i:])
		if r == utf8.RuneError && size == 1 {
			return c.fail(i, "not valid UTF-8")
		}
		i += size
	}
	return i
}

// isEscape has what a backslash may escape, but for `u`.
var isEscape = [256]bool{'"': true, '\\': true, '/': true, 'b': true, 'f': true, 'n': true, 'r': true, 't': true}

// escape reads a backslash and what it escapes.
func (c *checker) escape(i int) int {
	if i+1 >= len(c.data) {
		return c.fail(i+1, "the text ends inside a string")
	}
	switch b := c.data[i+1]; {
	case isEscape[b]:
		return i + 2
	case b == 'u':
		for j := i + 2; j < i+6; j++ {
			if j >= len(c.data) || !isHex(c.data[j]) {
				return c.unexpected(j, "a hexadecimal digit")
			}
		}
		return i + 6
	}
	return c.unexpected(i+1, "a character that a backslash may escape")
}

func isHex(b byte) bool { return b-'0' <= 9 || b|0x20-'a' <= 5 }

// lineAndColumn counts from 1, columns in characters.
func lineAndColumn(data []byte, at int) (line, column int) {
	before := data[:at]
	start := bytes.LastIndexByte(before, '\n') + 1
	return bytes.Count(before, []byte("\n")) + 1, utf8.RuneCount(before[start:]) + 1
}
