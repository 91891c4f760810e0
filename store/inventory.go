package store

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// blobFile is what lies in the place of a blob, or of something beside one.
type blobFile struct {
	path string
	fs.FileInfo
}

// inventory is what lies in the store, by its names; contents of blobs are not
// looked at.
type inventory struct {
	snaps    []storedSnapshot
	unread   []pathError          // snapshots that cannot be read: what they use is unknown
	branches []storedBranch       // what branches were last seen at
	unhinted []pathError          // files in branches/ that cannot be understood
	blobs    map[Digest]blobFile  // also what is no regular file
	parts    map[Digest]blobFile  // lists of parts
	aliases  map[[20]byte]aliasOf // of git blob ids
	marks    map[Digest]blobFile  // what is known to be damaged
	partials []leftPartial        // unfinished blobs
	tmp      []blobFile           // files on their way
	aside    map[Digest]bool      // named by snapshots that were set aside
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
	blobFile
	blob Digest // zero when the file cannot be understood
}

type pathError struct {
	path string
	err  error
}

// leftPartial is one directory in partial/.
type leftPartial struct {
	partial
	want   Want  // zero when the journal cannot be understood
	held   int64 // bytes journaled
	length int64 // of all files
	disk   int64 // what they take
	newest fs.FileInfo
}

// key is the name of the directory.
func (p leftPartial) key() string { return filepath.Base(p.dir) }

// takeInventory looks at every name in the store once. Snapshots come first, so
// that what a fetch publishes meanwhile is an unreferenced blob at worst, and
// never a missing one.
func (s *Store) takeInventory() (*inventory, error) {
	inv := &inventory{
		blobs: map[Digest]blobFile{}, parts: map[Digest]blobFile{}, marks: map[Digest]blobFile{},
		aliases: map[[20]byte]aliasOf{}, aside: map[Digest]bool{},
	}
	err := errors.Join(
		s.walk(dirSnapshots, inv.addSnapshot(s)),
		s.walk(dirBranches, inv.addBranch(s)),
		s.walk(dirAside, inv.addAside),
		s.walk(dirBlobs, inv.addDigest(s, inv.blobs, s.Path)),
		s.walk(dirParts, inv.addDigest(s, inv.parts, s.partsPath)),
		s.walk(dirCorrupt, inv.addDigest(s, inv.marks, s.corruptPath)),
		s.walk(dirGit, inv.addAlias(s)),
		s.walk(dirTmp, func(path string, fi fs.FileInfo) { inv.tmp = append(inv.tmp, blobFile{path, fi}) }),
		inv.addPartials(s),
	)
	if err != nil {
		return nil, fmt.Errorf("look through the store: %w", err)
	}
	return inv, nil
}

// walk calls visit with everything below a directory of the store that is no
// directory itself. A directory that is not there is empty; one that cannot be
// read is an error, and so is a file that cannot be looked at.
func (s *Store) walk(kind string, visit func(path string, fi fs.FileInfo)) error {
	entries, err := os.ReadDir(filepath.Join(s.dir, kind))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		rel := filepath.Join(kind, e.Name())
		if e.IsDir() {
			err = s.walk(rel, visit)
		} else {
			var fi fs.FileInfo
			if fi, err = e.Info(); err == nil {
				visit(filepath.Join(s.dir, rel), fi)
			} else if errors.Is(err, fs.ErrNotExist) {
				err = nil // it has just gone to its place
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (inv *inventory) addSnapshot(s *Store) func(string, fs.FileInfo) {
	return func(path string, _ fs.FileInfo) {
		if filepath.Ext(path) != ".json" {
			inv.foreign = append(inv.foreign, path)
			return
		}
		snap, err := readSnapshot(path)
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

func (inv *inventory) addBranch(s *Store) func(string, fs.FileInfo) {
	return func(path string, _ fs.FileInfo) {
		b, err := readLimited(path, 1<<16)
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
func (inv *inventory) addDigest(_ *Store, into map[Digest]blobFile, place func(Digest) string) func(string, fs.FileInfo) {
	return func(path string, fi fs.FileInfo) {
		d, err := ParseDigest(filepath.Base(path))
		if err != nil || place(d) != path {
			inv.foreign = append(inv.foreign, path)
			return
		}
		into[d] = blobFile{path, fi}
	}
}

func (inv *inventory) addAlias(s *Store) func(string, fs.FileInfo) {
	return func(path string, fi fs.FileInfo) {
		var oid [20]byte
		if parseHex(oid[:], filepath.Base(path)) != nil || s.gitPath(oid) != path {
			inv.foreign = append(inv.foreign, path)
			return
		}
		a := aliasOf{blobFile: blobFile{path, fi}}
		if text, err := readLimited(path, 128); err == nil {
			if d, err := ParseDigest(strings.TrimSuffix(string(text), "\n")); err == nil {
				a.blob = d
			}
		}
		inv.aliases[oid] = a
	}
}

// addAside remembers the digests that a snapshot that was set aside names,
// whatever else is wrong with it: its blobs are not garbage.
func (inv *inventory) addAside(path string, _ fs.FileInfo) {
	b, err := readLimited(path, maxSnapshot)
	if err != nil {
		return // Check tells; what cannot be read names nothing
	}
	const hexLen = 2 * len(Digest{})
	for run := range strings.FieldsFuncSeq(string(b), notHex) {
		if d, err := ParseDigest(run); len(run) == hexLen && err == nil {
			inv.aside[d] = true
		}
	}
}

func notHex(r rune) bool { return (r < '0' || r > '9') && (r < 'a' || r > 'f') }

func (inv *inventory) addPartials(s *Store) error {
	root := filepath.Join(s.dir, dirPartial)
	entries, err := os.ReadDir(root)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		p := leftPartial{partial: partial{dir: filepath.Join(root, e.Name())}}
		if !e.IsDir() || !isPartialKey(e.Name()) {
			inv.foreign = append(inv.foreign, p.dir)
			continue
		}
		err := s.walk(filepath.Join(dirPartial, e.Name()), func(path string, fi fs.FileInfo) {
			switch path {
			case p.data(), p.journal(), p.lockFile():
				p.length += fi.Size()
				p.disk += allocated(fi)
				if p.newest == nil || fi.ModTime().After(p.newest.ModTime()) {
					p.newest = fi
				}
			default:
				inv.foreign = append(inv.foreign, path)
			}
		})
		if err != nil {
			return err
		}
		if w, ok := readJournalWant(p.journal()); ok && w.check() == nil && w.key() == p.key() {
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
func (inv *inventory) aliasesTo() map[Digest][]blobFile {
	out := map[Digest][]blobFile{}
	for _, a := range inv.aliases {
		out[a.blob] = append(out[a.blob], a.blobFile)
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
