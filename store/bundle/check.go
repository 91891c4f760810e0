package bundle

import (
	"context"
	"crypto/sha256"
	"hash"

	"github.com/qbranch/qbranch/store"
)

// Check reads all of an archive (Open) and compares every part and every content
// with its digests, without a store; a *DamagedError names what is wrong.
func Check(ctx context.Context, a *Archive, o Options) error {
	o.fill()
	w := &walker{a: a, to: checker{}, strict: true, Options: o}
	if err := w.walk(ctx); err != nil {
		return err
	}
	if len(w.damage) > 0 || w.reason != "" {
		return &DamagedError{Files: w.damage, Reason: w.reason}
	}
	return nil
}

// checker takes contents nowhere.
type checker struct{}

func (checker) have(Content) bool { return false }

func (checker) open(_ context.Context, c Content, sums []store.Digest) (taker, error) {
	return &checked{c: c, sums: sums, sha: sha256.New()}, nil
}

// checked is one content while it is compared.
type checked struct {
	c    Content
	sums []store.Digest
	sha  hash.Hash
}

func (t *checked) held(int) bool { return false }
func (t *checked) workers() int  { return 1 } // SHA-256 wants the parts in order
func (t *checked) leave() error  { return nil }

func (t *checked) take(_ context.Context, i int, p []byte) (bool, error) {
	t.sha.Write(p) // never fails
	return store.SumPart(p) == t.sums[i], nil
}

func (t *checked) finish(context.Context) error {
	if got := store.Digest(t.sha.Sum(nil)); got != t.c.SHA256 {
		return &store.MismatchError{What: "SHA-256", Got: got.String(), Want: t.c.SHA256.String()}
	}
	return nil
}
