package gpu

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// lookuper is the part of a System that is needed here.
type lookuper interface {
	LookupEnv(name string) (value string, ok bool)
}

// chooser is a variable that lists cards, while it is applied.
type chooser struct {
	Selection
	list   string // the value, unshortened
	chosen []int  // places in Report.GPUs
}

func newChooser(variable, value string) *chooser {
	return &chooser{Selection: Selection{Variable: variable, Value: plainLong(value), Notes: []string{}}, list: strings.TrimSpace(value)}
}

// note says what is doubtful, once.
func (c *chooser) note(format string, args ...any) {
	if text := fmt.Sprintf(format, args...); !slices.Contains(c.Notes, text) {
		c.Notes = append(c.Notes, text)
	}
}

// listRules are how a driver reads such a list.
type listRules struct {
	uuids bool // it knows cards by their UUIDs as well
	// strict is CUDA's way, as measured with driver 580: the first entry says
	// whether the list is one of numbers or of UUIDs, and a card that is named
	// twice makes it refuse all of them.
	strict bool
}

// choose goes through a list of numbers and UUIDs as the drivers do: the first
// entry that is no card ends it, and what stands before it counts.
func (c *chooser) choose(gpus []GPU, candidates []int, rules listRules) {
	if c.list == "" {
		return
	}
	numbers := false
	for n, entry := range strings.Split(c.list, ",") {
		number := leadingNumber.FindString(entry)
		if n == 0 {
			numbers = number != ""
		}
		if strings.HasPrefix(strings.TrimSpace(number), "-") {
			return
		}
		i, ok := -1, false
		switch {
		case rules.strict && numbers != (number != ""):
			c.note("%q: a list is one of numbers or of UUIDs; it and what follows it do not count", plain(entry))
			return
		case number != "":
			i, ok = c.byNumber(strings.TrimSpace(number), candidates)
		default:
			i, ok = c.byUUID(strings.TrimSpace(entry), gpus, rules.uuids)
		}
		switch {
		case !ok:
			return
		case slices.Contains(c.chosen, i) && rules.strict:
			c.chosen = nil
			c.note("%s is named twice, and CUDA refuses such a list", plain(entry))
			return
		case slices.Contains(c.chosen, i):
			c.note("%s is named twice, which a driver may refuse", plain(entry))
		default:
			c.chosen = append(c.chosen, i)
		}
	}
}

// leadingNumber is what drivers read of an entry that begins with a number;
// they do not mind what follows.
var leadingNumber = regexp.MustCompile(`^\s*[+-]?\d+`)

// byNumber finds the card of a number.
func (c *chooser) byNumber(number string, candidates []int) (int, bool) {
	n, err := strconv.Atoi(number)
	if err != nil || n >= len(candidates) {
		c.note("there is no card %s: it and what follows it do not count", plain(number))
		return 0, false
	}
	return candidates[n], true
}

// byUUID finds the card of a UUID or of the beginning of one.
func (c *chooser) byUUID(entry string, gpus []GPU, known bool) (int, bool) {
	var found []int
	for i, g := range gpus {
		if known && beginsUUID(g.UUID, entry) {
			found = append(found, i)
		}
	}
	switch len(found) {
	case 1:
		return found[0], true
	case 0:
		c.note("%q is no card here: it and what follows it do not count", plain(entry))
	default:
		c.note("%q begins the UUIDs of several cards: it and what follows it do not count", plain(entry))
	}
	return 0, false
}

// beginsUUID reports whether an entry is a UUID or begins it. The kind has to
// be the same, GPU or MIG; hyphens and case do not count, nor what follows a
// whole UUID or a space.
func beginsUUID(uuid, entry string) bool {
	kind, digits, ok := strings.Cut(uuid, "-")
	rest, same := strings.CutPrefix(entry, kind+"-")
	if !ok || !same || digits == "" {
		return false
	}
	rest, _, _ = strings.Cut(rest, " ")
	normal := func(s string) string { return strings.ToLower(strings.ReplaceAll(s, "-", "")) }
	digits, rest = normal(digits), normal(rest)
	return rest != "" && strings.HasPrefix(digits, rest[:min(len(rest), len(digits))])
}

// apply hides the candidates that were not chosen and numbers the others.
func (c *chooser) apply(r *Report, among []int) {
	for _, i := range among {
		g := &r.GPUs[i]
		place := slices.Index(c.chosen, i)
		if place >= 0 && g.integrated {
			g.Hidden = "" // it was asked for
		}
		switch {
		case g.Hidden != "":
		case place >= 0:
			g.Device = ptr(place)
		default:
			g.Hidden, g.Device = fmt.Sprintf("%s=%s hides it", c.Variable, c.Value), nil
		}
	}
	r.Selections = append(r.Selections, c.Selection)
}

// of lists the places of a vendor's cards.
func (r *Report) of(vendor Vendor, keep func(GPU) bool) []int {
	var places []int
	for i, g := range r.GPUs {
		if g.Vendor == vendor && keep(g) {
			places = append(places, i)
		}
	}
	return places
}

func anyGPU(GPU) bool { return true }

// selectCUDA applies CUDA_VISIBLE_DEVICES, and CUDA's rule that a program that
// sees an instance of a split card sees that one alone.
func (r *Report) selectCUDA(sys lookuper) {
	all := r.of(NVIDIA, anyGPU)
	if len(all) == 0 {
		return
	}
	cards := r.of(NVIDIA, func(g GPU) bool { return g.Instance == nil })
	value, set := sys.LookupEnv("CUDA_VISIBLE_DEVICES")
	byNumber := false
	if set {
		c := newChooser("CUDA_VISIBLE_DEVICES", value)
		c.choose(r.GPUs, cards, listRules{uuids: true, strict: true})
		byNumber = len(c.chosen) > 0 && leadingNumber.MatchString(c.list)
		r.instanceFor(c)
		c.apply(r, all)
	}
	r.oneInstance()
	order, _ := sys.LookupEnv("CUDA_DEVICE_ORDER")
	several := len(r.of(NVIDIA, func(g GPU) bool { return g.Hidden == "" })) > 1
	if order != "PCI_BUS_ID" && r.differ(cards) && (byNumber || !set && several) {
		r.Selections = append(r.Selections, Selection{Variable: "CUDA_DEVICE_ORDER", Value: plain(order), Notes: []string{
			"the cards differ, and CUDA counts the fastest first: a number may mean another card than here; CUDA_DEVICE_ORDER=PCI_BUS_ID makes them agree"}})
	}
}

// differ reports whether cards are of different kinds.
func (r *Report) differ(cards []int) bool {
	return slices.ContainsFunc(cards, func(i int) bool { return r.GPUs[i].Name != r.GPUs[cards[0]].Name })
}

// instanceFor puts the first instance of a split card in the place of the card:
// that is what its number stands for.
func (r *Report) instanceFor(c *chooser) {
	for n, i := range c.chosen {
		first := slices.IndexFunc(r.GPUs, func(g GPU) bool {
			return g.Vendor == NVIDIA && g.Instance != nil && g.Index == r.GPUs[i].Index
		})
		if r.GPUs[i].Instance == nil && first >= 0 {
			c.chosen[n] = first
		}
	}
}

// oneInstance leaves the first visible instance, when there is one, as the only
// visible NVIDIA card: CUDA counts no further.
func (r *Report) oneInstance() {
	visible := r.of(NVIDIA, func(g GPU) bool { return g.Hidden == "" })
	instances := slices.DeleteFunc(slices.Clone(visible), func(i int) bool { return r.GPUs[i].Instance == nil })
	if len(instances) == 0 {
		return
	}
	first := slices.MinFunc(instances, func(a, b int) int {
		if r.GPUs[a].Device == nil || r.GPUs[b].Device == nil {
			return a - b
		}
		return *r.GPUs[a].Device - *r.GPUs[b].Device
	})
	for _, i := range visible {
		g := &r.GPUs[i]
		if g.Device = nil; i != first {
			g.Hidden = "a program sees one instance of a split card and nothing else: CUDA_VISIBLE_DEVICES chooses by UUID"
		}
	}
}

// selectROCm applies ROCR_VISIBLE_DEVICES, and to what is left
// HIP_VISIBLE_DEVICES, or CUDA_VISIBLE_DEVICES where no card is NVIDIA's.
func (r *Report) selectROCm(sys lookuper) {
	left := r.of(AMD, anyGPU)
	if len(left) == 0 {
		return
	}
	for _, variable := range []string{"ROCR_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "CUDA_VISIBLE_DEVICES"} {
		value, set := sys.LookupEnv(variable)
		if !set || variable == "CUDA_VISIBLE_DEVICES" && (len(r.of(NVIDIA, anyGPU)) > 0 || r.selected("HIP_VISIBLE_DEVICES")) {
			continue
		}
		c := newChooser(variable, value)
		c.choose(r.GPUs, left, listRules{uuids: variable == "ROCR_VISIBLE_DEVICES"})
		c.apply(r, left)
		left = c.chosen
	}
}

// selected reports whether a variable was applied.
func (r *Report) selected(variable string) bool {
	return slices.ContainsFunc(r.Selections, func(s Selection) bool { return s.Variable == variable })
}
