package app

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"

	"github.com/qbranch/qbranch/hub"
	"github.com/qbranch/qbranch/hub/fetch"
	"github.com/qbranch/qbranch/store"
)

// isWeights reports whether a file holds tensors in the one format we take.
func isWeights(p string) bool { return strings.HasSuffix(strings.ToLower(p), ".safetensors") }

// isGGUF reports whether a file holds weights of llama.cpp's format.
func isGGUF(p string) bool { return strings.HasSuffix(strings.ToLower(p), ".gguf") }

// isPickle reports whether a file is of a kind that runs code when loaded.
func isPickle(p string) bool {
	switch strings.ToLower(path.Ext(p)) {
	case ".bin", ".pt", ".pth", ".ckpt", ".pkl":
		return true
	}
	return false
}

// checkContent compares a small file that was read whole with its listing.
func checkContent(f hub.File, data []byte) error {
	mismatch := func(what, got, want string) error {
		return fmt.Errorf("read %s: %w", f.Path, &store.MismatchError{What: what, Got: got, Want: want})
	}
	if int64(len(data)) != f.Size {
		return mismatch("length", fmt.Sprint(len(data)), fmt.Sprint(f.Size))
	}
	if f.LFS {
		if got := hub.SHA256(sha256.Sum256(data)); got != f.SHA256 {
			return mismatch("SHA-256", got.String(), f.SHA256.String())
		}
		return nil
	}
	if got := hub.GitBlobOID(data); got != f.OID {
		return mismatch("git blob id", got.String(), f.OID.String())
	}
	return nil
}

// localState says what the store, which may be nil, holds of a branch. A
// branch of which nothing but shared small files is there has no state: there
// is nothing to resume.
func localState(st *store.Store, repo string, f branchFacts) (LocalState, int64) {
	if st == nil {
		return LocalNone, 0
	}
	snap, err := st.Snapshot(repo, string(f.Commit))
	if err == nil {
		return LocalVerified, snap.Bytes()
	}
	held, weights := heldBytes(st, f.files)
	var corrupt *store.CorruptError
	if errors.As(err, &corrupt) {
		return LocalCorrupt, held
	}
	if commit, ok := st.BranchCommit(repo, f.Name); ok && commit != string(f.Commit) {
		if _, err := st.Snapshot(repo, commit); err == nil {
			return LocalOutdated, held
		}
	}
	if weights > 0 {
		return LocalPartial, held
	}
	return LocalNone, held
}

// heldBytes counts what is there of all files, and of the weights among them.
func heldBytes(st *store.Store, files []hub.File) (all, weights int64) {
	for _, f := range files {
		n := f.Size
		if w := fetch.Wanted(f); !found(st, w) {
			n = min(st.Held(w), f.Size)
		}
		all += n
		if isWeights(f.Path) {
			weights += n
		}
	}
	return all, weights
}

func found(st *store.Store, w store.Want) bool {
	_, ok := st.Find(w)
	return ok
}

// readBlob reads a small blob whole.
func readBlob(st *store.Store, d store.Digest, limit int64) ([]byte, error) {
	f, err := st.OpenBlob(d)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return readAtMost(f, limit)
}

// readAtMost reads everything, hub.ErrTooLarge beyond limit bytes.
func readAtMost(r io.Reader, limit int64) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err == nil && int64(len(data)) > limit {
		err = fmt.Errorf("more than %d bytes: %w", limit, hub.ErrTooLarge)
	}
	return data, err
}

// localSnapshot finds a reference in the store without asking anybody:
// ErrNotLocal when it was never fetched. A snapshot with a corrupt blob or a
// blob that has gone comes with a *store.CorruptError or fs.ErrNotExist.
func (a *App) localSnapshot(ref Ref) (*store.Store, Snapshot, error) {
	absent := &notLocalError{ref: ref, offline: a.offline}
	st, err := a.existingStore()
	if err != nil {
		return nil, Snapshot{}, err
	}
	if st == nil {
		return nil, Snapshot{}, absent
	}
	if ref, err = wholeCommit(st, ref); err != nil {
		return nil, Snapshot{}, err
	}
	commit, pinned := ref.Commit()
	if !pinned {
		remembered, ok := st.BranchCommit(ref.Repo.String(), ref.RevisionOrMain())
		if !ok {
			return st, Snapshot{}, absent
		}
		commit = hub.Commit(remembered)
	}
	snap, err := st.Snapshot(ref.Repo.String(), string(commit))
	if errors.Is(err, store.ErrNotFound) {
		return st, Snapshot{}, absent
	}
	return st, snap, err
}

// damaged reports whether an error of localSnapshot came with a snapshot.
func damaged(err error) bool {
	var corrupt *store.CorruptError
	return errors.As(err, &corrupt) || errors.Is(err, fs.ErrNotExist)
}
