package cli

import (
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/qbranch/qbranch/cmd/qbranch/internal/app"
)

func (r *run) storeImportCommand() *cobra.Command {
	var as, link string
	var dry bool
	cmd := &cobra.Command{
		Use:        "import FILE.tar.zst|FOLDER",
		SuggestFor: []string{"load", "unpack"},
		Short:      "Take the branches of a bundle, or of another program, into the store",
		Long: `Take branches into the store without asking the hub.

From a bundle, which 'qbranch store export' wrote ("-" reads it from standard input): every part
and every file is compared with its digests before it counts. What the store has is not read
again, after an interruption the same command goes on, and of a damaged bundle the good
parts are kept.

From a cache of the official client (all of it, one repository's folder in it, or one
snapshot), or from a folder that 'get --dir' made: every byte is hashed. Files share disk with
the folder where that is safe (--link).

A commit becomes a branch of the store if it is known which files it has and they are all
there. Where the cache keeps no listing, --as owner/name:branch says that what is there is
all. For any other folder use 'qbranch get REF --from FOLDER', which asks the hub.`,
		Example: `  qbranch store import /media/usb/llama.tar.zst
  qbranch store import /media/usb/llama.tar.zst --dry-run      compare it, change nothing
  qbranch store import ~/.cache/huggingface/hub
  qbranch store import ~/.cache/huggingface/hub/models--TheBloke--Llama-2-13B-chat-GPTQ
  qbranch store import ./llama --link hard`,
		Args: args(1, 1, "a bundle or a folder"),
		RunE: func(cmd *cobra.Command, args []string) error {
			fi, err := os.Stat(args[0])
			folder := err == nil && fi.IsDir()
			if folder && dry || !folder && (as != "" || cmd.Flags().Changed("link")) {
				return &usageError{msg: "store import: --dry-run is for a bundle, --as and --link are for a folder"}
			}
			if !folder {
				return r.importBundle(cmd.Context(), args[0], dry)
			}
			o := app.ImportOptions{Stats: &app.Stats{}}
			if o.Link, err = app.ParseLink(link); err != nil {
				return &usageError{msg: "--link: " + err.Error(), hint: "auto takes the first of reflink, hard and copy that works and is safe"}
			}
			if as != "" {
				ref, err := app.ParseRef(as)
				if err != nil {
					return badArgument(err)
				}
				o.As = &ref
			}
			return r.importFolder(cmd, args[0], o)
		},
	}
	cmd.Flags().BoolVar(&dry, "dry-run", false, "of a bundle: read and compare everything, and change nothing")
	cmd.Flags().StringVar(&as, "as", "", "of a folder: take `REF` only, and the files that are there for all it has")
	cmd.Flags().StringVar(&link, "link", "auto", "of a folder: share disk by `HOW`: auto, reflink, hard or copy")
	r.jsonFlag(cmd)
	return cmd
}

func (r *run) importFolder(cmd *cobra.Command, dir string, o app.ImportOptions) error {
	a, err := r.open(0)
	if err != nil {
		return err
	}
	stats := o.Stats
	p := r.newProgress("import", func() sample {
		return sample{total: stats.Total.Load(), done: stats.Done.Load(), verified: stats.Done.Load()}
	})
	o.Notify = func(e app.Event) {
		switch {
		case e.Fetch == nil:
		case r.json:
			r.emit(fetchJSON(*e.Fetch, time.Now()))
		case !r.quiet:
			if text := fetchText(*e.Fetch, r.verbose); text != "" {
				p.message(text)
			}
		}
	}
	p.start()
	done, err := a.ImportFolder(cmd.Context(), dir, o)
	p.stop()
	if len(done) == 0 {
		return err
	}
	if r.json {
		r.emit(importObject{"summary", "qbranch/store-import/v1", timeText(time.Now()), a.StoreDir(), done})
		return err
	}
	for _, i := range done {
		name := clean(i.Ref())
		switch {
		case !i.Known:
			fmt.Fprintf(r.out, "%s %s: %s, %s kept\n", r.outColor.yellow("not recorded"), name, plural(i.Files, "file"), app.BytesText(i.Bytes))
		case r.quiet:
			fmt.Fprintln(r.out, name)
		case i.Adopted == 0:
			fmt.Fprintf(r.out, "%s %s: %s, %s\n", r.outColor.green("already here"), name, plural(i.Files, "file"), app.BytesText(i.Bytes))
		default:
			fmt.Fprintf(r.out, "%s %s: %s, %s, sha256 verified\n", r.outColor.green("imported"), name, plural(i.Files, "file"), app.BytesText(i.Bytes))
		}
	}
	return err
}

// importObject is the JSON of store import of a folder.
type importObject struct {
	Type    string         `json:"type"` // "summary"
	Schema  string         `json:"schema"`
	Time    string         `json:"time"`
	Store   string         `json:"store"`
	Commits []app.Imported `json:"commits"`
}
