package hubtest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

const (
	testRepo   = "acme/tiny"
	goodToken  = "hf_owner"
	otherToken = "hf_stranger"
)

var (
	config  = []byte(`{"bits": 4}`)
	weights = bytes.Repeat([]byte("0123456789abcdef"), 1<<12) // 64 KiB
)

func testData() RepoData {
	return RepoData{ID: testRepo, Branches: map[string]map[string][]byte{
		"main":   {"config.json": config, "model.safetensors": weights, "sub/dir/note.txt": []byte("deep"), "empty.bin": {}},
		"odd/b%": {"config.json": []byte(`{}`)},
	}}
}

// start runs a server with testRepo on it.
func start(t *testing.T, o Options) *Server {
	t.Helper()
	s, err := Start(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	if err := s.Add(testData()); err != nil {
		t.Fatal(err)
	}
	return s
}

// answer is a response with its body read; err is what reading it gave.
type answer struct {
	*http.Response
	body []byte
	err  error
}

// ask makes a request on a connection of its own and follows no redirect.
func ask(t *testing.T, method, target string, header ...string) answer {
	t.Helper()
	req, err := http.NewRequest(method, target, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	client := &http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true, DisableCompression: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	resp, err := client.Do(req)
	if err != nil {
		return answer{err: err}
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return answer{resp, body, err}
}

// cdnURL asks for the signed URL of the weights.
func cdnURL(t *testing.T, s *Server) string {
	t.Helper()
	a := ask(t, "GET", s.URL()+"/"+testRepo+"/resolve/main/model.safetensors")
	if a.err != nil || a.StatusCode != http.StatusFound {
		t.Fatalf("resolve: %v %v", a.err, a.Response)
	}
	return a.Header.Get("Location")
}

// The expected ids were made by git itself, from the same files. The names
// a-b, a.json and a/ are in the order in which git alone sorts them.
func TestGitIDs(t *testing.T) {
	c, err := newCommit(inMemory(map[string][]byte{
		"README.md": []byte("hello\n"), "a.json": []byte("{}"), "a/b/c.txt": []byte("deep"), "a-b": []byte("x"),
		"model.safetensors": []byte("weights"), "empty.bin": {},
	}))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"README.md":         "ce013625030ba8dba906f756967f9e9ca394464a",
		"a-b":               "c1b0730e0133447badcfd47fd144e254807b06e1",
		"a.json":            "9e26dfeeb6e641a33dae4961196235bdb965b21b",
		"a":                 "f41b5cf2ffe2552c6a96fe4069768ef8d2552a28",
		"a/b":               "7f7b7ead8462436da65605d4de1f37cb352e24e1",
		"a/b/c.txt":         "d1f857b3cc128d202d3547d90541d78e7761853e",
		"empty.bin":         "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391", // git-lfs leaves empty files alone
		"model.safetensors": "c6a67be4f3ef29ed4a07b4f2446625126a25cfda", // of the pointer
	}
	for name, oid := range want {
		if got := c.item(name).OID; got != oid {
			t.Errorf("oid of %s: got %s, want %s", name, got, oid)
		}
	}
	if got, want := c.trees[""], "a0536326471147315be9ae25abd47ddf7cdecc78"; got != want {
		t.Errorf("root tree: got %s, want %s", got, want)
	}
	if got, want := c.id, "58fd06d46f763855f9c92ba1f03547cf826ca49a"; got != want {
		t.Errorf("commit: got %s, want %s", got, want)
	}
}

func TestLFSRule(t *testing.T) {
	tests := []struct {
		name string
		size int
		want bool
	}{
		{"model.safetensors", 1, true},
		{"pytorch_model.bin", 1, true},
		{"tokenizer.model", 1, true},
		{"tokenizer.json", lfsFrom - 1, false},
		{"tokenizer.json", lfsFrom, true},
		{"safetensors", 1, false}, // a name, not an extension
		{"model.safetensors", 0, false},
	}
	for _, tt := range tests {
		if got := isLFS(tt.name, int64(tt.size)); got != tt.want {
			t.Errorf("isLFS(%s, %d) = %v, want %v", tt.name, tt.size, got, tt.want)
		}
	}
}

func getJSON(t *testing.T, target string, v any) answer {
	t.Helper()
	a := ask(t, "GET", target)
	if a.err != nil || a.StatusCode != http.StatusOK {
		t.Fatalf("GET %s: %v %v", target, a.err, a.Response)
	}
	if err := json.Unmarshal(a.body, v); err != nil {
		t.Fatalf("GET %s: %v", target, err)
	}
	return a
}

func TestListings(t *testing.T) {
	s := start(t, Options{})
	api := s.URL() + "/api/models/" + testRepo
	main := s.Commit(testRepo, "main")

	var refs struct{ Branches []refInfo }
	getJSON(t, api+"/refs", &refs)
	if len(refs.Branches) != 2 || !slices.Contains(refs.Branches, refInfo{"main", "refs/heads/main", main}) {
		t.Errorf("refs: got %+v", refs)
	}

	var info struct {
		ID, SHA  string
		Siblings []struct {
			RFilename string
			Size      *int64
			LFS       *struct{ SHA256 string }
		}
	}
	for _, path := range []string{"", "/revision/main", "/revision/" + main} {
		getJSON(t, api+path, &info)
		if info.ID != testRepo || info.SHA != main || len(info.Siblings) != 4 || info.Siblings[0].Size != nil {
			t.Errorf("info %s: got %+v", path, info)
		}
	}
	getJSON(t, api+"/revision/main?blobs=true", &info)
	if f := info.Siblings[2]; f.RFilename != "model.safetensors" || *f.Size != int64(len(weights)) || len(f.LFS.SHA256) != 64 {
		t.Errorf("info with blobs: got %+v", f)
	}
	getJSON(t, api+"/revision/odd%2Fb%25", &info) // one encoded segment
	if info.SHA != s.Commit(testRepo, "odd/b%") {
		t.Errorf("odd branch: got %s", info.SHA)
	}

	var size struct{ Size int }
	getJSON(t, api+"/treesize/main", &size)
	if want := len(config) + len(weights) + 4; size.Size != want {
		t.Errorf("treesize: got %d, want %d", size.Size, want)
	}

	resp, err := http.Post(api+"/paths-info/main", "application/json", strings.NewReader(`{"paths":["config.json","sub","absent"]}`))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var items []treeItem
	if err := json.NewDecoder(resp.Body).Decode(&items); err != nil {
		t.Fatal(err)
	}
	if len(items) != 2 || items[0].Path != "config.json" || items[1].Type != "directory" {
		t.Errorf("paths-info: got %+v", items)
	}
}

func TestTreePages(t *testing.T) {
	for _, page := range []int{1, 2, 5, 6, 7} {
		s := start(t, Options{PageSize: page})
		next := s.URL() + "/api/models/" + testRepo + "/tree/main?recursive=true&expand=false"
		var got []string
		pages := 0
		for next != "" {
			var items []treeItem
			a := getJSON(t, next, &items)
			for _, i := range items {
				got = append(got, i.Path)
			}
			link := a.Header.Get("Link")
			next = strings.TrimSuffix(strings.TrimPrefix(link, "<"), `>; rel="next"`)
			pages++
		}
		want := []string{"config.json", "empty.bin", "model.safetensors", "sub", "sub/dir", "sub/dir/note.txt"}
		if !slices.Equal(got, want) {
			t.Errorf("pages of %d: got %q, want %q", page, got, want)
		}
		if want := (len(want) + page - 1) / page; pages != want {
			t.Errorf("pages of %d: got %d pages, want %d", page, pages, want)
		}
	}
}

func TestTreeOfFolder(t *testing.T) {
	s := start(t, Options{})
	api := s.URL() + "/api/models/" + testRepo + "/tree/main"
	for path, want := range map[string]string{
		"":                        "[config.json empty.bin model.safetensors sub]",
		"/sub":                    "[sub/dir]",
		"/sub?recursive=1":        "[sub/dir sub/dir/note.txt]",
		"/sub%2Fdir":              "[sub/dir/note.txt]",
		"/sub/dir?recursive=true": "[sub/dir/note.txt]",
	} {
		var items []treeItem
		getJSON(t, api+path, &items)
		var names []string
		for _, i := range items {
			names = append(names, i.Path)
		}
		if got := fmt.Sprint(names); got != want {
			t.Errorf("tree%s: got %s, want %s", path, got, want)
		}
	}
}

func TestResolve(t *testing.T) {
	s := start(t, Options{Token: goodToken})
	main := s.Commit(testRepo, "main")
	base := s.URL() + "/" + testRepo + "/resolve/"
	for _, method := range []string{"GET", "HEAD"} {
		// LFS: to the CDN.
		a := ask(t, method, base+"main/model.safetensors")
		if a.StatusCode != 302 || !strings.HasPrefix(a.Header.Get("Location"), s.CDNURL()+"/") ||
			a.Header.Get("X-Linked-Size") != fmt.Sprint(len(weights)) || len(a.Header.Get("X-Linked-Etag")) != 66 ||
			a.Header.Get("X-Repo-Commit") != main {
			t.Errorf("%s LFS file: got %d %v", method, a.StatusCode, a.Header)
		}
		// Regular by branch: relative, and the query is needed no more than it is lost.
		a = ask(t, method, base+"main/config.json")
		loc := a.Header.Get("Location")
		if a.StatusCode != 307 || !strings.HasPrefix(loc, "/api/resolve-cache/models/"+testRepo+"/"+main+"/config.json?") ||
			a.Header.Get("X-Linked-Size") != "" {
			t.Errorf("%s regular file by branch: got %d %v", method, a.StatusCode, a.Header)
		}
		// Three ways to the content itself.
		for _, way := range []answer{
			ask(t, method, s.URL()+loc),
			ask(t, method, base+main+"/config.json"),
			ask(t, method, base+"main/config.json", "Authorization", "Bearer "+goodToken),
		} {
			if way.StatusCode != 200 || way.ContentLength != int64(len(config)) || len(way.Header.Get("ETag")) != 42 ||
				way.Header.Get("X-Repo-Commit") != main || method == "GET" && !bytes.Equal(way.body, config) {
				t.Errorf("%s regular file: got %d %v", method, way.StatusCode, way.Header)
			}
		}
	}
	a := ask(t, "GET", base+main+"/config.json", "Range", "bytes=2-5")
	if a.StatusCode != 206 || string(a.body) != "bits" || a.Header.Get("Content-Range") != fmt.Sprintf("bytes 2-5/%d", len(config)) {
		t.Errorf("range of a regular file: got %d %q", a.StatusCode, a.body)
	}
	a = ask(t, "GET", s.URL()+"/"+testRepo+"/raw/main/model.safetensors")
	if !strings.HasPrefix(string(a.body), "version https://git-lfs.github.com/spec/v1\n") {
		t.Errorf("raw of an LFS file: got %q", a.body)
	}
	for path, code := range map[string]string{"main/absent": "EntryNotFound", "nope/config.json": "RevisionNotFound"} {
		if a := ask(t, "GET", base+path); a.StatusCode != 404 || a.Header.Get("X-Error-Code") != code {
			t.Errorf("%s: got %d %s", path, a.StatusCode, a.Header.Get("X-Error-Code"))
		}
	}
}

// Who may see what: a public, a gated and a private repository and one that
// does not exist, to four visitors.
func TestAccess(t *testing.T) {
	s := start(t, Options{Token: goodToken, OtherToken: otherToken})
	files := map[string]map[string][]byte{"main": {"config.json": config}}
	for _, r := range []RepoData{{ID: "acme/gated", Branches: files, Gated: true}, {ID: "acme/private", Branches: files, Private: true}, {ID: "acme/disabled", Branches: files, Disabled: true}} {
		if err := s.Add(r); err != nil {
			t.Fatal(err)
		}
	}
	who := map[string]string{"anonymous": "", "owner": goodToken, "stranger": otherToken, "impostor": "hf_forged"}
	tests := []struct{ repo, who, meta, file string }{
		{testRepo, "anonymous", "200", "307"},
		{testRepo, "owner", "200", "200"},
		{testRepo, "stranger", "200", "200"},
		{testRepo, "impostor", "200", "307"}, // a bad token does not close what is open
		{"acme/gated", "anonymous", "200", "401 GatedRepo"},
		{"acme/gated", "owner", "200", "200"},
		{"acme/gated", "stranger", "200", "403 GatedRepo"},
		{"acme/gated", "impostor", "200", "401"},
		{"acme/private", "anonymous", "401", "401"},
		{"acme/private", "owner", "200", "200"},
		{"acme/private", "stranger", "404 RepoNotFound", "404 RepoNotFound"},
		{"acme/private", "impostor", "401", "401"},
		{"acme/disabled", "anonymous", "200", "403"},
		{"acme/disabled", "owner", "200", "403"},
		{"acme/none", "anonymous", "401", "401"}, // the same as private
		{"acme/none", "owner", "404 RepoNotFound", "404 RepoNotFound"},
	}
	for _, tt := range tests {
		var header []string
		if token := who[tt.who]; token != "" {
			header = []string{"Authorization", "Bearer " + token}
		}
		for path, want := range map[string]string{"/api/models/" + tt.repo + "/refs": tt.meta, "/" + tt.repo + "/resolve/main/config.json": tt.file} {
			a := ask(t, "GET", s.URL()+path, header...)
			got := strings.TrimSpace(fmt.Sprint(a.StatusCode, " ", a.Header.Get("X-Error-Code")))
			if got != want {
				t.Errorf("%s asks for %s: got %s, want %s", tt.who, path, got, want)
			}
		}
	}
	for name, want := range map[string]int{"anonymous": 401, "owner": 200, "stranger": 200, "impostor": 401} {
		var header []string
		if token := who[name]; token != "" {
			header = []string{"Authorization", "Bearer " + token}
		}
		if a := ask(t, "GET", s.URL()+"/api/whoami-v2", header...); a.StatusCode != want {
			t.Errorf("whoami of %s: got %d, want %d", name, a.StatusCode, want)
		}
	}
}

func TestCDN(t *testing.T) {
	s := start(t, Options{})
	link := cdnURL(t, s)
	tests := []struct {
		name, rng string
		status    int
		want      []byte
		content   string // Content-Range
	}{
		{"whole", "", 200, weights, ""},
		{"range", "bytes=16-31", 206, weights[16:32], "bytes 16-31/65536"},
		{"open end", "bytes=65530-", 206, weights[65530:], "bytes 65530-65535/65536"},
		{"beyond the end", "bytes=65536-", 416, nil, "bytes */65536"},
	}
	for _, tt := range tests {
		a := ask(t, "GET", link, "Range", tt.rng)
		if a.StatusCode != tt.status || tt.want != nil && !bytes.Equal(a.body, tt.want) || a.Header.Get("Content-Range") != tt.content {
			t.Errorf("%s: got %d, %d bytes, %q", tt.name, a.StatusCode, len(a.body), a.Header.Get("Content-Range"))
		}
	}
	if a := ask(t, "HEAD", link); a.StatusCode != 200 || a.ContentLength != int64(len(weights)) {
		t.Errorf("HEAD: got %d, length %d", a.StatusCode, a.ContentLength)
	}
	if a := ask(t, "GET", link, "Authorization", "Bearer x"); a.StatusCode != 400 || !s.Log()[len(s.Log())-1].Auth {
		t.Errorf("with a token: got %d", a.StatusCode)
	}
	if a := ask(t, "GET", strings.Replace(link, "Signature=", "Signature=0", 1)); a.StatusCode != 403 || !strings.Contains(string(a.body), "<Code>AccessDenied") {
		t.Errorf("forged signature: got %d %s", a.StatusCode, a.body)
	}
	if again := cdnURL(t, s); again == link {
		t.Error("two signed URLs are equal")
	}
	s.ExpireURLs()
	if a := ask(t, "GET", link); a.StatusCode != 403 {
		t.Errorf("after ExpireURLs: got %d", a.StatusCode)
	}
	expired := start(t, Options{URLLife: -time.Second})
	if a := ask(t, "GET", cdnURL(t, expired)); a.StatusCode != 403 || !strings.Contains(string(a.body), "expired") {
		t.Errorf("after the end of its life: got %d", a.StatusCode)
	}
}

func TestRangeOfEmptyFile(t *testing.T) {
	s := start(t, Options{})
	target := s.URL() + "/" + testRepo + "/resolve/" + s.Commit(testRepo, "main") + "/empty.bin"
	if a := ask(t, "GET", target); a.StatusCode != 200 || len(a.body) != 0 {
		t.Errorf("got %d, %d bytes", a.StatusCode, len(a.body))
	}
	if a := ask(t, "GET", target, "Range", "bytes=0-"); a.StatusCode != 416 || a.Header.Get("Content-Range") != "bytes */0" {
		t.Errorf("with a range: got %d %q", a.StatusCode, a.Header.Get("Content-Range"))
	}
}

// A branch moves and goes; its old commits stay.
func TestSetBranch(t *testing.T) {
	s := start(t, Options{})
	before := s.Commit(testRepo, "main")
	old := cdnURL(t, s)
	after, err := s.SetBranch(testRepo, "main", map[string][]byte{"config.json": []byte("new"), "model.safetensors": []byte("w")})
	if err != nil {
		t.Fatal(err)
	}
	if after == before || s.Commit(testRepo, "main") != after {
		t.Errorf("main: got %s, was %s", s.Commit(testRepo, "main"), before)
	}
	read := func(commit string) string {
		return string(ask(t, "GET", s.URL()+"/"+testRepo+"/resolve/"+commit+"/config.json").body)
	}
	if got := read(before) + " " + read(after); got != string(config)+" new" {
		t.Errorf("contents: got %s", got)
	}
	if a := ask(t, "GET", old); !bytes.Equal(a.body, weights) {
		t.Error("the old weights are gone from the CDN")
	}
	if _, err := s.SetBranch(testRepo, "main", nil); err != nil {
		t.Fatal(err)
	}
	if s.Commit(testRepo, "main") != "" || read(after) != "new" {
		t.Error("deleting the branch took too little or too much")
	}
	if _, err := s.SetBranch("no/such", "main", nil); err == nil {
		t.Error("moved a branch of a repository that is not there")
	}
	again := start(t, Options{})
	if got := again.Commit(testRepo, "main"); got != before {
		t.Errorf("same contents, other commit: got %s, want %s", got, before)
	}
}

func TestFromDir(t *testing.T) {
	dir := t.TempDir()
	for name, data := range map[string]string{"main/config.json": "{}", "main/sub/x.txt": "x", "gptq-8bit--1g/config.json": "8", "README.md": "not a branch"} {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(data), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	r, err := FromDir("a/b", dir)
	if err != nil {
		t.Fatal(err)
	}
	got := make(map[string]string)
	for branch, files := range r.Files {
		for name, c := range files {
			got[branch+"/"+name] = string(read(t, c))
		}
	}
	want := map[string]string{"main/config.json": "{}", "main/sub/x.txt": "x", "gptq-8bit--1g/config.json": "8"}
	if r.ID != "a/b" || !maps.Equal(got, want) {
		t.Errorf("got %s %v, want %v", r.ID, got, want)
	}
	if _, err := FromDir("a/b", filepath.Join(dir, "absent")); err == nil {
		t.Error("read a folder that is not there")
	}
}

func TestAddRefusesBadIDs(t *testing.T) {
	s := start(t, Options{})
	for _, id := range []string{"", "a", "a/", "/b", "a/b/c"} {
		if err := s.Add(RepoData{ID: id}); err == nil {
			t.Errorf("added %q", id)
		}
	}
}

func TestUnknownRoutes(t *testing.T) {
	s := start(t, Options{})
	for target, want := range map[string]int{
		"/": 404, "/api/agent-harnesses": 404, "/" + testRepo: 404, "/api/models/" + testRepo + "/commits/main": 404,
		"/api/models/" + testRepo + "/tree/main?cursor=%2B": 400, "/" + testRepo + "/resolve/main/%2e%2e/x": 404,
	} {
		if a := ask(t, "GET", s.URL()+target); a.err != nil || a.StatusCode != want {
			t.Errorf("%s: got %v %v, want %d", target, a.err, a.Response, want)
		}
	}
	if a := ask(t, "DELETE", s.URL()+"/api/models/"+testRepo); a.StatusCode != 405 {
		t.Errorf("DELETE: got %d", a.StatusCode)
	}
}

func TestLog(t *testing.T) {
	s := start(t, Options{})
	link := cdnURL(t, s)
	u, err := url.Parse(link)
	if err != nil {
		t.Fatal(err)
	}
	s.ResetLog()
	ask(t, "GET", link, "Range", "bytes=0-99")
	ask(t, "HEAD", s.URL()+"/"+testRepo+"/resolve/main/config.json", "Authorization", "Bearer x")
	log := s.Log()
	if len(log) != 2 {
		t.Fatalf("got %d entries: %+v", len(log), log)
	}
	if log[0].Time.IsZero() {
		t.Error("an entry has no time")
	}
	log[0].Time, log[1].Time = time.Time{}, time.Time{}
	if log[0].Conn == 0 || log[1].Conn == 0 {
		t.Error("an entry has no connection")
	}
	log[0].Conn, log[1].Conn = 0, 0
	want := []Entry{
		{Origin: "cdn", Method: "GET", Path: u.Path, Range: "bytes=0-99", Status: 206, Sent: 100},
		{Origin: "api", Method: "HEAD", Path: "/" + testRepo + "/resolve/main/config.json", Status: 307, Auth: true},
	}
	if !slices.Equal(log, want) {
		t.Errorf("got  %+v\nwant %+v", log, want)
	}
}
