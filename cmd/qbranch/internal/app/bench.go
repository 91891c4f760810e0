package app

import (
	"context"
	"fmt"

	"github.com/qbranch/qbranch/infer"
	"github.com/qbranch/qbranch/quant/vram/gpu"
)

// BenchOptions may be zero.
type BenchOptions struct {
	Compute string // as of [infer.ParseCompute]
	Prompt  int    // tokens of the prompt; 0 = 128, or what the context leaves
	Tokens  int    // tokens generated in each round; 0 = 64, or what the context leaves
	Read    int64  // bytes of the plain read, more than any cache holds; 0 = 1 GiB
	Notify  func(step string, n int)
}

// BenchReport is what a branch does on this machine. Speeds are medians.
type BenchReport struct {
	Target       string `json:"target"`
	Architecture string `json:"architecture"`
	Bits         int    `json:"bits"`
	GroupSize    int    `json:"group_size"`
	WeightBytes  int64  `json:"weight_bytes"`
	Threads      int    `json:"threads"`
	Compute      string `json:"compute"`
	Instructions string `json:"instructions"` // as of [Instructions]

	Load         float64 `json:"load_seconds"`
	PromptTokens int     `json:"prompt_tokens"`
	Prefill      float64 `json:"prefill_tokens_per_second"`
	Tokens       int     `json:"tokens"` // generated in each round
	Rounds       int     `json:"rounds"`
	Decode       float64 `json:"decode_tokens_per_second"`

	BytesPerToken BenchBytes   `json:"bytes_per_token"`
	DecodeRate    float64      `json:"decode_bytes_per_second"`
	ReadRate      float64      `json:"read_bytes_per_second"` // of a plain read of memory on as many threads
	PercentOfRead float64      `json:"percent_of_read"`
	Memory        *BenchMemory `json:"memory"` // null where it is not known
}

// BenchBytes is what one decode step reads, on average.
type BenchBytes struct {
	Matrices  int64 `json:"matrices"`
	Norms     int64 `json:"norms"`
	Embedding int64 `json:"embedding"`
	KV        int64 `json:"kv"`
	Total     int64 `json:"total"`
}

// BenchMemory is what the process occupied after the first round, in bytes.
type BenchMemory struct {
	Peak   int64 `json:"peak"`
	Own    int64 `json:"own"`
	Mapped int64 `json:"mapped"`
}

// Instructions returns the name of the processor's instructions that models are
// run with, and a warning where the environment asks for others in vain.
func Instructions() (name, warning string) { return infer.Instructions() }

// Bench measures how fast a verified snapshot or a folder is run here. It sends
// no request; errors are those of [App.LoadModel].
func (a *App) Bench(ctx context.Context, t Target, o BenchOptions) (*BenchReport, error) {
	compute, err := infer.ParseCompute(o.Compute)
	if err != nil {
		return nil, &optionError{"compute", err.Error(), ""}
	}
	files, err := a.modelFiles(t)
	if err != nil {
		return nil, err
	}
	load := a.loadOptions(t)
	load.Compute = compute
	if memory := gpu.MainMemory(ctx, gpu.Machine{}); memory.Available != nil {
		load.Memory = *memory.Available
	}
	r, err := infer.Bench(ctx, files, infer.BenchOptions{
		LoadOptions: load,
		Prompt:      o.Prompt, Tokens: o.Tokens, Read: o.Read, Notify: o.Notify,
	})
	if err != nil {
		return nil, fmt.Errorf("bench %s: %w", t, err)
	}
	instructions, _ := Instructions()
	rep := &BenchReport{
		Target: t.String(), Architecture: r.Info.Architecture, Bits: r.Info.Bits, GroupSize: r.Info.GroupSize,
		WeightBytes: r.Info.WeightBytes, Threads: r.Info.Threads, Compute: string(r.Compute), Instructions: instructions,
		Load: r.Load.Seconds(), PromptTokens: r.Prompt, Prefill: r.Prefill,
		Tokens: r.Tokens, Rounds: r.Rounds, Decode: 1 / r.Decode.Seconds(),
		BytesPerToken: BenchBytes{r.Traffic.Matrices, r.Traffic.Norms, r.Traffic.Embedding, r.Traffic.KV, r.Traffic.Total()},
		DecodeRate:    r.Rate(), ReadRate: r.Read, PercentOfRead: 100 * r.Rate() / r.Read,
	}
	if m := r.Memory; m.Peak > 0 {
		rep.Memory = &BenchMemory{m.Peak, m.Own, m.Mapped}
	}
	return rep, nil
}
