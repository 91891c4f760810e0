// Package card reads a quantiser's model card: front matter, provided-files
// table, prompt template, the repository it belongs to and its sisters.
//
// A card is Markdown written for people, by scripts that changed over the
// years. What is read is the parsed document, not lines: a table, of Markdown or
// HTML, counts as one of quants only if its header says Branch, Bits and
// something that only quants have, and columns are found by their names, never
// by their place. What a card does not say stays nil. Layouts that are known:
//
//	gptq10      Branch, Bits, GS, Act Order, Damp %, GPTQ Dataset, Seq Len, Size, ExLlama, Desc
//	gptq8       Branch, Bits, Group Size, Act Order (desc_act), File Size, ExLlama Compatible?, Made With, Description
//	awq6        Branch, Bits, GS, AWQ Dataset, Seq Len, Size
//	exl2-vram   Branch, Bits, lm_head bits, VRAM (4k), …, Description
//	other       a table of branches of another method
//	links       no table, but links to branches that say their bits
//	gptq-files  no table, but a list of files under "Provided files"
//	gguf-files  a table of files, not of branches
//	none        nothing of these
//
// A card with several of these has the first in this order: GPTQ before other
// methods, branches before files. Tables of benchmarks, of other methods and of
// other repositories are decoys: named, not read. A branch of another method in
// a table of GPTQ branches is listed as what it is.
//
// The package owns reading, and remarks on what does not hold together within a
// card; it does not compare a card with the repository. Branch names are read by
// quant.ParseBranchName.
//
// Guarantees: [Parse] returns for any bytes, in time linear in their number (2
// MiB are read, and lines or paragraphs that no card has are left out, see
// tame.go); every string it returns is valid UTF-8 without control characters,
// escape sequences, bidirectional overrides or zero-width characters, so that it
// may be printed. Not guaranteed: that what the card says is true.
package card
