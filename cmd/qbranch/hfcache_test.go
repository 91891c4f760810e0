package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/qbranch/qbranch/cmd/qbranch/internal/demo"
)

// officialPython is an interpreter that has the package huggingface_hub: the
// one QBRANCH_TEST_PYTHON names, or python3 in the path.
func officialPython(t *testing.T) string {
	t.Helper()
	python := os.Getenv("QBRANCH_TEST_PYTHON")
	if python == "" {
		python = "python3"
	}
	out, err := exec.CommandContext(t.Context(), python, "-c", "import huggingface_hub as h; print(h.__version__)").Output()
	if err != nil {
		t.Skip("no python3 with huggingface_hub: name one in QBRANCH_TEST_PYTHON")
	}
	t.Logf("huggingface_hub %s", strings.TrimSpace(string(out)))
	return python
}

// cacheWorld is a hub, a cache of the official client and a store.
type cacheWorld struct {
	*testing.T
	bin, python, cache, store string
	env                       []string
}

func newCacheWorld(t *testing.T) *cacheWorld {
	t.Helper()
	w := &cacheWorld{T: t, python: officialPython(t)}
	endpoint := serveDemo(t)
	w.bin = filepath.Join(t.TempDir(), "qbranch")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", w.bin, ".").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	home := t.TempDir()
	w.cache, w.store = filepath.Join(home, "hub"), filepath.Join(t.TempDir(), "store")
	w.env = append(os.Environ(), "HF_ENDPOINT="+endpoint, "HF_HOME="+home, "HF_HUB_CACHE="+w.cache, "HF_TOKEN=",
		"HF_HUB_OFFLINE=", "HF_HUB_DISABLE_TELEMETRY=1", "HF_HUB_DISABLE_UPDATE_CHECK=1", "QBRANCH_STORE="+w.store)
	return w
}

func (w *cacheWorld) do(env string, args ...string) string {
	w.Helper()
	cmd := exec.CommandContext(w.Context(), args[0], args[1:]...)
	cmd.Env = append(w.env, env)
	out, err := cmd.CombinedOutput()
	if err != nil {
		w.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

func (w *cacheWorld) qbranch(args ...string) string {
	w.Helper()
	return w.do("QBRANCH_ASCII=1", append([]string{w.bin}, args...)...)
}

// hf runs Python with the official client; offline it must not need the hub.
func (w *cacheWorld) hf(offline bool, program string) string {
	w.Helper()
	env := "HF_HUB_OFFLINE="
	if offline {
		env = "HF_HUB_OFFLINE=1"
	}
	return w.do(env, w.python, "-c", "from huggingface_hub import *\nrepo='"+demo.RepoID+"'\n"+program)
}

const (
	branchA = "gptq-3bit-32g-actorder_True"
	branchB = "gptq-4bit-128g-actorder_True"
)

// What we export, the official client loads offline, scans without a warning,
// verifies, and takes for its own when it is online; what it deletes there is
// still in our store.
func TestOfficialClientTakesOurExport(t *testing.T) {
	w := newCacheWorld(t)
	w.qbranch("get", demo.RepoID+":"+branchA, "--layout", "hf")
	w.qbranch("get", demo.RepoID+":"+branchB)
	w.qbranch("get", demo.RepoID+":"+branchB, "--layout", "hf") // from the store
	w.hf(true, `
import os
for rev in ("`+branchA+`", "`+branchB+`"):
    d = snapshot_download(repo, revision=rev, local_files_only=True)
    for name in ("config.json", "model.safetensors", "tokenizer.json"):
        assert os.path.getsize(os.path.join(d, name)) > 0, name
        assert hf_hub_download(repo, name, revision=rev, local_files_only=True) == os.path.join(d, name)
info = scan_cache_dir()
assert not info.warnings, info.warnings
revisions = [r for i in info.repos for r in i.revisions]
assert all(len(list((i.repo_path/"trees").iterdir())) == 2 for i in info.repos), "listings"
assert len(revisions) == 2 and all(len(r.files) == 9 for r in revisions), revisions
assert {x for r in revisions for x in r.refs} == {"`+branchA+`", "`+branchB+`"}
`)
	w.hf(false, `
from huggingface_hub import HfApi
for rev in ("`+branchA+`", "`+branchB+`"):
    r = HfApi().verify_repo_checksums(repo, revision=rev)
    assert r.checked_count == 9 and not r.mismatches and not r.missing_paths, r
    before = {p.name: p.stat().st_mtime for i in scan_cache_dir().repos for p in (i.repo_path/"blobs").iterdir()}
    snapshot_download(repo, revision=rev)
    after = {p.name: p.stat().st_mtime for i in scan_cache_dir().repos for p in (i.repo_path/"blobs").iterdir()}
    assert before == after, "it fetched something again"
`)
	w.hf(true, `
info = scan_cache_dir()
victim = [r.commit_hash for i in info.repos for r in i.revisions if "`+branchA+`" in r.refs]
info.delete_revisions(*victim).execute()
info = scan_cache_dir()
assert not info.warnings and sum(len(i.revisions) for i in info.repos) == 1, info
snapshot_download(repo, revision="`+branchB+`", local_files_only=True)
`)
	w.qbranch("verify", demo.RepoID+":"+branchA)
	w.qbranch("verify", demo.RepoID+":"+branchB)
}

// What the official client has fetched we need not fetch, and can be taken as a
// branch without a network.
func TestOfficialClientsCacheIsUsed(t *testing.T) {
	w := newCacheWorld(t)
	w.hf(false, `snapshot_download(repo, revision="`+branchA+`")`)
	if out := w.qbranch("store", "import", w.cache, "--store", filepath.Join(t.TempDir(), "other"), "--link", "copy", "--json"); !strings.Contains(out, `"recorded":true`) {
		t.Errorf("import: %s", out)
	}
	out := w.qbranch("get", demo.RepoID+":"+branchA, "--json")
	if !strings.Contains(out, `"received_bytes":0,`) || !strings.Contains(out, `"state":"adopted"`) {
		t.Errorf("get did not take what is in the cache:\n%s", out)
	}
	w.qbranch("verify", demo.RepoID+":"+branchA)
	w.hf(false, `
r = HfApi().verify_repo_checksums(repo, revision="`+branchA+`")
assert r.checked_count == 9 and not r.mismatches, r
assert not scan_cache_dir().warnings
snapshot_download(repo, revision="`+branchA+`", force_download=True)
`)
	w.qbranch("verify", demo.RepoID+":"+branchA)
}
