package infer

import (
	"fmt"
	"path/filepath"
	"slices"

	"github.com/qbranch/qbranch/infer/model"
)

// CanRun says, from the bytes of a config.json and the names of a checkpoint's
// files, what keeps this package from generating text with it; nil when nothing
// is known that does. It is cheap and reads no weights, so Load may still fail.
func CanRun(config []byte, names []string) error {
	if config == nil {
		return noConfig()
	}
	if _, err := model.ParseConfig(config); err != nil {
		return err
	}
	// Without its files this looks at config.json alone.
	if _, err := (Files{}).quantConfig(config); err != nil {
		return err
	}
	if !slices.Contains(names, tokenizerFile) {
		return noTokenizer(names)
	}
	return nil
}

func noConfig() error {
	return &model.Error{Kind: ErrCheckpoint, File: "config.json", Reason: "missing", Help: "give a folder that holds config.json and safetensors files"}
}

// withoutConfig tells a checkpoint that lacks its config.json from weights of
// another kind, which have none, and from files that are no checkpoint.
func (f Files) withoutConfig() error {
	others := false
	for name := range f {
		if filepath.Ext(name) == ".safetensors" {
			return noConfig()
		}
		others = others || isWeights(name)
	}
	if others {
		return f.noWeights()
	}
	return &inputError{fmt.Errorf("%w: neither config.json nor weights are there", ErrNoCheckpoint), "give a folder that holds config.json and safetensors files"}
}

func isWeights(name string) bool {
	switch filepath.Ext(name) {
	case ".safetensors", ".bin", ".pt", ".pth", ".ckpt", ".gguf", ".ggml":
		return true
	}
	return false
}
