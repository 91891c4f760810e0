package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/qbranch/qbranch/hub"
	"github.com/qbranch/qbranch/quant"
	"github.com/qbranch/qbranch/quant/card"
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

	Sources    []Source    `json:"sources"`    // who may say something of it
	Parameters []Parameter `json:"parameters"` // what each says, and what is believed

	Fit *FitRow `json:"fit,omitempty"` // only of ListFit
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
	KindFolder  RefKind = "folder"  // not of a hub: a folder of this machine
)

// AbsentBranch is a branch that the card lists and the repository does not have,
// with what the card says of it.
type AbsentBranch struct {
	Branch    string `json:"branch"`
	Bits      *int   `json:"bits"`
	GroupSize *int   `json:"group_size"`
	ActOrder  *bool  `json:"act_order"`
	CardBytes *int64 `json:"card_bytes"`
}

// Note is a contradiction or remark under the table. Codes are stable:
//
//	CARD_BITS, CARD_GROUP_SIZE, CARD_ACT_ORDER, CARD_DAMP  the card against the config, or the name where there is no config
//	CARD_SIZE             the card against the real size of the weights
//	CARD_MISSING_BRANCH   the card lists a branch that is not there
//	REF_NOT_ON_CARD       a branch that the card does not list
//	NAME_BITS, NAME_GROUP_SIZE, NAME_ACT_ORDER  the branch's name against the config
//	CONFIG_DIFFERS        two configurations of a branch against each other
//	TENSORS_DIFFER        the tensors against the config
//	METADATA_DIFFERS      what the writer noted in the weight files against the config
//	CONFIG_UNREADABLE     the configuration cannot be made sense of
//	NO_CONFIG             the branch has no quantisation configuration
//	NO_WEIGHTS            the branch has no safetensors files
//	NOT_GPTQ              the branch is AWQ, EXL2, GGUF or something else
//	NO_CARD, NO_CARD_TABLE, CARD_UNREADABLE     there is no card to compare with
//	ENGINE_CARD           what the card says of a program, against the table of engines
//	SAME_COMMIT           two branches stand at one commit
//	SAME_WEIGHTS          two branches that claim to differ have the same weights
//	MOVED                 the branch stands elsewhere than when it was fetched or listed
//	BRANCH_GONE           the repository no longer has a branch that was fetched or listed
//	OFFLINE               what the hub said some time ago
//	RENAMED               the hub knows the repository by another name
//	RESTRICTED            the files cannot be read without permission
//	STORE_UNREADABLE      the local state is not known
//
// Findings of the card's reader appear under their own codes.
type Note struct {
	Branch  string `json:"branch"` // "" = the repository
	Code    string `json:"code"`
	Field   string `json:"field"` // the parameter that it is about, "" where it is about none
	Message string `json:"message"`
}

// Listing is what List returns.
type Listing struct {
	Repo     string         `json:"repo"`
	Endpoint string         `json:"endpoint"`
	Branches []BranchRow    `json:"branches"`
	Absent   []AbsentBranch `json:"absent"` // that only the card lists
	Notes    []Note         `json:"notes"`
	Requests int            `json:"requests"` // sent to the hub
	AsOf     time.Time      `json:"as_of"`    // when the hub said so: in the past only when offline

	// Age is how long ago AsOf is, for people ("2 h"); "" = the hub was asked now.
	Age string `json:"-"`

	card     *Card    // nil when there is none
	branches []string // all of the repository, by name
}

// The largest files that are read whole.
const (
	cardLimit   = 2 << 20
	configLimit = 4 << 20
	indexLimit  = 64 << 20
)

// The names of the files that a listing reads.
const (
	quantizeConfig = "quantize_config.json"
	quantConfig    = "quant_config.json"
	modelConfig    = "config.json"
	readme         = "README.md"
)

// ListOptions may be zero.
type ListOptions struct {
	AllRefs    bool // tags, conversions and pull requests too
	AllSources bool // every configuration of every branch, however many requests that takes
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
	last, _ := a.hub.LastRefs(ref.Repo, o.AllRefs)
	all, facts, err := a.namedFacts(ctx, ref, o, st)
	if err != nil {
		return nil, nil, err
	}
	asked, repo := ref.Repo, all.Repo
	md, cardErr := a.readBranches(ctx, repo, facts, st, o, inspect)
	if err := errors.Join(ctx.Err(), noneReadable(facts)); err != nil {
		return nil, nil, err
	}
	l := &Listing{branches: branchNames(all.Branches), Repo: repo.String(), Endpoint: a.Endpoint(), AsOf: all.AsOf.UTC().Truncate(time.Second), Branches: []BranchRow{}, Absent: []AbsentBranch{}, Notes: []Note{}}
	if a.offline {
		l.Age = agoText(time.Since(all.AsOf))
	}
	switch {
	case !a.offline:
	case len(all.Branches) == 0 && ref.Revision != "":
		l.note("", "OFFLINE", "offline: the branch is as it was fetched %s ago, at %s", l.Age, all.AsOf.Local().Format("2006-01-02 15:04"))
	default:
		l.note("", "OFFLINE", "offline: the branches are those that the hub listed %s ago, at %s", l.Age, all.AsOf.Local().Format("2006-01-02 15:04"))
	}
	if asked != repo {
		l.note("", "RENAMED", "%s is called %s now", asked, repo)
	}
	c := l.readCard(md, cardErr, asked.String())
	if storeErr != nil {
		l.note("", "STORE_UNREADABLE", "what is here already is not known: %v", storeErr)
	}
	var seen []Inspection
	if inspect {
		seen = inspectAll(facts, c)
	}
	for _, f := range facts {
		row := l.addRow(f, c)
		row.Local, row.LocalBytes = localState(st, repo.String(), f)
		l.history(&row, st, last)
		l.Branches = append(l.Branches, row)
	}
	if ref.Revision == "" {
		l.compareRefs(c, all.Branches)
		l.compareLast(all.Branches, st, last)
	}
	for _, f := range facts {
		if f.evidence.refused != nil {
			l.restrict("the files", f.evidence.refused)
		}
	}
	l.compareWeights(facts)
	l.compareEngines(seen, c, md)
	l.Requests = int(a.hub.Requests() - before)
	return l, seen, nil
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
	l.Notes = append(l.Notes, Note{branch, code, "", fmt.Sprintf(format, args...)})
}

// restricted reports whether err asks for permission.
func restricted(err error) bool {
	return errors.Is(err, hub.ErrGated) || errors.Is(err, hub.ErrUnauthorized) || errors.Is(err, hub.ErrForbidden)
}

// restrict notes, once, that permission is needed, and how to get it.
func (l *Listing) restrict(what string, err error) {
	if l.Restricted() != "" {
		return
	}
	l.note("", "RESTRICTED", "access to %s is restricted, so that some of this is from names and the card alone: %s", what, cmp.Or(HintOf(err), err.Error()))
}

// Restricted says that files cannot be read without permission, and how to get it;
// "" when they can.
func (l *Listing) Restricted() string {
	for _, n := range l.Notes {
		if n.Code == "RESTRICTED" {
			return n.Message
		}
	}
	return ""
}

// readCard parses the card and notes what keeps it from being compared. One that
// calls the repository by the name it was asked for is its own, renamed or not.
func (l *Listing) readCard(md []byte, err error, asked string) *Card {
	switch {
	case errors.Is(err, hub.ErrEntryNotFound):
		l.note("", "NO_CARD", "there is no README.md to compare with")
	case restricted(err):
		l.restrict(readme, err)
	case err != nil:
		l.note("", "CARD_UNREADABLE", "README.md: %v", err)
	}
	if err != nil {
		return &Card{}
	}
	c := card.Parse(md)
	if l.Repo != "" && (c.Repo == nil || !strings.EqualFold(*c.Repo, asked)) {
		c.ReadFrom(l.Repo)
	}
	l.card = c
	if len(c.Rows) == 0 {
		l.note("", "NO_CARD_TABLE", "no table of branches was found in the card")
	}
	for _, f := range c.Findings {
		switch {
		case f.Formal():
		case cardRow(c, f.Where) != nil:
			l.Notes = append(l.Notes, Note{f.Where, f.Code, f.Parameter(), f.Message})
		case f.Where == "(card)":
			l.note("", f.Code, "%s: %s", readme, f.Message)
		default:
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
func (l *Listing) addRow(f branchFacts, c *Card) BranchRow {
	onCard := cardRow(c, f.Name)
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
	l.noteConfigs(&f, &row)
	l.noteNoWeights(&f, &row)
	l.settle(&row, hear(&f, c))
	l.decideDescription(&row)
	row.Parameters = append(row.Parameters, sizeParameter(&row, onCard))
	if f.kind == KindBranch && (l.card != nil || l.Restricted() == "") {
		row.Parameters = append(row.Parameters, listedParameter(onCard))
	}
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

// noteConfigs says what keeps the branch's configurations from being believed.
func (l *Listing) noteConfigs(f *branchFacts, row *BranchRow) {
	declared := false
	var none string // why there is none
	for _, c := range f.configs {
		if !c.read {
			continue
		}
		cfg, ok, err := c.parse()
		switch {
		case restricted(c.err):
			declared = true // perhaps
			l.restrict("the files", c.err)
		case errors.Is(c.err, hub.ErrEntryNotFound):
			none = cmp.Or(none, "there is no quantisation configuration")
		case c.err != nil:
			declared = true
			row.Error = cmp.Or(row.Error, c.err.Error())
		case err != nil:
			declared = true
			text := err.Error()
			if !strings.HasPrefix(text, c.name) {
				text = c.name + ": " + text
			}
			l.note(f.Name, "CONFIG_UNREADABLE", "%s", text)
		case !ok:
			none = cmp.Or(none, c.name+" has no quantization_config")
		default:
			if method := quant.OtherMethod(cfg); method != "" && !declared {
				l.note(f.Name, "NOT_GPTQ", "this is %s, not GPTQ", method)
			}
			declared = true
		}
	}
	if !declared && none != "" {
		l.noteNoConfig(f, none)
	}
}

// noteNoConfig says what the weights are where that explains it.
func (l *Listing) noteNoConfig(f *branchFacts, message string) {
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

// pointerSize is what no file of weights is smaller than, and every pointer of
// git-lfs is.
const pointerSize = 512

// noteNoWeights says that there is nothing to load, and what there is instead.
func (l *Listing) noteNoWeights(f *branchFacts, row *BranchRow) {
	for _, file := range f.files {
		if isWeights(file.Path) && file.Size < pointerSize {
			l.note(f.Name, "NO_WEIGHTS", "%s has %s: a pointer of git-lfs, it seems, and not the weights", file.Path, BytesText(file.Size))
			return
		}
	}
	if row.WeightBytes > 0 || f.treeErr != nil || slices.ContainsFunc(l.Notes, func(n Note) bool { return n.Branch == f.Name && n.Code == "NOT_GPTQ" }) {
		return
	}
	message := "there are no safetensors files"
	if i := slices.IndexFunc(f.files, func(file hub.File) bool { return isPickle(file.Path) }); i >= 0 {
		message += fmt.Sprintf("; %s is a pickle, which can run code when it is loaded, and is never opened", f.files[i].Path)
	}
	l.note(f.Name, "NO_WEIGHTS", "%s", message)
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
			said := cardClaims(c, r.Branch)
			l.contradictions(r.Branch, hearing{others: []claims{nameClaims(r.Branch), said}})
			l.Absent = append(l.Absent, AbsentBranch{r.Branch, said.bits, said.group, said.act, said.size})
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
