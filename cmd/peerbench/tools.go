package main

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// job is what a tool is to fetch.
type job struct {
	endpoint string
	repo     string   // owner/name
	branch   string   // usually main
	files    []string // all files of the branch
	dir      string   // the tool's own folder: everything it writes is in there
}

func (j job) url(file string) string {
	return j.endpoint + "/" + j.repo + "/resolve/" + j.branch + "/" + file
}

// tool is a downloader.
type tool struct {
	name    string
	program string // what is run, found on this machine
	version []string
	fetch   func(t tool, j job) invocation
	whole   bool // fetches a branch; the others one file by its URL
}

// ours is qbranch, always the first tool.
const ours = "qbranch"

// allTools is every tool this program knows, in the order of the table.
func allTools(qbranch, webui string) []tool {
	return []tool{
		{name: ours, program: qbranch, version: []string{"version"}, whole: true, fetch: func(t tool, j job) invocation {
			return invocation{
				args: []string{t.program, "get", j.repo + ":" + j.branch, "--progress", "none"},
				env:  []string{"HF_ENDPOINT=" + j.endpoint, "QBRANCH_STORE=" + filepath.Join(j.dir, "store"), "HOME=" + j.dir},
			}
		}},
		{name: "curl", program: "curl", version: []string{"--version"}, fetch: func(t tool, j job) invocation {
			return invocation{dir: j.dir, args: []string{t.program, "-sSfL", "-C", "-", "-O", j.url(j.files[0])}}
		}},
		{name: "aria2", program: "aria2c", version: []string{"--version"}, fetch: func(t tool, j job) invocation {
			return invocation{dir: j.dir, args: []string{
				t.program, "-x16", "-s16", "-k1M", "-c", "--file-allocation=none", "--console-log-level=error", "--summary-interval=0",
				"--no-conf", "-o", j.files[0], j.url(j.files[0]),
			}}
		}},
		{name: "wget", program: "wget", version: []string{"--version"}, fetch: func(t tool, j job) invocation {
			return invocation{dir: j.dir, args: []string{t.program, "-q", "-c", "--no-config", j.url(j.files[0])}}
		}},
		{name: "hf", program: "hf", version: []string{"version"}, whole: true, fetch: func(t tool, j job) invocation {
			return invocation{
				args: []string{t.program, "download", j.repo, "--revision", j.branch, "--quiet"},
				env:  []string{"HF_ENDPOINT=" + j.endpoint, "HF_HOME=" + j.dir, "HOME=" + j.dir, "HF_HUB_DISABLE_XET=1"},
			}
		}},
		{name: "hf_transfer", program: "hf_transfer", fetch: func(t tool, j job) invocation {
			// As huggingface_hub called it while it did: 100 streams at most, 10 MB each.
			const script = "import sys, hf_transfer; hf_transfer.download(sys.argv[1], sys.argv[2], 100, 10 * 1024 * 1024, 3, 5)"
			return invocation{dir: j.dir, args: []string{t.program, "-c", script, j.url(j.files[0]), filepath.Join(j.dir, j.files[0])}}
		}},
		{name: "webui", program: webui, whole: true, fetch: func(t tool, j job) invocation {
			return invocation{
				args: []string{t.program, "-I", t.version[0], j.repo, "--branch", j.branch, "--output", j.dir},
				env:  []string{"HF_ENDPOINT=" + j.endpoint, "HOME=" + j.dir},
			}
		}},
	}
}

var errNotAsked = errors.New("not given (--webui)")

// find looks for the tool on this machine. hf_transfer and text-generation-webui
// are Python, run by the Python that hf uses.
func (t tool) find(ctx context.Context) (tool, error) {
	switch t.name {
	case "hf_transfer":
		python, err := pythonOfHF()
		if err != nil {
			return t, err
		}
		t.program, t.version = python, []string{"-c", "import importlib.metadata as m; import hf_transfer; print(m.version('hf_transfer'))"}
	case "webui":
		if t.program == "" {
			return t, errNotAsked
		}
		python, err := pythonOfHF()
		if err != nil {
			return t, err
		}
		t.version, t.program = []string{t.program}, python
		return t, nil
	default:
		path, err := exec.LookPath(t.program)
		if err != nil {
			return t, err
		}
		t.program = path
	}
	_, err := t.versionLine(ctx)
	return t, err
}

// versionLine is the first line of what the tool says of its version.
func (t tool) versionLine(ctx context.Context) (string, error) {
	if t.name == "webui" {
		return "text-generation-webui's download-model.py", nil
	}
	cmd := exec.CommandContext(ctx, t.program, t.version...)
	cmd.Env = environment()
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", errors.New(strings.TrimSpace(string(out)) + " " + err.Error())
	}
	return versionIn(string(out)), nil
}

// versionIn is the first line that has a digit: some tools begin with a title.
func versionIn(text string) string {
	for line := range strings.Lines(text) {
		if strings.ContainsAny(line, "0123456789") {
			return strings.TrimSpace(line)
		}
	}
	return "version unknown"
}

// pythonOfHF is the Python beside the hf that is on the PATH, else the one that
// is on the PATH itself.
func pythonOfHF() (string, error) {
	if hf, err := exec.LookPath("hf"); err == nil {
		if python := filepath.Join(filepath.Dir(hf), "python"); isFile(python) {
			return python, nil
		}
	}
	return exec.LookPath("python3")
}

func isFile(name string) bool {
	info, err := os.Stat(name)
	return err == nil && info.Mode().IsRegular()
}
