package app

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Where the terminal program remembers what waited to be fetched when it ended,
// and how much of that.
const (
	queueFile   = "queue.json"
	queueSchema = "qbranch/queue/v1"
	mostQueued  = 100
)

// Queued is a Get that waits for others, or has hardly begun.
type Queued struct {
	Ref    Ref
	Filter Filter
}

// queuedFile is the file: docs/cache-format.md describes it.
type queuedFile struct {
	Schema  string       `json:"schema"`
	Fetches []queuedItem `json:"fetches"` // in their order
}

type queuedItem struct {
	Ref     string   `json:"ref"`
	Include []string `json:"include,omitempty"`
	Exclude []string `json:"exclude,omitempty"`
}

// Queue returns what KeepQueue remembered in the state directory dir (StateDir).
// What is no reference is left out.
func Queue(dir string) ([]Queued, error) {
	var kept queuedFile
	if err := readState(dir, queueFile, "what waits to be fetched", &kept); err != nil {
		return nil, err
	}
	var out []Queued
	for _, it := range kept.Fetches[:min(len(kept.Fetches), mostQueued)] {
		if ref, err := ParseRef(it.Ref); err == nil {
			out = append(out, Queued{ref, Filter{Include: it.Include, Exclude: it.Exclude}})
		}
	}
	return out, nil
}

// KeepQueue remembers what waits to be fetched, in place of what it remembered
// before.
func KeepQueue(dir string, queue []Queued) error {
	if dir == "" {
		return nil
	}
	if len(queue) == 0 {
		if err := os.Remove(filepath.Join(dir, queueFile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("forget what waited to be fetched: %w", err)
		}
		return nil
	}
	kept := queuedFile{Schema: queueSchema}
	for _, q := range queue[:min(len(queue), mostQueued)] {
		kept.Fetches = append(kept.Fetches, queuedItem{q.Ref.String(), q.Filter.Include, q.Filter.Exclude})
	}
	data, err := json.MarshalIndent(kept, "", "  ")
	if err == nil {
		err = replaceFile(dir, queueFile, append(data, '\n'))
	}
	if err != nil {
		return fmt.Errorf("remember what waits to be fetched: %w", err)
	}
	return nil
}
