package cli

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/qbranch/qbranch/cmd/qbranch/internal/app"
)

func (r *run) versionCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "version",
		GroupID: groupTry,
		Short:   "Print the version",
		Example: "  qbranch version --json",
		Args:    args(0, 0, ""),
		RunE: func(*cobra.Command, []string) error {
			v := r.build()
			if r.json {
				return r.emit(v)
			}
			fmt.Fprintf(r.out, "qbranch %s (commit %s, %s, %s/%s, %s)\n", v.Version, short(v.Commit), v.Go, v.OS, v.Arch, v.Instructions)
			if _, warning := app.Instructions(); warning != "" {
				r.note("warning: %s", clean(warning))
			}
			return nil
		},
	}
	r.jsonFlag(cmd)
	return cmd
}

// buildObject says how this program was built; it is the JSON of version.
type buildObject struct {
	Schema  string `json:"schema"`
	Version string `json:"version"`
	Commit  string `json:"commit"` // "unknown" outside a git checkout
	Dirty   bool   `json:"dirty"`  // built from changed sources
	Go      string `json:"go"`
	OS      string `json:"os"`
	Arch    string `json:"arch"`

	Instructions string `json:"instructions"` // that models are run with
}

func (r *run) build() buildObject {
	v := buildObject{Schema: "qbranch/version/v1", Version: r.Version, Commit: "unknown",
		Go: runtime.Version(), OS: runtime.GOOS, Arch: runtime.GOARCH}
	v.Instructions, _ = app.Instructions()
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return v
	}
	if v.Version == "" {
		v.Version = info.Main.Version
	}
	if v.Version == "" || v.Version == "(devel)" {
		v.Version = "dev"
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			v.Commit = s.Value
		case "vcs.modified":
			v.Dirty = s.Value == "true"
		}
	}
	return v
}

func (r *run) userAgent() string { return "qbranch/" + r.build().Version }
