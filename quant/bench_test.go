package quant

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"
	"testing"

	"github.com/qbranch/qbranch/quant/safetensors"
)

// headerOf writes the header of one file with these tensors.
func headerOf(l Layout) []byte {
	var b bytes.Buffer
	b.WriteString(`{"__metadata__":{"format":"pt"}`)
	var offset int64
	for _, t := range l.Tensors {
		shape := strings.ReplaceAll(fmt.Sprint(t.Shape), " ", ",")
		fmt.Fprintf(&b, `,%q:{"dtype":%q,"shape":%s,"data_offsets":[%d,%d]}`, t.Name, t.DType, shape, offset, offset+t.Bytes)
		offset += t.Bytes
	}
	b.WriteByte('}')
	return append(binary.LittleEndian.AppendUint64(nil, uint64(b.Len())), b.Bytes()...)
}

// inputOf is a checkpoint of one file of which the header alone is there.
func inputOf(t testing.TB, model, config string, l Layout) (Input, []byte) {
	t.Helper()
	raw := headerOf(l)
	size := int64(len(raw)) + l.DataBytes()
	h, err := safetensors.Limits{HeaderBytes: 64 << 20, Tensors: 1 << 20}.Parse(bytes.NewReader(raw), size)
	if err != nil {
		t.Fatal(err)
	}
	return Input{
		Files:   map[string]int64{"config.json": int64(len(model)), "quantize_config.json": int64(len(config)), "model.safetensors": size},
		JSON:    map[string][]byte{"config.json": []byte(model), "quantize_config.json": []byte(config)},
		Headers: map[string]*safetensors.Header{"model.safetensors": h},
	}, raw
}

const config4x128 = `{"bits":4,"group_size":128,"desc_act":true,"sym":true,"damp_percent":0.1,"model_file_base_name":"model"}`

var bigModels = []struct{ name, config string }{
	{"mixtral-8x7B", mixtral8x7B},
	{"llama-70B", llama2x70B},
	{"mixtral-8x22B", dims("mixtral", 6144, 16384, 56, 48, 8, 32000, `,"num_local_experts":8`)},
	{"qwen3-30B-A3B", dims("qwen3_moe", 2048, 6144, 48, 32, 4, 151936, `,"num_experts":128,"moe_intermediate_size":768,"head_dim":128`)},
	{"qwen3-235B", dims("qwen3_moe", 4096, 12288, 94, 64, 4, 151936, `,"num_experts":128,"moe_intermediate_size":1536,"head_dim":128`)},
}

// What a header costs before weights move: reading and judging it.
func BenchmarkCheck(b *testing.B) {
	for _, big := range bigModels {
		m, err := ParseModel([]byte(big.config))
		if err != nil {
			b.Fatal(err)
		}
		cfg, err := ParseConfig("quantize_config.json", []byte(config4x128))
		if err != nil {
			b.Fatal(err)
		}
		l, err := LayoutOf(cfg, m, LayoutOptions{ZeroBias: !strings.HasPrefix(big.name, "qwen3")})
		if err != nil {
			b.Fatal(err)
		}
		in, raw := inputOf(b, big.config, config4x128, l)
		b.Run(fmt.Sprintf("%s-%d/check", big.name, len(l.Tensors)), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				Check(in)
			}
		})
		b.Run(fmt.Sprintf("%s-%d/parse", big.name, len(l.Tensors)), func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(raw)))
			for b.Loop() {
				if _, err := (safetensors.Limits{HeaderBytes: 64 << 20}).Parse(bytes.NewReader(raw), in.Files["model.safetensors"]); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(fmt.Sprintf("%s-%d/layout", big.name, len(l.Tensors)), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				l, _ := LayoutOf(cfg, m, LayoutOptions{ZeroBias: true})
				l.FileBytes()
			}
		})
	}
}

// What everything costs that is asked of a branch once its header is there:
// Qwen3-30B-A3B has 74,000 tensors.
func BenchmarkInspection(b *testing.B) {
	for _, big := range bigModels {
		m, err := ParseModel([]byte(big.config))
		if err != nil {
			b.Fatal(err)
		}
		cfg, err := ParseConfig("quantize_config.json", []byte(config4x128))
		if err != nil {
			b.Fatal(err)
		}
		l, err := LayoutOf(cfg, m, LayoutOptions{ZeroBias: !strings.HasPrefix(big.name, "qwen3")})
		if err != nil {
			b.Fatal(err)
		}
		in, _ := inputOf(b, big.config, config4x128, l)
		for _, ask := range []struct {
			name string
			take func(Input) Input
		}{{"each", func(in Input) Input { return in }}, {"once", Input.WithInventory}} {
			b.Run(fmt.Sprintf("%s-%d/%s", big.name, len(l.Tensors), ask.name), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					in := ask.take(in)
					in.Proven()
					in.WeightFiles()
					in.Config()
					in.Beliefs()
					Check(in)
				}
			})
		}
	}
}
