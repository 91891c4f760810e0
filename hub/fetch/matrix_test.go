package fetch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/qbranch/qbranch/hub"
	"github.com/qbranch/qbranch/hub/hubtest"
	"github.com/qbranch/qbranch/store"
)

// The matrix: everything that can go wrong, at the start, in the middle and in
// the last part of the weights, of a branch with one file of weights and of one
// with several. Each cell ends with the very bytes of the hub, or with an error
// of the right kind and a state from which a run without the fault goes on.

// bed is a hub with a branch, its client, and a store to fill.
type bed struct {
	t      *testing.T
	server *hubtest.Server
	client *hub.Client
	store  *store.Store
	data   map[string][]byte
	size   int64

	// where the fault is to act
	path string
	at   int64

	stall time.Duration
	conns int

	fault func(hubtest.Fault) // arms one, on storage and on that file unless it says otherwise
}

// layouts are the branches of the matrix, made once.
var layouts = map[string]func() map[string][]byte{
	"one file": sync.OnceValue(func() map[string][]byte {
		return map[string][]byte{"config.json": []byte(`{"bits":4}`), "model.safetensors": random(11, 3*MiB+77)}
	}),
	"sharded": sync.OnceValue(func() map[string][]byte {
		return map[string][]byte{
			"config.json":                      []byte(`{"bits":4}`),
			"tokenizer.json":                   random(15, 70_000),
			"model-00001-of-00003.safetensors": random(12, MiB+1),
			"model-00002-of-00003.safetensors": random(13, MiB+2),
			"model-00003-of-00003.safetensors": random(14, 300_000),
		}
	}),
}

// moments are where in the weights it happens, as a share of all of them.
var moments = []struct {
	name string
	of   func(size int64) int64
}{
	{"start", func(int64) int64 { return 1000 }},
	{"middle", func(size int64) int64 { return size/2 + 300_000 }},
	{"last part", func(size int64) int64 { return size - 2 }},
}

func newBed(t *testing.T, layout string, moment func(int64) int64, o hubtest.Options) *bed {
	t.Helper()
	b := &bed{t: t, data: layouts[layout](), store: openStore(t, t.TempDir()), stall: 5 * time.Second, conns: 2}
	var weights []string
	for _, path := range slices.Sorted(maps.Keys(b.data)) {
		if strings.HasSuffix(path, ".safetensors") {
			weights = append(weights, path)
			b.size += int64(len(b.data[path]))
		}
	}
	b.at = moment(b.size)
	for _, path := range weights {
		if n := int64(len(b.data[path])); b.at >= n && path != weights[len(weights)-1] {
			b.at -= n
			continue
		}
		b.path = path
		break
	}
	var err error
	if b.server, err = hubtest.Start(o); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.server.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := b.server.Add(hubtest.RepoData{ID: testRepo.String(), Branches: map[string]map[string][]byte{"main": b.data}}); err != nil {
		t.Fatal(err)
	}
	b.client, err = hub.NewClient(hub.Options{Endpoint: b.server.URL(), Token: hub.NewToken("hf_secret", "test"), RetryWait: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.client.Close(); err != nil {
			t.Error(err)
		}
	})
	b.fault = func(f hubtest.Fault) {
		if f.Origin == "" {
			f.Origin = "cdn"
		}
		if f.PathContains == "" && f.Do == nil {
			f.PathContains = b.path
		}
		b.server.AddFault(f)
	}
	return b
}

// get does what a command does: the branch, its listing, the plan, the fetch.
func (b *bed) get(ctx context.Context, stats *Stats, notify func(Event)) (Plan, error) {
	commit, err := b.client.Revision(ctx, testRepo, "main")
	if err != nil {
		return Plan{}, err
	}
	files, err := b.client.Tree(ctx, testRepo, commit)
	if err != nil {
		return Plan{}, err
	}
	p, err := MakePlan(testRepo, "main", commit, files, b.store)
	if err != nil {
		return Plan{}, err
	}
	f := &Fetcher{Hub: b.client, Store: b.store, Connections: b.conns, RetryWait: time.Millisecond, Stall: b.stall, Stats: stats, Notify: notify}
	_, err = f.Run(ctx, p)
	return p, err
}

// sent is what storage has sent so far.
func (b *bed) sent() (n int64) {
	for _, e := range b.server.Log() {
		if e.Origin == "cdn" {
			n += e.Sent
		}
		if e.Origin == "cdn" && e.Auth {
			b.t.Error("the token went to storage")
		}
	}
	return n
}

// published compares a snapshot with the hub, byte by byte.
func (b *bed) published(commit hub.Commit) {
	b.t.Helper()
	snap, err := b.store.Snapshot(testRepo.String(), string(commit))
	if err != nil {
		b.t.Fatal(err)
	}
	if len(snap.Files) != len(b.data) {
		b.t.Errorf("the snapshot has %d files, want %d", len(snap.Files), len(b.data))
	}
	for _, f := range snap.Files {
		got, err := os.ReadFile(b.store.Path(f.SHA256))
		if err != nil || string(got) != string(b.data[f.Path]) {
			b.t.Errorf("%s: got %d other bytes: %v", f.Path, len(got), err)
		}
	}
}

// slack is what may cross the line twice without a fault: at the end an idle
// connection takes over the part of one that seems slow.
const slack = 2 * MiB

// trouble is a row of the matrix.
type trouble struct {
	name  string
	arm   func(b *bed)
	want  error // nil = it heals; io.EOF = it is enough that nothing false is published
	lost  int64 // parts that may cross the line once more, when it heals
	may   bool  // it may also heal: what was asked for may be the whole file
	named bool  // the error, or the event, says which file
	o     hubtest.Options
	once  bool // the moment plays no part
	mute  bool // the hub's log does not show it
}

// one arms a single fault, at the moment.
func one(f hubtest.Fault) func(*bed) {
	return func(b *bed) {
		f := f // cells share the row
		if f.FlipAt == 0 && f.Origin != "api" {
			f.At = b.at + 1
		}
		b.fault(f)
	}
}

// then does something in the middle of the weights, and breaks all connections
// so that it is felt.
func then(do func(b *bed)) func(*bed) {
	return func(b *bed) {
		b.server.AddFault(hubtest.Fault{Name: "then", Origin: "cdn", PathContains: b.path, At: b.at + 1, DoAfter: 1, Times: 1, Do: func() {
			do(b)
			b.server.ExpireURLs()
			b.server.DropConnections()
		}})
	}
}

func setBranch(files map[string][]byte) func(*bed) {
	return func(b *bed) {
		if _, err := b.server.SetBranch(testRepo.String(), "main", files); err != nil {
			b.t.Error(err)
		}
	}
}

// The line: it heals, and little crosses it twice.
var lineTroubles = []trouble{
	{name: "nothing", arm: func(*bed) {}, mute: true},
	{name: "reset once", arm: one(hubtest.Fault{ResetAfter: 1, Times: 1}), lost: 1},
	{name: "reset three times", arm: one(hubtest.Fault{ResetAfter: 1, Times: 3}), lost: 3},
	{name: "reset before the head", arm: one(hubtest.Fault{ResetAfter: -1, Times: 3})},
	{name: "closed once", arm: one(hubtest.Fault{CloseAfter: 1, Times: 1}), lost: 1},
	{name: "closed three times", arm: one(hubtest.Fault{CloseAfter: 1, Times: 3}), lost: 3},
	{name: "short body", arm: one(hubtest.Fault{Truncate: 1000, Times: 2}), lost: 2},
	{name: "reset each 300 kB", arm: func(b *bed) { b.fault(hubtest.Fault{ResetEvery: 300_000}) }, lost: 12, once: true},
	{name: "closed each 300 kB", arm: func(b *bed) { b.fault(hubtest.Fault{CloseEvery: 300_000}) }, lost: 12, once: true},
	{name: "silence", arm: func(b *bed) {
		b.stall = 200 * time.Millisecond
		one(hubtest.Fault{StallAfter: 1, Times: 1})(b)
	}, lost: 1},
	{name: "late first byte", arm: one(hubtest.Fault{FirstByte: 5 * time.Millisecond})},
	{name: "slow start", arm: one(hubtest.Fault{Rate: 100e6, Ramp: 10 * time.Millisecond, Times: 1})},
	{name: "slow head", arm: one(hubtest.Fault{SlowHead: time.Microsecond, Times: 1})},
	{name: "408", arm: one(hubtest.Fault{Status: 408, Times: 2})},
	{name: "429 without a time", arm: one(hubtest.Fault{Status: 429, Times: 2})},
	{name: "500", arm: one(hubtest.Fault{Status: 500, Times: 2})},
	{name: "502 with a page", arm: one(func() hubtest.Fault { f := hubtest.WebPage(502, true); f.Times = 2; return f }())},
	{name: "503 for long", arm: one(hubtest.Fault{Status: 503, Times: 10})},
	{name: "link expired", arm: one(func() hubtest.Fault { f := hubtest.Expired(); f.Times = 1; return f }())},
	{name: "all links expire", arm: then(func(*bed) {}), lost: 2},
	{name: "links good for two requests", arm: func(*bed) {}, o: hubtest.Options{URLUses: 2}, once: true, mute: true, lost: 1},
	{name: "links good for one range", arm: func(*bed) {}, o: hubtest.Options{RangeBound: true}, once: true, mute: true},
	{name: "other tag", arm: one(hubtest.Fault{ETag: hubtest.OtherETag})},
	{name: "weak tag", arm: one(hubtest.Fault{ETag: hubtest.WeakETag})},
	{name: "tag without quotes", arm: one(hubtest.Fault{ETag: hubtest.BareETag})},
	{name: "no tag", arm: one(hubtest.Fault{Without: []string{"ETag"}})},
	{name: "no length", arm: one(hubtest.Fault{Without: []string{"Content-Length"}})},
	{name: "branch moves", arm: then(setBranch(map[string][]byte{"model.safetensors": random(90, 3*MiB)})), lost: 2},
	{name: "branch moves back to nothing like it", arm: then(setBranch(map[string][]byte{"x": []byte("y")})), lost: 2},
	{name: "branch is deleted", arm: then(setBranch(nil)), lost: 2},
}

// The answers: what is not a range as asked for is refused, and costs nothing.
var answerTroubles = []trouble{
	{name: "whole file once", arm: one(hubtest.Fault{IgnoreRange: true, Times: 1}), want: hub.ErrRange, may: true},
	{name: "wrong range", arm: one(hubtest.Fault{WrongRange: true}), want: hub.ErrRange, named: true},
	{name: "wrong total", arm: one(hubtest.Fault{WrongTotal: true}), want: hub.ErrRange, named: true},
	{name: "no range", arm: one(hubtest.Fault{Without: []string{"Content-Range"}}), want: hub.ErrRange, named: true},
	{name: "longer body", arm: one(hubtest.Fault{Extra: 5}), want: hub.ErrRange, named: true},
	{name: "compressed", arm: one(hubtest.Fault{Gzip: true}), want: hub.ErrRange, may: true},
	{name: "web page", arm: one(hubtest.WebPage(200, true)), want: hub.ErrNotHub, named: true},
	{name: "web page without a type", arm: one(hubtest.WebPage(200, false)), want: hub.ErrRange, named: true},
	{name: "404", arm: one(hubtest.Fault{Status: 404}), want: hub.ErrEntryNotFound, named: true},
	{name: "no link is good", arm: one(hubtest.Expired()), want: hub.ErrNetwork, named: true},
	{name: "429 for an hour", arm: one(hubtest.TooManyRequests(time.Hour, hubtest.WaitSeconds)), want: hub.ErrRateLimited, named: true},
	{name: "429 until a date", arm: one(hubtest.TooManyRequests(time.Hour, hubtest.WaitDate)), want: hub.ErrRateLimited, named: true},
	{name: "429 until the window ends", arm: one(hubtest.TooManyRequests(time.Hour, hubtest.WaitWindow)), want: hub.ErrRateLimited, named: true},
	{name: "reset for ever", arm: one(hubtest.Fault{ResetAfter: -1}), want: hub.ErrNetwork, named: true},
	{name: "503 for ever", arm: one(hubtest.Fault{Status: 503}), want: hub.ErrNetwork, named: true},
	{name: "endless head", arm: one(hubtest.Fault{EndlessHead: true}), want: hub.ErrNetwork, named: true, once: true},
	{name: "redirect loop", arm: one(hubtest.Fault{RedirectTo: "{uri}"}), want: hub.ErrRedirect, named: true},
	{name: "redirect to a private address", arm: one(hubtest.Fault{RedirectTo: "http://169.254.169.254/{uri}"}), want: hub.ErrRedirect, named: true},
	{name: "redirect to another protocol", arm: one(hubtest.Fault{RedirectTo: "file:///etc/passwd"}), want: hub.ErrRedirect, named: true},
	{name: "redirect to nowhere", arm: one(hubtest.Fault{Status: 302}), want: io.EOF},
	{name: "token refused", arm: then(func(b *bed) { b.server.AddFault(hubtest.TokenRefused()) }), want: hub.ErrUnauthorized},
	{name: "gated meanwhile", arm: then(func(b *bed) {
		b.fault(hubtest.Fault{Origin: "api", Status: 403, Header: http.Header{"X-Error-Code": {"GatedRepo"}}})
	}), want: hub.ErrGated, named: true},
	{name: "file vanishes", arm: then(func(b *bed) {
		b.fault(hubtest.Fault{Origin: "api", Status: 404, Header: http.Header{"X-Error-Code": {"EntryNotFound"}}})
	}), want: hub.ErrEntryNotFound, named: true},
	{name: "another file is there meanwhile", arm: then(func(b *bed) {
		b.fault(hubtest.Fault{Origin: "api", ETag: hubtest.OtherETag})
	}), want: hub.ErrBadListing, named: true},
}

// The bytes: what is wrong is found and healed, or named and never published.
var byteTroubles = []trouble{
	{name: "flipped once", arm: func(b *bed) {
		b.conns = 1 // two may read one part, and the wrong one be thrown away
		b.fault(hubtest.Fault{FlipAt: b.at + 1, Times: 1})
	}, lost: 8, named: true},
	{name: "flipped twice", arm: func(b *bed) { b.conns = 1; b.fault(hubtest.Fault{FlipAt: b.at + 1, Times: 2}) }, want: io.EOF, named: true},
	{name: "flipped always", arm: func(b *bed) { b.fault(hubtest.Fault{FlipAt: b.at + 1}) }, want: store.ErrMismatch, named: true},
	{name: "flipped on one connection", arm: func(b *bed) { b.conns = 1; b.fault(hubtest.Fault{FlipAt: b.at + 1, OneConn: true}) }, want: io.EOF, named: true},
	{name: "other bytes once", arm: func(b *bed) { b.conns = 1; one(hubtest.Fault{OtherBytes: true, Times: 1})(b) }, lost: 8, named: true},
	{name: "other bytes always", arm: one(hubtest.Fault{OtherBytes: true}), want: store.ErrMismatch, named: true},
}

// The hub's own answers, before anything moves.
var listingTroubles = []trouble{
	{name: "second page fails once", arm: func(b *bed) {
		b.server.AddFault(hubtest.Fault{Origin: "api", QueryContains: "cursor=", Status: 502, Times: 1})
	}, o: hubtest.Options{PageSize: 1}},
	{name: "no commit in the answers", arm: func(b *bed) {
		b.server.AddFault(hubtest.Fault{Origin: "api", Without: []string{"X-Repo-Commit"}})
	}},
	{name: "no length in the answers", arm: func(b *bed) {
		b.server.AddFault(hubtest.Fault{Origin: "api", Without: []string{"Content-Length"}})
	}},
	{name: "answers late and slow", arm: func(b *bed) {
		b.server.AddFault(hubtest.Fault{Origin: "api", Delay: time.Millisecond, Rate: 10e6})
	}},
	{name: "weak tags", arm: func(b *bed) { b.server.AddFault(hubtest.Fault{Origin: "api", ETag: hubtest.WeakETag}) }},
	{name: "bare tags", arm: func(b *bed) { b.server.AddFault(hubtest.Fault{Origin: "api", ETag: hubtest.BareETag}) }},
	{name: "size", arm: func(b *bed) { b.server.AddFault(hubtest.ListedSize(b.path, MiB+9)) }, want: hub.ErrBadListing, named: true},
	{name: "digest", arm: func(b *bed) { b.server.AddFault(hubtest.ListedDigest(b.path, true)) }, want: hub.ErrBadListing, named: true},
	{name: "digest that contradicts itself", arm: func(b *bed) { b.server.AddFault(hubtest.ListedDigest(b.path, false)) }, want: hub.ErrBadListing, named: true},
	{name: "digest of a small file", arm: func(b *bed) { b.server.AddFault(hubtest.ListedDigest("config.json", true)) }, want: store.ErrMismatch},
	{name: "digest, and a mirror without tags", arm: func(b *bed) {
		b.server.AddFault(hubtest.ListedDigest(b.path, true))
		b.server.AddFault(hubtest.Fault{Origin: "api", PathContains: "/resolve/", Without: []string{"X-Linked-Etag", "X-Linked-Size"}})
	}, want: store.ErrMismatch, named: true},
	{name: "more files than there are", arm: func(b *bed) { b.server.AddFault(hubtest.ListedAlso("extra.safetensors")) }, want: hub.ErrEntryNotFound},
	{name: "names out of the folder", arm: func(b *bed) { b.server.AddFault(hubtest.ListedAlso("../../x")) }, want: hub.ErrBadListing},
	{name: "names that differ in case", arm: func(b *bed) { b.server.AddFault(hubtest.ListedAlso("CONFIG.JSON")) }, want: hub.ErrBadListing},
	{name: "the same name twice", arm: func(b *bed) { b.server.AddFault(hubtest.ListedAlso("config.json")) }, want: hub.ErrBadListing},
	{name: "next page elsewhere", arm: func(b *bed) {
		b.server.AddFault(hubtest.NextPageAt("http://198.51.100.1/api/models/o/n/tree/main"))
	}, want: io.EOF},
	{name: "bomb", arm: func(b *bed) { f := hubtest.Bomb(24 << 20); f.Origin = "api"; b.server.AddFault(f) }, want: hub.ErrTooLarge},
	{name: "web page", arm: func(b *bed) { f := hubtest.WebPage(200, false); f.Origin = "api"; b.server.AddFault(f) }, want: hub.ErrNotHub},
	{name: "disabled", arm: func(b *bed) {
		b.server.AddFault(hubtest.Fault{Origin: "api", PathContains: "/resolve/", Status: 403, Header: http.Header{"X-Error-Message": {"Access to this resource is disabled."}}})
	}, want: hub.ErrDisabled},
}

func TestMatrixLine(t *testing.T)    { matrix(t, lineTroubles) }
func TestMatrixAnswers(t *testing.T) { matrix(t, answerTroubles) }
func TestMatrixBytes(t *testing.T)   { matrix(t, byteTroubles) }

func TestMatrixListing(t *testing.T) {
	for i := range listingTroubles {
		listingTroubles[i].once = true
	}
	matrix(t, listingTroubles)
}

func matrix(t *testing.T, rows []trouble) {
	for _, tr := range rows {
		for layout := range layouts {
			for _, m := range moments {
				if tr.once && m.name != "middle" {
					continue
				}
				t.Run(fmt.Sprintf("%s/%s/%s", tr.name, layout, m.name), func(t *testing.T) {
					t.Parallel()
					tr.play(newBed(t, layout, m.of, tr.o))
				})
			}
		}
	}
}

// play is one cell.
func (tr trouble) play(b *bed) {
	t := b.t
	tr.arm(b)
	var events []Event
	stats := new(Stats)
	commit := hub.Commit(b.server.Commit(testRepo.String(), "main"))
	_, err := b.get(t.Context(), stats, func(ev Event) { events = append(events, ev) })
	if !tr.mute && !slices.ContainsFunc(b.server.Log(), func(e hubtest.Entry) bool { return e.Fault != "" }) {
		t.Error("the trouble never came")
	}
	switch {
	case err == nil && (tr.want == nil || tr.want == io.EOF || tr.may):
		b.published(commit)
		if most := b.size + tr.lost*MiB + slack; b.sent() > most && tr.want == nil {
			t.Errorf("storage sent %d bytes for %d, at most %d are fair", b.sent(), b.size, most)
		}
		if tr.named && !slices.ContainsFunc(events, func(ev Event) bool { return ev.Kind == EventMismatch && ev.Path == b.path }) {
			t.Errorf("no event names %s: %+v", b.path, events)
		}
		return
	case err == nil:
		t.Fatalf("no error, want %v", tr.want)
	case tr.want == nil:
		t.Fatalf("it did not heal: %v", err)
	case tr.want != io.EOF && !errors.Is(err, tr.want):
		t.Errorf("got %v, want %v", err, tr.want)
	}
	var h hub.Hinter
	if !errors.As(err, &h) || h.Hint() == "" {
		t.Errorf("%v has no hint", err)
	}
	if tr.named && !strings.Contains(err.Error(), b.path) {
		t.Errorf("%v does not name %s", err, b.path)
	}
	if _, err := b.store.Snapshot(testRepo.String(), string(commit)); err == nil {
		t.Error("a snapshot was published")
	}
	b.resume(errors.Is(err, store.ErrMismatch))
}

// resume runs again without the fault, and moves what was missing, no more.
// After a mismatch what is held of the file is in doubt.
func (b *bed) resume(doubt bool) {
	b.t.Helper()
	b.server.ClearFaults()
	b.server.ResetLog()
	p, err := b.get(b.t.Context(), new(Stats), nil)
	if err != nil {
		b.t.Fatalf("the second run: %v", err)
	}
	b.published(p.Commit)
	most := p.Move + slack
	if doubt {
		most += b.size
	}
	if b.sent() > most {
		b.t.Errorf("the second run moved %d bytes, %d were missing", b.sent(), p.Move)
	}
}
