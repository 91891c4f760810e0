package hubtest

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// WaitStyle is how a server asks to be left alone for a while.
type WaitStyle int

// The styles of TooManyRequests.
const (
	WaitSeconds WaitStyle = iota // Retry-After in seconds
	WaitDate                     // Retry-After as an HTTP date
	WaitWindow                   // RateLimit with nothing left and the seconds to its end
)

// TooManyRequests is a 429 that asks for a wait.
func TooManyRequests(wait time.Duration, style WaitStyle) Fault {
	seconds := strconv.Itoa(int(wait.Seconds()))
	f := Fault{Name: "429", Status: http.StatusTooManyRequests, Body: "Too many requests", Header: make(http.Header)}
	switch style {
	case WaitSeconds:
		f.Header.Set("Retry-After", seconds)
	case WaitDate:
		f.Header.Set("Retry-After", time.Now().Add(wait).UTC().Format(http.TimeFormat))
	case WaitWindow:
		f.Header.Set("RateLimit", `"resolvers";r=0;t=`+seconds)
	}
	return f
}

// WebPage is a page for people where data was asked for: the login page of a
// hotel's network, or a proxy's error. Some do not say that they are HTML.
func WebPage(status int, typed bool) Fault {
	contentType := ""
	if typed {
		contentType = "text/html; charset=utf-8"
	}
	return Fault{Name: "web page", Status: status, Header: http.Header{"Content-Type": {contentType}},
		Body: "<!DOCTYPE html>\n<html><head><title>Welcome</title></head><body>Please log in.</body></html>\n"}
}

// Expired is storage's answer to a link whose time is over.
func Expired() Fault {
	return Fault{Name: "expired", Origin: "cdn", Status: http.StatusForbidden, Header: http.Header{"Content-Type": {"application/xml"}},
		Body: `<?xml version="1.0" encoding="UTF-8"?><Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>`}
}

// TokenRefused is the hub's answer to a token that it does not know, or knows
// no more.
func TokenRefused() Fault {
	return Fault{Name: "token refused", Origin: "api", AuthOnly: true, Status: http.StatusUnauthorized,
		Header: http.Header{"X-Error-Message": {tokenBad.message}, "Content-Type": {"application/json; charset=utf-8"}},
		Body:   `{"error":"` + tokenBad.message + `"}`}
}

// Other forms of a strong tag, for Fault.ETag.

// WeakETag is the same tag, weak.
func WeakETag(tag string) string { return "W/" + tag }

// BareETag is the same tag without its quotes.
func BareETag(tag string) string { return strings.Trim(tag, `"`) }

// OtherETag is a tag of the same form that says something else.
func OtherETag(tag string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= '0' && r <= '8', r >= 'a' && r <= 'e':
			return r + 1
		case r == '9', r == 'f':
			return '0'
		}
		return r
	}, tag)
}

// Bomb answers n zeros, compressed to a thousandth of that, whatever was asked
// for.
func Bomb(n int) Fault {
	return Fault{Name: "bomb", Status: http.StatusOK, Body: string(gzipped(make([]byte, n))),
		Header: http.Header{"Content-Encoding": {"gzip"}, "Content-Type": {"application/json"}}}
}

// Listed is a listing (tree or paths-info) with a change: edit gets the
// entries, decoded, and returns those to send. The keys are type, oid, size,
// path and, for LFS, lfs with oid, size and pointerSize.
func Listed(edit func(entries []map[string]any) []map[string]any) Fault {
	return Fault{Name: "listing", Origin: "api", PathContains: "/tree/", Rewrite: func(body []byte) []byte {
		var entries []map[string]any
		if err := json.Unmarshal(body, &entries); err != nil {
			return body // an error answer
		}
		out, err := json.Marshal(edit(entries))
		if err != nil {
			panic("qbranch: internal error: encode listing: " + err.Error())
		}
		return out
	}}
}

// listedEntry is a listing in which one entry is changed, or left out where
// change says no.
func listedEntry(path string, change func(e map[string]any) bool) Fault {
	return Listed(func(entries []map[string]any) []map[string]any {
		out := []map[string]any{}
		for _, e := range entries {
			if e["path"] != path || change(e) {
				out = append(out, e)
			}
		}
		return out
	})
}

// ListedSize is a listing that gives a file another size. Of an LFS file the
// pointer is changed with it, so that the listing does not contradict itself.
func ListedSize(path string, size int64) Fault {
	return listedEntry(path, func(e map[string]any) bool {
		e["size"] = size
		if lfs, ok := e["lfs"].(map[string]any); ok {
			lfs["size"] = size
			repoint(e, lfs)
		}
		return true
	})
}

// ListedDigest is a listing that gives a file another digest. With whole, the
// pointer of an LFS file is changed with it, so that the listing does not
// contradict itself and only the content tells.
func ListedDigest(path string, whole bool) Fault {
	return listedEntry(path, func(e map[string]any) bool {
		lfs, ok := e["lfs"].(map[string]any)
		if !ok {
			e["oid"] = OtherETag(e["oid"].(string))
			return true
		}
		lfs["oid"] = OtherETag(lfs["oid"].(string))
		if whole {
			repoint(e, lfs)
		}
		return true
	})
}

// repoint makes the id of an LFS entry fit its digest and size again.
func repoint(e, lfs map[string]any) {
	pointer := fmt.Sprintf("version https://git-lfs.github.com/spec/v1\noid sha256:%v\nsize %d\n", lfs["oid"], asInt(lfs["size"]))
	e["oid"] = gitID("blob", []byte(pointer))
	lfs["pointerSize"] = len(pointer)
}

// asInt is a number from JSON, or one of ours.
func asInt(v any) int64 {
	switch v := v.(type) {
	case int64:
		return v
	case float64:
		return int64(v)
	}
	return 0
}

// ListedWithout is a listing in which a file has vanished.
func ListedWithout(path string) Fault {
	return listedEntry(path, func(map[string]any) bool { return false })
}

// ListedAlso is a listing with more files, which are nowhere: of a hostile
// repository, or from another commit.
func ListedAlso(paths ...string) Fault {
	return Listed(func(entries []map[string]any) []map[string]any {
		for _, path := range paths {
			sum := sha256.Sum256([]byte(path))
			e := map[string]any{"type": "file", "path": path, "size": int64(8)}
			lfs := map[string]any{"oid": hex.EncodeToString(sum[:]), "size": int64(8)}
			repoint(e, lfs)
			e["lfs"] = lfs
			entries = append(entries, e)
		}
		return entries
	})
}

// NextPageAt sends whoever lists a tree to another place for its next page.
func NextPageAt(link string) Fault {
	return Fault{Name: "next page", Origin: "api", PathContains: "/tree/", Header: http.Header{"Link": {"<" + link + `>; rel="next"`}}}
}
