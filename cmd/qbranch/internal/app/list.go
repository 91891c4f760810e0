package app

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/qbranch/qbranch/hub"
	"github.com/qbranch/qbranch/hub/fetch"
	"github.com/qbranch/qbranch/quant"
	"github.com/qbranch/qbranch/quant/card"
	"github.com/qbranch/qbranch/store"
)

// LocalState says what the store holds of a branch.
type LocalState string

// Local states.
const (
	LocalNone     LocalState = ""
	LocalPartial  LocalState = "partial"  // resumable
	LocalVerified LocalState = "verified" // snapshot present, every blob there
	LocalCorrupt  LocalState = "corrupt"  // a verify found bad bytes
	LocalOutdated LocalState = "outdated" // verified at a commit the branch has left
)

// BranchRow is one branch of a listing: the reconciled parameters and where
// they come from. Pointers are nil where nobody says.
type BranchRow struct {
	Branch      string     `json:"branch"` // a revision: a branch's name, or another ref's
	Kind        RefKind    `json:"kind"`
	Commit      string     `json:"commit"`
	Bits        *int       `json:"bits"`
	GroupSize   *int       `json:"group_size"` // -1 = none
	ActOrder    *bool      `json:"act_order"`
	CardBytes   *int64     `json:"card_bytes"`   // as printed on the card
	WeightBytes int64      `json:"weight_bytes"` // safetensors in the tree
	TotalBytes  int64      `json:"total_bytes"`  // whole tree
	Files       int        `json:"files"`
	Local       LocalState `json:"local"`
	LocalBytes  int64      `json:"local_bytes"` // held of TotalBytes
	Description string     `json:"description,omitempty"`
	Error       string     `json:"error,omitempty"` // why the tree or config could not be read
}

// RefKind says what gives a commit its name.
type RefKind string

// Kinds of refs.
const (
	KindBranch  RefKind = "branch"
	KindTag     RefKind = "tag"
	KindConvert RefKind = "convert" // a conversion that the hub made
	KindPull    RefKind = "pull"    // a pull request
	KindCommit  RefKind = "commit"  // not a ref: a commit that was asked for
)

// Note is a contradiction or remark under the table. Codes are stable:
//
//	CARD_BITS, CARD_GROUP_SIZE, CARD_ACT_ORDER  the card against the config, or the name where there is no config
//	CARD_SIZE             the card against the real size of the weights
//	CARD_MISSING_BRANCH   the card lists a branch that is not there
//	REF_NOT_ON_CARD       a branch that the card does not list
//	NAME_BITS, NAME_GROUP_SIZE, NAME_ACT_ORDER  the branch's name against the config
//	CONFIG_UNREADABLE     the configuration cannot be made sense of
//	NO_CONFIG             the branch has no quantisation configuration
//	NOT_GPTQ              the branch is AWQ, EXL2, GGUF or something else
//	NO_CARD, NO_CARD_TABLE, CARD_UNREADABLE     there is no card to compare with
//	OFFLINE               what the hub said some time ago
//	RENAMED               the hub knows the repository by another name
//	RESTRICTED            the files cannot be read without permission
//	STORE_UNREADABLE      the local state is not known
//
// Findings of the card's reader appear under their own codes.
type Note struct {
	Branch  string `json:"branch"` // "" = the repository
	Code    string `json:"code"`
	Message string `json:"message"`
}

// Listing is what List returns.
type Listing struct {
	Repo     string      `json:"repo"`
	Endpoint string      `json:"endpoint"`
	Branches []BranchRow `json:"branches"`
	Notes    []Note      `json:"notes"`
	Requests int         `json:"requests"` // sent to the hub
	AsOf     time.Time   `json:"as_of"`    // when the hub said so: in the past only when offline
}

// The largest files that are read whole.
const (
	cardLimit   = 2 << 20
	configLimit = 4 << 20
	indexLimit  = 64 << 20
)

// The names of configurations, in the order in which AutoGPTQ and GPTQModel
// look for them.
const (
	quantizeConfig = "quantize_config.json"
	quantConfig    = "quant_config.json"
	modelConfig    = "config.json"
	readme         = "README.md"
)

// listConns is how many requests of a listing are under way at once: tree and
// configuration of eight branches.
const listConns = 16

// branchFacts is what the hub said of one branch.
type branchFacts struct {
	hub.Branch
	kind    RefKind
	files   []hub.File
	treeErr error

	evidence evidence // only for Inspect

	configFile string // which file config is from
	config     []byte
	configErr  error
}

// ListOptions may be zero.
type ListOptions struct {
	AllRefs bool // tags, conversions and pull requests too
}

// List reconciles the card's table, the refs, each branch's tree and its
// quantize_config.json. Requests: refs, one tree and at most one configuration
// per branch, and the card; three round trips. What the store or the cache holds,
// and what branches share, is not asked for again: with a cache, a second listing
// takes one request, and none when the App is offline.
func (a *App) List(ctx context.Context, repo RepoID, o ListOptions) (*Listing, error) {
	l, _, err := a.survey(ctx, Ref{Repo: repo}, o, false)
	return l, err
}

// survey lists a repository, or the one branch that the reference names, and
// inspects the branches if that is wished.
func (a *App) survey(ctx context.Context, ref Ref, o ListOptions, inspect bool) (*Listing, []Inspection, error) {
	before := a.hub.Requests()
	st, storeErr := a.existingStore()
	all, facts, err := a.namedFacts(ctx, ref, o, st)
	if err != nil {
		return nil, nil, err
	}
	asked, repo := ref.Repo, all.Repo
	facts, md, cardErr := a.readBranches(ctx, repo, facts, st, inspect)
	if err := errors.Join(ctx.Err(), noneReadable(facts)); err != nil {
		return nil, nil, err
	}
	l := &Listing{Repo: repo.String(), Endpoint: a.Endpoint(), AsOf: all.AsOf.UTC().Truncate(time.Second), Branches: []BranchRow{}, Notes: []Note{}}
	if a.offline {
		l.note("", "OFFLINE", "offline: the branches are those that the hub listed %s ago, at %s", agoText(time.Since(all.AsOf)), all.AsOf.Local().Format("2006-01-02 15:04"))
	}
	if asked != repo {
		l.note("", "RENAMED", "%s is called %s now", asked, repo)
	}
	c := l.readCard(md, cardErr)
	if storeErr != nil {
		l.note("", "STORE_UNREADABLE", "what is here already is not known: %v", storeErr)
	}
	var seen []Inspection
	if inspect {
		seen = inspectAll(facts, c)
	}
	for _, f := range facts {
		row := l.addRow(f, cardRow(c, f.Name))
		row.Local, row.LocalBytes = localState(st, repo.String(), f)
		l.Branches = append(l.Branches, row)
	}
	if ref.Revision == "" {
		l.compareRefs(c, all.Branches)
	}
	l.Requests = int(a.hub.Requests() - before)
	return l, seen, nil
}

// namedFacts asks for the refs, and begins the facts of those that are wanted: all,
// or the one that the reference names. One that the store holds needs no hub.
func (a *App) namedFacts(ctx context.Context, ref Ref, o ListOptions, st *store.Store) (hub.RefList, []branchFacts, error) {
	all, err := a.hub.Refs(ctx, ref.Repo, o.AllRefs)
	if err != nil {
		if errors.Is(err, hub.ErrOffline) && ref.Revision != "" && st != nil {
			if _, snap, e := a.localSnapshot(ref); e == nil {
				held := branchFacts{Branch: hub.Branch{Name: ref.Revision, Commit: hub.Commit(snap.Commit)}, kind: KindBranch}
				return hub.RefList{Repo: ref.Repo, AsOf: snap.Created}, []branchFacts{held}, nil
			}
		}
		return all, nil, a.orKept(err, ref.Repo, o)
	}
	kinds := map[RefKind][]hub.Branch{KindTag: all.Tags, KindConvert: all.Converts, KindPull: all.PullRequests}
	if ref.Revision == "" {
		return all, factsOf(all.Branches, kinds, o.AllRefs), nil
	}
	for _, f := range factsOf(all.Branches, kinds, true) {
		if f.Name == ref.Revision {
			return all, []branchFacts{f}, nil
		}
	}
	commit, err := a.revision(ctx, Ref{Repo: all.Repo, Revision: ref.Revision})
	return all, []branchFacts{{Branch: hub.Branch{Name: ref.Revision, Commit: commit}, kind: KindCommit}}, err
}

// agoText is a duration for people who need no more than its size.
func agoText(d time.Duration) string {
	switch {
	case d < 2*time.Minute:
		return fmt.Sprintf("%d s", int(max(d, 0).Seconds()))
	case d < 2*time.Hour:
		return fmt.Sprintf("%d min", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h", int(d.Hours()))
	}
	return fmt.Sprintf("%d days", int(d.Hours()/24))
}

// note adds a note.
func (l *Listing) note(branch, code, format string, args ...any) {
	l.Notes = append(l.Notes, Note{branch, code, fmt.Sprintf(format, args...)})
}

// factsOf begins the facts with what the refs say, branches first.
func factsOf(branches []hub.Branch, others map[RefKind][]hub.Branch, all bool) []branchFacts {
	var facts []branchFacts
	add := func(list []hub.Branch, kind RefKind) {
		for _, b := range list {
			facts = append(facts, branchFacts{Branch: b, kind: kind})
		}
	}
	add(branches, KindBranch)
	if all {
		for _, kind := range []RefKind{KindTag, KindConvert, KindPull} {
			add(others[kind], kind)
		}
	}
	return facts
}

// readBranches asks for all trees, then for what they list: each branch's
// configuration, and the card of the first one; to inspect them, also what else
// there is but weights.
func (a *App) readBranches(ctx context.Context, repo RepoID, facts []branchFacts, st *store.Store, inspect bool) (_ []branchFacts, md []byte, cardErr error) {
	var g errgroup.Group // each branch keeps its own error
	g.SetLimit(listConns)
	trees := make(map[hub.Commit]*branchFacts) // refs that stand at one commit share its tree
	for i := range facts {
		f := &facts[i]
		if trees[f.Commit] != nil {
			continue
		}
		trees[f.Commit] = f
		g.Go(func() error {
			f.files, f.treeErr = a.tree(ctx, repo, f.Commit, st)
			return nil
		})
	}
	g.Wait() // nothing returns an error
	r := contentReader{app: a, st: st, repo: repo}
	for i := range facts {
		f := &facts[i]
		f.files, f.treeErr = trees[f.Commit].files, trees[f.Commit].treeErr
		f.configFile = f.configName()
		if first := trees[f.Commit]; inspect && first == f {
			g.Go(func() error {
				f.evidence = r.gather(ctx, f)
				return nil
			})
		}
		g.Go(func() error {
			f.config, f.configErr = r.read(ctx, f, f.configFile, configLimit)
			return nil
		})
	}
	cardErr = hub.ErrEntryNotFound
	if len(facts) > 0 { // the first is main, when there is one
		md, cardErr = r.read(ctx, &facts[0], readme, cardLimit)
	}
	g.Wait() // nothing returns an error
	for i := range facts {
		facts[i].evidence = trees[facts[i].Commit].evidence
	}
	return facts, md, cardErr
}

// tree lists the files of a commit: those of the store where the hub cannot be
// asked and the store has them all.
func (a *App) tree(ctx context.Context, repo RepoID, at hub.Commit, st *store.Store) ([]hub.File, error) {
	files, err := a.hub.Tree(ctx, repo, at)
	if st == nil || !errors.Is(err, hub.ErrOffline) && !errors.Is(err, hub.ErrNetwork) {
		return files, err
	}
	snap, e := st.Snapshot(repo.String(), string(at))
	if e != nil {
		return nil, err
	}
	return snapshotFiles(snap), nil
}

// snapshotFiles is the listing of a snapshot.
func snapshotFiles(snap Snapshot) []hub.File {
	files := make([]hub.File, len(snap.Files))
	for i, f := range snap.Files {
		files[i] = hub.File{Path: f.Path, Size: f.Size, LFS: true, SHA256: hub.SHA256(f.SHA256)}
	}
	return files
}

// configName names the file that declares the quantisation: the first that is
// there of those that AutoGPTQ and GPTQModel look for.
func (f *branchFacts) configName() string {
	for _, name := range []string{quantizeConfig, quantConfig, modelConfig} {
		if _, ok := find(f.files, name); ok {
			return name
		}
	}
	return quantizeConfig
}

// contentReader reads small files for a listing: from the store when it has
// them, and from the hub once, however many branches have the same content.
type contentReader struct {
	app  *App
	st   *store.Store // nil when there is none
	repo RepoID
	once sync.Map // store.Want → func() ([]byte, error)
}

// read returns the content of a file that the branch's tree lists, checked
// against its digest.
func (r *contentReader) read(ctx context.Context, f *branchFacts, path string, limit int64) ([]byte, error) {
	if f.treeErr != nil {
		return nil, f.treeErr
	}
	file, ok := find(f.files, path)
	if !ok {
		return nil, fmt.Errorf("read %s: %w", path, hub.ErrEntryNotFound)
	}
	w := fetch.Wanted(file)
	get, _ := r.once.LoadOrStore(w, sync.OnceValues(func() ([]byte, error) {
		if r.st != nil {
			if d, ok := r.st.Find(w); ok {
				return readBlob(r.st, d, limit)
			}
		}
		return r.app.hub.ReadListed(ctx, r.repo, f.Commit, file, limit)
	}))
	return get.(func() ([]byte, error))()
}

// find returns the file of that path.
func find(files []hub.File, path string) (hub.File, bool) {
	i := slices.IndexFunc(files, func(f hub.File) bool { return f.Path == path })
	if i < 0 {
		return hub.File{}, false
	}
	return files[i], true
}

// noneReadable returns the first error when not a single tree could be read:
// then it is not about a branch.
func noneReadable(facts []branchFacts) error {
	for _, f := range facts {
		if f.treeErr == nil {
			return nil
		}
	}
	if len(facts) == 0 {
		return nil
	}
	return facts[0].treeErr
}

// restricted reports whether err asks for permission.
func restricted(err error) bool {
	return errors.Is(err, hub.ErrGated) || errors.Is(err, hub.ErrUnauthorized) || errors.Is(err, hub.ErrForbidden)
}

// readCard parses the card and notes what keeps it from being compared.
func (l *Listing) readCard(md []byte, err error) *Card {
	switch {
	case errors.Is(err, hub.ErrEntryNotFound):
		l.note("", "NO_CARD", "there is no README.md to compare with")
	case restricted(err):
		l.note("", "RESTRICTED", "the card needs permission: %v", err)
	case err != nil:
		l.note("", "CARD_UNREADABLE", "README.md: %v", err)
	}
	if err != nil {
		return &Card{}
	}
	c := card.Parse(md)
	if len(c.Rows) == 0 {
		l.note("", "NO_CARD_TABLE", "no table of branches was found in the card")
	}
	for _, f := range c.Findings {
		if cardRow(c, f.Where) != nil {
			l.note(f.Where, f.Code, "%s", f.Message)
		} else {
			l.note("", f.Code, "%s", f.Message)
		}
	}
	return c
}

// cardRow returns the card's row of a branch, nil when it has none.
func cardRow(c *Card, branch string) *card.Row {
	for i := range c.Rows {
		if c.Rows[i].Branch == branch {
			return &c.Rows[i]
		}
	}
	return nil
}

// addRow makes the row of a branch and notes its contradictions.
func (l *Listing) addRow(f branchFacts, onCard *card.Row) BranchRow {
	row := BranchRow{Branch: f.Name, Kind: f.kind, Commit: string(f.Commit), Files: len(f.files)}
	for _, file := range f.files {
		row.TotalBytes += file.Size
		if isWeights(file.Path) {
			row.WeightBytes += file.Size
		}
	}
	if f.treeErr != nil {
		row.Error = f.treeErr.Error()
	}
	claims := [...]claims{sourceConfig: l.configClaims(f, &row), sourceName: nameClaims(f.Name), sourceCard: cardClaims(onCard)}
	row.Bits, row.GroupSize, row.ActOrder = reconcile(claims[:])
	l.Notes = append(l.Notes, contradictions(f.Name, claims[:])...)
	if onCard == nil {
		return row
	}
	row.CardBytes = onCard.SizeBytes
	if onCard.Description != nil {
		row.Description = *onCard.Description
	}
	if row.CardBytes != nil && row.WeightBytes > 0 && !roundsTo(row.WeightBytes, *row.CardBytes) {
		l.note(f.Name, "CARD_SIZE", "the card says %s, the weights have %s", BytesText(*row.CardBytes), BytesText(row.WeightBytes))
	}
	return row
}

// configClaims reads the branch's configuration.
func (l *Listing) configClaims(f branchFacts, row *BranchRow) claims {
	switch {
	case restricted(f.configErr):
		if !slices.ContainsFunc(l.Notes, func(n Note) bool { return n.Code == "RESTRICTED" && n.Branch == "" }) {
			l.note("", "RESTRICTED", "the files need permission, so bits and groups are from names and card: %v", f.configErr)
		}
		return claims{}
	case errors.Is(f.configErr, hub.ErrEntryNotFound):
		l.noteNoConfig(f, "there is no quantisation configuration")
		return claims{}
	case f.configErr != nil:
		if row.Error == "" {
			row.Error = f.configErr.Error()
		}
		return claims{}
	}
	cfg, ok, err := parseConfig(f.configFile, f.config)
	switch {
	case err != nil:
		text := err.Error()
		if !strings.HasPrefix(text, f.configFile) {
			text = f.configFile + ": " + text
		}
		l.note(f.Name, "CONFIG_UNREADABLE", "%s", text)
		return claims{}
	case !ok:
		l.noteNoConfig(f, f.configFile+" has no quantization_config")
		return claims{}
	}
	if method := quant.OtherMethod(cfg); method != "" {
		l.note(f.Name, "NOT_GPTQ", "this is %s, not GPTQ", method)
	}
	return configClaims(cfg)
}

// noteNoConfig says what the weights are where that explains it.
func (l *Listing) noteNoConfig(f branchFacts, message string) {
	names := make([]string, len(f.files))
	for i, file := range f.files {
		names[i] = file.Path
	}
	if format := quant.OtherFormat(names); format != "" {
		l.note(f.Name, "NOT_GPTQ", "this is %s, not GPTQ", format)
		return
	}
	l.note(f.Name, "NO_CONFIG", "%s", message)
}

// parseConfig reads any of the three files; ok is false when it says nothing
// of quantisation.
func parseConfig(file string, data []byte) (cfg quant.Config, ok bool, err error) {
	if file == modelConfig {
		return quant.ParseModelConfig(data)
	}
	cfg, err = quant.ParseConfig(file, data)
	return cfg, err == nil, err
}

// compareRefs notes branches that only the card or only the refs have.
func (l *Listing) compareRefs(c *Card, refs []hub.Branch) {
	for _, r := range c.Rows {
		if !slices.ContainsFunc(refs, func(b hub.Branch) bool { return b.Name == r.Branch }) {
			l.note(r.Branch, "CARD_MISSING_BRANCH", "the card lists this branch, the repository does not have it")
		}
	}
	if len(c.Rows) == 0 {
		return
	}
	for _, b := range refs {
		if cardRow(c, b.Name) == nil {
			l.note(b.Name, "REF_NOT_ON_CARD", "the card does not list this branch")
		}
	}
}
