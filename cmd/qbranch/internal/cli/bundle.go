package cli

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"github.com/qbranch/qbranch/cmd/qbranch/internal/app"
)

const (
	exportSchema = "qbranch/bundle-export/v1"
	importSchema = "qbranch/bundle-import/v1"
)

func (r *run) storeExportCommand() *cobra.Command {
	var out string
	var force bool
	cmd := &cobra.Command{
		Use:        "export REF... -o FILE.tar.zst",
		SuggestFor: []string{"bundle", "pack", "save"},
		Short:      "Write branches into one file, to carry to a machine without a network",
		Long: `Write branches into a bundle: one file with their contents, each once, and the digests to
prove them with. Every byte is compared on the way. The file appears whole or not at all;
"-o -" writes it to standard output. 'zstd -d | tar t' lists it (docs/bundle-format.md).`,
		Example: `  qbranch store export TheBloke/Llama-2-13B-chat-GPTQ:main -o /media/usb/llama.tar.zst
  qbranch store export a/b:main a/b:gptq-3bit--1g -o - | ssh far qbranch store import -`,
		Args:              args(1, -1, "a branch, such as owner/name:branch"),
		ValidArgsFunction: r.completeRefs,
		RunE: func(cmd *cobra.Command, args []string) error {
			refs, err := parseRefs(args)
			if err != nil {
				return err
			}
			if err := r.checkExport(&out); err != nil {
				return err
			}
			return r.export(cmd.Context(), refs, out, force)
		},
	}
	cmd.Flags().StringVarP(&out, "output", "o", "", "write the bundle to `FILE`; - is standard output")
	cmd.Flags().BoolVar(&force, "force", false, "replace FILE")
	r.jsonFlag(cmd)
	return cmd
}

// checkExport checks -o; standard output becomes "".
func (r *run) checkExport(out *string) error {
	switch {
	case *out == "":
		return &usageError{msg: "store export: name the file to write", hint: "-o FILE.tar.zst, or -o - for standard output"}
	case *out != "-":
		return nil
	case r.json:
		return &usageError{msg: "store export: --json and the bundle cannot both go to standard output", hint: "write the bundle to a file with -o FILE.tar.zst"}
	case isTerminal(r.Out):
		return &usageError{msg: "store export: a bundle is not for a terminal", hint: "write it to a file with -o FILE.tar.zst, or into a pipe"}
	}
	*out = ""
	return nil
}

func (r *run) export(ctx context.Context, refs []app.Ref, path string, force bool) error {
	a, err := r.open(0)
	if err != nil {
		return err
	}
	v := r.newBundleView("export", exportSchema, cmp.Or(path, "standard output"))
	v.p.start()
	res, err := a.StoreExport(ctx, refs, path, r.out, v.options(app.BundleOptions{Force: force}))
	v.p.stop()
	switch {
	case err != nil && path == "":
		return &namedError{"export", err}
	case err != nil:
		return err
	case r.json:
		return r.emit(v.summary(a, res, res.Plan.Snapshots))
	case r.quiet:
		return nil
	}
	text := fmt.Sprintf("%s %s: %s, %s in %s (%s)\n", r.outColor.green("exported"), snapshotsText(res.Plan.Snapshots),
		plural(res.Plan.Files, "file"), app.BytesText(res.Plan.Bytes), durationText(res.Elapsed), rateText(res.Plan.Bytes, res.Elapsed))
	if path == "" {
		fmt.Fprint(r.Err, "export: "+text)
		return nil
	}
	fmt.Fprintf(r.out, "%s  in %s, %s\n  next, on the other machine: qbranch store import %s\n", text, clean(path), app.BytesText(res.Written), clean(path))
	return nil
}

func (r *run) importBundle(ctx context.Context, path string, dry bool) error {
	in, err := r.openBundle(ctx, path)
	if err != nil {
		return err
	}
	defer in.Close() // only read from
	a, err := r.open(0)
	if err != nil {
		return err
	}
	if path == "-" {
		path = "standard input"
	}
	v := r.newBundleView("import", importSchema, path)
	v.dry = dry
	v.p.start()
	res, err := a.StoreImport(ctx, in, v.options(app.BundleOptions{DryRun: dry}))
	v.p.stop()
	if err != nil && ctx.Err() != nil && v.total.Load() > 0 && !dry {
		return &interruptedError{"import " + path, v.done.Load(), v.total.Load(), err}
	}
	if res != nil && r.json {
		if e := r.emit(v.summary(a, res, res.Snapshots)); e != nil {
			return e
		}
	} else if res != nil && !r.quiet {
		fmt.Fprint(r.out, r.outColor.importedText(a.StoreDir(), path, res, dry, err))
	}
	if err != nil {
		return &namedError{"import " + path, err}
	}
	return nil
}

// namedError says what was being done when an error came.
type namedError struct {
	what string
	err  error
}

func (e *namedError) Error() string { return clean(e.what) + ": " + e.err.Error() }
func (e *namedError) Unwrap() error { return e.err }

// openBundle opens the file to import. Reading from a pipe ends with ctx: whoever
// fills it may have stopped.
func (r *run) openBundle(ctx context.Context, path string) (io.ReadCloser, error) {
	if path != "-" {
		return os.Open(path)
	}
	if isTerminal(r.In) {
		return nil, &usageError{msg: "store import: a bundle does not come from a terminal", hint: "name the file, or put - behind a pipe"}
	}
	if f, ok := r.In.(io.ReadSeeker); ok {
		if _, err := f.Seek(0, io.SeekCurrent); err == nil {
			return struct {
				io.ReadSeeker
				io.Closer
			}{f, closer(func() error { return nil })}, nil
		}
	}
	pr, pw := io.Pipe()
	// A read that nobody answers cannot be called off: it is left to end with the
	// process, while the command ends with ctx.
	go func() {
		_, err := io.Copy(pw, r.In)
		pw.CloseWithError(err)
	}()
	stop := context.AfterFunc(ctx, func() { pr.CloseWithError(context.Cause(ctx)) })
	return struct {
		io.Reader
		io.Closer
	}{pr, closer(func() error { stop(); return pr.Close() })}, nil
}

type closer func() error

func (c closer) Close() error { return c() }

// bundleView shows how writing or reading a bundle goes.
type bundleView struct {
	*run
	verb         string
	schema, path string
	piped        bool // path is standard input or output
	dry          bool
	p            *progress
	total, done  atomic.Int64
}

func (r *run) newBundleView(verb, schema, path string) *bundleView {
	v := &bundleView{run: r, verb: verb, schema: schema, path: path, piped: strings.HasPrefix(path, "standard ")}
	v.p = r.newProgress(verb, func() sample {
		n := v.done.Load()
		return sample{total: v.total.Load(), done: n, received: n, verified: n}
	})
	return v
}

func (v *bundleView) options(o app.BundleOptions) app.BundleOptions {
	o.Plan, o.Notify = v.plan, v.event
	o.Done = func(n int64) { v.done.Add(n) }
	return o
}

func (v *bundleView) plan(p app.BundlePlan) {
	v.total.Store(p.Bytes)
	piped := ""
	if v.piped {
		piped = v.verb + ": " // the program at the other end writes to the same terminal
	}
	switch {
	case v.json:
		v.emit(v.planJSON(p)) // a failed write is remembered by the writer
	case !v.quiet:
		v.p.message(piped + strings.ReplaceAll(v.planText(p), "\n", "\n"+piped))
	}
}

func (v *bundleView) planText(p app.BundlePlan) string {
	text := fmt.Sprintf("%s: %s\n  %s, %s", clean(v.path), snapshotsText(p.Snapshots), plural(p.Files, "file"), app.BytesText(p.Bytes))
	if v.schema == importSchema {
		text += fmt.Sprintf(": %s held, %s to take", app.BytesText(p.Held), app.BytesText(p.Bytes-p.Held))
	}
	if p.DiskNeeded > 0 {
		text += fmt.Sprintf("\n  disk: %s needed, %s free", app.BytesText(p.DiskNeeded), app.BytesText(p.DiskFree))
	}
	return text
}

// snapshotsText names the branches, the first few of many.
func snapshotsText(snaps []app.Snapshot) string {
	const show = 4
	var names []string
	for i, snap := range snaps {
		if i == show && len(snaps) > show {
			names = append(names, fmt.Sprintf("and %d more", len(snaps)-show))
			break
		}
		names = append(names, snapshotRef(snap))
	}
	return strings.Join(names, ", ")
}

func snapshotRef(snap app.Snapshot) string {
	return clean(app.StoreItem{Repo: snap.Repo, Branch: snap.Branch, Commit: snap.Commit}.Ref())
}

func (v *bundleView) event(e app.BundleEvent) {
	switch {
	case v.json:
		v.emit(bundleFileObject{"file", timeText(time.Now()), e})
	case e.State == app.BundleBad:
		v.p.message(v.errColor.badContentText(e))
	case v.verbose:
		v.p.message(fmt.Sprintf("  %s %s, %s", e.State, clean(strings.Join(e.Paths, ", ")), app.BytesText(e.Size)))
	}
}

func (p paint) badContentText(e app.BundleEvent) string {
	return fmt.Sprintf("%s  %s  %s", p.red("BAD"), clean(strings.Join(e.Paths, ", ")), cmp.Or(clean(e.Why), rangesText(e.Ranges)))
}

// importedText is what an import did, also one that ended with err.
func (p paint) importedText(storeDir, path string, res *app.BundleResult, dry bool, err error) string {
	var b strings.Builder
	if dry {
		if err == nil {
			fmt.Fprintf(&b, "%s %s: %s in %s (%s); nothing was imported\n  next: qbranch store import %s\n", p.green("sound"), clean(path),
				app.BytesText(res.Plan.Bytes), durationText(res.Elapsed), rateText(res.Plan.Bytes, res.Elapsed), clean(path))
		}
		return b.String()
	}
	did, verified := "imported", ", sha256 verified"
	if res.Taken == 0 {
		did, verified = "already here:", ""
	}
	for _, snap := range res.Snapshots {
		fmt.Fprintf(&b, "%s %s: %s, %s%s\n", p.green(did), snapshotRef(snap), plural(len(snap.Files), "file"), app.BytesText(snap.Bytes()), verified)
	}
	for _, snap := range res.Kept {
		fmt.Fprintf(&b, "  %s stays at the later commit that the store has; use %s@%s for this one\n", snapshotRef(snap), clean(snap.Repo), short(snap.Commit))
	}
	taken := "nothing taken"
	if res.Taken > 0 {
		taken = fmt.Sprintf("%s taken in %s (%s)", app.BytesText(res.Taken), durationText(res.Elapsed), rateText(res.Taken, res.Elapsed))
	}
	fmt.Fprintf(&b, "  %s, %s held; in store %s\n", taken, app.BytesText(res.Held), clean(storeDir))
	if err == nil && len(res.Snapshots) > 0 {
		fmt.Fprintf(&b, "  next: qbranch gen %s -p \"Hello\"\n", snapshotRef(res.Snapshots[0]))
	}
	return b.String()
}

// The JSON of export and import, one object a line.
type (
	bundleSnapshotObject struct {
		Repo   string `json:"repo"`
		Branch string `json:"branch"`
		Commit string `json:"commit"`
		Files  int    `json:"files"`
		Bytes  int64  `json:"bytes"`
	}
	bundlePlanObject struct {
		Type       string                 `json:"type"` // "plan"
		Schema     string                 `json:"schema"`
		Snapshots  []bundleSnapshotObject `json:"snapshots"`
		Files      int                    `json:"files"`
		Bytes      int64                  `json:"bytes"`
		HeldBytes  int64                  `json:"held_bytes"`
		MoveBytes  int64                  `json:"move_bytes"`
		DiskNeeded int64                  `json:"disk_needed_bytes"`
		DiskFree   int64                  `json:"disk_free_bytes"`
		DryRun     bool                   `json:"dry_run"`
	}
	bundleFileObject struct {
		Type string `json:"type"` // "file"
		Time string `json:"time"`
		app.BundleEvent
	}
	bundleSummaryObject struct {
		Type        string                 `json:"type"` // "summary"
		Schema      string                 `json:"schema"`
		Time        string                 `json:"time"`
		Snapshots   []bundleSnapshotObject `json:"snapshots"`
		Kept        []bundleSnapshotObject `json:"branch_kept"`
		Files       int                    `json:"files"`
		Bytes       int64                  `json:"bytes"`
		BundleBytes int64                  `json:"bundle_bytes"`
		TakenBytes  int64                  `json:"taken_bytes"`
		HeldBytes   int64                  `json:"held_bytes"`
		Seconds     float64                `json:"seconds"`
		Bundle      string                 `json:"bundle"`
		Store       string                 `json:"store"`
		DryRun      bool                   `json:"dry_run"`
	}
)

func bundleSnapshots(snaps []app.Snapshot) []bundleSnapshotObject {
	out := []bundleSnapshotObject{}
	for _, s := range snaps {
		out = append(out, bundleSnapshotObject{s.Repo, s.Branch, s.Commit, len(s.Files), s.Bytes()})
	}
	return out
}

func (v *bundleView) planJSON(p app.BundlePlan) bundlePlanObject {
	return bundlePlanObject{Type: "plan", Schema: v.schema, Snapshots: bundleSnapshots(p.Snapshots), Files: p.Files, Bytes: p.Bytes,
		HeldBytes: p.Held, MoveBytes: p.Bytes - p.Held, DiskNeeded: p.DiskNeeded, DiskFree: p.DiskFree, DryRun: v.dry}
}

func (v *bundleView) summary(a *app.App, res *app.BundleResult, snaps []app.Snapshot) bundleSummaryObject {
	return bundleSummaryObject{Type: "summary", Schema: v.schema, Time: timeText(time.Now()), Snapshots: bundleSnapshots(snaps),
		Kept: bundleSnapshots(res.Kept), Files: res.Plan.Files, Bytes: res.Plan.Bytes, BundleBytes: res.Written, TakenBytes: res.Taken,
		HeldBytes: res.Held, Seconds: res.Elapsed.Seconds(), Bundle: v.path, Store: a.StoreDir(), DryRun: v.dry}
}
