// Package tokenizer turns text into the token ids of a model and back, from the
// tokenizer.json of a repository (the file format of the `tokenizers` library).
//
// A text goes through five stations:
//
//	added tokens   names such as <|im_end|> are cut out of the raw text, the
//	               longest at the leftmost place; what lies between goes on
//	normalizer     Prepend, Replace, NFC …; then added tokens that are marked
//	               normalized are cut out of the result
//	pre-tokenizer  ByteLevel, Split, Digits, Metaspace … cut words
//	model          byte-pair merges inside each word (BPE), the best sum of
//	               scores (Unigram), the longest prefix (WordPiece), or the
//	               whole word (WordLevel)
//	post-processor adds the tokens around a text, such as the one that begins it
//
// and ids go through the decoder, which is written as a chain of stages fed one
// token at a time, so that streaming and decoding at once are the same code and
// give the same text.
//
// Guaranteed: ids and text are those of the library for the component kinds that
// Parse accepts; a kind it does not know is refused with ErrUnsupported, never
// skipped. Time is n log n in the length of a text for the merges. A Stream never
// returns part of a character.
//
// Not guaranteed: the truncation and padding sections are ignored, as a program
// that generates text ignores them. Case folding in patterns knows the pairs of
// Go's Unicode version alone. A library of another version than 0.23 may differ.
//
// A Tokenizer is immutable after Parse and safe for concurrent use.
package tokenizer
