package hub

import (
	"errors"
	"strings"
	"testing"
)

const testCommit = "09ee7d7a47c228082552aac3373f71873c4ac2c5"

func TestParseRef(t *testing.T) {
	tests := []struct{ in, want string }{ // want is Ref.String
		{"TheBloke/Llama-2-7B-GPTQ", "TheBloke/Llama-2-7B-GPTQ"},
		{" a/b\n", "a/b"},
		{"a/b:main", "a/b:main"},
		{"a/b@main", "a/b:main"},
		{"a/b:gptq-8bit--1g-actorder_True", "a/b:gptq-8bit--1g-actorder_True"}, // "--" is fine in a branch
		{"a/b:refs/pr/1", "a/b:refs/pr/1"},
		{"a/b@" + testCommit, "a/b@" + testCommit},
		{"a/b:" + testCommit, "a/b@" + testCommit},
		{"a/b:" + testCommit[:39], "a/b@" + testCommit[:39]}, // the beginning of a commit, or a branch that is called so
		{"a/b:user@home", "a/b:user@home"},                   // the first divider counts
		{"a_._/0", "a_._/0"},
		{"https://huggingface.co/a/b", "a/b"},
		{"https://huggingface.co/a/b/", "a/b"},
		{"HTTPS://mirror.example:8443/a/b?x=y#z", "a/b"},
		{"http://127.0.0.1:8080/a/b/tree/main", "a/b:main"},
		{"huggingface.co/a/b/tree/dev", "a/b:dev"},
		{"hf.co/a/b", "a/b"},
		{"hf.co/model", "hf.co/model"}, // an owner may have a dot
		{"https://hf.co/a/b/tree/refs%2Fpr%2F1", "a/b:refs/pr/1"},
		{"https://hf.co/a/b/tree/refs/pr/1", "a/b:refs/pr/1"},
		{"https://hf.co/a/b/tree/main/sub/folder", "a/b:main"},
		{"https://hf.co/a/b/blob/dev/config.json?download=true", "a/b:dev"},
		{"https://hf.co/a/b/resolve/" + testCommit + "/x", "a/b@" + testCommit},
		{"https://hf.co/a/b/commit/" + testCommit, "a/b@" + testCommit},
	}
	for _, tt := range tests {
		got, err := ParseRef(tt.in)
		if err != nil || got.String() != tt.want {
			t.Errorf("ParseRef(%q) = %v, %v, want %s", tt.in, got, err, tt.want)
		}
	}
}

func TestParseRefErrors(t *testing.T) {
	tests := []struct{ in, reason string }{
		{"", "want"},
		{"gpt2", "want"}, // repositories without an owner are of another age
		{"/b", "empty"},
		{"a/", "empty"},
		{"a/b/c", "more than one"},
		{"a/b:", "the revision is empty"},
		{"a/b@", "the revision is empty"},
		{"a/b c", "letters"},
		{"a/b--c", "--"},
		{"a/..", "--"},
		{"../b", "--"},
		{"a/-b", "begin or end"},
		{"a/b.git", ".git"},
		{"a/" + strings.Repeat("x", 97), "96"},
		{"ä/b", "letters"},
		{"a/b:x..y", "git"},
		{"a/b:/x", "git"},
		{"a/b:x//y", "git"},
		{"a/b:.x", "git"},
		{"a/b:x.lock", "git"},
		{"a/b:-x", "git"},
		{"a/b:x@{1}", "git"},
		{"a/b:x y", "contains"},
		{"a/b:x\x1b[31m", "contains"},
		{"a/b:x\u202ey", "contains"},
		{"a/b:x:y", "contains"},
		{"a/b:\xff", "UTF-8"},
		{"a/b:" + strings.Repeat("x", 256), "255"},
		{"https://huggingface.co", "no repository"},
		{"https://huggingface.co/a", "no repository"},
		{"https://huggingface.co/datasets/a/b", "not the address of a model"},
		{"https://huggingface.co/a/b/discussions/1", "no revision"},
		{"https://huggingface.co/a/b/tree", "the revision is empty"},
		{"https://huggingface.co/a/b/tree/%zz", "percent"},
		{"https://huggingface.co/a/b/tree/..%2f..", "git"},
	}
	for _, tt := range tests {
		_, err := ParseRef(tt.in)
		var re *RefError
		if !errors.As(err, &re) || !strings.Contains(re.Reason, tt.reason) || re.Input != tt.in || !errors.Is(err, ErrBadRef) {
			t.Errorf("ParseRef(%q): got %v, want a reason with %q", tt.in, err, tt.reason)
			continue
		}
		if !strings.Contains(re.Hint(), "owner/name:branch") {
			t.Errorf("ParseRef(%q): the hint %q shows no reference", tt.in, re.Hint())
		}
	}
	if _, err := ParseRef("a/" + strings.Repeat("x", 10_000)); len(err.Error()) > 400 {
		t.Errorf("the error repeats %d bytes", len(err.Error()))
	}
}

func TestRefParts(t *testing.T) {
	r, err := ParseRef("a/b")
	if err != nil {
		t.Fatal(err)
	}
	if got := r.RevisionOrMain(); got != "main" {
		t.Errorf("got %q, want main", got)
	}
	if _, ok := r.Commit(); ok {
		t.Error("no revision, but a commit")
	}
	r.Revision = testCommit
	if c, ok := r.Commit(); !ok || c.Short() != "09ee7d7" {
		t.Errorf("got %q, %v", c, ok)
	}
}

func FuzzParseRef(f *testing.F) {
	for _, s := range []string{"a/b", "a/b:c/d", "a/b@" + testCommit, "https://hf.co/a/b/tree/refs%2Fpr%2F1?x", "hf.co/a/b/blob/x/y", "a/b:\x00", "https:///", "http://x/a/b/tree/%"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r, err := ParseRef(s)
		if err != nil {
			if r != (Ref{}) {
				t.Errorf("%q: an error, and %v", s, r)
			}
			return
		}
		again, err := ParseRef(r.String())
		if err != nil || again != r {
			t.Errorf("%q: read as %v, which reads as %v, %v", s, r, again, err)
		}
		if repo, err := ParseRepoID(r.Repo.String()); err != nil || repo != r.Repo {
			t.Errorf("%q: repository %v reads as %v, %v", s, r.Repo, repo, err)
		}
	})
}

func TestDigests(t *testing.T) {
	const sha = "a7a17d6d844b5de815ccab5f42cad6d24496db3850a2a43d8258221018ce87d2"
	for _, s := range []string{"", sha[:63], sha + "0", strings.ToUpper(sha), "sha256:" + sha[:57], sha[:63] + "g", "../" + sha[:61]} {
		if _, err := ParseSHA256(s); err == nil {
			t.Errorf("ParseSHA256(%q) took it", s)
		}
	}
	for _, s := range []string{"", testCommit[:39], testCommit + "0", strings.ToUpper(testCommit), testCommit[:39] + "/"} {
		if _, err := ParseGitOID(s); err == nil {
			t.Errorf("ParseGitOID(%q) took it", s)
		}
		if _, err := ParseCommit(s); err == nil {
			t.Errorf("ParseCommit(%q) took it", s)
		}
	}
	d, err := ParseSHA256(sha)
	if err != nil || d.String() != sha {
		t.Errorf("SHA-256: got %s, %v", d, err)
	}
	// Known ids: two that git users know by heart, and a file of the hub.
	for data, want := range map[string]string{"": "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391", "Hello, World!": "b45ef6fec89518d314f546fd6c3025367b721684"} {
		if got := GitBlobOID([]byte(data)); got.String() != want {
			t.Errorf("GitBlobOID(%q) = %s, want %s", data, got, want)
		}
	}
}

// The oid that the hub shows for a real LFS file is that of its pointer
// (tokenizer.model of TheBloke/MythoMax-L2-13B-GPTQ).
func TestPointerOID(t *testing.T) {
	sha, err := ParseSHA256("9e556afd44213b6bd1be2b850ebbbd98f5481437a8021afaf58ee7fb1818d347")
	if err != nil {
		t.Fatal(err)
	}
	if got, want := PointerOID(sha, 499723).String(), "6c00c742ce03c627d6cd5b795984876fa49fa899"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got := len(pointerText(sha, 499723)); got != 131 {
		t.Errorf("pointer of %d bytes, want 131", got)
	}
}
