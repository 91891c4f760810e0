package app

import "github.com/qbranch/qbranch/quant/engines"

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
