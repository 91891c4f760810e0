package model

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/qbranch/qbranch/infer/kernel"
	"github.com/qbranch/qbranch/quant"
)

const checkpoints = "../testdata/checkpoints"

// openCheckpoint reads what a recorded checkpoint is loaded from.
func openCheckpoint(t testing.TB, name string) (Config, quant.Config, *Checkpoint) {
	t.Helper()
	dir := filepath.Join(checkpoints, name)
	data, err := os.ReadFile(filepath.Join(dir, "config.json"))
	if err != nil {
		t.Fatal(err)
	}
	cfg, err := ParseConfig(data)
	if err != nil {
		t.Fatal(err)
	}
	q, _, err := quant.ParseModelConfig(data)
	if err != nil {
		t.Fatal(err)
	}
	names, err := filepath.Glob(filepath.Join(dir, "*.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	names = slices.DeleteFunc(names, func(n string) bool { return filepath.Base(n) == "reference.safetensors" })
	return cfg, q, openAll(t, names...)
}

// loadCheckpoint loads a recorded checkpoint.
func loadCheckpoint(t testing.TB, name string) *Model {
	t.Helper()
	cfg, q, files := openCheckpoint(t, name)
	m, err := Load(context.Background(), cfg, q, files)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func openAll(t testing.TB, paths ...string) *Checkpoint {
	t.Helper()
	var files []WeightFile
	for _, p := range paths {
		files = append(files, WeightFile{filepath.Base(p), p})
	}
	c, err := OpenCheckpoint(files)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

// Multiplying by a unit vector gives a row of W as the kernel sees it, which must
// be the reference's to the last bit.
func TestDenseMatrices(t *testing.T) {
	dirs, err := filepath.Glob(filepath.Join(checkpoints, "*"))
	if err != nil || len(dirs) < 34 {
		t.Fatalf("%d checkpoints, %v", len(dirs), err)
	}
	compared := 0
	for _, dir := range dirs {
		cfg, q, files := openCheckpoint(t, filepath.Base(dir))
		ref := openAll(t, filepath.Join(dir, "reference.safetensors"))
		for name, tensor := range ref.tensors {
			module, ok := strings.CutPrefix(strings.TrimSuffix(name, ".weight"), "dense.")
			if !ok {
				continue
			}
			l := newLoader(cfg, q, files)
			if !files.hasLinear(module) { // the reference may have newer names than the file
				module = strings.NewReplacer(".mlp.", ".block_sparse_moe.", "down_proj", "w2").Replace(module)
			}
			delete(files.tensors, module+".bias") // a unit vector would show it with every row
			w := l.linear(module, int(tensor.Shape[1]), int(tensor.Shape[0]), false)
			if l.err != nil {
				t.Fatal(l.err)
			}
			compareDense(t, dir+" "+module, ref, name, w)
			compared++
			if testing.Short() {
				break
			}
		}
	}
	if compared < 16 { // some were recorded without
		t.Errorf("only %d matrices compared", compared)
	}
}

func compareDense(t *testing.T, what string, ref *Checkpoint, name string, w *kernel.Matrix) {
	t.Helper()
	dense, err := ref.floats(name, w.N, w.K)
	if err != nil {
		t.Fatal(err)
	}
	want := make([]float32, w.N*w.K)
	dense.Read(want, 0)
	p := kernel.NewPool(1, kernel.Float32)
	defer p.Close()
	const batch = 64 // rows at once
	x, y := make([]float32, batch*w.K), make([]float32, batch*w.N)
	for k0 := 0; k0 < w.K; k0 += batch {
		rows := min(batch, w.K-k0)
		clear(x)
		for r := range rows {
			x[r*w.K+k0+r] = 1
		}
		if err := p.Mul(x, rows, kernel.Output{M: w, Y: y}); err != nil {
			t.Fatal(err)
		}
		for r := range rows {
			for n := range w.N {
				if got, want := y[r*w.N+n], want[n*w.K+k0+r]; got != want {
					t.Fatalf("%s: W[%d][%d]: got %v, want %v", what, n, k0+r, got, want)
				}
			}
		}
	}
}

// Every tensor that a family has is asked for: without it, or in another shape,
// loading fails and names it.
func TestEveryTensorIsNeeded(t *testing.T) {
	dirs, err := filepath.Glob(filepath.Join(checkpoints, "*"))
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, dir := range dirs {
		name := filepath.Base(dir)
		cfg, q, files := openCheckpoint(t, name)
		if family, _, _ := strings.Cut(name, "-"); seen[family] && testing.Short() {
			continue
		} else {
			seen[family] = true
		}
		for tensor, stored := range files.tensors {
			if strings.Contains(tensor, "layers.1.") || strings.Contains(tensor, "h.1.") || strings.HasSuffix(tensor, "inv_freq") {
				continue
			}
			optional := strings.HasSuffix(tensor, ".g_idx") || strings.HasSuffix(tensor, ".bias") && !neededBias(cfg, tensor)
			module := strings.TrimSuffix(tensor, path(tensor))
			delete(files.tensors, tensor)
			_, err := Load(context.Background(), cfg, q, files)
			// Where two spellings are read, the other one is named.
			if !optional && (!errors.Is(err, ErrCheckpoint) || !strings.Contains(err.Error(), module) && !strings.Contains(err.Error(), "not in any")) {
				t.Errorf("%s without %s: got error %v", name, tensor, err)
			}
			other := stored
			other.Shape = append([]int64{2}, stored.Shape...)
			files.tensors[tensor] = other
			if _, err := Load(context.Background(), cfg, q, files); !errors.Is(err, ErrCheckpoint) || !strings.Contains(err.Error(), module) {
				t.Errorf("%s with another shape of %s: got error %v", name, tensor, err)
			}
			files.tensors[tensor] = stored
		}
	}
}

// path is the last part of a tensor's name, with its dot.
func path(tensor string) string { return tensor[strings.LastIndexByte(tensor, '.'):] }

// neededBias says that a bias must be there: that of a norm, or of a Linear that
// has one by the config.
func neededBias(c Config, tensor string) bool {
	switch {
	case strings.Contains(tensor, "norm") || strings.Contains(tensor, "ln_") || strings.Contains(tensor, "ln."):
		return true
	case strings.Contains(tensor, "q_proj") || strings.Contains(tensor, "k_proj") || strings.Contains(tensor, "v_proj") || strings.Contains(tensor, "query_key_value"):
		return c.QKVBias
	case strings.Contains(tensor, "o_proj") || strings.Contains(tensor, ".dense."):
		return c.OutBias
	case strings.Contains(tensor, "lm_head"):
		return c.Architecture == "PhiForCausalLM"
	}
	return c.MLPBias
}

// Yi called itself so, and its norms otherwise, before it was a Llama.
func TestYi(t *testing.T) {
	cfg, q, files := openCheckpoint(t, "llama-4bit-32g-sym")
	want, err := Load(context.Background(), cfg, q, files)
	if err != nil {
		t.Fatal(err)
	}
	names := strings.NewReplacer("input_layernorm", "ln1", "post_attention_layernorm", "ln2")
	for name, tensor := range maps.Clone(files.tensors) {
		delete(files.tensors, name)
		files.tensors[names.Replace(name)] = tensor
	}
	data, err := os.ReadFile(filepath.Join(checkpoints, "llama-4bit-32g-sym", "config.json"))
	if err != nil {
		t.Fatal(err)
	}
	if cfg, err = ParseConfig([]byte(strings.NewReplacer("LlamaForCausalLM", "YiForCausalLM", `"llama"`, `"Yi"`).Replace(string(data)))); err != nil {
		t.Fatal(err)
	}
	got, err := Load(context.Background(), cfg, q, files)
	if err != nil {
		t.Fatal(err)
	}
	var logits [2][]float32
	for i, m := range []*Model{want, got} {
		s := m.NewSession(SessionOptions{})
		defer s.Close()
		l, err := s.Forward(context.Background(), []int{1, 5, 9}, 1, nil)
		if err != nil {
			t.Fatal(err)
		}
		logits[i] = slices.Clone(l)
	}
	if !slices.Equal(logits[0], logits[1]) {
		t.Error("other logits")
	}
}

// A token costs no allocation once the session has its buffers.
func TestForwardAllocates(t *testing.T) {
	for _, name := range []string{"llama-4bit-32g-sym", "mixtral-3bit-32g-asym-act", "mistral-4bit-64g-act-static-window",
		"qwen2moe-4bit-64g", "gemma2-4bit-32g-act", "phi3-4bit-32g-longrope", "falcon-4bit-32g-grouped-act", "stablelm-4bit-32g-parallel-qk-norm"} {
		s := loadCheckpoint(t, name).NewSession(SessionOptions{Threads: 1, Capacity: 100})
		token := []int{7}
		n := testing.AllocsPerRun(30, func() {
			if _, err := s.Forward(context.Background(), token, 1, nil); err != nil {
				t.Fatal(err)
			}
		})
		s.Close()
		if n != 0 {
			t.Errorf("%s: %v allocations per token, want none", name, n)
		}
	}
}

// A session that outgrows what it expected, whatever its batches, computes the
// same bits.
func TestSessionsAgree(t *testing.T) {
	m := loadCheckpoint(t, "mixtral-4bit-64g-sharded")
	tokens := make([]int, 70)
	for i := range tokens {
		tokens[i] = (i*37 + 11) % m.Config.Vocab
	}
	run := func(threads, capacity, batch int) []float32 {
		s := m.NewSession(SessionOptions{Threads: threads, Capacity: capacity})
		defer s.Close()
		var last []float32
		for part := range slices.Chunk(tokens, batch) {
			logits, err := s.Forward(context.Background(), part, 1, nil)
			if err != nil {
				t.Fatal(err)
			}
			last = slices.Clone(logits)
		}
		if s.Position() != len(tokens) {
			t.Errorf("position %d, want %d", s.Position(), len(tokens))
		}
		return last
	}
	want := run(1, len(tokens), 1)
	for _, c := range []struct{ threads, capacity, batch int }{{1, 1, 1}, {2, 1, 7}, {1, 40, MaxBatch}, {4, 1000, 64}} {
		if got := run(c.threads, c.capacity, c.batch); !slices.Equal(got, want) {
			t.Errorf("%+v: other logits", c)
		}
	}
}

// What does not fit is refused, and the session goes on from where it was.
func TestForwardRefuses(t *testing.T) {
	m := loadCheckpoint(t, "llama-4bit-32g-sym")
	s := m.NewSession(SessionOptions{Threads: 1, Capacity: 1})
	defer s.Close()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	tests := []struct {
		name   string
		ctx    context.Context
		tokens []int
		want   int
	}{
		{"no tokens", context.Background(), nil, 0},
		{"a batch too large", context.Background(), make([]int, MaxBatch+1), 0},
		{"more logits than tokens", context.Background(), []int{1}, 2},
		{"a token outside", context.Background(), []int{m.Config.Vocab}, 1},
		{"a negative token", context.Background(), []int{-1}, 1},
		{"cancelled", ctx, []int{1}, 1},
	}
	for _, test := range tests {
		if _, err := s.Forward(test.ctx, test.tokens, test.want, nil); err == nil || s.Position() != 0 {
			t.Errorf("%s: error %v, position %d", test.name, err, s.Position())
		}
	}
	for s.Position() < m.Config.Context {
		if _, err := s.Forward(context.Background(), make([]int, 64), 0, nil); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Forward(context.Background(), []int{1}, 1, nil); err == nil {
		t.Error("a position beyond the context was computed")
	}
}

func TestParseConfig(t *testing.T) {
	const base = `"hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 1, "num_attention_heads": 4, "vocab_size": 10`
	rope := Rope{Type: "default", Dim: 16, Theta: 10000, Factor: 1, Positions: 2048, OriginalContext: 2048, LowFreq: 1, HighFreq: 4,
		BetaFast: 32, BetaSlow: 1, Attention: 1, Truncate: true}
	llama := Config{Architecture: "LlamaForCausalLM", Hidden: 64, Intermediate: 96, Layers: 1, Heads: 4, KVHeads: 4, HeadDim: 16,
		Vocab: 10, Context: 2048, Act: "silu", Eps: 1e-6, ScoreScale: 0.25, Rope: rope}
	with := func(c Config, edit func(*Config)) Config { edit(&c); return c }
	context := func(c *Config, n int) { c.Context, c.Rope.Positions, c.Rope.OriginalContext = n, n, n }
	mistral := with(llama, func(c *Config) {
		c.Architecture = "MistralForCausalLM"
		context(c, 131072)
	})
	const mistralType = `"model_type": "mistral", "num_key_value_heads": null`
	tests := []struct {
		name, fields string
		want         Config
	}{
		{"defaults of llama", `"model_type": "llama"`, llama},
		{"null is absent", `"model_type": "llama", "num_key_value_heads": null, "head_dim": null, "rope_scaling": null`, llama},
		{"numbers of Python", `"model_type": "llama", "max_position_embeddings": 2048.0, "rope_theta": 10000`, llama},
		{"a window means nothing to llama", `"model_type": "llama", "sliding_window": 5`, llama},
		{"biases", `"model_type": "llama", "attention_bias": true, "mlp_bias": true`, with(llama, func(c *Config) { c.QKVBias, c.OutBias, c.MLPBias = true, true, true })},
		{"another activation", `"model_type": "llama", "hidden_act": "gelu_new"`, with(llama, func(c *Config) { c.Act = "gelu_tanh" })},
		{"mistral without a word on its window", mistralType, with(mistral, func(c *Config) { c.Windows = []int{4096} })},
		{"mistral without a window", mistralType + `, "sliding_window": null`, mistral},
		{"mixtral", `"model_type": "mixtral", "num_key_value_heads": 2, "sliding_window": 7, "num_local_experts": 4`, with(llama, func(c *Config) {
			context(c, 131072)
			c.Architecture, c.KVHeads, c.Eps, c.Windows, c.Rope.Theta = "MixtralForCausalLM", 2, 1e-5, []int{7}, 1e6
			c.Experts, c.ExpertsPerToken, c.ExpertWidth, c.ScaleChosen = 4, 2, 96, true
		})},
		{"heads of their own size", `"model_type": "llama", "head_dim": 64, "num_key_value_heads": 2`, with(llama, func(c *Config) {
			c.HeadDim, c.KVHeads, c.ScoreScale, c.Rope.Dim = 64, 2, 0.125, 64
		})},
		{"rope of transformers 4", `"model_type": "llama", "rope_theta": 5e5, "rope_scaling": {"type": "linear", "factor": 4.0}`, with(llama, func(c *Config) {
			c.Rope.Type, c.Rope.Theta, c.Rope.Factor, c.Context = "linear", 500000, 4, 8192
		})},
		{"rope of transformers 5", `"model_type": "llama", "rope_parameters": {"rope_type": "default", "rope_theta": 1000000.0}`, with(llama, func(c *Config) { c.Rope.Theta = 1e6 })},
		{"rope by type of layer", `"model_type": "llama", "rope_parameters": {"full_attention": {"rope_theta": 1e6}, "sliding_attention": {"rope_theta": 1e6}}`, with(llama, func(c *Config) { c.Rope.Theta = 1e6 })},
		{"yarn", `"model_type": "llama", "rope_scaling": {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 512, "beta_fast": 16}`, with(llama, func(c *Config) {
			c.Rope.Type, c.Rope.Factor, c.Rope.OriginalContext, c.Rope.BetaFast, c.Rope.Attention = "yarn", 4, 512, 16, 0.1*math.Log(4)+1
		})},
		{"yarn with two scales", `"model_type": "llama", "rope_scaling": {"rope_type": "yarn", "factor": 4.0, "mscale": 1.0, "mscale_all_dim": 1.0}`, with(llama, func(c *Config) {
			c.Rope.Type, c.Rope.Factor, c.Context = "yarn", 4, 8192
		})},
		{"tied", `"architectures": ["LLaMAForCausalLM"], "tie_word_embeddings": true`, with(llama, func(c *Config) { c.Tied = true })},
		{"gpt-neox of transformers 4", `"model_type": "gpt_neox", "rotary_pct": 0.5, "rotary_emb_base": 500, "layer_norm_eps": 1e-6`, with(llama, func(c *Config) {
			c.Architecture, c.Act, c.Groups, c.Parallel, c.Rope.Dim, c.Rope.Theta = "GPTNeoXForCausalLM", "gelu", 4, true, 8, 500
			c.QKVBias, c.OutBias, c.MLPBias = true, true, true
		})},
		{"qwen2 with a window in its upper layers", `"model_type": "qwen2", "num_key_value_heads": 4, "use_sliding_window": true, "sliding_window": 9, "max_window_layers": 0`, with(llama, func(c *Config) {
			context(c, 32768)
			c.Architecture, c.QKVBias, c.Windows = "Qwen2ForCausalLM", true, []int{9}
		})},
		{"qwen2 with types of layers", `"model_type": "qwen2", "num_key_value_heads": 4, "use_sliding_window": true, "sliding_window": 9, "max_window_layers": 0, "layer_types": ["full_attention"]`, with(llama, func(c *Config) {
			context(c, 32768)
			c.Architecture, c.QKVBias = "Qwen2ForCausalLM", true
		})},
	}
	for _, test := range tests {
		got, err := ParseConfig([]byte(`{` + test.fields + `, ` + base + `}`))
		if err != nil || !reflect.DeepEqual(got, test.want) {
			t.Errorf("%s:\n got %+v, %v\nwant %+v", test.name, got, err, test.want)
		}
	}
}

func TestParseConfigErrors(t *testing.T) {
	const base = `"model_type": "llama", "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 1, "num_attention_heads": 4, "vocab_size": 10`
	tests := []struct {
		fields string
		kind   error
		says   string
	}{
		{`"architectures": ["OPTForCausalLM"], "model_type": "opt"`, ErrUnsupported, "OPTForCausalLM is not supported; the runner knows LlamaForCausalLM, MistralForCausalLM, MixtralForCausalLM"},
		{`"architectures": ["MistralForCausalLM"]`, ErrCheckpoint, "architectures says MistralForCausalLM, but model_type says llama"},
		{`"architectures": ["PhiForCausalLM"], "model_type": "mixformer-sequential"`, ErrUnsupported, "PhiForCausalLM of model_type mixformer-sequential"},
		{`"hidden_size": null`, ErrCheckpoint, "hidden_size is missing"},
		{`"hidden_size": 64.5`, ErrCheckpoint, "hidden_size is 64.5"},
		{`"hidden_act": "relu6"`, ErrUnsupported, "relu6"},
		{`"logit_scale": 0.25`, ErrUnsupported, "logit_scale 0.25"},
		{`"model_type": "qwen2", "layer_types": ["full_attention", "full_attention"]`, ErrCheckpoint, "2 entries for 1 layers"},
		{`"model_type": "qwen2", "layer_types": ["linear_attention"]`, ErrUnsupported, "linear_attention"},
		{`"model_type": "falcon", "alibi": true`, ErrUnsupported, "alibi"},
		{`"model_type": "gemma2", "final_logit_softcapping": 0`, ErrCheckpoint, "final_logit_softcapping"},
		{`"model_type": "qwen3_moe", "num_key_value_heads": 4, "decoder_sparse_step": 0`, ErrCheckpoint, "decoder_sparse_step"},
		{`"model_type": "phi3", "rope_scaling": {"type": "su", "short_factor": [1], "long_factor": [1]}`, ErrCheckpoint, "has 1 values, want 8"},
		{`"rope_scaling": {"type": "linear"}`, ErrCheckpoint, "no factor"},
		{`"rope_parameters": {"full_attention": {"rope_theta": 1e6}, "sliding_attention": {"rope_theta": 1e4}}`, ErrUnsupported, "differ between types of layers"},
		{`"model_type": ""`, ErrCheckpoint, "no model_type"},
		{`"num_attention_heads": 0`, ErrCheckpoint, "num_attention_heads is 0"},
		{`"num_attention_heads": -4`, ErrCheckpoint, "num_attention_heads is -4"},
		{`"head_dim": 15`, ErrCheckpoint, "odd or too many"},
		{`"num_key_value_heads": 3`, ErrCheckpoint, "do not divide"},
		{`"max_position_embeddings": 99999999999`, ErrCheckpoint, "max_position_embeddings"},
		{`"rms_norm_eps": 0`, ErrCheckpoint, "epsilon"},
		{`"rope_theta": -1`, ErrCheckpoint, "rope_theta"},
		{`"rope_scaling": {"type": "linear", "factor": 0}`, ErrCheckpoint, "factor"},
		{`"rope_scaling": {"type": "llama3", "factor": 8, "low_freq_factor": 4, "high_freq_factor": 4}`, ErrCheckpoint, "high_freq_factor"},
		{`"rope_scaling": {"type": "ntk-by-parts"}`, ErrUnsupported, "ntk-by-parts"},
		{`"partial_rotary_factor": 0.5`, ErrUnsupported, "partial_rotary_factor"},
		{`"model_type": "mistral", "num_key_value_heads": 4, "sliding_window": 0`, ErrCheckpoint, "sliding_window"},
		{`"model_type": "mistral", "num_key_value_heads": 4, "sliding_window": "x"`, ErrCheckpoint, "sliding_window"},
		{`"model_type": "mixtral", "num_key_value_heads": 4, "num_experts_per_tok": 9`, ErrCheckpoint, "9 of 8 experts"},
		{`"hidden_size": [1]`, ErrCheckpoint, "hidden_size is [1], not a whole number"},
	}
	for _, test := range tests {
		_, err := ParseConfig([]byte(`{` + base + `, ` + test.fields + `}`)) // the later of two keys counts
		e, ok := errors.AsType[*Error](err)
		if !ok || !errors.Is(err, test.kind) || !strings.Contains(err.Error(), test.says) || e.Hint() == "" {
			t.Errorf("%s: got error %v, want one saying %q", test.fields, err, test.says)
		}
	}
}

// A config that is accepted makes no later step panic.
func FuzzParseConfig(f *testing.F) {
	dirs, err := filepath.Glob(filepath.Join(checkpoints, "*", "config.json"))
	if err != nil || len(dirs) == 0 {
		f.Fatal(err)
	}
	for _, name := range dirs {
		data, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := ParseConfig(data)
		if err != nil {
			if !json.Valid(data) && !errors.Is(err, ErrCheckpoint) {
				t.Errorf("got error %v for what is no JSON", err)
			}
			return
		}
		if c.HeadDim > 1<<12 {
			return // only slow
		}
		r := newRotation(&c.Rope, 1)
		r.turn(c.Context-1, 1, c.Context)
		if err := kernel.Catch(func() error {
			_, err := Load(context.Background(), c, quant.Config{}, &Checkpoint{})
			return err
		}); err == nil {
			t.Error("a model without tensors was loaded")
		}
	})
}

// Rope's numbers for one dimension of each scaling, worked out by hand from the
// definitions.
func TestFrequencies(t *testing.T) {
	base := Rope{Type: "default", Dim: 8, Positions: 64, Theta: 10000, Factor: 4, OriginalContext: 64, LowFreq: 1, HighFreq: 4, BetaFast: 32, BetaSlow: 1, Attention: 1, Truncate: true}
	plain := []float32{1, 0.1, 0.01, 0.001} // 10000^(−2i/8)
	tests := []struct {
		kind string
		want []float32
	}{
		{"default", plain},
		{"dynamic", plain},
		{"linear", []float32{0.25, 0.025, 0.0025, 0.00025}},
		// wavelengths 6.28, 62.8, 628, 6283 against 16 and 64: kept, blended by
		// (64/62.83−1)/3 = 0.0062, divided, divided
		{"llama3", []float32{1, 0.1*0.0062 + 0.025*0.9938, 0.0025, 0.00025}},
		// turns 32 and 1 times at dimension −0.5 and 1.008, so from 0 to 2: kept,
		// half way, divided, divided
		{"yarn", []float32{1, (0.1 + 0.025) / 2, 0.0025, 0.00025}},
	}
	for _, test := range tests {
		r := base
		r.Type = test.kind
		freqs := make([]float32, 4)
		r.frequencies(freqs, r.span(1))
		for i, got := range freqs {
			if math.Abs(float64(got/test.want[i]-1)) > 1e-3 {
				t.Errorf("%s: frequency %d: got %v, want %v", test.kind, i, got, test.want[i])
			}
		}
	}
}
