package infer_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/qbranch/qbranch/infer"
	"github.com/qbranch/qbranch/quant/safetensors"
)

// checkpoint is a folder to damage.
type checkpoint struct {
	t       *testing.T
	dir     string
	tensors []safetensors.Data // of model.safetensors
}

// copyOf copies a recorded checkpoint, its weights as model.safetensors.
func copyOf(t *testing.T, name string) *checkpoint {
	t.Helper()
	c := &checkpoint{t: t, dir: t.TempDir()}
	for name, path := range checkpointFiles(t, filepath.Join("testdata/checkpoints", name)) {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasSuffix(name, ".safetensors") {
			c.write(name, data)
			continue
		}
		h, err := safetensors.Parse(bytes.NewReader(data), int64(len(data)))
		if err != nil {
			t.Fatal(err)
		}
		for _, tensor := range h.Tensors {
			raw, err := io.ReadAll(tensor.Section(bytes.NewReader(data)))
			if err != nil {
				t.Fatal(err)
			}
			c.tensors = append(c.tensors, safetensors.Data{Name: tensor.Name, DType: tensor.DType, Shape: tensor.Shape, Bytes: raw})
		}
	}
	c.save()
	return c
}

func (c *checkpoint) write(name string, data []byte) {
	c.t.Helper()
	if err := os.WriteFile(filepath.Join(c.dir, name), data, 0o644); err != nil {
		c.t.Fatal(err)
	}
}

func (c *checkpoint) save() {
	c.t.Helper()
	var b bytes.Buffer
	if err := safetensors.Write(&b, nil, c.tensors); err != nil {
		c.t.Fatal(err)
	}
	c.write("model.safetensors", b.Bytes())
}

// edit changes a tensor; f may change its bytes in place.
func (c *checkpoint) edit(name string, f func(*safetensors.Data)) {
	c.t.Helper()
	for i := range c.tensors {
		if c.tensors[i].Name == name {
			f(&c.tensors[i])
			c.save()
			return
		}
	}
	c.t.Fatalf("no tensor %s", name)
}

func (c *checkpoint) drop(name string) {
	for i := range c.tensors {
		if c.tensors[i].Name == name {
			c.tensors = append(c.tensors[:i], c.tensors[i+1:]...)
			c.save()
			return
		}
	}
	c.t.Fatalf("no tensor %s", name)
}

// replace edits a JSON file by a pattern, which must occur.
func (c *checkpoint) replace(name, pattern, with string) {
	c.t.Helper()
	data, err := os.ReadFile(filepath.Join(c.dir, name))
	if err != nil {
		c.t.Fatal(err)
	}
	re := regexp.MustCompile(pattern)
	if !re.Match(data) {
		c.t.Fatalf("%s does not contain %s", name, pattern)
	}
	c.write(name, re.ReplaceAll(data, []byte(with)))
}

func (c *checkpoint) remove(name string) {
	c.t.Helper()
	if err := os.Remove(filepath.Join(c.dir, name)); err != nil {
		c.t.Fatal(err)
	}
}

func (c *checkpoint) load() error {
	c.t.Helper()
	files, err := infer.FilesInDir(c.dir)
	if err != nil {
		c.t.Fatal(err)
	}
	m, err := infer.Load(context.Background(), files, infer.LoadOptions{Threads: 1})
	if err == nil {
		err = m.Close()
	}
	return err
}

const (
	kProj  = "model.layers.0.self_attn.k_proj."
	config = "config.json"
)

func putWord(at int, w uint32) func(*safetensors.Data) {
	return func(d *safetensors.Data) { binary.LittleEndian.PutUint32(d.Bytes[4*at:], w) }
}

func putHalf(at int, h uint16) func(*safetensors.Data) {
	return func(d *safetensors.Data) { binary.LittleEndian.PutUint16(d.Bytes[2*at:], h) }
}

// Every bad checkpoint is an error that says what and where, with a hint.
func TestBadCheckpoints(t *testing.T) {
	tests := []struct {
		name string
		edit func(*checkpoint)
		kind error
		says string
	}{
		{"unknown architecture", func(c *checkpoint) { c.replace(config, "LlamaForCausalLM", "OPTForCausalLM") }, infer.ErrUnsupported, "OPTForCausalLM"},
		{"unknown model type", func(c *checkpoint) {
			c.replace(config, `"architectures": \[[^]]*\],`, "")
			c.replace(config, `"model_type": "llama"`, `"model_type": "rwkv"`)
		},
			infer.ErrUnsupported, "rwkv"},
		{"no config", func(c *checkpoint) { c.remove(config) }, infer.ErrCheckpoint, "config.json: missing"},
		{"config with a bracket too many", func(c *checkpoint) { c.replace(config, `\}\s*$`, "}]") }, infer.ErrCheckpoint, "config.json"},
		{"config of the wrong kind", func(c *checkpoint) { c.replace(config, `"hidden_size": 128`, `"hidden_size": "many"`) }, infer.ErrCheckpoint, "hidden_size"},
		{"no layers", func(c *checkpoint) { c.replace(config, `"num_hidden_layers": 2`, `"num_hidden_layers": 0`) }, infer.ErrCheckpoint, "num_hidden_layers is 0"},
		{"a billion layers", func(c *checkpoint) { c.replace(config, `"num_hidden_layers": 2`, `"num_hidden_layers": 1000000000`) }, infer.ErrCheckpoint, "num_hidden_layers"},
		{"heads that do not divide", func(c *checkpoint) { c.replace(config, `"num_key_value_heads": 4`, `"num_key_value_heads": 3`) }, infer.ErrCheckpoint, "do not divide"},
		{"another activation", func(c *checkpoint) { c.replace(config, `"silu"`, `"relu6"`) }, infer.ErrUnsupported, "relu6"},
		{"another rope", func(c *checkpoint) {
			c.replace(config, `"rope_scaling": null`, `"rope_scaling": {"type": "su", "factor": 2.0}`)
		}, infer.ErrUnsupported, "su"},
		{"AWQ", func(c *checkpoint) { c.replace(config, `"quant_method": "gptq"`, `"quant_method": "awq"`) }, infer.ErrUnsupported, "awq"},
		{"Marlin", func(c *checkpoint) {
			c.replace(config, `"quant_method": "gptq"`, `"quant_method": "gptq", "checkpoint_format": "marlin"`)
		}, infer.ErrUnsupported, "marlin"},
		{"a width that does not exist", func(c *checkpoint) { c.replace(config, `"bits": 4`, `"bits": 5`) }, infer.ErrUnsupported, "bits 5"},
		{"a width that the tensors do not have", func(c *checkpoint) { c.replace(config, `"bits": 4`, `"bits": 3`) }, infer.ErrCheckpoint, "says bits 3"},
		{"quantize_config not JSON", func(c *checkpoint) {
			c.replace(config, `(?s)"quantization_config": \{.*?\},`, "")
			c.write("quantize_config.json", []byte("{]"))
		}, infer.ErrCheckpoint, "quantize_config.json"},
		{"eos of the wrong kind", func(c *checkpoint) { c.replace(config, `"eos_token_id": 2`, `"eos_token_id": "two"`) }, infer.ErrCheckpoint, "eos_token_id"},

		{"no weights", func(c *checkpoint) { c.remove("model.safetensors") }, infer.ErrCheckpoint, "no safetensors file"},
		{"only pickled weights", func(c *checkpoint) { c.remove("model.safetensors"); c.write("pytorch_model.bin", []byte("x")) }, infer.ErrUnsupported, "pytorch_model.bin"},
		{"only GGUF", func(c *checkpoint) { c.remove("model.safetensors"); c.write("model.gguf", []byte("x")) }, infer.ErrUnsupported, ".gguf"},
		{"two checkpoints", func(c *checkpoint) {
			c.remove("model.safetensors")
			c.write("a.safetensors", nil)
			c.write("b.safetensors", nil)
		}, infer.ErrCheckpoint, "a.safetensors, b.safetensors"},
		{"shards of two checkpoints", func(c *checkpoint) {
			c.remove("model.safetensors")
			c.write("a-00001-of-00002.safetensors", nil)
			c.write("b-00002-of-00002.safetensors", nil)
		}, infer.ErrCheckpoint, "not of one checkpoint"},
		{"a missing shard", func(c *checkpoint) {
			c.write("model.safetensors.index.json", []byte(`{"weight_map": {"lm_head.weight": "model-2.safetensors"}}`))
		}, infer.ErrCheckpoint, "model-2.safetensors: named by"},
		{"an index that is none", func(c *checkpoint) { c.write("model.safetensors.index.json", []byte(`[]`)) }, infer.ErrCheckpoint, "index.json"},
		{"the same tensor twice", func(c *checkpoint) {
			data, err := os.ReadFile(filepath.Join(c.dir, "model.safetensors"))
			if err != nil {
				c.t.Fatal(err)
			}
			c.write("other.safetensors", data)
			c.write("model.safetensors.index.json", []byte(`{"weight_map": {"x": "model.safetensors", "y": "other.safetensors"}}`))
		}, infer.ErrCheckpoint, "also in model.safetensors"},
		{"an empty file", func(c *checkpoint) { c.write("model.safetensors", nil) }, infer.ErrCheckpoint, "model.safetensors"},
		{"a pointer instead of weights", func(c *checkpoint) {
			c.write("model.safetensors", []byte("version https://git-lfs.github.com/spec/v1\n"))
		}, infer.ErrCheckpoint, "pointer"},
		{"a header of 2^60 bytes", func(c *checkpoint) { c.write("model.safetensors", []byte("\x00\x00\x00\x00\x00\x00\x00\x10{}")) }, infer.ErrCheckpoint, "1152921504606846976"},
		{"a truncated file", func(c *checkpoint) {
			if err := os.Truncate(filepath.Join(c.dir, "model.safetensors"), 100_000); err != nil {
				c.t.Fatal(err)
			}
		}, infer.ErrCheckpoint, "model.safetensors"},

		{"a missing tensor", func(c *checkpoint) { c.drop("model.norm.weight") }, infer.ErrCheckpoint, "model.norm.weight: not in any"},
		{"a missing matrix", func(c *checkpoint) { c.drop(kProj + "qweight") }, infer.ErrCheckpoint, kProj + "weight: not in any"},
		{"missing scales", func(c *checkpoint) { c.drop(kProj + "scales") }, infer.ErrCheckpoint, kProj + "scales"},
		{"NaN in scales", func(c *checkpoint) { c.edit(kProj+"scales", putHalf(130, 0x7E00)) }, infer.ErrCheckpoint, kProj + "scales: value 130 (group 1, column 2) is not a finite number"},
		{"infinity in a norm", func(c *checkpoint) { c.edit("model.norm.weight", putHalf(3, 0x7C00)) }, infer.ErrCheckpoint, "model.norm.weight: value 3"},
		{"g_idx beyond the groups", func(c *checkpoint) { c.edit(kProj+"g_idx", putWord(7, 4)) }, infer.ErrCheckpoint, "row 7 points at group 4 of 4"},
		{"g_idx negative", func(c *checkpoint) { c.edit(kProj+"g_idx", putWord(0, 0xFFFFFFFF)) }, infer.ErrCheckpoint, "group -1"},
		{"g_idx in 64 bits", func(c *checkpoint) {
			c.edit(kProj+"g_idx", func(d *safetensors.Data) { d.DType, d.Shape = "I64", []int64{64} })
		}, infer.ErrCheckpoint, "dtype I64"},
		{"qweight in bytes", func(c *checkpoint) {
			c.edit(kProj+"qweight", func(d *safetensors.Data) { d.DType, d.Shape = "U8", []int64{64, 128} })
		}, infer.ErrUnsupported, "packed in U8"},
		{"qweight of another shape", func(c *checkpoint) {
			c.edit(kProj+"qweight", func(d *safetensors.Data) { d.Shape = []int64{32, 64} })
		}, infer.ErrCheckpoint, "qweight"},
		{"5 bits", func(c *checkpoint) {
			c.edit(kProj+"qweight", func(d *safetensors.Data) { d.Shape, d.Bytes = []int64{20, 128}, make([]byte, 4*20*128) })
			c.edit(kProj+"qzeros", func(d *safetensors.Data) { d.Shape, d.Bytes = []int64{4, 20}, make([]byte, 4*4*20) })
		}, infer.ErrUnsupported, "5-bit codes"},
		{"an embedding of another size", func(c *checkpoint) { c.replace(config, `"vocab_size": 320`, `"vocab_size": 321`) }, infer.ErrCheckpoint, "model.embed_tokens.weight: shape [320 128], want [321 128]"},
		{"an embedding of integers", func(c *checkpoint) {
			c.edit("model.embed_tokens.weight", func(d *safetensors.Data) { d.DType = "I16" })
		}, infer.ErrCheckpoint, "I16"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			c := copyOf(t, "llama-4bit-32g-sym")
			test.edit(c)
			hinted(t, test.name, c.load(), test.kind, test.says)
		})
	}
}

// Odd but sound checkpoints load.
func TestOddCheckpoints(t *testing.T) {
	tests := []struct {
		name string
		edit func(*checkpoint)
	}{
		{"as it is", func(*checkpoint) {}},
		{"any name for the weights", func(c *checkpoint) {
			if err := os.Rename(filepath.Join(c.dir, "model.safetensors"), filepath.Join(c.dir, "x y.safetensors")); err != nil {
				c.t.Fatal(err)
			}
		}},
		{"the name that the config gives", func(c *checkpoint) {
			c.replace(config, `"model_file_base_name": null`, `"model_file_base_name": "model"`)
			c.write("adapter.safetensors", nil)
			c.write("zzz.safetensors.index.json", []byte("{}"))
		}},
		{"no g_idx", func(c *checkpoint) {
			for _, d := range append([]safetensors.Data(nil), c.tensors...) {
				if strings.HasSuffix(d.Name, ".g_idx") {
					c.drop(d.Name)
				}
			}
		}},
		{"no quantize_config.json", func(c *checkpoint) { c.remove("quantize_config.json") }},
		{"the quantisation only in quantize_config.json", func(c *checkpoint) { c.replace(config, `(?s)"quantization_config": \{.*?\},`, "") }},
		{"the spelling of early 2023", func(c *checkpoint) { c.replace(config, "LlamaForCausalLM", "LLaMAForCausalLM") }},
		{"no architectures", func(c *checkpoint) { c.replace(config, `(?s)"architectures": \[[^]]*\],`, "") }},
		{"a bad tokenizer, which token ids do not need", func(c *checkpoint) { c.write("tokenizer.json", []byte("{")) }},
		{"a bad template", func(c *checkpoint) { c.write("chat_template.jinja", []byte("{% nope %}")) }},
		{"several tokens that end a text", func(c *checkpoint) { c.write("generation_config.json", []byte(`{"eos_token_id": [2, 3]}`)) }},
	}
	want := firstLogits(t, tiny(t))
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			c := copyOf(t, "llama-4bit-32g-sym")
			test.edit(c)
			files, err := infer.FilesInDir(c.dir)
			if err != nil {
				t.Fatal(err)
			}
			if got := firstLogits(t, files); got != want {
				t.Errorf("the logits differ from those of the checkpoint as recorded")
			}
		})
	}
}

func firstLogits(t *testing.T, files infer.Files) string {
	t.Helper()
	r, err := load(t, files, 1).Generate(context.Background(), infer.Request{TokenIDs: []int{5, 6, 7}, MaxTokens: 1, KeepLogits: true}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprint(r.Logits)
}

// Text needs what token ids do not, and the errors say what to do instead.
func TestBadText(t *testing.T) {
	demo := demoFiles(t, "main")
	tests := []struct {
		name       string
		file, data string // replaced, or removed when data is ""
		raw        bool
		kind       error
		says       string
	}{
		{"no tokenizer", "tokenizer.json", "", true, infer.ErrUnsupported, "tokenizer.json: missing"},
		{"tokenizer not JSON", "tokenizer.json", "{", true, infer.ErrCheckpoint, "tokenizer.json"},
		{"unknown tokenizer", "tokenizer.json", `{"model": {"type": "Neural", "vocab": {}}}`, true, infer.ErrUnsupported, "Neural"},
		{"a template that fails", "chat_template.jinja", "{{ nope.x }}", false, infer.ErrCheckpoint, "nope"},
		{"a template that does not parse", "chat_template.jinja", "{% nope %}", false, infer.ErrCheckpoint, "nope"},
		{"a template that writes without end", "chat_template.jinja", "{{ 'a' * 10000000000 }}", false, infer.ErrCheckpoint, "larger than allowed"},
		{"a template that refuses", "chat_template.jinja", "{{ raise_exception('roles') }}", false, infer.ErrRequest, "roles"},
		{"tokenizer_config not JSON", "tokenizer_config.json", "{", false, infer.ErrCheckpoint, "tokenizer_config.json"},
	}
	for _, test := range tests {
		files := maps.Clone(demo)
		delete(files, test.file)
		if test.data != "" {
			path := filepath.Join(t.TempDir(), test.file)
			if err := os.WriteFile(path, []byte(test.data), 0o644); err != nil {
				t.Fatal(err)
			}
			files[test.file] = path
		}
		m := load(t, files, 1)
		_, err := m.Generate(context.Background(), infer.Request{Prompt: "x", Raw: test.raw, MaxTokens: 1}, nil)
		hinted(t, test.name, err, test.kind, test.says)
		if !test.raw { // the hint works
			if _, err := m.Generate(context.Background(), infer.Request{Prompt: "x", Raw: true, MaxTokens: 1}, nil); err != nil {
				t.Errorf("%s: with raw: %v", test.name, err)
			}
		}
	}
}

// Weights that compute nonsense are caught where it shows.
func TestNaNInLogits(t *testing.T) {
	c := copyOf(t, "llama-4bit-32g-sym")
	c.edit("lm_head.weight", putHalf(17, 0x7E00))
	files, err := infer.FilesInDir(c.dir)
	if err != nil {
		t.Fatal(err)
	}
	r, err := load(t, files, 1).Generate(context.Background(), infer.Request{TokenIDs: []int{5}}, nil)
	hinted(t, "NaN in lm_head", err, infer.ErrCheckpoint, "token 0 is NaN")
	if r == nil || len(r.IDs) != 0 {
		t.Errorf("got %+v", r)
	}
}

func TestFilesInDir(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "a"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "sub"), 0o755); err != nil {
		t.Fatal(err)
	}
	files, err := infer.FilesInDir(dir)
	if err != nil || len(files) != 1 || files["a"] != filepath.Join(dir, "a") {
		t.Errorf("got %v, %v", files, err)
	}
	_, err = infer.FilesInDir(filepath.Join(dir, "nowhere"))
	hinted(t, "no folder", err, os.ErrNotExist, "nowhere")
	_, err = infer.Load(context.Background(), infer.Files{"config.json": filepath.Join(dir, "gone")}, infer.LoadOptions{})
	hinted(t, "a file that is gone", err, infer.ErrCheckpoint, "config.json")
}
