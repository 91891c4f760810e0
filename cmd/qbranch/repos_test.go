package main

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/qbranch/qbranch/cmd/qbranch/internal/demo"
	"github.com/qbranch/qbranch/hub/hubtest"
)

// repository makes a repository for a script's hub:
//
//	demo      the embedded one, eight branches
//	mixtral   mixtralRepo: eight branches of 18 to 48 GB, without their weights (twin_test.go)
//	liars     liarsRepo: every source lies once (liars_test.go)
//	big       acme/big: main with about 24 MiB of weights
//	gated     acme/gated, private: acme/private: the demo's main
//	KIND      bad/KIND: the demo's main, spoilt in one way (spoil)
func repository(kind string) (hubtest.RepoData, error) {
	branches, err := demoRepo()
	if err != nil {
		return hubtest.RepoData{}, err
	}
	main := map[string]map[string][]byte{"main": branches["main"]}
	switch kind {
	case "demo":
		return hubtest.RepoData{ID: demo.RepoID, Branches: branches}, nil
	case "mixtral":
		return mixtralTwin()
	case "liars":
		return liars()
	case "big":
		big, err := bigBranch()
		return hubtest.RepoData{ID: "acme/big", Branches: map[string]map[string][]byte{"main": big}}, err
	case "gated":
		return hubtest.RepoData{ID: "acme/gated", Branches: main, Gated: true}, nil
	case "private":
		return hubtest.RepoData{ID: "acme/private", Branches: main, Private: true}, nil
	}
	bad, err := spoilt(kind)
	return hubtest.RepoData{ID: "bad/" + kind, Branches: map[string]map[string][]byte{"main": bad}}, err
}

// demoRepo is the embedded repository: branch → file → content.
func demoRepo() (map[string]map[string][]byte, error) { return demo.Branches() }

const weights = "model.safetensors"

// bigBranch is the demo's main with one more tensor, of noise, so that there
// is something to interrupt.
var bigBranch = sync.OnceValues(func() (map[string][]byte, error) {
	return changed(weights, func(file []byte) ([]byte, error) {
		noise := make([]byte, 22<<20)
		rand.NewChaCha8([32]byte{1}).Read(noise) // never fails, by its contract
		return editHeader(append(bytes.Clone(file), noise...), func(h map[string]*tensor, end int64) {
			h["model.noise"] = &tensor{DType: "I8", Shape: []int64{22 << 20}, Offsets: [2]int64{end - 22<<20, end}}
		})
	})
})

// spoilt is the demo's main, spoilt in one way that is out there, or could be.
func spoilt(kind string) (map[string][]byte, error) {
	switch kind {
	case "trailing-bracket": // found in the wild
		return changed("quantize_config.json", func(b []byte) ([]byte, error) { return append(bytes.Clone(b), ']'), nil })
	case "no-card":
		branches, err := demoRepo()
		if err != nil {
			return nil, err
		}
		files := maps.Clone(branches["main"])
		delete(files, "README.md")
		return files, nil
	case "only-bad-config": // and there is no other
		files, err := spoilt("trailing-bracket")
		if err == nil {
			files["config.json"], err = replace(`"quantization_config"`, `"something_else"`)(files["config.json"])
		}
		return files, err
	case "bits5":
		files, err := changed("quantize_config.json", replace(`"bits": 4`, `"bits": 5`))
		if err == nil {
			files["config.json"], err = replace(`"bits": 4`, `"bits": 5`)(files["config.json"])
		}
		return files, err
	case "header-2-60":
		return changed(weights, func(b []byte) ([]byte, error) {
			return append(binary.LittleEndian.AppendUint64(nil, 1<<60), b[8:]...), nil
		})
	case "overlap":
		return changed(weights, func(b []byte) ([]byte, error) {
			return editHeader(b, func(h map[string]*tensor, end int64) { // the second tensor begins inside the first
				second := h["model.layers.0.block_sparse_moe.experts.0.w1.qweight"]
				second.Offsets[0] -= 512
				second.Offsets[1] -= 512
			})
		})
	case "outside":
		return changed(weights, func(b []byte) ([]byte, error) { return b[:len(b)-4096], nil }) // offsets leave the file
	case "dotdot":
		return changed("config.json", func(b []byte) ([]byte, error) { return b, nil }, "../evil.txt", "owned")
	case "nan-scales":
		return changed(weights, func(b []byte) ([]byte, error) { return nanScales(b) })
	case "unknown-arch":
		files, err := changed("config.json", replace(`"MixtralForCausalLM"`, `"WombatForCausalLM"`))
		if err == nil {
			files["config.json"], err = replace(`"mixtral"`, `"wombat"`)(files["config.json"])
		}
		return files, err
	case "escape": // a file name that paints the terminal
		return changed("config.json", func(b []byte) ([]byte, error) { return b, nil }, "note\x1b[31m.txt", "x")
	}
	return nil, fmt.Errorf("no repository %q", kind)
}

// changed is the demo's main with one file changed, and perhaps one added.
func changed(name string, change func([]byte) ([]byte, error), more ...string) (map[string][]byte, error) {
	branches, err := demoRepo()
	if err != nil {
		return nil, err
	}
	files := maps.Clone(branches["main"])
	if files[name], err = change(files[name]); err != nil {
		return nil, fmt.Errorf("change %s: %w", name, err)
	}
	for i := 0; i+1 < len(more); i += 2 {
		files[more[i]] = []byte(more[i+1])
	}
	return files, nil
}

func replace(old, with string) func([]byte) ([]byte, error) {
	return func(b []byte) ([]byte, error) {
		if !bytes.Contains(b, []byte(old)) {
			return nil, fmt.Errorf("no %s in it", old)
		}
		return bytes.ReplaceAll(b, []byte(old), []byte(with)), nil
	}
}

// tensor is an entry of a safetensors header.
type tensor struct {
	DType   string   `json:"dtype"`
	Shape   []int64  `json:"shape"`
	Offsets [2]int64 `json:"data_offsets"` // from the start of the data
}

// splitHeader reads a safetensors file: its tensors, its other header entry, its data.
func splitHeader(file []byte) (tensors map[string]*tensor, meta json.RawMessage, data []byte, err error) {
	n := binary.LittleEndian.Uint64(file)
	entries := map[string]json.RawMessage{}
	if err := json.Unmarshal(file[8:8+n], &entries); err != nil {
		return nil, nil, nil, err
	}
	meta = entries["__metadata__"]
	delete(entries, "__metadata__")
	tensors = map[string]*tensor{}
	for name, raw := range entries {
		tensors[name] = &tensor{}
		if err := json.Unmarshal(raw, tensors[name]); err != nil {
			return nil, nil, nil, err
		}
	}
	return tensors, meta, file[8+n:], nil
}

// editHeader changes the header of a safetensors file; end is the data's length.
func editHeader(file []byte, edit func(h map[string]*tensor, end int64)) ([]byte, error) {
	tensors, meta, data, err := splitHeader(file)
	if err != nil {
		return nil, err
	}
	edit(tensors, int64(len(data)))
	all := map[string]any{"__metadata__": meta}
	for name, t := range tensors {
		all[name] = t
	}
	header, err := json.Marshal(all)
	if err != nil {
		return nil, err
	}
	out := binary.LittleEndian.AppendUint64(nil, uint64(len(header)))
	return append(append(out, header...), data...), nil
}

// nanScales puts a NaN into the first scale of every quantised matrix.
func nanScales(file []byte) ([]byte, error) {
	tensors, _, data, err := splitHeader(file)
	if err != nil {
		return nil, err
	}
	out := bytes.Clone(file)
	body := out[len(file)-len(data):]
	spoiltOnes := 0
	for name, t := range tensors {
		if strings.HasSuffix(name, ".scales") && t.DType == "F16" {
			binary.LittleEndian.PutUint16(body[t.Offsets[0]:], 0x7e00)
			spoiltOnes++
		}
	}
	if spoiltOnes == 0 {
		return nil, fmt.Errorf("no scales to spoil")
	}
	return out, nil
}

// cmdCheckpoint writes a folder: checkpoint KIND DIR; KIND "good" is the
// demo's main as it is.
func cmdCheckpoint(ts *testscript.TestScript, neg bool, args []string) {
	usageIf(ts, neg || len(args) != 2, "checkpoint KIND DIR")
	branches, err := demoRepo()
	ts.Check(err)
	files := branches["main"]
	if args[0] != "good" {
		files, err = spoilt(args[0])
		ts.Check(err)
	}
	dir := ts.MkAbs(args[1])
	ts.Check(os.MkdirAll(dir, 0o755))
	for name, content := range files {
		ts.Check(os.WriteFile(filepath.Join(dir, name), content, 0o644))
	}
}
