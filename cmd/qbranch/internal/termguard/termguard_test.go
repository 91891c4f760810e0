package termguard

import (
	"fmt"
	"go/build"
	"os"
	"os/exec"
	"reflect"
	"strings"
	"testing"
)

// A child process says what it sees: init has run before its TestMain.
func TestMain(m *testing.M) {
	if os.Getenv("TERMGUARD_CHILD") != "" {
		before := os.Getenv("TERM")
		Restore()
		after, ok := os.LookupEnv("TERM")
		fmt.Print(before, " ", after, " ", ok)
		return
	}
	os.Exit(m.Run())
}

func TestRestore(t *testing.T) {
	without := func(env []string) []string {
		var out []string
		for _, e := range env {
			if !strings.HasPrefix(e, "TERM=") {
				out = append(out, e)
			}
		}
		return out
	}
	for _, tc := range []struct {
		name, term string
		set        bool
		want       string
	}{
		{"named", "xterm-256color", true, "dumb xterm-256color true"},
		{"empty is not unset", "", true, "dumb  true"},
		{"unset stays unset", "", false, "dumb  false"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			cmd := exec.Command(os.Args[0])
			cmd.Env = append(without(os.Environ()), "TERMGUARD_CHILD=1")
			if tc.set {
				cmd.Env = append(cmd.Env, "TERM="+tc.term)
			}
			got, err := cmd.Output()
			if err != nil {
				t.Fatal(err)
			}
			if string(got) != tc.want {
				t.Errorf("child saw %q, want %q", got, tc.want)
			}
		})
	}
}

// The order of initialisation, and so the guard, rests on these two facts.
func TestInitialisedFirst(t *testing.T) {
	pkg, err := build.ImportDir(".", 0)
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"os"}; !reflect.DeepEqual(pkg.Imports, want) {
		t.Errorf("imports %q, want %q and nothing else", pkg.Imports, want)
	}
	if path := reflect.TypeOf(struct{ _ marker }{}).Field(0).Type.PkgPath(); path >= "os/signal" {
		t.Errorf("import path %q must sort before os/signal", path)
	}
}

type marker struct{}
