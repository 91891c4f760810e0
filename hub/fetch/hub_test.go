package fetch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/qbranch/qbranch/hub"
	"github.com/qbranch/qbranch/hub/hubtest"
	"github.com/qbranch/qbranch/store"
)

// line is the real client, the real store and a hub on loopback.
type line struct {
	*Fetcher
	t      *testing.T
	server *hubtest.Server
	client *hub.Client
	data   map[string][]byte
	commit hub.Commit
	files  []hub.File
	stats  *Stats
	events []Event
}

func newLine(t *testing.T) *line {
	t.Helper()
	l := &line{t: t, data: map[string][]byte{
		"model-00001-of-00002.safetensors": random(1, 5*MiB+77),
		"model-00002-of-00002.safetensors": random(2, 2*MiB),
		"tokenizer.model":                  random(3, 1000), // by LFS, though small
		"tokenizer.json":                   random(4, 2*MiB+5),
		"config.json":                      []byte(`{"bits":4}`),
	}}
	var err error
	if l.server, err = hubtest.Start(hubtest.Options{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.server.Close(); err != nil {
			t.Error(err)
		}
	})
	err = l.server.Add(hubtest.RepoData{ID: "o/n", Branches: map[string]map[string][]byte{"main": l.data}})
	if err != nil {
		t.Fatal(err)
	}
	l.client, err = hub.NewClient(hub.Options{
		Endpoint: l.server.URL(), Token: hub.NewToken("hf_secret", "test"), RetryWait: time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.client.Close(); err != nil {
			t.Error(err)
		}
	})
	if l.commit, err = l.client.Revision(t.Context(), testRepo, "main"); err != nil {
		t.Fatal(err)
	}
	if l.files, err = l.client.Tree(t.Context(), testRepo, l.commit); err != nil {
		t.Fatal(err)
	}
	l.Fetcher = &Fetcher{
		Hub: l.client, Store: openStore(t, t.TempDir()), RetryWait: time.Millisecond,
		Notify: func(ev Event) { l.events = append(l.events, ev) },
	}
	l.again()
	return l
}

func (l *line) again() {
	l.stats, l.events = new(Stats), nil
	l.Stats = l.stats
	l.server.ResetLog()
}

func (l *line) plan() Plan {
	l.t.Helper()
	p, err := MakePlan(testRepo, "main", l.commit, l.files, l.Store)
	if err != nil {
		l.t.Fatal(err)
	}
	return p
}

func (l *line) run(ctx context.Context) error {
	l.t.Helper()
	_, err := l.Run(ctx, l.plan())
	return err
}

// mustRun fetches and compares what is in the store with what is on the hub.
func (l *line) mustRun() {
	l.t.Helper()
	p, pieces := l.plan(), leftPieces(l.t, l.Store, l.files)
	if err := l.run(l.t.Context()); err != nil {
		l.t.Fatal(err)
	}
	snap, err := l.Store.Snapshot("o/n", string(l.commit))
	if err != nil {
		l.t.Fatal(err)
	}
	dir := filepath.Join(l.t.TempDir(), "out")
	if _, err := l.Store.Export(l.t.Context(), snap, dir, store.LinkAuto); err != nil {
		l.t.Fatal(err)
	}
	for path, want := range l.data {
		got, err := os.ReadFile(filepath.Join(dir, path))
		if err != nil || string(got) != string(want) {
			l.t.Errorf("%s: got %d bytes, want %d: %v", path, len(got), len(want), err)
		}
	}
	if got, want := l.stats.Received.Load(), p.Move-pieces+l.stats.Refetched.Load(); got != want {
		l.t.Errorf("received %d bytes, want %d", got, want)
	}
	for _, e := range l.server.Log() {
		if e.Origin == "cdn" && e.Auth {
			l.t.Error("the token went to storage")
		}
	}
}

// asked returns the parts that requests for a file asked for, from the log.
func (l *line) asked(path string) (parts []int) {
	l.t.Helper()
	for _, e := range l.server.Log() {
		if !strings.HasSuffix(e.Path, path) || e.Range == "" {
			continue
		}
		var first, last int
		if _, err := fmt.Sscanf(e.Range, "bytes=%d-%d", &first, &last); err != nil {
			l.t.Fatalf("range %q: %v", e.Range, err)
		}
		for i := first / MiB; i <= last/MiB; i++ {
			parts = append(parts, i)
		}
	}
	slices.Sort(parts)
	return parts
}

func (l *line) of(kind EventKind) (out []Event) {
	for _, ev := range l.events {
		if ev.Kind == kind {
			out = append(out, ev)
		}
	}
	return out
}

const shard = "model-00001-of-00002.safetensors"

func TestHub(t *testing.T) {
	l := newLine(t)
	l.Connections = 1 // nobody helps anybody, so the requests are known
	l.mustRun()
	if got := l.asked(shard); !slices.Equal(got, all(6)) {
		t.Errorf("asked for parts %v of the shard", got)
	}
	if len(l.of(EventRetry)) != 0 || len(l.of(EventFile)) != len(l.data) {
		t.Errorf("got events %+v", l.events)
	}
	// One question where each of three LFS files is, one request for each of the
	// two that the hub serves itself.
	api := 0
	for _, e := range l.server.Log() {
		if e.Origin == "api" {
			api++
		}
	}
	if api != 5 {
		t.Errorf("%d requests to the hub, want 5", api)
	}
	l.again()
	l.mustRun()
	if n := len(l.server.Log()); n != 0 {
		t.Errorf("%d requests for a branch that is there", n)
	}
}

// Faults that pass: the fetch heals itself.
func TestHubHeals(t *testing.T) {
	tests := []struct {
		name    string
		fault   hubtest.Fault
		retries int // seen by the fetcher, at least
	}{
		{"reset in the first part", hubtest.Fault{ResetAfter: 1, Times: 3}, 3},
		{"reset in a later part", hubtest.Fault{ResetAfter: MiB + 12345, Times: 1}, 1},
		{"reset before the headers", hubtest.Fault{ResetAfter: -1, Times: 3}, 0},
		{"short body", hubtest.Fault{Truncate: 1000, Times: 2}, 2},
		{"silence", hubtest.Fault{StallAfter: 1000, Times: 2}, 2},
		{"link expired", hubtest.Fault{Status: 403, Times: 1}, 0},
		{"server in trouble", hubtest.Fault{Status: 503, Times: 2}, 0},
		{"server in trouble for longer", hubtest.Fault{Status: 503, Times: 12}, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			l := newLine(t)
			l.Stall = time.Second
			l.Connections = 1 // so that requests have several parts, and none is given up
			tt.fault.Origin, tt.fault.PathContains = "cdn", shard
			l.server.AddFault(tt.fault)
			l.mustRun()
			if got := len(l.of(EventRetry)); got < tt.retries {
				t.Errorf("got %d retries, want %d", got, tt.retries)
			}
			if l.stats.Retries.Load() != int64(len(l.of(EventRetry))) {
				t.Errorf("counted %d retries, told of %d", l.stats.Retries.Load(), len(l.of(EventRetry)))
			}
		})
	}
}

// Faults that stay: a clear error, nothing published, what came is kept.
func TestHubFails(t *testing.T) {
	tests := []struct {
		name  string
		fault hubtest.Fault
		want  error
	}{
		{"the whole file in answer to a range", hubtest.Fault{IgnoreRange: true}, hub.ErrRange},
		{"another range", hubtest.Fault{WrongRange: true}, hub.ErrRange},
		{"asked to wait too long", hubtest.Fault{Status: 429, Header: http.Header{"Retry-After": {"3600"}}}, hub.ErrRateLimited},
		{"reset for ever", hubtest.Fault{ResetAfter: 1}, hub.ErrNetwork},
		{"no link is good", hubtest.Fault{Status: 403}, hub.ErrNetwork},
		{"gone", hubtest.Fault{Status: 404}, hub.ErrEntryNotFound},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			l := newLine(t)
			tt.fault.Origin, tt.fault.PathContains = "cdn", shard
			remove := l.server.AddFault(tt.fault)
			err := l.run(t.Context())
			if !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
			var h hub.Hinter
			if !errors.As(err, &h) || h.Hint() == "" {
				t.Errorf("%v has no hint", err)
			}
			if err != nil && !strings.Contains(err.Error(), shard) {
				t.Errorf("%v does not name the file", err)
			}
			if _, err := l.Store.Snapshot("o/n", string(l.commit)); err == nil {
				t.Error("a snapshot was published")
			}
			remove()
			l.again()
			l.mustRun()
		})
	}
}

// A flipped bit is healed and located when it happened once, and an error when
// it happens always.
func TestHubFlipped(t *testing.T) {
	const at = 3*MiB + 99
	fault := hubtest.Fault{Origin: "cdn", PathContains: shard, FlipAt: at + 1}

	// Once: the fault goes away when a body that it has changed is closed.
	l := newLine(t)
	remove := l.server.AddFault(fault)
	l.Hub = hubFunc(func(ctx context.Context, f hub.File, off, n int64) (io.ReadCloser, error) {
		body, err := l.client.OpenRange(ctx, testRepo, l.commit, f, off, n)
		if err != nil || f.Path != shard || at < off || at >= off+n {
			return body, err
		}
		return closing{body, remove}, nil
	})
	l.mustRun()
	events := l.of(EventMismatch)
	if len(events) != 2 || !slices.Equal(events[1].Ranges, []store.Range{{Offset: 3 * MiB, Length: MiB}}) {
		t.Errorf("got %+v", events)
	}

	l = newLine(t)
	l.server.AddFault(fault)
	err := l.run(t.Context())
	var m *MismatchError
	if !errors.As(err, &m) || m.Path != shard || len(m.Hosts) != 1 || l.server.CDNURL() != "http://"+m.Hosts[0] ||
		!strings.Contains(err.Error(), "from "+m.Hosts[0]) || !strings.Contains(err.Error(), m.Err.Want) || !strings.Contains(err.Error(), m.Err.Got) {
		t.Errorf("got %v", err)
	}
	if _, err := l.Store.Snapshot("o/n", string(l.commit)); err == nil {
		t.Error("a snapshot was published")
	}
}

type hubFunc func(ctx context.Context, f hub.File, off, n int64) (io.ReadCloser, error)

func (h hubFunc) OpenRange(ctx context.Context, _ hub.RepoID, _ hub.Commit, f hub.File, off, n int64) (io.ReadCloser, error) {
	return h(ctx, f, off, n)
}

// closing calls a function when it is closed.
type closing struct {
	io.ReadCloser
	also func()
}

func (c closing) Close() error {
	c.also()
	return c.ReadCloser.Close()
}

// All connections break at once, and all links expire, in the middle of it all.
func TestHubDropsEverybody(t *testing.T) {
	l := newLine(t)
	var n atomic.Int64
	l.Hub = hubFunc(func(ctx context.Context, f hub.File, off, n2 int64) (io.ReadCloser, error) {
		body, err := l.client.OpenRange(ctx, testRepo, l.commit, f, off, n2)
		switch n.Add(1) {
		case 5:
			l.server.DropConnections()
		case 7:
			l.server.ExpireURLs()
			l.server.DropConnections()
		}
		return body, err
	})
	l.mustRun()
}

// After a cancelled run the hub is asked for the parts that are missing, and
// for no other.
func TestHubResumes(t *testing.T) {
	for stop := range int64(8) {
		t.Run(fmt.Sprint(stop), func(t *testing.T) {
			t.Parallel()
			l := newLine(t)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			var n atomic.Int64
			l.Hub = hubFunc(func(ctx context.Context, f hub.File, off, length int64) (io.ReadCloser, error) {
				if n.Add(1) > stop {
					cancel()
				}
				return l.client.OpenRange(ctx, testRepo, l.commit, f, off, length)
			})
			if err := l.run(ctx); !errors.Is(err, context.Canceled) {
				t.Fatalf("got %v", err)
			}
			want := make(map[string][]int)
			for _, f := range l.files {
				if small(f) {
					continue
				}
				in, err := l.Store.Ingest(t.Context(), Wanted(f))
				if err != nil {
					t.Fatal(err)
				}
				for i := range in.NumParts() {
					if !in.Held(i) {
						want[f.Path] = append(want[f.Path], i)
					}
				}
				if err := in.Close(); err != nil {
					t.Fatal(err)
				}
			}
			l.Hub = l.client
			l.again()
			l.mustRun()
			for _, f := range l.files {
				// On a slow machine an idle connection may have helped, and asked again.
				if got := slices.Compact(l.asked(f.Path)); !small(f) && !slices.Equal(got, want[f.Path]) {
					t.Errorf("%s: asked for parts %v, missing were %v", f.Path, got, want[f.Path])
				}
			}
		})
	}
}
