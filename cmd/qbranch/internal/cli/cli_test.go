package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// runMain runs a command line with an empty environment.
func runMain(t *testing.T, stdin string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, err bytes.Buffer
	env := map[string]string{"QBRANCH_STORE": t.TempDir(), "HF_HUB_OFFLINE": "1", "XDG_CACHE_HOME": t.TempDir()}
	code = Main(context.Background(), Program{Args: args, In: strings.NewReader(stdin), Out: &out, Err: &err,
		Getenv: func(name string) string { return env[name] }, Version: "v1.2.3"})
	return code, out.String(), err.String()
}

func TestUsageErrors(t *testing.T) {
	for _, tc := range []struct{ args, msg, hint string }{
		{"lss", `unknown command "lss"`, "did you mean 'qbranch ls'?"},
		{"frobnicate", `unknown command "frobnicate"`, "'qbranch --help' lists the commands"},
		{"store lx", `unknown command "lx"`, "did you mean 'qbranch store ls'?"},
		{"store ls x", `store ls: unexpected argument "x"`, "usage: qbranch store ls [flags]"},
		{"pull", `unknown command "pull"`, "did you mean 'qbranch get'?"},
		{"run a/b", `unknown command "run"`, "did you mean 'qbranch gen'?"},
		{"fit", "fit: name a repository or a branch", "usage: qbranch fit REPO|REF [flags]"},
		{"pick a/b:main", "pick: a/b:main names a branch", "'qbranch pick a/b' picks one; 'qbranch fit a/b:main' measures this one"},
		{"fit a/b --ctx 0", "--ctx 0: want at least 1", ""},
		{"fit a/b --vram=", "--vram: no size is given", "is a variable empty that should hold it?"},
		{"help nope", `unknown command "nope"`, "'qbranch --help' lists the commands"},
		{"help store nope", `unknown command "store nope"`, "'qbranch --help' lists the commands"},
		{".", ". is a folder: say what to do with it", "'qbranch verify .' checks it, 'qbranch gen . -p TEXT' runs it"},
		{"store", "store: name what to do", "'qbranch store ls' lists what there is, 'qbranch store --help' the other commands"},
		{"ls", "ls: name a repository", "usage: qbranch ls REPO [flags]"},
		{"ls a/b c/d", `ls: unexpected argument "c/d"`, "usage: qbranch ls REPO [flags]"},
		{"ls a/b:main", "ls: a/b:main names a branch", "'qbranch ls a/b' lists all; 'qbranch show a/b:main' tells about this one"},
		{"ls a/b --sideways", "unknown flag: --sideways", "'qbranch ls --help' lists the flags"},
		{"ls a/b --color blue", `--color "blue": want auto, always or never`, ""},
		{"ls a/b --progress fast", `--progress "fast": want auto, plain, json or none`, ""},
		{"get a/b c/d --dir x", "--dir takes one branch", "give each branch a command and a folder of its own"},
		{"get a/b -j -1", "-j -1: want at least 1", ""},
		{"get a/b -j 0", "-j 0: want at least 1", ""},
		{"get a/b --limit-rate fast", `--limit-rate: "fast" is not a rate`, "examples: 500k, 10M, 2MiB"},
		{"gen a/b", "gen: no prompt", `for example: -p "Hello"; --chat begins a conversation`},
		{"gen a/b hello", `gen: unexpected argument "hello"`, `a prompt goes after -p: qbranch gen a/b -p "hello"`},
		{"gen a/b -p x --min-p 2", "--min-p 2: want 0 to 1", ""},
		{"gen a/b -p x --compute fast", `--compute: compute "fast" is not float32, int16 or int8`, ""},
		{"gen a/b -p x --stop=", "--stop: the text is empty", ""},
		{"gen a/b --chat -p x", "gen: --chat and -p do not go together", "the first line of standard input is the first turn; --system sets what comes before"},
		{"gen a/b --chat --raw", "gen: --chat and --raw do not go together", "a conversation needs the chat template"},
		{"gen a/b --chat --token-ids 1", "gen: --chat and --token-ids do not go together", "a conversation is text"},
		{"gen a/b --chat --dump-logits f", "gen: --chat and --dump-logits do not go together", "leave out --chat"},
		{"gen a/b --token-ids=", "--token-ids: there are none", "for example: --token-ids 1,306,412"},
		{"gen a/b -p x --token-ids 1", "gen: give only one of -p and --token-ids", ""},
		{"gen a/b -p -", "gen: the prompt is empty", `for example: -p "Hello"`}, // nothing on standard input
		{"gen a/b --prompt=", "gen: the prompt is empty", `for example: -p "Hello"`},
		{"gen a/b --token-ids 1,x", `--token-ids: "x" is not a token id`, "for example: --token-ids 1,306,412"},
		{"gen a/b -p x --temp abc", `invalid argument "abc" for "--temp" flag: want a number`, "'qbranch gen --help' lists the flags"},
		{"gen a/b -p x -n 1.5", `invalid argument "1.5" for "-n, --tokens" flag: want a whole number`, "'qbranch gen --help' lists the flags"},
		{"gen a/b -p x --seed -1", `invalid argument "-1" for "--seed" flag: want a whole number, 0 or more`, "'qbranch gen --help' lists the flags"},
		{"gen a/b -p x -n 0", "-n 0: want at least 1", ""},
		{"gen a/b -p x --temp -1", "--temp -1: want 0 or more", ""},
		{"gen a/b -p x --temp NaN", "--temp NaN: want 0 or more", ""},
		{"gen a/b -p x --top-p 0", "--top-p 0: want more than 0 and at most 1", ""},
		{"gen a/b -p x --repetition-penalty 0", "--repetition-penalty 0: want more than 0", ""},
		{"demo --serve --tui", "demo: --serve and --tui do not go together", ""},
		{"demo --addr :0", "demo: --addr needs --serve", ""},
		{"demo --serve --addr foo", `demo: --addr "foo": want HOST:PORT`, "for example: --addr 127.0.0.1:8080"},
		{"demo --serve --addr localhost:65536", `demo: --addr "localhost:65536": want HOST:PORT`, "for example: --addr 127.0.0.1:8080"},
		{"tui", "the browser needs a terminal for input and output", "'qbranch ls REPO' prints the same table"},
	} {
		code, stdout, stderr := runMain(t, "", strings.Fields(tc.args)...)
		want := "qbranch: " + tc.msg + "\n"
		if tc.hint != "" {
			want += "  hint: " + tc.hint + "\n"
		}
		if code != exitUsage || stdout != "" || stderr != want {
			t.Errorf("%s: code %d, stdout %q, stderr\n%swant code 2, nothing, and\n%s", tc.args, code, stdout, stderr, want)
		}
	}
}

// With --json the last line is an error object, even when --json itself was
// not reached.
func TestUsageErrorJSON(t *testing.T) {
	_, stdout, stderr := runMain(t, "", "get", "a/b", "--sideways", "--json")
	var got errorLine
	if err := json.Unmarshal([]byte(stdout), &got); err != nil {
		t.Fatalf("%q: %v", stdout, err)
	}
	want := errorLine{Type: "error", Code: 2, Message: "unknown flag: --sideways", Hint: "'qbranch get --help' lists the flags"}
	if got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if !strings.HasPrefix(stderr, "qbranch: unknown flag") {
		t.Errorf("stderr %q", stderr)
	}
}

func TestBareWithoutTerminal(t *testing.T) {
	for _, tc := range []struct {
		args []string
		want string
	}{
		{nil, "qbranch: no command given, and this is not a terminal to browse in\n  hint: try 'qbranch demo'\n"},
		{[]string{"TheBloke/X-GPTQ"}, "qbranch: no command given\n  hint: did you mean 'qbranch ls TheBloke/X-GPTQ'?\n"},
	} {
		code, stdout, stderr := runMain(t, "", tc.args...)
		if code != exitUsage || stdout != "" || !strings.HasSuffix(stderr, tc.want) || !strings.Contains(stderr, "Look and fetch:") {
			t.Errorf("%q: code %d, stdout %q, stderr %q", tc.args, code, stdout, stderr)
		}
	}
}

// Every verb has a description, an example that names the program, and help
// that fits a terminal of 100 columns.
func TestHelp(t *testing.T) {
	r := &run{Program: Program{Out: io.Discard, Err: io.Discard, Getenv: func(string) string { return "" }}}
	var visit func(c *cobra.Command)
	visit = func(c *cobra.Command) {
		if c.Short == "" || !strings.Contains(c.Example, "qbranch") {
			t.Errorf("%s: no description or no example", c.CommandPath())
		}
		code, stdout, stderr := runMain(t, "", append(strings.Fields(c.CommandPath())[1:], "--help")...)
		if code != 0 || stderr != "" || !strings.Contains(stdout, "Usage:") {
			t.Errorf("%s --help: code %d, stderr %q", c.CommandPath(), code, stderr)
		}
		for line := range strings.Lines(stdout) {
			if len([]rune(line)) > 101 {
				t.Errorf("%s --help: line of %d: %q", c.CommandPath(), len(line), line)
			}
		}
		for _, sub := range c.Commands() {
			visit(sub)
		}
	}
	visit(r.rootCommand())
}

func TestVersion(t *testing.T) {
	code, stdout, _ := runMain(t, "", "version")
	if code != 0 || !strings.HasPrefix(stdout, "qbranch v1.2.3 (commit ") {
		t.Errorf("code %d, %q", code, stdout)
	}
	_, stdout, _ = runMain(t, "", "version", "--json")
	var v buildObject
	if err := json.Unmarshal([]byte(stdout), &v); err != nil || v.Version != "v1.2.3" || v.Schema != "qbranch/version/v1" {
		t.Errorf("%q: %+v, %v", stdout, v, err)
	}
}

type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, errors.New("disk on fire") }

// Output that did not arrive is not success.
func TestOutputFailure(t *testing.T) {
	var stderr bytes.Buffer
	code := Main(context.Background(), Program{Args: []string{"version"}, In: strings.NewReader(""), Out: brokenWriter{}, Err: &stderr,
		Getenv: func(string) string { return "" }})
	if want := "qbranch: write the output: disk on fire\n"; code != exitOther || stderr.String() != want {
		t.Errorf("code %d, %q, want 1, %q", code, stderr.String(), want)
	}
}
