package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/qbranch/qbranch/cmd/qbranch/internal/app"
)

func (r *run) cacheCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "cache",
		GroupID: groupTry,
		Short:   "See where answers of the hub are kept, and remove them",
		Long: `Listings and small files that the hub sent are kept, so that they need not be asked for
again and 'qbranch ls --offline' can say what it knew. No weights are there: those are in
the store.`,
		Example: "  qbranch cache path\n  qbranch cache clear",
		Args:    cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return unknownCommand(cmd, args[0])
			}
			return &usageError{msg: "cache: name what to do", hint: "'qbranch cache path' or 'qbranch cache clear'"}
		},
	}
	cmd.AddCommand(&cobra.Command{
		Use:     "path",
		Short:   "Print where the cache is",
		Example: `  ls "$(qbranch cache path)"`,
		Args:    args(0, 0, ""),
		RunE: func(*cobra.Command, []string) error {
			fmt.Fprintln(r.out, app.CacheDir(r.Getenv))
			return nil
		},
	}, r.cacheClearCommand())
	return cmd
}

func (r *run) cacheClearCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "clear",
		Short:   "Remove what the cache holds",
		Long:    "Remove what the cache holds. Nothing is lost with it: the hub is asked again.",
		Example: "  qbranch cache clear",
		Args:    args(0, 0, ""),
		RunE: func(*cobra.Command, []string) error {
			dir := app.CacheDir(r.Getenv)
			n, size, err := app.ClearCache(dir)
			if err != nil {
				return &storageError{err}
			}
			if r.json {
				return r.emit(cacheObject{"qbranch/cache-clear/v1", dir, n, size})
			}
			r.note("removed %d cached answers, %s", n, app.BytesText(size))
			return nil
		},
	}
	r.jsonFlag(cmd)
	return cmd
}

// cacheObject is the JSON of cache clear.
type cacheObject struct {
	Schema  string `json:"schema"`
	Cache   string `json:"cache"`
	Removed int    `json:"removed"`
	Bytes   int64  `json:"removed_bytes"`
}
