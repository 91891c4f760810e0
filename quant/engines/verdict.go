package engines

import (
	"slices"
	"strings"
)

// Loads is whether an engine loads a checkpoint and computes what it says.
type Loads string

// Values of [Loads], best first.
const (
	Yes     Loads = "yes"
	Caveat  Loads = "caveat"  // with what the reasons say
	Unknown Loads = "unknown" // something that decides it is not known
	No      Loads = "no"      // it refuses, fails, or computes nonsense
)

// rank orders verdicts, the best 0.
func (l Loads) rank() int { return slices.Index([]Loads{Yes, Caveat, Unknown, No}, l) }

// worse is the worse of two.
func (l Loads) worse(o Loads) Loads {
	if o.rank() > l.rank() {
		return o
	}
	return l
}

// Verdict is what one row of the table says of a [Subject].
type Verdict struct {
	ID      string   `json:"id"`
	Family  string   `json:"family"`
	Name    string   `json:"name"`
	Loads   Loads    `json:"loads"`
	Why     []string `json:"why"`     // every reason, those that decide first
	Needs   string   `json:"needs"`   // hardware and system, as a person says it
	Sources []string `json:"sources"` // of the row and of the reasons
	AsOf    string   `json:"as_of"`   // how old the facts are

	why []reason
}

// FamilyVerdict is what a program does with a [Subject]: as well as its best
// kernel does.
type FamilyVerdict struct {
	ID      string    `json:"id"`
	Name    string    `json:"name"`
	Loads   Loads     `json:"loads"`
	Why     []string  `json:"why"`     // of the best kernel
	Kernels []Verdict `json:"kernels"` // best first; one for a program without kernels
}

// Families gathers the verdicts of programs, in the order of the table. Kernels
// are sorted best first; among equals the one that objects least comes first.
func Families(verdicts []Verdict) []FamilyVerdict {
	var list []FamilyVerdict
	for _, f := range FamilyList() {
		v := FamilyVerdict{ID: f.ID, Name: f.Name}
		for _, k := range verdicts {
			if k.Family == f.ID {
				v.Kernels = append(v.Kernels, k)
			}
		}
		if len(v.Kernels) == 0 {
			continue
		}
		slices.SortStableFunc(v.Kernels, func(a, b Verdict) int {
			if d := a.Loads.rank() - b.Loads.rank(); d != 0 {
				return d
			}
			return len(a.Why) - len(b.Why)
		})
		v.Loads, v.Why = v.Kernels[0].Loads, v.Kernels[0].Why
		list = append(list, v)
	}
	return list
}

// Best lists the kernels that do as well as the best one, without the name of
// the program; empty for a program without kernels and for one that does not load.
func (f FamilyVerdict) Best() []string {
	var names []string
	for _, k := range f.Kernels {
		if kernel, ok := strings.CutPrefix(k.ID, f.ID+"/"); ok && k.Loads == f.Loads && f.Loads.rank() < No.rank() {
			names = append(names, kernel)
		}
	}
	return names
}

// Line is the verdict in one line, for a list of programs: "yes (marlin, torch)"
// or "no: 3-bit: …".
func (f FamilyVerdict) Line() string {
	line := string(f.Loads)
	if f.Loads == Caveat {
		line = "with a caveat"
	}
	if best := f.Best(); len(best) > 0 {
		line += " (" + strings.Join(best, ", ") + ")"
	}
	if len(f.Why) > 0 {
		line += ": " + f.Why[0]
		if n := len(f.Why) - 1; n > 0 {
			line += " (and " + plural(n, "reason") + " more)"
		}
	}
	return line
}

// Summary names the programs that load a checkpoint in one line, best first:
// "GPTQModel, vLLM; with caveats AutoGPTQ".
func Summary(families []FamilyVerdict) string {
	var yes, caveat, unknown []string
	for _, f := range families {
		switch f.Loads {
		case Yes:
			yes = append(yes, f.Name)
		case Caveat:
			caveat = append(caveat, f.Name)
		case Unknown:
			unknown = append(unknown, f.Name)
		}
	}
	var parts []string
	if len(yes) > 0 {
		parts = append(parts, strings.Join(yes, ", "))
	}
	if len(caveat) > 0 {
		parts = append(parts, "with a caveat "+strings.Join(caveat, ", "))
	}
	if len(unknown) > 0 {
		parts = append(parts, "not known of "+strings.Join(unknown, ", "))
	}
	if len(parts) == 0 {
		return "none"
	}
	return strings.Join(parts, "; ")
}
