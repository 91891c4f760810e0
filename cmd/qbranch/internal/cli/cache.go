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
the store. Beside it, in "packed", lie matrices that 'qbranch gen' had to re-pack to run them
fast (act-order with groups, and 3 bits), up to 32 GiB, those that were not used for the
longest time going first.`,
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
		Long:    "Remove what the cache holds. Nothing is lost with it: the hub is asked again, and matrices\nare re-packed when they are needed.",
		Example: "  qbranch cache clear",
		Args:    args(0, 0, ""),
		RunE: func(*cobra.Command, []string) error {
			dir := app.CacheDir(r.Getenv)
			n, size, err := app.ClearCache(dir)
			if err != nil {
				return &storageError{err}
			}
			packed, packedSize, err := app.ClearPacked(app.PackedDir(r.Getenv))
			if err != nil {
				return &storageError{err}
			}
			if r.json {
				return r.emit(cacheObject{"qbranch/cache-clear/v1", dir, n, size, packed, packedSize})
			}
			r.note("removed %d cached answers, %s", n, app.BytesText(size))
			if packed > 0 {
				r.note("removed the re-packed matrices of %s, %s", plural(packed, "model"), app.BytesText(packedSize))
			}
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

	Packed      int   `json:"packed_removed"` // models whose re-packed matrices were removed
	PackedBytes int64 `json:"packed_removed_bytes"`
}
