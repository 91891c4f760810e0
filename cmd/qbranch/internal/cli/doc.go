// Package cli is the command line: flags become an options struct, one call
// goes into app, and what comes back is rendered as text or as JSON.
//
// It owns the verbs and their help, the rendering of tables and progress, the
// words and codes that errors become, and the cleaning of everything that came
// from outside before a terminal sees it. It decides nothing about
// repositories, stores or models.
//
// Guarantees: standard output carries what was asked for and nothing else;
// progress and messages go to standard error. With --json the last line of a
// failed command is an error object. docs/output.md promises the exit codes
// and the schemas. Not guaranteed: the wording and layout of the text output.
package cli
