package app_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/qbranch/qbranch/cmd/qbranch/internal/app"
	"github.com/qbranch/qbranch/infer"
	"github.com/qbranch/qbranch/infer/proof"
	"github.com/qbranch/qbranch/quant/safetensors"
)

const main4x32 = "gptq-4bit-32g-actorder_True"

// spoil writes a branch of the demo to a folder, with tensors and text changed.
func spoil(t *testing.T, branch string, tensor func(name string, data []byte), text func(name, s string) string) app.Target {
	t.Helper()
	dir := t.TempDir()
	for name, data := range demoBranches(t, branch)[branch] {
		data = bytes.Clone(data)
		switch {
		case name == weights && tensor != nil:
			h, err := safetensors.Parse(bytes.NewReader(data), int64(len(data)))
			if err != nil {
				t.Fatal(err)
			}
			for _, x := range h.Tensors {
				tensor(x.Name, data[x.Offset:x.Offset+x.Size])
			}
		case name != weights && text != nil:
			data = []byte(text(name, string(data)))
		}
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return app.Target{Dir: dir}
}

// shuffle puts values of two bytes into an order of chance.
func shuffle(data []byte) {
	rnd := rand.New(rand.NewPCG(1, uint64(len(data))))
	rnd.Shuffle(len(data)/2, func(i, j int) {
		a, b := data[2*i:2*i+2], data[2*j:2*j+2]
		x := binary.LittleEndian.Uint16(a)
		copy(a, b)
		binary.LittleEndian.PutUint16(b, x)
	})
}

// The eight branches of the demo are sound.
func TestProveDemo(t *testing.T) {
	w := newWorld(t, demoBranches(t))
	for branch := range demoBranches(t) {
		w.get(branch, app.GetOptions{})
		rep, err := w.Prove(context.Background(), w.target(branch), app.ProveOptions{})
		if err != nil {
			t.Fatalf("%s: %v", branch, err)
		}
		if s := rep.Smoke; rep.Verdict != app.Sound || !rep.Compared || len(rep.Reasons) > 0 || s.Perplexity < 1 || s.Perplexity > 1.5 || s.Runs != 2 || !s.Stable || len(s.Generated) < 32 {
			t.Errorf("%s: got %+v, %+v", branch, rep, s)
		}
		for _, s := range rep.Signals {
			// It tells stories and knows no other English.
			if want := map[bool]string{true: app.SignalUnknown, false: app.SignalGood}[s.Name == "continuations"]; s.Verdict != want {
				t.Errorf("%s: signal %s is %s (%s), want %s", branch, s.Name, s.Verdict, app.SignalText(s), want)
			}
		}
		if testing.Short() {
			break
		}
	}
}

// Each fault is found, by the check that is for it.
func TestProveFaults(t *testing.T) {
	const oProj = "layers.0.self_attn.o_proj."
	only := func(suffix string, change func([]byte)) func(string, []byte) {
		return func(name string, data []byte) {
			if strings.HasSuffix(name, suffix) {
				change(data)
			}
		}
	}
	relabel := func(from, to string) func(string, string) string {
		return func(name, s string) string {
			if name != "config.json" && name != "quantize_config.json" {
				return s
			}
			return strings.ReplaceAll(s, from, to)
		}
	}
	w := newWorld(t, demoBranches(t, main4x32))
	for _, tc := range []struct {
		name    string
		tensor  func(string, []byte)
		text    func(name, s string) string
		verdict string
		code    string
	}{
		{"a qweight of zeros", only(oProj+"qweight", func(b []byte) { clear(b) }), nil, app.Broken, "D9"},
		{"a part of a qweight that was never written", only("layers.1.block_sparse_moe.experts.2.w1.qweight", func(b []byte) { clear(b[4096:]) }), nil, app.Broken, "D9"},
		{"qweights of noise", only(".qweight", func(b []byte) {
			rnd := rand.New(rand.NewPCG(2, 3))
			for i := range b {
				b[i] = byte(rnd.Uint32())
			}
		}), nil, app.Broken, "D10"},
		{"labelled v2, zeros are v1", nil, relabel(`"bits"`, `"checkpoint_format": "gptq_v2", "bits"`), app.Broken, "D7"},
		{"labelled v1, zeros are v2", only(".qzeros", func(b []byte) {
			for i := range b {
				b[i] = 0x88
			}
		}), nil, app.Broken, "D7"},
		{"zero points of chance", only(oProj+"qzeros", shuffleBytes), nil, app.Broken, "D7"},
		{"scales in the wrong places", only(".scales", shuffle), nil, app.Suspect, "D6"},
		{"a scale that is no number", only(oProj+"scales", func(b []byte) { copy(b, []byte{0, 0x7e}) }), nil, app.Broken, "D6"},
		{"desc_act false", nil, relabel(`"desc_act": true`, `"desc_act": false`), app.Broken, "D4"},
		{"a row of another group", only(oProj+"g_idx", func(b []byte) { binary.LittleEndian.PutUint32(b, 77) }), nil, app.Broken, "D2"},
		{"a head in the wrong order", only("lm_head.weight", shuffle), nil, app.Broken, "D12"},
		{"a head of zeros", only("lm_head.weight", func(b []byte) { clear(b) }), nil, app.Broken, "D12"},
	} {
		rep, err := w.Prove(context.Background(), spoil(t, main4x32, tc.tensor, tc.text), app.ProveOptions{})
		var proof *app.ProofError
		if rep == nil || rep.Verdict != tc.verdict || !errors.As(err, &proof) || app.FailureOf(err) != app.FailureIntegrity || len(rep.Reasons) == 0 {
			t.Errorf("%s: got %+v, %v; want %s", tc.name, rep, err, tc.verdict)
			continue
		}
		if !slices.ContainsFunc(rep.Findings, func(f app.Finding) bool { return f.Code == tc.code && f.Severity != app.Info }) {
			t.Errorf("%s: found %+v, want %s", tc.name, rep.Findings, tc.code)
		}
		wantHint(t, err, "")
	}
}

func shuffleBytes(b []byte) {
	rand.New(rand.NewPCG(1, 2)).Shuffle(len(b), func(i, j int) { b[i], b[j] = b[j], b[i] })
	for i := range b {
		b[i] ^= byte(i % 7)
	}
}

// What cannot be run is neither sound nor broken; what is left out is said.
func TestProveUnproven(t *testing.T) {
	w := newWorld(t, demoBranches(t, main4x32))
	target := spoil(t, main4x32, nil, nil)
	if err := os.Remove(filepath.Join(target.Dir, "tokenizer.json")); err != nil {
		t.Fatal(err)
	}
	rep, err := w.Prove(context.Background(), target, app.ProveOptions{})
	if !errors.Is(err, infer.ErrUnsupported) || app.FailureOf(err) != app.FailureUnsupported || rep == nil || rep.Verdict != app.Unproven || rep.CannotRun == "" {
		t.Errorf("no tokenizer: got %+v, %v", rep, err)
	}
	if verdicts := signalVerdicts(rep); verdicts["finite"] != app.SignalGood || verdicts["entropy_high"] != app.SignalGood || verdicts["known_text"] != app.SignalUnknown {
		t.Errorf("no tokenizer: got signals %v, want those that need no text", verdicts)
	}
	wantHint(t, err, "")

	// The budget is spent at once: the first text is read all the same, once.
	rep, err = w.Prove(context.Background(), spoil(t, main4x32, nil, nil), app.ProveOptions{Budget: -1})
	if err != nil || rep.Verdict != app.Sound || !rep.Run.Cut || rep.Smoke.Runs != 1 || rep.Smoke.Perplexity == 0 {
		t.Errorf("no time: got %+v, %v", rep, err)
	}
	if verdicts := signalVerdicts(rep); verdicts["known_text"] != app.SignalGood || verdicts["entropy_high"] != app.SignalUnknown || verdicts["int16_difference"] != app.SignalUnknown {
		t.Errorf("no time: got signals %v", verdicts)
	}
	if rep.Compared {
		t.Error("a folder without digests taken for compared")
	}

	if _, err = w.Prove(context.Background(), w.target(main4x32), app.ProveOptions{}); !errors.Is(err, app.ErrNotLocal) {
		t.Errorf("never fetched: %v", err)
	}
	res := w.get(main4x32, app.GetOptions{})
	flip(t, w.blob(res, weights), mib+12345)
	rep, err = w.Prove(context.Background(), w.target(main4x32), app.ProveOptions{})
	if err == nil || rep == nil || rep.Verdict != app.Broken || rep.Findings[0].Code != "D1" || rep.Run != nil {
		t.Errorf("changed bytes: got %+v, %v", rep, err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if rep, err := w.Prove(ctx, target, app.ProveOptions{}); rep != nil || !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: got %+v, %v", rep, err)
	}
}

func signalVerdicts(rep *app.ProveReport) map[string]string {
	all := map[string]string{}
	if rep != nil {
		for _, s := range rep.Signals {
			all[s.Name] = s.Verdict
		}
	}
	return all
}

// Two branches of a model say nearly the same; a model of another shape cannot
// be asked, nor one that is not here.
func TestProveAgainst(t *testing.T) {
	w := newWorld(t, demoBranches(t, "main", main32))
	w.get(main32, app.GetOptions{})
	target := newPatient(t, "main").write()
	rep, err := w.Prove(context.Background(), target, app.ProveOptions{Against: w.target(main32)})
	if err != nil || rep.Verdict != app.Sound || rep.Against == "" || rep.Run.Against == nil {
		t.Fatalf("got %+v, %v", rep, err)
	}
	a := rep.Run.Against
	n := 0
	for _, text := range a.Texts {
		n += len(text.KL)
	}
	if n != a.Positions || n < 100 || a.Bits != [2]int{4, 3} || a.KLMean <= 0 || a.KLMax < a.KLMean || a.Same < n*9/10 {
		t.Errorf("got %d positions, %+v", n, a)
	}
	if _, err := w.Prove(context.Background(), target, app.ProveOptions{Against: w.target("main")}); !errors.Is(err, app.ErrNotLocal) {
		t.Errorf("against what is not here: %v", err)
	}
	other := newPatient(t, "main")
	other.replace("config.json", `"num_hidden_layers": 2`, `"num_hidden_layers": 1`)
	_, err = w.Prove(context.Background(), target, app.ProveOptions{Against: other.write()})
	if app.FailureOf(err) != app.FailureUsage || !strings.Contains(err.Error(), "layers") {
		t.Errorf("against another shape: %v", err)
	}
	wantHint(t, err, "same repository")
}

// A text that the model must know is read, too.
func TestProveText(t *testing.T) {
	w := newWorld(t, demoBranches(t, main4x32))
	const text = "Once upon a time, in a town with a crooked clock, there lived a cheerful llama named Mira. Every evening Mira dreamed that one day it would be time to find the lost silver bell."
	rep, err := w.Prove(context.Background(), newPatient(t, main4x32).write(), app.ProveOptions{Text: text})
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(rep.Run.Texts, func(x proof.Text) bool { return x.Kind == "the given text" })
	if i < 0 || rep.Run.Texts[i].Nats > 1 || rep.Run.Texts[i].Tokens < 20 {
		t.Errorf("got %+v", rep.Run.Texts)
	}
}

// Random weights are not sound, and are not called broken either.
func TestProveRandom(t *testing.T) {
	w := newWorld(t, demoBranches(t, main4x32))
	for _, name := range []string{"llama-4bit-32g-sym", "mixtral-4bit-32g-v2-act"} {
		dir := t.TempDir()
		if err := os.CopyFS(dir, os.DirFS(filepath.Join("../../../../infer/testdata/checkpoints", name))); err != nil {
			t.Fatal(err)
		}
		rep, err := w.Prove(context.Background(), app.Target{Dir: dir}, app.ProveOptions{})
		if rep == nil || rep.Verdict != app.Suspect || app.FailureOf(err) != app.FailureIntegrity || signalVerdicts(rep)["entropy_high"] != app.SignalSuspect {
			t.Errorf("%s: got %+v, %v", name, rep, err)
		}
	}
}
