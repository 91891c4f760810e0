package demo

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"

	"github.com/qbranch/qbranch/cmd/qbranch/internal/app"
	"github.com/qbranch/qbranch/hub"
	"github.com/qbranch/qbranch/hub/hubtest"
)

// CLI runs one qbranch command line in this process, against the given hub
// and store, and returns its exit code.
type CLI func(ctx context.Context, env Env, stdout, stderr io.Writer, args ...string) int

// Env is where a command line of the demo works.
type Env struct {
	Endpoint string // HF_ENDPOINT
	Store    string // QBRANCH_STORE
}

// Options of the demo. CLI, Out and Err are required.
type Options struct {
	CLI      CLI
	Store    string // keep the store here; "" = a temporary one, removed at the end
	JSON     bool   // NDJSON on Out instead of a story
	Out, Err io.Writer
}

// Summary is the last line of the demo's JSON.
type Summary struct {
	Type              string `json:"type"`   // "summary"
	Schema            string `json:"schema"` // "qbranch/demo/v1"
	Picked            string `json:"picked"` // the branch chosen by the size budget
	BudgetBytes       int64  `json:"budget_bytes"`
	ResumedKept       int64  `json:"resumed_kept_bytes"`      // in the store when the interrupted fetch went on
	ResumedRefetched  int64  `json:"resumed_refetched_bytes"` // of weights that the hub sent twice
	CorruptFile       string `json:"corrupt_file"`
	CorruptPart       int    `json:"corrupt_part"` // index of the 1 MiB part that verify named
	RepairedBytes     int64  `json:"repaired_bytes"`
	SecondBranch      string `json:"second_branch"`
	SecondReusedBytes int64  `json:"second_reused_bytes"`
	Text              string `json:"text"` // what the branch generated
	OK                bool   `json:"ok"`   // every step ended as it should
}

// StartHub serves the embedded repository on two loopback origins. addr is the
// API's address, "" for any free port.
func StartHub(addr string) (*hubtest.Server, error) {
	branches, err := Branches()
	if err != nil {
		return nil, err
	}
	server, err := hubtest.Start(hubtest.Options{Addr: addr})
	if err != nil {
		return nil, fmt.Errorf("start the demo hub: %w", err)
	}
	if err := server.Add(hubtest.RepoData{ID: RepoID, Branches: branches}); err != nil {
		server.Close()
		return nil, fmt.Errorf("start the demo hub: %w", err)
	}
	return server, nil
}

// Play plays the whole job and returns what it measured. It stops at the first
// step that does not end as it should.
func Play(ctx context.Context, o Options) (Summary, error) {
	server, err := StartHub("")
	if err != nil {
		return Summary{}, err
	}
	defer server.Close()
	dir := o.Store
	if dir == "" {
		if dir, err = os.MkdirTemp("", "qbranch-demo-"); err != nil {
			return Summary{}, fmt.Errorf("make a temporary store: %w", err)
		}
		defer os.RemoveAll(dir)
	}
	a, err := app.New(app.Config{Hub: hub.Options{Endpoint: server.URL()}, StoreDir: dir})
	if err != nil {
		return Summary{}, err
	}
	if err := checkUnused(ctx, a); err != nil {
		return Summary{}, err
	}
	p := &player{o: o, hub: server, app: a, env: Env{Endpoint: server.URL(), Store: dir}}
	err = p.play(ctx)
	p.sum.Type, p.sum.Schema, p.sum.OK = "summary", "qbranch/demo/v1", err == nil
	return p.sum, err
}

// checkUnused refuses a store in which the story has been played already: there
// would be nothing to fetch.
func checkUnused(ctx context.Context, a *app.App) error {
	items, err := a.StoreList(ctx)
	if err != nil {
		return fmt.Errorf("open the demo's store: %w", err)
	}
	for _, item := range items {
		if item.Repo == RepoID {
			return &usedStoreError{a.StoreDir()}
		}
	}
	return nil
}

// usedStoreError is a store that holds a branch of the demo already.
type usedStoreError struct{ dir string }

func (e *usedStoreError) Error() string {
	return "play the demo in " + e.dir + ": this store holds its branches already"
}

// Hint says what to do next.
func (e *usedStoreError) Hint() string {
	return "name another folder with --store, or leave the flag out for a temporary one"
}

// Serve keeps the demo hub running until ctx ends and prints the lines to paste.
func Serve(ctx context.Context, o Options, addr string) error {
	server, err := StartHub(addr)
	if err != nil {
		return err
	}
	defer server.Close()
	if o.JSON {
		line := map[string]string{"type": "serving", "endpoint": server.URL(), "repo": RepoID}
		if err := json.NewEncoder(o.Out).Encode(line); err != nil {
			return fmt.Errorf("print the endpoint: %w", err)
		}
	} else {
		fmt.Fprintf(o.Out, serveText, server.URL(), RepoID, RepoID, RepoID, server.URL(), RepoID)
	}
	<-ctx.Done()
	return nil
}

const serveText = `The demo hub is running. In another terminal:

  export HF_ENDPOINT=%s QBRANCH_STORE=$(mktemp -d)
  qbranch ls %s
  qbranch get %s:gptq-4bit-128g-actorder_True

Other clients of the hub work on it too:

  hf download %s --revision gptq-3bit-32g-actorder_True
  curl -LO %s/%s/resolve/main/quantize_config.json

Ctrl-C stops it.
`
