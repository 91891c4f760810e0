package fetch

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/qbranch/qbranch/store"
)

func TestBatches(t *testing.T) {
	tests := []struct {
		name           string
		suspects, rest int
		want           []int // lengths
	}{
		{"small", 0, 3, []int{3}},
		{"suspects first", 2, 100, []int{2, 32, 32, 32, 4}},
		{"nothing but suspects", 4, 0, []int{4}},
	}
	for _, tt := range tests {
		var got []int
		for _, b := range batches(all(tt.suspects), all(tt.rest)) {
			got = append(got, len(b))
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s: got %v, want %v", tt.name, got, tt.want)
		}
	}
}

// A byte that came wrong once is found out at the end and fetched again; the
// part it was in is named.
func TestRepairFlippedOnce(t *testing.T) {
	b := newBench(t, map[string][]byte{weights: random(1, 20*MiB+3)})
	const at = 13*MiB + 4567
	hit := false
	b.Connections = 1
	b.hub.script = func(_ context.Context, _ int, r request, body io.Reader) (io.Reader, error) {
		if !hit && r.off <= at && at < r.off+r.n {
			hit = true
			return flipped(r, body, at), nil
		}
		return body, nil
	}
	b.mustRun()
	events := b.of(EventMismatch)
	if len(events) != 2 {
		t.Fatalf("got %+v", events)
	}
	if ev := events[0]; ev.Path != weights || !errors.Is(ev.Err, store.ErrMismatch) || ev.Bytes != 20*MiB+3 || len(ev.Ranges) != 1 {
		t.Errorf("found out: got %+v", ev)
	}
	if ev := events[1]; ev.Path != weights || ev.Err != nil || ev.Bytes != MiB || !slices.Equal(ev.Ranges, []store.Range{{Offset: 13 * MiB, Length: MiB}}) {
		t.Errorf("healed: got %+v", ev)
	}
	if got := b.stats.Refetched.Load(); got != 20*MiB+3 {
		t.Errorf("refetched %d bytes", got)
	}
}

// When the wrong part has come again, no other one is fetched.
func TestRepairStopsEarly(t *testing.T) {
	b := newBench(t, map[string][]byte{weights: random(1, 3*repairBatch*MiB)})
	const at = (repairBatch + 3) * MiB
	var hit atomic.Bool
	b.hub.script = func(_ context.Context, _ int, r request, body io.Reader) (io.Reader, error) {
		if r.off <= at && at < r.off+r.n && hit.CompareAndSwap(false, true) {
			return flipped(r, body, at), nil
		}
		return body, nil
	}
	b.mustRun()
	if got := b.stats.Refetched.Load(); got != 2*repairBatch*MiB {
		t.Errorf("refetched %d parts, want two batches", got/MiB)
	}
	events := b.of(EventMismatch)
	if len(events) != 2 || !slices.Equal(events[1].Ranges, []store.Range{{Offset: at, Length: MiB}}) {
		t.Errorf("got %+v", events)
	}
}

// A host whose bytes are others each time does not make us hash without end.
func TestRepairNeverTheSame(t *testing.T) {
	b := newBench(t, map[string][]byte{weights: random(1, 40*MiB)})
	b.hub.script = func(_ context.Context, n int, r request, _ io.Reader) (io.Reader, error) {
		return bytes.NewReader(random(uint64(100+n), int(r.n))), nil
	}
	var m *MismatchError
	if err := b.run(t.Context()); !errors.As(err, &m) {
		t.Fatalf("got %v", err)
	}
	if got := b.stats.Received.Load(); got != 2*40*MiB {
		t.Errorf("received %d parts", got/MiB)
	}
	b.unpublished(weights)
}

// What came over a connection that broke is doubted first, and if that was it,
// nothing else is fetched again.
func TestRepairDoubtsBrokenConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, map[string][]byte{weights: random(1, 20*MiB)})
		b.Connections = 1
		b.hub.script = func(_ context.Context, n int, r request, body io.Reader) (io.Reader, error) {
			if n == 0 { // brings parts 0 to 2, the second one wrong
				return cut(flipped(r, body, MiB), 3*MiB+1), nil
			}
			return body, nil
		}
		b.mustRun()
		events := b.of(EventMismatch)
		if len(events) != 2 || !slices.Equal(events[1].Ranges, []store.Range{{Offset: MiB, Length: MiB}}) {
			t.Errorf("got %+v", events)
		}
		// The rest of the run came after a retry.
		run := b.hub.log()[0]
		if got := b.stats.Refetched.Load(); got != run.n {
			t.Errorf("refetched %d bytes, want the %d of the run that broke", got, run.n)
		}
	})
}

// A host that always sends other bytes than it lists is found out after
// everything was fetched twice, and nothing is published.
func TestRepairFlippedAlways(t *testing.T) {
	b := newBench(t, map[string][]byte{weights: random(1, 5*MiB), "README.md": []byte("hello")})
	bad := weights
	b.hub.script = func(_ context.Context, _ int, r request, body io.Reader) (io.Reader, error) {
		if r.path == bad {
			return flipped(r, body, 2), nil
		}
		return body, nil
	}
	check := func(what string, times int) {
		t.Helper()
		err := b.run(t.Context())
		var m *MismatchError
		if !errors.Is(err, store.ErrMismatch) || !errors.As(err, &m) {
			t.Fatalf("got %v", err)
		}
		if m.Repo != testRepo || m.Path != bad || m.Times != times || m.Err.What != what || m.Err.Got == m.Err.Want || m.Hint() == "" {
			t.Errorf("got %+v: %+v", m, m.Err)
		}
		b.unpublished(bad)
	}
	check("SHA-256", 2)
	if got := b.stats.Received.Load(); got != 10*MiB+5 {
		t.Errorf("received %d bytes", got)
	}
	// The same for a small file.
	bad = "README.md"
	b.hub.files[bad] = []byte("other")
	b.files[0] = describe(bad, b.hub.files[bad])
	check("git blob id", 3)

	// What is left behind can be healed when the host has come to its senses,
	// though it is not known any more which part is wrong.
	b.hub.script = nil
	b.again()
	if err := b.run(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.checkSnapshot()
}

// Bytes that the disk changed after they came are told from bytes that came
// wrong: only they are fetched again.
func TestRepairBadDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, map[string][]byte{weights: random(1, 8*MiB)})
		b.Connections = 2
		var once sync.Once
		b.hub.script = func(ctx context.Context, _ int, r request, body io.Reader) (io.Reader, error) {
			if r.off != 0 || b.stats.Done.Load() > 7*MiB {
				return body, nil
			}
			// Part 0 comes last, so that SHA-256 has not begun by then.
			return readerFunc(func(p []byte) (int, error) {
				for b.stats.Done.Load() < 7*MiB {
					if err := sleep(ctx, time.Second); err != nil {
						return 0, err
					}
				}
				once.Do(func() { damage(t, b.Store.Dir(), 3*MiB+5) })
				return body.Read(p)
			}), nil
		}
		b.mustRun()
		events := b.of(EventMismatch)
		want := []store.Range{{Offset: 3 * MiB, Length: MiB}}
		if len(events) != 1 || !slices.Equal(events[0].Ranges, want) || events[0].Bytes != MiB || events[0].Err == nil {
			t.Errorf("got %+v", events)
		}
		if got := b.stats.Refetched.Load(); got != MiB {
			t.Errorf("refetched %d bytes", got)
		}
	})
}

// damage writes a byte of the only partial.
func damage(t *testing.T, dir string, at int64) {
	t.Helper()
	paths := partials(t, dir)
	if len(paths) != 1 {
		t.Fatalf("got partials %q", paths)
	}
	f, err := os.OpenFile(paths[0], os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	p := make([]byte, 1)
	if _, err := f.ReadAt(p, at); err != nil {
		t.Fatal(err)
	}
	p[0] ^= 0x10
	if _, err := f.WriteAt(p, at); err != nil {
		t.Fatal(err)
	}
}

// A blob that was verified and went bad on the disk since then is repaired by
// fetching its bad parts only.
func TestRepairPublishedBlob(t *testing.T) {
	b := newBench(t, map[string][]byte{weights: random(1, 8*MiB)})
	b.mustRun()
	path := b.Store.Path(store.Digest(b.files[0].SHA256))
	if err := os.Chmod(path, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte("damage"), 5*MiB); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	var corrupt *store.CorruptError
	if err := b.Store.Verify(t.Context(), store.Digest(b.files[0].SHA256), 0, func(int64) {}); !errors.As(err, &corrupt) {
		t.Fatalf("verify: got %v", err)
	}
	b.again()
	b.mustRun()
	if log := b.hub.log(); len(log) != 1 || log[0].off != 5*MiB || log[0].n != MiB {
		t.Errorf("asked for %+v", log)
	}
}
