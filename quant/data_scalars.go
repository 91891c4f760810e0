package quant

import (
	"encoding/binary"
	"fmt"
	"strconv"
)

// readScalars compares the parameters that TGI's own quantiser stores as tensors
// of one value, which TGI believes before any configuration file. Source:
// text-generation-inference layers/gptq/__init__.py.
func (d *dataChecker) readScalars() error {
	for _, p := range []struct{ tensor, key, want string }{
		{"gptq_bits", "bits", d.cfg.bitsText()},
		{"gptq_groupsize", "group_size", d.cfg.groupText()},
		{"gptq_sym", "sym", boolText(d.cfg.Sym)},
	} {
		t := d.inv.tensors[p.tensor]
		if t == nil || p.want == "" {
			continue
		}
		got := fmt.Sprintf("%s %v", t.DType, t.Shape)
		if n := t.Elements(); n == 1 && t.Size <= 8 && !isFloat(t.DType) {
			var raw [8]byte
			if n, err := d.readers[t.file].ReadAt(raw[:t.Size], t.Offset); n < int(t.Size) {
				return fmt.Errorf("reading tensor %q of %s: %w", t.Name, t.file, noEOF(err))
			}
			v := int64(binary.LittleEndian.Uint64(raw[:]))
			if t.Size == 4 {
				v = int64(int32(v))
			}
			if got = strconv.FormatInt(v, 10); p.key == "sym" {
				got = strconv.FormatBool(v != 0)
			}
		}
		if got != p.want {
			d.add(Finding{
				Code: "H11", Severity: Warn, Where: t.Name, Field: p.key,
				Got: got, Want: p.want,
				Message: fmt.Sprintf("the tensor says %s, the configuration says %s %s: TGI believes the tensor", got, p.key, p.want),
				Hint:    "the configuration may belong to another branch: compare with the model card",
			})
		}
	}
	return nil
}
