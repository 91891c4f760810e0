package gpu

import (
	"fmt"
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

// choose goes through a list of numbers and UUIDs as the drivers do: the first
// that no card has ends it, and what stands before counts.
func (c *chooser) choose(gpus []GPU, candidates []int, uuids bool) {
	for entry := range strings.SplitSeq(c.list, ",") {
		entry = strings.TrimSpace(entry)
		if c.list == "" || entry == "-1" || len(c.chosen) == len(gpus) {
			return
		}
		i, ok := c.match(entry, gpus, candidates, uuids)
		if !ok {
			return
		}
		if slices.Contains(c.chosen, i) {
			c.note("%s is named twice, which drivers may refuse", entry)
			continue
		}
		c.chosen = append(c.chosen, i)
	}
}

// match finds the card of one entry.
func (c *chooser) match(entry string, gpus []GPU, candidates []int, uuids bool) (int, bool) {
	if n, err := strconv.Atoi(entry); err == nil {
		if n < 0 || n >= len(candidates) {
			c.note("there is no card %d: it and what follows it do not count", n)
			return 0, false
		}
		return candidates[n], true
	}
	var found []int
	for i, g := range gpus {
		if uuids && entry != "" && g.UUID != "" && len(entry) > len("GPU-") && strings.HasPrefix(g.UUID, entry) {
			found = append(found, i)
		}
	}
	if len(found) == 1 {
		return found[0], true
	}
	if len(found) > 1 {
		c.note("%s begins the names of several cards: it and what follows it do not count", plain(entry))
	} else {
		c.note("%q is no card here: it and what follows it do not count", plain(entry))
	}
	return 0, false
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
	if value, set := sys.LookupEnv("CUDA_VISIBLE_DEVICES"); set {
		c := newChooser("CUDA_VISIBLE_DEVICES", value)
		c.choose(r.GPUs, cards, true)
		r.instanceFor(c)
		if order, _ := sys.LookupEnv("CUDA_DEVICE_ORDER"); order != "PCI_BUS_ID" && r.differ(cards) && hasNumber(c.list) {
			c.note("the cards differ, and CUDA counts the fastest first: a number may mean another card than here; CUDA_DEVICE_ORDER=PCI_BUS_ID makes them agree")
		}
		c.apply(r, all)
	}
	r.oneInstance()
}

// hasNumber reports whether a list of cards has a number in it.
func hasNumber(list string) bool {
	return slices.ContainsFunc(strings.Split(list, ","), func(e string) bool {
		n, err := strconv.Atoi(strings.TrimSpace(e))
		return err == nil && n >= 0
	})
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
		c.choose(r.GPUs, left, variable == "ROCR_VISIBLE_DEVICES")
		c.apply(r, left)
		left = c.chosen
	}
}

// selected reports whether a variable was applied.
func (r *Report) selected(variable string) bool {
	return slices.ContainsFunc(r.Selections, func(s Selection) bool { return s.Variable == variable })
}
