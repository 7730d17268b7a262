package mapping

// frame is the object or array that is being written.
type frame struct {
	pos    int // of its brace or bracket
	lo, hi int // its nodes on the stack
	whole  bool
	count  int // members or elements that stay so far
	last   int // where the last one ended in src, or the place after the brace or bracket
	gap    int // where the ones left out before any stays begin, or -1

	seen    slots // keys that are there, by their slots
	present slots // the same for all keys of the object, when it was looked through ahead
	looked  bool
}

// slots is a set of numbers below 256. The nodes of an object have at most one slot for each rule between them.
type slots [4]uint64

func (s *slots) add(i int)      { s[i>>6&3] |= 1 << (i & 63) }
func (s *slots) has(i int) bool { return s[i>>6&3]&(1<<(i&63)) != 0 }

// stays is called before anything is written of a member or element that begins at pos.
func (w *writer) stays(f *frame, pos int) {
	if f.gap >= 0 {
		w.cut(f.gap, pos)
		f.gap = -1
	}
	f.count++
}

// goes leaves out a member or element that ends at end, with the comma before it, or after it when it is the first.
func (w *writer) goes(f *frame, end int) {
	switch {
	case f.count > 0:
		w.cut(f.last, end)
	case f.gap < 0:
		f.gap = f.pos + 1
	}
}

// untouched keeps or leaves out what no rule leads to.
func (w *writer) untouched(f *frame, start, end int) {
	if f.whole {
		w.stays(f, start)
	} else {
		w.goes(f, end)
	}
}

// descend writes a member or element, whose value is at pos. When nothing of it stays, nothing is written.
func (w *writer) descend(f *frame, start, pos, lo, hi int, a *action) int {
	if f.whole || a.keep {
		w.stays(f, start)
		if end, replaced := w.replace(pos, lo, hi, a); replaced {
			return end
		}
		end, _ := w.value(pos, lo, hi, true)
		return end
	}
	before := w.mark()
	count, gap := f.count, f.gap
	w.stays(f, start)
	end, kept := w.replace(pos, lo, hi, a)
	if !kept {
		end, kept = w.value(pos, lo, hi, false)
	}
	if !kept {
		w.reset(before)
		f.count, f.gap = count, gap
		w.goes(f, end)
	}
	return end
}

// object writes the object at pos.
func (w *writer) object(pos, lo, hi int, whole bool) (end int, kept bool) {
	f := frame{pos: pos, lo: lo, hi: hi, whole: whole, last: pos + 1, gap: -1}
	i := w.members(&f, skipSpace(w.src, pos+1))
	if w.err != nil {
		return len(w.src), true
	}
	if i >= len(w.src) || w.src[i] != '}' {
		return w.malformed(i), true
	}
	if f.gap >= 0 {
		w.cut(f.gap, i)
	}
	for _, n := range w.stack[lo:hi] {
		if len(n.makers) > 0 {
			w.makeMissing(&f, i)
			break
		}
	}
	return i + 1, whole || f.count > 0 || w.keepsBelow(lo, hi)
}

// members writes the members of an object, of which the first key is at i, and answers where they end.
func (w *writer) members(f *frame, i int) int {
	for i < len(w.src) && w.src[i] == '"' && w.err == nil {
		m := span{start: i}
		if f.hi-f.lo == 1 {
			var last int
			if m, last = passBy(w.src, w.stack[f.lo], i); last >= 0 {
				w.untouched(f, i, last)
				f.last = last
			}
			if m.start >= len(w.src) || w.src[m.start] != '"' {
				return m.start
			}
		}
		if m.edge != nil {
			f.last = w.known(f, m)
		} else {
			f.last = w.member(f, m.start)
		}
		i = skipSpace(w.src, f.last)
		if i >= len(w.src) || w.src[i] != ',' {
			break
		}
		i = skipSpace(w.src, i+1)
	}
	return i
}

// known writes a member that one edge leads to.
func (w *writer) known(f *frame, m span) (end int) {
	e := m.edge
	if e.slot >= 0 {
		f.seen.add(e.slot)
	}
	lo := len(w.stack)
	w.push(e)
	switch n := e.to; {
	case !f.whole || n == nil || e.alt != nil || e.hiddenBy >= 0 || n.source != nil:
		end = w.touched(f, m.start, m.keyEnd, m.pos, lo, len(w.stack), e.hiddenBy)
	case n.remove != nil:
		end = w.skip(m.pos, lo, lo+1)
		w.goes(f, end)
	case n.set != nil || n.put != nil:
		end = w.touched(f, m.start, m.keyEnd, m.pos, lo, lo+1, -1)
	default:
		w.stays(f, m.start)
		if n.rename != nil {
			w.cut(m.start, m.keyEnd)
			w.write(n.rename.newKey)
		}
		end, _ = w.value(m.pos, lo, lo+1, true)
	}
	w.stack = w.stack[:lo]
	return end
}

// member writes the member whose key begins at start, and answers where it ends.
func (w *writer) member(f *frame, start int) int {
	keyEnd := skipString(w.src, start+1)
	pos := skipSpace(w.src, keyEnd)
	if pos >= len(w.src) || w.src[pos] != ':' {
		return w.malformed(pos)
	}
	pos = skipSpace(w.src, pos+1)
	lo := len(w.stack)
	hidden := w.step(f, w.decode(w.src[start+1:keyEnd-1]))
	hi := len(w.stack)
	if lo == hi && hidden < 0 {
		end := skipValue(w.src, pos)
		w.untouched(f, start, end)
		return end
	}
	end := w.touched(f, start, keyEnd, pos, lo, hi, hidden)
	w.stack = w.stack[:lo]
	return end
}

// touched writes a member that rules lead to, or whose key is one that another is renamed to.
func (w *writer) touched(f *frame, start, keyEnd, pos, lo, hi, hidden int) int {
	var a action
	w.actionOf(&a, lo, hi)
	if w.leaves(&a, pos, lo, hi, f.whole) || a.rename == nil && hidden >= 0 && w.isPresent(f, hidden) {
		end := w.skip(pos, lo, hi)
		w.goes(f, end)
		return end
	}
	if lo == hi {
		end := skipValue(w.src, pos)
		w.untouched(f, start, end)
		return end
	}
	if a.rename == nil {
		return w.descend(f, start, pos, lo, hi, &a)
	}
	// A renamed property counts as kept, unless a keep names something in it.
	whole := f.whole || a.keep || !w.keepsBelow(lo, hi)
	before := w.mark()
	count, gap := f.count, f.gap
	w.stays(f, start)
	w.cut(start, keyEnd)
	w.write(a.rename.newKey)
	end, kept := w.value(pos, lo, hi, whole)
	if !kept {
		w.reset(before)
		f.count, f.gap = count, gap
		w.goes(f, end)
	}
	return end
}

// decode answers the characters of a key, which are a part of src, or of a buffer when there are escapes.
func (w *writer) decode(key []byte) []byte {
	if !hasBackslash(key) {
		return key
	}
	w.key = appendUnquoted(w.key[:0], key)
	return w.key
}

// step pushes the nodes that a key leads to from the frame's nodes. It notes that the key is there, and answers the slot
// of the property that is renamed to this key, or -1.
func (w *writer) step(f *frame, key []byte) (hidden int) {
	hidden = -1
	base := 0
	for at := f.lo; at < f.hi; at++ {
		n := w.stack[at]
		if e := n.find(key); e != nil {
			if e.slot >= 0 {
				f.seen.add(base + e.slot)
			}
			if e.hiddenBy >= 0 {
				hidden = base + e.hiddenBy
			}
			w.push(e)
		}
		base += n.slots
	}
	return hidden
}

func (w *writer) push(e *edge) {
	if e.to != nil {
		w.stack = append(w.stack, e.to)
	}
	if e.alt != nil {
		w.stack = append(w.stack, e.alt)
	}
}

// isPresent says whether the key of a slot is anywhere in the frame's object. The first call looks through the object once.
func (w *writer) isPresent(f *frame, slot int) bool {
	if f.seen.has(slot) {
		return true
	}
	if !f.looked {
		f.looked = true
		eachMember(w.src, f.pos, func(m member) {
			base := 0
			for _, n := range w.stack[f.lo:f.hi] {
				if e := n.find(m.key); e != nil && e.slot >= 0 {
					f.present.add(base + e.slot)
				}
				base += n.slots
			}
		})
	}
	return f.present.has(slot)
}

// array writes the array at pos.
func (w *writer) array(pos, lo, hi int, whole bool) (end int, kept bool) {
	f := frame{pos: pos, lo: lo, hi: hi, whole: whole, last: pos + 1, gap: -1}
	lastNamed := w.lastNamed(lo, hi)
	i := skipSpace(w.src, pos+1)
	if whole && hi-lo == 1 {
		if n := w.stack[lo]; n.every != nil && len(n.elems) == 0 && !n.every.terminal {
			i = w.everyElement(&f, n.every, i)
		}
	}
	for index := 0; i < len(w.src) && w.src[i] != ']' && w.err == nil; index++ {
		if index > lastNamed {
			i = w.rest(&f, i)
			break
		}
		f.last = w.element(&f, i, index)
		i = skipSpace(w.src, f.last)
		if i >= len(w.src) || w.src[i] != ',' {
			break
		}
		i = skipSpace(w.src, i+1)
	}
	if w.err != nil {
		return len(w.src), true
	}
	if i >= len(w.src) || w.src[i] != ']' {
		return w.malformed(i), true
	}
	if f.gap >= 0 {
		w.cut(f.gap, i)
	}
	return i + 1, whole || f.count > 0 || w.keepsBelow(lo, hi)
}

// everyElement writes the elements of an array whose first one begins at i, when rules lead only to what is in them.
func (w *writer) everyElement(f *frame, n *node, i int) int {
	lo := len(w.stack)
	w.stack = append(w.stack, n)
	for i < len(w.src) && w.src[i] != ']' && w.err == nil {
		f.last, _ = w.value(i, lo, lo+1, true)
		f.count++
		i = skipSpace(w.src, f.last)
		if i >= len(w.src) || w.src[i] != ',' {
			break
		}
		i = skipSpace(w.src, i+1)
	}
	w.stack = w.stack[:lo]
	return i
}

// lastNamed answers the index after which no rule leads to an element.
func (w *writer) lastNamed(lo, hi int) int {
	last := -1
	for _, n := range w.stack[lo:hi] {
		if n.every != nil {
			return len(w.src)
		}
		if len(n.elems) > 0 {
			last = max(last, n.elems[len(n.elems)-1].index)
		}
	}
	return last
}

// rest keeps or leaves out all elements from the one at start on, unread, and answers where the array closes.
func (w *writer) rest(f *frame, start int) int {
	closing := skipToClose(w.src, start)
	w.untouched(f, start, closing)
	f.last = closing
	return closing
}

// element writes the element that begins at pos, and answers where it ends.
func (w *writer) element(f *frame, pos, index int) int {
	lo := len(w.stack)
	w.stepElement(f.lo, f.hi, index)
	hi := len(w.stack)
	if lo == hi {
		end := skipValue(w.src, pos)
		w.untouched(f, pos, end)
		return end
	}
	var a action
	w.actionOf(&a, lo, hi)
	var end int
	if w.leaves(&a, pos, lo, hi, f.whole) {
		end = w.skip(pos, lo, hi)
		w.goes(f, end)
	} else {
		end = w.descend(f, pos, pos, lo, hi, &a)
	}
	w.stack = w.stack[:lo]
	return end
}

// stepElement pushes the nodes that an element's number leads to.
func (w *writer) stepElement(lo, hi, index int) {
	for at := lo; at < hi; at++ {
		n := w.stack[at]
		if n.every != nil {
			w.stack = append(w.stack, n.every)
		}
		if to := n.findElement(index); to != nil {
			w.stack = append(w.stack, to)
		}
	}
}
