package app

import (
	"context"
	"log/slog"
	"time"

	"github.com/qbranch/qbranch/hub"
	"github.com/qbranch/qbranch/hub/fetch"
	"github.com/qbranch/qbranch/infer"
	"github.com/qbranch/qbranch/quant"
	"github.com/qbranch/qbranch/quant/card"
	"github.com/qbranch/qbranch/store"
)

// Names front ends use, so that they import app alone.
type (
	// Ref names a repository at a revision.
	Ref = hub.Ref
	// RepoID names a repository.
	RepoID = hub.RepoID
	// Plan is what a fetch will do.
	Plan = fetch.Plan
	// Stats are counters sampled while a fetch runs.
	Stats = fetch.Stats
	// Finding is something noticed about a checkpoint.
	Finding = quant.Finding
	// Card is what a model card says.
	Card = card.Card
	// Snapshot is a fetched branch.
	Snapshot = store.Snapshot
	// Range is a byte range.
	Range = store.Range
	// Request is one generation.
	Request = infer.Request
	// Token is one generated token.
	Token = infer.Token
	// Generation is a finished generation.
	Generation = infer.Result
)

// Config configures an App.
type Config struct {
	Hub      hub.Options
	StoreDir string // "" = QBRANCH_STORE, else $XDG_DATA_HOME/qbranch
	Logger   *slog.Logger
	Threads  int // of the runner and of verification; 0 = all cores
}

// App carries what the verbs share. It is safe for concurrent use.
type App struct{}

// New checks the configuration; it opens the store and sends nothing until a
// verb needs it.
func New(c Config) (*App, error) { return nil, nil }

// Endpoint is the hub's base URL.
func (a *App) Endpoint() string { return "" }

// StoreDir is where the store is or would be.
func (a *App) StoreDir() string { return "" }

// ParseRef parses a reference (see hub.ParseRef).
func ParseRef(s string) (Ref, error) { return hub.ParseRef(s) }

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
	Branch      string     `json:"branch"`
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

// Note is a contradiction or remark under the table.
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
}

// List reconciles the card's table, the refs, each branch's tree and its
// quantize_config.json. Requests: refs, the card, and two per branch; two
// round trips.
func (a *App) List(ctx context.Context, repo RepoID) (*Listing, error) { return nil, nil }

// Event is something a verb reports while it works. Exactly one field is set.
type Event struct {
	Plan     *Plan        // Get: before anything moves
	Findings []Finding    // Get, Verify: what was judged
	Judged   string       // Get: "config" or "header" has been judged
	Fetch    *fetch.Event // Get: retry, file, reuse, mismatch
	File     *FileCheck   // Verify: a file was checked
}

// GetOptions may be zero.
type GetOptions struct {
	Dir         string // also materialise the branch as a plain folder here
	Connections int
	LimitRate   int64 // bytes per second, 0 = none
	DryRun      bool  // plan only
	Stats       *Stats
	Notify      func(Event) // nil = nobody listens
}

// GetResult is what Get did.
type GetResult struct {
	Plan      Plan
	Snapshot  Snapshot // zero for a dry run
	Findings  []Finding
	Received  int64 // bytes over the network
	Kept      int64 // bytes found resumable at the start
	Refetched int64
	Reused    int64 // bytes of files that were in the store already
	Elapsed   time.Duration
	Dir       string
}

// Get plans, judges config and headers by ranged reads, fetches and publishes.
// A fatal finding stops it before any weight moves (*FindingsError).
func (a *App) Get(ctx context.Context, ref Ref, o GetOptions) (*GetResult, error) { return nil, nil }

// Target is a reference or a local folder.
type Target struct {
	Ref Ref
	Dir string // set for a folder; then Ref is zero
}

// ParseTarget takes an existing folder as a folder (always when it starts with
// ".", "/" or "~", or holds a config.json), everything else as a reference.
func ParseTarget(s string) (Target, error) { return Target{}, nil }

// String prints what was given.
func (t Target) String() string { return "" }

// VerifyOptions may be zero.
type VerifyOptions struct {
	Repair bool              // fetch the bad parts again
	Total  func(bytes int64) // called once, before the first byte
	Done   func(bytes int64) // called with bytes hashed since the last call
	Notify func(Event)
}

// FileCheck is the verdict on one file.
type FileCheck struct {
	Path    string  `json:"path"`
	Size    int64   `json:"size"`
	OK      bool    `json:"ok"`
	Checked string  `json:"checked"` // "blake3" against recorded parts, "sha256 manifest", or "read" when nothing was recorded
	Ranges  []Range `json:"bad_ranges,omitempty"`
	Missing bool    `json:"missing,omitempty"`
}

// VerifyReport is what Verify found.
type VerifyReport struct {
	Target   string        `json:"target"`
	Commit   string        `json:"commit,omitempty"`
	Files    []FileCheck   `json:"files"`
	Findings []Finding     `json:"findings"`
	Bytes    int64         `json:"bytes"`
	Repaired int64         `json:"repaired_bytes"`
	OK       bool          `json:"ok"`
	Elapsed  time.Duration `json:"-"`
}

// Verify re-hashes every byte and judges config against tensors. The report is
// returned also when it is bad, together with a *CorruptionError.
func (a *App) Verify(ctx context.Context, t Target, o VerifyOptions) (*VerifyReport, error) {
	return nil, nil
}

// CorruptionError says that verification failed; exit code 6.
type CorruptionError struct{ Report *VerifyReport }

func (e *CorruptionError) Error() string { return "" }

// FindingsError says that fatal findings stopped a verb; exit code 6.
type FindingsError struct{ Findings []Finding }

func (e *FindingsError) Error() string { return "" }

// Model is a loaded checkpoint.
type Model struct{ *infer.Model }

// LoadModel loads a verified snapshot or a folder for generation.
func (a *App) LoadModel(ctx context.Context, t Target) (*Model, error) { return nil, nil }

// Card reads a model card from a file or from a repository's main branch.
func (a *App) Card(ctx context.Context, fileOrRepo string) (*Card, error) { return nil, nil }

// StoreItem is one snapshot in the store.
type StoreItem struct {
	Repo        string     `json:"repo"`
	Branch      string     `json:"branch"`
	Commit      string     `json:"commit"`
	Files       int        `json:"files"`
	Bytes       int64      `json:"bytes"`
	SharedBytes int64      `json:"shared_bytes"` // of them, also held by another snapshot
	State       LocalState `json:"state"`
	Created     time.Time  `json:"created"`
}

// StoreList lists the snapshots.
func (a *App) StoreList(ctx context.Context) ([]StoreItem, error) { return nil, nil }
