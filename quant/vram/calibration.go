package vram

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
)

// Observation is what an engine was seen to take on a card of this machine.
type Observation struct {
	Engine   string `json:"engine"`
	Card     string `json:"card"`           // the name the driver gives it
	Subject  string `json:"subject"`        // what was running
	Context  int    `json:"context"`        // tokens
	Measured int64  `json:"measured_bytes"` // all the memory the engine took of one card
	Overhead int64  `json:"overhead_bytes"` // of it, what weights, cache and scratch do not explain
}

// Calibration is what was measured on this machine, the oldest first. The zero
// value is empty. docs/vram.md describes its file.
type Calibration struct{ Observations []Observation }

// calibrationSchema names the file's format.
const calibrationSchema = "qbranch/vram-calibration/v1"

// MaxCalibration is the longest calibration [DecodeCalibration] reads, in bytes;
// a file of this program has a few lines.
const MaxCalibration = 1 << 20

const (
	maxObservations = 1000
	perEngine       = 16 // that are used of one engine and card, the newest
)

// ErrCalibration says that bytes are not a calibration.
var ErrCalibration = errors.New("not a calibration")

// MeasureError says why a measurement teaches nothing.
type MeasureError struct {
	Reason string
	hint   string
}

// Error is the reason.
func (e *MeasureError) Error() string { return e.Reason }

// Hint says what to measure instead.
func (e *MeasureError) Hint() string { return e.hint }

// Observe works out what a measurement says about the overhead of r.Engine: all
// that the engine took of one card, in bytes, while it held r.Context tokens.
// The error is a *MeasureError.
func (r Request) Observe(card, subject string, measured int64) (Observation, error) {
	r.Split = SplitNone
	p, why := r.plan()
	switch {
	case why != "" || !p.cache.known:
		return Observation{}, &MeasureError{"what the rest of the memory is for is not known: " + why, "measure a branch whose config.json can be read"}
	case p.Engine.Fraction > 0:
		return Observation{}, &MeasureError{p.Engine.Name + " takes the same of a card whatever the model, so that nothing follows from it",
			"measure an engine that takes what it needs"}
	}
	explained := add(p.share(p.Context), p.scratch(p.Context).Expected)
	o := Observation{p.Engine.ID, card, subject, p.Context, measured, measured - explained}
	switch {
	case o.Overhead < 0:
		return o, &MeasureError{fmt.Sprintf("%s is less than weights and cache alone, %s", GiBText(measured), GiBText(explained)),
			"was all of it on one card, and the context as long as --ctx says?"}
	case o.Overhead > 8*GiB:
		return o, &MeasureError{fmt.Sprintf("%s is %s more than weights and cache", GiBText(measured), GiBText(o.Overhead)),
			"count only the engine, not what other programs take; state the context with --ctx"}
	}
	return o, nil
}

// Add appends an observation, forgetting the oldest if there are too many.
func (c *Calibration) Add(o Observation) {
	c.Observations = append(c.Observations, o)
	if n := len(c.Observations) - maxObservations; n > 0 {
		c.Observations = slices.Delete(c.Observations, 0, n)
	}
}

// Forget drops what was observed of an engine on a card, of every engine where
// engine is "", and says how many observations that were.
func (c *Calibration) Forget(engine, card string) int {
	before := len(c.Observations)
	c.Observations = slices.DeleteFunc(c.Observations, func(o Observation) bool {
		return o.Card == card && (engine == "" || o.Engine == engine)
	})
	return before - len(c.Observations)
}

// Apply narrows the overhead of an engine by what was observed of it on a card:
// expected is the middle observation; the ends are 256 MiB beyond the smallest
// and the largest one, since a measurement is of one moment. Without an
// observation the profile is returned as it is.
func (c *Calibration) Apply(p Profile, card string) Profile {
	var seen []int64
	for _, o := range slices.Backward(c.Observations) {
		if o.Engine == p.ID && o.Card == card && len(seen) < perEngine {
			seen = append(seen, o.Overhead)
		}
	}
	if len(seen) == 0 {
		return p
	}
	slices.Sort(seen)
	const margin = 256 * MiB
	p.Overhead = Range{max(0, seen[0]-margin), seen[len(seen)/2], add(seen[len(seen)-1], margin)}
	p.Source = FromMeasurement
	p.Basis = fmt.Sprintf("measured here, %d times", len(seen))
	if len(seen) == 1 {
		p.Basis = "measured here, once"
	}
	return p
}

type calibrationFile struct {
	Schema       string        `json:"schema"`
	Observations []Observation `json:"observations"`
}

// Encode writes a calibration as JSON.
func (c *Calibration) Encode() ([]byte, error) {
	list := c.Observations
	if list == nil {
		list = []Observation{}
	}
	data, err := json.MarshalIndent(calibrationFile{calibrationSchema, list}, "", "  ")
	return append(data, '\n'), err
}

// DecodeCalibration reads what [Calibration.Encode] wrote; an error is
// [ErrCalibration]. Nothing at all is an empty calibration.
func DecodeCalibration(data []byte) (Calibration, error) {
	if len(data) == 0 {
		return Calibration{}, nil
	}
	if len(data) > MaxCalibration {
		return Calibration{}, fmt.Errorf("%w: more than %d bytes", ErrCalibration, MaxCalibration)
	}
	var f calibrationFile
	if err := json.Unmarshal(data, &f); err != nil {
		return Calibration{}, fmt.Errorf("%w: %w", ErrCalibration, err)
	}
	if f.Schema != calibrationSchema {
		return Calibration{}, fmt.Errorf("%w: its schema is %q, not %q", ErrCalibration, f.Schema, calibrationSchema)
	}
	if len(f.Observations) > maxObservations {
		return Calibration{}, fmt.Errorf("%w: more than %d observations", ErrCalibration, maxObservations)
	}
	for i, o := range f.Observations {
		if o.Overhead < 0 || o.Overhead > 8*GiB || o.Measured < o.Overhead || o.Measured > maxBytes || o.Context < 0 {
			return Calibration{}, fmt.Errorf("%w: observation %d cannot be", ErrCalibration, i+1)
		}
	}
	return Calibration{f.Observations}, nil
}
