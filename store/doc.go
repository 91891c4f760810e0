// Package store keeps content-addressed blobs on the local disk.
//
// It owns the blob layout (a blob's name is its SHA-256), the BLAKE3 list of
// 1 MiB parts beside every blob, resumable ingestion with a journal, snapshots
// (repository@commit → path → digest, written last) and verification. It knows
// nothing of HTTP or of models.
package store
