package fetch

import (
	"bytes"
	"context"
	"crypto/sha1"
	"crypto/sha256"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/qbranch/qbranch/hub"
	"github.com/qbranch/qbranch/store"
)

var testRepo = hub.RepoID{Owner: "o", Name: "n"}

const testCommit = hub.Commit("0123456789012345678901234567890123456789")

// MiB is the length of a part.
const MiB = store.PartSize

// request is one call of OpenRange.
type request struct {
	path   string
	off, n int64
}

// fakeHub serves files from memory. script, if set, may fail a request or
// replace its body; number counts the requests from 0.
type fakeHub struct {
	files  map[string][]byte
	script func(ctx context.Context, number int, r request, body io.Reader) (io.Reader, error)

	mu       sync.Mutex
	requests []request
	open     int // bodies
	most     int // bodies at once
}

func (h *fakeHub) OpenRange(ctx context.Context, repo hub.RepoID, at hub.Commit, f hub.File, off, n int64) (io.ReadCloser, error) {
	if repo != testRepo || at != testCommit {
		return nil, fmt.Errorf("asked for %v at %v", repo, at)
	}
	data, ok := h.files[f.Path]
	if !ok || off < 0 || n <= 0 || off+n > int64(len(data)) {
		return nil, fmt.Errorf("asked for %d bytes at %d of %s", n, off, f.Path)
	}
	r := request{f.Path, off, n}
	h.mu.Lock()
	number := len(h.requests)
	h.requests = append(h.requests, r)
	h.mu.Unlock()
	var body io.Reader = bytes.NewReader(data[off : off+n])
	if h.script != nil {
		var err error
		if body, err = h.script(ctx, number, r, body); err != nil {
			return nil, err
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.open++
	h.most = max(h.most, h.open)
	return &fakeBody{ctx, body, h}, nil
}

func (h *fakeHub) log() []request {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.requests)
}

func (h *fakeHub) reset() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.requests = nil
}

type fakeBody struct {
	ctx context.Context
	r   io.Reader
	h   *fakeHub
}

func (b *fakeBody) Read(p []byte) (int, error) {
	if b.ctx.Err() != nil {
		return 0, context.Cause(b.ctx)
	}
	return b.r.Read(p)
}

func (b *fakeBody) Close() error {
	b.h.mu.Lock()
	defer b.h.mu.Unlock()
	b.h.open--
	return nil
}

// The faults of a body.

// cut lets n bytes through, then fails as a broken line does.
func cut(body io.Reader, n int64) io.Reader {
	return io.MultiReader(io.LimitReader(body, n), failing{errReset})
}

var errReset = &hub.NetworkError{Op: "fetch", Host: "cdn", Err: syscall.ECONNRESET}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// stalled lets n bytes through, then brings nothing until ctx ends.
func stalled(ctx context.Context, body io.Reader, n int64) io.Reader {
	return io.MultiReader(io.LimitReader(body, n), hanging{ctx})
}

type hanging struct{ ctx context.Context }

func (h hanging) Read([]byte) (int, error) {
	<-h.ctx.Done()
	return 0, context.Cause(h.ctx)
}

// slowly brings chunk bytes each period.
type slowly struct {
	ctx    context.Context
	r      io.Reader
	chunk  int
	period time.Duration
}

func (s slowly) Read(p []byte) (int, error) {
	if err := sleep(s.ctx, s.period); err != nil {
		return 0, context.Cause(s.ctx)
	}
	return s.r.Read(p[:min(len(p), s.chunk)])
}

// flipped changes a bit of byte at of the file, if the body holds it.
func flipped(r request, body io.Reader, at int64) io.Reader {
	if at < r.off || at >= r.off+r.n {
		return body
	}
	data, err := io.ReadAll(body)
	if err != nil {
		panic(err)
	}
	data[at-r.off] ^= 1
	return bytes.NewReader(data)
}

// bench is a store, a hub with some files, and the fetcher between them.
type bench struct {
	*Fetcher
	t     testing.TB
	hub   *fakeHub
	files []hub.File
	stats *Stats

	events []Event
}

// newBench serves files: those named *.safetensors by LFS.
func newBench(t testing.TB, files map[string][]byte) *bench {
	t.Helper()
	b := &bench{t: t, hub: &fakeHub{files: files}}
	for _, path := range slices.Sorted(maps.Keys(files)) {
		b.files = append(b.files, describe(path, files[path]))
	}
	b.Fetcher = &Fetcher{Hub: b.hub, Store: openStore(t, t.TempDir()), Notify: func(ev Event) {
		b.events = append(b.events, ev) // unguarded: the race detector sees to it that calls are serialised
	}}
	b.again()
	return b
}

func openStore(t testing.TB, dir string) *store.Store {
	t.Helper()
	s, err := store.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func describe(path string, data []byte) hub.File {
	f := hub.File{Path: path, Size: int64(len(data))}
	blob := func(b []byte) hub.GitOID { return sha1.Sum(fmt.Appendf(nil, "blob %d\x00%s", len(b), b)) }
	if len(path) > 12 && path[len(path)-12:] == ".safetensors" {
		f.LFS, f.SHA256 = true, sha256.Sum256(data)
		f.OID = blob(fmt.Appendf(nil, "version https://git-lfs.github.com/spec/v1\noid sha256:%x\nsize %d\n", f.SHA256, f.Size))
		return f
	}
	f.OID = blob(data)
	return f
}

// again begins to count from nothing, for another run.
func (b *bench) again() {
	b.stats = new(Stats)
	b.Stats = b.stats
	b.events = nil
	b.hub.reset()
}

func (b *bench) plan() Plan {
	b.t.Helper()
	p, err := MakePlan(testRepo, "main", testCommit, b.files, b.Store)
	if err != nil {
		b.t.Fatal(err)
	}
	return p
}

// run runs a fresh plan.
func (b *bench) run(ctx context.Context) error {
	b.t.Helper()
	_, err := b.Run(ctx, b.plan())
	if got := b.stats.Connections.Load(); got != 0 {
		b.t.Errorf("%d connections are open after the run", got)
	}
	return err
}

// mustRun runs a fresh plan and checks what came out of it.
func (b *bench) mustRun() {
	b.t.Helper()
	p, pieces := b.plan(), leftPieces(b.t, b.Store, b.files)
	if err := b.run(b.t.Context()); err != nil {
		b.t.Fatal(err)
	}
	b.checkSnapshot()
	st := b.stats
	if st.Total.Load() != p.Bytes || st.Done.Load() != p.Bytes || st.Verified.Load() != p.Bytes {
		b.t.Errorf("done %d and verified %d of %d bytes, want %d", st.Done.Load(), st.Verified.Load(), st.Total.Load(), p.Bytes)
	}
	if st.Kept.Load() != p.Held {
		b.t.Errorf("kept %d bytes, the plan held %d", st.Kept.Load(), p.Held)
	}
	if st.Received.Load() != p.Move-pieces+st.Refetched.Load() {
		b.t.Errorf("received %d bytes for %d to move, %d of them in pieces, and %d refetched", st.Received.Load(), p.Move, pieces, st.Refetched.Load())
	}
}

// leftPieces sums what stopped runs have kept of parts.
func leftPieces(t testing.TB, s *store.Store, files []hub.File) (n int64) {
	t.Helper()
	if kept, _ := filepath.Glob(filepath.Join(s.Dir(), "partial", "*", "pieces")); len(kept) == 0 {
		return 0
	}
	for _, f := range files {
		if _, ok := s.Find(Wanted(f)); ok || small(f) {
			continue
		}
		in, err := s.Ingest(t.Context(), Wanted(f))
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range in.Pieces() {
			n += int64(len(p))
		}
		if err := in.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return n
}

// checkSnapshot compares what the store has with what the hub has.
func (b *bench) checkSnapshot() {
	b.t.Helper()
	snap, err := b.Store.Snapshot(testRepo.String(), string(testCommit))
	if err != nil {
		b.t.Fatal(err)
	}
	if len(snap.Files) != len(b.files) || snap.Branch != "main" {
		b.t.Errorf("got %d files of branch %q, want %d of main", len(snap.Files), snap.Branch, len(b.files))
	}
	for _, f := range snap.Files {
		got, err := os.ReadFile(b.Store.Path(f.SHA256))
		if err != nil {
			b.t.Fatal(err)
		}
		want := b.hub.files[f.Path]
		if !bytes.Equal(got, want) || f.Size != int64(len(want)) || f.SHA256 != sha256.Sum256(want) {
			b.t.Errorf("%s: the store has other bytes", f.Path)
		}
	}
	if c, ok := b.Store.BranchCommit(testRepo.String(), "main"); !ok || c != string(testCommit) {
		b.t.Errorf("main stands at %q", c)
	}
}

// unpublished checks that there is no snapshot, and no blob of these files.
func (b *bench) unpublished(paths ...string) {
	b.t.Helper()
	if _, err := b.Store.Snapshot(testRepo.String(), string(testCommit)); err == nil {
		b.t.Error("a snapshot was published")
	}
	for _, path := range paths {
		if _, ok := b.Store.Find(Wanted(describe(path, b.hub.files[path]))); ok {
			b.t.Errorf("%s was published", path)
		}
	}
}

// of returns the events of a kind.
func (b *bench) of(kind EventKind) (out []Event) {
	for _, ev := range b.events {
		if ev.Kind == kind {
			out = append(out, ev)
		}
	}
	return out
}

// random returns n bytes that no other seed gives.
func random(seed uint64, n int) []byte {
	out := make([]byte, n)
	rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8), 1}).Read(out)
	return out
}
