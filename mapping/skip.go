package mapping

import (
	"encoding/binary"
	"math/bits"
)

// What no rule leads to is skipped without being parsed: only quotation marks, backslashes and brackets count. Long
// stretches are looked at in blocks of 64 characters, each kind of character as the bits of one word.

const blockSize = 64

// block has a bit for each of 64 characters.
type block struct{ quotes, backslashes, opening, closing uint64 }

// others has, for eight characters each, the high bit of every byte that is not of the kind.
type others struct{ quotes, backslashes, opening, closing uint64 }

const lows = ^uint64(highs)

// compare looks at eight characters. The carry of an addition tells equal from not, where the high bit is out of the way.
func compare(x uint64) (o others) {
	low := x & lows
	lower := low | ones*0x20 // brackets become braces
	o.quotes = (low ^ ones*'"') + lows | x
	o.backslashes = (low ^ ones*'\\') + lows | x
	o.opening = (lower ^ ones*'{') + lows | x
	o.closing = (lower ^ ones*'}') + lows | x
	return o
}

// add puts the high bits of eight characters into place number at: the blocks' words are eight by eight bits that transpose
// brings into the order of the text.
func (o *others) add(x others, at int) {
	o.quotes |= x.quotes & highs >> at
	o.backslashes |= x.backslashes & highs >> at
	o.opening |= x.opening & highs >> at
	o.closing |= x.closing & highs >> at
}

// transpose swaps the rows and columns of eight by eight bits.
func transpose(x uint64) uint64 {
	t := (x ^ x>>7) & 0x00AA00AA00AA00AA
	x ^= t ^ t<<7
	t = (x ^ x>>14) & 0x0000CCCC0000CCCC
	x ^= t ^ t<<14
	t = (x ^ x>>28) & 0x00000000F0F0F0F0
	return x ^ t ^ t<<28
}

// readBlock marks the characters of src[i:i+64].
func readBlock(src []byte, i int) (b block) {
	text := (*[blockSize]byte)(src[i:])
	var o others
	o.add(compare(binary.LittleEndian.Uint64(text[0:])), 7)
	o.add(compare(binary.LittleEndian.Uint64(text[8:])), 6)
	o.add(compare(binary.LittleEndian.Uint64(text[16:])), 5)
	o.add(compare(binary.LittleEndian.Uint64(text[24:])), 4)
	o.add(compare(binary.LittleEndian.Uint64(text[32:])), 3)
	o.add(compare(binary.LittleEndian.Uint64(text[40:])), 2)
	o.add(compare(binary.LittleEndian.Uint64(text[48:])), 1)
	o.add(compare(binary.LittleEndian.Uint64(text[56:])), 0)
	b.quotes = transpose(^o.quotes)
	b.opening = transpose(^o.opening)
	b.closing = transpose(^o.closing)
	if o.backslashes != ^uint64(0) {
		b.backslashes = transpose(^o.backslashes)
	}
	return b
}

// skipToClose answers the position of the bracket that closes what i is inside of, or len(src)-1 where there is none.
func skipToClose(src []byte, i int) int {
	at, depth := skipNear(src, i, min(i+blockSize, len(src)), 1)
	if depth == 0 {
		return at
	}
	return skipFar(src, at, depth)
}

// skipNear looks for the closing bracket up to limit, string by string, from depth levels inside. It answers the bracket's
// position and 0, or where it stopped and how many levels inside that is.
func skipNear(src []byte, i, limit, depth int) (at, left int) {
	for i < limit {
		switch src[i] {
		case '"':
			i = skipString(src, i+1)
			continue
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth == 0 {
				return i, 0
			}
		}
		i++
	}
	return i, depth
}

// skipFar goes on from outside a string, depth levels inside.
func skipFar(src []byte, i, depth int) int {
	inString, escaped := uint64(0), uint64(0) // all bits, and the lowest, carried over from block to block
	for i+blockSize <= len(src) {
		b := readBlock(src, i)
		quotes := b.quotes
		if b.backslashes|escaped != 0 {
			var hidden uint64
			hidden, escaped = escapedBy(b.backslashes, escaped)
			quotes &^= hidden
		}
		strings := insideQuotes(quotes) ^ inString
		inString = uint64(int64(strings) >> 63)
		opening, closing := b.opening&^strings, b.closing&^strings
		if n := bits.OnesCount64(closing); n < depth {
			depth += bits.OnesCount64(opening) - n
		} else if at := closes(opening, closing, &depth); at < blockSize {
			return i + at
		}
		i += blockSize
	}
	return skipTail(src, i, depth, inString != 0, escaped != 0)
}

// escapedBy marks the characters after each backslash that is not escaped itself, and tells whether the next block's first is one.
func escapedBy(backslashes, carry uint64) (escaped, next uint64) {
	// A backslash that is escaped escapes nothing: leave it out, from the left to the right.
	for b := backslashes &^ carry; b != 0; {
		at := b & -b
		escaped |= at << 1
		b &^= at | at<<1
		next = at >> 63
	}
	return escaped | carry, next
}

// insideQuotes marks the characters from each opening quotation mark up to the one before its closing one.
func insideQuotes(quotes uint64) uint64 {
	quotes ^= quotes << 1
	quotes ^= quotes << 2
	quotes ^= quotes << 4
	quotes ^= quotes << 8
	quotes ^= quotes << 16
	return quotes ^ quotes<<32
}

// closes goes through the brackets of a block one by one and answers where depth becomes 0, or the block's size.
func closes(opening, closing uint64, depth *int) int {
	for all := opening | closing; all != 0; all &= all - 1 {
		if opening&all&-all != 0 {
			*depth++
		} else if *depth--; *depth == 0 {
			return bits.TrailingZeros64(all)
		}
	}
	return blockSize
}

// skipTail goes on through the last characters of a text, fewer than a block.
func skipTail(src []byte, i, depth int, inString, escaped bool) int {
	if escaped {
		i++
	}
	if inString {
		i = skipString(src, i)
	}
	at, left := skipNear(src, i, len(src), depth)
	if left == 0 {
		return at
	}
	return len(src) - 1
}
