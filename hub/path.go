package hub

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// Bounds of a path in a repository.
const (
	maxPathSegment = 255 // bytes, what file systems allow
	maxPathDepth   = 32
)

// ValidPath reports why a path from a listing may not be written to a disk. The
// rules of POSIX and Windows hold on every platform, so that a repository is
// either good everywhere or nowhere: valid UTF-8, no control characters, no
// backslash or colon, no empty, "." or ".." segment, no Windows device name, no
// segment ending in a dot or a space, segments of at most 255 bytes, at most 32
// of them.
func ValidPath(path string) error {
	if reason := badPath(path); reason != "" {
		return fmt.Errorf("check path %.300q: %s", path, reason)
	}
	return nil
}

func badPath(path string) string {
	if !utf8.ValidString(path) {
		return "not valid UTF-8"
	}
	for _, c := range path {
		switch {
		case unicode.IsControl(c), isBidi(c), c == '\u2028', c == '\u2029':
			return fmt.Sprintf("contains the control character %U", c)
		case c == '\\', c == ':':
			return fmt.Sprintf("contains %q", c)
		}
	}
	segments := strings.Split(path, "/")
	if len(segments) > maxPathDepth {
		return "more than 32 folders deep"
	}
	for _, s := range segments {
		switch {
		case s == "":
			return "has an empty segment"
		case s == ".", s == "..":
			return fmt.Sprintf("has the segment %q", s)
		case len(s) > maxPathSegment:
			return "has a segment longer than 255 bytes"
		case strings.HasSuffix(s, "."), strings.HasSuffix(s, " "):
			return "has a segment that ends in a dot or a space"
		case isDeviceName(s):
			return fmt.Sprintf("has the Windows device name %q", s)
		}
	}
	return ""
}

// isDeviceName says whether Windows would open a device: the name counts up to
// its first dot, without trailing spaces.
func isDeviceName(s string) bool {
	base, _, _ := strings.Cut(s, ".")
	base = strings.ToUpper(strings.TrimRight(base, " "))
	switch base {
	case "CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$":
		return true
	}
	for _, device := range []string{"COM", "LPT"} {
		if n, ok := strings.CutPrefix(base, device); ok && utf8.RuneCountInString(n) == 1 && strings.Contains("0123456789¹²³", n) {
			return true
		}
	}
	return false
}

// isBidi says whether a character changes the direction of text around it.
func isBidi(c rune) bool {
	return 0x202A <= c && c <= 0x202E || 0x2066 <= c && c <= 0x2069 || c == 0x200E || c == 0x200F || c == 0x061C
}

// foldPath maps paths that one file system or another takes for the same
// (Unicode normal form, upper and lower case) to one key.
func foldPath(path string) string {
	return norm.NFC.String(strings.Map(foldRune, norm.NFC.String(path)))
}

// foldRune returns the smallest character of a case-folding orbit.
func foldRune(c rune) rune {
	least := c
	for f := unicode.SimpleFold(c); f != c; f = unicode.SimpleFold(f) {
		least = min(least, f)
	}
	return least
}

// collision finds two paths that cannot both be written to every file system:
// equal, equal but for case or normal form, or one a folder of the other.
// Folders collide by case too: A/x and a/y would share a folder here and not
// there.
func collision(paths []string) (a, b string, found bool) {
	type owner struct {
		name string // as written
		file bool
	}
	seen := make(map[string]owner, len(paths))
	for _, p := range paths {
		for i := 0; i <= len(p); i++ {
			if i < len(p) && p[i] != '/' {
				continue
			}
			name, file := p[:i], i == len(p)
			key := foldPath(name)
			o, ok := seen[key]
			if ok && (file || o.file || o.name != name) {
				return o.name, name, true
			}
			seen[key] = owner{name, file}
		}
	}
	return "", "", false
}
