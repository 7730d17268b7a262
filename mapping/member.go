package mapping

import (
	"encoding/binary"
	"math/bits"
)

// span is where a member stands in src.
type span struct {
	start  int   // of the key, at its quotation mark
	keyEnd int   // after its closing quotation mark
	pos    int   // of the value
	edge   *edge // of the one node that is active, or nil when the key must be looked at again
}

// passBy goes over the members that n does not lead to, from the key at i on. It answers the first other one, or where the
// members end; and where the last one that it passed by ends, or -1. Most of the time of most mappings is spent here,
// so that short keys and values are read without a call.
func passBy(src []byte, n *node, i int) (m span, last int) {
	last = -1
	table := n.table
	for i < len(src) && src[i] == '"' {
		stop, hash := keyAt(src, i+1)
		pos := stop + 2
		if pos >= len(src) || src[stop] != '"' {
			break
		}
		if src[stop+1] != ':' || src[pos] <= ' ' {
			if pos = skipSpace(src, stop+1); pos >= len(src) || src[pos] != ':' {
				break
			}
			pos = skipSpace(src, pos+1)
		}
		if table[int(hash)&(len(table)-1)].edge != 0 {
			if e := n.findHashed(hash, src[i+1:stop]); e != nil {
				return span{i, stop + 1, pos, e}, last
			}
		}
		last = skipValue(src, pos)
		i = last + 1
		if i < len(src) && src[last] == ',' && src[i] == '"' {
			continue
		}
		if i = skipSpace(src, last); i >= len(src) || src[i] != ',' {
			break
		}
		i = skipSpace(src, i+1)
	}
	return span{start: i}, last
}

// keyAt answers where the key that begins at i stops, at its quotation mark or a backslash, and its hash if it is the former.
func keyAt(src []byte, i int) (stop int, hash uint32) {
	if i+8 > len(src) {
		stop = stringStop(src, i)
		return stop, hashKey(src[i:stop])
	}
	x := binary.LittleEndian.Uint64(src[i:])
	m := zeroBytes(x^ones*'"') | zeroBytes(x^ones*'\\')
	if m == 0 {
		stop = stringStop(src, i+8)
		return stop, hashKey(src[i:stop])
	}
	size := bits.TrailingZeros64(m) &^ 7
	return i + size>>3, mixKey(x&(1<<size-1), 0, size>>3)
}
