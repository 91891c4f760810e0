// Package card reads a quantiser's model card: front matter, provided-files
// table, prompt template, the repository it belongs to.
//
// A card is Markdown written for people, by scripts that changed over the
// years. What is read is the parsed document, not lines: a table counts as a
// table of quants only if its header says Branch, Bits and something that only
// quants have, and columns are found by their names, never by their place. What
// a card does not say stays nil. Layouts that are known:
//
//	gptq10      Branch, Bits, GS, Act Order, Damp %, GPTQ Dataset, Seq Len, Size, ExLlama, Desc
//	gptq8       Branch, Bits, Group Size, Act Order (desc_act), File Size, ExLlama Compatible?, Made With, Description
//	awq6        Branch, Bits, GS, AWQ Dataset, Seq Len, Size
//	exl2-vram   Branch, Bits, lm_head bits, VRAM (4k), …, Description
//	links       no table, but links to branches that say their bits
//	gptq-files  no table, but a list of files under "Provided files"
//	gguf-files  a table of files, not of branches
//	none        nothing of these
//
// The package owns reading; it does not compare a card with the repository.
//
// Guarantees: [Parse] returns for any bytes, in time linear in their number (2
// MiB are read, and lines or paragraphs that no card has are left out, see
// tame.go); every string it returns is valid UTF-8 without control characters,
// escape sequences, bidirectional overrides or zero-width characters, so that it
// may be printed. Not guaranteed: that what the card says is true.
package card
