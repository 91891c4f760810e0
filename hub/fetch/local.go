package fetch

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
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

// Seeder may be implemented by a Local. Seeds finds files that may begin as a
// content does, such as what another downloader has left unfinished. What they
// hold is not believed.
type Seeder interface {
	Seeds(repo hub.RepoID, w store.Want, path string) []string
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
			f.Seed, f.SeedBytes = known.Seed, known.SeedBytes
			continue
		}
		if f.State != StateHeld {
			f.useLocal(l.Find(p.Repo, w, f.File.Path), s, link)
		}
		if seeder, ok := l.(Seeder); ok && f.State == StateMissing && !small(f.File) {
			f.useSeed(seeder.Seeds(p.Repo, w, f.File.Path))
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
		p.Local += f.SeedBytes
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

// useSeed takes the longest of the files that may hold the beginning. Its length
// may be made up, but never counts beyond the content's.
func (f *FilePlan) useSeed(files []string) {
	for _, file := range files {
		fi, err := os.Lstat(file)
		if err != nil || !fi.Mode().IsRegular() {
			continue
		}
		if n := min(fi.Size(), f.File.Size) / store.PartSize * store.PartSize; n > f.SeedBytes {
			f.Seed, f.SeedBytes, f.State = file, n, StatePartial
		}
	}
	f.Parts -= int(f.SeedBytes / store.PartSize)
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
	for _, c := range e.all {
		i := slices.IndexFunc(p.Files, func(x FilePlan) bool { return x.File.Path == c.file.Path })
		var n int64
		switch fp := p.Files[i]; {
		case fp.State == StateLocal:
			n, err = e.adopt(ctx, c, fp.Sources, link)
		case fp.Seed != "":
			n, err = e.seed(ctx, c, fp.Seed)
			f.doubt(c.want, n)
		}
		if adopted += n; err != nil {
			return adopted, fmt.Errorf("fetch %s: %w", p.Repo, err)
		}
	}
	return adopted, nil
}

// doubt has the first bytes of a content fetched again before all others, should
// it turn out wrong.
func (f *Fetcher) doubt(w store.Want, bytes int64) {
	if f.seeded == nil {
		f.seeded = make(map[store.Want]int)
	}
	f.seeded[w] = int(bytes / store.PartSize)
}

// seed begins a content with the whole parts of a file that may begin as it
// does. Nothing can be checked before all of it is there: then the SHA-256 of the
// whole tells, and these parts are the first to be fetched again. A part of zeros
// ends it: it was reserved and not written.
func (e *engine) seed(ctx context.Context, c *content, file string) (n int64, err error) {
	f, err := os.Open(file)
	if err != nil {
		e.tell(Event{Kind: EventRefused, Path: c.file.Path, From: file, Err: err})
		return 0, nil
	}
	defer f.Close() // only read from
	in, err := e.store.Ingest(ctx, c.want)
	if errors.Is(err, store.ErrLocked) {
		return 0, nil // somebody is fetching it
	}
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, in.Close()) }()
	buf := make([]byte, store.PartSize)
	for i := range in.NumParts() {
		p := buf[:in.PartLen(i)]
		if len(p) < store.PartSize || in.Held(i) {
			break
		}
		if _, err := io.ReadFull(f, p); err != nil || bytes.Count(p, []byte{0}) == len(p) {
			break
		}
		if err := in.WritePart(ctx, i, p); err != nil {
			return n, err
		}
		e.count(int64(len(p)))
		n += int64(len(p))
	}
	if n > 0 {
		e.tell(Event{Kind: EventSeed, Path: c.file.Path, Bytes: n, From: file})
	}
	return n, nil
}

// adopt tries the sources of one content.
func (e *engine) adopt(ctx context.Context, c *content, sources []store.Source, link store.Link) (int64, error) {
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
			return c.file.Size, nil
		case ctx.Err() != nil:
			return 0, context.Cause(ctx)
		case errors.Is(err, store.ErrNoSpace), errors.Is(err, store.ErrNotWritable):
			return 0, err
		}
		e.tell(Event{Kind: EventRefused, Path: c.file.Path, Bytes: c.file.Size, From: src.Path, Err: err})
	}
	return 0, nil
}
