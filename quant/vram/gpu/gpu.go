package gpu

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/qbranch/qbranch/quant/vram"
)

// Vendor is who made a card.
type Vendor string

// Vendors. A simulated card is one that the user described.
const (
	NVIDIA    Vendor = "nvidia"
	AMD       Vendor = "amd"
	Apple     Vendor = "apple"
	Intel     Vendor = "intel"
	Simulated Vendor = "simulated"
)

// GPU is a card, or an instance of one that is split. Sizes are bytes, nil when
// nobody states them.
type GPU struct {
	ID          string   `json:"id"` // vendor:index, or vendor:index:instance; unique in a report
	Vendor      Vendor   `json:"vendor"`
	Index       int      `json:"index"`    // the number that the vendor's tools give the card
	Instance    *int     `json:"instance"` // of a split card; nil for a card
	Device      *int     `json:"device"`   // the number under which a program started now sees it; nil when it does not
	Name        string   `json:"name"`
	UUID        string   `json:"uuid,omitempty"`
	PCI         string   `json:"pci,omitempty"` // domain:bus:device.function
	Total       *int64   `json:"total_bytes"`
	Free        *int64   `json:"free_bytes"`
	Reserved    *int64   `json:"reserved_bytes"` // part of Total that the driver keeps
	Shared      bool     `json:"shared"`         // its memory is main memory
	Approximate bool     `json:"approximate"`    // Total is a rounded or usual value, not a reading
	MIG         string   `json:"mig,omitempty"`  // the profile of an instance
	ComputeCap  string   `json:"compute_capability,omitempty"`
	Driver      string   `json:"driver,omitempty"` // version
	Probe       string   `json:"probe"`            // that found it
	Hidden      string   `json:"hidden,omitempty"` // why nothing is graded against it; "" when it is
	Notes       []string `json:"notes"`

	integrated bool  // part of the processor
	carveOut   int64 // bytes of its own of an integrated one
}

// Capacity is what programs can have of an empty card: total without what the
// driver keeps. ok is false when the total is not known.
func (g GPU) Capacity() (bytes int64, ok bool) {
	if g.Total == nil {
		return 0, false
	}
	bytes = *g.Total
	if g.Reserved != nil {
		bytes -= *g.Reserved
	}
	return max(bytes, 0), true
}

// Card is the card as an estimate wants it.
func (g GPU) Card() vram.Card {
	c := vram.Card{Name: g.Name, Free: -1}
	c.Total, _ = g.Capacity()
	if g.Free != nil {
		c.Free = *g.Free
	}
	return c
}

// State is how a probe ended.
type State string

// States of a probe.
const (
	Found   State = "found"   // it found cards
	None    State = "none"    // it looked, and there is no card for it
	Failed  State = "failed"  // there may be cards, and it could not tell
	Skipped State = "skipped" // it was not asked, because another answered or the system has no such thing
)

// Probe is one way of asking, and how that went.
type Probe struct {
	Name    string   `json:"name"`
	State   State    `json:"state"`
	Detail  string   `json:"detail"`
	Advice  string   `json:"advice,omitempty"` // what to do, when something is wrong
	Command []string `json:"command"`          // the last program that was run; empty when none was

	gpus []GPU
}

// Selection is a variable that hides cards, as it is set.
type Selection struct {
	Variable string   `json:"variable"`
	Value    string   `json:"value"`
	Notes    []string `json:"notes"` // what is doubtful about it
}

// Memory is main memory, in bytes; nil where it is not known.
type Memory struct {
	Total     *int64 `json:"total_bytes"`
	Available *int64 `json:"available_bytes"` // without pushing out what runs
	Limit     string `json:"limit,omitempty"` // who sets the total below what the machine has
}

// Report is what was found.
type Report struct {
	GPUs       []GPU       `json:"gpus"`   // NVIDIA, AMD, Apple, Intel, simulated; by index
	Probes     []Probe     `json:"probes"` // in the order of the package comment
	Selections []Selection `json:"selections"`
	RAM        Memory      `json:"ram"`
}

// Visible are the cards that a program started now would see, in its order.
func (r *Report) Visible() []GPU {
	var visible []GPU
	for _, g := range r.GPUs {
		if g.Hidden == "" {
			visible = append(visible, g)
		}
	}
	slices.SortStableFunc(visible, func(a, b GPU) int {
		if a.Vendor != b.Vendor || a.Device == nil || b.Device == nil {
			return 0
		}
		return cmp.Compare(*a.Device, *b.Device)
	})
	return visible
}

// Simulated reports whether the user described the cards.
func (r *Report) Simulated() bool {
	return slices.ContainsFunc(r.GPUs, func(g GPU) bool { return g.Vendor == Simulated })
}

// SelectError says that cards cannot be chosen as asked.
type SelectError struct {
	Name   string // as it was asked for
	Reason string
	Known  []string // the IDs there are
}

// Error names the card.
func (e *SelectError) Error() string { return fmt.Sprintf("GPU %q: %s", e.Name, e.Reason) }

// Hint names the cards there are.
func (e *SelectError) Hint() string {
	if len(e.Known) == 0 {
		return "'qbranch gpu' says why none was found"
	}
	return "there are " + strings.Join(e.Known, ", ") + "; 'qbranch gpu' shows them"
}

// Select hides all cards but those that are named, each by its ID, by the ID
// without the vendor when only one card has it, or by its UUID. Their order is
// that of the names. A name that no visible card has is a *SelectError, and
// nothing changes.
func (r *Report) Select(names []string) error {
	order := map[int]int{} // of r.GPUs: its place
	for _, name := range names {
		i, err := r.find(strings.TrimSpace(name))
		if err != nil {
			return err
		}
		if _, twice := order[i]; !twice {
			order[i] = len(order)
		}
	}
	for i := range r.GPUs {
		g := &r.GPUs[i]
		if place, ok := order[i]; ok {
			g.Device = &place
		} else if g.Hidden == "" {
			g.Hidden, g.Device = "another card was asked for", nil
		}
	}
	return nil
}

// find is the place of the card with that name.
func (r *Report) find(name string) (int, error) {
	fail := func(reason string) (int, error) {
		e := &SelectError{Name: plain(name), Reason: reason}
		for _, g := range r.GPUs {
			if g.Hidden == "" {
				e.Known = append(e.Known, g.ID)
			}
		}
		return 0, e
	}
	var found []int
	for i, g := range r.GPUs {
		_, short, _ := strings.Cut(g.ID, ":")
		if name == g.ID || name == short || name != "" && name == g.UUID {
			found = append(found, i)
		}
	}
	switch {
	case len(found) == 0:
		return fail("there is no such card")
	case len(found) > 1:
		return fail("several cards have this number: write the vendor as well")
	case r.GPUs[found[0]].Hidden != "":
		return fail("not to be used: " + r.GPUs[found[0]].Hidden)
	}
	return found[0], nil
}

// plain makes a text from outside one short line without anything invisible.
func plain(s string) string { return line(s, 120) }

// plainLong is plain for what a program says.
func plainLong(s string) string { return line(s, 400) }

// line makes a text one line of at most so many bytes, without anything
// invisible.
func line(s string, most int) string {
	s = s[:min(len(s), 8*most)]
	s = strings.Map(func(r rune) rune {
		switch {
		case r == utf8.RuneError, unicode.IsSpace(r):
			return ' '
		case !unicode.IsPrint(r):
			return -1
		}
		return r
	}, s)
	s = strings.Join(strings.Fields(s), " ")
	if len(s) <= most {
		return s
	}
	cut := most - len("…")
	for cut > 0 && !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut] + "…"
}

func ptr[T any](v T) *T { return &v }
