package hub

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/qbranch/qbranch/hub/hubtest"
)

// What goes wrong, what it is called, and what a person is told. Every row is
// one request of a client that may carry a token.
func TestErrors(t *testing.T) {
	type try func(w *world, ctx context.Context) error
	refs := func(repo RepoID) try {
		return func(w *world, ctx context.Context) error { _, err := w.client.Refs(ctx, repo, false); return err }
	}
	revision := func(rev string) try {
		return func(w *world, ctx context.Context) error {
			_, err := w.client.Revision(ctx, testRepo, rev)
			return err
		}
	}
	read := func(repo RepoID, name string) try {
		return func(w *world, ctx context.Context) error {
			_, err := w.client.ReadFile(ctx, repo, w.at, name, 1<<20)
			return err
		}
	}
	open := func(repo RepoID, name string) try {
		return func(w *world, ctx context.Context) error {
			f := w.files["model.safetensors"]
			f.Path = name
			r, err := w.client.OpenRange(ctx, repo, w.at, f, 0, 10)
			if err == nil {
				r.Close()
			}
			return err
		}
	}
	tree := func(w *world, ctx context.Context) error {
		_, err := w.client.Tree(ctx, testRepo, w.at)
		return err
	}
	openSmall := func(w *world, ctx context.Context) error {
		r, err := w.client.OpenRange(ctx, testRepo, w.at, w.files["config.json"], 0, 3)
		if err == nil {
			r.Close()
		}
		return err
	}
	const model = "model.safetensors"
	html := hubtest.Fault{Status: 200, Header: http.Header{"Content-Type": {"text/html"}}, Body: "<html>log in</html>"}
	answer := func(body string) hubtest.Fault {
		return hubtest.Fault{Status: 200, Header: http.Header{"Content-Type": {"application/json"}}, Body: body}
	}
	rewrite := func(old, new string) hubtest.Fault {
		return hubtest.Fault{Rewrite: func(b []byte) []byte { return bytes.ReplaceAll(b, []byte(old), []byte(new)) }}
	}
	tests := []struct {
		name  string
		token string
		fault hubtest.Fault
		try   try
		kind  error
		text  string // in the error
		hint  string // in the hint
	}{
		// Who asks for what; the same 401 means missing and private.
		{"no such repository, anonymous", "", hubtest.Fault{}, refs(noRepo), ErrRepoNotFound, "no such repository, or it is private", "HF_TOKEN"},
		{"no such repository", ownerToken, hubtest.Fault{}, refs(noRepo), ErrRepoNotFound, "acme/none: repository not found", "check the name"},
		{"private, anonymous", "", hubtest.Fault{}, refs(hiddenRepo), ErrUnauthorized, "private", "HF_TOKEN"},
		{"private, somebody else's token", strangerToken, hubtest.Fault{}, refs(hiddenRepo), ErrRepoNotFound, "", "HF_TOKEN"},
		{"private, bad token", "hf_badSECRET", hubtest.Fault{}, refs(hiddenRepo), ErrUnauthorized, "the token from the test is rejected", "renew the token from the test"},
		{"gated, anonymous", "", hubtest.Fault{}, read(gatedRepo, "config.json"), ErrGated, "restricted", "/acme/gated and set HF_TOKEN"},
		{"gated, somebody else's token", strangerToken, hubtest.Fault{}, open(gatedRepo, model), ErrGated, "restricted", "the account of the token from the test"},
		{"gated, bad token", "hf_badSECRET", hubtest.Fault{}, read(gatedRepo, "config.json"), ErrUnauthorized, "rejected", "renew"},
		{"disabled", "", hubtest.Fault{Status: 403, Body: "Access to this resource is disabled."}, refs(testRepo), ErrDisabled, "disabled", "look for another one"},
		{"no such branch", "", hubtest.Fault{}, revision("nope"), ErrRevisionNotFound, "Invalid rev id: nope", "qbranch ls acme/tiny"},
		{"a name no branch has", "", hubtest.Fault{}, revision("a..b"), ErrBadRef, "", ""},
		{"no such file, small", "", hubtest.Fault{}, read(testRepo, "nope"), ErrEntryNotFound, "read nope of acme/tiny: file not found", "upper and lower case"},
		{"no such file, large", "", hubtest.Fault{}, open(testRepo, "nope"), ErrEntryNotFound, "nope", "upper and lower case"},
		// Mirrors lose the code; the text tells.
		{"no code, branch", "", hubtest.Fault{Status: 404, Body: "Invalid rev id: x"}, revision("x"), ErrRevisionNotFound, "", ""},
		{"no code, JSON", "", hubtest.Fault{Status: 404, Body: `{"error":"Repository not found"}`}, refs(testRepo), ErrRepoNotFound, "", ""},
		{"no code, JSON list", "", hubtest.Fault{Status: 404, Body: `{"errors":[{"message":"Entry not found"}]}`}, read(testRepo, "x"), ErrEntryNotFound, "", ""},
		// Servers that are no hub.
		{"web page", "", html, refs(testRepo), ErrNotHub, "web page", "HF_ENDPOINT"},
		{"web page as JSON", "", answer("\n <!doctype html>"), revision("main"), ErrNotHub, "web page", "HF_ENDPOINT"},
		{"web page for a small file", "", html, read(testRepo, "config.json"), ErrNotHub, "web page", "HF_ENDPOINT"},
		{"web page for a link", "", html, open(testRepo, model), ErrNotHub, "web page", "HF_ENDPOINT"},
		{"web page from storage", "", hubtest.Fault{Origin: "cdn", Status: 200, Header: html.Header, Body: html.Body}, open(testRepo, model), ErrNotHub, "web page", "HF_ENDPOINT"},
		{"404 of a web server", "", hubtest.Fault{Status: 404, Header: html.Header, Body: html.Body}, refs(testRepo), ErrNotHub, "404", "HF_ENDPOINT"},
		{"404 without words", "", hubtest.Fault{Status: 404}, tree, ErrNotHub, "404", "HF_ENDPOINT"},
		{"empty", "", answer(""), refs(testRepo), ErrNotHub, "branches of acme/tiny: the endpoint does not speak the hub protocol: the answer is empty", ""},
		{"JSON cut off", "", answer(`{"branches":[{"name":"ma`), refs(testRepo), ErrNotHub, "cut off after 24 bytes", "HF_ENDPOINT"},
		{"JSON broken", "", answer(`{"branches":[}}`), refs(testRepo), ErrNotHub, "broken at byte 14", ""},
		{"JSON of another shape", "", answer(`[1]`), refs(testRepo), ErrNotHub, "array", ""},
		{"JSON without branches", "", answer(`{}`), refs(testRepo), ErrNotHub, "no branches", ""},
		{"JSON without commit", "", answer(`{"id":"acme/tiny"}`), revision("main"), ErrNotHub, "no commit", ""},
		{"another commit than asked for", "", answer(`{"sha":"` + testCommit + `"}`), revision(strings.Repeat("1", 40)), ErrBadListing, "", ""},
		{"said to be compressed", "", hubtest.Fault{Header: http.Header{"Content-Encoding": {"gzip"}}}, read(testRepo, "config.json"), ErrNetwork, "gzip", ""},
		{"compressed in a way we do not know", "", hubtest.Fault{Header: http.Header{"Content-Encoding": {"br"}}}, read(testRepo, "config.json"), ErrNotHub, "encoded as \"br\"", ""},
		{"web page without a type", "", hubtest.Fault{Status: 200, Header: http.Header{"Content-Type": nil}, Body: "\n<!DOCTYPE html><html>"}, read(testRepo, "config.json"), ErrNotHub, "web page", "HF_ENDPOINT"},
		{"another commit's file", "", hubtest.Fault{Header: http.Header{"X-Repo-Commit": {testCommit}}}, read(testRepo, "config.json"), ErrBadListing, "asked for it at", ""},
		{"no words, 403", "", hubtest.Fault{Status: 403}, refs(testRepo), ErrForbidden, "403", "HF_TOKEN"},
		{"a token without the right", ownerToken, hubtest.Fault{Status: 403, Body: "needs the scope repo.read"}, refs(testRepo), ErrForbidden, "needs the scope", "fine-grained"},
		{"for legal reasons", "", hubtest.Fault{Status: 451, Body: "blocked here"}, refs(testRepo), ErrForbidden, "blocked here", "HF_TOKEN"},
		{"bad parameter", "", hubtest.Fault{Status: 400, Body: `{"error":"Invalid cursor"}`}, tree, ErrBadRequest, "Invalid cursor", "request"},
		{"proxy wants a login", "", hubtest.Fault{Status: 407}, refs(testRepo), ErrProxy, "407", "USER:PASSWORD"},
		{"redirect to nowhere", "", hubtest.Fault{Status: 302}, refs(testRepo), ErrRedirect, "redirect to nowhere (302", "HF_ENDPOINT"},
		{"not modified, though nobody asked", "", hubtest.Fault{Status: 304}, refs(testRepo), ErrNotHub, "304", "HF_ENDPOINT"},
		{"null for the branches", "", answer("null"), refs(testRepo), ErrBadListing, "null", "another HF_ENDPOINT"},
		{"null for the files", "", answer("null"), tree, ErrBadListing, "null", "another HF_ENDPOINT"},
		{"null for a file", "", answer("[null]"), tree, ErrBadListing, "neither file nor folder", "another HF_ENDPOINT"},
		// Listings that lie.
		{"branch of no commit", "", rewrite(`"targetCommit":"`, `"targetCommit":"x`), refs(testRepo), ErrBadListing, "", "another HF_ENDPOINT"},
		{"branch with an escape in its name", "", rewrite(`"Dev"`, `"D\u001b[2Jev"`), refs(testRepo), ErrBadListing, `\x1b`, ""},
		{"branch twice", "", rewrite(`"Dev"`, `"main"`), refs(testRepo), ErrBadListing, "twice", ""},
		{"path that leaves", "", rewrite(`"config.json"`, `"../config.json"`), tree, ErrBadListing, `".."`, "another HF_ENDPOINT"},
		{"LFS size that does not fit", "", rewrite("262144", "262145"), tree, ErrBadListing, "model.safetensors", ""},
		{"size below zero", "", rewrite(`"size":11`, `"size":-11`), tree, ErrBadListing, "config.json", ""},
		{"sizes beyond all limits", "", rewrite(`"size":11`, `"size":9007199254740991`), tree, ErrBadListing, "together", ""},
		{"digest of zeros", "", hubtest.Fault{Rewrite: func(b []byte) []byte {
			return regexp.MustCompile(`"oid":"[0-9a-f]{64}"`).ReplaceAll(b, []byte(`"oid":"`+strings.Repeat("0", 64)+`"`))
		}}, tree, ErrBadListing, "all zeros", ""},
		{"git id of zeros", "", hubtest.Fault{Rewrite: func(b []byte) []byte {
			return regexp.MustCompile(`"oid":"[0-9a-f]{40}"`).ReplaceAll(b, []byte(`"oid":"`+strings.Repeat("0", 40)+`"`))
		}}, tree, ErrBadListing, "all zeros", ""},
		{"an empty file that is not", "", rewrite(`"size":11`, `"size":0`), tree, ErrBadListing, "does not belong", ""},
		{"git id of another file", "", hubtest.Fault{Origin: "api", Header: http.Header{"X-Linked-Etag": {`"` + testCommit + `"`}}}, openSmall, ErrBadListing, "git id", ""},
		{"collision", "", rewrite(`"config.json"`, `"MODEL.safetensors"`), tree, ErrBadListing, "cannot both be written", ""},
		{"next page elsewhere", "", hubtest.Fault{Header: http.Header{"Link": {`<http://127.0.0.1:1/x>; rel="next"`}}}, tree, ErrBadListing, "another host: http://127.0.0.1:1/x", ""},
		{"pages without end", "", hubtest.Fault{Status: 200, Header: http.Header{"Link": {`</next>; rel="next"`}}, Body: "[]"}, tree, ErrTooLarge, "1000 pages", ""},
		{"link of another size", "", hubtest.Fault{Origin: "api", RedirectTo: "http://127.0.0.1:1/x", Header: http.Header{"X-Linked-Size": {"5"}}}, open(testRepo, model), ErrBadListing, "262144 bytes, the redirect 5", ""},
		{"link of another digest", "", hubtest.Fault{Origin: "api", RedirectTo: "http://127.0.0.1:1/x", Header: http.Header{"X-Linked-Etag": {`"` + strings.Repeat("0", 64) + `"`}}}, open(testRepo, model), ErrBadListing, "digest", ""},
		// Redirects.
		{"redirect in a circle", "", hubtest.Fault{Status: 307, RedirectTo: "/again?a=b"}, refs(testRepo), ErrRedirect, "more than 5 redirects", "HF_ENDPOINT"},
		{"redirect to plain http", "", hubtest.Fault{RedirectTo: "http://192.0.2.1/x"}, refs(testRepo), ErrRedirect, "plain http", ""},
		{"redirect to no place", "", hubtest.Fault{RedirectTo: "http://%zz"}, refs(testRepo), ErrRedirect, "not a URL", ""},
		{"redirect to a file", "", hubtest.Fault{RedirectTo: "file:///etc/passwd"}, read(testRepo, "x"), ErrRedirect, "file:", ""},
		// Answers to ranges.
		{"whole file instead of a range", "", hubtest.Fault{Origin: "cdn", IgnoreRange: true}, open(testRepo, model), ErrRange, "got status 200", "proxy or mirror"},
		{"another range", "", hubtest.Fault{Origin: "cdn", WrongRange: true}, open(testRepo, model), ErrRange, "asked for bytes=0-9, got 1-10", ""},
		{"another total", "", hubtest.Fault{Origin: "cdn", Header: http.Header{"Content-Range": {"bytes 0-9/262145"}}}, open(testRepo, model), ErrRange, "262145", ""},
		{"no Content-Range", "", hubtest.Fault{Origin: "cdn", Header: http.Header{"Content-Range": nil}}, open(testRepo, model), ErrRange, "got the range", ""},
		{"encoded range", "", hubtest.Fault{Origin: "cdn", Header: http.Header{"Content-Encoding": {"gzip"}}}, open(testRepo, model), ErrRange, "gzip", ""},
		{"416", "", hubtest.Fault{Origin: "cdn", Status: 416}, open(testRepo, model), ErrRange, "416", "proxy or mirror"},
		// Servers in trouble.
		{"rate limited for long", "", hubtest.Fault{Status: 429, Header: http.Header{"Retry-After": {"3600"}}}, refs(testRepo), ErrRateLimited, "429", "wait 1h0m0s"},
		{"503 that stays", "", hubtest.Fault{Status: 503, Body: "<html>"}, refs(testRepo), ErrNetwork, "in trouble (503 from 127.0.0.1", "wait a little"},
		{"refused by storage, twice", "", hubtest.Fault{Origin: "cdn", Status: 403, Body: "<Error><Message>Request has \x1b]0;expired</Message></Error>"}, open(testRepo, model), ErrNetwork, "storage refuses a fresh link (403 from 127.0.0.1", "wait a little"},
		{"unknown status", "", hubtest.Fault{Status: 418, Header: http.Header{"X-Request-Id": {"Root=1-2"}}, Body: "short\x1b[31m and\u202e stout"}, refs(testRepo), ErrNotHub, "(418 from 127.0.0.1", "HF_ENDPOINT"},
		{"reset before the answer", "", hubtest.Fault{ResetAfter: -1}, refs(testRepo), ErrNetwork, "network failure with 127.0.0.1", "check the connection"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, Options{Token: NewToken(tt.token, "the test")})
			f := tt.fault
			if f.Rewrite != nil || f.Status != 0 || f.Header != nil || f.RedirectTo != "" || f.ResetAfter != 0 || f.Origin != "" {
				if f.Origin == "" {
					f.Origin = "api"
				}
				w.AddFault(f)
			}
			err := tt.try(w, t.Context())
			if err == nil {
				t.Fatal("no error")
			}
			if tt.kind != nil && !errors.Is(err, tt.kind) || !strings.Contains(err.Error(), tt.text) {
				t.Errorf("got %v\nwant %v with %q", err, tt.kind, tt.text)
			}
			if strings.ContainsFunc(err.Error(), func(c rune) bool { return c < ' ' || isBidi(c) }) {
				t.Errorf("%q has control characters", err)
			}
			hint := ""
			if h := Hinter(nil); errors.As(err, &h) {
				hint = h.Hint()
			}
			if tt.kind != nil && hint == "" && tt.kind != ErrTooLarge || !strings.Contains(hint, tt.hint) {
				t.Errorf("%v\nhint %q, want %q in it", err, hint, tt.hint)
			}
			if want := tt.kind == ErrNetwork || tt.kind == ErrRateLimited; Temporary(err) != want {
				t.Errorf("%v: temporary is %v", err, !want)
			}
			if want := map[bool]time.Duration{true: time.Hour}[tt.kind == ErrRateLimited]; RetryAfter(err) != want {
				t.Errorf("%v: wait %v, want %v", err, RetryAfter(err), want)
			}
			checkSecrets(t, fmt.Sprintf("%v %+v %#v %s", err, err, err, hint))
		})
	}
}
