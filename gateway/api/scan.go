package api

import (
	"bytes"
	"encoding/json"
	"strings"
	"unicode/utf8"
)

// The functions of this file read text that mapping.CheckJSON accepted: they look for no faults, and none of them calls
// itself, so that nesting costs no stack.

// skipSpace answers where the next token begins.
func skipSpace(text []byte, i int) int {
	for i < len(text) && (text[i] == ' ' || text[i] == '\t' || text[i] == '\n' || text[i] == '\r') {
		i++
	}
	return i
}

// stringEnd answers the position after the string that begins at i.
func stringEnd(text []byte, i int) int {
	for i++; i < len(text); i++ {
		switch text[i] {
		case '"':
			return i + 1
		case '\\':
			i++
		}
	}
	return i
}

// valueEnd answers the position after the value that begins at i.
func valueEnd(text []byte, i int) int {
	switch text[i] {
	case '"':
		return stringEnd(text, i)
	case '{', '[':
		return containerEnd(text, i)
	}
	for i < len(text) && !strings.ContainsRune(" \t\n\r,]}", rune(text[i])) {
		i++
	}
	return i
}

func containerEnd(text []byte, i int) int {
	for depth := 0; i < len(text); {
		switch text[i] {
		case '"':
			i = stringEnd(text, i)
			continue
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth == 0 {
				return i + 1
			}
		}
		i++
	}
	return i
}

// kindOf says in a word for people what the value that begins with first is.
func kindOf(first byte) string {
	switch first {
	case '{':
		return "an object"
	case '[':
		return "an array"
	case '"':
		return "a string"
	case 't', 'f':
		return "true or false"
	case 'n':
		return "null"
	}
	return "a number"
}

// unquote is what a string, given with its quotation marks, stands for. It answers false when half of a surrogate pair
// is in it: that has no UTF-8, and would be stored as another string than the one that was sent.
func unquote(quoted []byte) (string, bool) {
	inside := quoted[1 : len(quoted)-1]
	if bytes.IndexByte(inside, '\\') < 0 {
		return string(inside), true
	}
	var text string
	if err := json.Unmarshal(quoted, &text); err != nil {
		return "", false
	}
	return text, !strings.ContainsRune(text, utf8.RuneError) || !halfPair(inside)
}

// halfPair tells whether an escape of one half of a surrogate pair stands alone.
func halfPair(inside []byte) bool {
	for i := 0; i < len(inside); i++ {
		if inside[i] != '\\' {
			continue
		}
		i++
		if inside[i] != 'u' {
			continue
		}
		half := surrogate(inside[i+1:])
		i += 4
		if half == 0 {
			continue
		}
		if half == 2 || i+2 >= len(inside) || inside[i+1] != '\\' || inside[i+2] != 'u' || surrogate(inside[i+3:]) != 2 {
			return true
		}
		i += 6
	}
	return false
}

// surrogate tells whether four hexadecimal digits are the first (1) or second (2) half of a pair, or neither (0).
func surrogate(digits []byte) int {
	if digits[0]|0x20 != 'd' {
		return 0
	}
	switch digits[1] | 0x20 {
	case '8', '9', 'a', 'b':
		return 1
	case 'c', 'd', 'e', 'f':
		return 2
	}
	return 0
}
