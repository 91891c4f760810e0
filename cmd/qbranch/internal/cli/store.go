package cli

import (
	"cmp"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/qbranch/qbranch/cmd/qbranch/internal/app"
)

func (r *run) storeCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "store",
		GroupID: groupLocal,
		Short:   "See what has been fetched and where it is; remove it, check it",
		Example: `  qbranch store ls
  qbranch store du
  qbranch store rm TheBloke/Llama-2-13B-chat-GPTQ:main
  du -sh "$(qbranch store path)"`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return unknownCommand(cmd, args[0])
			}
			return &usageError{msg: "store: name what to do", hint: "'qbranch store ls' lists what there is, 'qbranch store --help' the other commands"}
		},
	}
	cmd.AddCommand(r.storeLsCommand(), r.storePathCommand(), r.storeDuCommand(),
		r.storeRmCommand(), r.storeGcCommand(), r.storePinCommand(false), r.storePinCommand(true), r.storeFsckCommand(),
		r.storeExportCommand(), r.storeImportCommand())
	return cmd
}

func (r *run) storeLsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "ls",
		Short: "List the branches in the store",
		Long: `List the branches in the store. Shared is what of a branch another one holds too: it is
stored once. What has been begun and not finished stands below, with the command that goes
on, or the process that is at it.`,
		Example: "  qbranch store ls --json | jq -r '.snapshots[].repo'",
		Args:    args(0, 0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			a, err := r.open(0)
			if err != nil {
				return err
			}
			items, unread := a.StoreList(cmd.Context()) // what can be read is shown
			if unread != nil && len(items) == 0 {
				return unread
			}
			var u unfinishedObject
			if u.Files, u.Kept, u.Bytes, err = a.Unfinished(cmd.Context()); err != nil {
				return err
			}
			pending, err := a.Pending(cmd.Context())
			if err != nil {
				return err
			}
			u.Fetches = pendingObjects(pending.Fetches)
			if r.json {
				return cmp.Or(r.emit(storeObject{"qbranch/store-ls/v1", a.StoreDir(), items, u}), unread)
			}
			if len(items) > 0 {
				fmt.Fprint(r.out, storeText(items, r.outWidth()))
			}
			fmt.Fprint(r.out, unfinishedText(u))
			if len(items) == 0 && u.Files == 0 && len(u.Fetches) == 0 {
				r.note("nothing in %s yet: 'qbranch get REF' fetches a branch", a.StoreDir())
			}
			return unread
		},
	}
	r.jsonFlag(cmd)
	return cmd
}

func (r *run) storePathCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "path [REF [FILE]]",
		Short: "Print where the store is, or where the files of a branch are in it",
		Long: `Print where the store is. With a branch, print where each of its files lies, and its name;
with a file of it, only where that one lies. These are the store's own copies: read them,
never write to them. A folder with the files under their names is what
'qbranch get REF --dir DIR' makes.`,
		Example: `  cd "$(qbranch store path)"
  cat "$(qbranch store path TheBloke/Llama-2-13B-chat-GPTQ:main config.json)"`,
		Args:              args(0, 2, ""),
		ValidArgsFunction: r.completeRefs,
		RunE: func(_ *cobra.Command, args []string) error {
			a, err := r.open(0)
			if err != nil {
				return err
			}
			if len(args) == 0 {
				if r.json {
					return r.emit(pathObject{Schema: "qbranch/store-path/v1", Store: a.StoreDir()})
				}
				fmt.Fprintln(r.out, a.StoreDir())
				return nil
			}
			ref, err := app.ParseRef(args[0])
			if err != nil {
				return badArgument(err)
			}
			files, err := a.StoreFiles(ref)
			if err != nil {
				return err
			}
			if len(args) == 2 {
				files = slices.DeleteFunc(files, func(f app.StoredFile) bool { return f.Path != args[1] })
				if len(files) == 0 {
					return fmt.Errorf("%s has no file %q: %w", ref, args[1], fs.ErrNotExist)
				}
			}
			return r.paths(a.StoreDir(), ref, files, len(args) == 2)
		},
	}
	r.jsonFlag(cmd)
	return cmd
}

// paths prints where files of a branch lie; one that was asked for by name
// without its name, for scripts.
func (r *run) paths(dir string, ref app.Ref, files []app.StoredFile, one bool) error {
	if r.json {
		return r.emit(pathObject{"qbranch/store-path/v1", dir, ref.String(), files})
	}
	for _, f := range files {
		if one {
			fmt.Fprintln(r.out, f.Place)
		} else {
			fmt.Fprintf(r.out, "%s  %s\n", f.Place, clean(f.Path))
		}
	}
	if !one {
		r.note("'qbranch get %s --dir DIR' makes a folder of them", clean(ref.String()))
	}
	return nil
}

// pathObject is the JSON of store path.
type pathObject struct {
	Schema string           `json:"schema"`
	Store  string           `json:"store"`
	Ref    string           `json:"ref,omitempty"`
	Files  []app.StoredFile `json:"files,omitempty"`
}

// storeObject is the JSON of store ls.
type storeObject struct {
	Schema     string           `json:"schema"`
	Store      string           `json:"store"`
	Snapshots  []app.StoreItem  `json:"snapshots"`
	Unfinished unfinishedObject `json:"unfinished"`
}

// unfinishedObject sums up the files that a get has begun and not finished.
type unfinishedObject struct {
	Files int   `json:"files"`
	Kept  int64 `json:"kept_bytes"`
	Bytes int64 `json:"bytes"` // of the whole files

	Fetches []begunObject `json:"fetches"` // whose they are, as far as that is known
}

// begunObject is a get that was begun and has not ended.
type begunObject struct {
	Ref     string   `json:"ref"`
	Commit  string   `json:"commit"`
	Include []string `json:"include,omitempty"`
	Exclude []string `json:"exclude,omitempty"`
	Held    int64    `json:"held_bytes"`
	Bytes   int64    `json:"bytes"` // of all its files
	PID     int      `json:"pid"`   // of the process that is at it; 0 = none is
}

func pendingObjects(list []app.Pending) []begunObject {
	out := []begunObject{}
	for _, p := range list {
		out = append(out, begunObject{Ref: p.Ref.String(), Commit: p.Commit, Include: p.Filter.Include, Exclude: p.Filter.Exclude,
			Held: p.Held, Bytes: p.Bytes, PID: p.PID})
	}
	return out
}

func unfinishedText(u unfinishedObject) string {
	var b strings.Builder
	if u.Files > 0 {
		fmt.Fprintf(&b, "unfinished: %s, %s of %s kept; 'qbranch get' of the same branch goes on\n",
			plural(u.Files, "file"), app.BytesText(u.Kept), app.BytesText(u.Bytes))
	}
	for _, f := range u.Fetches {
		fmt.Fprintf(&b, "  %s, %s of %s", f.command(), app.BytesText(f.Held), app.BytesText(f.Bytes))
		if f.PID != 0 {
			fmt.Fprintf(&b, "; process %d is at it", f.PID)
		}
		b.WriteString("\n")
	}
	return b.String()
}

// command goes on with the fetch.
func (f begunObject) command() string {
	c := "qbranch get " + clean(f.Ref)
	for _, p := range f.Include {
		c += " --include '" + clean(p) + "'"
	}
	for _, p := range f.Exclude {
		c += " --exclude '" + clean(p) + "'"
	}
	return c
}

// storeText is a table with a row a branch. Where that is wider than the
// terminal, each repository has a line of its own above its branches; width 0
// is any width.
func storeText(items []app.StoreItem, width int) string {
	rows := make([][]string, len(items))
	for n, i := range items {
		rows[n] = []string{clean(i.Ref()), short(i.Commit), fmt.Sprint(i.Files), app.BytesText(i.Bytes), app.BytesText(i.SharedBytes),
			stateText(i.State, i.Pinned), i.Created.Local().Format("2006-01-02 15:04")}
	}
	text := table([]column{{title: "Branch"}, {title: "Commit"}, {"Files", true}, {"Size", true}, {"Shared", true},
		{title: "State"}, {title: "Fetched"}}, rows)
	if width > 0 && tableWidth(text) > width {
		return narrowStoreText(items)
	}
	return text
}

func narrowStoreText(items []app.StoreItem) string {
	rows := make([][]string, len(items))
	for n, i := range items {
		rows[n] = []string{"  " + cmp.Or(clean(i.Branch), "@"+short(i.Commit)), fmt.Sprint(i.Files),
			app.BytesText(i.Bytes), app.BytesText(i.SharedBytes), stateText(i.State, i.Pinned), i.Created.Local().Format("2006-01-02")}
	}
	lines := strings.SplitAfter(table([]column{{title: "Branch"}, {"Files", true}, {"Size", true}, {"Shared", true},
		{title: "State"}, {title: "Fetched"}}, rows), "\n")
	var b strings.Builder
	b.WriteString(lines[0])
	for n, i := range items {
		if n == 0 || items[n-1].Repo != i.Repo {
			b.WriteString(clean(i.Repo) + "\n")
		}
		b.WriteString(lines[n+1])
	}
	return b.String()
}
