package app

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Target is a reference, a local folder or a bundle. One field is set.
type Target struct {
	Ref    Ref
	Dir    string
	Bundle string // a file that StoreExport wrote
}

// bundleSuffix is how the names of bundles end.
const bundleSuffix = ".tar.zst"

// ParseTarget takes an existing folder as a folder (always when it starts with
// ".", "/" or "~", or holds a config.json), an existing file as a bundle (the
// same, or when its name ends in .tar.zst), everything else as a reference.
func ParseTarget(s string) (Target, error) {
	if isPath(s) {
		dir, err := expandHome(s)
		if err != nil {
			return Target{}, err
		}
		fi, err := os.Stat(dir)
		if err != nil {
			return Target{}, fmt.Errorf("open folder: %w", err)
		}
		if !fi.IsDir() {
			return Target{Bundle: dir}, nil
		}
		return Target{Dir: dir}, nil
	}
	if fi, err := os.Stat(s); err == nil && fi.Mode().IsRegular() && strings.HasSuffix(s, bundleSuffix) {
		return Target{Bundle: s}, nil
	}
	if fi, err := os.Stat(filepath.Join(s, "config.json")); s != "" && err == nil && fi.Mode().IsRegular() {
		return Target{Dir: s}, nil
	}
	ref, err := ParseRef(s)
	if err == nil {
		return Target{Ref: ref}, nil
	}
	// What cannot be a reference may still be a folder, one without a config.
	if fi, statErr := os.Stat(s); statErr == nil && fi.IsDir() {
		return Target{Dir: s}, nil
	}
	return Target{}, err
}

// isPath reports whether s can only be meant as a path.
func isPath(s string) bool {
	return s != "" && (strings.ContainsRune(".~/", rune(s[0])) || filepath.IsAbs(s) || os.PathSeparator == '\\' && strings.Contains(s, `\`))
}

// expandHome replaces a leading ~, which shells leave alone inside quotes.
func expandHome(s string) (string, error) {
	rest, ok := strings.CutPrefix(s, "~")
	if !ok || rest != "" && !os.IsPathSeparator(rest[0]) {
		return s, nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("expand %s: %w", s, err)
	}
	return filepath.Join(home, rest), nil
}

// String prints what was given.
func (t Target) String() string {
	if at := cmp.Or(t.Dir, t.Bundle); at != "" {
		return at
	}
	return t.Ref.String()
}
