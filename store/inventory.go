package store

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// lyingFile is something in the store that is no directory.
type lyingFile struct {
	path string
	fs.FileInfo
	links int   // names
	disk  int64 // bytes allocated
}

// inventory is what lies in the store, by its names; contents of blobs are not
// looked at.
type inventory struct {
	snaps    []storedSnapshot
	unread   []pathError          // snapshots that cannot be read: what they use is unknown
	branches []storedBranch       // what branches were last seen at
	unhinted []pathError          // files in branches/ that cannot be understood
	blobs    map[Digest]lyingFile // also what is no regular file
	parts    map[Digest]lyingFile // lists of parts
	aliases  map[[20]byte]aliasOf // of git blob ids
	marks    map[Digest]lyingFile // what is known to be damaged
	partials []leftPartial        // unfinished blobs
	tmp      []lyingFile          // files on their way
	aside    []lyingFile          // snapshots that could not be read and were not fetched again: what they use is unknown
	asideOld []lyingFile          // what else was set aside: nothing depends on it
	foreign  []string             // what the format does not know
}

type storedSnapshot struct {
	path string
	Snapshot
}

type storedBranch struct {
	path string
	branchJSON
}

type aliasOf struct {
	lyingFile
	blob Digest // zero when the file cannot be understood
}

type pathError struct {
	path string
	err  error
}

// why is the error without the path, which stands beside it.
func (e pathError) why() string { return strings.TrimPrefix(e.err.Error(), e.path+": ") }

// leftPartial is one directory in partial/.
type leftPartial struct {
	partial
	want    Want  // zero when the journal cannot be understood
	held    int64 // bytes journaled
	files   Amount
	touched time.Time // last; zero when there is no file
}

// key is the name of the directory.
func (p leftPartial) key() string { return filepath.Base(p.dir) }

// takeInventory looks at every name in the store once. Snapshots come first, so
// that what a fetch publishes meanwhile is an unreferenced blob at worst, and
// never a missing one.
func (s *Store) takeInventory() (*inventory, error) {
	inv := &inventory{
		blobs: map[Digest]lyingFile{}, parts: map[Digest]lyingFile{}, marks: map[Digest]lyingFile{},
		aliases: map[[20]byte]aliasOf{},
	}
	err := errors.Join(
		s.eachFile(dirSnapshots, inv.addSnapshot(s)),
		s.eachFile(dirBranches, inv.addBranch(s)),
		s.eachFile(dirAside, inv.addAside),
		s.eachFile(dirBlobs, inv.addDigest(s, inv.blobs, s.Path)),
		s.eachFile(dirParts, inv.addDigest(s, inv.parts, s.partsPath)),
		s.eachFile(dirCorrupt, inv.addDigest(s, inv.marks, s.corruptPath)),
		s.eachFile(dirGit, inv.addAlias(s)),
		s.eachFile(dirTmp, func(f lyingFile) { inv.tmp = append(inv.tmp, f) }),
		inv.addPartials(s),
	)
	if err != nil {
		return nil, fmt.Errorf("look through the store: %w", err)
	}
	return inv, nil
}

// eachFile calls visit with everything below a directory of the store that is
// no directory itself. A directory that is not there is empty; one that cannot
// be read is an error, and so is a file that cannot be looked at.
func (s *Store) eachFile(kind string, visit func(f lyingFile)) error {
	entries, err := s.fs.ReadDir(filepath.Join(s.dir, kind))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		rel := filepath.Join(kind, e.Name())
		if e.IsDir() {
			err = s.eachFile(rel, visit)
		} else {
			err = s.lookAt(filepath.Join(s.dir, rel), visit)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// lookAt describes a file; one that has just gone to its place is none.
func (s *Store) lookAt(path string, visit func(f lyingFile)) error {
	f := lyingFile{path: path}
	var err error
	if f.FileInfo, err = s.fs.Lstat(path); err == nil {
		f.links, f.disk, err = s.fs.Usage(path)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		visit(f)
	}
	return err
}

func (inv *inventory) addSnapshot(s *Store) func(lyingFile) {
	return func(f lyingFile) {
		path := f.path
		if filepath.Ext(path) != ".json" {
			inv.foreign = append(inv.foreign, path)
			return
		}
		snap, err := s.readSnapshot(path)
		if err == nil {
			if at, e := s.snapshotPath(snap.Repo, snap.Commit); e != nil || at != path {
				err = fmt.Errorf("in the place of another snapshot: %w", ErrFormat)
			}
		}
		if err != nil {
			inv.unread = append(inv.unread, pathError{path, err})
			return
		}
		inv.snaps = append(inv.snaps, storedSnapshot{path, snap})
	}
}

func (inv *inventory) addBranch(s *Store) func(lyingFile) {
	return func(f lyingFile) {
		path := f.path
		b, err := readLimited(s.fs, path, 1<<16)
		var j branchJSON
		if err == nil {
			j, err = decodeBranch(b)
		}
		if err == nil {
			if at, e := s.branchPath(j.Repo, j.Branch); e != nil || at != path {
				err = fmt.Errorf("in the place of another branch: %w", ErrFormat)
			}
		}
		if err != nil {
			inv.unhinted = append(inv.unhinted, pathError{path, err})
			return
		}
		inv.branches = append(inv.branches, storedBranch{path, j})
	}
}

// addDigest takes files that are named by a digest.
func (inv *inventory) addDigest(_ *Store, into map[Digest]lyingFile, place func(Digest) string) func(lyingFile) {
	return func(f lyingFile) {
		path := f.path
		d, err := ParseDigest(filepath.Base(path))
		if err != nil || place(d) != path {
			inv.foreign = append(inv.foreign, path)
			return
		}
		into[d] = f
	}
}

func (inv *inventory) addAlias(s *Store) func(lyingFile) {
	return func(f lyingFile) {
		path := f.path
		var oid [20]byte
		if parseHex(oid[:], filepath.Base(path)) != nil || s.gitPath(oid) != path {
			inv.foreign = append(inv.foreign, path)
			return
		}
		a := aliasOf{lyingFile: f}
		text, err := readLimited(s.fs, path, 128)
		if err != nil && !errors.Is(err, ErrFormat) && !errors.Is(err, ErrNotRegular) {
			return // it may say something when it can be read: not to be removed
		}
		if d, err := ParseDigest(strings.TrimSuffix(string(text), "\n")); err == nil {
			a.blob = d
		}
		inv.aliases[oid] = a
	}
}

// addAside takes what was set aside. A snapshot of the same commit, fetched
// since, says what that commit uses; without one nobody knows.
func (inv *inventory) addAside(f lyingFile) {
	commit, _, isSnapshot := strings.Cut(filepath.Base(f.path), ".json")
	again := slices.ContainsFunc(inv.snaps, func(s storedSnapshot) bool { return s.Commit == commit })
	switch {
	case !isSnapshot || again:
		inv.asideOld = append(inv.asideOld, f)
	default:
		inv.aside = append(inv.aside, f)
	}
}

func (inv *inventory) addPartials(s *Store) error {
	root := filepath.Join(s.dir, dirPartial)
	entries, err := s.fs.ReadDir(root)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		p := leftPartial{partial: s.partialAt(e.Name())}
		if !e.IsDir() || !isPartialKey(e.Name()) {
			inv.foreign = append(inv.foreign, p.dir)
			continue
		}
		err := s.eachFile(filepath.Join(dirPartial, e.Name()), func(f lyingFile) {
			switch f.path {
			case p.data(), p.journal(), p.pieces(), p.lockFile():
				p.files.add(f)
				if f.ModTime().After(p.touched) {
					p.touched = f.ModTime()
				}
			default:
				inv.foreign = append(inv.foreign, f.path)
			}
		})
		if err != nil {
			return err
		}
		if w, ok := s.readJournalWant(p.journal()); ok && w.check() == nil && w.key() == p.key() {
			p.want, p.held = w, s.Held(w)
		}
		inv.partials = append(inv.partials, p)
	}
	return nil
}

func isPartialKey(name string) bool {
	if id, ok := strings.CutPrefix(name, "git-"); ok {
		return parseHex(make([]byte, 20), id) == nil
	}
	_, err := ParseDigest(name)
	return err == nil
}

// users counts in how many snapshots of the list each blob is.
func users(snaps []storedSnapshot) map[Digest]int {
	n := map[Digest]int{}
	for _, snap := range snaps {
		for d := range snap.blobs() {
			n[d]++
		}
	}
	return n
}

// keysOf returns what a running fetch may call a blob: its own digest, and the
// git blob ids that lead to it.
func (inv *inventory) keysOf() map[Digest][]string {
	keys := map[Digest][]string{}
	for oid, a := range inv.aliases {
		keys[a.blob] = append(keys[a.blob], Want{GitOID: oid}.key())
	}
	for d := range inv.blobs {
		keys[d] = append(keys[d], d.String())
	}
	return keys
}

// aliasesTo returns the alias files of each blob.
func (inv *inventory) aliasesTo() map[Digest][]lyingFile {
	out := map[Digest][]lyingFile{}
	for _, a := range inv.aliases {
		out[a.blob] = append(out[a.blob], a.lyingFile)
	}
	return out
}

// sorted returns the digests of a map in order, so that what is done and told
// is the same every time.
func sorted[V any](m map[Digest]V) []Digest {
	out := make([]Digest, 0, len(m))
	for d := range m {
		out = append(out, d)
	}
	slices.SortFunc(out, func(a, b Digest) int { return strings.Compare(hex.EncodeToString(a[:]), hex.EncodeToString(b[:])) })
	return out
}
