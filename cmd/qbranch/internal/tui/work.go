package tui

import (
	"context"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	tea "github.com/charmbracelet/bubbletea"

	"github.com/qbranch/qbranch/cmd/qbranch/internal/app"
)

// worker runs the commands that do something, and waits for them at the end:
// Bubble Tea itself leaves commands running when the program quits.
type worker struct {
	ctx    context.Context // parent of every task; ends with the program
	cancel context.CancelFunc
	pauses *outbox[app.Wait] // that tasks report; transfers tell theirs themselves

	mu     sync.Mutex
	closed bool
	wg     sync.WaitGroup
}

func newWorker(ctx context.Context) *worker {
	pauses := &outbox[app.Wait]{}
	ctx, cancel := context.WithCancel(app.Waiting(ctx, pauses.put))
	return &worker{ctx: ctx, cancel: cancel, pauses: pauses}
}

// crashError is a panic of ours, caught so that the terminal is left as it was
// found and transfers end in good order.
type crashError struct {
	value any
	stack []byte
}

func (e *crashError) Error() string {
	return fmt.Sprintf("an error in the program itself: %v", e.value)
}

// Hint says what to do next.
func (e *crashError) Hint() string {
	return "please report it with the lines above; what was fetched is kept, and the same command resumes"
}

// caught makes an error of a panic. Call it in a deferred function, with what
// recover returned.
func caught(value any) *crashError { return &crashError{value, debug.Stack()} }

// command makes a command of f. After close it does nothing. A panic in f becomes
// the message *crashError.
func (w *worker) command(ctx context.Context, f func(context.Context) tea.Msg) tea.Cmd {
	return func() (msg tea.Msg) {
		w.mu.Lock()
		closed := w.closed
		if !closed {
			w.wg.Add(1)
		}
		w.mu.Unlock()
		if closed {
			return nil
		}
		defer w.wg.Done()
		defer func() {
			if r := recover(); r != nil {
				msg = caught(r)
			}
		}()
		return f(ctx)
	}
}

// close cancels everything and returns when it has ended.
func (w *worker) close() {
	w.mu.Lock()
	w.closed = true
	w.mu.Unlock()
	w.cancel()
	w.wg.Wait()
}

// tickMsg makes the screens sample what runs.
type tickMsg time.Time

// tick is a command that ends after a tenth of a second.
func (w *worker) tick() tea.Cmd {
	return w.command(w.ctx, func(ctx context.Context) tea.Msg {
		t := time.NewTimer(100 * time.Millisecond)
		defer t.Stop()
		select {
		case now := <-t.C:
			return tickMsg(now)
		case <-ctx.Done():
			return nil
		}
	})
}

// task is the one piece of work a screen has under way, if any. Generations
// tell its answer from answers to work that was abandoned.
type task struct {
	gen    int
	cancel context.CancelFunc
}

// begin abandons what runs and opens the next generation.
func (t *task) begin(parent context.Context) (context.Context, int) {
	t.abandon()
	ctx, cancel := context.WithCancel(parent)
	t.cancel = cancel
	return ctx, t.gen
}

func (t *task) running() bool { return t.cancel != nil }

// stop asks the work to end; its answer still counts.
func (t *task) stop() {
	if t.cancel != nil {
		t.cancel()
	}
}

// abandon stops the work and drops its answer.
func (t *task) abandon() {
	t.stop()
	t.cancel = nil
	t.gen++
}

// ended reports whether an answer of generation gen is awaited, and if so
// takes note that it has come.
func (t *task) ended(gen int) bool {
	if gen != t.gen || t.cancel == nil {
		return false
	}
	t.cancel() // frees the context
	t.cancel = nil
	return true
}

// outbox carries what a command reports before it ends. A nil outbox is empty.
type outbox[T any] struct {
	mu    sync.Mutex
	items []T
}

func (o *outbox[T]) put(v T) {
	o.mu.Lock()
	o.items = append(o.items, v)
	o.mu.Unlock()
}

func (o *outbox[T]) take() []T {
	if o == nil {
		return nil
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	items := o.items
	o.items = nil
	return items
}
