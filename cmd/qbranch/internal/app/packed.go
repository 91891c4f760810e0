package app

import (
	"path/filepath"

	"github.com/qbranch/qbranch/infer"
)

// PackedDir is where the runner keeps matrices that it had to re-pack, beside the
// hub's answers.
func PackedDir(getenv func(string) string) string {
	return filepath.Join(filepath.Dir(CacheDir(getenv)), "packed")
}

// ClearPacked removes what the runner keeps and returns how many files there
// were, and their size in bytes.
func ClearPacked(dir string) (files int, size int64, err error) { return infer.ClearPacked(dir) }

// loadOptions are those that every load of a target has.
func (a *App) loadOptions(t Target) infer.LoadOptions {
	o := infer.LoadOptions{Threads: a.threads, CacheDir: a.config.PackedDir}
	if t.Dir != "" || o.CacheDir == "" {
		return o
	}
	if _, snap, err := a.localSnapshot(t.Ref); err == nil { // else the caller hears of it
		o.Digests = make(map[string]string, len(snap.Files))
		for _, f := range snap.Files {
			o.Digests[f.Path] = f.SHA256.String()
		}
	}
	return o
}
