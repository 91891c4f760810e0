// Package proof runs a checkpoint to find out whether it is sound: it has it read
// texts and write some, and judges what it sees by signals with bounds.
//
//	texts.go    the fixed texts, beginnings and prompts
//	run.go      Run: the steps in their order, within a budget
//	know.go     what fixed texts cost, in many languages if need be; known facts
//	format.go   chat template, special tokens, end of a turn
//	compare.go  float32 against int16; one model against another
//	rows.go     what the logits of one position say
//	bounds.go   Facts → signals, each with a value, a bound and a verdict
//
// Run measures and Signals judges, so that bounds are tested without a model:
//
//	facts := Run(model)
//	  read the tale, always whole          finite, known_text
//	  the tale as an answer of a chat      end_of_turn, answer
//	  the other texts; facts               known_text, continuations
//	  write four texts                     entropy, loops, variety, stray, specials
//	  the other model side by side         against_*
//	  other languages, if none is known    known_text
//	  read the tale again                  repeatable
//	  float32 and int16 side by side       int16_*
//	signals := facts.Signals()
//
// Each signal is weak. What kinds of damage show in which is in docs/verdict.md,
// in a table that a test makes.
//
// Guaranteed: no signal condemns a model for not knowing English, and none makes
// a model broken for what it does not know alone; what was not measured speaks
// neither for nor against a model.
//
// Not guaranteed: that damage shows. A text stays a text when scales of like
// matrices are exchanged or the order of rows is ignored.
package proof
