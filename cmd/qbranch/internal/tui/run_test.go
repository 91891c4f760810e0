package tui

import (
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"sync/atomic"
	"testing"

	tea "github.com/charmbracelet/bubbletea"

	"github.com/qbranch/qbranch/cmd/qbranch/internal/app"
)

// program runs the real event loop over pipes. It returns what is typed, and a
// function that waits for the end and returns what was written.
func program(t *testing.T, ctx context.Context, f *fake, o Options) (typed *os.File, wait func() (string, error)) {
	t.Helper()
	in, typed, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	screen, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { in.Close(); typed.Close(); screen.Close() })
	written, ended := make(chan string, 1), make(chan error, 1)
	go func() {
		text, _ := io.ReadAll(screen)
		written <- string(text)
	}()
	o.In, o.Out = in, out
	go func() {
		err := run(ctx, f, o, func(string) string { return "" })
		out.Close()
		ended <- err
	}()
	return typed, func() (string, error) { err := <-ended; return <-written, err }
}

// getUntilCancelled is a transfer that holds a third when it is told to stop,
// and takes note when it has ended.
func getUntilCancelled(started chan<- struct{}, ended *atomic.Bool) func(context.Context, app.Ref, app.GetOptions) (*app.GetResult, error) {
	return func(ctx context.Context, _ app.Ref, o app.GetOptions) (*app.GetResult, error) {
		o.Stats.Total.Store(3 * megabyte)
		o.Stats.Done.Store(1 * megabyte)
		close(started)
		<-ctx.Done()
		ended.Store(true)
		return nil, ctx.Err()
	}
}

// quitOnceStarted types enter, which does nothing before the listing is there,
// until a transfer has started, and then quits.
func quitOnceStarted(typed io.Writer, started <-chan struct{}) {
	for {
		select {
		case <-started:
			// Bubble Tea holds back letters at the very end of a full read, since
			// more may follow; ctrl+l, which does nothing here, ends them.
			io.WriteString(typed, "qy\x0c")
			return
		default:
			io.WriteString(typed, "\r")
		}
	}
}

// Quitting while a transfer runs: Run waits for its end, then says on the
// normal screen what is resumable and how.
func TestQuitWhileTransferring(t *testing.T) {
	started, ended := make(chan struct{}), atomic.Bool{}
	f := &fake{listing: talesListing(), get: getUntilCancelled(started, &ended)}
	f.listing.Branches[0].Local = app.LocalNone
	typed, wait := program(t, t.Context(), f, Options{Repo: tales.String()})
	quitOnceStarted(typed, started)
	got, err := wait()
	if err != nil {
		t.Fatal(err)
	}
	if !ended.Load() {
		t.Error("Run returned before the transfer had ended")
	}
	_, normal, ok := strings.Cut(got, "\x1b[?1049l") // behind the alternate screen
	if !ok {
		t.Fatalf("the alternate screen was not left: %q", got)
	}
	for _, want := range []string{"this resumes", "qbranch get " + tales.String() + ":main", "33% here", "1.00 MB of 3.00 MB"} {
		if !strings.Contains(normal, want) {
			t.Errorf("the normal screen lacks %q: %q", want, normal)
		}
	}
	if want := (app.Ref{Repo: tales, Revision: "main"}); len(f.queue) != 1 || f.queue[0].Ref != want {
		t.Errorf("the next start is told of %+v, want %s", f.queue, want)
	}
	// It never asked the terminal anything.
	for _, query := range []string{"\x1b]11;?", "\x1b]10;?", "\x1b[6n", "\x1b[c", "\x1b[>c"} {
		if strings.Contains(got, query) {
			t.Errorf("a query was written: %q", query)
		}
	}
}

// Of a store that is deleted at the end nothing can be resumed.
func TestQuitTemporary(t *testing.T) {
	started, ended := make(chan struct{}), atomic.Bool{}
	f := &fake{listing: talesListing(), get: getUntilCancelled(started, &ended)}
	f.listing.Branches[0].Local = app.LocalNone
	typed, wait := program(t, t.Context(), f, Options{Repo: tales.String(), Temporary: true})
	quitOnceStarted(typed, started)
	got, err := wait()
	if err != nil {
		t.Fatal(err)
	}
	_, normal, _ := strings.Cut(got, "\x1b[?1049l")
	if !ended.Load() || strings.Contains(normal, "resume") || strings.Contains(normal, "qbranch get") {
		t.Errorf("ended %v, the normal screen says %q", ended.Load(), normal)
	}
}

// What is said after the end are the numbers the screen showed: a transfer
// that was planning again keeps those of the attempt before.
func TestFarewell(t *testing.T) {
	m := atTales(t, &fake{})
	hit(m, "j", "enter")
	tr := m.transfers.list[0]
	tr.done, tr.total, tr.stats = 30_000, 3*megabyte, &app.Stats{}
	var got strings.Builder
	farewell(&got, m)
	if want := "# 1% here, 30.0 kB of 3.00 MB"; !strings.Contains(got.String(), want) {
		t.Errorf("got %q, want %q in it", got.String(), want)
	}
}

// A signal ends the context: the same, and the error says so.
func TestCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	started, ended := make(chan struct{}), atomic.Bool{}
	f := &fake{listing: talesListing(), get: getUntilCancelled(started, &ended)}
	f.listing.Branches[0].Local = app.LocalNone
	typed, wait := program(t, ctx, f, Options{Repo: tales.String()})
	for typing := true; typing; {
		select {
		case <-started:
			typing = false
		default:
			io.WriteString(typed, "\r")
		}
	}
	cancel()
	got, err := wait()
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got error %v, want context.Canceled", err)
	}
	if !ended.Load() || !strings.Contains(got, "this resumes") {
		t.Errorf("ended %v, wrote %q", ended.Load(), got)
	}
}

// A command that is run after the end does nothing, and close waits for those
// that run.
func TestWorker(t *testing.T) {
	w := newWorker(t.Context())
	running, ended := make(chan struct{}), atomic.Bool{}
	cmd := w.command(w.ctx, func(ctx context.Context) tea.Msg {
		close(running)
		<-ctx.Done()
		ended.Store(true)
		return nil
	})
	go cmd()
	<-running
	w.close()
	if !ended.Load() {
		t.Error("close did not wait")
	}
	late := w.command(context.Background(), func(context.Context) tea.Msg { t.Error("ran after close"); return nil })
	if late() != nil {
		t.Error("a message after close")
	}
}
