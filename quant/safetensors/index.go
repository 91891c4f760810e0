package safetensors

import (
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// MaxIndex is the longest index [ParseIndex] reads, in bytes.
const MaxIndex = 64 << 20

// Index is a parsed model.safetensors.index.json: which shard holds which
// tensor. Source: split_torch_state_dict_into_shards in huggingface_hub.
type Index struct {
	WeightMap map[string]string // tensor → shard, a plain file name beside the index
	TotalSize int64             // metadata.total_size, bytes of all tensors; -1 when absent
	Shards    []string          // the distinct shards, sorted
}

// ParseIndex reads an index. Shard names are checked to be plain names of
// safetensors files, so that they can be joined to the index's folder.
func ParseIndex(data []byte) (*Index, error) {
	if len(data) > MaxIndex {
		return nil, malformed("the index has %d bytes, more than the limit of %d", len(data), MaxIndex)
	}
	if !utf8.Valid(data) {
		return nil, malformed("the index is not valid UTF-8")
	}
	d := &decoder{scanner: scanner{buf: data}}
	x := &Index{TotalSize: -1}
	err := d.object(func(key string) error {
		var err error
		switch key {
		case "weight_map":
			x.WeightMap, err = d.stringMap("weight_map")
		case "metadata":
			err = d.indexMetadata(x)
		default:
			err = d.skip()
		}
		return err
	})
	if err == nil {
		err = d.end()
	}
	if err != nil {
		return nil, jsonErr("index", err)
	}
	if len(x.WeightMap) == 0 {
		return nil, malformed("the index has no weight_map")
	}
	return x, x.collectShards()
}

// indexMetadata reads total_size out of the metadata object. Some writers print
// it as a float (26066534400.0), which is accepted when it is whole.
func (d *decoder) indexMetadata(x *Index) error {
	return d.object(func(key string) error {
		if key != "total_size" {
			return d.skip()
		}
		c := d.peek()
		num, err := d.token()
		if err != nil {
			return err
		}
		if c != '-' && (c < '0' || c > '9') {
			return malformed("the index's total_size is %s, not a number", num)
		}
		whole := strings.TrimSuffix(num, ".0")
		x.TotalSize, err = strconv.ParseInt(whole, 10, 64)
		if err != nil || x.TotalSize < 0 {
			return malformed("the index's total_size is %s, not a number of bytes", num)
		}
		return nil
	})
}

func (x *Index) collectShards() error {
	seen := make(map[string]bool)
	for name, shard := range x.WeightMap {
		if seen[shard] {
			continue
		}
		if !plainFileName(shard) || !strings.HasSuffix(shard, ".safetensors") {
			return tensorErr(name, "the index places it in %q, which is not the name of a safetensors file", shard)
		}
		seen[shard] = true
		x.Shards = append(x.Shards, shard)
	}
	slices.Sort(x.Shards)
	return nil
}

// plainFileName accepts names that mean the same single file on every system:
// no separators, drive letters, control characters or dot names.
func plainFileName(s string) bool {
	return s != "" && len(s) <= 255 && s != "." && s != ".." &&
		!strings.ContainsAny(s, `/\:`) && !strings.ContainsFunc(s, unicode.IsControl)
}
