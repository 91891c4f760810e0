package fetch

import (
	"crypto/sha256"
	"errors"
	"io"
	"slices"
	"testing"

	"github.com/qbranch/qbranch/hub/hubtest"
	"github.com/qbranch/qbranch/store"
)

// What a bad day may cost, in bytes that storage sent. The hub's log says it,
// not we.

// bigBed serves one file of n bytes from a seed.
func bigBed(t *testing.T, n int64) (*bed, *hubtest.Content) {
	t.Helper()
	b := newBed(t, "one file", moments[1].of, hubtest.Options{})
	c := hubtest.Synthetic(n, 5)
	b.path, b.size, b.at = "big.safetensors", n, n/2
	if _, err := b.server.SetFiles(testRepo.String(), "main", map[string]*hubtest.Content{b.path: c}); err != nil {
		t.Fatal(err)
	}
	return b, c
}

// holds compares the only file of main with its source.
func (b *bed) holds(c *hubtest.Content) {
	b.t.Helper()
	want, err := c.SHA256()
	if err != nil {
		b.t.Fatal(err)
	}
	snap, err := b.store.Snapshot(testRepo.String(), b.server.Commit(testRepo.String(), "main"))
	if err != nil || len(snap.Files) != 1 || snap.Files[0].SHA256 != store.Digest(want) {
		b.t.Fatalf("got %+v, %v", snap, err)
	}
	r, err := hubtest.OnDisk(b.store.Path(snap.Files[0].SHA256))
	if err != nil {
		b.t.Fatal(err)
	}
	if got, err := r.SHA256(); err != nil || got != want {
		b.t.Errorf("the store has other bytes: %x, %v", got, err)
	}
}

// A connection breaks each 32 MiB, and all links expire half way: what is
// fetched twice stays below a fiftieth.
func TestBreaksCostLittle(t *testing.T) {
	for name, f := range map[string]hubtest.Fault{"reset": {ResetEvery: 32 * MiB}, "closed": {CloseEvery: 32 * MiB}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, c := bigBed(t, 100*MiB+1)
			b.fault(f)
			b.fault(hubtest.Fault{At: b.at + 1, DoAfter: 1, Times: 1, Do: b.server.ExpireURLs})
			stats := new(Stats)
			if _, err := b.get(t.Context(), stats, nil); err != nil {
				t.Fatal(err)
			}
			b.holds(c)
			if most := b.size / 100 * 102; b.sent() > most {
				t.Errorf("storage sent %d bytes for %d, at most %d are fair", b.sent(), b.size, most)
			}
			if stats.Retries.Load() == 0 {
				t.Error("no connection broke")
			}
		})
	}
}

// A bit that flips once on the way: found, located, and the whole costs at most
// as much again.
func TestFlippedBitCosts(t *testing.T) {
	b, c := bigBed(t, 20*MiB+1)
	b.conns = 1 // two may read one part, and the wrong one be thrown away
	b.fault(hubtest.Fault{FlipAt: b.at + 1, Times: 1})
	var events []Event
	if _, err := b.get(t.Context(), new(Stats), func(ev Event) { events = append(events, ev) }); err != nil {
		t.Fatal(err)
	}
	b.holds(c)
	if b.sent() > 2*b.size {
		t.Errorf("storage sent %d bytes for %d", b.sent(), b.size)
	}
	part := b.at / MiB * MiB
	located := slices.ContainsFunc(events, func(ev Event) bool {
		return ev.Kind == EventMismatch && ev.Err == nil && slices.Equal(ev.Ranges, []store.Range{{Offset: part, Length: MiB}})
	})
	if !located {
		t.Errorf("no event says that the part at %d was wrong: %+v", part, events)
	}
}

// A host that keeps lying is named, nothing of it is published, and it does not
// get us to fetch for ever.
func TestLiesCostNoMore(t *testing.T) {
	b, _ := bigBed(t, 10*MiB+1)
	b.fault(hubtest.Fault{FlipAt: b.at + 1})
	p, err := b.get(t.Context(), new(Stats), nil)
	var m *MismatchError
	if !errors.As(err, &m) || m.Path != b.path || m.Repo != testRepo {
		t.Errorf("got %v", err)
	}
	if _, err := b.store.Snapshot(testRepo.String(), string(p.Commit)); err == nil {
		t.Error("a snapshot was published")
	}
	if b.sent() > 2*b.size+slack {
		t.Errorf("storage sent %d bytes for %d", b.sent(), b.size)
	}
}

// Many small files, each with a bad moment now and then.
func TestManySmallFiles(t *testing.T) {
	b := newBed(t, "one file", moments[0].of, hubtest.Options{PageSize: 100})
	files := hubtest.SmallFiles(300, 500, 3)
	if _, err := b.server.SetFiles(testRepo.String(), "main", files); err != nil {
		t.Fatal(err)
	}
	for _, digits := range []string{"07", "31", "59", "83"} { // of three files each
		b.server.AddFault(hubtest.Fault{Origin: "api", PathContains: digits + ".json", Times: 5, Status: 503})
		b.server.AddFault(hubtest.Fault{Origin: "api", PathContains: digits + ".json", Times: 5, CloseAfter: 100})
	}
	if _, err := b.get(t.Context(), new(Stats), nil); err != nil {
		t.Fatal(err)
	}
	snap, err := b.store.Snapshot(testRepo.String(), b.server.Commit(testRepo.String(), "main"))
	if err != nil || len(snap.Files) != len(files) {
		t.Fatalf("got %d files, %v", len(snap.Files), err)
	}
	for _, f := range snap.Files {
		r, err := files[f.Path].Open()
		if err != nil {
			t.Fatal(err)
		}
		want, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		if f.SHA256 != sha256.Sum256(want) {
			t.Errorf("%s: other bytes", f.Path)
		}
	}
}
