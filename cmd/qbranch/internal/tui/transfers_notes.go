package tui

import (
	"fmt"
	"time"

	"github.com/qbranch/qbranch/cmd/qbranch/internal/app"
)

// logLine is something that happened.
type logLine struct {
	role role
	text string
}

// again is how a line about a retry begins.
const again = "again in "

// logLimit is how many events of a transfer are kept; a bad line repeats itself.
const logLimit = 100

// note writes an event into the log.
func (t *transfer) note(e app.Event) {
	say := func(r role, format string, args ...any) {
		t.log = append(t.log, logLine{r, fmt.Sprintf(format, args...)})
	}
	switch {
	case e.Plan != nil:
		t.planned, t.total, t.commit = true, e.Plan.Bytes, string(e.Plan.Commit)
		say(dim, "plan: %s in %s, %s here already, %s free on disk",
			app.BytesText(e.Plan.Bytes), plural(len(e.Plan.Files), "file", "files"), app.BytesText(e.Plan.Held), app.BytesText(e.Plan.DiskFree))
	case e.Renamed != nil:
		say(warn, "%s is called %s now", e.Renamed.From, e.Renamed.To)
	case e.Wait != nil && e.Wait.For == 0:
		say(warn, "no answer from %s for %s, asking again: %s", e.Wait.Host, duration(e.Wait.Silent), e.Wait.Reason)
		t.wait.quiet, t.wait.since = e.Wait.Host, t.wait.now.Add(-e.Wait.Silent)
	case e.Wait != nil:
		say(warn, "waiting %s for %s: %s", duration(e.Wait.For), e.Wait.Host, e.Wait.Reason)
		t.wait.until, t.wait.why = t.wait.now.Add(e.Wait.For), e.Wait.Host+": "+e.Wait.Reason
		t.wait.again = false
	case e.Moved != nil:
		say(warn, "the branch has moved since it was fetched, from %.7s to %.7s: %s changed, %d added, %d removed (%s); what is the same is kept",
			e.Moved.From, e.Moved.To, plural(len(e.Moved.Changed), "file", "files"), len(e.Moved.Added), len(e.Moved.Removed), app.BytesText(e.Moved.Bytes))
	case e.CannotRun != "":
		say(warn, "generate will refuse it: %s", e.CannotRun)
	case e.Judged != "":
		say(dim, "%s judged, before any weight moved", e.Judged)
	case e.Findings != nil:
		for _, f := range e.Findings {
			if toTell(f) {
				say(findingRole(f), "%s %s", f.Code, findingText(f))
			}
		}
	case e.Fetch != nil:
		t.noteFetch(*e.Fetch)
	}
}

// noteFetch writes what happened to a file into the log, and takes note of what
// is waited for.
func (t *transfer) noteFetch(e app.FetchEvent) {
	say := func(r role, format string, args ...any) {
		t.log = append(t.log, logLine{r, fmt.Sprintf(format, args...)})
	}
	switch e.Kind {
	case app.EventRetry:
		say(warn, again+"%s: %v", duration(e.Wait), e.Err)
		if e.Wait >= tellWait && e.Err != nil {
			t.wait.until, t.wait.why, t.wait.again = t.wait.now.Add(e.Wait), e.Err.Error(), true
		}
	case app.EventFile:
		say(good, "✓ %s", e.Path)
		t.wait.others = ""
	case app.EventReuse:
		say(good, "✓ %s was in the store already", e.Path)
		t.wait.others = ""
	case app.EventAdopt:
		say(good, "✓ %s, from %s", e.Path, e.From)
	case app.EventSeed:
		say(dim, "%s begins with what %s holds", e.Path, e.From)
	case app.EventRefused:
		say(warn, "%s is not %s; fetching it", e.From, e.Path)
	case app.EventMismatch:
		if e.Err == nil {
			say(good, "✓ %s came right the second time", e.Path)
			return
		}
		say(bad, "✗ %s does not match its hash; fetching the bad parts again", e.Path)
	case app.EventWait:
		say(warn, "another fetch is bringing %s; waiting for it", e.Path)
		t.wait.others = e.Path
	case app.EventSpace:
		if t.wait.full = ""; e.Err != nil {
			t.wait.full = e.Err.Error()
			say(bad, "✗ %v; waiting until there is space", e.Err)
			return
		}
		say(good, "there is space again")
	}
}

// tellWait is the shortest wait for the hub that is shown as one.
const tellWait = 3 * time.Second
