package app

import (
	"slices"
	"time"

	"github.com/qbranch/qbranch/hub"
	"github.com/qbranch/qbranch/quant/card"
	"github.com/qbranch/qbranch/store"
)

// Parameter is one thing that is said of a branch: by whom, what is believed, and
// why.
type Parameter struct {
	Name  string `json:"name"`  // "bits", "group_size", "act_order", "sym", "format", "damp_percent", "seq_len", "dataset", "size", "commit", "listed"
	Value any    `json:"value"` // a number, a string or a truth value; null = nobody says
	From  string `json:"from"`  // the source that is believed
	Why   string `json:"why"`
	Agree bool   `json:"agree"` // nobody says anything else
	Says  []Said `json:"says"`
}

// Said is what one source says of a parameter. Value is nil where it is silent.
type Said struct {
	Source string `json:"source"`
	Value  any    `json:"value"`
}

// Source is somebody who may say something of a branch.
type Source struct {
	Source string      `json:"source"`
	State  SourceState `json:"state"`
	Detail string      `json:"detail,omitempty"` // why it cannot be read
}

// SourceState tells a source that is silent from one that was not asked.
type SourceState string

// States of a source.
const (
	SourceRead       SourceState = "read"
	SourceAbsent     SourceState = "absent"     // there is none
	SourceUnread     SourceState = "unread"     // it is there, and was not asked
	SourceUnreadable SourceState = "unreadable" // no sense can be made of it
)

// sizeParameter compares the real size of the weights with the card's.
func sizeParameter(row *BranchRow, onCard *card.Row) Parameter {
	p := Parameter{Name: "size", Agree: true, Why: "nobody says it", Says: []Said{{Source: FromTree}, {Source: FromCard}}}
	if onCard != nil && onCard.SizeBytes != nil {
		p.Value, p.From, p.Why, p.Says[1].Value = *onCard.SizeBytes, FromCard, "the files could not be listed", *onCard.SizeBytes
	}
	if row.WeightBytes > 0 {
		p.Agree = p.Value == nil || roundsTo(row.WeightBytes, *onCard.SizeBytes)
		p.Value, p.From, p.Why, p.Says[0].Value = row.WeightBytes, FromTree, "the sizes of the weight files, together", row.WeightBytes
	}
	return p
}

// listedParameter says who knows of the branch.
func listedParameter(onCard *card.Row) Parameter {
	return Parameter{Name: "listed", Value: true, From: FromRefs, Why: "the hub has it", Agree: onCard != nil,
		Says: []Said{{FromRefs, true}, {FromCard, onCard != nil}}}
}

// history compares where the branch stands with where it was fetched and last
// listed.
func (l *Listing) history(row *BranchRow, st *store.Store, last hub.RefList) {
	p := Parameter{Name: "commit", Value: row.Commit, From: FromRefs, Why: "the hub says where the branch stands", Agree: true,
		Says: []Said{{FromRefs, row.Commit}, {Source: FromStore}, {Source: FromCache}}}
	if st != nil {
		if at, ok := st.BranchCommit(l.Repo, row.Branch); ok {
			p.Says[1].Value = at
			if p.Agree = at == row.Commit; !p.Agree {
				l.note(row.Branch, "MOVED", "stands at %s; it was fetched at %s", hub.Commit(row.Commit).Short(), hub.Commit(at).Short())
			}
		}
	}
	if then, ok := branchOf(last.Branches, row.Branch); ok {
		p.Says[2].Value = string(then.Commit)
		if string(then.Commit) != row.Commit {
			if p.Agree { // else that is said already
				l.note(row.Branch, "MOVED", "stands at %s; %s ago it stood at %s", hub.Commit(row.Commit).Short(), agoText(time.Since(last.AsOf)), then.Commit.Short())
			}
			p.Agree = false
		}
	}
	row.Parameters = append(row.Parameters, p)
}

func branchOf(list []hub.Branch, name string) (hub.Branch, bool) {
	i := slices.IndexFunc(list, func(b hub.Branch) bool { return b.Name == name })
	if i < 0 {
		return hub.Branch{}, false
	}
	return list[i], true
}

// compareLast notes branches that were there once.
func (l *Listing) compareLast(now []hub.Branch, st *store.Store, last hub.RefList) {
	gone := make(map[string]bool)
	missing := func(name string) bool {
		_, ok := branchOf(now, name)
		return !ok && name != "" && !gone[name]
	}
	if st != nil {
		snaps, _ := st.Snapshots() // those that cannot be read are the store's findings
		for _, s := range snaps {
			if s.Repo == l.Repo && missing(s.Branch) {
				if _, ok := st.BranchCommit(s.Repo, s.Branch); ok {
					gone[s.Branch] = true
					l.note(s.Branch, "BRANCH_GONE", "the store has this branch, the repository no longer does")
				}
			}
		}
	}
	for _, b := range last.Branches {
		if missing(b.Name) {
			l.note(b.Name, "BRANCH_GONE", "the repository had this branch %s ago, and no longer does", agoText(time.Since(last.AsOf)))
		}
	}
}

// compareWeights notes branches that are not as different as their names.
func (l *Listing) compareWeights(facts []branchFacts) {
	commits := make(map[hub.Commit]string)
	contents := make(map[hub.SHA256]string)
	for _, f := range facts {
		if f.kind != KindBranch {
			continue
		}
		if other, ok := commits[f.Commit]; ok {
			l.note(f.Name, "SAME_COMMIT", "stands at the same commit as %s", other)
			continue
		}
		commits[f.Commit] = f.Name
		for _, file := range f.files {
			if !isWeights(file.Path) || !file.LFS {
				continue
			}
			if other, ok := contents[file.SHA256]; ok && other != f.Name {
				l.note(f.Name, "SAME_WEIGHTS", "has the same %s as %s", file.Path, other)
				break
			}
			contents[file.SHA256] = f.Name
		}
	}
}
