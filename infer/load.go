package infer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/qbranch/qbranch/infer/chat"
	"github.com/qbranch/qbranch/infer/model"
	"github.com/qbranch/qbranch/infer/packfile"
	"github.com/qbranch/qbranch/infer/tokenizer"
)

// Model is a loaded checkpoint: weights memory-mapped, tokenizer, template.
// It is safe for concurrent use; each generation has its own KV cache.
type Model struct {
	model   *model.Model
	files   *model.Checkpoint
	packed  *packfile.File // matrices whose codes were moved; nil = none
	threads int
	compute Compute
	memory  int64 // for sessions; 0 = unknown
	eos     map[int]bool

	// A checkpoint without a usable tokenizer still runs from token ids, so these
	// errors are for those who give text.
	tok         *tokenizer.Tokenizer
	tokErr      error
	template    *chat.Template
	templateErr error
}

// Load maps and checks a checkpoint. ErrUnsupported names what is not
// supported; ErrCheckpoint says which file or tensor is bad, ErrNoCheckpoint
// that there is none. A missing or bad tokenizer or template is reported when it
// is first needed.
func Load(ctx context.Context, files Files, o LoadOptions) (*Model, error) {
	m := &Model{threads: o.Threads, compute: o.Compute, memory: o.Memory, eos: make(map[int]bool)}
	if m.threads <= 0 {
		m.threads = runtime.GOMAXPROCS(0)
	}
	config, err := files.read("config.json", maxConfig)
	if err != nil {
		return nil, err
	}
	if config == nil {
		return nil, files.withoutConfig()
	}
	q, err := files.quantConfig(config)
	if err != nil {
		return nil, err
	}
	cfg, err := model.ParseConfig(config)
	if err != nil {
		return nil, err
	}
	weights, err := files.weights()
	if err != nil {
		return nil, err
	}
	if err := m.loadText(files, o.PromptTemplate); err != nil {
		return nil, err
	}
	if err := m.loadEOS(files, config); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if m.files, err = model.OpenCheckpoint(weights); err != nil {
		return nil, err
	}
	if m.model, err = model.Load(ctx, cfg, q, m.files); err != nil {
		return nil, errors.Join(err, m.files.Close())
	}
	if fits := m.files.Bytes() < o.Memory/10*9; fits { // the system and others need some
		m.files.ReadAhead()
	} else {
		m.model.ReadAhead = o.Memory > 0
	}
	if err := m.usePacked(ctx, weights, o, packedLeast); err != nil {
		return nil, errors.Join(err, m.Close())
	}
	if m.files.Bytes() > largeModel { // worth what it takes: memory is then wanted for keys, values and the file cache
		debug.FreeOSMemory()
	}
	return m, nil
}

// largeModel is a size of weights, in bytes, from which on loading gives back
// the memory it took for headers and JSON.
const largeModel = 1 << 30

// Close unmaps the weights; no generation may be running.
func (m *Model) Close() error {
	err := m.files.Close()
	if m.packed != nil {
		err = errors.Join(err, m.packed.Close())
	}
	return err
}

// Info returns what was loaded.
func (m *Model) Info() Info {
	c := m.model.Config
	info := Info{
		Architecture: c.Architecture,
		Layers:       c.Layers,
		Hidden:       c.Hidden,
		Vocab:        c.Vocab,
		Context:      c.Context,
		Bits:         m.model.Bits,
		GroupSize:    m.model.GroupSize,
		WeightBytes:  m.files.Bytes(),
		Threads:      m.threads,
		Experts:      c.Experts,
	}
	if m.template != nil {
		info.Template = m.template.From()
		info.Formatted = info.Template != chat.NoFormat && info.Template != chat.DefaultChatML
	}
	return info
}

// NewSession gives direct access to the decoder, for those who want logits and
// hidden states rather than text. What o leaves out is as the model was loaded.
// The caller closes it before the model.
func (m *Model) NewSession(o SessionOptions) *model.Session {
	if o.Threads <= 0 {
		o.Threads = m.threads
	}
	if o.Compute == "" {
		o.Compute = m.compute
	}
	return m.model.NewSession(o)
}

// loadText reads tokenizer and template. The error is of reading files; that a
// file is bad is kept for later.
func (m *Model) loadText(files Files, card string) error {
	var err error
	var bad *model.Error
	if m.tok, err = LoadTokenizer(files); errors.As(err, &bad) {
		bad.Help = strings.TrimPrefix(bad.Help+", or give token ids instead of text", ", or ")
		m.tokErr = bad
	} else if err != nil {
		return err
	}
	source := chat.Source{HasToken: m.hasToken, Card: card}
	for _, f := range []struct {
		name string
		to   *[]byte
	}{{"chat_template.jinja", &source.Jinja}, {"tokenizer_config.json", &source.Config}, {"special_tokens_map.json", &source.Special}} {
		if *f.to, err = files.read(f.name, maxConfig); err != nil {
			return err
		}
	}
	m.template, m.templateErr = chat.New(source)
	return nil
}

func (m *Model) hasToken(name string) bool {
	if m.tok == nil {
		return false
	}
	_, ok := m.tok.TokenID(name)
	return ok
}

// loadEOS collects the tokens that end a text. Fine-tunes often name theirs in
// only one of the places, so all of them count.
func (m *Model) loadEOS(files Files, config []byte) error {
	generation, err := files.read("generation_config.json", maxConfig)
	if err != nil {
		return err
	}
	for _, f := range []struct {
		name string
		data []byte
	}{{"config.json", config}, {"generation_config.json", generation}} {
		if f.data == nil {
			continue
		}
		var fields struct {
			EOS idList `json:"eos_token_id"`
		}
		if err := json.Unmarshal(f.data, &fields); err != nil {
			return &model.Error{Kind: ErrCheckpoint, File: f.name, Reason: "reading eos_token_id", Err: err}
		}
		for _, id := range fields.EOS {
			m.eos[id] = true
		}
	}
	if m.template == nil || m.tok == nil {
		return nil
	}
	for _, name := range append(m.template.TurnEnds(), m.template.SpecialToken("eos_token")) {
		if id, ok := m.tok.TokenID(name); ok {
			m.eos[id] = true
		}
	}
	return nil
}

// idList is a number or a list of numbers.
type idList []int

// UnmarshalJSON reads either form.
func (l *idList) UnmarshalJSON(data []byte) error {
	if len(data) > 0 && data[0] == '[' {
		return json.Unmarshal(data, (*[]int)(l))
	}
	if string(data) == "null" {
		return nil
	}
	var id int
	if err := json.Unmarshal(data, &id); err != nil {
		return fmt.Errorf("%s is neither a token id nor a list of them", data)
	}
	*l = idList{id}
	return nil
}
