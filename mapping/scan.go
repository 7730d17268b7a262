package mapping

import (
	"encoding/binary"
	"math/bits"
)

// The functions of this file read text that is known to be JSON. On any other text they still end, inside its bounds;
// they answer len(src) where the text ends too early.

const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// zeroBytes marks, with its high bit, the lowest zero byte of x exactly, and perhaps higher ones wrongly.
func zeroBytes(x uint64) uint64 { return (x - ones) &^ x & highs }

func isSpace(c byte) bool { return c == ' ' || c == '\n' || c == '\t' || c == '\r' }

// skipSpace answers the position of the next token.
func skipSpace(src []byte, i int) int {
	if i < len(src) && src[i] > ' ' {
		return i
	}
	return skipSpaces(src, i)
}

func skipSpaces(src []byte, i int) int {
	for i < len(src) && isSpace(src[i]) {
		i++
	}
	return i
}

// skipString answers the position after the closing quotation mark of the string whose first character is at i.
func skipString(src []byte, i int) int {
	for i+8 <= len(src) {
		x := binary.LittleEndian.Uint64(src[i:])
		m := zeroBytes(x^ones*'"') | zeroBytes(x^ones*'\\')
		if m == 0 {
			i += 8
			continue
		}
		i += bits.TrailingZeros64(m) >> 3
		if src[i] == '"' {
			return i + 1
		}
		i += 2
	}
	for i < len(src) {
		switch src[i] {
		case '"':
			return i + 1
		case '\\':
			i++
		}
		i++
	}
	return len(src)
}

// stringStop answers the position of the first quotation mark or backslash from i on, or len(src).
func stringStop(src []byte, i int) int {
	for i+8 <= len(src) {
		x := binary.LittleEndian.Uint64(src[i:])
		if m := zeroBytes(x^ones*'"') | zeroBytes(x^ones*'\\'); m != 0 {
			return i + bits.TrailingZeros64(m)>>3
		}
		i += 8
	}
	for i < len(src) && src[i] != '"' && src[i] != '\\' {
		i++
	}
	return i
}

// scalarEnd marks the characters that cannot be inside a number or a literal.
var scalarEnd = [256]bool{',': true, '}': true, ']': true, ' ': true, '\n': true, '\t': true, '\r': true}

// skipValue answers the position after the value that begins at i.
func skipValue(src []byte, i int) int {
	if i >= len(src) {
		return len(src)
	}
	switch src[i] {
	case '"':
		return skipString(src, i+1)
	case '{', '[':
		return skipToClose(src, i+1) + 1
	}
	for i < len(src) && !scalarEnd[src[i]] {
		i++
	}
	return i
}

// depthOf counts the levels of objects and arrays in valid JSON.
func depthOf(src []byte) int {
	depth, deepest := 0, 0
	for i := 0; i < len(src); {
		switch src[i] {
		case '"':
			i = skipString(src, i+1)
			continue
		case '{', '[':
			depth++
			deepest = max(deepest, depth)
		case '}', ']':
			depth--
		}
		i++
	}
	return deepest
}

// Compact appends valid JSON to dst without the white space between its tokens.
func Compact(dst, valid []byte) []byte {
	from := 0
	for i := 0; i < len(valid); {
		switch c := valid[i]; {
		case c == '"':
			i = skipString(valid, i+1)
		case isSpace(c):
			dst = append(dst, valid[from:i]...)
			i = skipSpace(valid, i)
			from = i
		default:
			i++
		}
	}
	return append(dst, valid[from:]...)
}

// Lookup finds the value under nested keys in valid JSON and returns its bytes, which are a part of valid.
// Keys are compared decoded; of a repeated key the last counts, as most receivers have it. It enters objects alone.
func Lookup(valid []byte, keys ...string) (raw []byte, ok bool) {
	pos := skipSpace(valid, 0)
	for _, key := range keys {
		found := -1
		eachMember(valid, pos, func(m member) {
			if string(m.key) == key {
				found = m.value
			}
		})
		if found < 0 {
			return nil, false
		}
		pos = found
	}
	end := skipValue(valid, pos)
	pos = min(pos, end)
	return valid[pos:end:end], pos < end
}

// member is one member of an object.
type member struct {
	key   []byte // decoded; a part of the text, or of a buffer that the next member reuses
	value int    // where its value begins
}

// eachMember calls f for each member of the object at pos, and does nothing for another value.
func eachMember(src []byte, pos int, f func(member)) {
	if pos >= len(src) || src[pos] != '{' {
		return
	}
	var buffer []byte
	i := skipSpace(src, pos+1)
	for i < len(src) && src[i] == '"' {
		end := skipString(src, i+1)
		key := src[i+1 : max(i+1, end-1)]
		if hasBackslash(key) {
			buffer = appendUnquoted(buffer[:0], key)
			key = buffer
		}
		i = skipSpace(src, skipSpace(src, end)+1)
		f(member{key, i})
		i = skipSpace(src, skipValue(src, i))
		if i < len(src) && src[i] == ',' {
			i = skipSpace(src, i+1)
		}
	}
}
