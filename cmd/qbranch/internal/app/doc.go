// Package app holds the verbs of qbranch as methods over hub, hub/fetch, store,
// quant and infer. It returns values and typed events; it prints nothing and
// knows no terminal, so that the command line and the TUI are thin siblings.
package app
