// Termsvg turns what a terminal shows into a picture:
//
//	tmux capture-pane -e -p | go run ./cmd/termsvg > screen.svg
//
// It reads text with the escape sequences of colour and weight (SGR) that tmux
// writes, and ignores all others. The pictures of the documentation are made with
// it ('make screens').
package main
