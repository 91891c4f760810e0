package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// resumers are the tools that are asked to go on after something happened.
// hf_transfer is not among them: it begins anew by design.
var resumers = []string{ours, "curl", "aria2", "wget", "hf", "webui"}

// medium publishes the file of the rows about faults.
func (b *bench) medium() (upload, error) { return b.upload("bench/medium", 256*mebi, 2) }

// begin starts a tool and returns when storage has sent so many bytes. early
// means that the tool ended before.
func (b *bench) begin(ctx context.Context, t tool, u upload, dir string, bytes int64) (p *process, ended <-chan outcome, early bool, err error) {
	if _, err := b.hub.do(command{Do: "reset"}); err != nil {
		return nil, nil, false, err
	}
	if p, err = start(ctx, t.fetch(t, b.jobFor(u, dir))); err != nil {
		return nil, nil, false, err
	}
	end := make(chan outcome, 1)
	go func() { // ends with the process, which the caller waits for
		s, err := p.wait()
		end <- outcome{s, err}
	}()
	for {
		a, err := b.hub.do(command{Do: "await", Bytes: bytes})
		if err != nil {
			p.cmd.Process.Kill() // it may have ended
			<-end
			return nil, nil, false, err
		}
		if a.Log.Sent >= bytes {
			return p, end, false, nil
		}
		if len(end) > 0 {
			return p, end, true, nil
		}
	}
}

// outcome is how a process ended.
type outcome struct {
	sample sample
	err    error
}

// resumed is what it took a tool to fetch a file in two goes.
type resumed struct {
	stop  time.Duration // from the signal to the end of the process; 0 when it was killed
	code  int           // it ended with
	twice int64         // bytes sent beyond the file's length
	conns int           // of both goes
	right bool
	done  bool // the second go ended well
}

// interrupted lets a tool fetch u up to a part of it, ends the process, does
// what between does, and lets it fetch again.
func (b *bench) interrupted(ctx context.Context, t tool, u upload, part float64, stop func(*process) error, between func() (upload, error)) (resumed, error) {
	var r resumed
	dir, err := b.newDir(b.fast, t.name)
	if err != nil {
		return r, err
	}
	defer os.RemoveAll(dir) // what stays is removed with the bench's own folder
	p, end, early, err := b.begin(ctx, t, u, dir, int64(part*float64(u.size)))
	if err != nil {
		return r, err
	}
	if early {
		o := <-end
		return r, fmt.Errorf("%s ended by itself with code %d: %s", t.name, o.sample.Exit, lastLines(p.output.String()))
	}
	began := time.Now()
	if err := stop(p); err != nil {
		return r, err
	}
	select {
	case o := <-end:
		r.stop, r.code = time.Since(began), o.sample.Exit
	case <-time.After(stopsWithin):
		r.stop = stopsWithin
		p.cmd.Process.Kill() // it may have ended just now
		<-end
	}
	a, err := b.hub.do(command{Do: "log"})
	if err != nil {
		return r, err
	}
	first := a.Log
	if u, err = between(); err != nil {
		return r, err
	}
	s, err := b.fetchInto(ctx, t, u, dir)
	if err != nil {
		return r, err
	}
	r.done = s.Exit == 0
	r.twice = first.Sent + s.Traffic.Sent - u.size
	r.conns = max(first.Conns, s.Traffic.Conns)
	r.right, err = holds(dir, u)
	return r, err
}

// stopsWithin is how long a tool may take to stop.
const stopsWithin = 20 * time.Second

func kill(p *process) error { return p.cmd.Process.Kill() }

// killed: kill -9 at a quarter, a half and three quarters, and go on.
func (b *bench) killed(ctx context.Context) ([]line, error) {
	u, err := b.medium()
	if err != nil {
		return nil, err
	}
	reset, err := b.shape(shape{TotalRate: 150e6})
	if err != nil {
		return nil, err
	}
	defer reset()
	l := line{Measure: "kill -9 at 25, 50, 75 % of 256 MiB: bytes fetched twice, worst", Target: "≤ 1 MiB per connection, ≤ 16 MiB"}
	for _, t := range b.some(resumers...) {
		worst, conns, wrong := int64(0), 0, false
		for _, part := range []float64{0.25, 0.5, 0.75} {
			r, err := b.interrupted(ctx, t, u, part, kill, func() (upload, error) { return u, nil })
			if err != nil {
				return nil, err
			}
			b.logf("  %-12s killed at %.0f %%: %.2f MiB twice, %d connections, right %v", t.name, part*100, float64(r.twice)/mebi, r.conns, r.right)
			if r.twice >= worst {
				worst, conns = r.twice, r.conns
			}
			wrong = wrong || !r.right
		}
		text := mebibytes(worst) + wrongBytes(wrong)
		if t.name != ours {
			l.Peers = append(l.Peers, value{t.name, text})
			continue
		}
		l.Ours = fmt.Sprintf("%s, %d connections", text, conns)
		l.Verdict = judge(!wrong && worst <= 16*mebi && worst <= int64(conns)*mebi)
	}
	moved, err := b.killedAndMoved(ctx, u)
	return append([]line{l}, moved...), err
}

// killedAndMoved: the branch gets another commit between the two goes.
func (b *bench) killedAndMoved(ctx context.Context, u upload) ([]line, error) {
	l := line{Measure: "the same at 50 %, and the branch moved meanwhile", Target: "the new commit, whole"}
	other, err := b.another(u)
	if err != nil {
		return nil, err
	}
	for _, t := range b.some(resumers...) {
		if _, err := b.hub.do(command{Do: "repo", Repo: u.repo, Branch: branch, Files: u.files}); err != nil {
			return nil, err
		}
		r, err := b.interrupted(ctx, t, u, 0.5, kill, func() (upload, error) {
			_, err := b.hub.do(command{Do: "move", Repo: u.repo, Branch: branch, Files: other.files})
			return other, err
		})
		if err != nil {
			return nil, err
		}
		text := "right"
		switch {
		case !r.done:
			text = "gave up"
		case !r.right:
			text = "two commits in one file"
		}
		b.logf("  %-12s after the branch moved: %s", t.name, text)
		if t.name == ours {
			l.Ours, l.Verdict = text, judge(r.done && r.right)
		} else {
			l.Peers = append(l.Peers, value{t.name, text})
		}
	}
	return []line{l}, nil
}

// another is a second version of u: as long, other bytes. It is published by
// the caller.
func (b *bench) another(u upload) (upload, error) {
	other := u
	name := filepath.Join(b.fast, "other")
	var err error
	if other.digest, err = writeNoise(name, u.size, 3); err != nil {
		return other, err
	}
	other.files = map[string]file{u.name: {Path: name}, "config.json": u.files["config.json"]}
	return other, nil
}

func wrongBytes(wrong bool) string {
	if wrong {
		return ", wrong bytes"
	}
	return ""
}

// broken: lines that break while a file comes.
func (b *bench) broken(ctx context.Context) ([]line, error) {
	var lines []line
	for _, how := range []struct{ name, fault string }{
		{"RST each 32 MiB of a connection", "origin=cdn,reset-every=32MiB"},
		{"FIN each 32 MiB of a connection", "origin=cdn,close-every=32MiB"},
	} {
		l, err := b.moved(ctx, how.name, how.fault)
		if err != nil {
			return lines, err
		}
		lines = append(lines, l)
	}
	expiry, err := b.expired(ctx)
	return append(lines, expiry...), err
}

// moved measures how much crosses the network for a file while a fault acts.
func (b *bench) moved(ctx context.Context, name, fault string) (line, error) {
	l := line{Measure: name + ": moved", Target: "≤ 1.02 × size"}
	u, err := b.medium()
	if err != nil {
		return l, err
	}
	for _, t := range b.some(everyone...) {
		reset, err := b.shape(shape{Faults: []string{fault}})
		if err != nil {
			return l, err
		}
		s, err := b.once(ctx, t, u, trial{base: b.fast, check: true})
		reset()
		if err != nil {
			return l, err
		}
		l = l.withMoved(t, s, u, 1.02)
		b.logf("  %-12s %s: %s", t.name, name, l.last(t))
	}
	return l, nil
}

// withMoved enters what moved for a tool.
func (l line) withMoved(t tool, s sample, u upload, most float64) line {
	r := float64(s.Traffic.Sent) / float64(u.size)
	text := fmt.Sprintf("%.3f ×", r)
	switch {
	case s.Exit != 0:
		text = "gave up after " + text
	case !s.Right:
		text += ", accepted wrong bytes"
	}
	if t.name == ours {
		l.Ours, l.Verdict = text, judge(s.Exit == 0 && s.Right && r <= most)
	} else {
		l.Peers = append(l.Peers, value{t.name, text})
	}
	return l
}

// last is what was entered for a tool.
func (l line) last(t tool) string {
	if t.name == ours {
		return l.Ours
	}
	return l.of(t.name)
}

// expired: half way every signed link stops working.
func (b *bench) expired(ctx context.Context) ([]line, error) {
	u, err := b.medium()
	if err != nil {
		return nil, err
	}
	reset, err := b.shape(shape{TotalRate: 150e6, Faults: []string{"origin=cdn,close-every=32MiB"}})
	if err != nil {
		return nil, err
	}
	defer reset()
	l := line{Measure: "links expire half way, and FIN each 32 MiB: moved", Target: "≤ 1.02 × size, one new link"}
	for _, t := range b.some(everyone...) {
		dir, err := b.newDir(b.fast, t.name)
		if err != nil {
			return nil, err
		}
		_, end, early, err := b.begin(ctx, t, u, dir, u.size/2)
		if err != nil {
			return nil, err
		}
		var before traffic
		if !early {
			if _, err := b.hub.do(command{Do: "expire"}); err != nil {
				return nil, err
			}
			a, err := b.hub.do(command{Do: "log"})
			if err != nil {
				return nil, err
			}
			before = a.Log
		}
		o := <-end
		a, err := b.hub.do(command{Do: "log"})
		if err = firstError(o.err, err); err != nil {
			return nil, err
		}
		o.sample.Traffic = a.Log
		if o.sample.Right, err = holds(dir, u); err != nil {
			return nil, err
		}
		l = l.withMoved(t, o.sample, u, 1.02)
		if t.name == ours {
			links := a.Log.Signed - before.Signed
			l.Ours += fmt.Sprintf(", %d new link(s)", links)
			if links > 1 {
				l.Verdict = missed
			}
		}
		b.logf("  %-12s after expiry: %s", t.name, l.last(t))
		if err := os.RemoveAll(dir); err != nil {
			return nil, err
		}
	}
	return []line{l}, nil
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// flipped: one bit changes on the way, once; and one on disk.
func (b *bench) flipped(ctx context.Context) ([]line, error) {
	l, err := b.moved(ctx, "one flipped bit in transit", fmt.Sprintf("origin=cdn,flip-at=%d,times=1", 100*mebi+12345))
	if err != nil {
		return nil, err
	}
	l.Target = "healed, ≤ 2 × size"
	l.Verdict = judge(!strings.Contains(l.Ours, "wrong") && !strings.Contains(l.Ours, "gave up"))
	disk, err := b.flippedOnDisk(ctx)
	return append([]line{l}, disk...), err
}

// flippedOnDisk: verify --repair fetches one part.
func (b *bench) flippedOnDisk(ctx context.Context) ([]line, error) {
	u, err := b.medium()
	if err != nil {
		return nil, err
	}
	t := b.tools[0]
	dir, err := b.newDir(b.fast, t.name)
	if err != nil {
		return nil, err
	}
	if _, err := b.fetchInto(ctx, t, u, dir); err != nil {
		return nil, err
	}
	if err := flipOnDisk(dir, u, 77*mebi+5); err != nil {
		return nil, err
	}
	in := t.fetch(t, b.jobFor(u, dir))
	in.args = []string{t.program, "verify", u.repo + ":" + branch, "--repair", "--progress", "none"}
	s, err := b.runLogged(ctx, in)
	if err != nil {
		return nil, err
	}
	right, err := holds(dir, u)
	if err != nil {
		return nil, err
	}
	l := line{Measure: "one flipped bit on disk: fetched again by verify --repair", Target: "one part (1 MiB)", Ours: mebibytes(s.Traffic.Sent) + wrongBytes(!right)}
	l.Verdict = judge(s.Exit == 0 && right && s.Traffic.Sent <= mebi)
	return []line{l}, os.RemoveAll(dir)
}

// runLogged runs a program to its end, with the hub's log of it.
func (b *bench) runLogged(ctx context.Context, in invocation) (sample, error) {
	if _, err := b.hub.do(command{Do: "reset"}); err != nil {
		return sample{}, err
	}
	p, err := start(ctx, in)
	if err != nil {
		return sample{}, err
	}
	s, err := p.wait()
	if err != nil {
		return s, err
	}
	if s.Exit != 0 {
		b.logf("  %s ended with code %d: %s", strings.Join(in.args[:2], " "), s.Exit, lastLines(p.output.String()))
	}
	a, err := b.hub.do(command{Do: "log"})
	s.Traffic = a.Log
	return s, err
}

// flipOnDisk changes a bit of the file below dir that is u.
func flipOnDisk(dir string, u upload, at int64) error {
	names, err := filesOfSize(dir, u.size)
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := os.Chmod(name, 0o600); err != nil {
			return err
		}
		f, err := os.OpenFile(name, os.O_RDWR, 0)
		if err != nil {
			return err
		}
		var one [1]byte
		_, err = f.ReadAt(one[:], at)
		if err == nil {
			one[0] ^= 1
			_, err = f.WriteAt(one[:], at)
		}
		if err = firstError(err, f.Close()); err != nil {
			return err
		}
	}
	if len(names) != 1 {
		return fmt.Errorf("%d files of %d bytes below %s, want one", len(names), u.size, dir)
	}
	return nil
}

// stopped: Ctrl-C, and go on.
func (b *bench) stopped(ctx context.Context) ([]line, error) {
	u, err := b.medium()
	if err != nil {
		return nil, err
	}
	l := line{Measure: "Ctrl-C: time to exit, code, bytes lost", Target: "< 1 s, 130, ≤ 16 MiB"}
	for _, t := range b.some(resumers...) {
		// Slow enough for the signal to come in the middle of it all.
		reset, err := b.shape(shape{TotalRate: 8e6})
		if err != nil {
			return nil, err
		}
		r, err := b.interrupted(ctx, t, u, 0.1, interrupt, func() (upload, error) {
			reset()
			return u, nil
		})
		reset()
		if err != nil {
			return nil, err
		}
		text := fmt.Sprintf("%s, %d, %s", seconds(r.stop), r.code, mebibytes(r.twice))
		if r.stop >= stopsWithin {
			text = fmt.Sprintf("> %s, then killed", seconds(r.stop))
		}
		b.logf("  %-12s Ctrl-C: %s", t.name, text)
		if t.name == ours {
			l.Ours, l.Verdict = text, judge(r.stop < time.Second && r.code == 130 && r.twice <= 16*mebi && r.right)
		} else {
			l.Peers = append(l.Peers, value{t.name, text + wrongBytes(!r.right)})
		}
	}
	return []line{l}, nil
}

func interrupt(p *process) error { return p.cmd.Process.Signal(os.Interrupt) }
