package store

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"
)

// blobs looks at the blobs, whether or not a snapshot names them.
func (c *checker) blobs() error {
	var unused, linked Amount
	for _, d := range sorted(c.inv.blobs) {
		b := c.inv.blobs[d]
		c.rep.Bytes += b.Size()
		if _, used := c.sizes[d]; !used {
			unused.add(b)
		}
		if b.links > 1 {
			linked.add(b)
		}
		if perm := b.Mode().Perm(); b.Mode().IsRegular() && perm&0o222 != 0 {
			p := Problem{Code: "BLOB_MODE", Severity: SeverityWarn, Path: b.path, Message: fmt.Sprintf("the blob has mode %04o: it can be written to", perm)}
			if err := c.found(p, func() error { return c.s.fs.Chmod(b.path, 0o444) }); err != nil {
				return err
			}
		}
	}
	var err error
	if unused.Files > 0 {
		hint := "'qbranch store gc' removes them"
		if len(c.inv.unread)+len(c.inv.aside) > 0 {
			hint = "keep them: a snapshot that cannot be read may use them; first 'qbranch get' its branch again"
		}
		err = c.found(Problem{Code: "BLOB_UNUSED", Severity: SeverityInfo,
			Message: fmt.Sprintf("%d blobs of %s are used by no branch", unused.Files, BytesText(unused.Bytes)), Hint: hint}, nil)
	}
	if linked.Files > 0 && runtime.GOOS != "windows" {
		err = errors.Join(err, c.found(Problem{Code: "BLOB_LINKED", Severity: SeverityInfo,
			Message: fmt.Sprintf("%d blobs of %s are files of other folders as well: whoever changes those changes these", linked.Files, BytesText(linked.Bytes))}, nil))
	}
	return err
}

// lists looks at the lists of parts.
func (c *checker) lists() error {
	for _, d := range sorted(c.inv.blobs) {
		b := c.inv.blobs[d]
		if _, marked := c.inv.marks[d]; marked || !b.Mode().IsRegular() {
			continue // known to be bad: nothing can be listed
		}
		p := Problem{Code: "PARTS_BAD", Severity: SeverityWarn, Path: c.s.partsPath(d)}
		list, err := c.s.readParts(d)
		switch {
		case errors.Is(err, ErrNotFound):
			p.Code, p.Message = "PARTS_MISSING", "the blob's list of parts is lost"
		case errors.Is(err, ErrFormat):
			p.Message = fmt.Sprintf("the blob's list of parts is damaged: %v", err)
		case err != nil:
			return err
		case list.size == b.Size():
			continue
		case c.sizes[d] == b.Size():
			p.Message = fmt.Sprintf("the list is of %d bytes, the blob has %d", list.size, b.Size())
		default:
			p.Code, p.Severity, p.Path = "BLOB_SIZE", SeverityFatal, b.path
			p.Message = fmt.Sprintf("the blob has %d bytes, its list of parts is of %d", b.Size(), list.size)
			if c.sizes[d] != list.size { // else it was said of the snapshot's file
				if err := c.found(p, nil); err != nil {
					return err
				}
			}
			continue
		}
		if c.o.Fix {
			c.rehash = append(c.rehash, d) // says so when it is done
			continue
		}
		if err := c.found(p, c.nothing); err != nil {
			return err
		}
	}
	return c.lone(c.inv.parts, "PARTS_ORPHAN", "a list of parts without its blob")
}

// nothing is a fix that is done elsewhere.
func (c *checker) nothing() error { return nil }

// relist makes a lost list of parts again, if the blob is what its name says.
func (c *checker) relist(ctx context.Context, d Digest) error {
	p := Problem{Code: "PARTS_MISSING", Severity: SeverityWarn, Path: c.s.rel(c.s.partsPath(d)),
		Message: "the blob's list of parts was lost or damaged", Fixed: true}
	if list, err := c.s.readParts(d); err == nil {
		// It can be read, so its length is wrong: only without it will Verify look
		// at the whole.
		p.Code, p.Message = "PARTS_BAD", fmt.Sprintf("the list of parts was of %d bytes, which the blob does not have", list.size)
		if err := c.s.removeFile(c.s.partsPath(d)); err != nil {
			return err
		}
	}
	err := c.s.Verify(ctx, d, c.o.Workers, c.o.Progress)
	var corrupt *CorruptError
	switch {
	case errors.Is(err, ErrNotFound):
		return nil // it has been removed meanwhile
	case errors.As(err, &corrupt):
		p.Code, p.Severity, p.Fixed = "BLOB_CORRUPT", SeverityFatal, false
		p.Message, p.Path = "the blob does not have the SHA-256 that it is named by", c.s.rel(c.s.Path(d))
		p.Hint = "'qbranch verify' of its branch with --repair fetches it again"
	case err != nil:
		return err
	}
	c.rep.Problems = append(c.rep.Problems, p)
	return nil
}

// lone enters the files that are named by a digest and lie beside no blob. A
// blob that is being repaired is a partial meanwhile.
func (c *checker) lone(files map[Digest]lyingFile, code, what string) error {
	for _, d := range sorted(files) {
		if !c.isLone(d) {
			continue
		}
		p := Problem{Code: code, Severity: SeverityInfo, Path: files[d].path, Message: what}
		if err := c.found(p, c.idle(c.remove(files[d].path))); err != nil {
			return err
		}
	}
	return nil
}

func (c *checker) isLone(d Digest) bool {
	if _, there := c.inv.blobs[d]; there {
		return false
	}
	for _, p := range c.inv.partials {
		if p.key() == d.String() {
			return false
		}
	}
	return true
}

// aliases looks at what git blob ids lead to.
func (c *checker) aliases() error {
	for _, a := range c.inv.aliases {
		p := Problem{Code: "ALIAS_ORPHAN", Severity: SeverityInfo, Path: a.path, Message: "a git blob id that leads to no blob"}
		switch {
		case a.blob.IsZero():
			p.Code, p.Severity, p.Message = "ALIAS_BAD", SeverityWarn, "a git blob id that leads nowhere: the file cannot be understood"
		case !c.isLone(a.blob):
			continue
		}
		if err := c.found(p, c.idle(c.remove(a.path))); err != nil {
			return err
		}
	}
	return nil
}

// marks looks at what is known to be damaged.
func (c *checker) marks() error {
	for _, d := range sorted(c.inv.marks) {
		if _, ok := c.s.readMark(d); ok || c.isLone(d) {
			continue
		}
		p := Problem{Code: "MARK_BAD", Severity: SeverityWarn, Path: c.inv.marks[d].path, Message: "a mark of damage that cannot be understood: the whole blob counts as damaged",
			Hint: "'qbranch verify' of its branch looks again"}
		if err := c.found(p, nil); err != nil {
			return err
		}
	}
	return c.lone(c.inv.marks, "MARK_ORPHAN", "a mark of damage without its blob")
}

// partials looks at what is unfinished.
func (c *checker) partials() error {
	var left Amount
	for _, p := range c.inv.partials {
		r, err := c.s.readJournal(p.want)
		switch {
		case p.want == Want{} || err == nil && r == nil:
			if c.s.now().Sub(p.touched) < time.Hour {
				continue // it may just be being begun
			}
			if err := c.found(Problem{Code: "PARTIAL_BAD", Severity: SeverityInfo, Path: p.dir,
				Message: "an unfinished file of which nothing can be used", Hint: "'qbranch store gc' removes it in time, 'qbranch store rm --partial' now"}, nil); err != nil {
				return err
			}
		case err != nil:
			return err
		default:
			left.Files++
			left.Bytes += r.heldBytes(p.want.Size)
		}
	}
	if left.Files == 0 {
		return nil
	}
	return c.found(Problem{Code: "PARTIAL_LEFT", Severity: SeverityInfo,
		Message: fmt.Sprintf("%d unfinished files, of which %s are kept", left.Files, BytesText(left.Bytes)), Hint: "'qbranch get' of the same branch goes on"}, nil)
}

// leftovers looks at what processes left when they died, and at what was set
// aside.
func (c *checker) leftovers() error {
	var old int
	for _, t := range c.inv.tmp {
		if c.s.now().Sub(tmpBegan(t)) > tmpAge {
			old++
		}
	}
	var err error
	if old > 0 {
		err = c.found(Problem{Code: "TMP_STALE", Severity: SeverityInfo, Message: fmt.Sprintf("%d temporary files were left by processes that died", old),
			Hint: "'qbranch store gc' removes them"}, nil)
	}
	for _, f := range c.inv.aside {
		err = errors.Join(err, c.found(Problem{Code: "ASIDE", Severity: SeverityInfo, Path: f.path,
			Message: "a snapshot that could not be read: until it has been fetched again nothing is removed that it may use",
			Hint:    "'qbranch get' of the branch makes it new, without fetching its files again; or remove this file"}, nil))
	}
	return err
}
