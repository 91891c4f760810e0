// Package termguard keeps the terminal quiet until the terminal program starts.
//
// Bubble Tea v1 asks the terminal for its background colour while its packages
// are initialised, so every command of a binary that links it, --version
// included, writes an escape sequence to the terminal and waits up to five
// seconds when nobody answers. A terminal named "dumb" is never asked. So this
// package, which is initialised earlier, says TERM=dumb, and main calls
// [Restore] as its first statement.
//
// Why it is earlier: Go initialises packages in the order of their import
// paths, each as soon as what it imports is ready. This one imports os alone
// and its path sorts before os/signal, which Bubble Tea needs. Both are held by
// tests; importing anything else here breaks the guard.
//
// It does not decide colours: see package tui.
package termguard
