package cli

import (
	"strings"
	"testing"

	"github.com/qbranch/qbranch/cmd/qbranch/internal/app"
)

// TestExplain: who agrees and who does not, a narrow terminal, and text from
// outside.
func TestExplain(t *testing.T) {
	said := func(source string, value any) app.Said { return app.Said{Source: source, Value: value} }
	b := app.BranchRow{Branch: "b\x1b[31m", Parameters: []app.Parameter{
		{Name: "bits", Value: 3, From: "config.json", Why: "engines read the configuration", Says: []app.Said{
			said("tensors", nil), said("config.json", 3), said("name", 3), said("card", 4)}},
		{Name: "group_size", Value: -1, From: "name", Why: "no configuration says it", Agree: true, Says: []app.Said{said("name", -1), said("card", -1)}},
		{Name: "dataset", Value: "wiki\x1b]0;x\x07text", From: "card", Why: "no configuration says it", Agree: true, Says: []app.Said{said("card", "wiki")}},
		{Name: "size", Value: int64(1975776), From: "tree", Why: "the sizes of the weight files, together", Agree: true, Says: []app.Said{said("tree", int64(1975776)), said("card", int64(1980000))}},
		{Name: "sym", Why: "nobody says it"},
	}, Sources: []app.Source{{Source: "tensors", State: app.SourceUnread}, {Source: "config.json", State: app.SourceRead},
		{Source: "quant_config.json", State: app.SourceUnreadable, Detail: "line 1: \x1b[2Junexpected"}}}
	l := &app.Listing{Branches: []app.BranchRow{b}, Absent: []app.AbsentBranch{{Branch: "gone"}}}
	const wide = `
b
  Parameter   Believed  Because                                        Differ   Agree
  bits        3         config.json: engines read the configuration    card: 4  name
  group_size  none      name: no configuration says it                          card
  dataset     wikitext  card: no configuration says it
  size        1.98 MB   tree: the sizes of the weight files, together           card
  cannot be read: quant_config.json: line 1: unexpected
  not asked: tensors

on the card only
  Branch  Bits  GS  Act  Card
  gone       ?   ?  ?       ?
`
	if got := lsExplained(l, 0); got != wide {
		t.Errorf("got\n%s\nwant\n%s", got, wide)
	}
	narrow := lsExplained(l, 60)
	if strings.Contains(narrow, "engines read") || !strings.Contains(narrow, "  bits        3         config.json  card: 4  name\n") {
		t.Errorf("in 60 columns:\n%s", narrow)
	}
}
