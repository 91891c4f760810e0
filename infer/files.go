package infer

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/qbranch/qbranch/infer/model"
	"github.com/qbranch/qbranch/quant"
	"github.com/qbranch/qbranch/quant/gptq"
	"github.com/qbranch/qbranch/quant/safetensors"
)

// Limits on the small files, in bytes.
const (
	maxConfig    = 4 << 20
	maxTokenizer = 256 << 20
)

// configFiles may declare the quantisation: the first one for transformers, the
// others for AutoGPTQ.
var configFiles = []string{"config.json", "quantize_config.json", "quant_config.json"}

// FilesInDir lists a folder's regular files; a link to a file counts as one.
func FilesInDir(dir string) (Files, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, &inputError{fmt.Errorf("reading the checkpoint's folder: %w", err), "give a folder that holds config.json and safetensors files"}
	}
	files := make(Files)
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		info, err := os.Stat(path)
		if err != nil {
			return nil, &inputError{fmt.Errorf("reading the checkpoint's folder: %w", err), "a link may point nowhere: fetch the file again"}
		}
		if info.Mode().IsRegular() {
			files[e.Name()] = path
		}
	}
	return files, nil
}

// read returns a file's bytes, nil when there is no such file.
func (f Files) read(name string, limit int64) ([]byte, error) {
	path, ok := f[name]
	if !ok {
		return nil, nil
	}
	file, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, &model.Error{Kind: ErrCheckpoint, File: name, Err: err, Help: "fetch the file again"}
	}
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", name, err)
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, limit+1))
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", name, err)
	}
	if int64(len(data)) > limit {
		return nil, &model.Error{Kind: ErrCheckpoint, File: name, Reason: fmt.Sprintf("more than %d bytes", limit)}
	}
	return data, nil
}

// quantConfig finds the declared quantisation: in config.json, as transformers
// looks for it, else in the file of AutoGPTQ. None is a model in full precision.
func (f Files) quantConfig(config []byte) (quant.Config, error) {
	q, ok, err := quant.ParseModelConfig(config)
	if err != nil {
		return q, &model.Error{Kind: ErrCheckpoint, Err: err}
	}
	for _, name := range configFiles[1:] {
		data, err := f.read(name, maxConfig)
		if err != nil {
			return q, err
		}
		if ok || data == nil {
			continue
		}
		if q, err = quant.ParseConfig(name, data); err != nil {
			return q, &model.Error{Kind: ErrCheckpoint, Err: err}
		}
		ok = true
	}
	if ok && q.Method != "gptq" {
		return q, notGPTQ(q.File, "quantisation method "+q.Method)
	}
	if ok && !slices.Contains([]string{"gptq", "gptq_v2", "gptq_p"}, q.Format) {
		return q, notGPTQ(q.File, "checkpoint format "+q.Format)
	}
	if ok && q.Bits != 0 && !gptq.Supported(q.Bits) {
		return q, &model.Error{Kind: ErrUnsupported, File: q.File, Reason: fmt.Sprintf("bits %d is not supported, only 2, 3, 4 and 8", q.Bits)}
	}
	return q, nil
}

func notGPTQ(file, what string) error {
	return &model.Error{Kind: ErrUnsupported, File: file, Reason: what + " is not supported, only GPTQ in its gptq, gptq_v2 and gptq_p formats"}
}

var shardName = regexp.MustCompile(`^(.*)-\d+-of-(\d+)\.safetensors$`)

// weights picks the safetensors files to load, as quant does it.
func (f Files) weights() ([]model.WeightFile, error) {
	in := quant.Input{Files: make(map[string]int64), JSON: make(map[string][]byte)}
	indexed := make(map[string]string) // shard → index
	var bad error                      // an index that cannot be read
	for name := range f {
		in.Files[name] = 0
		isIndex := strings.HasSuffix(name, ".safetensors.index.json")
		if !isIndex && !slices.Contains(configFiles, name) {
			continue
		}
		data, err := f.read(name, safetensors.MaxIndex)
		if err != nil {
			return nil, err
		}
		in.JSON[name] = data
		if !isIndex {
			continue
		}
		index, err := safetensors.ParseIndex(data)
		if err != nil {
			bad = &model.Error{Kind: ErrCheckpoint, File: name, Err: err}
			continue
		}
		for _, shard := range index.Shards {
			indexed[shard] = name
		}
	}
	names := in.WeightFiles()
	cfg, _ := in.Config()
	named := len(names) == 1 && names[0] == cfg.FileBaseName+".safetensors"
	switch {
	case bad != nil && !named: // it may be what says which files to load
		return nil, bad
	case len(names) == 0:
		return nil, f.noWeights()
	}
	known := true
	for _, name := range names {
		if _, ok := f[name]; !ok {
			return nil, &model.Error{Kind: ErrCheckpoint, File: name, Reason: "named by " + indexed[name] + " but not there", Help: "fetch the missing file"}
		}
		known = known && indexed[name] != ""
	}
	if len(names) > 1 && !known {
		return f.shards(names)
	}
	return f.named(names...), nil
}

func (f Files) named(names ...string) []model.WeightFile {
	var out []model.WeightFile
	for _, name := range names {
		out = append(out, model.WeightFile{Name: name, Path: f[name]})
	}
	return out
}

// shards takes a complete set of numbered files that lost its index.
func (f Files) shards(names []string) ([]model.WeightFile, error) {
	m := shardName.FindStringSubmatch(names[0])
	if m == nil || fmt.Sprintf("%0*d", len(m[2]), len(names)) != m[2] {
		return nil, &model.Error{Kind: ErrCheckpoint, Reason: "several safetensors files and no index: " + strings.Join(names, ", "),
			Help: "keep only the files of one checkpoint in the folder, or fetch its model.safetensors.index.json"}
	}
	for _, name := range names {
		if other := shardName.FindStringSubmatch(name); other == nil || other[1] != m[1] || other[2] != m[2] {
			return nil, &model.Error{Kind: ErrCheckpoint, Reason: fmt.Sprintf("%s and %s are not of one checkpoint", names[0], name),
				Help: "keep only the files of one checkpoint in the folder"}
		}
	}
	return f.named(names...), nil
}

func (f Files) noWeights() error {
	for _, name := range slices.Sorted(maps.Keys(f)) {
		switch ext := filepath.Ext(name); ext {
		case ".gguf", ".ggml":
			return &model.Error{Kind: ErrUnsupported, File: name, Reason: "weights of llama.cpp's format are not loaded, only safetensors",
				Help: "run it with llama.cpp, or look for a branch or repository with safetensors"}
		case ".bin", ".pt", ".pth", ".ckpt":
			return &model.Error{Kind: ErrUnsupported, File: name, Reason: "weights of type " + ext + " are not loaded, only safetensors",
				Help: "look for a branch or repository with safetensors; pickle files (.bin, .pt) can run code and are never opened"}
		}
	}
	return &model.Error{Kind: ErrCheckpoint, Reason: "no safetensors file", Help: "fetch the weights, or give the folder they are in"}
}
