package fetch

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/qbranch/qbranch/store"
)

const second = "second.safetensors"

// drawn is a file's parts as letters: # on disk, . missing, ~ in flight, ! redo.
func drawn(parts []PartState) string {
	var b strings.Builder
	for _, p := range parts {
		b.WriteByte("#.~!"[p])
	}
	return b.String()
}

// progressOf finds a file.
func progressOf(t *testing.T, w *Watch, path string) FileProgress {
	t.Helper()
	for _, f := range w.Files() {
		if f.Path == path {
			return f
		}
	}
	t.Fatalf("%s is not shown", path)
	return FileProgress{}
}

func TestWatchBeforeAndAfter(t *testing.T) {
	b := newBench(t, map[string][]byte{weights: random(1, 3*MiB), "copy.safetensors": random(1, 3*MiB), "config.json": random(2, 10), "empty.txt": nil})
	b.Watch = new(Watch)
	if b.Watch.Files() != nil || b.Watch.Connections() != nil || b.Watch.Parts(weights, 10) != nil {
		t.Error("something is shown before there is a run")
	}
	b.mustRun()
	for _, f := range b.Watch.Files() {
		want := FileProgress{Path: f.Path, Size: int64(len(b.hub.files[f.Path])), State: FileVerified}
		want.Held, want.Hashed = want.Size, want.Size
		if f != want {
			t.Errorf("got %+v, want %+v", f, want)
		}
	}
	if got, want := len(b.Watch.Files()), len(b.files); got != want {
		t.Errorf("%d files are shown, want %d", got, want)
	}
	for path, want := range map[string]string{weights: "###", "copy.safetensors": "###", "config.json": "#", "empty.txt": "", "no such file": ""} {
		if got := drawn(b.Watch.Parts(path, 10)); got != want {
			t.Errorf("parts of %s: got %q, want %q", path, got, want)
		}
	}
	if got := b.Watch.Connections(); len(got) != 0 {
		t.Errorf("connections after the end: %+v", got)
	}
	b.again()
	b.mustRun()
	if f := progressOf(t, b.Watch, weights); f.State != FileReused || f.Held != f.Size {
		t.Errorf("the second time: %+v", f)
	}
}

// What is shown while parts come, a mebibyte in 16 s on each of two connections.
func TestWatchProgress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, map[string][]byte{weights: random(1, 4*MiB), second: random(2, 40*MiB+1)})
		b.Connections, b.Watch, b.Control = 2, new(Watch), new(Control)
		b.hub.script = func(ctx context.Context, _ int, _ request, body io.Reader) (io.Reader, error) {
			return slowly{ctx, body, 64 << 10, time.Second}, nil
		}
		looked := 0
		time.AfterFunc(40500*time.Millisecond, func() {
			looked++
			synctest.Wait()
			first, other := progressOf(t, b.Watch, weights), progressOf(t, b.Watch, second)
			lines := b.Watch.Connections()
			if len(lines) != 2 || lines[0].Number != 1 || lines[1].Number != 2 || lines[0].Received+lines[1].Received != b.stats.Received.Load() || min(lines[0].Received, lines[1].Received) < 2*MiB {
				t.Errorf("connections: %+v", lines)
			}
			if got := first.Connections + other.Connections; got != 2 {
				t.Errorf("%d connections at the files, want 2", got)
			}
			// Of two connections each has had two parts and a half.
			if got := first.Held + other.Held; got != 4*MiB {
				t.Errorf("%d bytes held, want 4 MiB", got)
			}
			all := drawn(b.Watch.Parts(weights, 99)) + drawn(b.Watch.Parts(second, 99))
			if len(all) != 45 || strings.Count(all, "#") != 4 || !strings.Contains(all, "~") || strings.Contains(all, "!") {
				t.Errorf("parts are %s", all)
			}
			if got := drawn(b.Watch.Parts(second, 10)); len(got) != 10 || !strings.HasSuffix(got, ".") {
				t.Errorf("in ten cells: %s", got)
			}
			b.Control.Pause()
			synctest.Wait()
			if got := drawn(b.Watch.Parts(weights, 99)) + drawn(b.Watch.Parts(second, 99)); strings.Count(got, "~") != 2 || strings.Contains(got, "!") { // each connection keeps half a part
				t.Errorf("parts in a pause are %s", got)
			}
			b.Control.Resume()
		})
		b.mustRun()
		if looked != 1 {
			t.Error("nobody looked")
		}
	})
}

// A request that failed shows at its connection, its file and its parts.
func TestWatchRetry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, map[string][]byte{weights: random(1, 4*MiB)})
		b.Connections, b.Watch, b.RetryWait = 1, new(Watch), time.Second
		b.hub.script = func(_ context.Context, number int, _ request, body io.Reader) (io.Reader, error) {
			if number == 0 {
				return cut(body, MiB+5), nil
			}
			return body, nil
		}
		looked := false
		b.Notify = func(ev Event) {
			if ev.Kind != EventRetry {
				return
			}
			looked = true
			lines, f := b.Watch.Connections(), progressOf(t, b.Watch, weights)
			if len(lines) != 1 || lines[0].Retries != 1 || !errors.Is(lines[0].Err, errReset) || lines[0].Path != weights {
				t.Errorf("connections: %+v", lines)
			}
			if f.Retries != 1 || f.State != FileFetching || f.Held != MiB {
				t.Errorf("file: %+v", f)
			}
			// With one connection everything lies in runs of a part or two.
			if got := drawn(b.Watch.Parts(weights, 4)); !strings.HasPrefix(got, "#!") {
				t.Errorf("parts are %s", got)
			}
		}
		b.mustRun()
		if !looked {
			t.Error("no retry")
		}
	})
}

// What came wrong is shown as to be fetched again until it has come right.
func TestWatchRepair(t *testing.T) {
	b := newBench(t, map[string][]byte{weights: random(1, 3*MiB)})
	b.Connections, b.Watch = 1, new(Watch)
	const at = MiB + 7
	hit, again := false, ""
	b.hub.script = func(_ context.Context, _ int, r request, body io.Reader) (io.Reader, error) {
		switch {
		case !hit && r.off <= at && at < r.off+r.n:
			hit = true
			return flipped(r, body, at), nil
		case hit && again == "" && r.off == 0:
			again = drawn(b.Watch.Parts(weights, 3)) + " " + string(progressOf(t, b.Watch, weights).State)
		}
		return body, nil
	}
	b.mustRun()
	if want := "!!! repairing"; again != want {
		t.Errorf("while it is fetched again: %q, want %q", again, want)
	}
}

// A file that another process has is waited for; a run that fails goes on
// showing what is on disk.
func TestWatchWaitingAndFailed(t *testing.T) {
	b := newBench(t, map[string][]byte{weights: random(1, 3*MiB), second: random(2, 2*MiB)})
	b.Connections, b.Watch = 1, new(Watch)
	in, err := b.Store.Ingest(t.Context(), Wanted(describe(second, b.hub.files[second])))
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	gone := errors.New("gone")
	state := make(chan FileState, 1)
	b.Notify = func(ev Event) {
		if ev.Kind == EventWait {
			state <- progressOf(t, b.Watch, second).State
		}
	}
	b.hub.script = func(_ context.Context, _ int, r request, body io.Reader) (io.Reader, error) {
		if r.off >= 2*MiB {
			if got := <-state; got != FileWaiting {
				t.Errorf("the other's file is %s", got)
			}
			return nil, gone
		}
		return cut(body, 2*MiB-r.off), nil
	}
	b.RetryWait = time.Microsecond
	if err := b.run(t.Context()); !errors.Is(err, gone) {
		t.Fatal(err)
	}
	if f := progressOf(t, b.Watch, weights); f.Held != 2*MiB || f.State == FileVerified || f.Connections != 0 {
		t.Errorf("after the failure: %+v", f)
	}
	if got := drawn(b.Watch.Parts(weights, 3)); !strings.HasPrefix(got, "##") {
		t.Errorf("parts after the failure: %s", got)
	}
}

func TestWatchCells(t *testing.T) {
	q := newQueue(1, 1)
	j := &job{content: &content{}}
	q.add(j, 10, []int{5, 6, 7, 8, 9})
	q.again(j, []int{0})
	q.runs = []*run{{job: j, next: 6, end: 9, asked: 8, reading: true}}
	for _, tt := range []struct {
		cells int
		want  string
	}{
		{10, "!####.~~.."},
		{5, "!#.~."},
		{3, "!~~"},
		{1, "!"},
	} {
		out := make([]PartState, tt.cells)
		q.show(j, out)
		if got := drawn(out); got != tt.want {
			t.Errorf("%d cells: got %s, want %s", tt.cells, got, tt.want)
		}
	}
}

// BenchmarkWatchParts is a look at the parts of a file of 50 GB.
func BenchmarkWatchParts(b *testing.B) {
	const parts = 48_000
	c := &content{file: describe(weights, nil), paths: []string{weights}, state: FileFetching}
	c.file.Size = parts * store.PartSize
	e := &engine{all: []*content{c}, queue: newQueue(16, 16)}
	c.job = &job{content: c}
	var missing []int
	for i := range parts {
		if i%3 == 0 {
			missing = append(missing, i)
		}
	}
	e.queue.add(c.job, parts, missing)
	w := new(Watch)
	w.run.Store(e)
	b.ReportAllocs()
	for b.Loop() {
		if !slices.Contains(w.Parts(weights, 240), PartMissing) {
			b.Fatal("nothing is missing")
		}
	}
}
