// Package sample picks the next token from logits.
//
// The steps and their order are those of transformers' generate (its logits
// processors and warpers):
//
//	repetition penalty   a logit of a token seen before is divided by the penalty
//	                     if positive, multiplied if negative, once however often seen
//	temperature          logits are divided by it
//	top-k                logits below the k-th largest go; equals of it stay
//	top-p                the smallest set of most likely tokens whose probabilities
//	                     reach p stays; at least one
//	min-p                tokens less than p times as likely as the likeliest go
//	softmax, draw
//
// Temperature zero is greedy: after the repetition penalty, the largest logit,
// the first of equals.
//
// A token whose probability is below 2^-53 of the likeliest one's is never drawn:
// random numbers are no finer. Nothing is sorted but the few tokens at the edge of
// top-p, and nothing is allocated after New.
//
// Guaranteed: the same seed and logits give the same tokens on every platform
// (math/rand/v2's PCG, cumulated in the order of ids; no function of package math
// that is not exact, no product that a compiler may fuse with a sum). Not
// guaranteed: the tokens another program draws, since its random numbers are
// others.
package sample
