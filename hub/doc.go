// Package hub speaks the Hugging Face Hub's read protocol.
//
// It owns references (owner/name:revision), the client (refs, revision, tree,
// small files, ranged reads through the redirect to storage), authentication,
// and the typed errors with their hints. It does not write to disk, does not
// know what a model is, and carries commits, never branch names, once a
// revision has been resolved.
package hub
