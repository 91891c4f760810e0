package engines

import (
	"fmt"
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

// Better reports whether it is better to have this verdict than the other.
func (l Loads) Better(than Loads) bool { return l.rank() < than.rank() }

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
	OnCPU   bool     `json:"on_cpu"`  // it does not use the card that it was judged for
	Needs   string   `json:"needs"`   // hardware and system, as a person says it
	Sources []string `json:"sources"` // of the row and of the reasons
	AsOf    string   `json:"as_of"`   // how old the facts are

	why  []reason // as Why; empty in a verdict that was not made here
	bits []int    // of the row
}

// FamilyVerdict is what a program does with a [Subject]: as well as its best
// kernel does.
type FamilyVerdict struct {
	ID      string    `json:"id"`
	Name    string    `json:"name"`
	Loads   Loads     `json:"loads"`
	Why     []string  `json:"why"`     // of the best kernel
	OnCPU   bool      `json:"on_cpu"`  // the best kernel does not use the card
	Kernels []Verdict `json:"kernels"` // best first; one for a program without kernels
}

// Families gathers the verdicts of programs, in the order of the table. Kernels
// are sorted best first; among equals one that is made for the bits comes first,
// then the one that objects least.
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
			if a.otherBits() != b.otherBits() {
				if b.otherBits() {
					return -1
				}
				return 1
			}
			return len(a.Why) - len(b.Why)
		})
		v.Loads, v.Why, v.OnCPU = v.Kernels[0].Loads, v.reasons(), v.Kernels[0].OnCPU
		list = append(list, v)
	}
	return list
}

// otherBits reports whether the kernel is made for other bits.
func (v Verdict) otherBits() bool {
	return slices.ContainsFunc(v.why, func(r reason) bool { return r.about == aboutBits && r.loads == No })
}

// reasons are those of the best kernel; where none loads, they speak of the
// program rather than of whichever kernel came nearest.
func (f FamilyVerdict) reasons() []string {
	best := f.Kernels[0]
	if best.Loads != No || len(f.Kernels) == 1 || len(best.why) == 0 {
		return best.Why
	}
	var why []string
	bits := f.bitsReason()
	if bits != "" {
		why = append(why, bits)
	}
	kernel := f.Name + " (" + strings.TrimPrefix(best.Name, f.Name+" ") + ")"
	for _, r := range best.why {
		if r.loads == No && (r.about != aboutBits || bits == "") {
			why = append(why, strings.ReplaceAll(r.text, best.Name, kernel))
		}
	}
	return why
}

// bitsReason says that no kernel at all has these bits, "" if one has.
func (f FamilyVerdict) bitsReason() string {
	var all []int
	of := ""
	for _, k := range f.Kernels {
		i := slices.IndexFunc(k.why, func(r reason) bool { return r.about == aboutBits && r.loads == No })
		if i < 0 {
			return ""
		}
		of, _, _ = strings.Cut(k.why[i].text, ":")
		all = append(all, k.bits...)
	}
	slices.Sort(all)
	return of + ": " + f.Name + " has " + bitsText(slices.Compact(all)) + " kernels only"
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
	if best := f.Best(); len(best) > 3 {
		line += fmt.Sprintf(" (%s and %s more)", strings.Join(best[:3], ", "), plural(len(best)-3, "kernel"))
	} else if len(best) > 0 {
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
// "GPTQModel, vLLM; with a caveat AutoGPTQ; on the CPU neural-speed".
func Summary(families []FamilyVerdict) string {
	names := make(map[Loads][]string)
	var onCPU []string
	for _, f := range families {
		switch {
		case f.Loads == No, f.Loads == Unknown && f.OnCPU:
		case f.OnCPU:
			onCPU = append(onCPU, f.Name)
		default:
			names[f.Loads] = append(names[f.Loads], f.Name)
		}
	}
	var parts []string
	for _, group := range []struct {
		what  string
		names []string
	}{{"", names[Yes]}, {"with a caveat ", names[Caveat]}, {"unknown: ", names[Unknown]}, {"on the CPU: ", onCPU}} {
		if len(group.names) > 0 {
			parts = append(parts, group.what+strings.Join(group.names, ", "))
		}
	}
	if len(parts) == 0 {
		return "none"
	}
	return strings.Join(parts, "; ")
}
