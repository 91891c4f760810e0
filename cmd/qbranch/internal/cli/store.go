package cli

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/qbranch/qbranch/cmd/qbranch/internal/app"
)

func (r *run) storeCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "store",
		GroupID: groupLocal,
		Short:   "See what has been fetched, and where it is",
		Example: `  qbranch store ls
  du -sh "$(qbranch store path)"`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return unknownCommand(cmd, args[0])
			}
			return &usageError{msg: "store: name what to do", hint: "'qbranch store ls' or 'qbranch store path'"}
		},
	}
	cmd.AddCommand(r.storeLsCommand(), r.storePathCommand())
	return cmd
}

func (r *run) storeLsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "ls",
		Short: "List the branches in the store",
		Long: `List the branches in the store. Shared is what of a branch another one holds too: it is
stored once. A last line sums up the files whose fetch has not been finished.`,
		Example: "  qbranch store ls --json | jq -r '.snapshots[].repo'",
		Args:    args(0, 0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			a, err := r.open(0)
			if err != nil {
				return err
			}
			items, err := a.StoreList(cmd.Context())
			if err != nil {
				return err
			}
			var u unfinishedObject
			if u.Files, u.Kept, u.Bytes, err = a.Unfinished(cmd.Context()); err != nil {
				return err
			}
			if r.json {
				return r.emit(storeObject{"qbranch/store-ls/v1", a.StoreDir(), list(items), u})
			}
			if len(items) > 0 {
				fmt.Fprint(r.out, storeText(items, r.outWidth()))
			}
			if u.Files > 0 {
				fmt.Fprintln(r.out, unfinishedText(u))
			}
			if len(items) == 0 && u.Files == 0 {
				r.note("nothing in %s yet: 'qbranch get REF' fetches a branch", a.StoreDir())
			}
			return nil
		},
	}
	r.jsonFlag(cmd)
	return cmd
}

func (r *run) storePathCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "path",
		Short:   "Print where the store is",
		Example: `  cd "$(qbranch store path)"`,
		Args:    args(0, 0, ""),
		RunE: func(*cobra.Command, []string) error {
			a, err := r.open(0)
			if err != nil {
				return err
			}
			fmt.Fprintln(r.out, a.StoreDir())
			return nil
		},
	}
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
}

func unfinishedText(u unfinishedObject) string {
	return fmt.Sprintf("unfinished: %s, %s of %s kept; 'qbranch get' of the same branch goes on",
		plural(u.Files, "file"), app.BytesText(u.Kept), app.BytesText(u.Bytes))
}

// storeText is a table with a row a branch. Where that is wider than the
// terminal, each repository has a line of its own above its branches; width 0
// is any width.
func storeText(items []app.StoreItem, width int) string {
	rows := make([][]string, len(items))
	for n, i := range items {
		rows[n] = []string{clean(i.Ref()), short(i.Commit), fmt.Sprint(i.Files), app.BytesText(i.Bytes), app.BytesText(i.SharedBytes),
			clean(string(i.State)), i.Created.Local().Format("2006-01-02 15:04")}
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
			app.BytesText(i.Bytes), app.BytesText(i.SharedBytes), clean(string(i.State)), i.Created.Local().Format("2006-01-02")}
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
