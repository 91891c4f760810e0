// Package app holds the verbs of qbranch as methods over hub, hub/fetch, store,
// quant and infer.
//
// It owns the order in which a verb asks the hub, the store and the judge, what
// it reports on the way ([Event]), and the reconciliation of what a card, a
// branch's name and its configuration say ([App.List]). It prints nothing and
// knows no terminal, so that the command line and the TUI are thin siblings.
//
// Get, the longest verb, is one straight line:
//
//	commit := resolve(ref)                 // one request; none for a pinned commit
//	files  := tree(commit) without pickles // none when the commit is in the store
//	plan   := compare(files, store)        // Event.Plan; stop here when it does not fit
//	judge(configs, headers)                // Event.Findings; stop here when one is fatal
//	fetch(what the plan lacks); export
//
// # Guarantees
//
//   - No weights move beyond the ranged read of each file's header before the
//     configuration and the headers have been judged.
//   - What was read for judging goes into the store: nothing is fetched twice.
//   - Verify, LoadModel and StoreList send no request (Verify does with Repair).
//   - Pickle files are never fetched, and nothing that was fetched is executed.
//   - Errors keep the sentinels of the packages below, for errors.Is.
//
// # Not guaranteed
//
//   - That texts are fit for a terminal: names and messages come from the hub as
//     they are, and whoever shows them cleans them.
//   - [Listing.Requests] is exact only when no other verb of the same App runs.
package app
