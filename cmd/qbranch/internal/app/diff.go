package app

import (
	"context"
	"regexp"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/qbranch/qbranch/quant/engines"
	"github.com/qbranch/qbranch/quant/vram"
)

// Diff is in what two branches, or folders, differ.
type Diff struct {
	A          DiffSide        `json:"a"`
	B          DiffSide        `json:"b"`
	Parameters []DiffParameter `json:"parameters"`

	Shared  []DiffFile `json:"shared"`  // the same content, by its digest
	Changed []DiffFile `json:"changed"` // other content under one name
	OnlyA   []DiffFile `json:"only_a"`
	OnlyB   []DiffFile `json:"only_b"`
	Unknown []DiffFile `json:"unknown"` // one name and size, and no digest to compare

	SharedBytes int64 `json:"shared_bytes"`
	SwitchBytes int64 `json:"switch_bytes"` // to be fetched for B where A is here
	FetchBytes  int64 `json:"fetch_bytes"`  // to be fetched for B now: what the store lacks

	Engines   []DiffEngine `json:"engines"` // that load one otherwise than the other
	FindingsA []Finding    `json:"findings_a"`
	FindingsB []Finding    `json:"findings_b"` // that only B has
	Requests  int          `json:"requests"`
}

// DiffSide is one of the two.
type DiffSide struct {
	Target      string       `json:"target"`
	From        string       `json:"from"` // "hub", "store" or "folder"
	Repo        string       `json:"repo"`
	Branch      string       `json:"branch"`
	Commit      string       `json:"commit"`
	Local       LocalState   `json:"local"`
	WeightBytes int64        `json:"weight_bytes"`
	TotalBytes  int64        `json:"total_bytes"`
	Files       int          `json:"files"`
	Estimate    vram.Summary `json:"estimate"`
	Unread      []string     `json:"unread"` // what could not be read, so that differences may be missing
}

// DiffParameter is a parameter on both sides; nil is what nobody says.
type DiffParameter struct {
	Name string `json:"name"`
	A    any    `json:"a"`
	B    any    `json:"b"`
	Same bool   `json:"same"`
}

// DiffFile is a file of one or both sides. A path or size of a side that does not
// have it is "" and 0.
type DiffFile struct {
	PathA string `json:"path_a"`
	PathB string `json:"path_b"`
	SizeA int64  `json:"size_a"`
	SizeB int64  `json:"size_b"`
}

// DiffEngine is a program that treats the two otherwise.
type DiffEngine struct {
	ID   string        `json:"id"`
	Name string        `json:"name"`
	A    engines.Loads `json:"a"`
	B    engines.Loads `json:"b"`
	Why  []string      `json:"why"` // of the side that it likes less
}

// Diff compares two branches, of one repository or of two, or folders, as Show
// reads them.
func (a *App) Diff(ctx context.Context, from, to Target, o FitOptions) (*Diff, error) {
	var sides [2]*Shown
	before := a.hub.Requests()
	g, ctx := errgroup.WithContext(ctx)
	for i, t := range []Target{from, to} {
		g.Go(func() (err error) {
			sides[i], err = a.Show(ctx, t, o)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	d := &Diff{A: diffSide(sides[0]), B: diffSide(sides[1]), Requests: int(a.hub.Requests() - before)}
	d.compareParameters(sides[0].Branch.Parameters, sides[1].Branch.Parameters)
	d.compareFiles(sides[0].Files, sides[1].Files)
	d.compareEngines(sides[0].Engines, sides[1].Engines)
	d.FindingsA = findingsOf(sides[0].Findings, sides[1].Findings)
	d.FindingsB = findingsOf(sides[1].Findings, sides[0].Findings)
	return d, nil
}

func diffSide(s *Shown) DiffSide {
	b := s.Branch
	return DiffSide{Target: s.Target, From: s.From, Repo: s.Repo, Branch: b.Branch, Commit: b.Commit, Local: b.Local,
		WeightBytes: b.WeightBytes, TotalBytes: b.TotalBytes, Files: b.Files, Estimate: s.Estimate.Summary, Unread: s.Unread}
}

// compareParameters pairs what is believed of both.
func (d *Diff) compareParameters(a, b []Parameter) {
	for _, p := range a {
		if p.Name == "listed" {
			continue
		}
		pair := DiffParameter{Name: p.Name, A: p.Value}
		if i := slices.IndexFunc(b, func(q Parameter) bool { return q.Name == p.Name }); i >= 0 {
			pair.B = b[i].Value
		}
		pair.Same = pair.A == pair.B
		d.Parameters = append(d.Parameters, pair)
	}
}

// same compares two files by what is known of both.
func (f ShownFile) same(o ShownFile) (same, known bool) {
	switch {
	case f.SHA256 != "" && o.SHA256 != "":
		return f.SHA256 == o.SHA256, true
	case f.GitOID != "" && o.GitOID != "":
		return f.GitOID == o.GitOID, true
	}
	return false, f.Size != o.Size
}

// compareFiles pairs files by content, and those that are left by name.
func (d *Diff) compareFiles(a, b []ShownFile) {
	contents := make(map[string]ShownFile) // of A, by digest
	for _, f := range a {
		for _, digest := range []string{f.SHA256, f.GitOID} {
			if _, taken := contents[digest]; digest != "" && !taken {
				contents[digest] = f
			}
		}
	}
	names := make(map[string]ShownFile) // of A, and not yet compared with a file of B
	for _, f := range a {
		names[f.Path] = f
	}
	for _, f := range b {
		d.compareFile(f, contents, names)
	}
	for _, f := range a {
		if _, left := names[f.Path]; left {
			d.OnlyA = append(d.OnlyA, DiffFile{PathA: f.Path, SizeA: f.Size})
		}
	}
}

func (d *Diff) compareFile(f ShownFile, contents, names map[string]ShownFile) {
	missing := f.Size
	if f.Held {
		missing = 0
	}
	d.FetchBytes += missing
	old, named := names[f.Path]
	same, known := false, false
	if named {
		same, known = old.same(f)
	}
	if !same {
		for _, digest := range []string{f.SHA256, f.GitOID} {
			if other, ok := contents[digest]; ok && digest != "" {
				old, same = other, true
				break
			}
		}
	}
	delete(names, f.Path)
	pair := DiffFile{PathA: old.Path, PathB: f.Path, SizeA: old.Size, SizeB: f.Size}
	switch {
	case same:
		d.Shared = append(d.Shared, pair)
		d.SharedBytes += f.Size
		return
	case named && !known:
		d.Unknown = append(d.Unknown, pair)
	case named:
		d.Changed = append(d.Changed, pair)
	default:
		d.OnlyB = append(d.OnlyB, pair)
	}
	d.SwitchBytes += missing
}

// compareEngines keeps the programs whose verdicts differ.
func (d *Diff) compareEngines(a, b []ProgramVerdict) {
	for _, v := range a {
		i := slices.IndexFunc(b, func(w ProgramVerdict) bool { return w.ID == v.ID })
		if i < 0 || b[i].Loads == v.Loads {
			continue
		}
		why := v.Why
		if len(why) == 0 || b[i].Loads == engines.No {
			why = b[i].Why
		}
		d.Engines = append(d.Engines, DiffEngine{ID: v.ID, Name: v.Name, A: v.Loads, B: b[i].Loads, Why: why})
	}
}

// manyOf is how a message says in how many tensors it was found: a model of more
// layers has more.
var manyOf = regexp.MustCompile(` \(and \d+ more\)$`)

// findingsOf returns the findings of one side that the other has not.
func findingsOf(of, other []Finding) (only []Finding) {
	for _, f := range of {
		if f.Code == "H13" { // sizes: they are compared above
			continue
		}
		if !slices.ContainsFunc(other, func(o Finding) bool {
			return o.Code == f.Code && o.Severity == f.Severity && manyOf.ReplaceAllString(o.Message, "") == manyOf.ReplaceAllString(f.Message, "")
		}) {
			only = append(only, f)
		}
	}
	return only
}
