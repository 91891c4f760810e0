package tui

import (
	"fmt"
	"testing"
	"time"

	tea "github.com/charmbracelet/bubbletea"

	"github.com/qbranch/qbranch/cmd/qbranch/internal/app"
)

// crowded is a table of 200 branches, of which 16 are being fetched, in a large
// window.
func crowded(b *testing.B) *model {
	b.Helper()
	l := talesListing()
	l.Branches = nil
	for i := range 200 {
		l.Branches = append(l.Branches, app.BranchRow{
			Branch: fmt.Sprintf("gptq-%dbit-%dg-actorder_True-%03d", 2+i%7, 32<<(i%3), i), Commit: commitA,
			Bits: ptr(2 + i%7), GroupSize: ptr(32 << (i % 3)), ActOrder: ptr(i%2 == 0),
			TotalBytes: 8_000_000_000, WeightBytes: int64(4_000_000_000 + i*10_000_000), Files: 12,
		})
	}
	w := newWorker(b.Context())
	b.Cleanup(w.close)
	m := newModel(w, &fake{listing: l}, newLook("dark", true, false), Options{Version: "v0.1.0"})
	m.tick = func() tea.Cmd { return nil }
	m.Update(tea.WindowSizeMsg{Width: 200, Height: 60})
	settle(m, m.lookAround())
	m.show(onBranches)
	settle(m, m.branches.open(m, app.Ref{Repo: tales}))
	for i := range 16 {
		m.transfers.add(m, m.branches.ref(l.Branches[i].Branch))
		t := m.transfers.list[i]
		t.state, t.planned, t.done, t.total = transferRunning, true, int64(i)*400_000_000, 8_000_000_000
		if t.stats == nil {
			t.stats, t.out = &app.Stats{}, &outbox[app.Event]{}
		}
		t.steer = busySteer()
	}
	return m
}

// busySteer is a Get of 40 files at full speed.
func busySteer() *fakeSteer {
	s := &fakeSteer{parts: partsOf("#~.#~.!#~.#~.#~.#~.", mapCells/19)}
	for i := range 40 {
		s.files = append(s.files, app.FileProgress{Path: fmt.Sprintf("model-%05d-of-00040.safetensors", i+1), Size: 200_000_000,
			Held: int64(i) * 5_000_000, State: app.FileFetching, Connections: i % 3})
	}
	for i := range 16 {
		s.conns = append(s.conns, app.ConnProgress{Number: i + 1, Path: s.files[i].Path, Received: int64(i) * 9_000_000, Retries: i % 2})
	}
	return s
}

// BenchmarkKey is a key and the frame that follows it.
func BenchmarkKey(b *testing.B) {
	m := crowded(b)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		m.Update(keyOf([]string{"j", "k"}[i%2]))
		if m.View() == "" {
			b.Fatal("no frame")
		}
	}
}

// BenchmarkTick is a sample of what runs, and the frame that follows it: ten a
// second while something is fetched.
func BenchmarkTick(b *testing.B) {
	for _, s := range []struct {
		name string
		on   screenID
	}{{"branches", onBranches}, {"transfers", onTransfers}} {
		b.Run(s.name, func(b *testing.B) {
			m := crowded(b)
			m.show(s.on)
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				m.Update(tickMsg(t0.Add(time.Duration(i) * 100 * time.Millisecond)))
				if m.View() == "" {
					b.Fatal("no frame")
				}
			}
		})
	}
}

// BenchmarkFilter is a letter of the filter: all rows are arranged anew.
func BenchmarkFilter(b *testing.B) {
	m := crowded(b)
	hit(m, "/")
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		m.Update(keyOf([]string{"4", "backspace"}[i%2]))
		if m.View() == "" {
			b.Fatal("no frame")
		}
	}
}
