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
//	softmax, draw
//
// Temperature zero is greedy: after the repetition penalty, the largest logit,
// the first of equals.
//
// Guaranteed: the same seed and logits give the same tokens on every platform
// (math/rand/v2's PCG, cumulated in the order of ids). Not guaranteed: the tokens
// another program draws, since its random numbers are others.
package sample
