package jinja

import (
	"context"
	"errors"
	"time"
)

// Limits of a rendering. Real templates on real chats stay a hundred times below.
const (
	MaxSource = 256 << 10 // bytes of a template
	MaxOutput = 1 << 20   // bytes of a result
	maxSteps  = 1_000_000 // evaluations, iterations, characters looked at by the thousand
	maxBytes  = 64 << 20  // bytes of strings and lists built on the way
	maxCalls  = 50        // macros and recursive loops within one another
	maxRange  = 100_000   // numbers of a range()
)

// What a template may run into.
var (
	ErrTooLarge = errors.New("larger than allowed")
	ErrTooLong  = errors.New("takes more steps than allowed")
	// ErrRaised is raise_exception: the template itself refuses the messages.
	ErrRaised = errors.New("the template refuses these messages")
)

// Template is a parsed template. It is immutable and safe for concurrent use.
type Template struct{ body []stmt }

// Parse reads a template. The error is an *Error.
func Parse(src string) (*Template, error) {
	if len(src) > MaxSource {
		return nil, &Error{Message: "the source", Err: ErrTooLarge}
	}
	body, err := parse(src)
	if err != nil {
		return nil, err
	}
	return &Template{body}, nil
}

// Options may be zero.
type Options struct {
	Now func() time.Time // for strftime_now; nil = time.Now
}

// Render runs the template. Variables are as in NewList. The error is an *Error,
// which wraps ctx's when the context ended it.
func (t *Template) Render(ctx context.Context, vars map[string]any, o Options) ([]Segment, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	in := &interp{ctx: ctx, now: o.Now, out: &builder{}}
	globals := &scope{vars: in.globals()}
	top := &scope{vars: make(map[string]value), parent: globals}
	for name, v := range vars {
		top.vars[name] = v
	}
	in.scope = top
	if _, err := in.run(t.body); err != nil {
		if e, ok := errors.AsType[*Error](err); ok {
			return nil, e
		}
		return nil, &Error{Err: err}
	}
	return in.out.text().segments(), nil
}

// interp is one rendering.
type interp struct {
	ctx   context.Context
	now   func() time.Time
	out   *builder
	scope *scope
	steps int
	bytes int
	calls int
}

// scope holds variables. Blocks other than if open one.
type scope struct {
	vars   map[string]value
	parent *scope
}

func (s *scope) lookup(name string) (value, bool) {
	for ; s != nil; s = s.parent {
		if v, ok := s.vars[name]; ok {
			return v, true
		}
	}
	return nil, false
}

// spend counts work: steps, and bytes that were built.
func (in *interp) spend(steps, bytes int) error {
	before := in.steps
	in.steps += steps
	in.bytes += bytes
	switch {
	case in.steps > maxSteps:
		return &Error{Err: ErrTooLong}
	case in.bytes > maxBytes:
		return &Error{Message: "what the template builds", Err: ErrTooLarge}
	case in.steps>>10 != before>>10:
		return in.ctx.Err()
	}
	return nil
}

// built passes on a string that was made, counting it.
func (in *interp) built(t Text) (value, error) {
	return t, in.spend(1+len(t.s)>>10, len(t.s))
}

// write appends to the output.
func (in *interp) write(t Text) error {
	if err := in.spend(1, len(t.s)); err != nil {
		return err
	}
	if in.out.b.Len()+len(t.s) > MaxOutput {
		return &Error{Message: "the output", Err: ErrTooLarge}
	}
	in.out.add(t)
	return nil
}

// capture runs f with an output of its own, in a scope of its own.
func (in *interp) capture(parent *scope, f func() error) (Text, error) {
	out, outer := in.out, in.scope
	in.out, in.scope = &builder{}, &scope{vars: make(map[string]value), parent: parent}
	err := f()
	text := in.out.text()
	in.out, in.scope = out, outer
	return text, err
}

// nested runs f in a scope of its own.
func (in *interp) nested(f func() error) error {
	outer := in.scope
	in.scope = &scope{vars: make(map[string]value), parent: outer}
	err := f()
	in.scope = outer
	return err
}

// control is how a list of statements ended.
type control uint8

const (
	finished control = iota
	breaking
	continuing
)

func (in *interp) run(body []stmt) (control, error) {
	for _, s := range body {
		if err := in.spend(1, 0); err != nil {
			return 0, err
		}
		if c, err := in.exec(s); err != nil || c != finished {
			return c, err
		}
	}
	return finished, nil
}

func (in *interp) exec(s stmt) (control, error) {
	switch s := s.(type) {
	case *textStmt:
		return 0, in.write(Plain(s.text))
	case *outputStmt:
		return 0, at(s.line, in.output(s.x))
	case *ifStmt:
		cond, err := in.eval(s.cond)
		if err != nil {
			return 0, at(s.line, err)
		}
		if truth(cond) {
			return in.run(s.yes)
		}
		return in.run(s.alt)
	case *forStmt:
		return 0, at(s.line, in.forLoop(s))
	case *setStmt:
		return 0, at(s.line, in.set(s))
	case *macroStmt:
		in.scope.vars[s.name] = in.macro(s, in.scope)
		return 0, nil
	case *callStmt:
		return 0, at(s.line, in.callBlock(s))
	case *filterStmt:
		text, err := in.capture(in.scope, func() error { _, err := in.run(s.body); return err })
		if err != nil {
			return 0, err
		}
		v, err := in.applyAll(text, s.filters)
		if err != nil {
			return 0, at(s.line, err)
		}
		return 0, in.print(v)
	case *withStmt:
		return 0, in.with(s)
	case *doStmt:
		_, err := in.eval(s.x)
		return 0, at(s.line, err)
	case *loopCtl:
		if s.brk {
			return breaking, nil
		}
		return continuing, nil
	}
	panic("qbranch: internal error: unknown template statement")
}

// at gives an error the line of its statement, unless it has a more exact one.
func at(line int, err error) error {
	if err == nil {
		return nil
	}
	if e, ok := errors.AsType[*Error](err); ok {
		if e.Line == 0 {
			e.Line = line
		}
		return err
	}
	return &Error{Line: line, Err: err}
}

func (in *interp) output(x expr) error {
	v, err := in.eval(x)
	if err != nil {
		return err
	}
	return in.print(v)
}

func (in *interp) print(v value) error {
	t, err := in.str(v)
	if err != nil {
		return err
	}
	return in.write(t)
}

func (in *interp) with(s *withStmt) error {
	vars := make(map[string]value, len(s.names))
	for i, name := range s.names {
		v, err := in.eval(s.values[i])
		if err != nil {
			return at(s.line, err)
		}
		vars[name] = v
	}
	return in.nested(func() error {
		in.scope.vars = vars
		_, err := in.run(s.body)
		return err
	})
}

func (in *interp) set(s *setStmt) error {
	var v value
	var err error
	if s.value != nil {
		v, err = in.eval(s.value)
	} else {
		v, err = in.capture(in.scope, func() error { _, err := in.run(s.body); return err })
		if err == nil {
			v, err = in.applyAll(v, s.filters)
		}
	}
	if err != nil {
		return err
	}
	if len(s.targets) == 1 {
		return in.assign(s.targets[0], v)
	}
	items, err := in.iterate(v)
	if err != nil {
		return err
	}
	if len(items) != len(s.targets) {
		return faultAt(0, "%d values for %d names", len(items), len(s.targets))
	}
	for i, t := range s.targets {
		if err := in.assign(t, items[i]); err != nil {
			return err
		}
	}
	return nil
}

func (in *interp) assign(t setTarget, v value) error {
	if t.attr == "" {
		in.scope.vars[t.name] = v
		return nil
	}
	target, _ := in.scope.lookup(t.name)
	d, ok := target.(*Dict)
	if !ok || !d.namespace {
		return faultAt(0, "cannot set %s.%s: it is no namespace", t.name, t.attr)
	}
	d.set(t.attr, v)
	return nil
}

func (in *interp) forLoop(s *forStmt) error {
	v, err := in.eval(s.in)
	if err != nil {
		return err
	}
	return in.loop(s, v, 0)
}

// loop runs a for loop over a value; depth counts recursive ones.
func (in *interp) loop(s *forStmt, over value, depth int64) error {
	items, err := in.iterate(over)
	if err != nil {
		return err
	}
	if s.filter != nil {
		if items, err = in.filterItems(s, items); err != nil {
			return err
		}
	}
	if len(items) == 0 {
		return in.nested(func() error { _, err := in.run(s.alt); return err })
	}
	outer := in.scope
	defer func() { in.scope = outer }()
	state := &loopVar{stmt: s, items: items, depth: depth, outer: outer, changed: undefined{"changed"}}
	for i, item := range items {
		if err := in.spend(1, 0); err != nil {
			return err
		}
		in.scope = &scope{vars: make(map[string]value, len(s.target)+1), parent: outer}
		if err := in.bind(s.target, item); err != nil {
			return err
		}
		state.at = i
		in.scope.vars["loop"] = state
		c, err := in.run(s.body)
		if err != nil {
			return err
		}
		if c == breaking {
			break
		}
	}
	return nil
}

func (in *interp) filterItems(s *forStmt, items []value) ([]value, error) {
	var kept []value
	outer := in.scope
	defer func() { in.scope = outer }()
	for _, item := range items {
		in.scope = &scope{vars: make(map[string]value, len(s.target)), parent: outer}
		if err := in.bind(s.target, item); err != nil {
			return nil, err
		}
		ok, err := in.eval(s.filter)
		if err != nil {
			return nil, err
		}
		if truth(ok) {
			kept = append(kept, item)
		}
	}
	return kept, nil
}

func (in *interp) bind(names []string, item value) error {
	if len(names) == 1 {
		in.scope.vars[names[0]] = item
		return nil
	}
	parts, err := in.iterate(item)
	if err != nil {
		return err
	}
	if len(parts) != len(names) {
		return faultAt(0, "%d values for %d names", len(parts), len(names))
	}
	for i, name := range names {
		in.scope.vars[name] = parts[i]
	}
	return nil
}

// guarded runs a call that may call itself.
func (in *interp) guarded(f func() (value, error)) (value, error) {
	if in.calls++; in.calls > maxCalls {
		return nil, faultAt(0, "calls nested more than %d deep", maxCalls)
	}
	defer func() { in.calls-- }()
	return f()
}

// macro makes the function of a macro defined in a scope.
func (in *interp) macro(s *macroStmt, defined *scope) *function {
	return &function{s.name, func(in *interp, _ int, a arguments) (value, error) {
		if len(a.pos) > len(s.params) {
			return nil, faultAt(0, "macro %s takes %d arguments, not %d", s.name, len(s.params), len(a.pos))
		}
		return in.guarded(func() (value, error) {
			t, err := in.capture(defined, func() error {
				if err := in.bindParams(s, a); err != nil {
					return err
				}
				_, err := in.run(s.body)
				return err
			})
			return t, err
		})
	}}
}

func (in *interp) bindParams(s *macroStmt, a arguments) error {
	used := 0
	for i, name := range s.params {
		v, given := a.kw[name]
		if given {
			used++
		}
		switch {
		case i < len(a.pos):
			v = a.pos[i]
		case given:
		case s.defaults[i] != nil:
			var err error
			if v, err = in.eval(s.defaults[i]); err != nil {
				return err
			}
		default:
			v = undefined{name}
		}
		in.scope.vars[name] = v
	}
	if caller, ok := a.kw["caller"]; ok {
		in.scope.vars["caller"] = caller
		used++
	}
	if used != len(a.kw) {
		return faultAt(0, "macro %s got an argument it does not know", s.name)
	}
	return nil
}

func (in *interp) callBlock(s *callStmt) error {
	f, err := in.eval(s.call.f)
	if err != nil {
		return err
	}
	a, err := in.arguments(s.call.args)
	if err != nil {
		return err
	}
	a.kw["caller"] = in.macro(s.macro, in.scope)
	v, err := in.invoke(f, s.line, a)
	if err != nil {
		return err
	}
	return in.print(v)
}
