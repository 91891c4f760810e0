package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/qbranch/qbranch/cmd/qbranch/internal/app"
	"github.com/qbranch/qbranch/hub/hubtest"
	"github.com/qbranch/qbranch/store"
)

const (
	budgetBytes = 2_000_000 // what the story's graphics card can hold
	lineRate    = 800_000   // bytes per second of the story's line
	prompt      = "Write a story about llamas"
	system      = "You are a story writing assistant"
)

// Exit codes the story expects; docs/output.md promises them.
const (
	exitOK        = 0
	exitIntegrity = 6
	exitInterrupt = 130
)

// player plays the steps in order; each uses what the ones before it learned.
type player struct {
	o   Options
	hub *hubtest.Server
	app *app.App
	env Env
	sum Summary

	rows   []app.BranchRow
	picked app.BranchRow
}

func (p *player) play(ctx context.Context) error {
	steps := []func(context.Context) error{
		p.list, p.pick, p.interrupt, p.resume, p.verify, p.damage, p.repair, p.prove, p.generate, p.second,
	}
	for _, step := range steps {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := step(ctx); err != nil {
			return err
		}
	}
	return p.say("The end. Against huggingface.co the same commands do the same.",
		"Try it yourself: qbranch demo --tui, or qbranch demo --serve for other clients.")
}

func (p *player) list(ctx context.Context) error {
	p.chapter("What is there", "One repository, one quant per branch: what the card, the refs and the configs say.")
	if err := p.expect(ctx, exitOK, "ls", RepoID); err != nil {
		return err
	}
	repo, err := app.ParseRef(RepoID)
	if err != nil {
		return err
	}
	listing, err := p.app.List(ctx, repo.Repo, app.ListOptions{})
	if err != nil {
		return err
	}
	p.rows = listing.Branches
	return nil
}

// pick takes the branch with the most weight bytes that fit the budget: more
// bytes are more bits or smaller groups.
func (p *player) pick(context.Context) error {
	for _, row := range p.rows {
		if row.WeightBytes <= budgetBytes && row.WeightBytes > p.picked.WeightBytes {
			p.picked = row
		}
	}
	if p.picked.Branch == "" {
		return fmt.Errorf("pick a branch: none of %d is under %d bytes", len(p.rows), budgetBytes)
	}
	p.sum.Picked, p.sum.BudgetBytes = p.picked.Branch, budgetBytes
	p.chapter("Choose one", fmt.Sprintf("For a card with room for %.1f MB of weights:\n%s (%.2f MB) is the best in the table.",
		budgetBytes/1e6, p.picked.Branch, float64(p.picked.WeightBytes)/1e6))
	return nil
}

// wanted is the picked branch and two bigger ones, so that there is something to lose.
func (p *player) wanted() []app.BranchRow {
	rows := []app.BranchRow{p.picked}
	for _, row := range p.rows {
		if row.Branch == "gptq-4bit-32g-actorder_True" || row.Branch == "gptq-8bit-128g-actorder_True" {
			rows = append(rows, row)
		}
	}
	return rows
}

func (p *player) getArgs() []string {
	args := []string{"get", "-j", "1"} // several would each have half of a part when they are cut
	for _, row := range p.wanted() {
		args = append(args, RepoID+":"+row.Branch)
	}
	return args
}

// interrupt starts the fetch and cuts every connection once half of the
// weights have crossed the line.
func (p *player) interrupt(ctx context.Context) error {
	p.chapter("Fetch, and pull the plug",
		fmt.Sprintf("That branch and two bigger ones, over one connection of %.1f MB/s.\nHalf way it is cut, and the command stopped.", lineRate/1e6))
	p.hub.SetRate(lineRate)
	half := p.weights() / 2
	getCtx, cut := context.WithCancel(ctx)
	defer cut()
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		defer cut()
		p.waitSent(getCtx, half)
		p.hub.DropConnections()
	}()
	err := p.expect(getCtx, exitInterrupt, p.getArgs()...)
	cut()
	<-watched
	return errors.Join(ctx.Err(), err)
}

func (p *player) weights() int64 {
	var n int64
	for _, row := range p.wanted() {
		n += row.WeightBytes
	}
	return n
}

// sent counts the bytes of weights that crossed the line so far: the storage
// origin serves nothing else.
func (p *player) sent() int64 {
	var n int64
	for _, e := range p.hub.Log() {
		if e.Origin == "cdn" {
			n += e.Sent
		}
	}
	return n
}

// waitSent returns when the hub has sent n bytes of weights, or ctx ends.
func (p *player) waitSent(ctx context.Context, n int64) {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for p.sent() < n {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (p *player) resume(ctx context.Context) error {
	p.chapter("Resume", "The same command again. What is journaled and still hashes right is kept:")
	for _, row := range p.wanted() {
		ref, err := app.ParseRef(RepoID + ":" + row.Branch)
		if err != nil {
			return err
		}
		plan, err := p.app.Get(ctx, ref, app.GetOptions{DryRun: true})
		if err != nil {
			return err
		}
		p.sum.ResumedKept += plan.Plan.Held
	}
	if err := p.expect(ctx, exitOK, p.getArgs()...); err != nil {
		return err
	}
	p.sum.ResumedRefetched = p.sent() - p.weights()
	return p.say(fmt.Sprintf("Kept: %s. Sent twice, by the hub's own count: %s, parts that were in flight.",
		kilobytes(p.sum.ResumedKept), kilobytes(p.sum.ResumedRefetched)))
}

func (p *player) pickedRef() string { return RepoID + ":" + p.picked.Branch }

func (p *player) verify(ctx context.Context) error {
	p.chapter("Verify", "Every byte hashed again, and the config held against the tensors:")
	return p.expect(ctx, exitOK, "verify", p.pickedRef())
}

// damage flips one bit on disk, as a dying drive would, and lets verify find it.
func (p *player) damage(ctx context.Context) error {
	file, offset, err := p.flipBit()
	if err != nil {
		return err
	}
	p.chapter("One flipped bit", fmt.Sprintf("Byte %d of %s is changed on disk, as a dying drive would.\nVerify again:", offset, file))
	if err := p.expect(ctx, exitIntegrity, "verify", p.pickedRef()); err != nil {
		return err
	}
	target, err := app.ParseTarget(p.pickedRef())
	if err != nil {
		return err
	}
	report, err := p.app.Verify(ctx, target, app.VerifyOptions{})
	var corrupt *app.CorruptionError
	if !errors.As(err, &corrupt) {
		return fmt.Errorf("verify the damaged branch: want a corruption error, got %w", err)
	}
	for _, f := range report.Files {
		if len(f.Ranges) > 0 {
			p.sum.CorruptFile, p.sum.CorruptPart = f.Path, int(f.Ranges[0].Offset/store.PartSize)
		}
	}
	if p.sum.CorruptFile != file || int64(p.sum.CorruptPart) != offset/store.PartSize {
		return fmt.Errorf("verify named part %d of %q, the damage is at byte %d of %s", p.sum.CorruptPart, p.sum.CorruptFile, offset, file)
	}
	return nil
}

// flipBit changes one bit in the last quarter of the picked branch's weights.
func (p *player) flipBit() (file string, offset int64, err error) {
	s, err := store.Open(p.env.Store)
	if err != nil {
		return "", 0, err
	}
	snap, err := s.Snapshot(RepoID, p.picked.Commit)
	if err != nil {
		return "", 0, err
	}
	for _, f := range snap.Files {
		if strings.HasSuffix(f.Path, ".safetensors") {
			offset = f.Size * 3 / 4
			return f.Path, offset, flip(s.Path(f.SHA256), offset)
		}
	}
	return "", 0, fmt.Errorf("damage %s: it has no safetensors file", p.picked.Branch)
}

func flip(path string, offset int64) error {
	if err := os.Chmod(path, 0o644); err != nil { // blobs are read-only
		return err
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	var b [1]byte
	if _, err := f.ReadAt(b[:], offset); err != nil {
		return err
	}
	b[0] ^= 1
	if _, err := f.WriteAt(b[:], offset); err != nil {
		return err
	}
	return f.Close()
}

func (p *player) repair(ctx context.Context) error {
	p.chapter("Repair", "Only the bad part is fetched again:")
	before := p.sent()
	if err := p.expect(ctx, exitOK, "verify", p.pickedRef(), "--repair"); err != nil {
		return err
	}
	p.sum.RepairedBytes = p.sent() - before
	return nil
}

func (p *player) prove(ctx context.Context) error {
	p.chapter("Prove it", "Does it work? Every byte, every tensor, and what it makes of texts, on this CPU:")
	return p.expect(ctx, exitOK, "prove", p.pickedRef())
}

func (p *player) generate(ctx context.Context) error {
	p.chapter("Run it", "The branch tells a story, from the files just proved:")
	var out bytes.Buffer
	if err := p.expectOutput(ctx, &out, exitOK, "gen", p.pickedRef(), "--system", system, "-p", prompt, "--temp", "0"); err != nil {
		return err
	}
	text, err := p.generatedText(out.String())
	if err != nil {
		return err
	}
	if p.sum.Text = text; text == "" {
		return errors.New("generate: the branch said nothing")
	}
	return nil
}

// generatedText is the output itself, or the summary line's text under JSON.
func (p *player) generatedText(out string) (string, error) {
	if !p.o.JSON {
		return strings.TrimSpace(out), nil
	}
	lines := strings.Split(strings.TrimSpace(out), "\n")
	var summary struct{ Text string }
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &summary); err != nil {
		return "", fmt.Errorf("read the summary of gen: %w", err)
	}
	return strings.TrimSpace(summary.Text), nil
}

// second fetches another branch: what it shares is not fetched again.
func (p *player) second(ctx context.Context) error {
	p.sum.SecondBranch = "gptq-3bit--1g-actorder_True"
	ref, err := app.ParseRef(RepoID + ":" + p.sum.SecondBranch)
	if err != nil {
		return err
	}
	plan, err := p.app.Get(ctx, ref, app.GetOptions{DryRun: true})
	if err != nil {
		return err
	}
	p.sum.SecondReusedBytes = plan.Plan.Held
	p.hub.SetRate(0)
	p.chapter("Another branch", fmt.Sprintf("Branches share files: %s of this one (tokenizer, card) are here already.",
		kilobytes(plan.Plan.Held)))
	return p.expect(ctx, exitOK, "get", ref.String())
}

// expect runs a command line and demands its exit code.
func (p *player) expect(ctx context.Context, want int, args ...string) error {
	return p.expectOutput(ctx, io.Discard, want, args...)
}

// expectOutput also copies the command's standard output to out.
func (p *player) expectOutput(ctx context.Context, out io.Writer, want int, args ...string) error {
	shown := "qbranch " + shellWords(args)
	if p.o.JSON {
		if err := p.emit(map[string]any{"type": "step", "command": shown}); err != nil {
			return err
		}
		args = append(args, "--json")
	} else {
		fmt.Fprintf(p.o.Out, "\n$ %s\n", shown)
	}
	if got := p.o.CLI(ctx, p.env, io.MultiWriter(p.o.Out, out), p.o.Err, args...); got != want {
		return fmt.Errorf("%s: exit code %d, want %d", shown, got, want)
	}
	return nil
}

// shellWords joins arguments as a shell would need them.
func shellWords(args []string) string {
	words := make([]string, len(args))
	for i, a := range args {
		if strings.ContainsAny(a, " '\"") {
			a = "'" + strings.ReplaceAll(a, "'", `'\''`) + "'"
		}
		words[i] = a
	}
	return strings.Join(words, " ")
}

// chapter starts a step of the story; say adds to it. Under JSON both are silent.
func (p *player) chapter(title, text string) {
	if !p.o.JSON {
		fmt.Fprintf(p.o.Out, "\n── %s ──\n%s\n", title, text)
	}
}

func (p *player) say(lines ...string) error {
	if p.o.JSON {
		return nil
	}
	_, err := fmt.Fprintf(p.o.Out, "\n%s\n", strings.Join(lines, "\n"))
	return err
}

func (p *player) emit(v any) error { return json.NewEncoder(p.o.Out).Encode(v) }

func kilobytes(n int64) string { return fmt.Sprintf("%d kB", (n+500)/1000) }
