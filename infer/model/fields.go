package model

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"
)

// fields reads an object of config.json key by key. null counts as absence, as
// the configuration classes of transformers treat it. The first field that cannot
// be is kept in err; whoever reads goes on with the default and looks at it in
// the end.
type fields struct {
	raw  map[string]json.RawMessage
	used map[string]bool // keys that somebody asked for
	err  error
}

func parseFields(data []byte) (*fields, error) {
	f := &fields{used: make(map[string]bool)}
	if err := json.Unmarshal(data, &f.raw); err != nil {
		return nil, &Error{Kind: ErrCheckpoint, File: "config.json", Reason: "not the JSON it should be", Err: err,
			Help: "open the file: a stray bracket or comma is the usual cause; or fetch it again"}
	}
	return f, nil
}

func (f *fields) fail(err error) {
	if f.err == nil {
		f.err = err
	}
}

// find gives the first of the names that has a value.
func (f *fields) find(names ...string) (name string, raw json.RawMessage) {
	for _, name := range names {
		f.used[name] = true
	}
	for _, name := range names {
		if raw, ok := f.raw[name]; ok && string(raw) != "null" {
			return name, raw
		}
	}
	return names[0], nil
}

// isNull says that a key stands there with null, where that is more than absence.
func (f *fields) isNull(name string) bool { return string(f.raw[name]) == "null" }

// read decodes a value into what to points at, which stays where there is none.
func (f *fields) read(to any, want string, names ...string) {
	name, raw := f.find(names...)
	if raw == nil {
		return
	}
	if err := json.Unmarshal(raw, to); err != nil {
		f.fail(badConfig("%s is %s, not %s", name, shorten(raw), want))
	}
}

func (f *fields) float(missing float64, names ...string) float64 {
	v := missing
	f.read(&v, "a number", names...)
	return v
}

// integer reads a whole number. Python writes 4096.0 as readily as 4096.
func (f *fields) integer(missing int, names ...string) int {
	v := float64(missing)
	f.read(&v, "a whole number", names...)
	if v != math.Trunc(v) || math.Abs(v) > math.MaxInt32 {
		name, raw := f.find(names...)
		f.fail(badConfig("%s is %s", name, shorten(raw)))
		return missing
	}
	return int(v)
}

// need reads a whole number that must be there.
func (f *fields) need(names ...string) int {
	if name, raw := f.find(names...); raw == nil {
		f.fail(badConfig("%s is missing", name))
	}
	return f.integer(0, names...)
}

func (f *fields) flag(missing bool, name string) bool {
	v := missing
	f.read(&v, "true or false", name)
	return v
}

func (f *fields) text(missing string, names ...string) string {
	v := missing
	f.read(&v, "a string", names...)
	return v
}

// object reads an object within; nil where there is none. Its errors are f's.
func (f *fields) object(name string) *fields {
	inner := &fields{used: make(map[string]bool)}
	f.read(&inner.raw, "an object", name)
	if inner.raw == nil {
		return nil
	}
	return inner
}

func shorten(raw json.RawMessage) string {
	if len(raw) > 60 {
		return string(raw[:60]) + "…"
	}
	return string(raw)
}

// neutral are settings that change the arithmetic of the families that have
// them, with the values that do not. A config that has another value of one its
// own family knows nothing of is of a network that is not the one it names.
var neutral = map[string]string{
	"alibi": "false",
	"apply_residual_connection_post_layernorm": "false",
	"attention_multiplier":                     "",
	"attn_logit_softcapping":                   "",
	"clip_qkv":                                 "",
	"dim_model_base":                           "",
	"embedding_multiplier":                     "1",
	"final_logit_softcapping":                  "",
	"logit_scale":                              "1",
	"logits_scaling":                           "1",
	"qk_layernorm":                             "false",
	"query_pre_attn_scalar":                    "",
	"residual_multiplier":                      "1",
	"scale_depth":                              "",
	"scale_emb":                                "1",
	"use_bidirectional_attention":              "false",
	"use_qk_norm":                              "false",
}

// foreign refuses, by name, what the architecture does not have.
func (f *fields) foreign(architecture string) error {
	for name, value := range neutral {
		raw := string(f.raw[name])
		if raw == "" || raw == "null" || f.used[name] || strings.TrimSuffix(raw, ".0") == value {
			continue
		}
		return unsupportedConfig("%s %s, which %s does not have, is not supported", name, shorten(f.raw[name]), architecture)
	}
	return nil
}

func badConfig(format string, args ...any) *Error {
	return &Error{Kind: ErrCheckpoint, File: "config.json", Reason: fmt.Sprintf(format, args...)}
}

func unsupportedConfig(format string, args ...any) *Error {
	return &Error{Kind: ErrUnsupported, File: "config.json", Reason: fmt.Sprintf(format, args...)}
}
