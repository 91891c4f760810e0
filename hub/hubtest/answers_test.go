package hubtest

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// A connection is broken each time that all answers together pass a multiple.
func TestFaultEvery(t *testing.T) {
	for name, f := range map[string]Fault{"reset": {ResetEvery: 20_000}, "close": {CloseEvery: 20_000}} {
		s := start(t, Options{})
		f.Origin = "cdn"
		s.AddFault(f)
		link := cdnURL(t, s)
		var lengths []int
		for range 4 { // 15 000 bytes each: the second and the third do not fit
			a := ask(t, "GET", link, "Range", "bytes=0-14999")
			lengths = append(lengths, int(s.Log()[len(s.Log())-1].Sent))
			if (a.err != nil) != (len(a.body) < 15000) {
				t.Errorf("%s: got %d bytes, %v", name, len(a.body), a.err)
			}
		}
		if want := []int{15000, 5000, 15000, 5000}; !slices.Equal(lengths, want) {
			t.Errorf("%s: sent %v, want %v", name, lengths, want)
		}
	}
}

// Counted from a byte of the file, wherever an answer begins.
func TestFaultAt(t *testing.T) {
	s := start(t, Options{})
	s.AddFault(Fault{Origin: "cdn", At: 201, CloseAfter: 5})
	link := cdnURL(t, s)
	for rng, want := range map[string]int64{"": 205, "bytes=100-299": 105, "bytes=200-299": 5, "bytes=201-299": 99, "bytes=100-199": 100} {
		s.ResetLog()
		ask(t, "GET", link, "Range", rng)
		if got := s.Log()[0].Sent; got != want {
			t.Errorf("%q: sent %d bytes, want %d", rng, got, want)
		}
	}
}

// A flip counts when it happens: requests that end before the byte, or have
// none of it, do not use it up.
func TestFlipOnce(t *testing.T) {
	s := start(t, Options{})
	s.AddFault(Fault{Name: "flip", Origin: "cdn", FlipAt: 151, Times: 1})
	link := cdnURL(t, s)
	s.ResetLog()
	var got []string
	for _, rng := range []string{"bytes=0-99", "bytes=100-149", "bytes=150-199", "bytes=150-199"} {
		var first, last int
		if _, err := fmt.Sscanf(rng, "bytes=%d-%d", &first, &last); err != nil {
			t.Fatal(err)
		}
		a := ask(t, "GET", link, "Range", rng)
		got = append(got, fmt.Sprint(bytes.Equal(a.body, weights[first:last+1])))
	}
	for _, e := range s.Log() {
		got = append(got, e.Fault)
	}
	if want := []string{"true", "true", "false", "true", "", "", "flip", ""}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// A fault of one connection stays with it.
func TestOneConn(t *testing.T) {
	s := start(t, Options{})
	s.AddFault(Fault{Origin: "cdn", Status: 503, OneConn: true})
	link := cdnURL(t, s)
	keep := &http.Client{Transport: &http.Transport{}}
	defer keep.CloseIdleConnections()
	var got []int
	for i := range 4 {
		if i%2 == 1 {
			got = append(got, ask(t, "GET", link).StatusCode)
			continue
		}
		resp, err := keep.Get(link)
		if err != nil {
			t.Fatal(err)
		}
		io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		got = append(got, resp.StatusCode)
	}
	if want := []int{503, 200, 503, 200}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// What is to be done in mid-body is done there: the client has the bytes before.
func TestDo(t *testing.T) {
	s := start(t, Options{})
	begun, done := make(chan struct{}), make(chan struct{})
	s.AddFault(Fault{Origin: "cdn", DoAfter: 10, Do: func() { close(begun); <-done }})
	body := openSlow(t, cdnURL(t, s))
	<-begun
	if log := s.Log(); log[len(log)-1].Sent != 10 {
		t.Errorf("sent %d bytes", log[len(log)-1].Sent)
	}
	if _, err := io.ReadFull(body, make([]byte, 9)); err != nil {
		t.Error(err)
	}
	close(done)
	if rest, err := io.ReadAll(body); err != nil || len(rest) != len(weights)-10 {
		t.Errorf("got %d bytes more, %v", len(rest), err)
	}
	s.ClearFaults()
	var order []string
	s.AddFault(Fault{Origin: "api", Method: "GET", After: 1, Times: 1, Do: func() { // between two requests
		if _, err := s.SetBranch(testRepo, "main", map[string][]byte{"x": []byte("moved")}); err != nil {
			t.Error(err)
		}
	}})
	for range 2 {
		var info struct{ SHA string }
		getJSON(t, s.URL()+"/api/models/"+testRepo, &info)
		order = append(order, info.SHA)
	}
	if order[0] == order[1] || order[1] != s.Commit(testRepo, "main") {
		t.Errorf("got %q", order)
	}
}

// The rate of a body grows in Ramp: half of what the full rate brings is there
// at its end.
func TestRamp(t *testing.T) {
	f := Fault{Rate: 1000, Ramp: 4 * time.Second}
	for n, want := range map[int64]time.Duration{0: 0, 500: 2 * time.Second, 2000: 4 * time.Second, 3000: 5 * time.Second} {
		if got := f.due(n); got != want {
			t.Errorf("%d bytes: due at %v, want %v", n, got, want)
		}
	}
	if got := (&Fault{Rate: 2}).due(3); got != 1500*time.Millisecond {
		t.Errorf("without a ramp: due at %v", got)
	}
}

func TestGzip(t *testing.T) {
	s := start(t, Options{})
	s.AddFault(Fault{Gzip: true})
	a := ask(t, "GET", s.URL()+"/"+testRepo+"/resolve/"+s.Commit(testRepo, "main")+"/config.json", "Range", "bytes=1-2")
	z, err := gzip.NewReader(bytes.NewReader(a.body))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(z); err != nil || !bytes.Equal(got, config) || a.StatusCode != 200 || a.ContentLength >= 0 || a.Header.Get("Content-Encoding") != "gzip" {
		t.Errorf("got %d %q %v, %v", a.StatusCode, got, a.Header, err)
	}
	s.ClearFaults()
	s.AddFault(Bomb(1 << 20))
	if a := ask(t, "GET", s.URL()+"/"); len(a.body) > 4<<10 || a.Header.Get("Content-Encoding") != "gzip" {
		t.Errorf("bomb: got %d bytes", len(a.body))
	}
}

func TestEndlessHead(t *testing.T) {
	s := start(t, Options{})
	s.AddFault(Fault{EndlessHead: true})
	if a := ask(t, "GET", s.URL()+"/"); a.err == nil || !strings.Contains(a.err.Error(), "headers exceeded") {
		t.Errorf("got %v", a.err)
	}
}

func TestETags(t *testing.T) {
	s := start(t, Options{})
	target := s.URL() + "/" + testRepo + "/resolve/main/model.safetensors"
	tag := ask(t, "HEAD", target).Header.Get("X-Linked-Etag")
	for name, tt := range map[string]struct {
		change func(string) string
		want   string
	}{
		"weak": {WeakETag, "W/" + tag}, "bare": {BareETag, tag[1 : len(tag)-1]}, "other": {OtherETag, OtherETag(tag)},
	} {
		remove := s.AddFault(Fault{ETag: tt.change})
		if got := ask(t, "HEAD", target).Header.Get("X-Linked-Etag"); got != tt.want || got == tag {
			t.Errorf("%s: got %s, want %s", name, got, tt.want)
		}
		remove()
	}
	if got := OtherETag(`"09afx"`); got != `"10b0x"` {
		t.Errorf("other: got %s", got)
	}
}

func TestTooManyRequests(t *testing.T) {
	s := start(t, Options{})
	for style, key := range map[WaitStyle]string{WaitSeconds: "Retry-After", WaitDate: "Retry-After", WaitWindow: "RateLimit"} {
		remove := s.AddFault(TooManyRequests(90*time.Second, style))
		a := ask(t, "GET", s.URL()+"/")
		v := a.Header.Get(key)
		date, err := http.ParseTime(v)
		good := map[WaitStyle]bool{WaitSeconds: v == "90", WaitDate: err == nil && time.Until(date) > 0, WaitWindow: strings.HasSuffix(v, ";r=0;t=90")}
		if a.StatusCode != 429 || !good[style] {
			t.Errorf("style %d: got %d, %s: %s", style, a.StatusCode, key, v)
		}
		remove()
	}
}

func TestReadyMadeAnswers(t *testing.T) {
	s := start(t, Options{})
	link := cdnURL(t, s)
	tests := []struct {
		name, target string
		fault        Fault
		auth         bool
		status       int
		contentType  string
		body         string
	}{
		{"expired", link, Expired(), false, 403, "application/xml", "<Code>AccessDenied"},
		{"page", link, WebPage(502, true), false, 502, "text/html; charset=utf-8", "<!DOCTYPE html>"},
		{"page without a type", link, WebPage(200, false), false, 200, "", "<!DOCTYPE html>"},
		{"token", s.URL() + "/api/models/" + testRepo, TokenRefused(), true, 401, "application/json; charset=utf-8", "Invalid credentials"},
		{"no token", s.URL() + "/api/models/" + testRepo, TokenRefused(), false, 200, "application/json; charset=utf-8", testRepo},
	}
	for _, tt := range tests {
		remove := s.AddFault(tt.fault)
		var header []string
		if tt.auth {
			header = []string{"Authorization", "Bearer x"}
		}
		a := ask(t, "GET", tt.target, header...)
		if a.StatusCode != tt.status || a.Header.Get("Content-Type") != tt.contentType || !strings.Contains(string(a.body), tt.body) {
			t.Errorf("%s: got %d %q %s", tt.name, a.StatusCode, a.Header.Get("Content-Type"), a.body)
		}
		remove()
	}
}

// Lies in a listing: what they change, and whether the pointer of an LFS entry
// still fits.
func TestListed(t *testing.T) {
	const name = "model.safetensors"
	s := start(t, Options{})
	sum, err := Bytes(weights).SHA256()
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		fault  Fault
		files  int
		size   int64
		honest bool // about the digest
		fits   bool // the pointer
	}{
		{Listed(func(e []map[string]any) []map[string]any { return e }), 6, 65536, true, true},
		{ListedSize(name, 7), 6, 7, true, true},
		{ListedDigest(name, true), 6, 65536, false, true},
		{ListedDigest(name, false), 6, 65536, false, false},
		{ListedWithout(name), 5, 0, false, false},
		{ListedAlso("../x", "CONFIG.json"), 8, 65536, true, true},
	}
	for i, tt := range tests {
		remove := s.AddFault(tt.fault)
		var items []treeItem
		getJSON(t, s.URL()+"/api/models/"+testRepo+"/tree/main?recursive=1", &items)
		var got treeItem
		for _, item := range items {
			if item.Path == name {
				got = item
			}
		}
		if len(items) != tt.files || got.Size != tt.size {
			t.Errorf("%d: got %d files, %+v", i, len(items), got)
		}
		if got.LFS != nil {
			pointer := fmt.Sprintf("version https://git-lfs.github.com/spec/v1\noid sha256:%s\nsize %d\n", got.LFS.OID, got.LFS.Size)
			if (got.LFS.OID == fmt.Sprintf("%x", sum)) != tt.honest || (gitID("blob", []byte(pointer)) == got.OID) != tt.fits || got.LFS.Size != tt.size {
				t.Errorf("%d: got %+v %+v", i, got, got.LFS)
			}
		}
		remove()
	}
	s.AddFault(ListedDigest("config.json", true))
	s.AddFault(NextPageAt("http://elsewhere/"))
	var items []treeItem
	a := getJSON(t, s.URL()+"/api/models/"+testRepo+"/tree/main", &items)
	if items[0].OID == gitID("blob", config) || a.Header.Get("Link") != `<http://elsewhere/>; rel="next"` {
		t.Errorf("got %+v, %s", items[0], a.Header.Get("Link"))
	}
}

// A link that is good for two requests, and one that is bound to a range.
func TestLinkLimits(t *testing.T) {
	s := start(t, Options{URLUses: 2})
	link := cdnURL(t, s)
	var got []int
	for range 3 {
		got = append(got, ask(t, "HEAD", link).StatusCode)
	}
	got = append(got, ask(t, "HEAD", cdnURL(t, s)).StatusCode)
	if want := []int{200, 200, 403, 200}; !slices.Equal(got, want) {
		t.Errorf("two uses: got %v, want %v", got, want)
	}

	s = start(t, Options{RangeBound: true})
	whole := cdnURL(t, s)
	part := ask(t, "GET", s.URL()+"/"+testRepo+"/resolve/main/model.safetensors", "Range", "bytes=1-2").Header.Get("Location")
	got = nil
	for _, link := range []string{whole, part} {
		for _, rng := range []string{"", "bytes=1-2", "bytes=1-3"} {
			got = append(got, ask(t, "GET", link, "Range", rng).StatusCode)
		}
	}
	if want := []int{200, 403, 403, 403, 206, 403}; !slices.Equal(got, want) {
		t.Errorf("bound to a range: got %v, want %v", got, want)
	}
}

func TestRename(t *testing.T) {
	s := start(t, Options{})
	if err := s.Rename(testRepo, "acme/new"); err != nil {
		t.Fatal(err)
	}
	a := ask(t, "GET", s.URL()+"/api/models/"+testRepo+"/tree/main?recursive=1")
	if a.StatusCode != 307 || a.Header.Get("Location") != "/api/models/acme/new/tree/main?recursive=1" {
		t.Errorf("listing: got %d, %s", a.StatusCode, a.Header.Get("Location"))
	}
	var info struct{ ID string }
	if getJSON(t, s.URL()+"/api/models/acme/new", &info); info.ID != "acme/new" {
		t.Errorf("got %+v", info)
	}
	for _, id := range []string{testRepo, "acme/new"} {
		if a := ask(t, "HEAD", s.URL()+"/"+id+"/resolve/main/model.safetensors"); a.StatusCode != 302 {
			t.Errorf("%s: file: got %d", id, a.StatusCode)
		}
	}
	if s.Rename("no/such", "a/b") == nil || s.Rename("acme/new", "acme/new") == nil {
		t.Error("renamed what cannot be")
	}
}

func TestOtherRefs(t *testing.T) {
	s := start(t, Options{})
	for _, name := range []string{"refs/pr/1", "refs/tags/v1", "refs/convert/parquet"} {
		if _, err := s.SetBranch(testRepo, name, map[string][]byte{"x": []byte(name)}); err != nil {
			t.Fatal(err)
		}
	}
	for query, want := range map[string]string{
		"":               `branches: main odd/b%; converts: parquet; tags: v1; `,
		"?include_prs=1": `branches: main odd/b%; converts: parquet; pullRequests: refs/pr/1; tags: v1; `,
	} {
		a := ask(t, "GET", s.URL()+"/api/models/"+testRepo+"/refs"+query)
		var lists map[string][]refInfo
		if err := json.Unmarshal(a.body, &lists); err != nil {
			t.Fatal(err)
		}
		got := ""
		for _, kind := range []string{"branches", "converts", "pullRequests", "tags"} {
			if lists[kind] == nil {
				continue
			}
			var names []string
			for _, r := range lists[kind] {
				names = append(names, r.Name)
			}
			slices.Sort(names)
			got += kind + ": " + strings.Join(names, " ") + "; "
		}
		if got != want {
			t.Errorf("refs%s: got %s, want %s", query, got, want)
		}
	}
	for _, rev := range []string{"refs%2Fpr%2F1", "refs/pr/1", "v1", "refs%2Ftags%2Fv1", "refs%2Fconvert%2Fparquet"} {
		var info struct{ SHA string }
		if getJSON(t, s.URL()+"/api/models/"+testRepo+"/revision/"+rev, &info); len(info.SHA) != 40 {
			t.Errorf("%s: got %+v", rev, info)
		}
	}
}

// The requests go to whoever asked for them, complete.
func TestOnRequest(t *testing.T) {
	got := make(chan Entry, 10)
	s := start(t, Options{OnRequest: func(e Entry) { got <- e }})
	s.AddFault(Fault{Name: "cut", Origin: "cdn", ResetAfter: 7})
	if a := ask(t, "GET", cdnURL(t, s)); a.err == nil {
		t.Error("no reset")
	}
	first, second := <-got, <-got
	if first.Status != 302 || second.Sent != 7 || second.Fault != "cut" || len(s.Log()) != 0 {
		t.Errorf("got %+v, %+v", first, second)
	}
}

// A page of a listing that fails once is there the next time.
func TestSecondPageFails(t *testing.T) {
	s := start(t, Options{PageSize: 2})
	s.AddFault(Fault{QueryContains: "cursor=", Status: 502, Times: 1})
	a := ask(t, "GET", s.URL()+"/api/models/"+testRepo+"/tree/main")
	next := strings.TrimSuffix(strings.TrimPrefix(a.Header.Get("Link"), "<"), `>; rel="next"`)
	if a, b := ask(t, "GET", next), ask(t, "GET", next); a.StatusCode != 502 || b.StatusCode != 200 {
		t.Errorf("got %d, then %d", a.StatusCode, b.StatusCode)
	}
}
