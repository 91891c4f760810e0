package fetch

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/qbranch/qbranch/hub"
	"github.com/qbranch/qbranch/store"
)

// The states of a file in a plan.
const (
	StateHeld    = "held"    // published in the store
	StatePartial = "partial" // some parts are there
	StateLocal   = "local"   // not in the store, but perhaps in a file of this machine
	StateMissing = "missing"
)

// FilePlan says what is to be done for one file. Files of the same content
// share it: the later ones repeat State and Held, and have no parts to fetch.
type FilePlan struct {
	File  hub.File
	State string // StateHeld, StatePartial, StateLocal or StateMissing
	Held  int64  // bytes in the store already
	Parts int    // parts still to be fetched

	HeldBy string // of StateHeld: a branch in the store that has it, "owner/name:branch"; "" = not known

	Sources []store.Source // of StateLocal: where it may be, the best first
	Link    store.Link     // of StateLocal: how the first one would be taken in

	Seed      string // a file of this machine that begins as this one does, perhaps; "" = none
	SeedBytes int64  // of it, whole parts
}

// Plan is what a fetch will do; making it moves no byte. The sums count every
// content once, however many files have it.
type Plan struct {
	Repo       hub.RepoID
	Branch     string // "" when pinned to a commit
	Commit     hub.Commit
	Some       bool       // Files are not all that the commit has: no snapshot is written
	Files      []FilePlan // small files first, then by path
	Bytes      int64      // of all contents
	Held       int64      // bytes held already
	Local      int64      // bytes that files of this machine may have, seeds included
	Move       int64      // bytes to move
	DiskNeeded int64      // new bytes on disk: those not reserved yet
	DiskFree   int64      // of the store's file system
}

// MakePlan compares the files of a commit with the store. It reads nothing
// but the store's own records and takes no locks.
func MakePlan(repo hub.RepoID, branch string, at hub.Commit, files []hub.File, s *store.Store) (Plan, error) {
	free, err := s.Free()
	if err != nil {
		return Plan{}, fmt.Errorf("plan %s: %w", repo, err)
	}
	p := Plan{Repo: repo, Branch: branch, Commit: at, DiskFree: free}
	seen := make(map[store.Want]bool)
	for _, f := range sorted(files) {
		w := Wanted(f)
		fp := planFile(f, w, s)
		if seen[w] {
			fp.Parts = 0
		} else {
			seen[w] = true
			p.Bytes += f.Size
			p.Held += fp.Held
			p.DiskNeeded += s.DiskNeeded(w)
		}
		p.Files = append(p.Files, fp)
	}
	p.Move = p.Bytes - p.Held
	return p, nil
}

// sorted puts small files first: configurations are judged before gigabytes
// move.
func sorted(files []hub.File) []hub.File {
	return slices.SortedFunc(slices.Values(files), func(a, b hub.File) int {
		if small(a) != small(b) {
			if small(a) {
				return -1
			}
			return 1
		}
		return cmp.Compare(a.Path, b.Path)
	})
}

// small reports whether a file is fetched in one piece.
func small(f hub.File) bool { return !f.LFS && f.Size <= store.PartSize }

// Wanted names the content of a file. The OID of an LFS file is that of its
// pointer and says nothing of the content.
func Wanted(f hub.File) store.Want {
	if f.LFS {
		return store.Want{Size: f.Size, SHA256: store.Digest(f.SHA256)}
	}
	return store.Want{Size: f.Size, GitOID: f.OID}
}

func planFile(f hub.File, w store.Want, s *store.Store) FilePlan {
	if _, ok := s.Find(w); ok {
		return FilePlan{File: f, State: StateHeld, Held: f.Size}
	}
	fp := FilePlan{File: f, State: StateMissing}
	if held := s.Held(w); held > 0 {
		fp.State, fp.Held = StatePartial, min(held, f.Size)
	}
	// Only the last part may be short, so this is exact whether or not it is held.
	fp.Parts = int((f.Size - fp.Held + store.PartSize - 1) / store.PartSize)
	return fp
}
