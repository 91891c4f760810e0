package app

import (
	"slices"
	"strings"

	"github.com/qbranch/qbranch/hub"
	"github.com/qbranch/qbranch/store"
)

// Filter chooses files of a branch by their paths, as the official client does:
// a file stays if one of Include matches (or there is none) and none of Exclude
// does. In a pattern * is any text, / included, ? any character, [a-c] one of
// these and [!a-c] none of them; one that ends in / means all that is below.
type Filter struct {
	Include []string
	Exclude []string
}

// Empty reports whether every file stays.
func (f Filter) Empty() bool { return len(f.Include) == 0 && len(f.Exclude) == 0 }

// Keeps reports whether a file stays.
func (f Filter) Keeps(path string) bool {
	matches := func(pattern string) bool { return globMatch(pattern, path) }
	return (len(f.Include) == 0 || slices.ContainsFunc(f.Include, matches)) && !slices.ContainsFunc(f.Exclude, matches)
}

// filtered leaves out the files that were not asked for.
func (g *getter) filtered(files []hub.File) ([]hub.File, error) {
	if g.o.Filter.Empty() {
		return files, nil
	}
	var out []hub.File
	for _, f := range files {
		if g.o.Filter.Keeps(f.Path) {
			out = append(out, f)
		}
	}
	if len(out) == 0 {
		return nil, &FilterError{Ref: g.ref, Files: len(files)}
	}
	g.res.Filtered = len(out) < len(files)
	return out, nil
}

// FilterError says that a filter leaves nothing. It is store.ErrNotFound.
type FilterError struct {
	Ref   Ref
	Files int // of the branch
}

// Error says what there would have been.
func (e *FilterError) Error() string {
	return "get " + e.Ref.String() + ": none of its files is left by --include and --exclude"
}

// Unwrap returns store.ErrNotFound.
func (e *FilterError) Unwrap() error { return store.ErrNotFound }

// Hint says what to do next.
func (e *FilterError) Hint() string {
	return "'qbranch get " + e.Ref.String() + " --dry-run' lists them; * matches across folders"
}

// globMatch matches a whole path. It goes back to the last * only, so that no
// pattern takes more than len(pattern)·len(path) steps.
func globMatch(pattern, path string) bool {
	if strings.HasSuffix(pattern, "/") {
		pattern += "*"
	}
	p, s := []rune(pattern), []rune(path)
	i, k := 0, 0        // in p and s
	star, from := -1, 0 // the last *, and where the text it does not match begins
	for k < len(s) || i < len(p) {
		if i < len(p) && p[i] == '*' {
			star, from = i, k
			i++
			continue
		}
		if n := globOne(p[i:], s[k:]); n > 0 {
			i, k = i+n, k+1
			continue
		}
		if star < 0 || from >= len(s) {
			return false
		}
		from++
		i, k = star+1, from
	}
	return true
}

// globOne returns how much of the pattern, which does not begin with *, the
// first character of the text matches; 0 = it does not.
func globOne(p, s []rune) int {
	switch {
	case len(p) == 0 || len(s) == 0:
		return 0
	case p[0] == '?':
		return 1
	case p[0] == '[':
		if n, ok := globSet(p, s[0]); n > 0 {
			if ok {
				return n
			}
			return 0
		}
	}
	if p[0] == s[0] {
		return 1
	}
	return 0
}

// globSet reads a set like [a-c_] or [!a-c_] and returns its length; 0 = it has
// no end, and is a [ like any other character.
func globSet(p []rune, c rune) (n int, ok bool) {
	i := 1
	not := i < len(p) && p[i] == '!'
	if not {
		i++
	}
	end := i + 1 // a ] in the first place is a member
	for end < len(p) && p[end] != ']' {
		end++
	}
	if end >= len(p) {
		return 0, false
	}
	in := false
	for i < end {
		lo, hi := p[i], p[i]
		if i+2 < end && p[i+1] == '-' {
			hi = p[i+2]
			i += 2
		}
		in = in || lo <= c && c <= hi
		i++
	}
	return end + 1, in != not
}
