package storetest

import (
	"bytes"
	"context"
	"crypto/sha1"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/qbranch/qbranch/store"
)

const (
	modelRepo   = "a/b"
	modelBranch = "main"
)

// modelDir is where the store lies in the simulated file system.
var modelDir = filepath.Join(string(filepath.Separator), "home", "store")

// blob is a content that the workload keeps in the store, and what the store
// has promised about it.
type blob struct {
	want store.Want
	sha  store.Digest
	data []byte

	published bool         // Commit or Put said so, and nothing happened to it since
	flipped   int          // the part that went bad on the disk, -1 for none
	marked    bool         // Verify said that it remembers the damage
	there     bool         // it was published when its ingestion was opened
	tried     bool         // Commit or Put has begun: it may be published
	repairing bool         // since then somebody may have repaired it
	durable   map[int]bool // parts that must be held
	wrong     map[int]bool // parts that may be held with wrong bytes
}

func (b *blob) parts() int { return int((b.want.Size + store.PartSize - 1) / store.PartSize) }

func (b *blob) part(i int) []byte {
	return b.data[i*store.PartSize : min((i+1)*store.PartSize, len(b.data))]
}

// wrongPart is what a lying line sends for part i.
func (b *blob) wrongPart(i int) []byte {
	p := slices.Clone(b.part(i))
	for k := range p {
		p[k] ^= 0x55
	}
	return p
}

// model runs a workload on a store and knows what must be true of it.
type model struct {
	rnd     *rand.Rand
	fs      *FS
	s       *store.Store
	clock   time.Time
	blobs   []*blob
	open    map[*blob]*store.Ingest
	snaps   map[string]bool // commits; true when PutSnapshot returned
	lists   map[string][]*blob
	gone    map[string]bool // commits that Remove removed
	branch  string          // what SetBranch returned for
	maybe   map[string]bool // what it may be as well
	commits int
	current *blob // what the step is about
}

// contents are the blobs of every workload, made once: workloads differ in
// order, not in bytes. Some are wanted by one digest, some by the other or both.
func contents() []blob {
	rnd := rand.NewChaCha8([32]byte{1})
	var out []blob
	for k, n := range []int{0, 5, 300, store.PartSize + 777, 2*store.PartSize + 9, 2 * store.PartSize} {
		data := make([]byte, n)
		_, _ = rnd.Read(data) // never fails
		b := blob{sha: sha256.Sum256(data), data: data, flipped: -1}
		b.want = store.Want{Size: int64(n), SHA256: b.sha}
		if k%2 == 0 {
			b.want.GitOID = sha1.Sum(append(fmt.Appendf(nil, "blob %d\x00", n), data...))
		}
		if k%4 == 0 {
			b.want.SHA256 = store.Digest{}
		}
		out = append(out, b)
	}
	return out
}

func newModel(seed uint64, blobs []blob) *model {
	m := &model{
		rnd: rand.New(rand.NewPCG(seed, 7)), fs: NewFS(), clock: time.Unix(1_900_000_000, 0),
		open: map[*blob]*store.Ingest{}, snaps: map[string]bool{}, lists: map[string][]*blob{}, gone: map[string]bool{}, maybe: map[string]bool{},
	}
	for _, b := range blobs {
		b.durable, b.wrong = map[int]bool{}, map[int]bool{}
		m.blobs = append(m.blobs, &b)
	}
	return m
}

// start opens the store on what the disk has.
func (m *model) start() error {
	m.fs.SetClock(func() time.Time { return m.clock })
	s, err := store.OpenWith(modelDir, store.Options{FS: m.fs, Now: func() time.Time { return m.clock }})
	m.s = s
	return err
}

// dead reports whether the power is off: then no answer means anything.
func (m *model) dead() bool {
	_, err := m.fs.Lstat("/")
	return errors.Is(err, ErrPowerOff)
}

// leave ends what is open, as a process that sees every call fail.
func (m *model) leave() {
	for _, in := range m.open {
		_ = in.Close() // fails when the power is off; ends its goroutine all the same
	}
	clear(m.open)
}

// broken is an error that says that a promise was broken, and not that a call
// failed because it was made to.
type broken string

func (b broken) Error() string { return string(b) }

func brokenf(format string, a ...any) error { return broken(fmt.Sprintf(format, a...)) }

// step does something to one of the blobs.
func (m *model) step(ctx context.Context) error {
	b := m.blobs[m.rnd.IntN(len(m.blobs))]
	in := m.open[b]
	m.current = b
	switch k := m.rnd.IntN(21); {
	case k == 20:
		return m.clean(ctx)
	case k == 0:
		return m.putSnapshot()
	case k == 1:
		return m.setBranch()
	case k <= 4 && in == nil && b.published && b.flipped < 0 && len(b.data) > 0:
		if m.rnd.IntN(3) == 0 { // somebody has a hard link to it
			if err := m.fs.Link(m.s.Path(b.sha), fmt.Sprintf("/home/link%d", m.rnd.Int())); err != nil {
				return err
			}
		}
		b.flipped, b.published = m.rnd.IntN(b.parts()), false
		return m.fs.Flip(m.s.Path(b.sha), int64(b.flipped)*store.PartSize+int64(m.rnd.IntN(len(b.part(b.flipped)))))
	case k <= 6 && in == nil:
		return m.verify(ctx, b)
	case in == nil && len(b.data) < 1000 && k <= 14:
		return m.put(ctx, b)
	case in == nil:
		return m.ingest(ctx, b)
	case k <= 13:
		return m.write(ctx, b)
	case k == 14:
		return m.drop(b, m.rnd.Perm(b.parts())[:m.rnd.IntN(b.parts()+1)]...)
	case k == 15:
		delete(m.open, b)
		return in.Close()
	case k == 16 && m.rnd.IntN(3) == 0:
		delete(m.open, b)
		clear(b.durable)
		if b.marked {
			b.flipped, b.repairing = -1, true // the damaged blob is what was aborted
		}
		return in.Abort()
	default:
		return m.commit(ctx, b)
	}
}

func (m *model) put(ctx context.Context, b *blob) error {
	b.repairing, b.tried = b.marked, true
	if _, err := m.s.Put(ctx, b.want, b.data); err != nil {
		return err
	}
	m.done(b)
	return nil
}

// done enters that a blob was published.
func (m *model) done(b *blob) {
	if b.flipped >= 0 && !b.marked {
		return // it was there, and nobody knew that it had gone bad
	}
	b.published, b.flipped, b.marked, b.repairing = true, -1, false, false
	clear(b.durable)
}

// ingest opens the ingestion of b and looks at what it holds.
func (m *model) ingest(ctx context.Context, b *blob) error {
	in, err := m.s.Ingest(ctx, b.want)
	if err != nil {
		return err
	}
	m.open[b] = in
	_, b.there = m.s.Find(b.want)
	if b.there || b.flipped >= 0 && !b.marked {
		return nil // nothing to ingest; the bytes are looked at elsewhere
	}
	buf := make([]byte, store.PartSize)
	for i := range b.parts() {
		if !in.Held(i) {
			if b.durable[i] && !m.dead() {
				return brokenf("part %d of blob %.8s was durable and is not held", i, b.sha)
			}
			continue
		}
		p := buf[:in.PartLen(i)]
		err := in.ReadPart(i, p)
		switch {
		case m.dead():
			return ErrPowerOff
		case errors.Is(err, errInjected):
			return err
		case err != nil:
			return brokenf("a held part: %v", err)
		case bytes.Equal(p, b.part(i)):
		case !b.wrong[i] || !bytes.Equal(p, b.wrongPart(i)):
			return brokenf("part %d of blob %.8s is held with bytes that nobody wrote", i, b.sha)
		}
		b.durable[i] = true // Ingest made a mark where there was none
	}
	return nil
}

// write writes some of the missing parts.
func (m *model) write(ctx context.Context, b *blob) error {
	in := m.open[b]
	left := 1 + m.rnd.IntN(3)
	for _, i := range m.rnd.Perm(b.parts()) {
		if in.Held(i) {
			continue
		}
		p := b.part(i)
		if m.rnd.IntN(6) == 0 {
			b.wrong[i] = true
			p = b.wrongPart(i)
		}
		if err := m.writePart(ctx, b, i, p, m.rnd.IntN(3) == 0); err != nil {
			return err
		}
		if left--; left == 0 {
			break
		}
	}
	return nil
}

// writePart writes one part, with a mark when it is time for one.
func (m *model) writePart(ctx context.Context, b *blob, i int, p []byte, mark bool) error {
	in := m.open[b]
	if mark {
		m.clock = m.clock.Add(2 * time.Second)
	}
	err := in.WritePart(ctx, i, p)
	if errors.Is(err, store.ErrNoSpace) && !errors.Is(err, errFsync) {
		// There is space again: the same ingestion goes on.
		if again := in.WritePart(ctx, i, p); again != nil {
			return brokenf("after %v: %v", err, again)
		}
		return err
	}
	if err != nil {
		return err
	}
	if mark {
		for k := range b.parts() {
			if in.Held(k) {
				b.durable[k] = true
			}
		}
	}
	return nil
}

func (m *model) drop(b *blob, parts ...int) error {
	for _, i := range parts {
		delete(b.durable, i)
	}
	if err := m.open[b].Drop(parts...); err != nil {
		return err
	}
	for _, i := range parts {
		if !m.open[b].Held(i) {
			delete(b.wrong, i)
		}
	}
	return nil
}

// commit publishes b if it is whole and right.
func (m *model) commit(ctx context.Context, b *blob) error {
	in := m.open[b]
	for i := range b.parts() {
		if !in.Held(i) {
			return nil
		}
	}
	b.repairing, b.tried = b.marked, true
	_, err := in.Commit(ctx)
	if err == nil {
		delete(m.open, b)
		if !b.there { // after a Put a partial may still have them
			clear(b.wrong)
		}
		m.done(b)
		return nil
	}
	if !errors.Is(err, store.ErrMismatch) {
		return err
	}
	if len(b.wrong) == 0 {
		return brokenf("right parts do not make the blob: %v", err)
	}
	if bad, err := in.Recheck(ctx); err != nil || len(bad) > 0 {
		return cmpErr(err, brokenf("the disk is good and Recheck found %v bad", bad))
	}
	return m.drop(b, slices.Collect(maps.Keys(b.wrong))...)
}

func cmpErr(err, other error) error {
	if err != nil {
		return err
	}
	return other
}

// verify re-hashes b and compares the verdict with what was done to it.
func (m *model) verify(ctx context.Context, b *blob) error {
	err := m.s.Verify(ctx, b.sha, 1, nil)
	var bad *store.CorruptError
	switch {
	case m.dead():
		return ErrPowerOff
	case errors.As(err, &bad):
		if b.flipped < 0 {
			return brokenf("a good blob is called bad: %v", err)
		}
		if err != error(bad) && err.Error() != bad.Error() {
			if errors.Is(err, errInjected) {
				return m.verify(ctx, b)
			}
			return err // remembering it failed
		}
		if !slices.Equal(bad.Parts, []int{b.flipped}) {
			return brokenf("part %d went bad, Verify says %v", b.flipped, bad.Parts)
		}
		b.marked, b.repairing = true, false
		for i := range b.parts() {
			b.durable[i] = i != b.flipped
		}
	case errors.Is(err, store.ErrNotFound):
		if b.published {
			return brokenf("a published blob: %v", err)
		}
	case err != nil:
		return err
	case b.flipped >= 0 && !b.repairing:
		return brokenf("blob %.8s is bad and Verify has nothing to say", b.sha)
	}
	return nil
}

// putSnapshot writes a snapshot of everything that can be found.
func (m *model) putSnapshot() error {
	m.commits++
	snap := store.Snapshot{Repo: modelRepo, Commit: fmt.Sprintf("%040x", m.commits), Branch: modelBranch, Created: m.clock}
	for k, b := range m.blobs {
		if _, ok := m.s.Find(b.want); ok {
			m.lists[snap.Commit] = append(m.lists[snap.Commit], b)
			snap.Files = append(snap.Files, store.SnapshotFile{Path: fmt.Sprintf("f%d", k), Size: b.want.Size, SHA256: b.sha})
		}
	}
	m.snaps[snap.Commit] = false
	if err := m.s.PutSnapshot(snap); err != nil {
		return err
	}
	m.snaps[snap.Commit] = true
	return nil
}

// clean removes a snapshot, or what no snapshot names.
func (m *model) clean(ctx context.Context) error {
	if slices.ContainsFunc(m.blobs, func(b *blob) bool { return b.flipped >= 0 || b.marked }) {
		return nil // whether damage has gone with its blob is told elsewhere
	}
	for b, in := range m.open {
		delete(m.open, b)
		if err := in.Close(); err != nil {
			return err
		}
	}
	var commit string
	for _, c := range slices.Sorted(maps.Keys(m.snaps)) {
		if m.snaps[c] && m.rnd.IntN(3) == 0 {
			commit = c
		}
	}
	if commit != "" {
		m.snaps[commit] = false
	}
	kept := map[*blob]bool{}
	for c, sure := range m.snaps {
		for _, b := range m.lists[c] {
			kept[b] = kept[b] || sure
		}
	}
	if commit == "" {
		for _, b := range m.blobs {
			b.published = b.published && kept[b]
			if b.tried && !kept[b] {
				clear(b.durable) // it was the blob that had them
			}
		}
		_, err := m.s.Collect(ctx, store.CollectOptions{PartialGrace: time.Hour})
		return err
	}
	m.maybe[""] = true // what the branch was last seen at may go too
	for _, b := range m.lists[commit] {
		if !kept[b] {
			b.published = false
			clear(b.durable) // with what is left of it
		}
	}
	_, err := m.s.Remove(ctx, []store.Selector{{Repo: modelRepo, Commit: commit}}, store.RemoveOptions{})
	if err == nil {
		m.gone[commit] = true
	}
	return err
}

func (m *model) setBranch() error {
	commit := fmt.Sprintf("%040x", m.rnd.IntN(1000))
	m.maybe[commit] = true
	if err := m.s.SetBranch(modelRepo, modelBranch, commit); err != nil {
		return err
	}
	m.branch = commit
	clear(m.maybe)
	return nil
}

// check asserts what must be true of a store that was just opened.
func (m *model) check() error {
	for _, b := range m.blobs {
		_, found := m.s.Find(b.want)
		switch {
		case b.published && !found:
			return brokenf("blob %.8s was published and is not found", b.sha)
		case b.marked && !b.repairing && found:
			return brokenf("blob %.8s is known to be bad and is found", b.sha)
		}
		if found {
			continue
		}
		var durable int64
		for i := range b.parts() {
			if b.durable[i] {
				durable += int64(len(b.part(i)))
			}
		}
		// A repaired blob that is still marked is found good by Ingest only.
		if held := m.s.Held(b.want); held < durable && !b.repairing {
			return brokenf("blob %.8s: %d bytes held, %d were durable", b.sha, held, durable)
		}
	}
	if err := m.checkNames(); err != nil {
		return err
	}
	return m.checkSnapshots()
}

// checkNames asserts that a name among the blobs stands for its content.
func (m *model) checkNames() error {
	blobs := map[store.Digest]*blob{}
	for _, b := range m.blobs {
		blobs[b.sha] = b
	}
	return m.walk(filepath.Join(modelDir, "blobs"), func(path string) error {
		d, err := store.ParseDigest(filepath.Base(path))
		b := blobs[d]
		if err != nil || b == nil {
			return brokenf("among the blobs: %s", path)
		}
		if b.flipped >= 0 && !b.marked {
			return nil // went bad, and nobody has looked yet
		}
		if _, err := m.fs.Lstat(filepath.Join(modelDir, "corrupt", d.String())); err == nil {
			return nil
		}
		data, err := m.read(path)
		if err != nil {
			return err
		}
		if !bytes.Equal(data, b.data) {
			return brokenf("blob %.8s without a mark has other content (%d bytes)", d, len(data))
		}
		if _, err := m.s.Parts(d); err != nil {
			return brokenf("a blob without its parts: %v", err)
		}
		return nil
	})
}

// checkSnapshots asserts that snapshots are whole and none was lost.
func (m *model) checkSnapshots() error {
	all, err := m.s.Snapshots()
	if err != nil {
		return brokenf("list snapshots: %v", err)
	}
	there := map[string]bool{}
	for _, snap := range all {
		there[snap.Commit] = true
		if m.gone[snap.Commit] {
			return brokenf("snapshot %s was removed and is back", snap.Commit)
		}
		if missing, _ := m.s.SnapshotState(snap); len(missing) > 0 && !m.someGone() {
			return brokenf("snapshot %s lacks %v", snap.Commit, missing)
		}
	}
	for commit, must := range m.snaps {
		if must && !there[commit] {
			return brokenf("snapshot %s was lost", commit)
		}
	}
	if got, _ := m.s.BranchCommit(modelRepo, modelBranch); got != m.branch && !m.maybe[got] {
		return brokenf("the branch is at %q, want %q", got, m.branch)
	}
	return nil
}

// someGone reports whether a blob was damaged, found bad and taken back: then
// its name has gone, and the mark says why.
func (m *model) someGone() bool {
	return slices.ContainsFunc(m.blobs, func(b *blob) bool { return b.marked })
}

// recover brings everything to its end, as the next runs of the program do.
func (m *model) recover(ctx context.Context) error {
	for _, b := range m.blobs {
		if b.flipped >= 0 && !b.marked {
			if err := m.verify(ctx, b); err != nil {
				return err
			}
		}
		if err := m.finish(ctx, b); err != nil {
			return err
		}
	}
	if err := m.putSnapshot(); err != nil {
		return err
	}
	return m.setBranch()
}

// finish ingests b until it is published.
func (m *model) finish(ctx context.Context, b *blob) error {
	if err := m.ingest(ctx, b); err != nil {
		return err
	}
	for range 2 { // the second time without the wrong parts
		for i := range b.parts() {
			if m.open[b].Held(i) {
				continue
			}
			if err := m.writePart(ctx, b, i, b.part(i), i%2 == 0); err != nil {
				return err
			}
		}
		if err := m.commit(ctx, b); err != nil {
			return err
		}
		if m.open[b] == nil {
			break
		}
	}
	got, err := m.content(b)
	switch {
	case m.dead():
		return ErrPowerOff
	case err != nil:
		return brokenf("resume does not complete: %v", err)
	case !bytes.Equal(got, b.data):
		return brokenf("blob %.8s was published with other bytes", b.sha)
	}
	return nil
}

// content reads b as a user of the store does.
func (m *model) content(b *blob) ([]byte, error) {
	d, ok := m.s.Find(b.want)
	if !ok {
		return nil, fmt.Errorf("blob %.8s is not found", b.sha)
	}
	f, err := m.s.OpenBlob(d)
	if err != nil {
		return nil, err
	}
	return readAll(f)
}

func (m *model) read(path string) ([]byte, error) {
	f, err := m.fs.OpenFile(path, os.O_RDONLY, 0)
	if err != nil {
		return nil, err
	}
	return readAll(f)
}

// readAll reads a file and closes it.
func readAll(f store.File) ([]byte, error) {
	defer f.Close()
	fi, err := f.Stat()
	if err != nil {
		return nil, err
	}
	b := make([]byte, fi.Size())
	_, err = io.ReadFull(f, b)
	return b, err
}

// walk calls each for every file below dir.
func (m *model) walk(dir string, each func(path string) error) error {
	entries, err := m.fs.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		if e.IsDir() {
			err = m.walk(path, each)
		} else {
			err = each(path)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// errInjected is in every error that a test makes a call give, and errFsync in
// those of Sync, after which an ingestion ends.
var (
	errInjected = errors.New("injected")
	errFsync    = errors.New("of a sync")
)

// describe lists the files of the store, for a report.
func (m *model) describe() string {
	var b strings.Builder
	_ = m.walk(modelDir, func(path string) error {
		fi, err := m.fs.Lstat(path)
		if err == nil {
			fmt.Fprintf(&b, "%s %d\n", path, fi.Size())
		}
		return nil
	})
	return b.String()
}
