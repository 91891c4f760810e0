package vram

import "slices"

// Range is a number of bytes that is not known exactly.
type Range struct {
	Low      int64 `json:"low_bytes"`
	Expected int64 `json:"expected_bytes"`
	High     int64 `json:"high_bytes"`
}

// exactly is a range without width.
func exactly(n int64) Range { return Range{n, n, n} }

func (r Range) plus(o Range) Range {
	return Range{add(r.Low, o.Low), add(r.Expected, o.Expected), add(r.High, o.High)}
}

func (r Range) at(l level) int64 {
	switch l {
	case lowest:
		return r.Low
	case expected:
		return r.Expected
	}
	return r.High
}

// level picks one end of a Range, or its middle.
type level int

const (
	lowest level = iota
	expected
	highest
)

// scratch is a kind of working memory that an engine takes besides its overhead.
type scratch int

const (
	noScratch    scratch = iota // part of the overhead
	gptqScratch                 // AutoGPTQ and its heirs: depends on the kernel that bits choose
	graphScratch                // vLLM and its kin: activations of a whole chunk of tokens
)

// Profile is how an engine uses memory.
type Profile struct {
	ID       string // as in [ProfileFor]
	Name     string
	Overhead Range  // per card: CUDA context, runtime and what is not a term of its own
	Basis    string // what Overhead is, and how it is known
	Source   Source // of Overhead

	EmbedInRAM bool // the embedding stays in main memory
	FullCache  bool // a sliding window does not shorten the cache
	Fraction   int  // thousandths of the card that the engine takes whatever the model; 0 = only what is needed
	// FractionFlag is how its user sets Fraction, "" without one.
	FractionFlag string
	KV           []KVType // the types of cache it offers, the first being its own
	Layers       bool     // can lay layers on several cards
	Tensor       bool     // can split every matrix over several cards
	RAM          bool     // runs in main memory, not on a card
	Mapped       bool     // maps the weights from the file instead of reading them

	scratch scratch
}

// mib is a range given in MiB.
func mib(low, expected, high int64) Range {
	return Range{low * MiB, expected * MiB, high * MiB}
}

// The overhead of an engine of which nothing better is known: 0.8, 1.2 and 2.2
// GiB. A CUDA context alone takes 523 MiB on an H200 with driver 580; buffers
// for unpacking and for a chunk of the prompt 0.3 GiB for 13B; the upper end is
// what ExLlamaV2's author measured beyond weights and cache, with a 13B model
// (exllamav2 #3).
func generalOverhead() Range { return mib(819, 1229, 2253) }

// Profiles lists what is known of engines, the general one first.
func Profiles() []Profile {
	const (
		whole = "CUDA context, runtime, room to unpack a matrix and to compute a chunk of the prompt"
		bare  = "CUDA context and runtime"
		graph = "CUDA context, runtime and graphs"
		ram   = "buffers of the runner"
		other = "runtime, libraries and buffers"
	)
	general := generalOverhead()
	// AutoGPTQ's kernels have a term of their own for what is 0.3 GiB of the general overhead.
	gptq := mib(512, 922, 1946)
	// Context, libraries and graphs; activations are a term of their own. Logs:
	// 0.10 (#12330), 0.20 (#14447), 0.25 (#13061) and 1.79 GiB (#10511).
	server := mib(205, 512, 2048)
	all := []KVType{KVFP16, KVFP8, KVQ8, KVQ4}
	list := []Profile{
		{ID: "generic", Name: "an engine", Overhead: general, Basis: whole, KV: all, Layers: true, Tensor: true},
		{ID: "exllamav2", Name: "ExLlamaV2", Overhead: general, Basis: whole, EmbedInRAM: true, FullCache: true, KV: all, Layers: true, Tensor: true},
		{ID: "exllama", Name: "ExLlama", Overhead: general, Basis: whole, EmbedInRAM: true, FullCache: true, KV: []KVType{KVFP16}, Layers: true},
		{ID: "vllm", Name: "vLLM", Overhead: server, Basis: graph, Fraction: 900, FractionFlag: "--gpu-memory-utilization", KV: []KVType{KVFP16, KVFP8}, Layers: true, Tensor: true, scratch: graphScratch},
		{ID: "sglang", Name: "SGLang", Overhead: server, Basis: graph, Fraction: 880, FractionFlag: "--mem-fraction-static", KV: []KVType{KVFP16, KVFP8}, Tensor: true, scratch: graphScratch},
		{ID: "tgi", Name: "TGI", Overhead: server, Basis: graph, Fraction: 900, FractionFlag: "--cuda-memory-fraction", KV: []KVType{KVFP16, KVFP8}, Tensor: true, scratch: graphScratch},
		{ID: "autogptq", Name: "AutoGPTQ", Overhead: gptq, Basis: bare, KV: []KVType{KVFP16}, Layers: true, scratch: gptqScratch},
		{ID: "transformers", Name: "transformers", Overhead: gptq, Basis: bare, KV: []KVType{KVFP16}, Layers: true, scratch: gptqScratch},
		{ID: "gptqmodel", Name: "GPTQModel", Overhead: gptq, Basis: bare, KV: []KVType{KVFP16}, Layers: true, scratch: gptqScratch},
		{ID: "cpu", Name: "the CPU runner", Overhead: mib(64, 128, 512), Basis: ram, FullCache: true, KV: []KVType{KVFP32}, RAM: true, Mapped: true},
		{ID: "ram", Name: "an engine on the CPU", Overhead: mib(512, 1024, 2048), Basis: other, FullCache: true, KV: []KVType{KVFP16}, RAM: true},
	}
	for i := range list {
		list[i].Source = FromAssumption
	}
	return list
}

// ProfileFor finds the profile of an engine by its ID. An engine that is not
// known, and "", have the general one, and ok says so.
func ProfileFor(id string) (p Profile, ok bool) {
	list := Profiles()
	for _, p := range list {
		if p.ID == id {
			return p, true
		}
	}
	return list[0], id == ""
}

// offers says whether the engine has this type of cache.
func (p *Profile) offers(kv KVType) bool { return slices.Contains(p.KV, kv) }
