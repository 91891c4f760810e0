package hubtest

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"net/http"
	"net/url"
	"slices"
	"sort"
	"strconv"
	"strings"
)

// refusal is an error answer of the API.
type refusal struct {
	status        int
	code, message string // X-Error-Code (may be empty) and text
	authenticate  bool   // add WWW-Authenticate
}

func revisionNotFound(rev string) *refusal {
	return &refusal{status: http.StatusNotFound, code: "RevisionNotFound", message: "Invalid rev id: " + rev}
}

var (
	entryNotFound = &refusal{status: http.StatusNotFound, code: "EntryNotFound", message: "Entry not found"}
	repoNotFound  = &refusal{status: http.StatusNotFound, code: "RepoNotFound", message: "Repository not found"}
	// missing and private repositories look the same to somebody without a token
	loginWanted = &refusal{status: http.StatusUnauthorized, message: "Invalid username or password.", authenticate: true}
	tokenBad    = &refusal{status: http.StatusUnauthorized, message: "Invalid credentials in Authorization header", authenticate: true}
	noSuchRoute = &refusal{status: http.StatusNotFound, message: "Sorry, we can't find the page you are looking for."}
)

// visitor is what the token of a request proves.
type visitor int

const (
	anonymous visitor = iota
	owner             // Options.Token
	stranger          // Options.OtherToken
	impostor          // any other token
)

func (s *Server) visitor(r *http.Request) visitor {
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	switch {
	case !ok:
		return anonymous
	case token != "" && token == s.opts.Token:
		return owner
	case token != "" && token == s.opts.OtherToken:
		return stranger
	}
	return impostor
}

// find returns the repository if this visitor may know of it.
func (s *Server) find(id string, v visitor) (*repo, *refusal) {
	p := s.repos[id]
	switch {
	case p != nil && (!p.private || v == owner):
		return p, nil
	case v == anonymous:
		return nil, loginWanted
	case v == impostor:
		return nil, tokenBad
	}
	return nil, repoNotFound
}

// mayRead refuses the files of a gated repository.
func (p *repo) mayRead(v visitor) *refusal {
	switch {
	case p.disabled:
		return &refusal{status: http.StatusForbidden, message: "Access to this resource is disabled."}
	case !p.gated || v == owner:
		return nil
	}
	switch v {
	case anonymous:
		return &refusal{status: http.StatusUnauthorized, code: "GatedRepo", authenticate: true,
			message: "Access to model " + p.id + " is restricted. You must have access to it and be authenticated to access it. Please log in."}
	case impostor:
		return tokenBad
	}
	return &refusal{status: http.StatusForbidden, code: "GatedRepo",
		message: "Access to model " + p.id + " is restricted and you are not in the authorized list. Visit https://huggingface.co/" + p.id + " to ask for access."}
}

// serveAPI routes a request of the API origin. It holds the lock for reading
// while it finds things, not while it sends them.
func (s *Server) serveAPI(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("X-Request-Id", fmt.Sprintf("Root=1-%08x", s.requests.Add(1)))
	bucket := "api"
	if !strings.HasPrefix(r.URL.Path, "/api/") {
		bucket = "resolvers"
	}
	h.Set("RateLimit", fmt.Sprintf("%q;r=999;t=300", bucket))
	h.Set("RateLimit-Policy", fmt.Sprintf("\"fixed window\";%q;q=1000;w=300", bucket))

	seg, err := segments(r.URL)
	if err != nil {
		refuse(w, &refusal{status: http.StatusBadRequest, message: "Malformed path"})
		return
	}
	switch {
	case r.Method != http.MethodGet && r.Method != http.MethodHead && r.Method != http.MethodPost:
		refuse(w, &refusal{status: http.StatusMethodNotAllowed, message: "Method not allowed"})
	case len(seg) == 2 && seg[0] == "api" && seg[1] == "whoami-v2":
		s.serveWhoami(w, r)
	case len(seg) >= 4 && seg[0] == "api" && seg[1] == "models":
		s.serveModel(w, r, seg[2]+"/"+seg[3], seg[4:])
	case len(seg) >= 7 && seg[0] == "api" && seg[1] == "resolve-cache" && seg[2] == "models":
		s.serveFile(w, r, seg[3]+"/"+seg[4], "resolve-cache", seg[5], strings.Join(seg[6:], "/"))
	case len(seg) >= 5 && (seg[2] == "resolve" || seg[2] == "raw"):
		rev, rest := cutRevision(seg[3:])
		s.serveFile(w, r, seg[0]+"/"+seg[1], seg[2], rev, strings.Join(rest, "/"))
	default:
		refuse(w, noSuchRoute)
	}
}

// segments splits the path as it was sent, so that an encoded slash does not
// separate.
func segments(u *url.URL) ([]string, error) {
	seg := strings.Split(strings.Trim(u.EscapedPath(), "/"), "/")
	for i := range seg {
		var err error
		if seg[i], err = url.PathUnescape(seg[i]); err != nil {
			return nil, err
		}
	}
	return seg, nil
}

// cutRevision takes the revision off the front: one segment, or three when a
// client wrote refs/pr/1 without encoding it.
func cutRevision(seg []string) (rev string, rest []string) {
	if len(seg) >= 3 && seg[0] == "refs" {
		return strings.Join(seg[:3], "/"), seg[3:]
	}
	if len(seg) == 0 {
		return "", nil
	}
	return seg[0], seg[1:]
}

func (s *Server) serveWhoami(w http.ResponseWriter, r *http.Request) {
	name := map[visitor]string{owner: "owner", stranger: "stranger"}[s.visitor(r)]
	switch {
	case name != "":
		writeJSON(w, r, map[string]any{
			"type": "user", "id": "000000000000000000000001", "name": name, "fullname": name, "isPro": false, "orgs": []any{},
			"auth": map[string]any{"type": "access_token", "accessToken": map[string]any{"displayName": "test", "role": "read"}},
		})
	case s.visitor(r) == anonymous:
		refuse(w, loginWanted)
	default:
		refuse(w, tokenBad)
	}
}

// serveModel answers /api/models/{id}/{what}/{rev}/….
func (s *Server) serveModel(w http.ResponseWriter, r *http.Request, id string, seg []string) {
	s.mu.RLock()
	if to, ok := s.moved[id]; ok {
		s.mu.RUnlock()
		path := strings.Replace(r.URL.EscapedPath(), "/"+id, "/"+to, 1)
		redirect(w, http.StatusTemporaryRedirect, path+query(r))
		return
	}
	answer, no := s.model(w, r, id, seg)
	s.mu.RUnlock()
	if no != nil {
		refuse(w, no)
		return
	}
	writeJSON(w, r, answer)
}

// query is the query of a request, with its question mark.
func query(r *http.Request) string {
	if r.URL.RawQuery == "" {
		return ""
	}
	return "?" + r.URL.RawQuery
}

// model makes the answer. s.mu is held.
func (s *Server) model(w http.ResponseWriter, r *http.Request, id string, seg []string) (any, *refusal) {
	p, no := s.find(id, s.visitor(r))
	if no != nil {
		return nil, no
	}
	what := "revision"
	if len(seg) > 0 {
		what, seg = seg[0], seg[1:]
	}
	if what == "refs" {
		return p.refs(isTrue(r.FormValue("include_prs"))), nil
	}
	rev, rest := cutRevision(seg)
	if rev == "" {
		rev = "main"
	}
	c := p.resolve(rev)
	if c == nil {
		return nil, revisionNotFound(rev)
	}
	dir := strings.Trim(strings.Join(rest, "/"), "/")
	switch what {
	case "revision":
		return p.info(c, isTrue(r.FormValue("blobs"))), nil
	case "tree":
		return s.tree(w, r, c, dir)
	case "treesize":
		return c.treeSize(dir)
	case "paths-info":
		return c.pathsInfo(r)
	}
	return nil, noSuchRoute
}

func isTrue(s string) bool { return s == "1" || strings.EqualFold(s, "true") }

type refInfo struct {
	Name         string `json:"name"`
	Ref          string `json:"ref"`
	TargetCommit string `json:"targetCommit"`
}

// refs lists the branches in an order of no meaning, as the hub does.
func (p *repo) refs(withPRs bool) any {
	lists := map[string][]refInfo{"branches": {}, "tags": {}, "converts": {}}
	if withPRs {
		lists["pullRequests"] = []refInfo{}
	}
	for name, c := range p.branches {
		list, ref := "branches", refInfo{name, "refs/heads/" + name, c.id}
		if rest, ok := strings.CutPrefix(name, "refs/tags/"); ok {
			list, ref = "tags", refInfo{rest, name, c.id}
		} else if rest, ok := strings.CutPrefix(name, "refs/convert/"); ok {
			list, ref = "converts", refInfo{rest, name, c.id}
		} else if strings.HasPrefix(name, "refs/pr/") {
			list, ref = "pullRequests", refInfo{name, name, c.id}
		}
		if lists[list] != nil {
			lists[list] = append(lists[list], ref)
		}
	}
	for _, list := range lists {
		sort.Slice(list, func(i, j int) bool { return list[i].TargetCommit < list[j].TargetCommit })
	}
	return lists
}

type lfsInfo struct {
	OID         string `json:"oid,omitempty"`    // in a tree
	SHA256      string `json:"sha256,omitempty"` // the same, in model info
	Size        int64  `json:"size"`
	PointerSize int    `json:"pointerSize"`
}

type sibling struct {
	Name   string   `json:"rfilename"`
	Size   *int64   `json:"size,omitempty"`
	BlobID string   `json:"blobId,omitempty"`
	LFS    *lfsInfo `json:"lfs,omitempty"`
}

// info is the answer to model info and revision.
func (p *repo) info(c *commit, blobs bool) any {
	siblings := make([]sibling, 0, len(c.files))
	for _, name := range c.paths {
		o := c.files[name]
		if o == nil {
			continue
		}
		f := sibling{Name: name}
		if blobs {
			f.Size, f.BlobID = &o.size, o.oid
			if o.sha256 != "" {
				f.LFS = &lfsInfo{SHA256: o.sha256, Size: o.size, PointerSize: len(o.pointer)}
			}
		}
		siblings = append(siblings, f)
	}
	var gated any = false
	if p.gated {
		gated = "auto"
	}
	author, _, _ := strings.Cut(p.id, "/")
	const when = "2023-09-27T07:33:20.000Z"
	return map[string]any{
		"_id": p.key, "id": p.id, "modelId": p.id, "author": author, "sha": c.id,
		"lastModified": when, "createdAt": when, "private": p.private, "gated": gated, "disabled": p.disabled,
		"downloads": 0, "likes": 0, "tags": []string{}, "siblings": siblings, "spaces": []string{}, "usedStorage": c.bytes,
	}
}

type treeItem struct {
	Type string   `json:"type"`
	OID  string   `json:"oid"`
	Size int64    `json:"size"`
	Path string   `json:"path"`
	LFS  *lfsInfo `json:"lfs,omitempty"`
}

func (c *commit) item(name string) treeItem {
	o := c.files[name]
	if o == nil {
		return treeItem{Type: "directory", OID: c.trees[name], Path: name}
	}
	t := treeItem{Type: "file", OID: o.oid, Size: o.size, Path: name}
	if o.sha256 != "" {
		t.LFS = &lfsInfo{OID: o.sha256, Size: o.size, PointerSize: len(o.pointer)}
	}
	return t
}

// tree lists a folder by pages. The link to the next page is absolute and
// carries a cursor.
func (s *Server) tree(w http.ResponseWriter, r *http.Request, c *commit, dir string) (any, *refusal) {
	if _, ok := c.trees[dir]; !ok {
		return nil, entryNotFound
	}
	prefix := ""
	if dir != "" {
		prefix = dir + "/"
	}
	recursive := isTrue(r.FormValue("recursive"))
	after, err := base64.RawURLEncoding.DecodeString(r.FormValue("cursor"))
	if err != nil {
		return nil, &refusal{status: http.StatusBadRequest, message: "Invalid cursor"}
	}
	page := s.opts.PageSize
	if n, err := strconv.Atoi(r.FormValue("limit")); err == nil && n > 0 {
		page = min(page, n)
	}
	items := []treeItem{}
	for _, name := range c.paths {
		rest, ok := strings.CutPrefix(name, prefix)
		if !ok || !recursive && strings.Contains(rest, "/") || len(after) > 0 && name <= string(after) {
			continue
		}
		if len(items) == page {
			q := r.URL.Query()
			q.Set("cursor", base64.RawURLEncoding.EncodeToString([]byte(items[page-1].Path)))
			w.Header().Set("Link", fmt.Sprintf("<http://%s%s?%s>; rel=\"next\"", r.Host, r.URL.EscapedPath(), q.Encode()))
			break
		}
		items = append(items, c.item(name))
	}
	return items, nil
}

func (c *commit) treeSize(dir string) (any, *refusal) {
	if _, ok := c.trees[dir]; !ok {
		return nil, entryNotFound
	}
	var size int64
	for name, o := range c.files {
		if dir == "" || strings.HasPrefix(name, dir+"/") {
			size += o.size
		}
	}
	return map[string]any{"path": "/" + dir, "size": size}, nil
}

// pathsInfo describes the paths that exist and leaves out the others.
func (c *commit) pathsInfo(r *http.Request) (any, *refusal) {
	var paths []string
	if strings.HasPrefix(r.Header.Get("Content-Type"), "application/json") {
		var q struct {
			Paths []string `json:"paths"`
		}
		if err := json.NewDecoder(http.MaxBytesReader(nil, r.Body, 1<<20)).Decode(&q); err != nil {
			return nil, &refusal{status: http.StatusBadRequest, message: "Malformed JSON"}
		}
		paths = q.Paths
	} else if err := r.ParseForm(); err == nil {
		paths = r.PostForm["paths"]
	}
	items := []treeItem{}
	for _, name := range paths {
		if _, ok := slices.BinarySearch(c.paths, name); ok {
			items = append(items, c.item(name))
		}
	}
	return items, nil
}

// writeJSON sends an answer with the weak ETag of a web framework, which says
// nothing about content.
func writeJSON(w http.ResponseWriter, r *http.Request, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		panic("qbranch: internal error: encode answer: " + err.Error())
	}
	h := w.Header()
	etag := fmt.Sprintf("W/\"%x-%08x\"", len(body), crc32.ChecksumIEEE(body))
	h.Set("ETag", etag)
	if r.Header.Get("If-None-Match") == etag {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	h.Set("Content-Type", "application/json; charset=utf-8")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(http.StatusOK)
	w.Write(body) // the client may be gone
}

// refuse sends an error: JSON from the API.
func refuse(w http.ResponseWriter, no *refusal) {
	body, err := json.Marshal(map[string]string{"error": no.message})
	if err != nil {
		panic("qbranch: internal error: encode error: " + err.Error())
	}
	refuseWith(w, no, "application/json; charset=utf-8", body)
}

// refuseText sends an error in the way of the resolve routes.
func refuseText(w http.ResponseWriter, no *refusal) {
	refuseWith(w, no, "text/plain; charset=utf-8", []byte(no.message))
}

func refuseWith(w http.ResponseWriter, no *refusal, contentType string, body []byte) {
	h := w.Header()
	if no.code != "" {
		h.Set("X-Error-Code", no.code)
	}
	h.Set("X-Error-Message", no.message)
	if no.authenticate {
		h.Set("WWW-Authenticate", `Bearer realm="Authentication required", charset="UTF-8"`)
	}
	h.Set("Content-Type", contentType)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(no.status)
	w.Write(body) // the client may be gone
}
