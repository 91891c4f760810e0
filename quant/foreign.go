package quant

import (
	"strings"
)

// foreign recognises other formats by the names of their tensors, their shapes
// and types; "" is GPTQ, floating point, or a format that is not known. tensor
// is the first that shows it.
func (inv *inventory) foreign() (format, tensor string) {
	for name, t := range inv.tensors {
		found := inv.formatOf(name, t)
		if found != "" && (tensor == "" || compareNames(name, tensor) < 0) {
			format, tensor = found, name
		}
	}
	if format != "" {
		return format, tensor
	}
	for _, m := range inv.modules {
		if m.whole() && m.isAWQ() {
			return "AWQ", m.qweight.Name
		}
	}
	return "", ""
}

// formatOf names the format that has a tensor of this name. What stands beside
// it is asked for where the name alone could be anything.
func (inv *inventory) formatOf(name string, t *placed) string {
	dot := strings.LastIndexByte(name, '.')
	base, last := name[:max(0, dot)], name[dot+1:]
	has := func(part string) bool { return inv.tensors[base+"."+part] != nil }
	switch last {
	case "q_weight":
		return "EXL2"
	case "trellis":
		return "EXL3"
	case "weight_packed":
		return "compressed-tensors"
	case "absmax", "quant_map", "SCB":
		return "bitsandbytes"
	case "bitsandbytes__nf4", "bitsandbytes__fp4":
		return "bitsandbytes"
	case "W_q":
		return "HQQ"
	case "Qidxs":
		return "QuIP#"
	case "codes":
		if has("codebooks") {
			return "AQLM"
		}
	case "weight_scale_inv":
		return "FP8"
	case "weight":
		if strings.HasPrefix(t.DType, "F8_") {
			return "FP8"
		}
	case "B", "B_24":
		if has("s") {
			return "Marlin"
		}
	case "zeros":
		if has("qweight") && !has("qzeros") {
			return "GPTQ of before zero points were packed"
		}
	}
	if base, ok := strings.CutSuffix(name, "_blocks"); ok && inv.tensors[base+"_scales"] != nil {
		return "MXFP4"
	}
	return ""
}

// isAWQ: AWQ packs qweight along the columns too, [K, N·bits/32], as wide as
// qzeros; GPTQ's qweight is as wide as scales.
func (m *module) isAWQ() bool {
	w, z, s := m.qweight.Shape, m.qzeros.Shape, m.scales.Shape
	return len(w) == 2 && len(z) == 2 && len(s) == 2 && w[1] == z[1] && w[1] != s[1]
}
