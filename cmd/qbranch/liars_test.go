package main

import (
	"bytes"
	"fmt"
	"maps"
	"strings"

	"github.com/qbranch/qbranch/cmd/qbranch/internal/demo"
	"github.com/qbranch/qbranch/hub/hubtest"
)

// liarsRepo is a repository in which every source of a branch lies once.
const liarsRepo = "acme/liars-GPTQ"

// liars is the demo's repository with:
//
//	main                           as it should be, and the card of all
//	gptq-3bit--1g-actorder_True    as it should be
//	gptq-3bit-128g-actorder_True   quantize_config.json has act-order, config.json has not
//	gptq-3bit-32g-actorder_True    two rows on the card, the first of 4 bits
//	gptq-4bit-128g-actorder_True   another size on the card
//	gptq-4bit-32g-actorder_True    the weights of 3 bits
//	gptq-4bit-64g-actorder_True    on the card only, where it has 3 bits
//	gptq-8bit--1g-actorder_True    quantize_config.json says 4 bits
//	gptq-8bit-128g-actorder_True   pickles instead of weights
//	awq, gguf, notes               other formats, and nothing at all; the card does not list them
//	copy                           at the commit of gptq-3bit--1g-actorder_True
func liars() (hubtest.RepoData, error) {
	all, err := demoRepo()
	if err != nil {
		return hubtest.RepoData{}, err
	}
	b := make(map[string]map[string][]byte)
	for name, files := range all {
		b[name] = maps.Clone(files)
	}
	edit := func(branch, file, old, with string) {
		if err == nil && !bytes.Contains(b[branch][file], []byte(old)) {
			err = fmt.Errorf("%s of %s has no %q", file, branch, old)
		}
		b[branch][file] = bytes.ReplaceAll(b[branch][file], []byte(old), []byte(with))
	}
	edit("main", "README.md", demo.RepoID, liarsRepo)
	b["main"]["README.md"] = []byte(lyingCard(string(b["main"]["README.md"])))
	edit("gptq-3bit-128g-actorder_True", "config.json", `"desc_act": true`, `"desc_act": false`)
	b["gptq-4bit-32g-actorder_True"][weights] = b["gptq-3bit-32g-actorder_True"][weights]
	edit("gptq-8bit--1g-actorder_True", "quantize_config.json", `"bits": 8`, `"bits": 4`)
	pickles := b["gptq-8bit-128g-actorder_True"]
	pickles["pytorch_model.bin"] = pickles[weights]
	delete(pickles, weights)
	b["awq"] = maps.Clone(b["main"])
	b["awq"]["quantize_config.json"] = []byte(`{"w_bit":4,"q_group_size":128,"zero_point":true,"version":"GEMM"}`)
	delete(b["awq"], "config.json")
	b["gguf"] = map[string][]byte{"model.Q4_K_M.gguf": []byte("GGUF"), "config.json": []byte(`{"model_type":"mixtral"}`)}
	b["notes"] = map[string][]byte{"notes.txt": []byte("nothing yet\n")}
	b["copy"] = b["gptq-3bit--1g-actorder_True"]
	return hubtest.RepoData{ID: liarsRepo, Branches: b}, err
}

// lyingCard changes rows of the demo's card.
func lyingCard(card string) string {
	var out strings.Builder
	for row := range strings.Lines(card) {
		switch {
		case strings.HasPrefix(row, "| [gptq-3bit-32g-"):
			out.WriteString(strings.Replace(row, "| 3 | 32 |", "| 4 | 32 |", 1) + row)
			row = strings.ReplaceAll(row, "gptq-3bit-32g-", "gptq-4bit-64g-")
		case strings.HasPrefix(row, "| [gptq-4bit-128g-"):
			row = strings.Replace(row, "2.11 MB", "21.1 MB", 1)
		}
		out.WriteString(row)
	}
	return out.String()
}
