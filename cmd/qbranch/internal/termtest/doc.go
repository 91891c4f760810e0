// Package termtest runs a program in a real terminal for tests: a tmux server of
// its own with one window, keys that are pressed, and the screen that is seen.
//
// On Linux there is also a terminal without anybody at its other end, which answers
// nothing and can be closed under a program.
//
// It owns the terminal, not what runs in it. Where tmux is not installed, tests
// that need it are skipped, unless CI is set.
package termtest
