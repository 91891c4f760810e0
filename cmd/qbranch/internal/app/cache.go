package app

import (
	"path/filepath"

	"github.com/adrg/xdg"

	"github.com/qbranch/qbranch/hub"
)

// CacheDir is where the hub's answers are kept: qbranch/hub in XDG_CACHE_HOME,
// which counts on every system, else in the system's cache folder.
func CacheDir(getenv func(string) string) string {
	dir := xdg.CacheHome
	if d := getenv("XDG_CACHE_HOME"); filepath.IsAbs(d) { // relative ones are to be ignored, says the standard
		dir = d
	}
	return filepath.Join(dir, "qbranch", "hub")
}

// ClearCache removes the hub's answers from a folder and returns how many there
// were, and their size in bytes.
func ClearCache(dir string) (entries int, size int64, err error) { return hub.ClearCache(dir) }
