package main

import (
	"bufio"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// bench is one run of this program.
type bench struct {
	hub    *hubProcess
	tools  []tool // those found, qbranch first
	runs   int
	size   int64     // of the large file
	fast   string    // a folder on tmpfs, or what comes nearest
	disk   string    // a folder on a disk
	say    io.Writer // what is being done
	number int       // of folders made
}

// upload is a repository with one large file, and what that file is.
type upload struct {
	repo   string
	files  map[string]file
	name   string // of the large file
	size   int64
	digest [sha256.Size]byte
}

const branch = "main"

func (b *bench) logf(format string, args ...any) { fmt.Fprintf(b.say, format+"\n", args...) }

// tool returns the tool of that name.
func (b *bench) tool(name string) (tool, bool) {
	i := slices.IndexFunc(b.tools, func(t tool) bool { return t.name == name })
	if i < 0 {
		return tool{}, false
	}
	return b.tools[i], true
}

// some returns those of the tools that are here.
func (b *bench) some(names ...string) []tool {
	var out []tool
	for _, name := range names {
		if t, ok := b.tool(name); ok {
			out = append(out, t)
		}
	}
	return out
}

// newDir makes an empty folder below base.
func (b *bench) newDir(base, name string) (string, error) {
	b.number++
	dir := filepath.Join(base, fmt.Sprintf("%s-%d", name, b.number))
	return dir, os.Mkdir(dir, 0o755)
}

// upload writes a checkpoint of noise and publishes it as a repository's branch. The hub sends it from the page cache.
func (b *bench) upload(repo string, size int64, seed byte) (upload, error) {
	u := upload{repo: repo, name: "model.safetensors", size: size}
	name := filepath.Join(b.fast, fmt.Sprintf("source-%d-%d", size, seed))
	var err error
	if u.digest, err = writeNoise(name, size, seed); err != nil {
		return u, err
	}
	config := filepath.Join(b.fast, "config.json")
	if err := os.WriteFile(config, []byte(checkpointConfig), 0o644); err != nil {
		return u, err
	}
	u.files = map[string]file{u.name: {Path: name}, "config.json": {Path: config}}
	_, err = b.hub.do(command{Do: "repo", Repo: repo, Branch: branch, Files: u.files})
	return u, err
}

// writeNoise makes a file that no compression or deduplication can help with.
func writeNoise(name string, size int64, seed byte) ([sha256.Size]byte, error) {
	var digest [sha256.Size]byte
	f, err := os.Create(name)
	if err != nil {
		return digest, err
	}
	h := sha256.New()
	w := bufio.NewWriterSize(io.MultiWriter(f, h), 1<<20)
	head := checkpointHead(size)
	if _, err = w.Write(head); err == nil {
		_, err = io.CopyN(w, rand.NewChaCha8([32]byte{seed}), size-int64(len(head)))
	}
	if err == nil {
		err = w.Flush()
	}
	if e := f.Close(); err == nil {
		err = e
	}
	h.Sum(digest[:0])
	return digest, err
}

// holds reports whether dir has, anywhere below it, a regular file with the
// content of u.
func holds(dir string, u upload) (bool, error) {
	names, err := filesOfSize(dir, u.size)
	for _, name := range names {
		digest, err := digestOf(name)
		if err != nil || digest == u.digest {
			return err == nil, err
		}
	}
	return false, err
}

// filesOfSize are the regular files below dir of that many bytes.
func filesOfSize(dir string, size int64) (names []string, err error) {
	err = filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		info, err := d.Info()
		if err == nil && info.Size() == size {
			names = append(names, name)
		}
		return err
	})
	return names, err
}

func digestOf(name string) (sum [sha256.Size]byte, err error) {
	f, err := os.Open(name)
	if err != nil {
		return sum, err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.CopyBuffer(h, f, make([]byte, 1<<20)); err != nil {
		return sum, err
	}
	h.Sum(sum[:0])
	return sum, nil
}

// flush brings the files below dir to the disk, as sync would, without waiting
// for what other programs write.
func flush(dir string) error {
	return filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		f, err := os.OpenFile(name, os.O_RDWR, 0)
		if os.IsPermission(err) {
			f, err = os.Open(name) // read-only files can be synced too
		}
		if err != nil {
			return err
		}
		err = f.Sync()
		if e := f.Close(); err == nil {
			err = e
		}
		return err
	})
}

// trial says how a tool is to fetch.
type trial struct {
	base    string // where its folder is made
	durable bool   // its files have to be on the disk in the end
	check   bool   // compare what it fetched
	paced   bool   // a connection has a rate: the singles take part in the first round only
}

// jobFor is the job of fetching u into dir.
func (b *bench) jobFor(u upload, dir string) job {
	return job{endpoint: b.hub.endpoint, repo: u.repo, branch: branch, files: []string{u.name}, dir: dir}
}

// once lets one tool fetch u into an empty folder.
func (b *bench) once(ctx context.Context, t tool, u upload, how trial) (sample, error) {
	dir, err := b.newDir(how.base, t.name)
	if err != nil {
		return sample{}, err
	}
	defer os.RemoveAll(dir) // what stays is removed with the bench's own folder
	s, err := b.fetchInto(ctx, t, u, dir)
	if err != nil {
		return s, err
	}
	if how.durable && t.name != ours {
		begin := time.Now()
		if err := flush(dir); err != nil {
			return s, err
		}
		s.Wall += time.Since(begin)
	}
	if how.check {
		s.Right, err = holds(dir, u)
	}
	return s, err
}

// fetchInto lets a tool fetch u into dir, whatever is in there, and wait for
// its end.
func (b *bench) fetchInto(ctx context.Context, t tool, u upload, dir string) (sample, error) {
	if _, err := b.hub.do(command{Do: "reset"}); err != nil {
		return sample{}, err
	}
	p, err := start(ctx, t.fetch(t, b.jobFor(u, dir)))
	if err != nil {
		return sample{}, err
	}
	s, err := p.wait()
	if err != nil {
		return s, err
	}
	if s.Exit != 0 {
		b.logf("  %s ended with code %d: %s", t.name, s.Exit, lastLines(p.output.String()))
	}
	a, err := b.hub.do(command{Do: "log"})
	s.Traffic = a.Log
	return s, err
}

// lastLines is the end of what a program printed, for a message.
func lastLines(s string) string {
	const most = 400
	if len(s) > most {
		s = "…" + s[len(s)-most:]
	}
	return s
}

// singles are the tools that have one connection a file. Where that is what
// limits them, one round says what three would.
var singles = []string{"curl", "wget", "hf", "webui"}

// contest lets the tools fetch u in turn, b.runs times. The order changes from
// round to round.
func (b *bench) contest(ctx context.Context, tools []tool, u upload, how trial) (map[string][]sample, error) {
	results := make(map[string][]sample)
	for round := range b.runs {
		for i := range tools {
			t := tools[(i+round)%len(tools)]
			if how.paced && round > 0 && slices.Contains(singles, t.name) {
				continue
			}
			how.check = round == 0
			s, err := b.once(ctx, t, u, how)
			if err != nil {
				return results, fmt.Errorf("%s: %w", t.name, err)
			}
			b.logf("  %-12s %6.2f s  %5.2f CPU s  %6.1f MiB  %d requests, %d connections%s", t.name, s.Wall.Seconds(), s.CPU.Seconds(),
				float64(s.RSS)/(1<<20), s.Traffic.API+s.Traffic.Storage, s.Traffic.Conns, wrongIf(how.check && !s.Right))
			if s.Exit == 0 {
				results[t.name] = append(results[t.name], s)
			}
		}
	}
	return results, nil
}

func wrongIf(wrong bool) string {
	if wrong {
		return "  WRONG BYTES"
	}
	return ""
}

// shape sets how the hub behaves, until the returned function is called.
func (b *bench) shape(s shape) (reset func(), err error) {
	_, err = b.hub.do(command{Do: "shape", Shape: s})
	return func() {
		if _, err := b.hub.do(command{Do: "shape"}); err != nil {
			b.logf("%v", err)
		}
	}, err
}
