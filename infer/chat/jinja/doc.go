// Package jinja runs the chat templates of model repositories: the part of Jinja2
// that they use, with the settings that transformers gives them (trim_blocks,
// lstrip_blocks, no escaping, loop controls).
//
// A template is a program written by a stranger, so the language is cut down to
// what renders text and every resource is bounded: the size of the source, the
// nesting of expressions, calls within calls, evaluation steps, bytes built on
// the way, bytes of output, and time by the caller's context. There is no
// include, import or extends, no file, no access to Go values: a template sees
// only the strings, numbers, lists and dicts that it was given.
//
// Strings remember which parts of them came from outside the template (Data).
// Concatenation, slices, strip, split, join and replace keep track exactly; a
// result whose parts cannot be told apart counts as data as a whole. The output
// comes in segments accordingly, so that a tokenizer can refuse to read control
// tokens in what a user typed.
//
// Pseudo-code:
//
//	source → lexer → tokens → parser → statements
//	statements + variables → interpreter → segments
//
// Guaranteed: no panic and no unbounded work on any source. What is not
// implemented is an error that names it. Not guaranteed: filters, tests and
// methods beyond those that chat templates use; numbers beyond 64 bits.
package jinja
