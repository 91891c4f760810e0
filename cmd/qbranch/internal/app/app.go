package app

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/adrg/xdg"

	"github.com/qbranch/qbranch/hub"
	"github.com/qbranch/qbranch/hub/fetch"
	"github.com/qbranch/qbranch/infer"
	"github.com/qbranch/qbranch/quant"
	"github.com/qbranch/qbranch/quant/card"
	"github.com/qbranch/qbranch/quant/vram"
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
	Finding   = quant.Finding
	Recovered = quant.DataRecovered
	// EstimateSummary is an estimate without its terms.
	EstimateSummary = vram.Summary
	// Card is what a model card says.
	Card = card.Card
	// Snapshot is a fetched branch.
	Snapshot = store.Snapshot
	// Range is a byte range.
	Range = store.Range
	// Request is one generation.
	Request = infer.Request
	// Compute is the arithmetic of a generation.
	Compute = infer.Compute
	// Token is one generated token.
	Token = infer.Token
	// Generation is a finished generation.
	Generation = infer.Result
	// Link is a way of making one content lie in two places.
	Link = store.Link
	// Linked says how many bytes took which way.
	Linked = store.Linked
	// FetchEvent is an outcome of a fetch worth telling.
	FetchEvent = fetch.Event
	// HubOptions configure the hub's client.
	HubOptions = hub.Options
)

// What a FetchEvent tells, and how grave a Finding is.
const (
	EventRetry    = fetch.EventRetry
	EventFile     = fetch.EventFile
	EventReuse    = fetch.EventReuse
	EventMismatch = fetch.EventMismatch
	EventWait     = fetch.EventWait
	EventSpace    = fetch.EventSpace
	EventAdopt    = fetch.EventAdopt
	EventSeed     = fetch.EventSeed
	EventRefused  = fetch.EventRefused

	LinkReflink = store.LinkReflink
	LinkHard    = store.LinkHard
	LinkCopy    = store.LinkCopy

	Fatal = quant.Fatal
	Warn  = quant.Warn
	Info  = quant.Info
)

// HubFromEnv reads what the environment says about the hub (hub.OptionsFromEnv).
// A token file takes the place of the environment's token.
func HubFromEnv(getenv func(string) string, tokenFile string) (HubOptions, error) {
	o, err := hub.OptionsFromEnv(getenv)
	if err != nil || tokenFile == "" {
		return o, err
	}
	o.Token, err = hub.ReadToken(tokenFile)
	var unread *fs.PathError
	if errors.As(err, &unread) {
		err = &tokenFileError{err}
	}
	return o, err
}

// tokenFileError is a file that was named and cannot be read.
type tokenFileError struct{ err error }

func (e *tokenFileError) Error() string { return e.err.Error() }
func (e *tokenFileError) Unwrap() error { return e.err }
func (e *tokenFileError) Hint() string {
	return "--token-file wants a file that holds a token, and nothing else"
}

// Config configures an App.
type Config struct {
	Hub       HubOptions
	StoreDir  string // "" = QBRANCH_STORE, else $XDG_DATA_HOME/qbranch
	HFCache   string // the official client's cache, to be searched by Get; "" = none
	PackedDir string // of matrices that the runner had to re-pack; "" = they are kept nowhere
	Logger    *slog.Logger
	Threads   int // of the runner and of verification; 0 = all cores
	// OnWait is told of pauses of 5 s and more that the hub asks for, but those of
	// a Get, which are its events; nil = nobody listens.
	OnWait func(Wait)
}

// App carries what the verbs share. It is safe for concurrent use.
type App struct {
	hub     *hub.Client
	offline bool
	config  Config        // it was made of
	pause   time.Duration // before the first retry of what the hub's client does not retry itself
	dir     string        // of the store, absolute
	hfCache string        // "" = none
	cache   string        // where the hub's answers are kept; "" = nowhere
	log     *slog.Logger
	threads int

	mu sync.Mutex   // guards st
	st *store.Store // nil until a verb has needed it
}

// New checks the configuration; it opens the store and sends nothing until a
// verb needs it.
func New(c Config) (*App, error) {
	if c.Hub.Logger == nil {
		c.Hub.Logger = c.Logger
	}
	c.Hub.OnWait = waiting(c.OnWait)
	client, err := hub.NewClient(c.Hub)
	if err != nil {
		return nil, err // it names the endpoint or the token
	}
	dir, err := filepath.Abs(storeDir(c.StoreDir))
	if err != nil {
		return nil, fmt.Errorf("find the store's directory: %w", err)
	}
	pause := cmp.Or(c.Hub.RetryWait, 500*time.Millisecond)
	c.StoreDir = dir
	return &App{hub: client, offline: c.Hub.Offline, config: c, pause: pause, dir: dir, hfCache: c.HFCache, cache: c.Hub.CacheDir, log: c.Logger, threads: c.Threads}, nil
}

// storeDir is where the store lies: data, not cache, because cache cleaners
// must not eat tens of gigabytes. XDG_DATA_HOME counts on every system.
func storeDir(configured string) string {
	if configured != "" {
		return configured
	}
	if dir := os.Getenv("QBRANCH_STORE"); dir != "" {
		return dir
	}
	data := xdg.DataHome
	if dir := os.Getenv("XDG_DATA_HOME"); filepath.IsAbs(dir) { // relative ones are to be ignored, says the standard
		data = dir
	}
	return filepath.Join(data, "qbranch")
}

// ParseCompute reads a user's choice of arithmetic: float32, int16 or int8.
func ParseCompute(s string) (Compute, error) { return infer.ParseCompute(s) }

// DefaultEndpoint is the public hub.
const DefaultEndpoint = hub.DefaultEndpoint

// Offline reports whether the App uses no network.
func (a *App) Offline() bool { return a.offline }

// Endpoint is the hub's base URL.
func (a *App) Endpoint() string { return a.hub.Endpoint() }

// StoreDir is where the store is or would be.
func (a *App) StoreDir() string { return a.dir }

// ParseRef parses a reference (see hub.ParseRef).
func ParseRef(s string) (Ref, error) { return hub.ParseRef(s) }

// openStore opens the store, once, and makes it when it is absent.
func (a *App) openStore() (*store.Store, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.st == nil {
		st, err := store.Open(a.dir)
		if err != nil {
			return nil, &storeError{err}
		}
		a.st = st
	}
	return a.st, nil
}

// existingStore opens the store for a verb that only looks; nil when there is
// none, and none is made.
func (a *App) existingStore() (*store.Store, error) {
	if _, err := os.Stat(a.dir); errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return a.openStore()
}

// Event is something a verb reports while it works. Exactly one field is set.
type Event struct {
	Wait     *Wait     // Get: the hub asks us to wait for long
	Renamed  *Rename   // Get: the hub knows the repository by another name
	Moved    *Moved    // Get: the branch stands elsewhere than when it was last fetched
	Plan     *Plan     // Get: before anything moves
	Findings []Finding // Get, Verify: what was judged
	Judged   string    // Get: "config" or "header" has been judged
	// CannotRun says, before the weights move, why LoadModel or its generations
	// will refuse the branch (GetResult.CannotRun).
	CannotRun string
	Fetch     *FetchEvent // Get: retry, file, reuse, mismatch, adopt, refused
	File      *FileCheck  // Verify: a file was checked
}

// Rename says what the hub calls a repository now.
type Rename struct{ From, To RepoID }

// notifier calls notify, which may be nil.
func notifier(notify func(Event)) func(Event) {
	if notify == nil {
		return func(Event) {}
	}
	return notify
}
