package mapping

import (
	"fmt"
	"slices"
	"strings"
)

// makeMissing writes, at the end of an object that closes at closing, what set and move put there anew.
func (w *writer) makeMissing(f *frame, closing int) {
	base := len(w.made)
	w.collectMissing(f)
	at := closing
	if f.count > 0 {
		at = f.last
	}
	w.makeMembers(base, f.pos, func() {
		w.copyTo(at)
		if f.count > 0 {
			w.write(comma)
		}
		f.count++
	})
	w.made = w.made[:base]
}

var comma, openBrace, closeBrace = []byte(","), []byte("{"), []byte("}")

// collectMissing gathers the keys that rules could make and that the object lacks. A key to which a property was renamed
// is not made: the renamed property replaces it.
func (w *writer) collectMissing(f *frame) {
	base := 0
	for _, n := range w.stack[f.lo:f.hi] {
		for _, e := range n.makers {
			if !f.seen.has(base+e.slot) && !w.renamedTo(f, e, base) {
				w.made = append(w.made, e)
			}
		}
		base += n.slots
	}
}

// renamedTo says whether a property of the frame's object was renamed to the key of an edge. Base is what the slots of
// the edge's node begin at.
func (w *writer) renamedTo(f *frame, e *edge, base int) bool {
	if f.hi-f.lo == 1 || e.hiddenBy >= 0 {
		return e.hiddenBy >= 0 && f.seen.has(base+e.hiddenBy)
	}
	base = 0
	for _, n := range w.stack[f.lo:f.hi] {
		if other := n.find([]byte(e.key)); other != nil && other.hiddenBy >= 0 && f.seen.has(base+other.hiddenBy) {
			return true
		}
		base += n.slots
	}
	return false
}

// makeMembers writes the keys of made[base:] in the order of their bytes, each once, as far as they are made at all.
// Object is the position in src of the innermost object that is there. Before is called before each.
func (w *writer) makeMembers(base, object int, before func()) {
	if !slices.IsSortedFunc(w.made[base:], compareKeys) {
		slices.SortStableFunc(w.made[base:], compareKeys)
	}
	end := len(w.made)
	for i := base; i < end && w.err == nil; {
		lo := len(w.stack)
		key := w.made[i]
		for ; i < end && w.made[i].key == key.key; i++ {
			w.push(w.made[i])
		}
		if w.isMade(lo, object) {
			before()
			w.write(key.quoted)
			w.makeValue(lo, object)
		}
		w.stack = w.stack[:lo]
	}
}

func compareKeys(a, b *edge) int { return strings.Compare(a.key, b.key) }

// isMade says whether a rule of the nodes in stack[lo:] makes something that is not there.
func (w *writer) isMade(lo, object int) bool {
	for _, n := range w.stack[lo:] {
		if n.makes {
			return true
		}
		for _, r := range n.puts {
			if w.arrives(r, object, false) {
				return true
			}
		}
	}
	return false
}

// makeValue writes the value that the nodes in stack[lo:] make: a set's, a moved one, or an object for what is in it.
func (w *writer) makeValue(lo, object int) {
	hi := len(w.stack)
	for _, n := range w.stack[lo:hi] {
		if n.set != nil {
			w.write(n.set.value)
			return
		}
		if n.put != nil && w.arrives(n.put, object, false) {
			w.moved(n.put)
			return
		}
	}
	base := len(w.made)
	for _, n := range w.stack[lo:hi] {
		w.made = append(w.made, n.makers...)
	}
	w.write(openBrace)
	first := true
	w.makeMembers(base, object, func() {
		if !first {
			w.write(comma)
		}
		first = false
	})
	w.write(closeBrace)
	w.made = w.made[:base]
}

func tooDeepAfter(r *rule) error {
	return fmt.Errorf("%w: moving %s to %s makes more than %d levels", ErrTooDeep, pathText(r.path), pathText(r.to), MaxDepth)
}
