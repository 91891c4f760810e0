package card

import (
	"math/big"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// The functions below read one cell. They return nil and true for a cell that
// says nothing, nil and false for one that cannot be read.

var footnote = regexp.MustCompile(`\s*(?:\[\^?[A-Za-z0-9]{1,4}\]|\([0-9]\)|[*†‡§¹²³⁰⁴-⁹]+)$`)

// plain is a cell without what decorates it: footnote marks behind the value,
// stars and back-ticks that were not Markdown, variation selectors of symbols.
func plain(s string) string {
	s = strings.Trim(strings.ReplaceAll(s, "\ufe0f", ""), " \u00a0`*_~")
	for range 3 {
		if c, _ := utf8.DecodeLastRuneInString(s); c < 0x80 && c != ']' && c != ')' && c != '*' {
			break
		}
		s = footnote.ReplaceAllString(s, "")
	}
	return strings.Join(strings.Fields(strings.ReplaceAll(s, "\u00a0", " ")), " ")
}

func blank(s string) bool {
	switch strings.ToLower(s) {
	case "", "-", "--", "---", "–", "—", "−", "n/a", "n.a.", "n.a", "na", "?", "unknown", "tbd", "tba", "null", "nil", "...", "…", "/", "未知", "不明", "k. a.", "k.a.":
		return true
	}
	return false
}

var decimal = regexp.MustCompile(`^(?:[0-9]{1,15}(?:[.,][0-9]{1,15})?|\.[0-9]{1,15})$`)

// number reads a decimal, with a point or a comma.
func number(s string) (*float64, bool) {
	if blank(s) {
		return nil, true
	}
	if !decimal.MatchString(s) {
		return nil, false
	}
	v, err := strconv.ParseFloat(strings.ReplaceAll(s, ",", "."), 64)
	if err != nil {
		return nil, false
	}
	return &v, true
}

var bitsCell = regexp.MustCompile(`(?i)^(?:u?int|w|fp|q)?[ -]?([0-9]{1,2}(?:[.,][0-9]{1,4})?)(?:a(?:8|16))?[ -]?(?:bits?(?: per weight)?|bpw|b|位|比特|ビット|비트|бита?)?(?: \([^()]*\))?$`)

// bits reads "4", "4-bit", "4.65 bpw", "Int4" and "W4A16".
func bits(s string) (*float64, bool) {
	if blank(s) {
		return nil, true
	}
	m := bitsCell.FindStringSubmatch(s)
	if m == nil {
		return nil, false
	}
	return number(m[1])
}

var (
	countCell = regexp.MustCompile(`(?i)^[~≈]?\s*([0-9]{1,3}(?:[,. '][0-9]{3})+|[0-9]{1,10})\s*(k?)(?:\s*(?:tokens?|ctx|context))?$`)
	ungroup   = strings.NewReplacer(",", "", ".", "", " ", "", "'", "")
)

// count reads a whole number, perhaps with thousands separators, or in units of
// 1024 tokens: "8,192", "4k".
func count(s string) (*int, bool) {
	if blank(s) {
		return nil, true
	}
	m := countCell.FindStringSubmatch(s)
	if m == nil {
		return nil, false
	}
	v, err := strconv.ParseUint(ungroup.Replace(m[1]), 10, 31)
	if m[2] != "" {
		v *= 1024
	}
	if err != nil || v > 1<<31-1 {
		return nil, false
	}
	n := int(v)
	return &n, true
}

var groupCell = regexp.MustCompile(`(?i)^(?:g|gs|group ?size)? ?=? ?([0-9]{1,7}) ?g?$`)

// groupSize reads "128", "128g", "g128", and the ways to say that there are no
// groups, which all mean -1.
func groupSize(s string) (*int, bool) {
	switch strings.ToLower(strings.ReplaceAll(s, "_", " ")) {
	case "none", "no", "-1", "-1g", "--1g", "−1", "no group", "no groups", "no grouping", "no groupsize", "no group size", "no gs", "without", "ungrouped",
		"without group size", "false", "channel", "channelwise", "channel-wise", "per channel", "per-channel", "column", "none (-1)", "-1 (none)", "all", "full",
		"keine", "ohne", "aucun", "aucune", "ninguno", "nenhum", "nessuno", "нет", "无", "無", "なし", "없음":
		return nil, true
	}
	if blank(s) {
		return nil, true
	}
	m := groupCell.FindStringSubmatch(s)
	if m == nil {
		return nil, false
	}
	v, err := strconv.Atoi(m[1])
	if err != nil || v == 0 {
		return nil, false
	}
	return &v, true
}

var (
	leadingWord = regexp.MustCompile(`^\p{L}+`)
	yesWords    = []string{"yes", "true", "y", "on", "ja", "oui", "si", "sí", "sim", "да", "是", "有", "はい", "あり", "예", "네"}
	noWords     = []string{"no", "false", "n", "off", "none", "nein", "non", "não", "нет", "否", "无", "無", "不", "いいえ", "なし", "아니오"}
	yesMarks    = []string{"✓", "✔", "✅", "☑", "🟢", "👍", ":white_check_mark:", ":heavy_check_mark:"}
	noMarks     = []string{"✗", "✘", "❌", "✖", "☒", "🔴", "👎", "×", "❎", "🚫", ":x:", ":negative_squared_cross_mark:"}
)

// yesNo reads words, marks, 1 and 0, also with a remark behind them: "Yes (v2)".
func yesNo(s string) (*bool, bool) {
	low := strings.ToLower(s)
	begins := func(mark string) bool { return strings.HasPrefix(low, mark) }
	word := leadingWord.FindString(low)
	rest := low[len(word):]
	switch {
	case blank(low):
		return nil, true
	case low == "1" || low == "+" || slices.ContainsFunc(yesMarks, begins):
		return ptr(true), true
	case low == "0" || slices.ContainsFunc(noMarks, begins):
		return ptr(false), true
	case rest != "" && !strings.HasPrefix(rest, " (") && rest[0] != ',' && rest[0] != ';':
		return nil, false
	case slices.Contains(yesWords, word):
		return ptr(true), true
	case slices.Contains(noWords, word):
		return ptr(false), true
	}
	return nil, false
}

var dampCell = regexp.MustCompile(`^([0-9.,]+)\s*(%?)$`)

// damp reads a fraction. The column is usually headed "Damp %" and holds
// fractions all the same, so that only 1 and more is taken for a percentage.
func damp(s string, percent bool) (*float64, bool) {
	if blank(s) || strings.EqualFold(s, "none") {
		return nil, true
	}
	m := dampCell.FindStringSubmatch(s)
	if m == nil {
		return nil, false
	}
	v, ok := number(m[1])
	if v == nil {
		return nil, ok
	}
	if m[2] == "%" || percent && *v >= 1 {
		f, err := strconv.ParseFloat(strconv.FormatFloat(*v, 'f', -1, 64)+"e-2", 64) // 7 % is 0.07 and not a hair more
		return &f, err == nil && f < 1
	}
	return v, *v < 1
}

var sizeCell = regexp.MustCompile(`(?i)^(?:[~≈<]|about|approx\.?|ca\.?)?\s*([0-9][0-9.,' ]{0,24}?)\s*([KMGT]i?[Bo]|[KMGT]|B|bytes)?(?:\s*[(/|;+].*)?$`)

// size reads "23.81 GB", "40.85GB", "24,70 GB", "1,024 MB", "1.9 GiB", or a bare
// number whose unit stands in the header. Without any unit it cannot be read.
func size(s, headerUnit string) (*int64, bool) {
	if blank(s) {
		return nil, true
	}
	m := sizeCell.FindStringSubmatch(s)
	if m == nil {
		return nil, false
	}
	unit := m[2]
	if unit == "" {
		unit = headerUnit
	}
	factor := unitBytes(unit)
	digits, ok := sizeNumber(m[1])
	if factor == 0 || !ok {
		return nil, false
	}
	exact, ok := new(big.Rat).SetString(digits)
	if !ok {
		return nil, false
	}
	exact.Mul(exact, new(big.Rat).SetInt64(factor))
	exact.Add(exact, big.NewRat(1, 2)) // rounds half up
	v := new(big.Int).Quo(exact.Num(), exact.Denom())
	if !v.IsInt64() {
		return nil, false
	}
	n := v.Int64()
	return &n, true
}

var (
	plainNumber = regexp.MustCompile(`^[0-9]{1,12}(?:\.[0-9]{1,12})?$`)
	commaNumber = regexp.MustCompile(`^[0-9]{1,12},[0-9]{1,2}$`)                         // 24,70: decimals as most of Europe writes them
	thousands   = regexp.MustCompile(`^[0-9]{1,3}(?:[, '][0-9]{3})+(?:\.[0-9]{1,12})?$`) // 24,700
)

// sizeNumber gives the digits of a number with a point. What has three digits
// behind one comma is thousands, as everywhere on the hub.
func sizeNumber(s string) (string, bool) {
	switch {
	case plainNumber.MatchString(s):
		return s, true
	case commaNumber.MatchString(s):
		return strings.Replace(s, ",", ".", 1), true
	case thousands.MatchString(s):
		whole, rest, _ := strings.Cut(s, ".")
		return strings.TrimSuffix(ungroup.Replace(whole)+"."+rest, "."), true
	}
	return "", false
}

// unitBytes is the bytes of a unit, in English or French; 0 when it is none.
func unitBytes(unit string) int64 {
	unit = strings.ToLower(unit)
	if short, ok := strings.CutSuffix(unit, "o"); ok {
		unit = short + "b"
	}
	switch unit {
	case "b", "bytes":
		return 1
	case "k", "kb": // cards mean powers of ten, also where they leave out the B
		return 1e3
	case "m", "mb":
		return 1e6
	case "g", "gb":
		return 1e9
	case "t", "tb":
		return 1e12
	case "kib":
		return 1 << 10
	case "mib":
		return 1 << 20
	case "gib":
		return 1 << 30
	case "tib":
		return 1 << 40
	}
	return 0
}
