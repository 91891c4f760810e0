package fetch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/qbranch/qbranch/hub"
	"github.com/qbranch/qbranch/store"
)

const weights = "model.safetensors"

func TestPlan(t *testing.T) {
	same := random(1, 3*MiB)
	b := newBench(t, map[string][]byte{
		"a.safetensors":  same,
		"z.safetensors":  same,               // shares the content of a
		"b.safetensors":  random(2, 2*MiB+5), // three parts, the last one short
		"tokenizer.json": random(3, MiB+1),   // not LFS, yet too large for one piece
		"config.json":    []byte(`{"bits":4}`),
		".gitattributes": {},
	})
	p := b.plan()
	var got []string
	for _, f := range p.Files {
		got = append(got, fmt.Sprintf("%s %s %d %d", f.File.Path, f.State, f.Held, f.Parts))
	}
	want := []string{
		".gitattributes missing 0 0", "config.json missing 0 1",
		"a.safetensors missing 0 3", "b.safetensors missing 0 3", "tokenizer.json missing 0 2", "z.safetensors missing 0 0",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	bytes := int64(3*MiB + 2*MiB + 5 + MiB + 1 + 10)
	if p.Bytes != bytes || p.Held != 0 || p.Move != bytes || p.DiskNeeded != bytes || p.DiskFree <= 0 {
		t.Errorf("got %d bytes, %d held, %d to move, %d needed of %d free; want %d", p.Bytes, p.Held, p.Move, p.DiskNeeded, p.DiskFree, bytes)
	}

	// Two parts of a: its file is reserved, so the disk has to give less than moves.
	in, err := b.Store.Ingest(t.Context(), Wanted(describe("a.safetensors", same)))
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range []int{0, 2} {
		if err := in.WritePart(t.Context(), i, same[i*MiB:(i+1)*MiB]); err != nil {
			t.Fatal(err)
		}
	}
	if err := in.Close(); err != nil {
		t.Fatal(err)
	}
	p = b.plan()
	if f := p.Files[2]; f.State != StatePartial || f.Held != 2*MiB || f.Parts != 1 {
		t.Errorf("a: got %+v", f)
	}
	if f := p.Files[5]; f.State != StatePartial || f.Held != 2*MiB || f.Parts != 0 {
		t.Errorf("z: got %+v", f)
	}
	if p.Held != 2*MiB || p.Move != bytes-2*MiB || p.DiskNeeded > p.Move {
		t.Errorf("got %d held, %d to move, %d needed", p.Held, p.Move, p.DiskNeeded)
	}

	b.mustRun()
	for _, f := range b.plan().Files {
		if f.State != StateHeld || f.Held != f.File.Size || f.Parts != 0 {
			t.Errorf("after the run: got %+v", f)
		}
	}
}

func TestRun(t *testing.T) {
	same := random(1, 3*MiB)
	b := newBench(t, map[string][]byte{
		"a.safetensors":    same,
		"z.safetensors":    same,
		"b.safetensors":    random(2, 21*MiB+5),
		"tiny.safetensors": []byte("x"),
		"none.safetensors": {},
		"tokenizer.json":   random(3, MiB+1),
		"config.json":      []byte(`{"bits":4}`),
		"sub/README.md":    random(4, MiB),
		".gitattributes":   {},
	})
	b.mustRun()
	if b.hub.most > DefaultConnections {
		t.Errorf("%d connections at once", b.hub.most)
	}
	// Every file is told of once, both of the same content too.
	var told []string
	for _, ev := range b.events {
		if ev.Kind != EventFile || ev.Err != nil || ev.Bytes != int64(len(b.hub.files[ev.Path])) {
			t.Errorf("got %+v", ev)
		}
		told = append(told, ev.Path)
	}
	if slices.Sort(told); len(told) != 9 || len(slices.Compact(told)) != 9 {
		t.Errorf("told of %q", told)
	}
	// The shared content was asked for once, and no byte twice.
	var sum int64
	for _, r := range b.hub.log() {
		sum += r.n
		if r.path == "z.safetensors" {
			t.Error("asked for the same content under its second name")
		}
	}
	if want := b.plan().Bytes; sum != want {
		t.Errorf("asked for %d bytes, want %d", sum, want)
	}

	// Again: nothing to ask for.
	b.again()
	b.mustRun()
	if n := len(b.hub.log()); n != 0 {
		t.Errorf("%d requests for a branch that is there", n)
	}
	if n := len(b.of(EventReuse)); n != 9 || len(b.events) != 9 {
		t.Errorf("%d of %d events are reuses, want 9", n, len(b.events))
	}
}

// Small files are asked for first: a branch that cannot be had, or is not the
// one meant, shows before its gigabytes move.
func TestRunSmallFirst(t *testing.T) {
	b := newBench(t, map[string][]byte{
		"a.json": []byte("{}"), "b.json": []byte("[]"), "c.json": []byte("0"), weights: random(1, 3*MiB),
	})
	b.Connections = 1
	b.mustRun()
	for _, r := range b.hub.log()[:2] {
		if r.path == weights {
			t.Errorf("asked for %+v", b.hub.log())
		}
	}
}

// A commit without a branch leaves the branches alone; an empty one is a
// snapshot too.
func TestRunPinned(t *testing.T) {
	b := newBench(t, nil)
	p := b.plan()
	p.Branch = ""
	snap, err := b.Run(t.Context(), p)
	if err != nil || len(snap.Files) != 0 || snap.Branch != "" || snap.Created.IsZero() {
		t.Errorf("got %+v, %v", snap, err)
	}
	if c, ok := b.Store.BranchCommit(testRepo.String(), "main"); ok {
		t.Errorf("main was set to %s", c)
	}
}

// A connection that breaks costs nothing: the next request begins at the very
// byte that did not come.
func TestRunBrokenConnection(t *testing.T) {
	tests := []struct {
		name  string
		after int64 // bytes of the first body
	}{
		{"before the first byte", 0},
		{"in the first part", 1000},
		{"between parts", 2 * MiB},
		{"in a later part", 2*MiB + 77},
		{"one byte short", 3*MiB - 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t, map[string][]byte{weights: random(1, 6*MiB+1)})
				b.Connections = 1
				b.hub.script = func(_ context.Context, n int, r request, body io.Reader) (io.Reader, error) {
					if n == 0 {
						return cut(body, tt.after), nil
					}
					return body, nil
				}
				b.mustRun()
				if got := b.stats.Refetched.Load(); got != 0 {
					t.Errorf("refetched %d bytes", got)
				}
				log := b.hub.log()
				if log[1].off != tt.after || log[1].off+log[1].n != log[0].n {
					t.Errorf("asked for %+v, then %+v", log[0], log[1])
				}
				retries := b.of(EventRetry)
				if len(retries) != 1 || b.stats.Retries.Load() != 1 || retries[0].Path != weights || !errors.Is(retries[0].Err, hub.ErrNetwork) {
					t.Errorf("got retries %+v", retries)
				}
			})
		})
	}
}

// A body that ends early without saying so is a broken connection too.
func TestRunShortBody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, map[string][]byte{weights: random(1, 3*MiB), "config.json": []byte("{}")})
		short := make(map[string]bool)
		var mu sync.Mutex
		b.hub.script = func(_ context.Context, _ int, r request, body io.Reader) (io.Reader, error) {
			mu.Lock()
			defer mu.Unlock()
			if !short[r.path] {
				short[r.path] = true
				return io.LimitReader(body, r.n-1), nil
			}
			return body, nil
		}
		b.mustRun()
		for _, ev := range b.of(EventRetry) {
			if !errors.Is(ev.Err, io.ErrUnexpectedEOF) || !errors.Is(ev.Err, hub.ErrNetwork) {
				t.Errorf("got %v", ev.Err)
			}
		}
	})
}

// A connection that brings nothing is replaced after the stall time, one that
// brings a little now and then is not, and waiting for the limiter is not
// stalling.
func TestRunStall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, map[string][]byte{weights: random(1, 4*MiB)})
		b.Connections = 1
		b.hub.script = func(ctx context.Context, n int, r request, body io.Reader) (io.Reader, error) {
			if n == 0 {
				return stalled(ctx, body, MiB+10), nil
			}
			return slowly{ctx, body, 256 << 10, 14 * time.Second}, nil
		}
		start := time.Now()
		b.mustRun()
		// 15 s of silence, up to half a second of backoff, 12 times 14 s.
		if took := time.Since(start) - 12*14*time.Second; took < 15*time.Second || took > 16*time.Second {
			t.Errorf("took %v more than the bytes do", took)
		}
		ev := b.of(EventRetry)
		if len(ev) != 1 || !errors.Is(ev[0].Err, errStalled) || b.stats.Refetched.Load() != 0 {
			t.Errorf("got retries %+v, %d refetched", ev, b.stats.Refetched.Load())
		}
	})
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, map[string][]byte{weights: random(1, 2*MiB), "config.json": []byte("{}")})
		b.Stall = time.Second
		b.Control = new(Control)
		b.Control.Pause()
		time.AfterFunc(time.Hour, b.Control.Resume)
		b.mustRun()
		if ev := b.of(EventRetry); len(ev) != 0 {
			t.Errorf("a pause led to %+v", ev)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		// Small files are watched as well.
		b := newBench(t, map[string][]byte{"config.json": []byte("{}")})
		b.Stall = time.Minute
		b.hub.script = func(ctx context.Context, n int, r request, body io.Reader) (io.Reader, error) {
			if n == 0 {
				return stalled(ctx, body, 1), nil
			}
			return body, nil
		}
		b.mustRun()
		if ev := b.of(EventRetry); len(ev) != 1 || !errors.Is(ev[0].Err, errStalled) {
			t.Errorf("got %+v", ev)
		}
	})
}

// One connection that crawls does not hold up the others' end.
func TestRunSlowConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, map[string][]byte{weights: random(1, 40*MiB)})
		b.hub.script = func(ctx context.Context, n int, r request, body io.Reader) (io.Reader, error) {
			if n == 0 {
				return slowly{ctx, body, 1024, time.Second}, nil // 17 minutes for a part
			}
			return slowly{ctx, body, MiB, time.Second / 4}, nil
		}
		start := time.Now()
		b.mustRun()
		if took := time.Since(start); took > 20*time.Second {
			t.Errorf("took %v", took)
		}
		if got := b.stats.Refetched.Load(); got == 0 || got > MiB {
			t.Errorf("refetched %d bytes, want some of one part", got)
		}
	})
}

// More connections are used when each is slow, up to the most, and no more
// than that.
func TestRunAddsConnections(t *testing.T) {
	for _, most := range []int{1, 3, 6} {
		synctest.Test(t, func(t *testing.T) {
			b := newBench(t, map[string][]byte{weights: random(1, 24*MiB)})
			b.Connections = most
			b.hub.script = func(ctx context.Context, n int, r request, body io.Reader) (io.Reader, error) {
				return slowly{ctx, body, 32 << 10, 50 * time.Millisecond}, nil
			}
			b.mustRun()
			if b.hub.most != most {
				t.Errorf("%d connections at once, want %d", b.hub.most, most)
			}
		})
	}
}

// A file of some hundred megabytes is over in a second, so the first look at
// the line comes as soon as there are connections to look at.
func TestRunAddsConnectionsSoon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, map[string][]byte{weights: random(1, 48*MiB)})
		b.Connections = 16
		start := time.Now()
		var full atomic.Int64 // ns until all sixteen had asked for something
		b.hub.script = func(ctx context.Context, n int, r request, body io.Reader) (io.Reader, error) {
			if n == 15 {
				full.Store(int64(time.Since(start)))
			}
			return slowly{ctx, body, 32 << 10, 1600 * time.Microsecond}, nil // 20 MB/s
		}
		b.mustRun()
		if got := time.Duration(full.Load()); got == 0 || got > 100*time.Millisecond {
			t.Errorf("16 connections after %v, want 100 ms at most", got)
		}
	})
}

func TestRunLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, map[string][]byte{weights: random(1, 8*MiB), "README.md": random(2, MiB)})
		b.Limit = NewLimiter(MiB)
		start := time.Now()
		b.mustRun()
		if took := time.Since(start).Round(time.Second / 2); took != 9*time.Second {
			t.Errorf("9 MiB at 1 MiB/s took %v", took)
		}
	})
}

// What the hub asks us to wait is waited, and told.
func TestRunRetryAfter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, map[string][]byte{weights: random(1, 2*MiB)})
		b.Connections = 1
		b.hub.script = func(_ context.Context, n int, _ request, body io.Reader) (io.Reader, error) {
			if n == 0 {
				return nil, tooOften(90 * time.Second)
			}
			return body, nil
		}
		start := time.Now()
		b.mustRun()
		if took := time.Since(start); took < 90*time.Second || took > 91*time.Second {
			t.Errorf("took %v, want 90 s", took)
		}
		if ev := b.of(EventRetry); len(ev) != 1 || ev[0].Wait < 90*time.Second {
			t.Errorf("told %+v", ev)
		}
	})
}

// Who is patient outlasts a line that is broken for longer than others wait.
func TestPatient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, map[string][]byte{weights: random(1, 8*MiB)})
		b.Connections, b.Patient = 1, true
		failed := 0
		b.hub.script = func(_ context.Context, _ int, r request, body io.Reader) (io.Reader, error) {
			if r.off >= 6*MiB && failed < 3*maxTries {
				failed++
				return nil, errReset
			}
			return body, nil
		}
		b.mustRun()
		if failed != 3*maxTries {
			t.Errorf("%d tries failed", failed)
		}
	})
}

// Errors that end a run: they are found by errors.Is, everything that came is
// kept, and no file is published that is not whole.
func TestRunFails(t *testing.T) {
	gated := &hub.Error{Op: "fetch", Kind: hub.ErrGated}
	wrongRange := &hub.Error{Op: "fetch", Kind: hub.ErrRange}
	tests := []struct {
		name  string
		fault error // of every request for the second half
		want  error
		tries int // of the request that fails, at most
	}{
		{"no access", gated, hub.ErrGated, 1},
		{"wrong range", wrongRange, hub.ErrRange, 1},
		{"the line stays broken", errReset, hub.ErrNetwork, maxTries},
		{"asked to wait too long", tooOften(time.Hour), hub.ErrNetwork, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t, map[string][]byte{weights: random(1, 8*MiB), "config.json": []byte("{}")})
				b.Connections = 1
				failed := 0
				b.hub.script = func(_ context.Context, _ int, r request, body io.Reader) (io.Reader, error) {
					if r.off >= 6*MiB {
						failed++
						return nil, tt.fault
					}
					return body, nil
				}
				err := b.run(t.Context())
				if !errors.Is(err, tt.want) {
					t.Errorf("got %v, want %v", err, tt.want)
				}
				if failed != tt.tries {
					t.Errorf("%d tries, want %d", failed, tt.tries)
				}
				b.unpublished(weights)
				if p := b.plan(); p.Held != 6*MiB+2 {
					t.Errorf("%d bytes were kept", p.Held)
				}
				b.hub.script = nil
				b.again()
				b.mustRun()
			})
		})
	}
}

func TestRunNoSpace(t *testing.T) {
	b := newBench(t, map[string][]byte{"config.json": []byte("{}")})
	huge := hub.File{Path: weights, Size: 1 << 43, LFS: true, SHA256: hub.SHA256{1}}
	b.files = append(b.files, huge)
	err := b.run(t.Context())
	var full *store.NoSpaceError
	if !errors.Is(err, store.ErrNoSpace) || !errors.As(err, &full) {
		t.Fatalf("got %v", err)
	}
	if full.Need != 1<<43+2 || full.Free <= 0 || full.Hint() == "" {
		t.Errorf("got %+v", full)
	}
	if n := len(b.hub.log()); n != 0 {
		t.Errorf("%d requests before the disk was looked at", n)
	}
}

// A plan that was not made from a checked listing is refused, not believed.
func TestRunBadPlan(t *testing.T) {
	tests := []struct {
		name string
		file hub.File
		want error
	}{
		{"negative length", hub.File{Path: "a", Size: -1, OID: hub.GitOID{1}}, hub.ErrBadListing},
		{"no digest", hub.File{Path: "a", Size: 1}, nil},
		{"no digest, by LFS", hub.File{Path: weights, Size: 1, LFS: true}, nil},
		{"absurd length", hub.File{Path: weights, Size: 1 << 62, LFS: true, SHA256: hub.SHA256{1}}, nil},
	}
	for _, tt := range tests {
		b := newBench(t, map[string][]byte{"a": []byte("a"), weights: []byte("w")})
		_, err := b.Run(t.Context(), Plan{Repo: testRepo, Commit: testCommit, Files: []FilePlan{{File: tt.file}}})
		if err == nil || tt.want != nil && !errors.Is(err, tt.want) {
			t.Errorf("%s: got %v", tt.name, err)
		}
	}
}

// What somebody else is fetching is waited for, and the rest fetched meanwhile.
// If he gives up, the run goes on where he was.
func TestRunWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, map[string][]byte{"a.safetensors": random(1, 4*MiB), "b.safetensors": random(2, 2*MiB)})
		other, err := openStore(t, b.Store.Dir()).Ingest(t.Context(), Wanted(b.files[0]))
		if err != nil {
			t.Fatal(err)
		}
		if err := other.WritePart(t.Context(), 1, b.hub.files["a.safetensors"][MiB:2*MiB]); err != nil {
			t.Fatal(err)
		}
		time.AfterFunc(time.Hour, func() {
			if _, ok := b.Store.Find(Wanted(b.files[1])); !ok {
				t.Error("the other file was not fetched meanwhile")
			}
			if err := other.Close(); err != nil {
				t.Error(err)
			}
		})
		b.mustRun()
		if ev := b.of(EventWait); len(ev) != 1 || ev[0].Path != "a.safetensors" {
			t.Errorf("told %+v", ev)
		}
		for _, r := range b.hub.log() {
			if r.path == "a.safetensors" && r.off <= MiB && MiB < r.off+r.n {
				t.Errorf("asked again for what the other one had: %+v", r)
			}
		}
	})
}

// Two runs of the same plan at once: each content is fetched by one of them, and
// both end well.
func TestRunTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		files := make(map[string][]byte)
		for i := range 6 {
			files[fmt.Sprintf("%d.safetensors", i)] = random(uint64(i), 20*MiB)
		}
		b := newBench(t, files)
		b.Connections = 1 // so that not all files are opened at once
		b.hub.script = func(ctx context.Context, _ int, _ request, body io.Reader) (io.Reader, error) {
			return slowly{ctx, body, MiB / 4, time.Second / 4}, nil
		}
		start := time.Now()
		second := make(chan error)
		go func() {
			f := &Fetcher{Hub: b.hub, Store: openStore(t, b.Store.Dir()), Connections: 1}
			_, err := f.Run(t.Context(), b.plan())
			second <- err
		}()
		p := b.plan()
		if _, err := b.Run(t.Context(), p); err != nil {
			t.Fatal(err)
		}
		if err := <-second; err != nil {
			t.Fatal(err)
		}
		b.checkSnapshot()
		var asked int64
		for _, r := range b.hub.log() {
			asked += r.n
		}
		if asked != p.Bytes {
			t.Errorf("asked for %d bytes, want %d: each once", asked, p.Bytes)
		}
		if took := time.Since(start); took > 100*time.Second {
			t.Errorf("took %v, alone it takes 120 s", took)
		}
	})
}

// Wherever a run is cancelled, it ends at once, and the next one asks for
// exactly what is missing.
func TestRunResumes(t *testing.T) {
	data := map[string][]byte{weights: random(1, 12*MiB+99), "b.safetensors": random(2, 5*MiB), "config.json": []byte("{}")}
	for after := int64(0); after < 17*MiB+99+2; after += 2*MiB + 123_457 {
		b := newBench(t, data)
		ctx, cancel := context.WithCancel(t.Context())
		var mu sync.Mutex
		left := after
		b.hub.script = func(_ context.Context, _ int, r request, body io.Reader) (io.Reader, error) {
			return readerFunc(func(p []byte) (int, error) {
				mu.Lock()
				defer mu.Unlock()
				if left == 0 {
					cancel()
					return 0, ctx.Err()
				}
				n, err := body.Read(p[:min(int64(len(p)), left)])
				left -= int64(n)
				return n, err
			}), nil
		}
		err := b.run(ctx)
		cancel()
		if !errors.Is(err, context.Canceled) {
			t.Fatalf("cancelled after %d bytes: got %v", after, err)
		}
		b.unpublished()
		done := b.stats.Done.Load()
		received := b.stats.Received.Load()
		if lost := received - done; lost > DefaultConnections*MiB || lost < 0 {
			t.Errorf("cancelled after %d bytes: %d came and %d were kept", after, received, done)
		}
		p := b.plan()
		if p.Held != done {
			t.Errorf("cancelled after %d bytes: the plan holds %d, Stats said %d", after, p.Held, done)
		}
		b.hub.script = nil
		b.again()
		pieces := leftPieces(t, b.Store, b.files)
		b.mustRun()
		var asked int64
		for _, r := range b.hub.log() {
			asked += r.n
		}
		if asked != p.Move-pieces {
			t.Errorf("cancelled after %d bytes: asked for %d bytes, %d were missing, less %d in pieces", after, asked, p.Move, pieces)
		}
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// Progress never goes back, also when parts are dropped.
func TestStatsMonotone(t *testing.T) {
	b := newBench(t, map[string][]byte{weights: random(1, 30*MiB)})
	b.hub.script = func(_ context.Context, n int, r request, body io.Reader) (io.Reader, error) {
		if n < 4 {
			body = flipped(r, body, r.off+5)
		}
		return body, nil
	}
	done, stop := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		var last, verified int64
		for {
			d, v := b.stats.Done.Load(), b.stats.Verified.Load()
			if d < last || v < verified {
				t.Errorf("done went from %d to %d, verified from %d to %d", last, d, verified, v)
			}
			last, verified = d, v
			select {
			case <-stop:
				return
			default:
			}
		}
	}()
	b.mustRun()
	close(stop)
	<-done
}

// partials returns the data files of unfinished ingestions.
func partials(t *testing.T, dir string) (out []string) {
	t.Helper()
	err := filepath.WalkDir(filepath.Join(dir, "partial"), func(path string, d os.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			if fi, err := d.Info(); err == nil && fi.Size() >= MiB {
				out = append(out, path)
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// A plan of some files of a commit leaves their contents, and no snapshot that
// would say that the commit is there.
func TestRunSome(t *testing.T) {
	b := newBench(t, map[string][]byte{weights: random(1, 2*MiB), "config.json": []byte("{}")})
	p := b.plan()
	p.Files, p.Some = p.Files[:1], true
	snap, err := b.Run(t.Context(), p)
	if err != nil || len(snap.Files) != 1 || snap.Files[0].Path != "config.json" {
		t.Fatalf("got %+v, %v", snap, err)
	}
	b.unpublished(weights)
	if _, ok := b.Store.BranchCommit(testRepo.String(), "main"); ok {
		t.Error("the branch is said to stand somewhere")
	}
	if p := b.plan(); p.Held != 2 {
		t.Errorf("%d bytes are held", p.Held)
	}
}
