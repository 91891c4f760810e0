package cli

import (
	"time"

	"github.com/qbranch/qbranch/cmd/qbranch/internal/app"
)

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
		CannotRun: res.CannotRun, Findings: res.Findings}
}
