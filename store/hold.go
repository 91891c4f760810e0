package store

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// lockWait bounds how long a process waits for the store's lock. Whoever has it
// looks at names and removes files: moments, but for hundreds of gigabytes on a
// slow disk.
const lockWait = time.Minute

// maxHold bounds the JSON of a hold.
const maxHold = 64 << 20

// BusyError says that something cannot be removed because another process is
// at work in the store. It is ErrLocked.
type BusyError struct {
	What string // what the other one does; "" when unknown
	PID  int    // its process, 0 when unknown
}

// Error says who is at work.
func (e *BusyError) Error() string {
	who := "another process"
	if e.PID != 0 {
		who = fmt.Sprintf("process %d", e.PID)
	}
	if e.What == "" {
		return "the store is in use by " + who
	}
	return fmt.Sprintf("the store is in use by %s: %s", who, e.What)
}

// Is makes errors.Is(err, ErrLocked) hold.
func (e *BusyError) Is(target error) bool { return target == ErrLocked }

// Hint says what to do next.
func (e *BusyError) Hint() string {
	return "wait for it to end, or stop it: what it has fetched is kept; a lock never outlives its process"
}

// lockStore takes the store's lock: whoever removes has it from the look to the
// last removal, and whoever begins to rely on what it finds has it meanwhile.
// Everybody needs it for moments only, so that it is waited for, up to lockWait.
func (s *Store) lockStore(ctx context.Context) (io.Closer, error) {
	path := filepath.Join(s.dir, fileLock)
	deadline := s.now().Add(lockWait)
	for pause := time.Millisecond; ; pause = min(2*pause, 100*time.Millisecond) {
		l, err := s.fs.Lock(path)
		if err == nil {
			return l, nil
		}
		if !errors.Is(err, ErrLocked) {
			return nil, fmt.Errorf("lock the store: %w", s.ioError(path, err))
		}
		if s.now().After(deadline) {
			return nil, &BusyError{What: "it is removing files"}
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(pause):
		}
	}
}

// Hold keeps blobs from being removed while somebody relies on them.
type Hold struct {
	s    *Store
	name string
	lock io.Closer
}

// holdJSON is the JSON of a file in holds/.
type holdJSON struct {
	Format     int      `json:"format"`
	PID        int      `json:"pid"`
	What       string   `json:"what"`
	Repo       string   `json:"repo,omitempty"` // of the commit that is fetched
	Commit     string   `json:"commit,omitempty"`
	Everything bool     `json:"everything"` // nothing may be removed at all
	Blobs      []string `json:"blobs"`      // keys of Wants
}

// Hold announces that the blobs of wants are needed: until Release, or the end
// of this process, [Store.Remove] and [Store.Collect] keep them, published or
// still to come, though no snapshot names them yet. Without wants it keeps
// everything, so that nothing can be removed meanwhile. What says to the user of
// the other process what this one does, such as "get owner/name:main".
//
// A blob that Find reports after Hold has returned stays. One that was found
// before may have gone, so whoever found it must look again. In a store that
// this process may not write to nothing can be announced: what is there may go.
func (s *Store) Hold(ctx context.Context, what string, wants []Want) (*Hold, error) {
	j := holdJSON{Format: formatVersion, PID: os.Getpid(), What: what, Everything: len(wants) == 0, Blobs: []string{}}
	for _, w := range wants {
		j.Blobs = append(j.Blobs, w.key())
	}
	h, err := s.hold(ctx, j)
	if errors.Is(err, ErrNotWritable) {
		return new(Hold), nil
	}
	if err != nil {
		return nil, fmt.Errorf("announce what is needed of the store: %w", err)
	}
	return h, nil
}

func (s *Store) hold(ctx context.Context, j holdJSON) (*Hold, error) {
	b, err := json.Marshal(j)
	if err != nil {
		return nil, err
	}
	// Whoever removes has this lock, and so sees a hold whole or not at all.
	l, err := s.lockStore(ctx)
	if err != nil {
		return nil, err
	}
	defer l.Close() // it ends with the descriptor in any case
	dir := filepath.Join(s.dir, dirHolds)
	if err := s.ensureDir(dir); err != nil {
		return nil, err
	}
	h := &Hold{s: s}
	for range 8 { // somebody who only looks may have the new file for a moment
		var id [8]byte
		rand.Read(id[:]) // never fails
		h.name = hex.EncodeToString(id[:])
		if h.lock, err = s.fs.Lock(h.path() + holdLock); !errors.Is(err, ErrLocked) {
			break
		}
	}
	if err != nil {
		return nil, fmt.Errorf("lock a new file: %w", s.ioError(dir, err))
	}
	if err := h.write(append(b, '\n')); err != nil {
		return nil, errors.Join(s.ioError(h.path(), err), h.Release())
	}
	return h, nil
}

// write says what is held. It need not survive a power cut, which ends this
// process as well.
func (h *Hold) write(b []byte) error {
	f, err := h.s.fs.OpenFile(h.path(), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(b, 0)
	return errors.Join(err, f.Close())
}

// holdLock ends the name of the file that is locked as long as a hold lasts.
// It is a file of its own because Windows lets nobody read what is locked.
const holdLock = ".lock"

func (h *Hold) path() string { return filepath.Join(h.s.dir, dirHolds, h.name) }

// Release ends the hold. A second one does nothing.
func (h *Hold) Release() error {
	if h == nil || h.lock == nil {
		return nil
	}
	// What cannot be removed (on Windows, while somebody reads it) counts for
	// nothing once the lock has gone, and the next removal takes it away.
	_ = h.s.removeIfThere(h.path()) // from here on it needs nothing
	if removesOpenFiles {
		_ = h.s.removeIfThere(h.path() + holdLock)
	}
	err := h.lock.Close()
	if !removesOpenFiles {
		_ = h.s.removeIfThere(h.path() + holdLock)
	}
	h.lock = nil
	if err != nil {
		return fmt.Errorf("end the hold on blobs: %w", h.s.ioError(h.path(), err))
	}
	return nil
}

// holds is what running processes need.
type holds struct {
	running bool // somebody needs something
	keys    map[string]bool
	stale   []string // files of processes that have ended
}

// needs reports whether a running process needs the blob of any of these keys.
func (h holds) needs(keys ...string) bool {
	for _, k := range keys {
		if h.keys[k] {
			return true
		}
	}
	return false
}

// readHolds lists what running processes need; a *BusyError when one of them
// needs everything, or does not say what. The caller has the store's lock, unless
// it is only going to tell what it would do.
func (s *Store) readHolds() (holds, error) {
	out := holds{keys: map[string]bool{}}
	dir := filepath.Join(s.dir, dirHolds)
	entries, err := s.fs.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return out, fmt.Errorf("list what running processes need: %w", err)
	}
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		if id, isLock := strings.CutSuffix(e.Name(), holdLock); isLock {
			path = filepath.Join(dir, id)
		} else if _, err := s.fs.Lstat(path + holdLock); err == nil {
			continue // its lock file tells
		}
		alive, err := s.lockedByOther(path + holdLock)
		if err != nil {
			return out, fmt.Errorf("look at hold %s: %w", e.Name(), err)
		}
		if !alive {
			out.stale = append(out.stale, path, path+holdLock)
			continue
		}
		j, err := s.readHold(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue // its owner is just about to end it: what is needed goes first
		}
		if err != nil || j.Everything {
			return out, &BusyError{What: j.What, PID: j.PID}
		}
		out.running = true
		for _, key := range j.Blobs {
			out.keys[key] = true
		}
	}
	return out, nil
}

func (s *Store) readHold(path string) (holdJSON, error) {
	b, err := readLimited(s.fs, path, maxHold)
	if err != nil {
		return holdJSON{}, err
	}
	j, ok := decodeHold(b)
	if !ok {
		return j, fmt.Errorf("%s: %w", path, ErrFormat)
	}
	return j, nil
}

// decodeHold reports false for what it does not understand, keys of blobs
// included: what somebody needs must not be guessed.
func decodeHold(b []byte) (holdJSON, bool) {
	var j holdJSON
	if json.Unmarshal(b, &j) != nil || j.Format != formatVersion || j.PID < 0 {
		return holdJSON{}, false
	}
	return j, !slices.ContainsFunc(j.Blobs, func(key string) bool { return !isPartialKey(key) })
}

// lockedByOther reports whether somebody has the lock of a file.
func (s *Store) lockedByOther(path string) (bool, error) {
	if _, err := s.fs.Lstat(path); errors.Is(err, fs.ErrNotExist) {
		return false, nil // Lock would make it
	}
	l, err := s.fs.Lock(path)
	switch {
	case errors.Is(err, ErrLocked):
		return true, nil
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	case err != nil:
		return false, err
	}
	return false, l.Close()
}

func (s *Store) removeIfThere(path string) error {
	if err := s.fs.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
