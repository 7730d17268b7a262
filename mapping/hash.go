package mapping

import (
	"encoding/binary"
	"math/bits"
)

// tableSlot is a place of a node's hash table. An edge of 0 is an empty one; others are one more than their index.
type tableSlot struct {
	hash uint32
	edge uint32
}

// fillTable makes the table so sparse that most keys which no rule names are dismissed by one look.
func (n *node) fillTable() {
	n.table = make([]tableSlot, 4<<bits.Len(uint(len(n.edges))))
	for i := range n.edges {
		h := hashKey([]byte(n.edges[i].key))
		at := int(h) & (len(n.table) - 1)
		for n.table[at].edge != 0 {
			at = (at + 1) & (len(n.table) - 1)
		}
		n.table[at] = tableSlot{h, uint32(i + 1)}
	}
}

// find returns the edge of a decoded key, or nil.
func (n *node) find(key []byte) *edge {
	return n.findHashed(hashKey(key), key)
}

func (n *node) findHashed(h uint32, key []byte) *edge {
	mask := len(n.table) - 1
	for at := int(h) & mask; n.table[at&mask].edge != 0; at++ {
		slot := n.table[at&mask]
		if slot.hash != h {
			continue
		}
		if e := &n.edges[slot.edge-1]; e.key == string(key) {
			return e
		}
	}
	return nil
}

// hashKey mixes the length of a key and its first and last eight bytes. Keys that collide cost a comparison, no more.
func hashKey(key []byte) uint32 {
	if len(key) >= 8 {
		return mixKey(binary.LittleEndian.Uint64(key), binary.LittleEndian.Uint64(key[len(key)-8:]), len(key))
	}
	var first uint64
	for i := range key {
		first |= uint64(key[i]) << (8 * i)
	}
	return mixKey(first, 0, len(key))
}

func mixKey(first, last uint64, n int) uint32 {
	h := (first ^ bits.RotateLeft64(last, 29)) + uint64(n)<<56
	h *= 0x9E3779B97F4A7C15
	return uint32(h >> 32)
}
