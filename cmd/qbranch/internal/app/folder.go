package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/qbranch/qbranch/quant"
	"github.com/qbranch/qbranch/store"
)

// errNoOrigin says that a folder cannot be repaired.
var errNoOrigin = errors.New("nothing says where the folder came from")

// folderError is a folder that cannot be repaired and what to do instead.
type folderError struct {
	err  error
	hint string
}

func (e *folderError) Error() string { return e.err.Error() }
func (e *folderError) Unwrap() error { return e.err }

// Hint says what to do next.
func (e *folderError) Hint() string { return e.hint }

// folder verifies a plain folder: against its manifest when it was made by
// Get, else by reading it all. Everything is opened through an os.Root, so that
// no link leads out of the folder.
func (v *verifier) folder(ctx context.Context, dir string) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return fmt.Errorf("open folder: %w", err)
	}
	defer root.Close()
	c := checkpoint{open: func(path string) (openFile, error) { return root.Open(path) }}
	var links []string
	if c.files, links, err = listFolder(root); err != nil {
		return err
	}
	m, err := store.ReadManifest(dir)
	switch {
	case err == nil:
		v.rep.Commit, c.branch = m.Commit, m.Branch
		err = v.recorded(ctx, dir, m, c)
	case errors.Is(err, store.ErrNotFound):
		err = v.unrecorded(ctx, root, c, links)
	}
	if err != nil {
		return err
	}
	if v.rep.verdict() != nil || v.o.Depth == VerifyQuick {
		return nil
	}
	return v.judge(ctx, c)
}

// compare holds a folder against its manifest, as closely as was asked for.
func (v *verifier) compare(ctx context.Context, dir string, done func(int64)) ([]store.Damage, error) {
	switch v.o.Depth {
	case VerifyQuick:
		return store.VerifyFolderQuick(dir)
	case VerifyDeep:
		return store.VerifyFolderDeep(ctx, dir, done)
	}
	return store.VerifyFolder(ctx, dir, v.app.threads, done)
}

// checked is what files of the store, or of a folder with a manifest, are
// compared with.
func (d Depth) checked() string {
	switch d {
	case VerifyQuick:
		return checkedSize
	case VerifyDeep:
		return checkedWhole
	}
	return checkedParts
}

// codeUnrecorded is the finding that there is nothing to compare with.
const codeUnrecorded = "UNRECORDED"

// listFolder lists the regular files of a folder, and the links that lead out
// of it. Directories whose name begins with a dot belong to tools.
func listFolder(root *os.Root) (files map[string]int64, links []string, err error) {
	files = make(map[string]int64)
	err = fs.WalkDir(root.FS(), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if path != "." && strings.HasPrefix(d.Name(), ".") {
				return fs.SkipDir
			}
			return nil
		}
		fi, err := root.Stat(path) // follows links inside the folder
		switch {
		case err != nil && d.Type()&fs.ModeSymlink != 0:
			links = append(links, path)
		case err != nil:
			return err
		case fi.Mode().IsRegular():
			files[path] = fi.Size()
		}
		return nil
	})
	return files, links, err
}

// recorded compares a folder with its manifest.
func (v *verifier) recorded(ctx context.Context, dir string, m store.Manifest, c checkpoint) error {
	for _, f := range m.Files {
		v.rep.Bytes += f.Size
	}
	v.o.Total(v.rep.Bytes)
	damage, err := v.compare(ctx, dir, v.o.Done)
	if err != nil {
		return err
	}
	v.report(m, damage)
	if len(damage) == 0 || !v.o.Repair {
		return nil
	}
	if v.rep.Repaired, err = v.app.restore(ctx, dir, m, damage, v.notify); err != nil {
		return fmt.Errorf("repair: %w", err)
	}
	if damage, err = v.compare(ctx, dir, nil); err != nil {
		return err
	}
	v.report(m, damage)
	for _, f := range m.Files {
		c.files[f.Path] = f.Size // missing ones are back
	}
	return nil
}

// report makes the checks of a manifest's files. After a repair it replaces
// them, and tells of those that have changed.
func (v *verifier) report(m store.Manifest, damage []store.Damage) {
	before := make(map[string]bool)
	for _, f := range v.rep.Files {
		before[f.Path] = f.OK
	}
	bad := make(map[string]store.Damage)
	for _, d := range damage {
		bad[d.Path] = d
	}
	v.rep.Files = v.rep.Files[:0]
	for _, f := range m.Files {
		d, isBad := bad[f.Path]
		c := FileCheck{Path: f.Path, Size: f.Size, OK: !isBad, Checked: v.o.Depth.checked(), Ranges: d.Ranges, Missing: d.Missing}
		v.rep.Files = append(v.rep.Files, c)
		if ok, known := before[f.Path]; !known || !ok {
			v.notify(Event{File: &c})
		}
	}
}

// restore makes the damaged files of a folder again from the store, fetching
// what the store lacks.
func (a *App) restore(ctx context.Context, dir string, m store.Manifest, damage []store.Damage, notify func(Event)) (int64, error) {
	ref, err := ParseRef(m.Repo + "@" + m.Commit)
	if err != nil {
		return 0, err
	}
	st, snap, err := a.localSnapshot(ref)
	if err != nil && !damaged(err) {
		return 0, &folderError{fmt.Errorf("the store cannot give the files back: %w", err),
			fmt.Sprintf("bring it into the store with 'qbranch get %s', then try again", ref)}
	}
	// A blob that is hard-linked into the folder is damaged with it.
	var moved int64
	bad, err := (&verifier{app: a, o: VerifyOptions{Done: func(int64) {}}, notify: func(Event) {}, known: make(map[store.Digest]FileCheck), rep: new(VerifyReport)}).hash(ctx, st, snap)
	if err != nil {
		return 0, err
	}
	if bad {
		if moved, err = a.repair(ctx, st, snap, notify); err != nil {
			return moved, err
		}
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return moved, err
	}
	defer root.Close()
	for _, d := range damage {
		if d.Missing {
			continue
		}
		// Export does not overwrite what it did not write.
		if err := root.Remove(d.Path); err != nil {
			return moved, err
		}
	}
	_, err = st.Export(ctx, snap, dir, store.LinkAuto)
	return moved, err
}

// unrecorded reads every byte of a folder of which nothing was recorded, but
// those of pickles, which nothing here ever opens.
func (v *verifier) unrecorded(ctx context.Context, root *os.Root, c checkpoint, links []string) error {
	if v.o.Repair {
		return &folderError{fmt.Errorf("repair: %w", errNoOrigin), "fetch it with 'qbranch get REF --dir DIR': then it can be verified and repaired"}
	}
	v.rep.Findings = append(v.rep.Findings, Finding{Code: codeUnrecorded, Severity: quant.Info, Where: root.Name(),
		Message: "no digests were recorded for this folder: its bytes can be read, but not compared with what they should be",
		Hint:    "a folder made by 'qbranch get REF --dir DIR' carries its digests"})
	for _, l := range links {
		v.rep.Findings = append(v.rep.Findings, Finding{Code: "LINK", Severity: quant.Warn, Where: l,
			Message: "a link that leads out of the folder, or nowhere: not followed",
			Hint:    "to check what it leads to, copy the folder with its links resolved (cp -RL) and verify the copy"})
	}
	paths, pickles := slices.Sorted(maps.Keys(c.files)), []string(nil)
	for _, path := range paths {
		if isPickle(path) {
			pickles = append(pickles, path)
		} else {
			v.rep.Bytes += c.files[path]
		}
	}
	if len(pickles) > 0 {
		v.rep.Findings = append(v.rep.Findings, Finding{Code: pickleCode, Severity: quant.Warn, Where: list(pickles, ", ", 4),
			Message: "not opened: pickle files can run code when they are loaded",
			Hint:    "do not load them, unless you trust whoever made them"})
	}
	v.notify(Event{Findings: v.rep.Findings})
	v.o.Total(v.rep.Bytes)
	buf := make([]byte, store.PartSize)
	for _, path := range paths {
		if isPickle(path) {
			continue
		}
		check := FileCheck{Path: path, Size: c.files[path], OK: true, Checked: checkedRead}
		if v.o.Depth == VerifyQuick {
			check.Checked = checkedSize
		} else if err := v.readAll(ctx, root, path, buf); err != nil {
			return fmt.Errorf("read %s: %w", path, err)
		}
		v.rep.Files = append(v.rep.Files, check)
		v.notify(Event{File: &check})
	}
	return nil
}

func (v *verifier) readAll(ctx context.Context, root *os.Root, path string, buf []byte) error {
	f, err := root.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	for {
		n, err := f.Read(buf)
		v.o.Done(int64(n))
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
	}
}
