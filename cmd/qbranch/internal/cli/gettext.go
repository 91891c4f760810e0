package cli

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/qbranch/qbranch/cmd/qbranch/internal/app"
)

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

// worthTelling leaves out what only -v shows: remarks that ask for nothing. That
// an architecture is not known (J13) is none of them: no finding then means less.
func (r *run) worthTelling(findings []app.Finding) []app.Finding {
	return slices.DeleteFunc(slices.Clone(findings), func(f app.Finding) bool {
		return f.Severity == app.Info && f.Code != "J13" && !r.verbose || f.Severity != app.Fatal && r.quiet
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
