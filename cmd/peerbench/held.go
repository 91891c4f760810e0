package main

import (
	"context"
	"crypto/sha256"
	"encoding"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/zeebo/blake3"
)

// writeHoles makes a checkpoint whose noise is zeros that take no disk.
func writeHoles(name string, size int64) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	_, err = f.Write(checkpointHead(size))
	return firstError(err, f.Truncate(size), f.Close())
}

// prepareHeld publishes the large file of holes.
func (b *bench) prepareHeld(u *upload, source string) (digest [sha256.Size]byte, err error) {
	config := filepath.Join(b.fast, "config.json")
	if err := os.WriteFile(config, []byte(checkpointConfig), 0o644); err != nil {
		return digest, err
	}
	u.files = map[string]file{u.name: {Path: source}, "config.json": {Path: config}}
	b.logf("  hashing %d GB of holes", u.size/1e9)
	if _, err = b.hub.do(command{Do: "repo", Repo: u.repo, Branch: branch, Files: u.files}); err != nil {
		return digest, err
	}
	return digestOf(source)
}

// fabricate leaves in dir what a fetch of u leaves when it is killed a thousand
// parts before its end. A small fetch makes the store.
func (b *bench) fabricate(ctx context.Context, t tool, u upload, dir string) error {
	first, err := b.upload("bench/first", 2*mebi, 6)
	if err != nil {
		return err
	}
	if _, err := b.fetchInto(ctx, t, first, dir); err != nil {
		return err
	}
	partial := filepath.Join(dir, "store", "partial", hex.EncodeToString(u.digest[:]))
	if err := os.MkdirAll(partial, 0o755); err != nil {
		return err
	}
	if err := writeHoles(filepath.Join(partial, "data"), u.size); err != nil {
		return err
	}
	data, err := os.Open(filepath.Join(partial, "data"))
	if err != nil {
		return err
	}
	defer data.Close()
	text, err := journalOf(data, u, int(u.size/mebi)-1000)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(partial, "journal"), text, 0o644); err != nil {
		return err
	}
	return checkHeld(ctx, t.fetch(t, b.jobFor(u, dir)), int64(u.size/mebi)-1000)
}

// checkHeld makes sure that qbranch believes the journal: a fetch from the
// beginning would have a first byte, too.
func checkHeld(ctx context.Context, in invocation, parts int64) error {
	in.args = append(in.args, "--dry-run", "--json")
	p, err := start(ctx, in)
	if err != nil {
		return err
	}
	if _, err := p.wait(); err != nil {
		return err
	}
	for l := range strings.Lines(p.output.String()) {
		var plan struct {
			Type string `json:"type"`
			Held int64  `json:"held_bytes"`
		}
		if json.Unmarshal([]byte(l), &plan) == nil && plan.Type == "plan" && plan.Held >= parts*mebi {
			return nil
		}
	}
	return fmt.Errorf("qbranch does not see the %d parts that are held: %s", parts, lastLines(p.output.String()))
}

// journal is a journal of docs/journal-format.md that is being written.
type journal struct {
	text  []byte
	table *crc32.Table
	crc   uint32
}

// record appends type and payload, and the CRC continued from the one before.
func (j *journal) record(content []byte) {
	j.crc = crc32.Update(j.crc, j.table, content)
	j.text = binary.LittleEndian.AppendUint32(append(j.text, content...), j.crc)
}

// journalOf is the journal of a file of which the first n parts are held and
// marked. All but the first two have the same bytes.
func journalOf(data io.ReaderAt, u upload, n int) ([]byte, error) {
	j := journal{table: crc32.MakeTable(crc32.Castagnoli)}
	head := []byte("QBJOURN\n")
	head = binary.LittleEndian.AppendUint32(head, 1)
	head = binary.LittleEndian.AppendUint32(head, mebi)
	head = binary.LittleEndian.AppendUint64(head, uint64(u.size))
	head = append(append(head, u.digest[:]...), make([]byte, 20)...)
	j.record(head)
	var sums [3][32]byte
	parts := [3][]byte{make([]byte, mebi), make([]byte, mebi), make([]byte, mebi)}
	for i, p := range parts {
		if _, err := data.ReadAt(p, int64(i)*mebi); err != nil {
			return nil, err
		}
		sums[i] = blake3.Sum256(p)
	}
	h := sha256.New()
	for i := range n {
		which := min(i, 2)
		h.Write(parts[which])
		record := binary.LittleEndian.AppendUint32([]byte{1}, uint32(i))
		j.record(append(record, sums[which][:]...))
	}
	state, err := stateOf(h)
	if err != nil {
		return nil, err
	}
	mark := binary.LittleEndian.AppendUint64([]byte{2}, uint64(len(j.text)))
	mark = binary.LittleEndian.AppendUint32(mark, uint32(n))
	j.record(append(append(mark, byte(len(state))), state...))
	return j.text, nil
}

func stateOf(h hash.Hash) ([]byte, error) {
	m, ok := h.(encoding.BinaryMarshaler)
	if !ok {
		return nil, fmt.Errorf("the SHA-256 of this Go cannot be saved")
	}
	return m.MarshalBinary()
}
