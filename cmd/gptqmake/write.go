package main

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/qbranch/qbranch/quant"
)

// write makes the folder and gives the bytes of its tensors. config.json comes
// last: without it nothing takes the folder for a checkpoint.
func write(o options) (int64, error) {
	config, err := encode(o.config())
	if err != nil {
		return 0, err
	}
	layout, err := layoutOf(config, o.zeroBias)
	if err != nil {
		return 0, err
	}
	if err := os.MkdirAll(o.dir, 0o777); err != nil {
		return 0, err
	}
	if entries, err := os.ReadDir(o.dir); err != nil || len(entries) > 0 {
		return 0, errors.Join(err, fmt.Errorf("%s: want an empty folder", o.dir))
	}
	files := split(layout.Tensors, o.shard)
	f := newFiller(o)
	for _, file := range files {
		if err := file.write(o, f); err != nil {
			return 0, fmt.Errorf("writing %s: %w", file.name, err)
		}
	}
	if err := writeJSON(o, "quantize_config.json", o.quantConfig()); err != nil {
		return 0, err
	}
	if err := writeJSON(o, "tokenizer.json", tokenizer(o.Vocab)); err != nil {
		return 0, err
	}
	if len(files) > 1 {
		if err := writeJSON(o, "model.safetensors.index.json", index(files, layout.DataBytes())); err != nil {
			return 0, err
		}
	}
	return layout.DataBytes(), os.WriteFile(filepath.Join(o.dir, "config.json"), config, 0o666)
}

func writeJSON(o options, name string, v any) error {
	data, err := encode(v)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(o.dir, name), data, 0o666)
}

// layoutOf lists the tensors in the order of the safetensors library: wide types
// first, then by name.
func layoutOf(config []byte, zeroBias bool) (quant.Layout, error) {
	m, err := quant.ParseModel(config)
	if err != nil {
		return quant.Layout{}, err
	}
	q, _, err := quant.ParseModelConfig(config)
	if err != nil {
		return quant.Layout{}, err
	}
	layout, err := quant.LayoutOf(q, m, quant.LayoutOptions{ZeroBias: zeroBias})
	if err != nil {
		return quant.Layout{}, err
	}
	slices.SortFunc(layout.Tensors, func(a, b quant.LayoutTensor) int {
		return cmp.Or(strings.Compare(b.DType, a.DType), strings.Compare(a.Name, b.Name)) // I32 before F16
	})
	return layout, nil
}

// file is one of the checkpoint's files.
type file struct {
	name    string
	tensors []quant.LayoutTensor
}

// split puts tensors into files of at most limit bytes, or of one tensor.
func split(tensors []quant.LayoutTensor, limit int64) []file {
	var files []file
	var size int64
	for _, t := range tensors {
		if files == nil || limit > 0 && size+t.Bytes > limit {
			files, size = append(files, file{}), 0
		}
		last := &files[len(files)-1]
		last.tensors = append(last.tensors, t)
		size += t.Bytes
	}
	for i := range files {
		files[i].name = fmt.Sprintf("model-%05d-of-%05d.safetensors", i+1, len(files))
	}
	if len(files) == 1 {
		files[0].name = "model.safetensors"
	}
	return files
}

// index is model.safetensors.index.json.
func index(files []file, size int64) map[string]any {
	where := make(map[string]string)
	for _, f := range files {
		for _, t := range f.tensors {
			where[t.Name] = f.name
		}
	}
	return map[string]any{"metadata": map[string]int64{"total_size": size}, "weight_map": where}
}

func (f file) write(o options, fill *filler) (err error) {
	out, err := os.OpenFile(filepath.Join(o.dir, f.name), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	header, err := f.header()
	if err != nil {
		return err
	}
	if _, err := out.Write(header); err != nil {
		return err
	}
	end := int64(len(header))
	for _, t := range f.tensors {
		end += t.Bytes
		if o.sparse && t.Role == quant.RoleExperts {
			if _, err := out.Seek(t.Bytes, io.SeekCurrent); err != nil {
				return err
			}
			continue
		}
		if err := fill.fill(out, t); err != nil {
			return err
		}
	}
	if at, err := out.Seek(0, io.SeekCurrent); err != nil || at != end {
		return errors.Join(err, fmt.Errorf("%d bytes written of %d", at, end))
	}
	return out.Truncate(end) // a hole at the end has a length too
}

// header is everything before the first tensor's bytes.
func (f file) header() ([]byte, error) {
	type entry struct {
		DType   string   `json:"dtype"`
		Shape   []int64  `json:"shape"`
		Offsets [2]int64 `json:"data_offsets"`
	}
	entries := make(map[string]any, len(f.tensors)+1)
	entries["__metadata__"] = map[string]string{"format": "pt"}
	var at int64
	for _, t := range f.tensors {
		entries[t.Name] = entry{t.DType, t.Shape, [2]int64{at, at + t.Bytes}}
		at += t.Bytes
	}
	text, err := json.Marshal(entries)
	if err != nil {
		return nil, err
	}
	text = append(text, bytes.Repeat([]byte(" "), (8-len(text)%8)%8)...)
	return append(binary.LittleEndian.AppendUint64(nil, uint64(len(text))), text...), nil
}
