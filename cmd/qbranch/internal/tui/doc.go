// Package tui is the Bubble Tea program over the same app calls as the command line; it alone imports Charm.
package tui
