package store

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"
)

// maxJournal bounds what is read of a journal: the largest blob's parts, each
// written several times.
const maxJournal = 2 << 30

// Held returns how many bytes of an unfinished ingestion of w are journaled
// (cheap, takes no lock, re-hashes nothing). A known-corrupt blob counts its
// good parts. A published blob counts nothing: there is no ingestion of it.
func (s *Store) Held(w Want) int64 {
	w, err := s.resolve(w)
	if err != nil {
		return 0
	}
	if r, err := s.readJournal(w); err == nil && r != nil {
		return r.heldBytes(w.Size)
	}
	if m, ok := s.readMark(w.SHA256); ok && m.Size == w.Size {
		return w.Size - sumRanges(joinParts(m.Size, m.Parts))
	}
	return 0
}

func sumRanges(rs []Range) (sum int64) {
	for _, r := range rs {
		sum += r.Length
	}
	return sum
}

// DiskNeeded returns how many more bytes of disk it takes to have w: nothing
// when it is published, and for a left ingestion only what its file has not
// reserved yet. What cannot be said counts as absent.
func (s *Store) DiskNeeded(w Want) int64 {
	all := max(0, w.Size)
	w, err := s.resolve(w)
	if err != nil {
		return all
	}
	if !w.SHA256.IsZero() && s.has(w.SHA256, w.Size) {
		return 0
	}
	if _, allocated, err := s.fs.Usage(s.partialOf(w).data()); err == nil {
		return max(0, w.Size-allocated)
	}
	if w.SHA256.IsZero() {
		return all
	}
	if bad, err := s.marked(w.SHA256); bad && err == nil {
		if n, _, err := s.fs.Usage(s.Path(w.SHA256)); err == nil && n == 1 {
			return 0 // repaired in its place
		}
	}
	return all
}

// ReadPart reads part i of what the store has of w, len(p) being the length of
// the part, and compares it with its digest: of a published blob, or of an
// unfinished ingestion that journals the part. It takes no lock. ErrNotFound when
// the part is not there; ErrMismatch when the disk gives other bytes, which
// somebody may be writing.
func (s *Store) ReadPart(w Want, i int, p []byte) error {
	err := s.readAnyPart(w, i, p)
	if err != nil {
		return fmt.Errorf("read part %d of blob %s: %w", i, w.key(), err)
	}
	return nil
}

func (s *Store) readAnyPart(w Want, i int, p []byte) error {
	w, err := s.resolve(w)
	switch {
	case err != nil:
		return err
	case i < 0 || i >= numParts(w.Size) || len(p) != partLen(w.Size, i):
		return fmt.Errorf("%d bytes are not that part", len(p))
	case !w.SHA256.IsZero() && s.has(w.SHA256, w.Size):
		return s.readBlobPart(w.SHA256, i, p)
	}
	r, err := s.readJournal(w)
	if err != nil {
		return err
	}
	if r == nil || r.ends[i] == 0 {
		return ErrNotFound
	}
	f, err := s.fs.OpenFile(s.partialOf(w).data(), os.O_RDONLY, 0)
	if err != nil {
		return err
	}
	defer f.Close() // only read from
	if err := readPart(f, i, p); err != nil {
		return err
	}
	if sum := sumPart(p); sum != r.sums[i] {
		return &MismatchError{What: "BLAKE3", Got: sum.String(), Want: r.sums[i].String()}
	}
	return nil
}

// readJournal returns what the journal of w's partial claims, nil when there is
// none, or none of w, or no data for it. An error means that it could not be
// read: then it must not be taken for absent, or too many open files would cost
// somebody gigabytes.
func (s *Store) readJournal(w Want) (*replay, error) {
	p := s.partialOf(w)
	fi, err := s.fs.Lstat(p.data())
	if err == nil && !fi.Mode().IsRegular() {
		return nil, nil
	}
	var b []byte
	if err == nil {
		b, err = readLimited(s.fs, p.journal(), maxJournal)
	}
	var r *replay
	if err == nil {
		r, err = replayJournal(b, w)
	}
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, ErrFormat) || errors.Is(err, ErrNotRegular) {
		return nil, nil
	}
	return r, err
}

// Ingest opens the ingestion of w, a new one or one that was left: what the
// journal claims after its last durable mark is re-hashed (in parallel) before
// it counts as held. A known-corrupt blob is taken back into ingestion with its
// good parts held. A published blob gives an ingestion that holds everything,
// whose Commit only says its digest. ErrLocked when another process, or another
// Ingest of this one, has it; ErrNoSpace when it cannot fit on the disk.
func (s *Store) Ingest(ctx context.Context, w Want) (*Ingest, error) {
	in, err := s.openIngest(ctx, w)
	if err != nil {
		return nil, fmt.Errorf("ingest: %w", err)
	}
	return in, nil
}

// lockPoll is how often IngestWait looks whether the lock is free.
const lockPoll = 200 * time.Millisecond

// IngestWait is Ingest, but where that gives ErrLocked it waits until whoever
// has the blob is done, gives up or dies; then it finds the blob published or
// goes on where that one left it. Held says meanwhile how far it has come.
func (s *Store) IngestWait(ctx context.Context, w Want) (*Ingest, error) {
	tick := time.NewTicker(lockPoll)
	defer tick.Stop()
	for {
		in, err := s.Ingest(ctx, w)
		if !errors.Is(err, ErrLocked) {
			return in, err
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("wait for blob %s: %w", w.key(), ctx.Err())
		case <-tick.C:
		}
	}
}

func (s *Store) openIngest(ctx context.Context, w Want) (*Ingest, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	w, err := s.resolve(w)
	if err != nil {
		return nil, err
	}
	in := &Ingest{s: s, want: w, n: numParts(w.Size), sha: sha256.New(), marked: s.now()}
	in.idle.L = &in.mu
	in.follow = in.followFrontier
	if done, err := in.lookDone(); done || err != nil {
		return in, err
	}
	p, err := s.lockPartial(w)
	if err != nil {
		return nil, err
	}
	in.p = p
	done, err := in.lookDone()
	if done { // published while we were getting the lock
		if err := p.remove(); err != nil {
			return nil, s.ioError(p.dir, err)
		}
		return in, nil
	}
	var left *replay
	if err == nil {
		left, err = s.readJournal(w)
	}
	if err == nil {
		err = s.checkSpace(w)
	}
	if err == nil {
		err = in.start(ctx, left)
	}
	if err != nil {
		return nil, errors.Join(err, in.giveUp())
	}
	in.resume()
	return in, nil
}

// start goes on with what was left, or begins.
func (in *Ingest) start(ctx context.Context, left *replay) error {
	n := in.n
	in.state, in.sums, in.ends = make([]partState, n), make([]Digest, n), make([]int64, n)
	if left != nil {
		return in.takeUp(ctx, left)
	}
	return in.begin(ctx)
}

// giveUp ends an ingestion that could not be started; what cannot be resumed is
// removed (a disk that is too small may have been filled by reserving).
func (in *Ingest) giveUp() error {
	err := in.end()
	if r, readErr := in.s.readJournal(in.want); r == nil && readErr == nil {
		return errors.Join(err, in.p.remove())
	}
	return errors.Join(err, in.p.lock.Close())
}

// lookDone reports whether the blob is published, and enters that.
func (in *Ingest) lookDone() (bool, error) {
	d := in.want.SHA256
	if d.IsZero() {
		return false, nil
	}
	ok, err := in.s.look(d, in.want.Size)
	if ok && err == nil {
		in.done, in.held = d, in.want.Size
	}
	return ok, err
}

// checkSpace gives ErrNoSpace when w cannot fit.
func (s *Store) checkSpace(w Want) error {
	need := s.DiskNeeded(w)
	free, err := s.Free()
	if err != nil {
		return fmt.Errorf("look for free space: %w", err)
	}
	if need > free {
		return &NoSpaceError{Dir: s.dir, Need: need, Free: free}
	}
	return nil
}

// begin starts with nothing, or with the good parts of a corrupt blob.
func (in *Ingest) begin(ctx context.Context) error {
	if err := in.p.clear(); err != nil {
		return in.s.ioError(in.p.dir, err)
	}
	took, err := in.takeBack(ctx)
	if took || err != nil {
		return err
	}
	const flags = os.O_RDWR | os.O_CREATE | os.O_EXCL
	if in.data, err = in.s.fs.OpenFile(in.p.data(), flags, 0o600); err == nil {
		err = in.data.Preallocate(in.want.Size)
	}
	if err == nil {
		err = in.createJournal()
	}
	return in.s.ioError(in.p.dir, err)
}

// createJournal makes an empty journal and the names in the partial durable.
func (in *Ingest) createJournal() error {
	f, err := in.s.fs.OpenFile(in.p.journal(), os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	if in.jrn, err = newJournal(f, in.want); err != nil {
		return errors.Join(err, f.Close())
	}
	return in.s.fs.SyncDir(in.p.dir)
}

// takeUp goes on with an ingestion that was left.
func (in *Ingest) takeUp(ctx context.Context, r *replay) error {
	path := in.p.data()
	// A crash in Commit can leave it read-only.
	err := in.s.fs.Chmod(path, 0o600)
	if err == nil {
		in.data, err = in.s.fs.OpenFile(path, os.O_RDWR, 0)
	}
	if err != nil {
		return in.s.ioError(path, err)
	}
	fi, err := in.data.Stat()
	if err != nil {
		return err
	}
	f, err := in.s.fs.OpenFile(in.p.journal(), os.O_RDWR, 0)
	if err != nil {
		return in.s.ioError(in.p.journal(), err)
	}
	in.jrn = journal{f: f, off: r.off, crc: r.crc}
	// Whoever wrote this may have been killed before a sync: of a DROP, then the
	// part could be rewritten and the old claim come back; or of these names.
	err = f.Truncate(r.off)
	if err == nil {
		err = f.Sync()
	}
	if err == nil {
		err = in.s.fs.SyncDir(in.p.dir)
	}
	if err != nil {
		return in.s.ioError(in.p.journal(), err)
	}
	// A torn tail, or a file of another length, is not what we left behind, so
	// the marks prove nothing: look at every part.
	trust := !r.torn && fi.Size() == in.want.Size
	if fi.Size() > in.want.Size {
		err = in.data.Truncate(in.want.Size)
	}
	if err == nil {
		err = in.data.Preallocate(in.want.Size)
	}
	if err != nil {
		return in.s.ioError(path, err)
	}
	if err := in.believe(ctx, r, trust); err != nil {
		return err
	}
	in.readPieces()
	return nil
}

// believe enters what the journal claims: with trust what a mark covers as it
// is, the rest after re-hashing it. Nobody else has the ingestion yet.
func (in *Ingest) believe(ctx context.Context, r *replay, trust bool) error {
	doubt := []int{}
	for i, end := range r.ends {
		if end == 0 {
			continue
		}
		in.hold(i, r.sums[i], end)
		if !trust || end > r.covers {
			doubt = append(doubt, i)
		}
	}
	if trust {
		in.covers = r.covers
	}
	bad, err := damagedParts(ctx, in.data, in.want.Size, in.sums, doubt)
	if err != nil {
		return err
	}
	for _, i := range bad {
		if err := in.jrn.drop(i); err != nil {
			return in.s.ioError(in.p.journal(), err)
		}
		in.forget(i)
	}
	if trust && r.hashed > 0 && r.hashed <= in.front {
		in.restoreSHA(r.hashed, r.state)
	}
	if len(doubt) == 0 {
		return nil
	}
	return in.mark() // so that the next one need not look again, and the drops last
}
