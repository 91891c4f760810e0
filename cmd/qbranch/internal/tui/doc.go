// Package tui is the terminal program over the same app calls as the command
// line: the branches of a repository and whether they fit, what is known of one,
// two side by side, fetching with live progress, verifying, proving, generating,
// and what the store holds. It is the only package that imports Charm.
//
// It owns the screens, the keys and the layout. It does not own the verbs:
// every key does what a command line of package cli does, through package app,
// and the screen shows that command line.
//
// # Shape
//
// There is one Bubble Tea model. Screens are plain structs in it; each lists its
// keys ([binding]), and footer, help and behaviour all come from that list, so
// the footer cannot offer what does not work. Update does no I/O: work runs in
// commands, each with a context of its screen and a generation number, and an
// answer to an older generation is dropped. Commands change no state of the
// model; what they report before they end goes through an [outbox] or through
// counters, which a tick samples ten times a second, only while something runs.
//
//	key → Update → command → verb of app
//	                 │ outbox, counters      │ answer
//	      tick ──────┴──────────── Update ───┘ → View(model, width, height)
//
// View is a pure function of the model and the window's size. Screens make
// [line] values, spans of text with a meaning; one place turns them into what
// the terminal gets. There, text is stripped of everything that is not text
// (branch names, error messages and generated text come from strangers), cut
// to the window, coloured, and in ASCII mode translated.
//
// # Measuring
//
// A repository is read once ([survey]); the [plan] says what its branches are to
// run in. Every change of the plan measures them again, without asking anybody, in
// a command of its own generation, so that the table follows each key.
//
// # Colour
//
// Sixteen colours, and never the only sign of anything. The background is never
// asked for: --theme decides, else COLORFGBG, else it is taken to be dark. A
// query would cost up to 150 ms on terminals that do not answer, and late
// answers end up in the shell. NO_COLOR and --theme mono switch colour off.
//
// # Drawing
//
// Bubble Tea's renderer is off; display.go draws instead. It sleeps until there is
// a frame that differs, and writes the rows that do, at most sixty times a second,
// beside Update: a terminal that takes nothing does not stop keys. So the first
// frame does not wait for a clock, and a program in which nothing runs wakes up
// for nothing.
//
// # Guarantees
//
// However it ends, by a key, a signal, a panic of ours or a closed terminal, the
// terminal is as it was found; ctrl+z and SIGTSTP leave it so, too, until fg. A
// panic in a goroutine that package app started is not caught.
// No line is wider than the window. Leaving a screen never stops a transfer;
// leaving the program while one runs asks first. When [Run] returns, every
// operation it started has ended and the journals of unfinished transfers are
// closed, so each resumes where it was; the next start offers that. What another
// process fetches into the store is shown and cannot be changed here; it is read
// from the disk every two seconds, while the screen that shows it is open. Not
// given: columns that users choose, several transfers at once (they queue).
package tui
