package fetch

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/qbranch/qbranch/hub"
	"github.com/qbranch/qbranch/store"
)

// Local finds files of this machine that may hold a content. Find returns none
// rather than an error where nothing can be read; the best comes first. What it
// returns is not believed. It is called by one goroutine.
type Local interface {
	Find(repo hub.RepoID, w store.Want, path string) []store.Source
}

// UseLocal looks for contents that the plan would move among the files of this
// machine. A file that is found is StateLocal, its bytes are not to be moved, and
// they need disk only where they have to be copied. To find that out, links are
// made in the store and removed again. Nothing is hashed: what turns out to be
// something else is fetched after all (Adopt).
func (p *Plan) UseLocal(l Local, s *store.Store, link store.Link) {
	first := make(map[store.Want]FilePlan)
	for i := range p.Files {
		f := &p.Files[i]
		w := Wanted(f.File)
		if known, ok := first[w]; ok {
			f.State, f.Held, f.Sources, f.Link = known.State, known.Held, known.Sources, known.Link
			continue
		}
		if f.State != StateHeld {
			f.useLocal(l.Find(p.Repo, w, f.File.Path), s, link)
		}
		first[w] = *f
	}
	p.Held, p.Local, p.DiskNeeded = 0, 0, 0
	for w, f := range first {
		p.Held += f.Held
		switch {
		case f.State != StateLocal:
			p.DiskNeeded += s.DiskNeeded(w)
		case f.Link == store.LinkCopy:
			p.DiskNeeded += w.Size
		}
		if f.State == StateLocal {
			p.Local += w.Size
		}
	}
	p.Move = p.Bytes - p.Held - p.Local
}

// useLocal keeps those sources that can be taken in.
func (f *FilePlan) useLocal(sources []store.Source, s *store.Store, link store.Link) {
	for _, src := range sources {
		way, err := s.AdoptWay(src, link)
		if err != nil {
			continue
		}
		if len(f.Sources) == 0 {
			f.Link = way
		}
		f.Sources = append(f.Sources, src)
	}
	if len(f.Sources) > 0 {
		f.State, f.Held, f.Parts = StateLocal, 0, 0
	}
}

// Adopt takes the plan's StateLocal files into the store. A source that turns
// out to hold something else is told (EventRefused) and the next one tried; a
// file none of whose sources is right is left for Run to fetch, of the same
// Fetcher and with Counted. It counts in Done of Stats what is adopted beyond the
// plan's Held, and returns how much that was. Errors are those of the store and
// of ctx.
func (f *Fetcher) Adopt(ctx context.Context, p Plan, link store.Link) (adopted int64, err error) {
	e := newEngine(f, p)
	e.high = 0 // the plan's Held is not counted again
	defer func() { f.ahead = e.high - e.held }()
	for _, c := range contents(p.Files) {
		i := slices.IndexFunc(p.Files, func(x FilePlan) bool { return x.File.Path == c.file.Path })
		if p.Files[i].State != StateLocal {
			continue
		}
		ok, err := e.adopt(ctx, c, p.Files[i].Sources, link)
		if err != nil {
			return adopted, fmt.Errorf("fetch %s: %w", p.Repo, err)
		}
		if ok {
			adopted += c.file.Size
		}
	}
	return adopted, nil
}

// adopt tries the sources of one content.
func (e *engine) adopt(ctx context.Context, c *content, sources []store.Source, link store.Link) (bool, error) {
	for _, src := range sources {
		got, err := e.store.Adopt(ctx, c.want, src, store.AdoptOptions{Link: link, Progress: e.count})
		switch {
		case err == nil && got.Link == "":
			e.count(c.file.Size) // somebody else brought it meanwhile
			fallthrough
		case err == nil:
			for _, path := range c.paths {
				e.tell(Event{Kind: EventAdopt, Path: path, Bytes: c.file.Size, From: src.Path, Link: got.Link})
			}
			return true, nil
		case ctx.Err() != nil:
			return false, context.Cause(ctx)
		case errors.Is(err, store.ErrNoSpace), errors.Is(err, store.ErrNotWritable):
			return false, err
		}
		e.tell(Event{Kind: EventRefused, Path: c.file.Path, Bytes: c.file.Size, From: src.Path, Err: err})
	}
	return false, nil
}
