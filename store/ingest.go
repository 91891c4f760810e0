package store

import (
	"context"
	"crypto/sha256"
	"encoding"
	"errors"
	"fmt"
	"hash"
	"sync"
	"time"
)

// A durable mark is made after this much time or this many bytes, whichever
// comes first; it bounds what a power cut makes us hash again.
const (
	markEvery = time.Second
	markBytes = 64 << 20
)

// errClosed is what methods of a finished ingestion give.
var errClosed = errors.New("the ingestion is closed")

// Ingest is one blob being written. Its methods are safe for concurrent use,
// each part being written by one caller.
type Ingest struct {
	s    *Store
	want Want
	n    int // parts
	p    partial
	done Digest // when the blob was published already: everything is held

	// life is read-locked while a part is written, and locked by what needs the
	// ingestion for itself (Drop, Recheck, Commit, Close, Abort).
	life sync.RWMutex

	mu      sync.Mutex // guards what follows
	idle    sync.Cond  // on mu: the follower has stopped
	data    File
	jrn     journal
	state   []partState
	sums    []Digest       // BLAKE3 of held parts
	ends    []int64        // journal offset behind a held part's record
	held    int64          // bytes of held parts
	pieces  map[int][]byte // first bytes of parts that are not held; nil = none
	front   int            // parts [0,front) are held
	covers  int64          // records up to here are durable
	pending int64          // bytes written since the last mark
	marked  time.Time
	marking bool
	failed  error // an fsync failed: nothing more is believed
	ended   bool

	// SHA-256 behind the frontier. sha and buf belong to the follower while one
	// runs, to whoever paused it otherwise.
	sha       hash.Hash
	buf       []byte
	follow    func() // in.followFrontier, made once
	following bool
	paused    bool
	stuck     bool   // reading back failed; Commit tries again and reports
	hashed    int    // parts [0,hashed) are in shaState
	shaState  []byte // marshalled state of sha, of a whole number of parts
}

// partState is where a part is.
type partState uint8

const (
	partAbsent partState = iota
	partWriting
	partHeld
)

// NumParts returns ceil(size/PartSize).
func (in *Ingest) NumParts() int { return in.n }

// PartLen returns the length of part i.
func (in *Ingest) PartLen(i int) int { return partLen(in.want.Size, i) }

// Held reports whether part i is there already.
func (in *Ingest) Held(i int) bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.published() || in.state[i] == partHeld
}

// PartSum returns the BLAKE3 of what came as part i; false when it is not held.
func (in *Ingest) PartSum(i int) (Digest, bool) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if i < 0 || i >= in.n || in.published() || in.state[i] != partHeld {
		return Digest{}, false
	}
	return in.sums[i], true
}

// HeldBytes returns the bytes of all parts held.
func (in *Ingest) HeldBytes() int64 {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.held
}

// HashedBytes returns how many bytes SHA-256 has followed so far.
func (in *Ingest) HashedBytes() int64 {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.published() {
		return in.want.Size
	}
	return min(int64(in.hashed)*PartSize, in.want.Size)
}

// published reports whether there is nothing to do but to say which blob it is.
func (in *Ingest) published() bool { return !in.done.IsZero() }

// WritePart writes part i, len(p) == PartLen(i): hands the bytes to the file,
// then journals the part with its BLAKE3. SHA-256 follows behind the
// contiguous frontier in the background. Every second or 64 MiB the caller that
// comes along waits for an fdatasync and journals a durable mark. A part that is
// held already is left as it is. ErrNoSpace leaves the ingestion usable.
func (in *Ingest) WritePart(ctx context.Context, i int, p []byte) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	in.life.RLock()
	defer in.life.RUnlock()
	ours, err := in.claim(i, len(p))
	if err != nil || !ours {
		return err
	}
	sum := sumPart(p)
	if err := in.write(i, p); err != nil {
		in.mu.Lock()
		in.state[i] = partAbsent
		in.mu.Unlock()
		return fmt.Errorf("write part %d of blob %s: %w", i, in.want.key(), in.s.ioError(in.p.data(), err))
	}
	if err := in.record(i, sum); err != nil {
		return fmt.Errorf("journal part %d of blob %s: %w", i, in.want.key(), in.s.ioError(in.p.journal(), err))
	}
	if !in.markDue() {
		return nil
	}
	return in.mark()
}

// writeSize is how much is handed to the file at a time. With a whole part in
// one call ext4 takes large pages that the processor has not touched for long;
// on a virtual machine a fetch then took twice the time and the CPU.
const writeSize = 128 << 10

// write hands the bytes of part i to the file.
func (in *Ingest) write(i int, p []byte) error {
	at := int64(i) * PartSize
	for len(p) > 0 {
		n, err := in.data.WriteAt(p[:min(writeSize, len(p))], at)
		if err != nil {
			return err
		}
		p, at = p[n:], at+int64(n)
	}
	return nil
}

// claim makes part i the caller's to write; ours is false when it is held.
func (in *Ingest) claim(i, n int) (ours bool, err error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	switch {
	case in.failed != nil:
		return false, in.failed
	case in.ended:
		return false, errClosed
	case i < 0 || i >= in.n:
		return false, fmt.Errorf("part %d of blob %s: it has %d parts", i, in.want.key(), in.n)
	case n != in.PartLen(i):
		return false, fmt.Errorf("part %d of blob %s: %d bytes instead of %d", i, in.want.key(), n, in.PartLen(i))
	case in.published() || in.state[i] == partHeld:
		return false, nil
	case in.state[i] == partWriting:
		return false, fmt.Errorf("part %d of blob %s is being written by two callers", i, in.want.key())
	}
	in.state[i] = partWriting
	return true, nil
}

// record journals part i, whose bytes the file has.
func (in *Ingest) record(i int, sum Digest) error {
	in.mu.Lock()
	defer in.mu.Unlock()
	if err := in.jrn.part(i, sum); err != nil {
		in.state[i] = partAbsent
		return err
	}
	in.pending += int64(in.PartLen(i))
	in.hold(i, sum, in.jrn.off)
	in.startFollower()
	return nil
}

// hold enters part i as held. The caller holds mu.
func (in *Ingest) hold(i int, sum Digest, end int64) {
	in.state[i], in.sums[i], in.ends[i] = partHeld, sum, end
	in.held += int64(in.PartLen(i))
	delete(in.pieces, i)
	for in.front < in.n && in.state[in.front] == partHeld {
		in.front++
	}
}

// forget is the inverse of hold. The caller holds mu and has paused the follower.
func (in *Ingest) forget(i int) {
	in.state[i], in.sums[i], in.ends[i] = partAbsent, Digest{}, 0
	in.held -= int64(in.PartLen(i))
	in.front = min(in.front, i)
	if i < in.hashed {
		in.resetSHA()
	}
}

// markDue reports whether it is time for a mark.
func (in *Ingest) markDue() bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	return !in.marking && (in.pending >= markBytes || in.s.now().Sub(in.marked) >= markEvery)
}

// mark makes what has been written durable and journals that.
func (in *Ingest) mark() error {
	in.mu.Lock()
	if in.marking || in.failed != nil {
		defer in.mu.Unlock()
		return in.failed
	}
	in.marking = true
	// Only records written before the fdatasync begins are covered by it.
	covers, pending := in.jrn.off, in.pending
	in.mu.Unlock()

	err := in.data.Sync()
	in.mu.Lock()
	if err == nil {
		err = in.jrn.mark(covers, in.hashed, in.shaState)
		if err != nil {
			// No mark was made, but nothing is lost either: the next one covers it.
			in.marking = false
			in.mu.Unlock()
			return fmt.Errorf("journal a mark of blob %s: %w", in.want.key(), in.s.ioError(in.p.journal(), err))
		}
	}
	in.mu.Unlock()
	if err == nil {
		err = in.jrn.f.Sync()
	}

	in.mu.Lock()
	defer in.mu.Unlock()
	in.marking = false
	if err != nil {
		return in.fail(err)
	}
	in.covers, in.marked = covers, in.s.now()
	in.pending -= pending
	return nil
}

// fail ends the ingestion after a failed fsync. The kernel may have dropped the
// dirty pages and report success next time, so a second fsync proves nothing:
// whatever no mark covers is dropped, to be fetched again. The caller holds mu.
func (in *Ingest) fail(err error) error {
	if in.failed == nil {
		in.failed = fmt.Errorf("fsync of blob %s: %w", in.want.key(), in.s.ioError(in.p.data(), err))
		for i, end := range in.ends {
			if end <= in.covers {
				continue
			}
			if dropErr := in.jrn.drop(i); dropErr != nil {
				// Without the drops the journal would lie: better no journal.
				in.failed = errors.Join(in.failed, in.jrn.f.Truncate(0))
				break
			}
		}
	}
	return in.failed
}

// startFollower lets SHA-256 go on when there is something to follow. The
// caller holds mu.
func (in *Ingest) startFollower() {
	if !in.following && !in.paused && !in.stuck && in.hashed < in.front {
		in.following = true
		go in.follow()
	}
}

// followFrontier hashes parts up to the frontier and ends there.
func (in *Ingest) followFrontier() {
	for {
		in.mu.Lock()
		i := in.hashed
		if in.paused || in.stuck || i >= in.front {
			in.following = false
			in.idle.Broadcast()
			in.mu.Unlock()
			return
		}
		in.mu.Unlock()
		if err := in.hashPart(i); err != nil {
			in.mu.Lock()
			in.stuck = true
			in.mu.Unlock()
		}
	}
}

// hashPart adds part i, the next one, to the SHA-256.
func (in *Ingest) hashPart(i int) error {
	if in.buf == nil {
		in.buf = make([]byte, min(PartSize, in.want.Size))
	}
	p := in.buf[:in.PartLen(i)]
	if err := readPart(in.data, i, p); err != nil {
		return fmt.Errorf("read back blob %s: %w", in.want.key(), err)
	}
	in.sha.Write(p) // never fails
	in.mu.Lock()
	defer in.mu.Unlock()
	in.hashed = i + 1
	state, err := in.sha.(encoding.BinaryAppender).AppendBinary(in.shaState[:0])
	if err != nil {
		return fmt.Errorf("state of SHA-256: %w", err)
	}
	in.shaState = state
	return nil
}

// pause stops the follower and waits until it has (one part at most). The
// caller holds life, so nobody else pauses.
func (in *Ingest) pause() {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.paused = true
	for in.following {
		in.idle.Wait()
	}
}

// resume is the inverse of pause.
func (in *Ingest) resume() {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.paused, in.stuck = false, false
	if !in.ended {
		in.startFollower()
	}
}

// resetSHA begins the SHA-256 anew. The caller holds mu and has paused the
// follower.
func (in *Ingest) resetSHA() {
	in.sha.Reset()
	in.hashed, in.shaState = 0, in.shaState[:0]
}

// restoreSHA takes up a journaled state of parts [0,hashed); a state that this
// Go release does not understand means beginning anew.
func (in *Ingest) restoreSHA(hashed int, state []byte) {
	if in.sha.(encoding.BinaryUnmarshaler).UnmarshalBinary(state) != nil {
		in.sha = sha256.New()
		return
	}
	in.hashed, in.shaState = hashed, append(in.shaState[:0], state...)
}

// Drop forgets parts so that they can be fetched again. That is durable when
// Drop returns, with one sync for all of them: otherwise a power cut could bring
// back the claim to the old bytes while half of the new ones are on the disk.
// Parts that are not held are left as they are.
func (in *Ingest) Drop(parts ...int) error {
	in.life.Lock()
	defer in.life.Unlock()
	if in.ended {
		return errClosed
	}
	in.pause()
	defer in.resume()
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.failed != nil {
		return in.failed
	}
	var failed error
	dropped := false
	for _, i := range parts {
		if i < 0 || i >= in.n || in.published() || in.state[i] != partHeld {
			continue
		}
		if err := in.jrn.drop(i); err != nil {
			failed = fmt.Errorf("drop part %d of blob %s: %w", i, in.want.key(), in.s.ioError(in.p.journal(), err))
			break // those before it are dropped
		}
		in.forget(i)
		dropped = true
	}
	if !dropped {
		return failed
	}
	if err := in.jrn.f.Sync(); err != nil {
		return in.fail(err)
	}
	return failed
}

// ReadPart reads the held part i, len(p) == PartLen(i), and compares it with
// its digest. ErrNotFound when the part is not held, a *CorruptError when the
// disk gives other bytes than were written.
func (in *Ingest) ReadPart(i int, p []byte) error {
	in.life.RLock()
	defer in.life.RUnlock()
	if err := in.readPart(i, p); err != nil {
		return fmt.Errorf("read part %d of blob %s: %w", i, in.want.key(), err)
	}
	return nil
}

func (in *Ingest) readPart(i int, p []byte) error {
	switch {
	case in.ended:
		return errClosed
	case i < 0 || i >= in.n:
		return fmt.Errorf("it has %d parts", in.n)
	case len(p) != in.PartLen(i):
		return fmt.Errorf("%d bytes instead of %d", len(p), in.PartLen(i))
	case in.published():
		return in.s.readBlobPart(in.done, i, p)
	}
	in.mu.Lock()
	held, want := in.state[i] == partHeld, in.sums[i]
	in.mu.Unlock()
	if !held {
		return ErrNotFound
	}
	if err := readPart(in.data, i, p); err != nil {
		return err
	}
	if sumPart(p) != want {
		return &CorruptError{Digest: in.want.SHA256, Parts: []int{i}, Size: in.want.Size}
	}
	return nil
}

// readBlobPart reads one part of a published blob.
func (s *Store) readBlobPart(d Digest, i int, p []byte) error {
	parts, err := s.readParts(d)
	if err != nil {
		return err
	}
	f, err := s.OpenBlob(d)
	if err != nil {
		return err
	}
	defer f.Close() // only read from
	if err := readPart(f, i, p); err != nil {
		return err
	}
	if i >= len(parts.sums) || sumPart(p) != parts.sums[i] {
		return &CorruptError{Digest: d, Parts: []int{i}, Size: parts.size}
	}
	return nil
}

// Recheck compares the disk with the part digests taken at receipt and returns
// the parts that differ (a bad disk is told from a bad line).
func (in *Ingest) Recheck(ctx context.Context) ([]int, error) {
	in.life.Lock()
	defer in.life.Unlock()
	if in.ended {
		return nil, errClosed
	}
	if in.published() {
		return nil, nil
	}
	bad, err := damagedParts(ctx, in.data, in.want.Size, in.sums, in.heldParts())
	if err != nil {
		return bad, fmt.Errorf("recheck blob %s: %w", in.want.key(), err)
	}
	return bad, nil
}

// heldParts returns the indexes of held parts, never nil.
func (in *Ingest) heldParts() []int {
	idx := make([]int, 0, in.n)
	for i, st := range in.state {
		if st == partHeld {
			idx = append(idx, i)
		}
	}
	return idx
}

// Close leaves the ingestion resumable: a durable mark is journaled. One that
// holds nothing, and keeps nothing of any part, is removed. A no-op after Commit or Abort.
func (in *Ingest) Close() error {
	in.life.Lock()
	defer in.life.Unlock()
	if in.ended {
		return nil
	}
	in.pause()
	if in.published() {
		in.ended = true
		return nil
	}
	if in.held == 0 && len(in.pieces) == 0 {
		return in.discard()
	}
	in.writePieces()
	return errors.Join(in.mark(), in.end(), in.p.lock.Close())
}

// Abort removes the ingestion. A no-op after Commit or Close.
func (in *Ingest) Abort() error {
	in.life.Lock()
	defer in.life.Unlock()
	if in.ended {
		return nil
	}
	in.pause()
	if in.published() {
		in.ended = true
		return nil
	}
	return in.discard()
}

// end closes the files. The caller holds life and has paused the follower.
func (in *Ingest) end() error {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.ended = true
	return errors.Join(closeFile(&in.data), closeFile(&in.jrn.f))
}

// discard closes the files and removes the partial.
func (in *Ingest) discard() error {
	if err := errors.Join(in.end(), in.p.remove()); err != nil {
		return fmt.Errorf("remove the partial of blob %s: %w", in.want.key(), in.s.ioError(in.p.dir, err))
	}
	return nil
}

// closeFile closes *f unless that was done.
func closeFile(f *File) error {
	if *f == nil {
		return nil
	}
	err := (*f).Close()
	*f = nil
	return err
}
