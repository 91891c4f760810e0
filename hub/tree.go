package hub

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// treeEntry is an entry of a listing as it comes.
type treeEntry struct {
	Type string      `json:"type"`
	OID  string      `json:"oid"`
	Size json.Number `json:"size"`
	Path string      `json:"path"`
	LFS  *struct {
		OID         string      `json:"oid"`
		Size        json.Number `json:"size"`
		PointerSize int         `json:"pointerSize"`
	} `json:"lfs,omitempty"`
}

// maxPages bounds a listing whose pages are empty and never end.
const maxPages = 1000

// Tree lists the files of a commit, recursively, sorted by path. Paths, sizes
// and digests have been checked; a listing that contradicts itself is
// ErrBadListing. One request for each page, of 1000 entries on the public hub, and
// none for a commit that the cache holds: commits do not change.
func (c *Client) Tree(ctx context.Context, repo RepoID, at Commit) ([]File, error) {
	key := c.treeKey(repo, at)
	if kept, ok := c.cache.get(key); ok {
		var entries []treeEntry
		if json.Unmarshal(kept.body, &entries) == nil && entries != nil {
			if files, reason := checkTree(entries); reason == "" {
				return files, nil
			}
		}
	}
	q := c.apiRequest("list the files of "+repo.String()+" at "+at.Short(), repo, "tree", string(at))
	q.url.RawQuery = "recursive=true&expand=false"
	var entries []treeEntry
	for page := 1; ; page++ {
		var v []treeEntry
		resp, err := c.getJSON(ctx, q, &v)
		if err != nil {
			return nil, err
		}
		if v == nil {
			return nil, q.fail(ErrBadListing, "the answer is null")
		}
		entries = append(entries, v...)
		if len(entries) > maxEntries || page > maxPages {
			return nil, q.fail(ErrTooLarge, fmt.Sprintf("more than %d entries or %d pages", maxEntries, maxPages))
		}
		next, err := c.nextPage(q, resp)
		if err != nil {
			return nil, err
		}
		if next == nil {
			break
		}
		q.url = next
	}
	files, reason := checkTree(entries)
	if reason != "" {
		return nil, q.fail(ErrBadListing, reason)
	}
	if body, err := json.Marshal(entries); err == nil { // what cannot be kept is asked for again
		c.cache.put(cached{Key: key, Time: time.Now().Unix(), body: body})
	}
	return files, nil
}

// KeepsTree reports whether Tree takes no request.
func (c *Client) KeepsTree(repo RepoID, at Commit) bool {
	_, ok := c.cache.get(c.treeKey(repo, at))
	return ok
}

// treeKey is what the cache calls the listing of a commit.
func (c *Client) treeKey(repo RepoID, at Commit) string {
	return "tree " + c.Endpoint() + " " + c.Current(repo).String() + " " + string(at)
}

// nextPage finds the link to the next page, nil after the last. Links are data
// from outside: only the endpoint's own origin is asked for more.
func (c *Client) nextPage(q request, resp *http.Response) (*url.URL, error) {
	link := nextLink(resp.Header.Values("Link"))
	if link == "" {
		return nil, nil
	}
	next, err := resp.Request.URL.Parse(link)
	if err != nil {
		return nil, q.fail(ErrBadListing, "the link to the next page is not a URL")
	}
	if next.Scheme+"://"+next.Host == DefaultEndpoint && !c.isEndpoint(next) {
		// Mirrors pass on the links of the public hub as they are.
		next.Scheme, next.Host = c.endpoint.Scheme, c.endpoint.Host
	}
	if !c.isEndpoint(next) {
		return nil, q.fail(ErrBadListing, "the next page is on another host: "+redact(next))
	}
	return next, nil
}

// nextLink returns the target with rel="next" of Link headers (RFC 8288), ""
// if there is none.
func nextLink(headers []string) string {
	for _, h := range headers {
		for {
			open := strings.IndexByte(h, '<')
			if open < 0 {
				break
			}
			end := strings.IndexByte(h[open:], '>')
			if end < 0 {
				break
			}
			target := h[open+1 : open+end]
			params, rest := linkParams(h[open+end+1:])
			for _, p := range params {
				name, value, _ := strings.Cut(p, "=")
				rels := strings.Fields(strings.Trim(strings.TrimSpace(value), `"`))
				if strings.EqualFold(strings.TrimSpace(name), "rel") && slices.Contains(rels, "next") {
					return target
				}
			}
			h = rest
		}
	}
	return ""
}

// linkParams splits the parameters of one link from the links that follow it.
// Commas and semicolons inside quotes do not divide.
func linkParams(s string) (params []string, rest string) {
	quoted := false
	start := 0
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '"':
			quoted = !quoted
		case quoted:
		case s[i] == ';':
			params = append(params, s[start:i])
			start = i + 1
		case s[i] == ',':
			return append(params, s[start:i]), s[i+1:]
		}
	}
	return append(params, s[start:]), ""
}

// maxTotal bounds the sizes of a listing together, in bytes: beyond it numbers
// in JSON are no longer exact, and no sum of ours can overflow.
const maxTotal = 1 << 53

// checkTree turns entries into files, or says in what the listing contradicts
// itself.
func checkTree(entries []treeEntry) (files []File, reason string) {
	var paths []string
	var total int64
	sizes := make(map[any]int64, len(entries)) // by digest
	for _, e := range entries {
		if e.Type == "" {
			return nil, fmt.Sprintf("%.300q is neither file nor folder", e.Path)
		}
		if e.Type != "file" {
			continue // folders are implied by their files
		}
		f, reason := e.file()
		if reason != "" {
			return nil, fmt.Sprintf("%.300q: %s", e.Path, reason)
		}
		var digest any = f.OID
		if f.LFS {
			digest = f.SHA256
		}
		if size, ok := sizes[digest]; ok && size != f.Size {
			return nil, fmt.Sprintf("%.300q: content of this digest has %d bytes, or elsewhere %d", e.Path, f.Size, size)
		}
		sizes[digest] = f.Size
		if total += f.Size; total >= maxTotal {
			return nil, fmt.Sprintf("%.300q: the sizes together exceed %d bytes", e.Path, int64(maxTotal))
		}
		files = append(files, f)
		paths = append(paths, f.Path)
	}
	if a, b, found := collision(paths); found {
		return nil, fmt.Sprintf("%.300q and %.300q cannot both be written everywhere", a, b)
	}
	slices.SortFunc(files, func(a, b File) int { return strings.Compare(a.Path, b.Path) })
	return files, ""
}

func (e treeEntry) file() (f File, reason string) {
	if reason := badPath(e.Path); reason != "" {
		return f, reason
	}
	size, ok := parseSize(e.Size)
	if !ok {
		return f, fmt.Sprintf("the size %.40q is none", e.Size)
	}
	oid, err := ParseGitOID(e.OID)
	if err != nil {
		return f, err.Error()
	}
	if oid == (GitOID{}) {
		return f, "the git id is all zeros"
	}
	f = File{Path: e.Path, Size: size, OID: oid}
	if e.LFS == nil {
		if (size == 0) != (oid == GitBlobOID(nil)) {
			return f, fmt.Sprintf("the size %d does not belong to the git id %s", size, oid)
		}
		return f, ""
	}
	f.LFS = true
	if f.SHA256, err = ParseSHA256(e.LFS.OID); err != nil {
		return f, err.Error()
	}
	if f.SHA256 == (SHA256{}) {
		return f, "the SHA-256 is all zeros"
	}
	if empty := SHA256(sha256.Sum256(nil)); (size == 0) != (f.SHA256 == empty) {
		return f, fmt.Sprintf("the size %d does not belong to the SHA-256 %s", size, f.SHA256)
	}
	if n, ok := parseSize(e.LFS.Size); !ok || n != size {
		return f, fmt.Sprintf("the size is %d, or by its LFS entry %.40q", size, e.LFS.Size)
	}
	// The oid of an LFS file is that of its pointer, which we can write
	// ourselves; only a pointer of another length is in no form that we know.
	pointer := pointerText(f.SHA256, size)
	if (e.LFS.PointerSize == len(pointer) || e.LFS.PointerSize == 0) && GitBlobOID(pointer) != oid {
		return f, "the LFS digest and size do not belong to the git id " + e.OID
	}
	return f, ""
}

// PathsInfo describes some files of a commit, checked as Tree checks them,
// sorted by path. Names that are not there are left out, as the hub does. One
// request.
func (c *Client) PathsInfo(ctx context.Context, repo RepoID, at Commit, paths []string) ([]File, error) {
	q := c.apiRequest("look up files of "+repo.String()+" at "+at.Short(), repo, "paths-info", string(at))
	var err error
	if q.post, err = json.Marshal(map[string]any{"paths": paths, "expand": false}); err != nil {
		return nil, fmt.Errorf("%s: %w", q.op, err)
	}
	var v []treeEntry
	if _, err := c.getJSON(ctx, q, &v); err != nil {
		return nil, err
	}
	if v == nil || len(v) > len(paths) {
		return nil, q.fail(ErrBadListing, fmt.Sprintf("asked for %d paths, got %d", len(paths), len(v)))
	}
	files, reason := checkTree(v)
	if reason != "" {
		return nil, q.fail(ErrBadListing, reason)
	}
	for _, f := range files {
		if !slices.Contains(paths, f.Path) {
			return nil, q.fail(ErrBadListing, fmt.Sprintf("%.300q was not asked for", f.Path))
		}
	}
	return files, nil
}

// TreeSize returns the size of a commit's files together, in bytes. One request,
// whatever their number.
func (c *Client) TreeSize(ctx context.Context, repo RepoID, at Commit) (int64, error) {
	q := c.apiRequest("sum up the files of "+repo.String()+" at "+at.Short(), repo, "treesize", string(at))
	var v struct{ Size json.Number }
	if _, err := c.getJSON(ctx, q, &v); err != nil {
		return 0, err
	}
	size, ok := parseSize(v.Size)
	if !ok {
		return 0, q.fail(ErrBadListing, fmt.Sprintf("the size %.40q is none", v.Size))
	}
	return size, nil
}

// parseSize accepts what JSON can carry exactly: integers from 0 to 2^53.
func parseSize(n json.Number) (int64, bool) {
	size, err := strconv.ParseInt(string(n), 10, 64)
	return size, err == nil && size >= 0 && size < 1<<53
}
