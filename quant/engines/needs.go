package engines

import (
	"slices"
	"strconv"
	"strings"
)

// machine judges the hardware, where one is given.
func (j *judge) machine() {
	m, need := j.s.Machine, j.e.Needs
	if m == nil {
		return
	}
	if need.OS != nil && m.OS != "" && !slices.Contains(need.OS, m.OS) {
		j.add(No, "%s runs on %s only", j.e.Name, osText(need.OS))
	}
	device := map[string]string{"nvidia": "cuda", "amd": "rocm", "intel": "xpu", "apple": "mps", "none": "cpu"}[m.Vendor]
	switch {
	case m.Vendor == "":
		j.add(Unknown, "no graphics card is known: %s needs %s", j.e.Name, need)
	case slices.Contains(need.Devices, device):
		j.capability(device)
	case slices.Contains(need.Devices, "cpu"):
		if device != "cpu" {
			j.onCPU = true
			j.add(Caveat, "%s does not use this card, it runs on the CPU", j.e.Name)
		}
		j.capability("cpu")
	case device == "cpu" || device == "":
		j.add(No, "%s needs %s", j.e.Name, need)
	default:
		j.add(No, "%s needs %s; this card is %s", j.e.Name, need, vendorName(m.Vendor))
	}
}

// capability judges what the device itself must be able to do.
func (j *judge) capability(device string) {
	m, need := j.s.Machine, j.e.Needs
	switch device {
	case "cuda":
		switch {
		case need.MinCC == "" || m.AnyCC:
		case m.CC == "":
			j.add(Caveat, "needs compute capability %s; that of this card is not known", need.cc())
		case ccLess(m.CC, need.MinCC), need.BelowCC != "" && !ccLess(m.CC, need.BelowCC):
			j.add(No, "needs compute capability %s; this card has %s", need.cc(), m.CC)
		}
	case "cpu":
		for _, isa := range need.CPU {
			if m.CPU == nil {
				j.add(Caveat, "needs a CPU with %s; what this one has is not known", strings.ToUpper(isa))
			} else if !slices.Contains(m.CPU, isa) {
				j.add(No, "needs a CPU with %s; this one has it not", strings.ToUpper(isa))
			}
		}
	}
}

// ccLess compares compute capabilities as numbers: "10.0" is more than "9.0".
func ccLess(a, b string) bool {
	parse := func(s string) int {
		major, minor, _ := strings.Cut(s, ".")
		x, errX := strconv.Atoi(major)
		y, errY := strconv.Atoi(minor)
		if errX != nil || errY != nil && minor != "" {
			return 0
		}
		return x*100 + y
	}
	return parse(a) < parse(b)
}

// cc is the range of compute capabilities.
func (n Needs) cc() string {
	if n.BelowCC == "" {
		return n.MinCC + " or newer"
	}
	return n.MinCC + " to below " + n.BelowCC
}

func vendorName(vendor string) string {
	switch vendor {
	case "nvidia":
		return "NVIDIA"
	case "amd":
		return "AMD"
	case "intel":
		return "Intel"
	case "apple":
		return "Apple"
	}
	return vendor
}

// osText names systems as people do.
func osText(list []string) string {
	names := map[string]string{"linux": "Linux", "windows": "Windows", "darwin": "macOS"}
	words := make([]string, len(list))
	for i, os := range list {
		words[i] = names[os]
	}
	return orList(words)
}

// String says what is needed as a person would: "an NVIDIA card of compute
// capability 8.0 or newer, Linux".
func (n Needs) String() string {
	names := map[string]string{
		"cuda": "an NVIDIA card", "rocm": "an AMD card", "xpu": "an Intel card", "mps": "an Apple GPU", "cpu": "a CPU",
	}
	var devices []string
	for _, d := range n.Devices {
		name := names[d]
		if d == "cuda" && n.MinCC != "" {
			name += " of compute capability " + n.cc()
		}
		if d == "cpu" && n.CPU != nil {
			name += " with " + strings.ToUpper(strings.Join(n.CPU, " and "))
		}
		devices = append(devices, name)
	}
	text := orList(devices)
	if n.OS != nil {
		text += ", " + osText(n.OS)
	}
	return text
}
