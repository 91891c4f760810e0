package hub_test

import (
	"testing"

	"github.com/qbranch/qbranch/hub"
)

func TestHeads(t *testing.T) {
	dir := t.TempDir()
	open := func(endpoint string) *hub.Client {
		c, err := hub.NewClient(hub.Options{Endpoint: endpoint, CacheDir: dir})
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	weights := hub.File{Path: "model.safetensors", Size: 1 << 30, LFS: true, SHA256: hub.SHA256{1}}
	open("https://one.example").KeepHead(weights, []byte("head"))
	shorter, other := weights, weights
	shorter.Size, other.SHA256 = 3, hub.SHA256{2}
	for _, tc := range []struct {
		what, endpoint string
		file           hub.File
		want           string
	}{
		{"the file", "https://one.example", weights, "head"},
		{"another path", "https://one.example", hub.File{Path: "x", Size: 1 << 30, LFS: true, SHA256: hub.SHA256{1}}, "head"},
		{"another content", "https://one.example", other, ""},
		{"a shorter file", "https://one.example", shorter, ""},
		{"another hub", "https://two.example", weights, ""},
	} {
		got, ok := open(tc.endpoint).KeptHead(tc.file)
		if ok != (tc.want != "") || ok && string(got) != tc.want {
			t.Errorf("%s: got %q, %v, want %q", tc.what, got, ok, tc.want)
		}
	}
}
