package store

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"path/filepath"
	"strings"
	"unicode/utf8"
)

// The directories and files of a store; see docs/store-format.md.
const (
	dirBlobs     = "blobs"
	dirParts     = "parts"
	dirGit       = "git"
	dirPartial   = "partial"
	dirSnapshots = "snapshots"
	dirBranches  = "branches"
	dirCorrupt   = "corrupt"
	dirTmp       = "tmp"
	dirPins      = "pins"
	dirHolds     = "holds"
	dirBegun     = "begun"
	dirAside     = "quarantine"
	fileLock     = "lock"
	fileVersion  = "VERSION"
)

// Path returns where a published blob lies. Read-only; never write to it.
func (s *Store) Path(d Digest) string { return s.hexPath(dirBlobs, d[:]) }

func (s *Store) partsPath(d Digest) string   { return s.hexPath(dirParts, d[:]) }
func (s *Store) gitPath(oid [20]byte) string { return s.hexPath(dirGit, oid[:]) }

func (s *Store) corruptPath(d Digest) string {
	return filepath.Join(s.dir, dirCorrupt, d.String())
}

// hexPath spreads files over 256 directories by the first byte of their name.
func (s *Store) hexPath(kind string, id []byte) string {
	h := hex.EncodeToString(id)
	return filepath.Join(s.dir, kind, h[:2], h)
}

func (s *Store) snapshotPath(repo, commit string) (string, error) {
	dir, err := repoPath(repo)
	if err != nil {
		return "", err
	}
	if err := parseHex(make([]byte, 20), commit); err != nil {
		return "", fmt.Errorf("commit %q: %w", commit, err)
	}
	return filepath.Join(s.dir, dirSnapshots, dir, commit+".json"), nil
}

func (s *Store) branchPath(repo, branch string) (string, error) {
	dir, err := repoPath(repo)
	if err != nil {
		return "", err
	}
	if err := checkBranch(branch); err != nil {
		return "", err
	}
	return filepath.Join(s.dir, dirBranches, dir, escapeName(branch)), nil
}

// repoPath turns owner/name into two escaped directories.
func repoPath(repo string) (string, error) {
	owner, name, ok := strings.Cut(repo, "/")
	if !ok || owner == "" || name == "" || strings.Contains(name, "/") || strings.Trim(owner, ".") == "" || strings.Trim(name, ".") == "" {
		return "", fmt.Errorf("repository %q is not owner/name", repo)
	}
	if !utf8.ValidString(repo) {
		return "", fmt.Errorf("repository %q is not valid UTF-8", repo)
	}
	return filepath.Join(escapeName(owner), escapeName(name)), nil
}

// checkBranch refuses what could not be written to JSON and read back.
func checkBranch(branch string) error {
	if branch == "" || !utf8.ValidString(branch) {
		return fmt.Errorf("branch %q is empty or not valid UTF-8", branch)
	}
	return nil
}

// maxEscaped keeps escaped names well under the 255 bytes that file systems allow.
const maxEscaped = 200

// escapeName turns any name into one path element that is valid and distinct
// on every system, also where case does not count: lower-case letters, digits,
// "_", "-" and inner dots stand for themselves, "!x" stands for "X", everything
// else is %xx. Names that would be too long become "~" and their SHA-256; those
// cannot be turned back, so files also hold the name they are for.
func escapeName(name string) string {
	const digits = "0123456789abcdef"
	var b strings.Builder
	for i := range len(name) {
		c := name[i]
		switch {
		case 'A' <= c && c <= 'Z':
			b.WriteByte('!')
			b.WriteByte(c - 'A' + 'a')
		case i == 0 && isDeviceName(name), !plainByte(c), c == '.' && (i == 0 || i == len(name)-1):
			b.WriteByte('%')
			b.WriteByte(digits[c>>4])
			b.WriteByte(digits[c&15])
		default:
			b.WriteByte(c)
		}
	}
	if b.Len() > maxEscaped {
		sum := sha256.Sum256([]byte(name))
		return "~" + hex.EncodeToString(sum[:])
	}
	return b.String()
}

// unescapeName is the inverse of escapeName where there is one: long names have none.
func unescapeName(s string) (string, bool) {
	var b []byte
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '!' && i+1 < len(s):
			i++
			b = append(b, s[i]-'a'+'A')
		case c == '%' && i+2 < len(s):
			var v [1]byte
			if parseHex(v[:], s[i+1:i+3]) != nil {
				return "", false
			}
			b = append(b, v[0])
			i += 2
		default:
			b = append(b, c)
		}
	}
	name := string(b)
	return name, name != "" && escapeName(name) == s
}

// snapshotName reads from its path which snapshot a file is to hold, "" when
// the path does not say so.
func (s *Store) snapshotName(path string) string {
	commit := strings.TrimSuffix(filepath.Base(path), ".json")
	dir := filepath.Dir(path)
	owner, ok := unescapeName(filepath.Base(filepath.Dir(dir)))
	name, ok2 := unescapeName(filepath.Base(dir))
	if !ok || !ok2 || parseHex(make([]byte, 20), commit) != nil {
		return ""
	}
	return owner + "/" + name + "@" + commit
}

func plainByte(c byte) bool {
	return 'a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '_' || c == '-' || c == '.'
}

// isDeviceName reports whether Windows takes the name (with any extension) for
// a device. https://learn.microsoft.com/windows/win32/fileio/naming-a-file
func isDeviceName(name string) bool {
	base, _, _ := strings.Cut(strings.ToLower(name), ".")
	switch base = strings.TrimRight(base, " "); base {
	case "con", "prn", "aux", "nul", "conin$", "conout$":
		return true
	}
	for _, p := range []string{"com", "lpt"} {
		if n, ok := strings.CutPrefix(base, p); ok {
			switch n {
			case "0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "¹", "²", "³":
				return true
			}
		}
	}
	return false
}

// CheckPath says why a snapshot cannot hold a file of this path: one that could
// leave a folder, or could not be written, on any system. Whoever is about to
// fetch it wants to know before.
//
// Listings were checked when they came in; this is the last door before the disk.
func CheckPath(path string) error {
	bad := func(why string) error { return fmt.Errorf("file path %q %s", path, why) }
	if path == "" || len(path) > 4096 || !utf8.ValidString(path) {
		return bad("is empty, too long or not valid UTF-8")
	}
	for _, r := range path {
		if r < 0x20 || r == 0x7f || strings.ContainsRune(`\:*?"<>|`, r) {
			return bad(fmt.Sprintf("contains %q", r))
		}
	}
	elems := strings.Split(path, "/")
	if strings.EqualFold(elems[0], manifestDir) {
		return bad("is reserved for the manifest")
	}
	for _, e := range elems {
		switch {
		case e == "" || e == "." || e == "..":
			return bad("is not a plain relative path")
		case len(e) > 255:
			return bad("has an element of more than 255 bytes")
		case strings.HasSuffix(e, ".") || strings.HasSuffix(e, " "):
			return bad("has an element that ends in a dot or space")
		case isDeviceName(e):
			return bad("names a Windows device")
		}
	}
	if !filepath.IsLocal(filepath.FromSlash(path)) {
		return bad("is not local")
	}
	return nil
}
