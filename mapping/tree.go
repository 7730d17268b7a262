package mapping

import (
	"slices"
	"strings"
)

// node is a place that a path leads to. Several nodes can be active at one value: `l.#` and `l.0` both lead to the
// first element. A rule passes through at most one node of those, because its path has one segment per level.
type node struct {
	edges  []edge      // keys of an object, sorted by key, each once
	makers []*edge     // those of them that a set or a move could make
	table  []tableSlot // the edges by hash; its length is a power of two, at least four times theirs
	every  *node       // every element of an array
	elems  []element   // single elements of an array, sorted by index
	slots  int         // how many edges have a slot

	// The rules whose path ends here.
	keep   *rule
	remove *rule
	rename *rule
	set    *rule
	source *rule // the move that takes what is here
	put    *rule // the move that puts something here

	terminal bool // any of these

	// What lies further down.
	keepBelow  bool    // a keep, strictly below
	makes      bool    // a set, here or below, that keys alone lead to: it makes what is missing
	puts       []*rule // the moves that put something here or below
	moves      bool    // a move takes or puts something here or below
	movesBelow bool    // the same, strictly below
}

// edge leads from an object to the value of one key.
type edge struct {
	key      string
	quoted   []byte // the key in quotation marks, with a colon
	to, alt  *node  // alt: where a number and the escaped number lead to two nodes; either may be nil
	slot     int    // a bit of the object's frame that tells that the key is there, or -1
	hiddenBy int    // the slot of the key that is renamed to this one, or -1
	makes    bool   // a set or a move below could make this key
}

// element leads from an array to one element.
type element struct {
	index int
	to    *node
}

// buildTree makes the tree of all rules, which do not contradict each other.
func buildTree(rules []*rule) *node {
	b := builder{}
	root := &node{}
	for _, r := range rules {
		n := b.find(root, r.path)
		switch r.op {
		case OpKeep:
			n.keep = r
		case OpRemove:
			n.remove = r
		case OpRename:
			n.rename = r
		case OpSet:
			n.set = r
		case OpMove:
			n.source = r
			b.find(root, r.to).put = r
		}
	}
	b.finish(root)
	return root
}

// builder holds the children of nodes while the tree grows.
type builder map[*node]map[Segment]*node

func (b builder) find(n *node, path []Segment) *node {
	for _, s := range path {
		children := b[n]
		if children == nil {
			children = map[Segment]*node{}
			b[n] = children
		}
		if children[s] == nil {
			children[s] = &node{}
		}
		n = children[s]
	}
	return n
}

// finish sums up what lies below a node, children first. Paths have at most MaxPathKeys keys.
func (b builder) finish(n *node) {
	n.makes = n.set != nil
	n.moves = n.source != nil || n.put != nil
	if n.put != nil {
		n.puts = append(n.puts, n.put)
	}
	for s, child := range b[n] {
		b.finish(child)
		n.keepBelow = n.keepBelow || child.keep != nil || child.keepBelow
		n.moves = n.moves || child.moves
		n.movesBelow = n.movesBelow || child.moves
		n.puts = append(n.puts, child.puts...)
		if s.Every {
			n.every = child
			continue
		}
		n.makes = n.makes || child.makes
		n.edge(s.Key).add(child)
		if s.Index >= 0 {
			n.elems = append(n.elems, element{s.Index, child})
		}
	}
	slices.SortFunc(n.elems, func(a, b element) int { return a.index - b.index })
	n.finishEdges()
}

// edge finds or adds the edge of a key.
func (n *node) edge(key string) *edge {
	for i := range n.edges {
		if n.edges[i].key == key {
			return &n.edges[i]
		}
	}
	quoted := append(appendQuoted(nil, key), ':')
	n.edges = append(n.edges, edge{key: key, quoted: quoted, slot: -1, hiddenBy: -1})
	return &n.edges[len(n.edges)-1]
}

func (e *edge) add(child *node) {
	if e.to == nil {
		e.to = child
	} else {
		e.alt = child
	}
	e.makes = e.makes || child.makes || len(child.puts) > 0
}

// renamed is the rule that renames the edge's property, if there is one.
func (e *edge) renamed() *rule {
	for _, n := range []*node{e.to, e.alt} {
		if n != nil && n.rename != nil {
			return n.rename
		}
	}
	return nil
}

// finishEdges gives slots to the keys that an object must remember, and prepares the search.
func (n *node) finishEdges() {
	for i := range n.edges {
		if r := n.edges[i].renamed(); r != nil {
			n.edge(r.name) // may grow n.edges: no pointer into it is held here
		}
	}
	slices.SortFunc(n.edges, func(a, b edge) int { return strings.Compare(a.key, b.key) })
	for i := range n.edges {
		e := &n.edges[i]
		if e.makes || e.renamed() != nil {
			e.slot = n.slots
			n.slots++
		}
	}
	for i := range n.edges {
		if r := n.edges[i].renamed(); r != nil {
			n.edge(r.name).hiddenBy = n.edges[i].slot
		}
	}
	for i := range n.edges {
		if n.edges[i].makes {
			n.makers = append(n.makers, &n.edges[i])
		}
	}
	n.fillTable()
	n.terminal = n.keep != nil || n.remove != nil || n.rename != nil || n.set != nil || n.source != nil || n.put != nil
}

// findElement returns where an element's own number leads, or nil.
func (n *node) findElement(index int) *node {
	if len(n.elems) == 0 || n.elems[len(n.elems)-1].index < index {
		return nil
	}
	for _, e := range n.elems {
		if e.index >= index {
			if e.index == index {
				return e.to
			}
			break
		}
	}
	return nil
}
