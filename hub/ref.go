package hub

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"
)

// ErrBadRef is what a RefError wraps.
var ErrBadRef = errors.New("not a reference to a repository")

// RefError says why a text is not a reference.
type RefError struct {
	Input  string
	Reason string
}

// Error repeats the text and says what is wrong with it.
func (e *RefError) Error() string {
	in := e.Input
	if len(in) > 200 {
		in = in[:200] + "…"
	}
	return fmt.Sprintf("read reference %q: %s", in, e.Reason)
}

// Unwrap returns ErrBadRef.
func (e *RefError) Unwrap() error { return ErrBadRef }

// Hint says what a reference looks like.
func (e *RefError) Hint() string {
	return "a reference looks like owner/name, owner/name:branch, owner/name@commit or https://huggingface.co/owner/name/tree/branch"
}

// RepoID names a repository, "owner/name". It is comparable; build it with
// ParseRepoID. Rules: huggingface_hub utils/_validators.py.
type RepoID struct{ Owner, Name string }

// ParseRepoID parses "owner/name": in each part letters, digits, ".", "_" and
// "-", at most 96 of them, no "--" or "..", no "-" or "." at either end, and no
// ".git" at the end of the whole.
func ParseRepoID(s string) (RepoID, error) {
	owner, name, ok := strings.Cut(s, "/")
	if !ok {
		return RepoID{}, &RefError{s, `want "owner/name"`}
	}
	if strings.Contains(name, "/") {
		return RepoID{}, &RefError{s, `more than one "/" before the revision`}
	}
	for _, part := range []string{owner, name} {
		if reason := badRepoPart(part); reason != "" {
			return RepoID{}, &RefError{s, reason}
		}
	}
	if strings.HasSuffix(name, ".git") {
		return RepoID{}, &RefError{s, `a repository's name does not end in ".git"`}
	}
	return RepoID{owner, name}, nil
}

func badRepoPart(s string) string {
	const edge = "-."
	switch {
	case s == "":
		return "owner or name is empty"
	case len(s) > 96:
		return "owner or name is longer than 96 characters"
	case strings.Contains(s, "--"), strings.Contains(s, ".."):
		return `"--" and ".." cannot occur in owner or name`
	case strings.ContainsAny(s[:1], edge), strings.ContainsAny(s[len(s)-1:], edge):
		return `owner and name do not begin or end with "-" or "."`
	}
	for _, c := range []byte(s) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '.', c == '_', c == '-':
		default:
			return `owner and name consist of letters, digits, ".", "_" and "-"`
		}
	}
	return ""
}

// String returns "owner/name".
func (r RepoID) String() string { return r.Owner + "/" + r.Name }

// Ref names a repository at a revision. An empty Revision means the default
// branch, main. It is comparable and prints back as it was understood.
type Ref struct {
	Repo     RepoID
	Revision string // branch, tag, refs/pr/N or 40 hex; "" = main
}

// ParseRef parses owner/name, owner/name:branch, owner/name@revision and URLs
// of a repository's pages: https://HOST/owner/name, alone or with /tree/REV,
// /blob/REV/…, /resolve/REV/… or /commit/REV behind it. A ":" can occur neither
// in a repository's name nor in a git ref, so the first one divides. In a URL
// the revision is one segment (its slashes are %2F there), or three when it
// begins with refs; what follows it, and the host, are not part of the Ref.
// Errors are *RefError.
func ParseRef(s string) (Ref, error) {
	in := strings.TrimSpace(s)
	if path, ok := urlPath(in); ok {
		return parseURL(s, path)
	}
	id, rev, found := strings.Cut(in, ":")
	if !found {
		id, rev, found = strings.Cut(in, "@")
	}
	repo, err := ParseRepoID(id)
	if err != nil {
		var re *RefError
		if errors.As(err, &re) {
			re.Input = s
		}
		return Ref{}, err
	}
	if found {
		if reason := badRevision(rev); reason != "" {
			return Ref{}, &RefError{s, reason}
		}
	}
	return Ref{repo, rev}, nil
}

// urlPath returns what follows the host of a URL, and whether it is one. The
// public hub's names serve without a scheme too, as people copy them.
func urlPath(s string) (string, bool) {
	for _, scheme := range []string{"https://", "http://"} {
		if len(s) >= len(scheme) && strings.EqualFold(s[:len(scheme)], scheme) {
			_, path, _ := strings.Cut(s[len(scheme):], "/")
			return path, true
		}
	}
	for _, host := range []string{"huggingface.co/", "www.huggingface.co/", "hf.co/"} {
		if path, ok := strings.CutPrefix(s, host); ok {
			// "hf.co/name" is a fair owner and name as well; only what is too
			// long for one is a URL.
			return path, strings.Contains(path, "/")
		}
	}
	return "", false
}

func parseURL(in, path string) (Ref, error) {
	if i := strings.IndexAny(path, "?#"); i >= 0 {
		path = path[:i]
	}
	seg := strings.Split(strings.Trim(path, "/"), "/")
	for i := range seg {
		var err error
		if seg[i], err = url.PathUnescape(seg[i]); err != nil {
			return Ref{}, &RefError{in, "the URL's percent-encoding is broken"}
		}
	}
	switch {
	case seg[0] == "datasets" || seg[0] == "spaces" || seg[0] == "api":
		return Ref{}, &RefError{in, "this is not the address of a model"}
	case len(seg) < 2:
		return Ref{}, &RefError{in, "the URL names no repository"}
	}
	repo, err := ParseRepoID(seg[0] + "/" + seg[1])
	if err != nil {
		var re *RefError
		if errors.As(err, &re) {
			re.Input = in
		}
		return Ref{}, err
	}
	seg = seg[2:]
	if len(seg) == 0 {
		return Ref{Repo: repo}, nil
	}
	switch seg[0] {
	case "tree", "blob", "resolve", "raw", "commit", "commits":
	default:
		return Ref{}, &RefError{in, "the URL leads to no revision: want /tree/REVISION behind owner/name"}
	}
	seg = seg[1:]
	var rev string
	switch {
	case len(seg) >= 3 && seg[0] == "refs":
		rev = strings.Join(seg[:3], "/")
	case len(seg) >= 1:
		rev = seg[0]
	}
	if reason := badRevision(rev); reason != "" {
		return Ref{}, &RefError{in, reason}
	}
	return Ref{repo, rev}, nil
}

// badRevision holds a branch, tag or commit to git's rules for ref names
// (git-check-ref-format), and to being printable.
func badRevision(s string) string {
	switch {
	case s == "":
		return "the revision is empty"
	case len(s) > 255:
		return "the revision is longer than 255 bytes"
	case !utf8.ValidString(s):
		return "the revision is not valid UTF-8"
	case strings.Contains(s, ".."), strings.Contains(s, "//"), strings.Contains(s, "@{"),
		strings.HasPrefix(s, "/"), strings.HasSuffix(s, "/"), strings.HasPrefix(s, "-"), strings.HasSuffix(s, "."), s == "@":
		return "git allows no such name for a branch or tag"
	}
	for _, c := range s {
		if c <= ' ' || unicode.IsControl(c) || isBidi(c) || !unicode.IsGraphic(c) || strings.ContainsRune(`~^:?*[\`, c) {
			return fmt.Sprintf("the revision contains %q", c)
		}
	}
	for part := range strings.SplitSeq(s, "/") {
		if strings.HasPrefix(part, ".") || strings.HasSuffix(part, ".lock") {
			return "git allows no such name for a branch or tag"
		}
	}
	return ""
}

// String returns the canonical form: owner/name, owner/name:branch, or
// owner/name@commit when the revision is 40 hex digits or looks like the
// beginning of a commit.
func (r Ref) String() string {
	if r.Revision == "" {
		return r.Repo.String()
	}
	if _, ok := r.Commit(); ok || r.ShortCommit() {
		return r.Repo.String() + "@" + r.Revision
	}
	return r.Repo.String() + ":" + r.Revision
}

// RevisionOrMain returns the revision, "main" when none was given.
func (r Ref) RevisionOrMain() string {
	if r.Revision == "" {
		return "main"
	}
	return r.Revision
}

// Commit returns the pinned commit when the revision is 40 lower-case hex digits.
func (r Ref) Commit() (Commit, bool) {
	c, err := ParseCommit(r.Revision)
	return c, err == nil
}

// ShortCommit reports whether the revision looks like the beginning of a commit:
// 7 to 39 lower-case hex digits. A branch can be called so as well.
func (r Ref) ShortCommit() bool {
	return len(r.Revision) >= 7 && len(r.Revision) < 40 && strings.Trim(r.Revision, "0123456789abcdef") == ""
}
