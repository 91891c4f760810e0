package jinja

// loopVar is the variable loop inside a for loop.
type loopVar struct {
	stmt    *forStmt
	items   []value
	at      int
	depth   int64
	outer   *scope
	changed value // what changed() saw last
}

func (l *loopVar) attribute(name string) value {
	n, at := int64(len(l.items)), int64(l.at)
	switch name {
	case "index":
		return at + 1
	case "index0":
		return at
	case "revindex":
		return n - at
	case "revindex0":
		return n - at - 1
	case "first":
		return at == 0
	case "last":
		return at == n-1
	case "length":
		return n
	case "depth":
		return l.depth + 1
	case "depth0":
		return l.depth
	case "previtem":
		if l.at > 0 {
			return l.items[l.at-1]
		}
	case "nextitem":
		if l.at+1 < len(l.items) {
			return l.items[l.at+1]
		}
	case "cycle":
		return &function{name, l.cycle}
	case "changed":
		return &function{name, l.isChanged}
	}
	return undefined{"loop." + name}
}

func (l *loopVar) cycle(_ *interp, _ int, a arguments) (value, error) {
	if len(a.pos) == 0 {
		return nil, faultAt(0, "cycle without arguments")
	}
	return a.pos[l.at%len(a.pos)], nil
}

func (l *loopVar) isChanged(in *interp, _ int, a arguments) (value, error) {
	now := &List{items: a.pos}
	differs := !in.equal(l.changed, now, 0)
	l.changed = now
	return differs, nil
}

// call is loop(items) of a recursive loop.
func (l *loopVar) call(in *interp, _ int, a arguments) (value, error) {
	if !l.stmt.recursive {
		return nil, faultAt(0, "loop is called but is not recursive")
	}
	if len(a.pos) != 1 {
		return nil, faultAt(0, "loop takes one argument")
	}
	return in.guarded(func() (value, error) {
		t, err := in.capture(l.outer, func() error { return in.loop(l.stmt, a.pos[0], l.depth+1) })
		return t, err
	})
}
