package cli

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/qbranch/qbranch/cmd/qbranch/internal/app"
)

type getFlags struct {
	dir         string
	connections int
	limitRate   string
	dryRun      bool
	force       bool
	allowPickle bool
	layout      string
	link        string
	from        []string
	noLocal     bool
	include     []string
	exclude     []string
}

func (r *run) getCommand() *cobra.Command {
	var f getFlags
	cmd := &cobra.Command{
		Use:        "get REF...",
		GroupID:    groupFetch,
		Short:      "Fetch a branch, or go on fetching it",
		SuggestFor: []string{"download", "pull", "fetch", "clone", "install"},
		Long: `Fetch a branch into the store. The config and the headers of the weights are judged
before the weights move; every byte is checked against its digest on the way. After an
interruption of any kind the same command goes on where it was, and files that another
branch brought are not fetched again. Nor are those that this machine has: the cache of the
official client is looked through, and any folder given by --from. What is found is hashed
like what is fetched.

With --dir the branch is laid out for other programs, too: as a plain folder, as a folder of
text-generation-webui's models (--layout tgwui --dir MODELS), or in a cache of the official
client (--layout hf, by default the one that $HF_HUB_CACHE or $HF_HOME name). A file there
shares disk with the store where that is possible and safe; --link chooses how. Symbolic
links into the store are not offered: a program that follows one could delete or edit what
every other branch shares.

With --include and --exclude a part of the branch is fetched; * matches across folders. The
store shows a branch only when all of it is there: fetch the rest later, or lay the part out
with --dir.`,
		Example: `  qbranch get TheBloke/Llama-2-13B-chat-GPTQ:gptq-4bit-32g-actorder_True
  qbranch get TheBloke/Llama-2-13B-chat-GPTQ:main --dir ./llama --limit-rate 10M
  qbranch get TheBloke/Llama-2-13B-chat-GPTQ:main --from ~/models --layout hf`,
		Args:              args(1, -1, "a branch, such as owner/name:branch"),
		ValidArgsFunction: r.completeRefs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if cmd.Flags().Changed("connections") && f.connections < 1 {
				return &usageError{msg: fmt.Sprintf("-j %d: want at least 1", f.connections)}
			}
			if cmd.Flags().Changed("dir") && f.dir == "" {
				return &usageError{msg: "--dir: no folder is named", hint: "is a variable empty that should name it?"}
			}
			o, err := f.options(len(args))
			if err != nil {
				return err
			}
			refs := make([]app.Ref, len(args))
			for i, arg := range args {
				if refs[i], err = app.ParseRef(arg); err != nil {
					return badArgument(err)
				}
			}
			return r.get(cmd.Context(), refs, o)
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&f.dir, "dir", "", "lay the branch out in `DIR`, too: files that may share disk with the store")
	fl.StringVar(&f.layout, "layout", "plain", "how, `L`: plain, hf or tgwui")
	fl.StringVar(&f.link, "link", "auto", "share disk by `HOW`: auto, reflink, hard or copy")
	fl.StringArrayVar(&f.from, "from", nil, "take what is right from folder `DIR` first (repeatable)")
	fl.BoolVar(&f.noLocal, "no-local", false, "do not look into the official client's cache")
	fl.IntVarP(&f.connections, "connections", "j", 0, "most connections at once, `N` (default: up to 16, as many as pay)")
	fl.StringVar(&f.limitRate, "limit-rate", "", "at most `R` bytes per second, such as 10M or 2MiB")
	fl.StringArrayVar(&f.include, "include", nil, "only files whose path matches `GLOB` (repeatable)")
	fl.StringArrayVar(&f.exclude, "exclude", nil, "no files whose path matches `GLOB` (repeatable)")
	fl.BoolVar(&f.dryRun, "dry-run", false, "say what would be fetched, and stop")
	fl.BoolVar(&f.force, "force", false, "fetch it whatever is found about its config and headers")
	fl.BoolVar(&f.allowPickle, "allow-pickle", false, "fetch pickle files (.bin, .pt, …) too: loading them can run code")
	r.jsonFlag(cmd)
	return cmd
}

func (f getFlags) options(refs int) (app.GetOptions, error) {
	o := app.GetOptions{Filter: app.Filter{Include: f.include, Exclude: f.exclude}, Dir: f.dir, From: f.from, NoLocal: f.noLocal,
		Connections: f.connections, DryRun: f.dryRun, Force: f.force, AllowPickle: f.allowPickle}
	var err error
	if o.Layout, err = app.ParseLayout(f.layout); err != nil {
		return o, &usageError{msg: "--layout: " + err.Error(), hint: "docs/layouts.md describes them"}
	}
	if o.Link, err = app.ParseLink(f.link); err != nil {
		return o, &usageError{msg: "--link: " + err.Error(), hint: "auto takes the first of reflink, hard and copy that works and is safe"}
	}
	if o.Layout == app.LayoutTGWUI && f.dir == "" {
		return o, &usageError{msg: "--layout tgwui: where are the models of text-generation-webui?", hint: "add --dir MODELS"}
	}
	if f.dir != "" && refs > 1 && o.Layout == app.LayoutPlain {
		return o, &usageError{msg: "--dir takes one branch", hint: "give each branch a command and a folder of its own"}
	}
	if f.limitRate != "" {
		rate, err := parseRate(f.limitRate)
		if err != nil {
			return o, &usageError{msg: "--limit-rate: " + err.Error(), hint: "examples: 500k, 10M, 2MiB"}
		}
		o.LimitRate = rate
	}
	return o, nil
}

// parseRate reads bytes per second: a number, then nothing, k, M, G (decimal)
// or Ki, Mi, Gi (binary), then an optional B and an optional /s.
func parseRate(s string) (int64, error) {
	digits := strings.TrimRight(strings.TrimSuffix(strings.TrimSuffix(s, "/s"), "B"), "kKMGi")
	unit := strings.TrimSuffix(strings.TrimSuffix(s[len(digits):], "/s"), "B")
	scale, ok := map[string]float64{"": 1, "k": 1e3, "K": 1e3, "M": 1e6, "G": 1e9,
		"Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30}[unit]
	n, err := strconv.ParseFloat(digits, 64)
	if !ok || err != nil || !(n*scale >= 1 && n*scale < 1e15) {
		return 0, fmt.Errorf("%q is not a rate", s)
	}
	return int64(n * scale), nil
}

// get fetches one reference after the other. Somebody who is there to make space
// is waited for when the disk is full; a script gets an exit code. One that fails does not stop the
// others; an interruption does.
func (r *run) get(ctx context.Context, refs []app.Ref, o app.GetOptions) error {
	a, err := r.open(0)
	if err != nil {
		return err
	}
	o.WaitSpace = isTerminal(r.In) && isTerminal(r.Err)
	partial := &partialError{total: len(refs)}
	for i, ref := range refs {
		stats := &app.Stats{}
		o.Stats = stats
		err := r.getOne(ctx, a, ref, o, i == len(refs)-1)
		if err == nil {
			continue
		}
		if len(refs) == 1 || ctx.Err() != nil {
			return err
		}
		code := r.report(ctx, ref.String(), err)
		partial.failed++
		if stats.Done.Load() > 0 && (code == exitNetwork || code == exitStorage) {
			partial.resumable = true
		}
	}
	if partial.failed > 0 {
		return partial
	}
	return nil
}

func (r *run) getOne(ctx context.Context, a *app.App, ref app.Ref, o app.GetOptions, last bool) error {
	stats := o.Stats
	p := r.newProgress(ref.RevisionOrMain(), func() sample {
		return sample{total: stats.Total.Load(), done: stats.Done.Load(), received: stats.Received.Load(),
			verified: stats.Verified.Load(), retries: stats.Retries.Load(), conns: stats.Connections.Load()}
	})
	v := &getView{run: r, ref: ref, endpoint: a.Endpoint(), p: p, dryRun: o.DryRun, told: o.Force}
	o.Notify = v.event
	p.start()
	res, err := a.Get(ctx, ref, o)
	p.stop()
	switch {
	case err != nil && ctx.Err() != nil && stats.Total.Load() > 0:
		return &interruptedError{"get " + ref.String(), stats.Done.Load(), stats.Total.Load(), err}
	case err != nil:
		return err
	case o.DryRun:
		return r.dryRun(ref, a.Endpoint(), res)
	}
	return r.got(a, ref, res, last)
}

// getView shows the events of one fetch.
type getView struct {
	*run
	ref      app.Ref
	endpoint string
	p        *progress
	dryRun   bool // the plan is the answer, and printed at the end
	told     bool // a fatal finding is left to the error that it becomes
}

func (v *getView) event(e app.Event) {
	if v.json {
		v.eventJSON(e)
		return
	}
	if v.quiet {
		return
	}
	switch {
	case e.Wait != nil:
		v.p.message("  " + waitText(*e.Wait))
	case e.Moved != nil && !v.dryRun:
		v.p.message("  " + movedBranchText(v.ref.RevisionOrMain(), *e.Moved))
	case e.Renamed != nil:
		v.p.message(fmt.Sprintf("  %s is called %s now", e.Renamed.From, e.Renamed.To))
	case e.Plan != nil && !v.dryRun:
		v.p.message(planText(v.ref, v.endpoint, *e.Plan))
	case e.Findings != nil && !v.dryRun:
		for _, f := range v.worthTelling(withoutFirstFatal(e.Findings, &v.told)) {
			v.p.message(v.errColor.findingText(f))
		}
	case e.CannotRun != "":
		v.p.message("  " + cannotRunText(e.CannotRun))
	case e.Judged != "" && v.verbose:
		v.p.message("  judged: " + clean(e.Judged))
	case e.Fetch != nil:
		if text := fetchText(*e.Fetch, v.verbose); text != "" {
			v.p.message(text)
		}
	}
}

// waitText is the line of a pause.
func waitText(w app.Wait) string {
	if w.For == 0 {
		return fmt.Sprintf("no answer from %s for %s, asking again: %s", clean(w.Host), durationText(w.Silent), clean(w.Reason))
	}
	return fmt.Sprintf("waiting %s for %s: %s", durationText(w.For), clean(w.Host), clean(w.Reason))
}

// movedBranchText is "main has moved since it was fetched, from 0d6f… to 779c…: 1
// file changed, 1 added, 0 removed (4.2 kB); what is the same is kept".
func movedBranchText(branch string, m app.Moved) string {
	return fmt.Sprintf("%s has moved since it was fetched, from %s to %s: %s changed, %d added, %d removed (%s); what is the same is kept",
		clean(branch), short(m.From), short(m.To), plural(len(m.Changed), "file"), len(m.Added), len(m.Removed), app.BytesText(m.Bytes))
}

// planText is what a fetch is about to do.
func planText(ref app.Ref, endpoint string, p app.Plan) string {
	from := ""
	if endpoint != app.DefaultEndpoint {
		from = ", from " + clean(endpoint)
	}
	text := fmt.Sprintf("%s at %s%s\n  %s, %s: %s held, %s to move", clean(ref.String()), short(string(p.Commit)), from,
		plural(len(p.Files), "file"), app.BytesText(p.Bytes), app.BytesText(p.Held), app.BytesText(p.Move))
	if p.Local > 0 {
		text += fmt.Sprintf("\n  %s on this machine, to be checked", app.BytesText(p.Local))
	}
	if p.DiskNeeded > 0 {
		text += fmt.Sprintf("\n  disk: %s needed, %s free", app.BytesText(p.DiskNeeded), app.BytesText(p.DiskFree))
	}
	return text
}

// worthTelling leaves out what only -v shows: remarks that ask for nothing.
func (r *run) worthTelling(findings []app.Finding) []app.Finding {
	return slices.DeleteFunc(slices.Clone(findings), func(f app.Finding) bool {
		return f.Severity == app.Info && !r.verbose || f.Severity != app.Fatal && r.quiet
	})
}

// withoutFirstFatal leaves out the first fatal finding of a fetch: the error
// that ends it quotes it.
func withoutFirstFatal(findings []app.Finding, told *bool) []app.Finding {
	i := slices.IndexFunc(findings, isFatal)
	if i < 0 || *told {
		return findings
	}
	*told = true
	return slices.Delete(slices.Clone(findings), i, i+1)
}

// cannotRunText says what the branch is still good for.
func cannotRunText(reason string) string {
	return "qbranch gen cannot run it: " + clean(reason) + "; fetching and verifying work"
}

func isFatal(f app.Finding) bool { return f.Severity == app.Fatal }

// findingText is one line: severity, code, place, message, hint.
func (p paint) findingText(f app.Finding) string {
	severity := clean(string(f.Severity))
	switch f.Severity {
	case app.Fatal:
		severity = p.red(severity)
	case app.Warn:
		severity = p.yellow(severity)
	}
	text := fmt.Sprintf("  %s %s %s: %s", severity, clean(f.Code), clean(f.Where), clean(f.Message))
	if f.Hint != "" {
		text += " (" + clean(f.Hint) + ")"
	}
	return text
}

// tellBytes is the size of a file from this machine that a user is told of
// without -v.
const tellBytes = 1 << 20

// tellWait is the wait before a retry that a user is told of without -v.
const tellWait = 5 * time.Second

// fetchText is the line of an event, "" for one that only -v shows.
func fetchText(e app.FetchEvent, verbose bool) string {
	path := clean(e.Path)
	switch e.Kind {
	case app.EventRetry:
		if verbose || e.Wait >= tellWait {
			return fmt.Sprintf("  retry %s in %s: %s", path, durationText(e.Wait), errText(e.Err))
		}
	case app.EventMismatch:
		if e.Err == nil {
			return fmt.Sprintf("  %s of %s were wrong and have been replaced", rangesText(e.Ranges), path)
		}
		return fmt.Sprintf("  %s does not match its digest: fetching %s again", path, rangesText(e.Ranges))
	case app.EventWait:
		return fmt.Sprintf("  another qbranch is fetching %s: waiting for it", path)
	case app.EventSpace:
		if e.Err == nil {
			return "  there is space again: going on"
		}
		return fmt.Sprintf("  paused, %s: going on as soon as there is space", errText(e.Err))
	case app.EventAdopt:
		if !verbose && e.Bytes < tellBytes {
			return ""
		}
		return fmt.Sprintf("  took %s, %s, from %s (%s)", path, app.BytesText(e.Bytes), clean(e.From), linkText(e.Link))
	case app.EventSeed:
		return fmt.Sprintf("  began %s with %s of %s, to be checked with the rest", path, app.BytesText(e.Bytes), clean(e.From))
	case app.EventRefused:
		return fmt.Sprintf("  %s is not %s: %s", clean(e.From), path, errText(e.Err))
	case app.EventFile:
		if verbose {
			return fmt.Sprintf("  done %s, %s", path, app.BytesText(e.Bytes))
		}
	case app.EventReuse:
		if verbose {
			return fmt.Sprintf("  reused %s, %s", path, app.BytesText(e.Bytes))
		}
	}
	return ""
}

// linkText says how a file came to lie in two places.
func linkText(link app.Link) string {
	switch link {
	case app.LinkReflink:
		return "reflink: shares disk until one is changed"
	case app.LinkHard:
		return "hard link: the same file, now read-only"
	case app.LinkCopy:
		return "copied"
	}
	return "in the store by now"
}

func errText(err error) string {
	if err == nil {
		return "?"
	}
	return clean(err.Error())
}

// rangesText is "bytes 0-1048575, 3145728-4194303 (2.10 MB)".
func rangesText(ranges []app.Range) string {
	if len(ranges) == 0 {
		return "all of it"
	}
	var spans []string
	var total int64
	for _, g := range ranges {
		spans = append(spans, fmt.Sprintf("%d-%d", g.Offset, g.Offset+g.Length-1))
		total += g.Length
	}
	if n := len(spans); n > 5 {
		spans = append(spans[:5], fmt.Sprintf("and %d more", n-5))
	}
	return fmt.Sprintf("bytes %s (%s)", strings.Join(spans, ", "), app.BytesText(total))
}

func (r *run) dryRun(ref app.Ref, endpoint string, res *app.GetResult) error {
	if r.json {
		return nil // the plan has been printed
	}
	fmt.Fprintln(r.out, planText(ref, endpoint, res.Plan))
	for _, f := range res.Plan.Files {
		from := ""
		if len(f.Sources) > 0 {
			from = fmt.Sprintf("  (%s, %s)", clean(f.Sources[0].Path), f.Link)
		}
		if f.HeldBy != "" {
			from = fmt.Sprintf("  (%s)", clean(f.HeldBy))
		}
		if f.Seed != "" {
			from = fmt.Sprintf("  (%s of %s)", app.BytesText(f.SeedBytes), clean(f.Seed))
		}
		fmt.Fprintf(r.out, "  %-8s %10s  %s%s\n", f.State, app.BytesText(f.File.Size), clean(f.File.Path), from)
	}
	for _, f := range r.worthTelling(res.Findings) {
		fmt.Fprintln(r.out, r.outColor.findingText(f))
	}
	return nil
}

// got prints the outcome.
func (r *run) got(a *app.App, ref app.Ref, res *app.GetResult, last bool) error {
	if r.json {
		return r.emit(getSummary(a.StoreDir(), ref, res))
	}
	if r.quiet {
		if res.Dir != "" {
			fmt.Fprintln(r.out, res.Dir)
		}
		return nil
	}
	fmt.Fprint(r.out, r.outColor.gotText(a.StoreDir(), ref, res, last))
	return nil
}

// gotText is what was done, where it is and, after the last one, what to type next.
func (p paint) gotText(storeDir string, ref app.Ref, res *app.GetResult, last bool) string {
	where, next := "store "+storeDir, ref.String()
	if res.Dir != "" {
		where, next = res.Dir, res.Dir
	}
	size, name := app.BytesText(res.Plan.Bytes), clean(ref.String())
	text := fmt.Sprintf("%s %s: %s, sha256 verified\n  %s\n", p.green("got"), name, size, movedText(res))
	if !hashed(res) {
		text = fmt.Sprintf("%s %s, %s (checked when it was fetched; 'qbranch verify %s' hashes it again)\n",
			p.green("already here:"), name, size, name)
	}
	if !last {
		return text
	}
	text += fmt.Sprintf("  in %s%s\n", clean(where), linkedText(res.Linked))
	if res.Filtered {
		text += fmt.Sprintf("  %s of the branch: 'qbranch get %s' fetches the rest\n", plural(len(res.Plan.Files), "file"), name)
		return text
	}
	if res.CannotRun == "" && !slices.ContainsFunc(res.Findings, isFatal) {
		text += fmt.Sprintf("  next: qbranch gen %s -p \"Hello\"\n", clean(next))
	}
	return text
}

// linkedText says how the files of a folder share disk with the store.
func linkedText(l app.Linked) string {
	var parts []string
	for _, part := range []struct {
		n    int64
		what string
	}{{l.Reflinked, "reflinked"}, {l.Hard, "hard-linked"}, {l.Copied, "copied"}, {l.Kept, "there already"}} {
		if part.n > 0 {
			parts = append(parts, app.BytesText(part.n)+" "+part.what)
		}
	}
	if len(parts) == 0 {
		return ""
	}
	return " (" + strings.Join(parts, ", ") + ")"
}

// hashed reports whether the fetch read anything: what the store held already
// was checked when it came, and is not read again.
func hashed(res *app.GetResult) bool { return res.Received > 0 || res.Kept > 0 || res.Adopted > 0 }

// movedText is "1.17 MB moved in 2.0 s (583.0 kB/s), 1.05 MB kept, 1.8 kB reused".
func movedText(res *app.GetResult) string {
	text := "nothing to move"
	if res.Received > 0 {
		text = fmt.Sprintf("%s moved in %s (%s)", app.BytesText(res.Received), durationText(res.Elapsed), rateText(res.Received, res.Elapsed))
	}
	for _, part := range []struct {
		n    int64
		what string
	}{{res.Refetched, "of it twice"}, {res.Kept, "kept"}, {res.Reused, "reused"}, {res.Adopted, "taken from this machine"}} {
		if part.n > 0 {
			text += fmt.Sprintf(", %s %s", app.BytesText(part.n), part.what)
		}
	}
	return text
}

// The JSON of get, one object a line.
type (
	planObject struct {
		Type       string       `json:"type"` // "plan"
		Schema     string       `json:"schema"`
		Endpoint   string       `json:"endpoint"`
		Ref        string       `json:"ref"`
		Repo       string       `json:"repo"`
		Branch     string       `json:"branch"`
		Commit     string       `json:"commit"`
		Files      []fileObject `json:"files"`
		Parts      int          `json:"parts"`
		Bytes      int64        `json:"bytes"`
		HeldBytes  int64        `json:"held_bytes"`
		LocalBytes int64        `json:"local_bytes"`
		MoveBytes  int64        `json:"move_bytes"`
		DiskNeeded int64        `json:"disk_needed_bytes"`
		DiskFree   int64        `json:"disk_free_bytes"`
		DryRun     bool         `json:"dry_run"`
	}
	fileObject struct {
		Path   string `json:"path"`
		Size   int64  `json:"size"`
		State  string `json:"state"` // "held", "partial", "local", "missing"
		Held   int64  `json:"held_bytes"`
		HeldBy string `json:"held_by,omitempty"` // of a held one: a branch in the store that has it
		Parts  int    `json:"parts"`             // of 1 MiB, still to be fetched
		From   string `json:"from,omitempty"`    // of a local one, or of one that another program has begun
		Link   string `json:"link,omitempty"`    // of a local one
	}
	waitObject struct {
		Type          string  `json:"type"` // "wait"
		Time          string  `json:"time"`
		Host          string  `json:"host"`
		WaitSeconds   float64 `json:"wait_seconds"`
		SilentSeconds float64 `json:"silent_seconds,omitempty"`
		Message       string  `json:"message"`
	}
	renamedObject struct {
		Type string `json:"type"` // "renamed"
		From string `json:"from"`
		To   string `json:"to"`
	}
	movedObject struct {
		Type string `json:"type"` // "moved"
		app.Moved
	}
	findingObject struct {
		Type string `json:"type"` // "finding"
		app.Finding
	}
	fetchObject struct {
		Type        string      `json:"type"` // "retry", "file", "seed" or "refused"
		Time        string      `json:"time"`
		Path        string      `json:"path"`
		Bytes       int64       `json:"bytes,omitempty"`
		State       string      `json:"state,omitempty"`        // of a file: "fetched", "reused" or "adopted"
		From        string      `json:"from,omitempty"`         // of one that was adopted or refused
		Link        string      `json:"link,omitempty"`         // of one that was adopted
		Message     string      `json:"message,omitempty"`      // of a retry
		WaitSeconds float64     `json:"wait_seconds,omitempty"` // of a retry
		BadRanges   []app.Range `json:"bad_ranges,omitempty"`   // of a retry after a digest did not match
	}
	getObject struct {
		Type      string        `json:"type"` // "summary"
		Schema    string        `json:"schema"`
		Time      string        `json:"time"`
		Ref       string        `json:"ref"`
		Repo      string        `json:"repo"`
		Branch    string        `json:"branch"`
		Commit    string        `json:"commit"`
		Files     int           `json:"files"`
		Bytes     int64         `json:"bytes"`
		Received  int64         `json:"received_bytes"`
		Kept      int64         `json:"kept_bytes"`
		Refetched int64         `json:"refetched_bytes"`
		Reused    int64         `json:"reused_bytes"`
		Adopted   int64         `json:"adopted_bytes"`
		Seconds   float64       `json:"seconds"`
		Verified  string        `json:"verified"` // "sha256"; "earlier" when nothing was fetched, and so nothing hashed
		Store     string        `json:"store"`
		Filtered  bool          `json:"filtered,omitempty"`
		Dir       string        `json:"dir,omitempty"`
		Linked    *linkedObject `json:"linked,omitempty"`
		CannotRun string        `json:"cannot_run,omitempty"`
		Findings  []app.Finding `json:"findings"`
	}
)

// linkedObject says how many bytes of a folder came there in which way.
type linkedObject struct {
	Kept      int64 `json:"kept_bytes"`
	Reflinked int64 `json:"reflinked_bytes"`
	Hard      int64 `json:"hard_linked_bytes"`
	Copied    int64 `json:"copied_bytes"`
}

const getSchema = "qbranch/get/v1"

// eventJSON prints the objects of an event. A failed write is remembered by
// the writer and ends in an exit code.
func (v *getView) eventJSON(e app.Event) {
	switch {
	case e.Wait != nil:
		v.emit(waitObject{"wait", timeText(time.Now()), e.Wait.Host, e.Wait.For.Seconds(), e.Wait.Silent.Seconds(), e.Wait.Reason})
	case e.Moved != nil:
		v.emit(movedObject{"moved", *e.Moved})
	case e.Renamed != nil:
		v.emit(renamedObject{"renamed", e.Renamed.From.String(), e.Renamed.To.String()})
	case e.Plan != nil:
		v.emit(planJSON(v.ref, v.endpoint, *e.Plan, v.dryRun))
	case e.Findings != nil:
		for _, f := range e.Findings {
			v.emit(findingObject{"finding", f})
		}
	case e.Fetch != nil:
		v.emit(fetchJSON(*e.Fetch, time.Now()))
	}
}

func planJSON(ref app.Ref, endpoint string, p app.Plan, dryRun bool) planObject {
	o := planObject{Type: "plan", Schema: getSchema, Endpoint: endpoint, Ref: ref.String(), Repo: p.Repo.String(), Branch: p.Branch, Commit: string(p.Commit),
		Files: []fileObject{}, Bytes: p.Bytes, HeldBytes: p.Held, LocalBytes: p.Local, MoveBytes: p.Move, DiskNeeded: p.DiskNeeded, DiskFree: p.DiskFree, DryRun: dryRun}
	for _, f := range p.Files {
		fo := fileObject{Path: f.File.Path, Size: f.File.Size, State: f.State, Held: f.Held, HeldBy: f.HeldBy, Parts: f.Parts}
		o.Parts += f.Parts
		if len(f.Sources) > 0 {
			fo.From, fo.Link = f.Sources[0].Path, string(f.Link)
		}
		if f.Seed != "" {
			fo.From = f.Seed
		}
		o.Files = append(o.Files, fo)
	}
	return o
}

func fetchJSON(e app.FetchEvent, now time.Time) fetchObject {
	o := fetchObject{Type: "file", Time: timeText(now), Path: e.Path, Bytes: e.Bytes}
	switch e.Kind {
	case app.EventFile:
		o.State = "fetched"
	case app.EventReuse:
		o.State = "reused"
	case app.EventAdopt:
		o.State, o.From, o.Link = "adopted", e.From, string(e.Link)
	case app.EventSeed:
		o.Type, o.From = "seed", e.From
	case app.EventRefused:
		o.Type, o.From, o.Message = "refused", e.From, errText(e.Err)
	case app.EventMismatch:
		o.Type, o.BadRanges, o.Message = "retry", e.Ranges, "were wrong and have been replaced"
		if e.Err != nil {
			o.Message = "content does not match its digest"
		}
	case app.EventWait:
		o.Type, o.Message = "wait", "another process is fetching it"
	case app.EventSpace:
		o.Type, o.Message = "wait", "there is space again"
		if e.Err != nil {
			o.Message = errText(e.Err)
		}
	case app.EventRetry:
		o.Type, o.Message, o.WaitSeconds = "retry", errText(e.Err), e.Wait.Seconds()
	}
	return o
}

func getSummary(storeDir string, ref app.Ref, res *app.GetResult) getObject {
	verified := "sha256"
	if !hashed(res) {
		verified = "earlier"
	}
	var linked *linkedObject
	if l := res.Linked; res.Dir != "" {
		linked = &linkedObject{l.Kept, l.Reflinked, l.Hard, l.Copied}
	}
	return getObject{Type: "summary", Schema: getSchema, Time: timeText(time.Now()), Ref: ref.String(),
		Repo: res.Plan.Repo.String(), Branch: res.Plan.Branch, Commit: string(res.Plan.Commit),
		Files: len(res.Plan.Files), Bytes: res.Plan.Bytes, Received: res.Received, Kept: res.Kept, Refetched: res.Refetched,
		Reused: res.Reused, Adopted: res.Adopted, Linked: linked, Seconds: res.Elapsed.Seconds(), Verified: verified, Store: storeDir, Filtered: res.Filtered, Dir: res.Dir,
		CannotRun: res.CannotRun, Findings: list(res.Findings)}
}
