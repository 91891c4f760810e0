package app

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/qbranch/qbranch/hub"
	"github.com/qbranch/qbranch/hub/fetch"
	"github.com/qbranch/qbranch/infer"
	"github.com/qbranch/qbranch/quant"
	"github.com/qbranch/qbranch/quant/safetensors"
	"github.com/qbranch/qbranch/store"
)

// judgeConns is how many small reads are under way at once while judging.
const judgeConns = 4

// jsonLimit bounds the JSON files that are read for judging; 0 means that a
// file is not one of them.
func jsonLimit(path string) int64 {
	switch {
	case path == modelConfig, path == quantizeConfig, path == quantConfig:
		return configLimit
	case strings.HasSuffix(path, ".index.json"):
		return indexLimit
	}
	return 0
}

// judge reads the configurations and headers of what the plan holds or lacks,
// and stops the verb at a fatal finding.
//
// What speaks against a branch speaks against its weights alone too, so that all
// of it is judged when some of them are wanted; without weights there is nothing
// to judge.
func (g *getter) judge(ctx context.Context) error {
	if g.res.Filtered && !slices.ContainsFunc(g.files, func(f hub.File) bool { return isWeights(f.Path) }) {
		return nil
	}
	in := quant.Input{Branch: g.branch, Files: make(map[string]int64)}
	for _, f := range g.all {
		in.Files[f.Path] = f.Size
	}
	var err error
	if in.JSON, err = g.readJSON(ctx); err != nil {
		return err
	}
	findings := quant.Check(in)
	g.notify(Event{Judged: "config"})
	if hopeless(findings) && !g.o.Force {
		return g.verdict(findings)
	}
	headers, err := g.headers().readAll(ctx, g.judged)
	if err != nil {
		return err
	}
	findings, in.Headers = nil, make(map[string]*safetensors.Header)
	for _, h := range headers {
		if h.bad != nil {
			findings = append(findings, quant.HeaderFinding(h.file.Path, h.bad))
		} else {
			in.Headers[h.file.Path] = h.header
		}
	}
	g.notify(Event{Judged: "header"})
	if err := g.verdict(append(findings, quant.Check(in)...)); err != nil {
		return err
	}
	g.canRun(in.JSON[modelConfig])
	g.begun = make(map[string][]byte)
	for _, h := range headers {
		g.begun[h.file.Path] = h.first
	}
	return nil
}

// headers reads headers as a Get does: as fast as it may, and counted.
func (g *getter) headers() *headerReader {
	return &headerReader{ranged: ranged{g.app, g.repo, g.commit, g.limit, g.o.Stats}, st: g.st}
}

// canRun asks the runner what it thinks of the branch: that is no reason not to
// fetch it.
func (g *getter) canRun(config []byte) {
	names := make([]string, len(g.judged))
	for i, f := range g.judged {
		names[i] = f.Path
	}
	if err := infer.CanRun(config, names); err != nil {
		g.res.CannotRun = err.Error()
		g.notify(Event{CannotRun: g.res.CannotRun})
	}
}

// hopeless reports whether no header can change the verdict. Where two
// configurations contradict each other (J5), or there is none (J2 of a key that
// is not there), the headers have the last word.
func hopeless(findings []Finding) bool {
	fatal := fatalOf(findings)
	return len(fatal) > 0 && !slices.ContainsFunc(fatal, func(f Finding) bool {
		return f.Code == "J5" || f.Code == "J2" && f.Field == "quantization_config"
	})
}

// verdict reports the findings; fatal ones are an error.
func (g *getter) verdict(findings []Finding) error {
	g.res.Findings = append(findings, g.res.Findings...)
	if len(g.res.Findings) > 0 {
		g.notify(Event{Findings: g.res.Findings})
	}
	if len(fatalOf(g.res.Findings)) > 0 && !g.o.Force {
		return &FindingsError{g.res.Findings, "get " + g.ref.String()}
	}
	return nil
}

// readJSON reads the JSON files that are judged, through the store.
func (g *getter) readJSON(ctx context.Context) (map[string][]byte, error) {
	var mu sync.Mutex
	out := make(map[string][]byte)
	eg, ctx := errgroup.WithContext(ctx)
	eg.SetLimit(judgeConns)
	for _, f := range g.judged {
		limit := jsonLimit(f.Path)
		if limit == 0 {
			continue
		}
		eg.Go(func() error {
			data, fetched, err := g.readSmall(ctx, f, limit)
			if err != nil {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			out[f.Path] = data
			if fetched {
				g.read[f.Path] = true
			}
			return nil
		})
	}
	if err := eg.Wait(); err != nil {
		return nil, err
	}
	return out, nil
}

// readSmall reads a file from the store, or from the hub into the store.
func (g *getter) readSmall(ctx context.Context, f hub.File, limit int64) (data []byte, fetched bool, err error) {
	w := fetch.Wanted(f)
	if d, ok := g.st.Find(w); ok {
		if data, err = readBlob(g.st, d, limit); err != nil {
			return nil, false, fmt.Errorf("read %s: %w", f.Path, err)
		}
		if sha256.Sum256(data) == d {
			return data, false, nil
		}
		// The disk has changed it since, and nobody has noticed. A verdict on
		// that would blame the publisher: remember the damage, fetch it again.
		var damage *store.CorruptError
		if err := g.st.Verify(ctx, d, 1, nil); err != nil && !errors.As(err, &damage) {
			return nil, false, fmt.Errorf("read %s: %w", f.Path, err)
		}
	}
	if f.Size > limit {
		return nil, false, fmt.Errorf("read %s: %s, at most %s are allowed: %w", f.Path, BytesText(f.Size), BytesText(limit), hub.ErrTooLarge)
	}
	if data, err = g.fetchSmall(ctx, f, limit); err != nil {
		return nil, false, err
	}
	// When somebody else is writing these very bytes, he may have the honour.
	if _, err := g.st.Put(ctx, w, data); err != nil && !errors.Is(err, store.ErrLocked) {
		return nil, false, fmt.Errorf("keep %s: %w", f.Path, err)
	}
	return data, true, nil
}

// fetchSmall reads a file from the hub. One that comes wrong is read again,
// since a proxy may have a bad moment.
func (g *getter) fetchSmall(ctx context.Context, f hub.File, limit int64) ([]byte, error) {
	if data, ok := g.app.hub.Cached(f); ok { // a listing has read it
		return data, nil
	}
	const attempts = 3
	for attempt := 1; ; attempt++ {
		data, err := g.app.hub.ReadFile(ctx, g.repo, g.commit, f.Path, limit)
		if err != nil {
			return nil, err
		}
		g.o.Stats.Received.Add(int64(len(data)))
		if err := g.limit.Wait(ctx, len(data)); err != nil {
			return nil, err
		}
		if err = checkContent(f, data); err == nil || attempt == attempts {
			return data, err
		}
		g.o.Stats.Refetched.Add(int64(len(data)))
	}
}
