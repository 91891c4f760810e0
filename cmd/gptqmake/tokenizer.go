package main

import "fmt"

// Ids of the special tokens.
const (
	unknownID = iota
	beginID
	endID
	firstByte
)

// tokenizer is a tokenizer.json that encodes any text as its bytes, and has an
// invented word for every other id, so that whatever is generated can be shown.
func tokenizer(vocab int) map[string]any {
	special := []string{"<unk>", "<s>", "</s>"}
	ids := make(map[string]int, vocab)
	var added []map[string]any
	for id, name := range special {
		ids[name] = id
		added = append(added, map[string]any{"id": id, "content": name, "special": true, "normalized": false,
			"single_word": false, "lstrip": false, "rstrip": false})
	}
	for b := range 256 {
		ids[fmt.Sprintf("<0x%02X>", b)] = firstByte + b
	}
	for id := firstByte + 256; id < vocab; id++ {
		ids[fmt.Sprintf("▁t%d", id)] = id
	}
	space := func(from, to string) map[string]any {
		return map[string]any{"type": "Replace", "pattern": map[string]any{"String": from}, "content": to}
	}
	return map[string]any{
		"version": "1.0", "added_tokens": added,
		"normalizer": nil, "pre_tokenizer": nil, "post_processor": nil,
		"decoder": map[string]any{"type": "Sequence", "decoders": []any{
			space("▁", " "), map[string]any{"type": "ByteFallback"}, map[string]any{"type": "Fuse"},
		}},
		"model": map[string]any{"type": "BPE", "unk_token": special[unknownID], "fuse_unk": true, "byte_fallback": true,
			"vocab": ids, "merges": []string{}},
	}
}
