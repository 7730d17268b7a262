package mapping

import (
	"fmt"
	"math"
	"sync"
)

// Apply maps a payload. Limit is the most bytes that a changed body may have; 0 is none. The result is payload itself when
// nothing changed, and a new slice otherwise; payload is never written to.
//
// The error is an ErrInvalidJSON or ErrTooDeep, with the position, about a payload that is not valid JSON of at most
// MaxDepth levels; or an ErrTooDeep or ErrTooLarge about the body that would result. No body comes with an error.
func (m *Mapping) Apply(payload []byte, limit int) ([]byte, error) {
	if err := CheckJSON(payload, MaxDepth); err != nil {
		return nil, err
	}
	return m.ApplyValid(payload, limit)
}

// ApplyValid is Apply for a payload that CheckJSON accepted before. It does not read what no rule touches. Of a payload that
// is not valid JSON it makes an error or nonsense. A payload somewhat deeper than MaxDepth, such as deep data in an
// envelope, is mapped; a move that takes a value further down than it was, and beyond MaxDepth, is an ErrTooDeep.
func (m *Mapping) ApplyValid(payload []byte, limit int) ([]byte, error) {
	if m.Empty() {
		return payload, nil
	}
	w := writers.Get().(*writer)
	defer w.release()
	w.m, w.src, w.limit = m, payload, limit
	pos := skipSpace(payload, 0)
	w.expectMoves()
	w.all(pos)
	if w.eager && (w.err != nil || w.missedMoves()) {
		w.out, w.from, w.max, w.err = w.out[:0], 0, 0, nil
		w.locateAll(pos)
		w.all(pos)
	}
	return w.finish()
}

// all writes the whole payload, of which the value begins at pos.
func (w *writer) all(pos int) {
	w.stack = append(w.stack[:0], w.m.root)
	w.value(pos, 0, 1, !w.m.hasKeep)
}

// writer makes one body. It keeps what it reads: text is copied up to a place only when something changes there.
// Rules that are active at a value are a range of nodes on one stack, so that a payload needs no memory per element.
type writer struct {
	m     *Mapping
	src   []byte
	out   []byte
	from  int // src up to here is in out, or left out
	limit int // of out, in bytes; 0 is none
	max   int // the same, but 0 before the first write, and -1 after an error
	err   error
	eager bool // moves are not located yet: see expectMoves
	stack []*node
	key   []byte      // the decoded key, where it has escapes
	moves []moveState // by rule.move
	made  []*edge     // keys that objects lack and that are made; a stack too
}

var writers = sync.Pool{New: func() any { return new(writer) }}

// keepScratch is the most entries of a scratch list that stay for the next payload.
const keepScratch = 1 << 10

// release gives the scratch memory back, without holding on to a payload or a mapping.
func (w *writer) release() {
	stack, made := w.stack[:cap(w.stack)], w.made[:cap(w.made)]
	if len(stack) > keepScratch {
		stack = nil
	}
	clear(stack)
	clear(made)
	for _, s := range w.moves {
		clear(s.nodes[:cap(s.nodes)])
	}
	moves := w.moves[:0]
	key := w.key[:0]
	if cap(key) > keepScratch {
		key = nil
	}
	*w = writer{stack: stack[:0], made: made[:0], moves: moves, key: key}
	writers.Put(w)
}

// finish copies what is left and answers the body.
func (w *writer) finish() ([]byte, error) {
	if len(w.out) > 0 {
		w.copyTo(len(w.src))
	}
	switch {
	case w.err != nil:
		return nil, w.err
	case len(w.out) == 0:
		return w.src, nil
	}
	return w.out, nil
}

// write appends to the body, or notes that it would be too large.
func (w *writer) write(text []byte) {
	if len(w.out)+len(text) > w.max && !w.makeRoom(len(text)) {
		return
	}
	w.out = append(w.out, text...)
}

// makeRoom is called for the first write, and for those after which the body would be too large.
func (w *writer) makeRoom(n int) bool {
	if w.max == 0 {
		if w.out == nil {
			w.out = make([]byte, 0, len(w.src)+w.m.growth)
		}
		if w.max = w.limit; w.limit <= 0 {
			w.max = math.MaxInt
		}
	}
	if len(w.out)+n > w.max {
		w.fail(fmt.Errorf("%w: more than %d bytes", ErrTooLarge, w.limit))
	}
	return w.err == nil
}

// fail notes the first error, after which nothing more is written.
func (w *writer) fail(err error) {
	if w.err == nil {
		w.err = err
	}
	w.max = -1
}

// copyTo brings all that was kept before a place into the body.
func (w *writer) copyTo(at int) {
	if at > w.from {
		w.write(w.src[w.from:at])
		w.from = at
	}
}

// cut leaves src[at:end] out of the body.
func (w *writer) cut(at, end int) {
	w.copyTo(at)
	w.from = max(w.from, end)
}

// malformed notes that the text cannot be JSON, and answers its end.
func (w *writer) malformed(at int) int {
	line, column := lineAndColumn(w.src, min(at, len(w.src)))
	w.fail(&JSONError{min(at, len(w.src)), line, column, "the text is broken", ErrInvalidJSON})
	return len(w.src)
}

// mark is where the body stood, to return there when what was written is left out after all.
type mark struct{ out, from int }

func (w *writer) mark() mark { return mark{len(w.out), w.from} }

func (w *writer) reset(m mark) { w.out, w.from = w.out[:m.out], m.from }

// value writes the value at pos as the rules in stack[lo:hi] have it. Whole says that it stays but for what they take;
// otherwise only what they keep stays. It answers where the value ends in src, and whether it stays.
func (w *writer) value(pos, lo, hi int, whole bool) (end int, kept bool) {
	if pos >= len(w.src) {
		return w.malformed(pos), false
	}
	if w.eager && w.src[pos] != '{' {
		w.noWay(lo, hi)
	}
	switch w.src[pos] {
	case '{':
		if whole && !w.anyEdges(lo, hi) {
			break
		}
		return w.object(pos, lo, hi, whole)
	case '[':
		if whole && !w.anyElements(lo, hi) {
			break
		}
		return w.array(pos, lo, hi, whole)
	}
	return skipValue(w.src, pos), whole
}

// anyEdges says whether a rule could lead to a key of an object.
func (w *writer) anyEdges(lo, hi int) bool {
	for _, n := range w.stack[lo:hi] {
		if len(n.edges) > 0 {
			return true
		}
	}
	return false
}

// anyElements says whether a rule could lead to an element of an array.
func (w *writer) anyElements(lo, hi int) bool {
	for _, n := range w.stack[lo:hi] {
		if n.every != nil || len(n.elems) > 0 {
			return true
		}
	}
	return false
}

// keepsBelow says whether what is here stays, though emptied, for what a keep names inside it.
func (w *writer) keepsBelow(lo, hi int) bool {
	for _, n := range w.stack[lo:hi] {
		if n.keepBelow {
			return true
		}
	}
	return false
}

// action is what the rules of several nodes, which do not contradict each other, ask of one property.
type action struct {
	keep, remove bool
	rename       *rule
	set          *rule
	source, put  *rule
}

func (w *writer) actionOf(a *action, lo, hi int) {
	for _, n := range w.stack[lo:hi] {
		if !n.terminal {
			continue
		}
		a.keep = a.keep || n.keep != nil
		a.remove = a.remove || n.remove != nil
		if n.rename != nil {
			a.rename = n.rename
		}
		if n.set != nil {
			a.set = n.set
		}
		if n.source != nil {
			a.source = n.source
		}
		if n.put != nil {
			a.put = n.put
		}
	}
}

// leaves says whether the property or element whose value is at pos goes from here, removed or moved.
func (w *writer) leaves(a *action, pos, lo, hi int, whole bool) bool {
	if a.source != nil && w.takes(a.source, pos, lo, hi, whole || a.keep) {
		return true
	}
	return a.remove
}

// skip passes over a value that does not stay as it is, and answers where it ends.
func (w *writer) skip(pos, lo, hi int) int {
	if w.eager {
		for _, n := range w.stack[lo:hi] {
			if n.movesBelow {
				w.fail(errLocate) // what is moved out of it arrives
			}
		}
	}
	return skipValue(w.src, pos)
}

// replace writes a set's value, or a moved one, in place of the value at pos, if the rules ask for it.
func (w *writer) replace(pos, lo, hi int, a *action) (end int, replaced bool) {
	switch {
	case a.put != nil && w.arrives(a.put, pos, true):
		end = w.skip(pos, lo, hi)
		w.cut(pos, end)
		w.moved(a.put)
	case a.set != nil:
		end = w.skip(pos, lo, hi)
		w.cut(pos, end)
		w.write(a.set.value)
	default:
		return pos, false
	}
	return end, true
}
