package tokenizer

// trie finds the names that a text begins with, byte by byte. The zero value is
// empty.
type trie struct {
	nodes []trieNode
	next  map[trieEdge]int32
}

// trieNode is a prefix of names. Nearly all have one successor, which is kept in
// the node itself; more are in the map of the trie.
type trieNode struct {
	value int32 // -1 for none
	child int32 // 0 for none
	by    byte
}

type trieEdge struct {
	node int32
	by   byte
}

func (t *trie) step(node int32, c byte) (int32, bool) {
	n := &t.nodes[node]
	if n.child == 0 {
		return 0, false
	}
	if n.by == c {
		return n.child, true
	}
	next, ok := t.next[trieEdge{node, c}]
	return next, ok
}

// add enters a name; the value of a name that is there already is replaced.
func (t *trie) add(name string, value int32) {
	if len(t.nodes) == 0 {
		t.nodes = append(t.nodes, trieNode{value: -1})
		t.next = make(map[trieEdge]int32)
	}
	at := int32(0)
	for i := 0; i < len(name); i++ {
		next, ok := t.step(at, name[i])
		if !ok {
			next = int32(len(t.nodes))
			t.nodes = append(t.nodes, trieNode{value: -1})
			if n := &t.nodes[at]; n.child == 0 {
				n.child, n.by = next, name[i]
			} else {
				t.next[trieEdge{at, name[i]}] = next
			}
		}
		at = next
	}
	t.nodes[at].value = value
}

// prefixes calls found for each name that text begins with, shortest first.
func (t *trie) prefixes(text string, found func(n int, value int32)) {
	if len(t.nodes) == 0 {
		return
	}
	at := int32(0)
	for i := 0; i < len(text); i++ {
		next, ok := t.step(at, text[i])
		if !ok {
			return
		}
		at = next
		if v := t.nodes[at].value; v >= 0 {
			found(i+1, v)
		}
	}
}
