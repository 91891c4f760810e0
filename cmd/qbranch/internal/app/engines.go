package app

import (
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
		families := engines.Families(engines.Evaluate(seen[i].Subject()))
		for _, r := range engines.Compare(said, families) {
			l.note(seen[i].Branch, "ENGINE_CARD", "%s", r.Message)
		}
	}
}
