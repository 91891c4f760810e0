package tui

import (
	"context"
	"sync"

	"github.com/qbranch/qbranch/cmd/qbranch/internal/app"
)

// backend is what the screens need of package app. Its methods may block, obey
// their context, and are safe for concurrent use.
type backend interface {
	List(ctx context.Context, repo app.RepoID, o app.ListOptions) (*app.Listing, error)
	Offline() bool
	Kept(ctx context.Context, repo app.RepoID) survey // nil = nothing
	Recent(dir string) ([]app.RepoID, error)
	Remember(dir string, repo app.RepoID) error
	Queue(dir string) ([]app.Queued, error)
	KeepQueue(dir string, queue []app.Queued) error
	Survey(ctx context.Context, ref app.Ref) (survey, error)
	GPUs(ctx context.Context, o app.GPUOptions) (*app.GPUReport, error)
	Show(ctx context.Context, t app.Target, o app.FitOptions) (*app.Shown, error)
	Diff(ctx context.Context, a, b app.Target, o app.FitOptions) (*app.Diff, error)
	StoreList(ctx context.Context) ([]app.StoreItem, error)
	Pending(ctx context.Context) (*app.PendingReport, error)
	Get(ctx context.Context, ref app.Ref, o app.GetOptions) (*app.GetResult, error)
	Verify(ctx context.Context, t app.Target, o app.VerifyOptions) (*app.VerifyReport, error)
	LoadModel(ctx context.Context, t app.Target) (generator, error)
	Prove(ctx context.Context, t app.Target, o app.ProveOptions) (*app.ProveReport, error)
	StoreUse(ctx context.Context, refs []app.Ref) (*app.StoreUsage, error)
	StoreRemove(ctx context.Context, q app.RemoveRequest) (*app.SweepReport, error)
	StoreCollect(ctx context.Context, q app.CollectRequest) (*app.SweepReport, error)
	StorePin(ctx context.Context, ref app.Ref, off bool) (changed bool, err error)
}

// survey is what was read of a repository. Fit asks nobody, and is safe for
// concurrent use.
type survey interface {
	Fit(o app.FitOptions) (*app.FitReport, error)
	Rows() *app.Listing
}

// generator is a loaded model. Close may be called when nothing generates.
type generator interface {
	Generate(ctx context.Context, r app.Request, emit func(app.Token) error) (*app.Generation, error)
	Close() error
}

// appBackend is the real backend: *app.App, with a model we can name.
type appBackend struct{ *app.App }

func (b appBackend) LoadModel(ctx context.Context, t app.Target) (generator, error) {
	m, err := b.App.LoadModel(ctx, t)
	if err != nil {
		return nil, err // not a generator that holds a nil *app.Model
	}
	return m, nil
}

func (b appBackend) Survey(ctx context.Context, ref app.Ref) (survey, error) {
	s, err := b.App.Survey(ctx, ref)
	if err != nil {
		return nil, err
	}
	return s, nil
}

func (b appBackend) Kept(ctx context.Context, repo app.RepoID) survey {
	if s := b.App.Kept(ctx, repo); s != nil {
		return s
	}
	return nil
}

func (appBackend) Recent(dir string) ([]app.RepoID, error) { return app.Recent(dir) }

func (appBackend) Remember(dir string, repo app.RepoID) error { return app.Remember(dir, repo) }

func (appBackend) Queue(dir string) ([]app.Queued, error) { return app.Queue(dir) }

func (appBackend) KeepQueue(dir string, queue []app.Queued) error { return app.KeepQueue(dir, queue) }

var _ backend = appBackend{}

// modelSlot holds the one loaded model, so that a second prompt does not load
// it again. Commands use it; whoever has the lock may generate.
type modelSlot struct {
	mu     sync.Mutex
	ref    app.Ref
	loaded generator
}

// generate loads the model of ref unless it is loaded, and runs r on it.
func (s *modelSlot) generate(ctx context.Context, b backend, ref app.Ref, r app.Request, emit func(app.Token) error) (*app.Generation, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.loaded == nil || s.ref != ref {
		if err := s.close(); err != nil {
			return nil, err
		}
		m, err := b.LoadModel(ctx, app.Target{Ref: ref})
		if err != nil {
			return nil, err
		}
		s.loaded, s.ref = m, ref
	}
	return s.loaded.Generate(ctx, r, emit)
}

// drop closes the model, after the generation that is running.
func (s *modelSlot) drop() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.close()
}

func (s *modelSlot) close() error {
	m := s.loaded
	s.loaded = nil
	if m == nil {
		return nil
	}
	return m.Close()
}
