// Package card reads a quantiser's model card: front matter, provided-files
// table, prompt template, sibling repositories.
package card
