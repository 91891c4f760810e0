package vram

import (
	"bytes"
	"errors"
	"reflect"
	"testing"
)

// The published measurement of ExLlamaV2 recorded, and what it does to the next
// estimate on the same card.
func TestCalibration(t *testing.T) {
	m := llama13B(t)
	r := Request{Weights: written(t, m, 4, 128), Model: m, Context: 2048, Engine: engine(t, "exllamav2")}
	before := r.Summary().Need
	o, err := r.Observe("NVIDIA GeForce RTX 4090", "a/b:4bit-128g", 9500*MiB)
	if err != nil {
		t.Fatal(err)
	}
	if want := 9500*MiB - (before.Expected - r.Engine.Overhead.Expected); o.Overhead != want {
		t.Errorf("overhead %d, want %d", o.Overhead, want)
	}
	var c Calibration
	c.Add(o)
	data, err := c.Encode()
	if err != nil {
		t.Fatal(err)
	}
	again, err := DecodeCalibration(data)
	if err != nil || !reflect.DeepEqual(again, c) {
		t.Fatalf("got %+v, %v, want %+v", again, err, c)
	}

	r.Engine = again.Apply(r.Engine, "NVIDIA GeForce RTX 4090")
	after := r.Estimate()
	if after.Need.Expected != 9500*MiB || after.Need.High-after.Need.Low != 512*MiB {
		t.Errorf("after one measurement: %+v", after.Need)
	}
	if got := after.Terms[3]; got.Source != FromMeasurement || got.Name != TermOverhead {
		t.Errorf("got %+v", got)
	}
	if p := again.Apply(engine(t, "exllamav2"), "another card"); p.Source != FromAssumption {
		t.Errorf("a measurement of another card was used: %+v", p)
	}
	if p := again.Apply(engine(t, "autogptq"), "NVIDIA GeForce RTX 4090"); p.Source != FromAssumption {
		t.Errorf("a measurement of another engine was used: %+v", p)
	}
}

func TestCalibrationUsesTheNewest(t *testing.T) {
	var c Calibration
	for i := range 3 * maxObservations {
		c.Add(Observation{Engine: "exllama", Card: "c", Overhead: int64(i) * 1000, Measured: GiB * 9})
	}
	if len(c.Observations) != maxObservations {
		t.Fatalf("%d observations are kept", len(c.Observations))
	}
	got := c.Apply(engine(t, "exllama"), "c").Overhead
	if want := int64(3*maxObservations-perEngine/2) * 1000; got.Expected != want {
		t.Errorf("expected %d, want %d", got.Expected, want)
	}
}

func TestForget(t *testing.T) {
	var c Calibration
	for _, o := range []Observation{{Engine: "exllama", Card: "a"}, {Engine: "exllama", Card: "b"}, {Engine: "autogptq", Card: "a"}, {Engine: "autogptq", Card: "a"}} {
		c.Add(o)
	}
	for _, tc := range []struct {
		engine, card string
		want, left   int
	}{
		{"vllm", "a", 0, 4},
		{"exllama", "c", 0, 4},
		{"autogptq", "a", 2, 2},
		{"", "b", 1, 1},
		{"", "a", 1, 0},
		{"", "a", 0, 0},
	} {
		if got := c.Forget(tc.engine, tc.card); got != tc.want || len(c.Observations) != tc.left {
			t.Errorf("%q on %q: forgot %d, %d are left, want %d and %d", tc.engine, tc.card, got, len(c.Observations), tc.want, tc.left)
		}
	}
}

func TestObserveRefuses(t *testing.T) {
	m := llama13B(t)
	w := written(t, m, 4, 128)
	for _, tc := range []struct {
		name     string
		r        Request
		measured int64
	}{
		{"less than the weights", Request{Weights: w, Model: m, Engine: engine(t, "exllamav2")}, 5 * GiB},
		{"another model", Request{Weights: w, Model: m, Engine: engine(t, "exllamav2")}, 40 * GiB},
		{"no config.json", Request{Weights: w, Engine: engine(t, "exllamav2")}, 9 * GiB},
		{"an engine that fills the card", Request{Weights: w, Model: m, Engine: engine(t, "vllm")}, 21 * GiB},
	} {
		_, err := tc.r.Observe("c", "s", tc.measured)
		var e *MeasureError
		if !errors.As(err, &e) || e.Hint() == "" {
			t.Errorf("%s: got %v", tc.name, err)
		}
	}
}

func FuzzDecodeCalibration(f *testing.F) {
	f.Add([]byte(`{"schema":"qbranch/vram-calibration/v1","observations":[{"engine":"exllamav2","card":"c","subject":"s","context":1,"measured_bytes":9,"overhead_bytes":1}]}`))
	f.Add([]byte(`{"schema":"qbranch/vram-calibration/v2"}`))
	f.Add([]byte(`{"schema":"qbranch/vram-calibration/v1","observations":[{"overhead_bytes":-1}]}`))
	f.Add([]byte(``))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := DecodeCalibration(data)
		if err != nil {
			if !errors.Is(err, ErrCalibration) {
				t.Fatal(err)
			}
			return
		}
		first, err := c.Encode()
		if err != nil {
			t.Fatal(err)
		}
		again, err := DecodeCalibration(first)
		if err != nil {
			t.Fatal(err)
		}
		if second, _ := again.Encode(); !bytes.Equal(first, second) {
			t.Fatalf("%s became %s", first, second)
		}
		for _, o := range c.Observations {
			if r := c.Apply(Profile{ID: o.Engine}, o.Card).Overhead; r.Low < 0 || r.Low > r.Expected || r.Expected > r.High {
				t.Fatalf("overhead %v", r)
			}
		}
	})
}
