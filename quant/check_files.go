package quant

import (
	"cmp"
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/qbranch/qbranch/quant/safetensors"
)

// checkFiles judges the containers: their lengths, the index, the metadata.
func (c *checker) checkFiles() {
	for _, file := range c.inv.files {
		h := c.in.Headers[file]
		if h == nil {
			continue
		}
		size, listed := c.in.Files[file]
		if end := dataEnd(h); listed && end != size {
			c.add(Finding{
				Code: "H1", Severity: Fatal, Where: file,
				Got: strconv.FormatInt(size, 10), Want: strconv.FormatInt(end, 10),
				Message: fmt.Sprintf("the header describes %d bytes, the file has %d", end, size),
				Hint:    "the file is cut short or not the one its header belongs to: fetch it again",
			})
		}
		c.checkMetadata(file, h.Metadata)
	}
	indexed := false
	for name, data := range c.in.JSON {
		if path.Dir(name) == "." && strings.HasSuffix(name, ".safetensors.index.json") {
			indexed = true
			c.checkIndex(name, data)
		}
	}
	if n := len(c.inv.twice); n > 0 && !indexed { // with an index they are H2's
		t := c.inv.twice[0]
		c.add(Finding{
			Code: "H14", Severity: Warn, Where: t.file,
			Got: fmt.Sprintf("%d tensors twice", n), Want: "one file, or an index",
			Message: fmt.Sprintf("%s stands in several of %s, and so do %d tensors in all: engines differ in which they use", t.Name, strings.Join(c.inv.files, ", "), n),
			Hint:    "fetch one of the files alone, with --include",
		})
	}
}

func dataEnd(h *safetensors.Header) int64 {
	if len(h.Tensors) == 0 {
		return h.DataOff
	}
	last := h.Tensors[len(h.Tensors)-1]
	return last.Offset + last.Size
}

// checkIndex compares an index with the headers of its shards.
func (c *checker) checkIndex(name string, data []byte) {
	bad := func(kind string, severity Severity, where, got, want, message string) {
		c.count(kind+where, Finding{
			Code: "H2", Severity: severity, Where: where,
			Got: got, Want: want,
			Message: message,
			Hint:    "fetch the index and its shards from one and the same commit",
		})
	}
	x, err := safetensors.ParseIndex(data)
	if err != nil {
		bad("broken", Fatal, name, "something else", "an index of safetensors files beside it", err.Error())
		return
	}
	var sum int64
	complete := true
	for _, shard := range x.Shards {
		h := c.in.Headers[shard]
		if h == nil {
			complete = false
			if _, listed := c.in.Files[shard]; c.in.Files != nil && !listed {
				bad("missing", Fatal, shard, "no such file", shard, "the index needs it, but the branch does not have it")
			}
			continue
		}
		for _, t := range h.Tensors {
			sum += t.Size
			if x.WeightMap[t.Name] != shard {
				bad("orphan", Warn, shard, shard, cmp.Or(x.WeightMap[t.Name], "not in the index"), fmt.Sprintf("holds %s, which the index does not place there", t.Name))
			}
		}
	}
	for _, tensor := range slices.SortedFunc(maps.Keys(x.WeightMap), compareNames) {
		shard := x.WeightMap[tensor]
		if h := c.in.Headers[shard]; h != nil {
			if _, ok := h.Lookup(tensor); !ok {
				bad("lacks", Fatal, shard, "not there", tensor, fmt.Sprintf("lacks %s, which the index places in it", tensor))
			}
		}
	}
	if complete && x.TotalSize >= 0 && x.TotalSize != sum {
		bad("total", Warn, name, strconv.FormatInt(x.TotalSize, 10), strconv.FormatInt(sum, 10), fmt.Sprintf("total_size is %d, the tensors have %d bytes", x.TotalSize, sum))
	}
}

// checkMetadata compares the parameters AutoGPTQ writes into the weight file, a
// third copy of them that nobody edits.
func (c *checker) checkMetadata(file string, meta map[string]string) {
	says, ok := ParseMetadata(file, meta)
	if !ok {
		return
	}
	differ := func(key string, says, is string) {
		if says == "" || is == "" || strings.EqualFold(says, is) {
			return
		}
		c.count(key, Finding{
			Code: "H11", Severity: Warn, Where: file, Field: key,
			Got: says, Want: is,
			Message: fmt.Sprintf("the file's own metadata says %s %s, the configuration says %s", key, says, is),
			Hint:    "the configuration may belong to another branch: compare with the model card",
		})
	}
	differ("bits", says.bitsText(), c.cfg.bitsText())
	differ("group_size", says.groupText(), c.cfg.groupText())
	differ("desc_act", boolText(says.DescAct), boolText(c.cfg.DescAct))
	differ("sym", boolText(says.Sym), boolText(c.cfg.Sym))
	differ("damp_percent", floatText(says.DampPercent), floatText(c.cfg.DampPercent))
	differ("checkpoint_format", says.formatText(), c.cfg.Format)
	if _, stated := meta["gptq_quant_method"]; stated {
		differ("quant_method", says.Method, c.cfg.Method)
	}
	for _, o := range says.odd {
		differ(o.key, o.value, o.want)
	}
}
