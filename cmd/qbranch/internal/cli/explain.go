package cli

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/qbranch/qbranch/cmd/qbranch/internal/app"
)

// lsExplained is, for each branch, what every source says of it; width 0 is any
// width.
func lsExplained(l *app.Listing, width int) string {
	var out strings.Builder
	for _, b := range l.Branches {
		fmt.Fprintf(&out, "\n%s\n%s", clean(b.Branch), parametersText(b, width))
	}
	if len(l.Absent) > 0 {
		out.WriteString("\non the card only\n")
		var rows [][]string
		for _, b := range l.Absent {
			size := unknown
			if b.CardBytes != nil {
				size = app.BytesText(*b.CardBytes)
			}
			rows = append(rows, []string{"  " + clean(b.Branch), number(b.Bits), groupText(b.GroupSize), yesNo(b.ActOrder), size})
		}
		out.WriteString(table([]column{{title: "  Branch"}, {"Bits", true}, {"GS", true}, {title: "Act"}, {"Card", true}}, rows))
	}
	return out.String()
}

// parametersText is one line for each parameter: what is believed, why, who agrees,
// and who says what else. What nobody says is left out. A table that is wider than
// the terminal names whom is believed and not why.
func parametersText(b app.BranchRow, width int) string {
	var rows [][]string
	for _, p := range b.Parameters {
		if p.Value == nil {
			continue
		}
		var agree, differ []string
		for _, s := range p.Says {
			switch {
			case s.Value == nil:
			case s.Value == p.Value || p.Agree:
				if s.Source != p.From {
					agree = append(agree, clean(s.Source))
				}
			default:
				differ = append(differ, clean(s.Source)+": "+said(p.Name, s.Value))
			}
		}
		rows = append(rows, []string{"  " + clean(p.Name), said(p.Name, p.Value), clean(p.From) + ": " + clean(p.Why), strings.Join(differ, ", "), strings.Join(agree, ", ")})
	}
	columns := []column{{title: "  Parameter"}, {title: "Believed"}, {title: "Because"}, {title: "Differ"}, {title: "Agree"}}
	text := table(columns, rows)
	if width > 0 && tableWidth(text) > width {
		columns[2].title = "From"
		for _, row := range rows {
			row[2], _, _ = strings.Cut(row[2], ":")
		}
		text = tableWithin(columns, rows, width)
	}
	return text + sourcesText(b)
}

// sourcesText names the sources that have not been asked, or make no sense.
func sourcesText(b app.BranchRow) string {
	var unread []string
	var out strings.Builder
	for _, s := range b.Sources {
		switch s.State {
		case app.SourceUnread:
			unread = append(unread, clean(s.Source))
		case app.SourceUnreadable:
			fmt.Fprintf(&out, "  cannot be read: %s: %s\n", clean(s.Source), clean(s.Detail))
		}
	}
	if len(unread) > 0 {
		fmt.Fprintf(&out, "  not asked: %s\n", strings.Join(unread, ", "))
	}
	return out.String()
}

// said is a value as people write it.
func said(parameter string, value any) string {
	switch v := value.(type) {
	case bool:
		return yesNo(&v)
	case int:
		if parameter == "group_size" {
			return groupText(&v)
		}
		return strconv.Itoa(v)
	case int64:
		return app.BytesText(v)
	case float64:
		return strconv.FormatFloat(v, 'g', -1, 64)
	case string:
		if parameter == "commit" {
			return short(v)
		}
		return clean(v)
	}
	return unknown
}
