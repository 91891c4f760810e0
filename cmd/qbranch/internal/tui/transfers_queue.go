package tui

import (
	"context"
	"slices"

	tea "github.com/charmbracelet/bubbletea"

	"github.com/qbranch/qbranch/cmd/qbranch/internal/app"
)

// queueMsg is what waited to be fetched when an earlier session ended.
type queueMsg []app.Queued

// recall asks for it, without what has come since.
func (s *transfersScreen) recall(m *model) tea.Cmd {
	back, dir := m.back, m.plan.base.StateDir
	return m.work.command(m.work.ctx, func(ctx context.Context) tea.Msg {
		queue, err := back.Queue(dir)
		if err != nil || len(queue) == 0 {
			return nil // a comfort, no promise
		}
		var refs []app.Ref
		for _, q := range queue {
			refs = append(refs, q.Ref)
		}
		here := arrived(ctx, back, refs, &app.PendingReport{})
		return queueMsg(slices.DeleteFunc(queue, func(q app.Queued) bool { return here[q.Ref] }))
	})
}

// recalled lists it, to be gone on with.
func (s *transfersScreen) recalled(m *model, queue queueMsg) {
	for _, q := range queue {
		if s.find(q.Ref) == nil {
			s.list = append(s.list, &transfer{ref: q.Ref, filter: q.Filter, state: transferStopped, left: true, waited: true})
			s.offer = s.offer || m.top() != onTransfers
		}
	}
}

// unfinished is what the next session is to be told of; of the rest the store
// tells. It is asked for when the program has ended.
func (s *transfersScreen) unfinished() []app.Queued {
	var out []app.Queued
	for _, t := range s.list {
		if t.active() && !(t.well != nil && t.well.Load()) || t.waited && t.state == transferStopped {
			out = append(out, app.Queued{Ref: t.ref, Filter: t.filter})
		}
	}
	return out
}
