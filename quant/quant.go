package quant

import (
	"context"
	"encoding/json"
	"io"

	"github.com/qbranch/qbranch/quant/safetensors"
)

// Severity of a finding.
type Severity string

// Severities: a fatal finding means the branch cannot be what it claims.
const (
	Fatal Severity = "fatal"
	Warn  Severity = "warn"
	Info  Severity = "info"
)

// Finding is one thing that was noticed. Codes are J1…, H1…, D1… of
// docs/findings.md and never change their meaning.
type Finding struct {
	Code     string   `json:"code"`
	Severity Severity `json:"severity"`
	Where    string   `json:"where"`          // file, tensor or field
	Message  string   `json:"message"`        // what is wrong, with values
	Got      string   `json:"got,omitempty"`  // the value seen
	Want     string   `json:"want,omitempty"` // the value expected
	Hint     string   `json:"hint,omitempty"` // what to do next
}

// Config is a GPTQ configuration as declared, normalised; pointers are nil
// where the file does not say. Source: AutoGPTQ and GPTQModel config.py.
type Config struct {
	File         string // where it was read
	Bits         int
	GroupSize    int // -1 = one group per column
	DescAct      *bool
	Sym          *bool
	StaticGroups *bool
	TrueSeq      *bool
	DampPercent  *float64
	Method       string // "gptq" when absent
	Format       string // checkpoint_format: "gptq" when absent, or "gptq_v2", …
	FileBaseName string // model_file_base_name
	Meta         map[string]json.RawMessage
	Extra        map[string]json.RawMessage // keys that are not known, kept
}

// ParseConfig reads quantize_config.json or quant_config.json.
func ParseConfig(file string, data []byte) (Config, error) { return Config{}, nil }

// ParseModelConfig reads the quantization_config object of config.json;
// ok is false when there is none.
func ParseModelConfig(data []byte) (cfg Config, ok bool, err error) { return Config{}, false, nil }

// BranchParams are what a branch's name says; nil where it does not.
type BranchParams struct {
	Bits, GroupSize *int
	ActOrder        *bool
}

// ParseBranchName reads names such as gptq-4bit-32g-actorder_True.
func ParseBranchName(name string) BranchParams { return BranchParams{} }

// Input is what is known of a checkpoint before or after its weights moved.
type Input struct {
	Branch  string                         // "" when unknown
	Files   map[string]int64               // path → size, the whole listing
	JSON    map[string][]byte              // config.json, quantize_config.json, *.index.json by path
	Headers map[string]*safetensors.Header // by path; nil before they are read
}

// Check judges the configuration files and, where present, the headers.
// Findings are ordered: fatal first, then by code and place.
func Check(in Input) []Finding { return nil }

// CheckData judges the tensors themselves: g_idx, scales, zeros, biases.
// open gives a reader over a whole safetensors file.
func CheckData(ctx context.Context, in Input, open func(path string) (io.ReaderAt, error)) ([]Finding, error) {
	return nil, nil
}
