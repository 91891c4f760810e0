package app

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"github.com/qbranch/qbranch/hub"
	"github.com/qbranch/qbranch/quant"
	"github.com/qbranch/qbranch/quant/engines"
	"github.com/qbranch/qbranch/quant/safetensors"
	"github.com/qbranch/qbranch/quant/vram"
)

// Inspection is what is known of a branch without its weights: its
// configurations, the index and the header of every safetensors file.
type Inspection struct {
	Branch string
	Kind   RefKind
	Commit string
	Files  []hub.File // sorted by path; none when the tree could not be read

	WeightFiles []string                       // those that make up the checkpoint, sorted
	JSON        map[string][]byte              // the configurations and indexes that could be read, by path
	Headers     map[string]*safetensors.Header // by path; empty when none could be read
	Unread      []string                       // what could not be read, and why

	Config   quant.Config   // what follows from all configurations and headers
	Model    *quant.Model   // nil when there is no config.json that can be read
	Beliefs  []quant.Belief // what programs take it for, by the files that they read
	Findings []Finding      // what is wrong with the branch, by quant.Check
	Settled  Settled

	subject engines.Subject // as the table of engines wants it, for any machine
}

// Sourced is a parameter that is believed, and who says so: "tensors", a
// configuration by its name, "name" or "card".
type Sourced[T any] struct {
	Value  T      `json:"value"`
	Source string `json:"source"`
}

// Settled are the parameters of a branch; nil is what nobody says. Bits and
// group size are the tensors' where their headers could be read.
type Settled struct {
	Bits      *Sourced[int]    `json:"bits"`
	GroupSize *Sourced[int]    `json:"group_size"` // -1 = none
	ActOrder  *Sourced[bool]   `json:"act_order"`
	Sym       *Sourced[bool]   `json:"sym"`
	Format    *Sourced[string] `json:"format"` // checkpoint_format
}

// Fatal returns the findings that say the branch cannot be what it claims.
func (i *Inspection) Fatal() []Finding { return fatalOf(i.Findings) }

// Weights is what the tensors weigh: by their headers, else by the sizes of the
// files, else by the shapes that configuration and architecture imply. Bytes is 0
// when none of these is known.
func (i *Inspection) Weights() vram.Weights {
	var headers []*safetensors.Header
	var bytes int64
	for _, name := range i.WeightFiles {
		if h := i.Headers[name]; h != nil {
			headers = append(headers, h)
		}
		if f, ok := find(i.Files, name); ok {
			bytes += f.Size
		}
	}
	if len(headers) > 0 && len(headers) == len(i.WeightFiles) {
		return vram.Headers(headers)
	}
	if bytes > 0 {
		return vram.Total(bytes, vram.FromTreeSizes, i.Model)
	}
	if i.Model != nil {
		if l, err := quant.LayoutOf(i.Config, i.Model, quant.WriterOptions(i.Config, i.Model)); err == nil {
			return vram.Total(l.DataBytes(), vram.FromShapes, i.Model)
		}
	}
	return vram.Weights{}
}

// evidence is what was read of a commit.
type evidence struct {
	json    map[string][]byte
	headers []shardHeader
	unread  []string
	input   quant.Input  // all of that but the branch, which refs at one commit do not share
	proven  quant.Config // what the headers say, whatever the configurations do; zero without headers
	refused error        // by which permission is needed; nil = none
}

// prove settles what the headers say. Those of thousands of tensors take a while.
func (f *branchFacts) prove() {
	e := &f.evidence
	e.input = quant.Input{Files: f.sizes(), JSON: e.json, Headers: e.parsed()}.WithInventory()
	if len(e.input.Headers) > 0 {
		e.proven = e.input.Proven()
	}
}

// parsed are the headers that make sense, by path.
func (e *evidence) parsed() map[string]*safetensors.Header {
	headers := make(map[string]*safetensors.Header)
	for _, h := range e.headers {
		if h.bad == nil {
			headers[h.file.Path] = h.header
		}
	}
	return headers
}

// Inspect reads what tells of the branches of a repository, or of the one that
// the reference names, without their weights. The listing is that of List.
// Requests of a cold cache: refs and card, and for each branch the tree, the
// configurations that no other branch has, and two to three for each safetensors
// file. Refs alone are asked for when the cache holds the rest, and nothing when
// the App is offline. What cannot be read is said (Inspection.Unread) and is no
// error, unless nothing can.
func (a *App) Inspect(ctx context.Context, ref Ref) (*Listing, []Inspection, error) {
	return a.survey(ctx, ref, ListOptions{}, true)
}

// What Inspect reads at most of all branches together, so that no repository can
// ask for more memory and requests than there are. Eight branches of a Mixtral have 5
// MB in 8 files, eight of the largest models 20 MB in 1300.
const (
	inspectBytes = 64 << 20 // of headers, configurations and indexes
	inspectFiles = 4000     // of weights
)

// errInspectLimit says that a repository has more than that.
var errInspectLimit = fmt.Errorf("the branches have more than %d MiB of headers and configurations, or %d weight files: name one branch to have it read", inspectBytes>>20, inspectFiles)

// budget counts what was read; a nil one has no end.
type budget struct{ usedBytes, usedFiles atomic.Int64 }

func (b *budget) bytes(n int64) error {
	if b != nil && b.usedBytes.Add(n) > inspectBytes {
		return errInspectLimit
	}
	return nil
}

func (b *budget) file() error {
	if b != nil && b.usedFiles.Add(1) > inspectFiles {
		return errInspectLimit
	}
	return nil
}

// gather reads configurations, indexes and headers.
func (r *contentReader) gather(ctx context.Context, f *branchFacts) evidence {
	e := evidence{json: make(map[string][]byte)}
	if f.treeErr != nil {
		e.unread = []string{f.treeErr.Error()}
		return e
	}
	var mu sync.Mutex    // guards e
	var refused []string // paths
	failed := func(path string, err error) {
		mu.Lock()
		defer mu.Unlock()
		if restricted(err) {
			refused, e.refused = append(refused, path), err
		} else {
			e.unread = append(e.unread, err.Error())
		}
	}
	var g errgroup.Group // what cannot be read is noted
	g.SetLimit(judgeConns)
	g.Go(func() error {
		h := headerReader{ranged{r.app, r.repo, f.Commit, nil, new(Stats)}, r.st, &r.budget}
		headers, err := h.readAll(ctx, f.files)
		if err != nil {
			failed(weightsText(f.files), err)
		}
		mu.Lock()
		defer mu.Unlock()
		e.headers = headers
		return nil
	})
	for _, file := range f.files {
		limit := jsonLimit(file.Path)
		if limit == 0 {
			continue
		}
		g.Go(func() error {
			err := r.budget.bytes(file.Size)
			var data []byte
			if err == nil {
				data, err = r.read(ctx, f, file.Path, limit)
			}
			if err != nil {
				failed(file.Path, err)
				return nil
			}
			mu.Lock()
			defer mu.Unlock()
			e.json[file.Path] = data
			return nil
		})
	}
	g.Wait() // nothing returns an error
	slices.Sort(e.unread)
	if len(refused) > 0 {
		slices.Sort(refused)
		e.unread = append(e.unread, strings.Join(refused, ", ")+": access is restricted")
	}
	return e
}

// weightsText names the weight files: the one, or how many.
func weightsText(files []hub.File) string {
	var names []string
	for _, f := range files {
		if isWeights(f.Path) {
			names = append(names, f.Path)
		}
	}
	if len(names) == 1 {
		return names[0]
	}
	return fmt.Sprintf("%d weight files", len(names))
}

// inspectAll judges all branches at once: headers of thousands of tensors take
// longer than a request.
func inspectAll(facts []branchFacts, c *Card) []Inspection {
	seen := make([]Inspection, len(facts))
	var wg sync.WaitGroup
	for i := range facts {
		wg.Go(func() { seen[i] = inspected(&facts[i], cardClaims(c, facts[i].Name)) })
	}
	wg.Wait()
	return seen
}

// inspected judges what was read of a branch.
func inspected(f *branchFacts, onCard claims) Inspection {
	i := Inspection{Branch: f.Name, Kind: f.kind, Commit: string(f.Commit), Files: f.files,
		JSON: f.evidence.json, Headers: f.evidence.input.Headers, Unread: f.evidence.unread}
	for _, h := range f.evidence.headers {
		if h.bad != nil {
			i.Findings = append(i.Findings, quant.HeaderFinding(h.file.Path, h.bad))
		}
	}
	if data, ok := i.JSON[modelConfig]; ok {
		i.Model, _ = quant.ParseModel(data) // what is wrong with it is a finding
	}
	in := f.evidence.input
	if i.Kind == KindBranch {
		in.Branch = i.Branch
	}
	i.WeightFiles = in.WeightFiles()
	i.Config, _ = in.Config() // Check has the findings of that
	i.Beliefs = in.Beliefs()
	// Where something could not be read and nothing else was, nothing is known.
	if !i.blind() {
		i.Findings = append(i.Findings, quant.Check(in)...)
	}
	i.settle(in, f.evidence.proven, onCard)
	i.subject = i.subjectOf()
	return i
}

// settle names who says what is believed.
func (i *Inspection) settle(in quant.Input, proven quant.Config, onCard claims) {
	all := []claims{}
	if len(in.Headers) > 0 {
		c := configClaims(proven)
		c.source, c.act = FromTensors, nil // shapes do not tell the order of rows
		all = append(all, c)
	}
	for _, cfg := range in.Sources() {
		all = append(all, configClaims(cfg))
		i.Settled.Sym = firstSourced(i.Settled.Sym, cfg.Sym, cfg.File)
		if cfg.HasFormat {
			i.Settled.Format = firstSourced(i.Settled.Format, &cfg.Format, cfg.File)
		}
	}
	for _, c := range append(all, nameClaims(i.Branch), onCard) {
		i.Settled.Bits = firstSourced(i.Settled.Bits, c.bits, c.source)
		i.Settled.GroupSize = firstSourced(i.Settled.GroupSize, c.group, c.source)
		i.Settled.ActOrder = firstSourced(i.Settled.ActOrder, c.act, c.source)
	}
}

func firstSourced[T any](a *Sourced[T], value *T, source string) *Sourced[T] {
	if a != nil || value == nil {
		return a
	}
	return &Sourced[T]{*value, source}
}
