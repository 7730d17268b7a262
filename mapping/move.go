package mapping

import "errors"

// moveState is what a payload makes of one move.
type moveState struct {
	ok       bool // the property is there and so is its new place
	found    bool // the property is there
	start    int  // its value in src: the last of twins
	whole    bool // it stays whole, but for what rules take from it
	nodes    []*node
	blocked  bool // no place: a scalar, null or array is in the way
	replaced int  // the value in src that gives way, or -1
	within   int  // else the object in src that gets the property, by way of objects that are made
	passed   bool // expected: its new place went by before the property was found
	placed   bool // expected: it is where it belongs
}

// errLocate ends a pass: the payload must be written once more, with all moves located before.
var errLocate = errors.New("a move must be located first")

// expectMoves begins a body in the hope that every property to be moved comes before its new place, which is the end of
// an object in most cases, and has no twins. Then one pass is enough. Where it is not so, errLocate ends the pass.
func (w *writer) expectMoves() {
	w.clearMoves()
	w.eager = len(w.moves) > 0
}

func (w *writer) clearMoves() {
	w.moves = w.moves[:min(cap(w.moves), len(w.m.moves))]
	for len(w.moves) < len(w.m.moves) {
		w.moves = append(w.moves, moveState{})
	}
	for i := range w.moves {
		w.moves[i] = moveState{nodes: w.moves[i].nodes[:0], blocked: true}
	}
}

// takes says whether a move takes the property whose value is at pos. Its nodes are stack[lo:hi].
func (w *writer) takes(r *rule, pos, lo, hi int, whole bool) bool {
	s := &w.moves[r.move]
	if !w.eager {
		return s.ok
	}
	if s.found || s.passed {
		w.fail(errLocate)
		return true
	}
	if pos < len(w.src) {
		w.foundSource(r, pos, lo, hi, whole)
	}
	return s.found
}

// arrives says whether a move puts its property in place of the value at pos, or into the object at pos.
func (w *writer) arrives(r *rule, pos int, replacing bool) bool {
	s := &w.moves[r.move]
	if !w.eager {
		return s.ok && (replacing && s.replaced == pos || !replacing && s.replaced < 0 && s.within == pos)
	}
	if s.placed {
		w.fail(errLocate)
	}
	s.passed = true
	return s.found
}

// noWay is called where the way to places ends in a value that is no object: it may be the last twin, and then it counts.
func (w *writer) noWay(lo, hi int) {
	for _, n := range w.stack[lo:hi] {
		for _, r := range n.puts {
			if w.moves[r.move].placed {
				w.fail(errLocate)
			}
		}
	}
}

// missedMoves says whether a property was taken and put nowhere.
func (w *writer) missedMoves() bool {
	for i := range w.moves {
		if s := &w.moves[i]; s.found && !s.placed {
			return true
		}
	}
	return false
}

// locateAll finds, for every move, the property and its new place, before anything is written: the place may come first.
func (w *writer) locateAll(pos int) {
	w.eager = false
	w.clearMoves()
	w.stack = append(w.stack[:0], w.m.root)
	w.locate(pos, 0, 1, !w.m.hasKeep)
	for i := range w.moves {
		s := &w.moves[i]
		s.ok = s.found && !s.blocked
	}
}

// locate looks for moves' properties and places in the value at pos, and answers where it ends.
func (w *writer) locate(pos, lo, hi int, whole bool) int {
	further := false
	for _, n := range w.stack[lo:hi] {
		whole = whole || n.keep != nil
		further = further || n.moves
	}
	if !further || pos >= len(w.src) {
		return skipValue(w.src, pos)
	}
	for _, n := range w.stack[lo:hi] {
		if n.source != nil {
			w.foundSource(n.source, pos, lo, hi, whole)
		}
		for _, r := range n.puts {
			w.foundPlace(r, pos, r == n.put)
		}
	}
	switch w.src[pos] {
	case '{':
		return w.locateInObject(pos, lo, hi, whole)
	case '[':
		return w.locateInArray(pos, lo, hi, whole)
	}
	return skipValue(w.src, pos)
}

// foundSource notes the property that a move takes. A later twin replaces an earlier one.
func (w *writer) foundSource(r *rule, pos, lo, hi int, whole bool) {
	s := &w.moves[r.move]
	below := w.keepsBelow(lo, hi)
	// A moved property counts as kept, or only what is kept in it: of a scalar that is nothing.
	container := w.src[pos] == '{' || w.src[pos] == '['
	s.found = whole || !below || container
	s.start, s.whole = pos, whole || !below
	s.nodes = append(s.nodes[:0], w.stack[lo:hi]...)
}

// foundPlace notes how far the way to a move's new place is there: to the value at pos. A later twin replaces an earlier one.
func (w *writer) foundPlace(r *rule, pos int, itself bool) {
	s := &w.moves[r.move]
	switch {
	case itself:
		s.blocked, s.replaced = false, pos
	case w.src[pos] == '{':
		s.blocked, s.replaced, s.within = false, -1, pos
	default:
		// An array too, unless one of its elements leads on.
		s.blocked = true
	}
}

func (w *writer) locateInObject(pos, lo, hi int, whole bool) int {
	f := frame{lo: lo, hi: hi}
	i := skipSpace(w.src, pos+1)
	for i < len(w.src) && w.src[i] == '"' {
		keyEnd := skipString(w.src, i+1)
		at := len(w.stack)
		w.step(&f, w.decode(w.src[i+1:max(i+1, keyEnd-1)]))
		i = skipSpace(w.src, skipSpace(w.src, keyEnd)+1)
		i = skipSpace(w.src, w.locate(i, at, len(w.stack), whole))
		w.stack = w.stack[:at]
		if i < len(w.src) && w.src[i] == ',' {
			i = skipSpace(w.src, i+1)
		}
	}
	return min(i+1, len(w.src))
}

func (w *writer) locateInArray(pos, lo, hi int, whole bool) int {
	last := -1
	for _, n := range w.stack[lo:hi] {
		if len(n.elems) > 0 {
			last = max(last, n.elems[len(n.elems)-1].index)
		}
	}
	i := skipSpace(w.src, pos+1)
	for index := 0; i < len(w.src) && w.src[i] != ']'; index++ {
		if index > last {
			return skipToClose(w.src, i) + 1
		}
		at := len(w.stack)
		w.stepElement(lo, hi, index)
		end := w.locate(i, at, len(w.stack), whole)
		w.stack = w.stack[:at]
		i = skipSpace(w.src, max(end, i+1))
		if i < len(w.src) && w.src[i] == ',' {
			i = skipSpace(w.src, i+1)
		}
	}
	return min(i+1, len(w.src))
}

// moved writes the property that a move takes, as the rules for what is in it have it.
func (w *writer) moved(r *rule) {
	s := &w.moves[r.move]
	s.placed = true
	begin, from := len(w.out), w.from
	lo := len(w.stack)
	w.stack = append(w.stack, s.nodes...)
	w.from = s.start
	end, _ := w.value(s.start, lo, len(w.stack), s.whole)
	w.copyTo(end)
	w.stack, w.from = w.stack[:lo], from
	if w.err == nil && len(r.to) > len(r.path) && len(r.to)+depthOf(w.out[begin:]) > MaxDepth {
		w.fail(tooDeepAfter(r))
	}
}
