package app_test

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/qbranch/qbranch/cmd/qbranch/internal/app"
	"github.com/qbranch/qbranch/quant/safetensors"
)

// patient is a branch of the demo that can be broken.
type patient struct {
	testing.TB
	files   files
	tensors map[string][]byte // into the weights, by name
}

// newPatient copies a branch, so that it may be changed.
func newPatient(t testing.TB, branch string) *patient {
	t.Helper()
	p := &patient{t, demoBranches(t, branch)[branch], map[string][]byte{}}
	data := bytes.Clone(p.files[weights])
	p.files[weights] = data
	h, err := safetensors.Parse(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range h.Tensors {
		p.tensors[x.Name] = data[x.Offset : x.Offset+x.Size]
	}
	return p
}

// tensor is the bytes of a tensor, to be changed in place.
func (p *patient) tensor(name string) []byte {
	p.Helper()
	data, ok := p.tensors[name]
	if !ok {
		p.Fatalf("no tensor %s", name)
	}
	return data
}

// exchange exchanges two tensors of one size.
func (p *patient) exchange(a, b string) {
	p.Helper()
	x, y := p.tensor(a), p.tensor(b)
	if len(x) != len(y) {
		p.Fatalf("%s and %s are of different sizes", a, b)
	}
	for i := range x {
		x[i], y[i] = y[i], x[i]
	}
}

// roll moves the rows of a tensor down by one.
func (p *patient) roll(name string, rows int) {
	data := p.tensor(name)
	n := len(data) / rows
	last := bytes.Clone(data[len(data)-n:])
	copy(data[n:], data[:len(data)-n])
	copy(data, last)
}

// replace changes a text file; old must be there.
func (p *patient) replace(name, old, new string) {
	p.Helper()
	replace(p, p.files, name, old, new)
}

// scale multiplies fp16 values by a power of two.
func scale(data []byte, exponent int) {
	for i := 0; i < len(data); i += 2 {
		x := binary.LittleEndian.Uint16(data[i:])
		if x&0x7c00 != 0 {
			binary.LittleEndian.PutUint16(data[i:], x+uint16(exponent<<10))
		}
	}
}

// rollVocabulary gives each token of the tokenizer's model the id of the next.
func (p *patient) rollVocabulary() {
	var file map[string]json.RawMessage
	var model map[string]json.RawMessage
	var vocab map[string]int
	p.decode(p.files["tokenizer.json"], &file)
	p.decode(file["model"], &model)
	p.decode(model["vocab"], &vocab)
	const first, last = 259, 1021 // behind the bytes, before the special ones
	for name, id := range vocab {
		if id >= first && id <= last {
			vocab[name] = first + (id-first+1)%(last-first+1)
		}
	}
	model["vocab"] = p.encode(vocab)
	file["model"] = p.encode(model)
	p.files["tokenizer.json"] = p.encode(file)
}

func (p *patient) decode(data []byte, v any) {
	p.Helper()
	if err := json.Unmarshal(data, v); err != nil {
		p.Fatal(err)
	}
}

func (p *patient) encode(v any) []byte {
	p.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		p.Fatal(err)
	}
	return data
}

// write writes it to a folder.
func (p *patient) write() app.Target {
	p.Helper()
	dir := p.TempDir()
	for name, data := range maps.All(p.files) {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			p.Fatal(err)
		}
	}
	return app.Target{Dir: dir}
}

// Modules of the demo.
const (
	attention0 = "model.layers.0.self_attn."
	attention1 = "model.layers.1.self_attn."
	expert     = "model.layers.0.block_sparse_moe.experts."
)

func noise(data []byte) {
	rnd := rand.New(rand.NewPCG(2, 3))
	for i := range data {
		data[i] = byte(rnd.Uint32())
	}
}

var linear = []string{"qweight", "qzeros", "scales", "g_idx"}

// breakages are ways in which a branch is spoiled, from the crude to the subtle.
var breakages = []struct {
	name   string
	damage func(p *patient)
}{
	{"none", func(*patient) {}},
	{"codes of one matrix random", func(p *patient) { noise(p.tensor(attention1 + "o_proj.qweight")) }},
	{"codes of one matrix zero", func(p *patient) { clear(p.tensor(attention1 + "o_proj.qweight")) }},
	{"scales of one matrix zero", func(p *patient) { clear(p.tensor(attention1 + "o_proj.scales")) }},
	{"two matrices exchanged", func(p *patient) {
		for _, x := range linear {
			p.exchange(attention0+"q_proj."+x, attention0+"o_proj."+x)
		}
	}},
	{"one matrix in two layers exchanged", func(p *patient) {
		for _, x := range linear {
			p.exchange(attention0+"o_proj."+x, attention1+"o_proj."+x)
		}
	}},
	{"v1 zeros read as v2", func(p *patient) {
		for _, f := range []string{"config.json", "quantize_config.json"} {
			p.replace(f, `"bits"`, `"checkpoint_format": "gptq_v2", "bits"`)
		}
	}},
	{"rows of the embedding rolled by one", func(p *patient) { p.roll("model.embed_tokens.weight", 1024) }},
	{"rows of lm_head rolled by one", func(p *patient) { p.roll("lm_head.weight", 1024) }},
	{"ids of the tokenizer rolled by one", (*patient).rollVocabulary},
	{"one expert's matrices exchanged", func(p *patient) {
		for _, x := range linear {
			p.exchange(expert+"0.w1."+x, expert+"0.w3."+x)
		}
	}},
	{"scales of two matrices exchanged", func(p *patient) { p.exchange(attention0+"q_proj.scales", attention0+"o_proj.scales") }},
	{"g_idx ignored", func(p *patient) {
		for name, data := range p.tensors {
			if strings.HasSuffix(name, ".g_idx") {
				for i := 0; i < len(data); i += 4 {
					binary.LittleEndian.PutUint32(data[i:], uint32(i/4/32))
				}
			}
		}
	}},
	{"scales of one matrix doubled", func(p *patient) { scale(p.tensor(attention1+"o_proj.scales"), 1) }},
	{"scales of one group ×8", func(p *patient) { scale(p.tensor(attention1 + "o_proj.scales")[:512], 3) }},
	{"twenty bits of one matrix flipped", func(p *patient) {
		data := p.tensor(attention1 + "o_proj.qweight")
		rnd := rand.New(rand.NewPCG(4, 5))
		for range 20 {
			data[rnd.IntN(len(data))] ^= 1 << rnd.IntN(8)
		}
	}},
	{"one sign of an embedding flipped", func(p *patient) { p.tensor("model.embed_tokens.weight")[2*256*400+1] ^= 0x80 }},
	{"an embedding that is no number", func(p *patient) {
		d := p.tensor("model.embed_tokens.weight")
		for i := 0; i < len(d); i += 512 {
			copy(d[i:], []byte{0, 0x7e})
		}
	}},
	{"two norms exchanged", func(p *patient) { p.exchange("model.norm.weight", "model.layers.0.input_layernorm.weight") }},
	{"rope_theta 10000 for 1000000", func(p *patient) { p.replace("config.json", `"rope_theta": 1000000.0`, `"rope_theta": 10000.0`) }},
	{"heads of twice the width", func(p *patient) {
		p.replace("config.json", `"num_attention_heads": 8`, `"num_attention_heads": 4`)
		p.replace("config.json", `"num_key_value_heads": 2`, `"num_key_value_heads": 1`)
	}},
	{"one expert for each token, not two", func(p *patient) { p.replace("config.json", `"num_experts_per_tok": 2`, `"num_experts_per_tok": 1`) }},
	{"the last layer left out", func(p *patient) { p.replace("config.json", `"num_hidden_layers": 2`, `"num_hidden_layers": 1`) }},
	{"the chat template of another model", func(p *patient) {
		var config map[string]any
		p.decode(p.files["tokenizer_config.json"], &config)
		config["chat_template"] = `{% for m in messages %}{{ bos_token + '[INST] ' + m['content'] + ' [/INST]' }}{% endfor %}`
		p.files["tokenizer_config.json"] = p.encode(config)
	}},
	{"another token ends a text", func(p *patient) {
		for _, f := range []string{"config.json", "generation_config.json"} {
			p.replace(f, `"eos_token_id": 1022`, `"eos_token_id": 2`)
		}
		p.replace("tokenizer_config.json", `"eos_token": "<|im_end|>"`, `"eos_token": "</s>"`)
		p.replace("special_tokens_map.json", `"eos_token": "<|im_end|>"`, `"eos_token": "</s>"`)
	}},
	{"a control token that is two", func(p *patient) {
		p.replace("tokenizer.json", "<|im_start|>", "<|im_begin|>")
	}},
}
