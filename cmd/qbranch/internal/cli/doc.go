// Package cli holds the cobra commands: flags → options → one call into app → render.
package cli
