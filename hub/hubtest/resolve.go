package hubtest

import (
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/url"
	"path"
	"strconv"
	"strings"
	"time"
)

// serveFile answers the routes resolve, raw and resolve-cache.
func (s *Server) serveFile(w http.ResponseWriter, r *http.Request, id, route, rev, name string) {
	if r.Method == http.MethodPost {
		refuseText(w, &refusal{status: http.StatusMethodNotAllowed, message: "Method not allowed"})
		return
	}
	v := s.visitor(r)
	s.mu.RLock()
	p, c, o, no := s.lookup(id, rev, name, v)
	s.mu.RUnlock()
	if c != nil {
		w.Header().Set("X-Repo-Commit", c.id)
	}
	switch {
	case no != nil:
		refuseText(w, no)
	case route == "raw" && o.sha256 != "":
		serveContent(w, r, "text/plain; charset=utf-8", o.oid, Bytes(o.pointer))
	case route == "resolve" && o.sha256 != "":
		s.redirectToCDN(w, r, p, name, o)
	case route == "resolve" && rev != c.id && (v == anonymous || v == impostor):
		redirectToCache(w, r, p, c, name, o)
	default:
		h := w.Header()
		h.Set("X-Hub-Cache", "MISS")
		h.Set("Content-Disposition", "inline; filename="+strconv.Quote(path.Base(name)))
		serveContent(w, r, "text/plain; charset=utf-8", o.oid, o.Content)
	}
}

// lookup finds a file if this visitor may read it. s.mu is held. The commit is
// returned as soon as it is known: most refusals name it too.
func (s *Server) lookup(id, rev, name string, v visitor) (*repo, *commit, *object, *refusal) {
	if to, ok := s.moved[id]; ok {
		id = to
	}
	p, no := s.find(id, v)
	if no != nil {
		return nil, nil, nil, no
	}
	c := p.resolve(rev)
	if c == nil {
		return nil, nil, nil, revisionNotFound(rev)
	}
	if no := p.mayRead(v); no != nil {
		return nil, c, nil, no
	}
	o := c.files[name]
	if o == nil {
		return nil, c, nil, entryNotFound
	}
	return p, c, o, nil
}

// redirectToCDN is the 302 of an LFS file.
func (s *Server) redirectToCDN(w http.ResponseWriter, r *http.Request, p *repo, name string, o *object) {
	h := w.Header()
	h.Set("X-Linked-Size", strconv.FormatInt(o.size, 10))
	h.Set("X-Linked-Etag", strconv.Quote(o.sha256))
	h.Set("Accept-Ranges", "bytes")
	h.Set("Cache-Control", "no-store")
	h.Set("Vary", "Origin, Accept")
	redirect(w, http.StatusFound, s.sign(p, name, o.sha256, r.Header.Get("Range")))
}

// redirectToCache is the relative 307 of a regular file asked for by branch.
// Its query has to survive.
func redirectToCache(w http.ResponseWriter, r *http.Request, p *repo, c *commit, name string, o *object) {
	w.Header().Set("X-Linked-Etag", strconv.Quote(o.oid))
	target := "/api/resolve-cache/models/" + p.id + "/" + c.id + "/" + escapePath(name) +
		"?" + url.QueryEscape(r.URL.Path) + "=&etag=" + url.QueryEscape(strconv.Quote(o.oid))
	redirect(w, http.StatusTemporaryRedirect, target)
}

func redirect(w http.ResponseWriter, status int, target string) {
	body := []byte(http.StatusText(status) + ". Redirecting to " + target)
	h := w.Header()
	h.Set("Location", target)
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	w.Write(body) // the client may be gone
}

func escapePath(name string) string {
	seg := strings.Split(name, "/")
	for i := range seg {
		seg[i] = url.PathEscape(seg[i])
	}
	return strings.Join(seg, "/")
}

// sign makes a CDN URL. Expires is in whole seconds, rounded up, as clients
// read it; the server goes by Until, in nanoseconds.
func (s *Server) sign(p *repo, name, sha, rng string) string {
	until := time.Now().Add(s.opts.URLLife)
	location := "/repos/" + p.key + "/" + sha + "/" + escapePath(name)
	q := url.Values{
		"Expires":     {strconv.FormatInt(until.Add(time.Second-1).Unix(), 10)},
		"Until":       {strconv.FormatInt(until.UnixNano(), 10)},
		"Key-Pair-Id": {strconv.FormatInt(s.signed.Add(1), 10)},
	}
	if s.opts.RangeBound {
		q.Set("Range", rng)
	}
	s.mu.RLock()
	q.Set("Signature", signature(s.key, sha, q))
	s.mu.RUnlock()
	q.Set("response-content-disposition", "inline; filename="+strconv.Quote(path.Base(name)))
	return s.cdn.url + location + "?" + q.Encode()
}

func signature(key []byte, sha string, q url.Values) string {
	m := hmac.New(sha256.New, key)
	fmt.Fprintf(m, "%s %s %s %s %s", sha, q.Get("Expires"), q.Get("Until"), q.Get("Key-Pair-Id"), q.Get("Range"))
	return hex.EncodeToString(m.Sum(nil))
}

// serveCDN answers /repos/{key}/{sha256}/{path} with a good signature.
func (s *Server) serveCDN(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	var sha string
	if seg := strings.Split(r.URL.Path, "/"); len(seg) >= 5 && seg[1] == "repos" {
		sha = seg[3]
	}
	s.mu.RLock()
	good := hmac.Equal([]byte(signature(s.key, sha, q)), []byte(q.Get("Signature")))
	data, found := s.blobs[sha]
	s.mu.RUnlock()
	until, err := strconv.ParseInt(q.Get("Until"), 10, 64)
	switch {
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		storageError(w, http.StatusMethodNotAllowed, "MethodNotAllowed", "The specified method is not allowed")
	case r.Header.Get("Authorization") != "":
		storageError(w, http.StatusBadRequest, "InvalidArgument", "Only one auth mechanism allowed")
	case !good || err != nil:
		storageError(w, http.StatusForbidden, "AccessDenied", "Access denied")
	case time.Now().UnixNano() >= until || !s.use(q.Get("Key-Pair-Id")):
		storageError(w, http.StatusForbidden, "AccessDenied", "Request has expired")
	case s.opts.RangeBound && r.Header.Get("Range") != q.Get("Range"):
		storageError(w, http.StatusForbidden, "AccessDenied", "Auth failed: invalid range")
	case !found:
		storageError(w, http.StatusNotFound, "NoSuchKey", "The specified key does not exist.")
	default:
		// Storage has ETags of its own: neither the digest nor the git id.
		sum := sha1.Sum([]byte("etag of " + sha))
		if d := q.Get("response-content-disposition"); d != "" {
			w.Header().Set("Content-Disposition", d)
		}
		serveContent(w, r, "application/octet-stream", hex.EncodeToString(sum[:]), data)
	}
}

// use counts a request with a signed URL, and says whether it is one too many.
func (s *Server) use(id string) bool {
	if s.opts.URLUses <= 0 {
		return true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.uses[id]++
	return s.uses[id] <= s.opts.URLUses
}

func storageError(w http.ResponseWriter, status int, code, message string) {
	body := fmt.Sprintf("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>%s</Code><Message>%s</Message></Error>", code, message)
	h := w.Header()
	h.Set("Content-Type", "application/xml")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	w.Write([]byte(body)) // the client may be gone
}

// serveContent sends data, or the ranges of it that were asked for.
func serveContent(w http.ResponseWriter, r *http.Request, contentType, etag string, c *Content) {
	h := w.Header()
	h.Set("Content-Type", contentType)
	h.Set("ETag", strconv.Quote(etag))
	h.Set("Accept-Ranges", "bytes")
	if c.size == 0 && r.Header.Get("Range") != "" {
		// net/http would ignore the range; storage does not.
		h.Set("Content-Range", "bytes */0")
		h.Set("Content-Length", "0")
		w.WriteHeader(http.StatusRequestedRangeNotSatisfiable)
		return
	}
	body, err := c.open()
	if err != nil {
		refuseText(w, &refusal{status: http.StatusInternalServerError, message: "the file cannot be read"})
		return
	}
	defer body.Close()
	http.ServeContent(w, r, "", time.Time{}, body)
}
