package app

import (
	"cmp"
	"fmt"

	"github.com/qbranch/qbranch/quant"
	"github.com/qbranch/qbranch/quant/engines"
	"github.com/qbranch/qbranch/quant/vram"
)

// EngineIDs are the values of FitOptions.Engine: "cpu", every program, and with
// kernels every kernel of one.
func EngineIDs(kernels bool) []string {
	return append([]string{"cpu"}, engines.IDs(kernels)...)
}

// KVTypes are the values of FitOptions.KV.
func KVTypes() []string {
	return []string{string(vram.KVFP16), string(vram.KVFP8), string(vram.KVQ8), string(vram.KVQ4)}
}

// verdicts asks the table of engines about the branch. The table speaks of GPTQ
// that is what it claims: of other formats it knows nothing, and what is broken
// nobody loads.
func (i *Inspection) verdicts(s engines.Subject) []engines.Verdict {
	all := engines.Evaluate(s)
	loads, why := engines.Unknown, i.notGPTQ()
	if i.blind() {
		why = "nothing of it could be read"
	} else if why != "" {
		why += "; what programs do with other formats is not in this table"
	} else if fatal := i.Fatal(); len(fatal) > 0 {
		loads, why = engines.No, "the branch is unusable: "+FindingText(fatal[0])
	}
	if why == "" {
		return all
	}
	for n := range all {
		v := &all[n]
		*v = engines.Verdict{ID: v.ID, Family: v.Family, Name: v.Name, Loads: loads, Why: []string{why}, Needs: v.Needs, Sources: v.Sources, AsOf: v.AsOf}
	}
	return all
}

// blind reports whether files that tell what the branch is could not be read, and
// no other was: what its name and the card say is no ground to judge it.
func (i *Inspection) blind() bool { return len(i.JSON)+len(i.Headers) == 0 && len(i.Unread) > 0 }

// notGPTQ says that the branch has another format, by its configuration, its
// tensors or the names of its files; "" when it is GPTQ or not known.
func (i *Inspection) notGPTQ() string {
	names := make([]string, len(i.Files))
	for n, f := range i.Files {
		names[n] = f.Path
	}
	if other := cmp.Or(quant.OtherMethod(i.Config), quant.OtherFormat(names)); other != "" {
		return fmt.Sprintf("this is %s, not GPTQ", other)
	}
	for _, f := range i.Findings {
		if f.Code == "H7" {
			return f.Message
		}
	}
	return ""
}

// compareEngines notes where the card says of a program what the table of
// engines does not. It needs the branches inspected: without their tensors and
// configurations nothing is known that would contradict a card.
func (l *Listing) compareEngines(seen []Inspection, c *Card, md []byte) {
	sections := engines.SectionStatements(string(md))
	for i := range seen {
		said := sections
		if row := cardRow(c, seen[i].Branch); row != nil {
			description := ""
			if row.Description != nil {
				description = *row.Description
			}
			said = append(engines.CardStatements(row.ExLlama, description), sections...)
		}
		if len(said) == 0 || len(seen[i].Fatal()) > 0 {
			continue // of a broken branch no program says anything
		}
		families := engines.Families(seen[i].verdicts(seen[i].subject))
		for _, r := range engines.Compare(said, families) {
			l.note(seen[i].Branch, "ENGINE_CARD", "%s", r.Message)
		}
	}
}
