package mapping

import (
	"bytes"
	"unicode/utf16"
	"unicode/utf8"
)

// appendQuoted appends a key in quotation marks. It escapes `"` and `\` alone: control characters are refused in rules.
func appendQuoted(dst []byte, key string) []byte {
	dst = append(dst, '"')
	for i := range len(key) {
		if key[i] == '"' || key[i] == '\\' {
			dst = append(dst, '\\')
		}
		dst = append(dst, key[i])
	}
	return append(dst, '"')
}

func hasBackslash(s []byte) bool { return bytes.IndexByte(s, '\\') >= 0 }

// appendUnquoted appends what the inside of a JSON string stands for. An unpaired surrogate becomes three bytes that
// are not UTF-8, so that it equals no key of a path; gjson and encoding/json would make it equal to U+FFFD.
func appendUnquoted(dst, s []byte) []byte {
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' || i+1 == len(s) {
			dst = append(dst, s[i])
			continue
		}
		i++
		switch s[i] {
		case 'b':
			dst = append(dst, '\b')
		case 'f':
			dst = append(dst, '\f')
		case 'n':
			dst = append(dst, '\n')
		case 'r':
			dst = append(dst, '\r')
		case 't':
			dst = append(dst, '\t')
		case 'u':
			r := hexRune(s[i+1:])
			i = min(i+4, len(s)-1)
			if utf16.IsSurrogate(r) && i+2 < len(s) && s[i+1] == '\\' && s[i+2] == 'u' {
				if pair := utf16.DecodeRune(r, hexRune(s[i+3:])); pair != utf8.RuneError {
					r = pair
					i = min(i+6, len(s)-1)
				}
			}
			dst = appendRune(dst, r)
		default:
			dst = append(dst, s[i])
		}
	}
	return dst
}

// appendRune is utf8.AppendRune that keeps surrogates apart.
func appendRune(dst []byte, r rune) []byte {
	if utf16.IsSurrogate(r) {
		return append(dst, 0xE0|byte(r>>12), 0x80|byte(r>>6)&0x3F, 0x80|byte(r)&0x3F)
	}
	return utf8.AppendRune(dst, r)
}

// hexRune reads four hexadecimal digits.
func hexRune(s []byte) rune {
	var r rune
	for i := range min(4, len(s)) {
		r = r<<4 | rune(hexDigit(s[i]))
	}
	return r
}

func hexDigit(c byte) byte {
	switch {
	case c >= 'a':
		return (c - 'a' + 10) & 15
	case c >= 'A':
		return (c - 'A' + 10) & 15
	}
	return (c - '0') & 15
}
