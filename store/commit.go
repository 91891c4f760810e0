package store

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"path/filepath"
	"strconv"
)

// Commit waits for the frontier, checks length and digests, then fsync, rename,
// fsync of the directory. ErrMismatch leaves the ingestion open for Recheck and
// Drop, and so does a cancelled ctx.
func (in *Ingest) Commit(ctx context.Context) (Digest, error) {
	in.life.Lock()
	defer in.life.Unlock()
	if in.ended {
		return Digest{}, errClosed
	}
	if in.published() {
		if err := in.s.settleBlob(in.done); err != nil {
			return Digest{}, fmt.Errorf("commit blob %s: %w", in.want.key(), err)
		}
		in.ended = true
		return in.done, nil
	}
	in.pause()
	defer in.resume()
	if in.failed != nil {
		return Digest{}, in.failed
	}
	d, err := in.check(ctx)
	if err != nil {
		return Digest{}, fmt.Errorf("commit blob %s: %w", in.want.key(), err)
	}
	if err := in.publish(d); err != nil {
		return Digest{}, fmt.Errorf("commit blob %s: %w", in.want.key(), err)
	}
	return d, nil
}

// check returns the SHA-256 of the whole content when everything about it is as
// it was wanted. The caller has paused the follower.
func (in *Ingest) check(ctx context.Context) (Digest, error) {
	if in.front < in.n {
		missing := in.n - len(in.heldParts())
		return Digest{}, fmt.Errorf("%d of %d parts are missing", missing, in.n)
	}
	fi, err := in.data.Stat()
	if err != nil {
		return Digest{}, err
	}
	if fi.Size() != in.want.Size {
		return Digest{}, &MismatchError{What: "length",
			Got: strconv.FormatInt(fi.Size(), 10), Want: strconv.FormatInt(in.want.Size, 10)}
	}
	for in.hashed < in.n {
		if err := ctx.Err(); err != nil {
			return Digest{}, err
		}
		if err := in.hashPart(in.hashed); err != nil {
			return Digest{}, err
		}
	}
	d := Digest(in.sha.Sum(nil))
	return d, in.want.verify(ctx, d, in.data)
}

// verify compares digests with what w wants; content is read only when the git
// blob id is wanted.
func (w Want) verify(ctx context.Context, d Digest, content io.ReaderAt) error {
	if !w.hasGit() || !w.SHA256.IsZero() && d != w.SHA256 {
		return w.compare(d, nil)
	}
	h := newGitHash(w.Size)
	buf := make([]byte, min(PartSize, w.Size))
	for i := range numParts(w.Size) {
		if err := ctx.Err(); err != nil {
			return err
		}
		p := buf[:partLen(w.Size, i)]
		if err := readPart(content, i, p); err != nil {
			return err
		}
		h.Write(p)
	}
	return w.compare(d, h)
}

// compare compares digests with what w wants; git has had all bytes, and may be
// nil when no git blob id is wanted or the SHA-256 is wrong.
func (w Want) compare(d Digest, git hash.Hash) error {
	if !w.SHA256.IsZero() && d != w.SHA256 {
		return &MismatchError{What: "SHA-256", Got: d.String(), Want: w.SHA256.String()}
	}
	if !w.hasGit() {
		return nil
	}
	if got := git.Sum(nil); [20]byte(got) != w.GitOID {
		return &MismatchError{What: "git blob id", Got: hex.EncodeToString(got), Want: hex.EncodeToString(w.GitOID[:])}
	}
	return nil
}

// publish makes the verified content a blob: everything durable, the list of
// parts and the git alias before the name, the name before the mark is taken
// away. A list or alias without a blob is nothing.
func (in *Ingest) publish(d Digest) error {
	if err := in.data.Sync(); err != nil {
		in.mu.Lock()
		defer in.mu.Unlock()
		return in.fail(err)
	}
	if err := in.s.writeParts(partList{blob: d, size: in.want.Size, sums: in.sums}); err != nil {
		return err
	}
	if err := in.s.fs.Chmod(in.p.data(), 0o444); err != nil {
		return err
	}
	if err := in.s.setAlias(in.want, d); err != nil {
		return err
	}
	// What may need space is done while a failure leaves the ingestion open.
	if err := in.s.ensureDir(filepath.Dir(in.s.Path(d))); err != nil {
		return err
	}
	// From here the ingestion ends, whatever happens: on Windows a file has to
	// be closed to be renamed. What is left after a failure can be resumed.
	err := in.end()
	if err == nil {
		err = in.s.publish(in.p.data(), d, in.want.Size)
	}
	if err == nil {
		err = in.s.removeFile(in.s.corruptPath(d))
	}
	if err != nil {
		return errors.Join(err, in.p.lock.Close())
	}
	return in.p.remove()
}

// Put ingests a small content (config, tokenizer, card) in one go, checks it
// against w and publishes it. ErrMismatch.
func (s *Store) Put(ctx context.Context, w Want, data []byte) (Digest, error) {
	if err := ctx.Err(); err != nil {
		return Digest{}, err
	}
	if err := w.check(); err != nil {
		return Digest{}, fmt.Errorf("put: %w", err)
	}
	d, err := s.put(ctx, w, data)
	if err != nil {
		return Digest{}, fmt.Errorf("put blob %s: %w", w.key(), err)
	}
	return d, nil
}

func (s *Store) put(ctx context.Context, w Want, data []byte) (Digest, error) {
	if int64(len(data)) != w.Size {
		return Digest{}, &MismatchError{What: "length", Got: strconv.Itoa(len(data)), Want: strconv.FormatInt(w.Size, 10)}
	}
	d := Digest(sha256.Sum256(data))
	if err := w.verify(ctx, d, bytes.NewReader(data)); err != nil {
		return Digest{}, err
	}
	if s.has(d, w.Size) {
		return d, errors.Join(s.settleBlob(d), s.setAlias(w, d))
	}
	parts := partList{blob: d, size: w.Size}
	err := hashParts(ctx, bytes.NewReader(data), w.Size, nil, 1, func(_ int, sum Digest, err error) error {
		parts.sums = append(parts.sums, sum) // one worker: in order
		return err
	})
	if err == nil {
		err = s.writeParts(parts)
	}
	if err == nil {
		err = s.setAlias(w, d)
	}
	if err != nil {
		return Digest{}, err
	}
	tmp, err := s.writeTemp(data, 0o444)
	if err != nil {
		return Digest{}, err
	}
	if err := s.publish(tmp, d, w.Size); err != nil {
		return Digest{}, errors.Join(err, s.removeFile(tmp))
	}
	return d, s.removeFile(s.corruptPath(d))
}
