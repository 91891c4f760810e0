package app

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/adrg/xdg"

	"github.com/qbranch/qbranch/quant/vram"
)

// StateDir is where this program keeps what it learnt: qbranch in
// XDG_STATE_HOME, which counts on every system, else in the system's folder.
func StateDir(getenv func(string) string) string {
	dir := xdg.StateHome
	if d := getenv("XDG_STATE_HOME"); filepath.IsAbs(d) { // relative ones are to be ignored, says the standard
		dir = d
	}
	return filepath.Join(dir, "qbranch")
}

// calibrationFile is in the state directory; docs/vram.md describes it.
const calibrationFile = "vram-calibration.json"

// calibrationError says that what was measured cannot be read or kept.
type calibrationError struct {
	path string
	err  error
}

func (e *calibrationError) Error() string {
	return fmt.Sprintf("read what was measured, %s: %v", e.path, e.err)
}
func (e *calibrationError) Unwrap() error { return e.err }

// Hint says how to do without it.
func (e *calibrationError) Hint() string {
	if errors.Is(e.err, vram.ErrCalibration) {
		return "delete the file: estimates are then as if nothing had been measured"
	}
	return ""
}

// readCalibration is what was measured on this machine; nothing when there is no
// file, or nothing is kept.
func readCalibration(dir string) (vram.Calibration, error) {
	if dir == "" {
		return vram.Calibration{}, nil
	}
	path := filepath.Join(dir, calibrationFile)
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return vram.Calibration{}, nil
	}
	if err != nil {
		return vram.Calibration{}, &calibrationError{path, err}
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, vram.MaxCalibration+1))
	var c vram.Calibration
	if err == nil {
		c, err = vram.DecodeCalibration(data)
	}
	if err != nil {
		return c, &calibrationError{path, err}
	}
	return c, nil
}

// writeCalibration replaces the file as a whole, or leaves it as it was.
func writeCalibration(dir string, c *vram.Calibration) error {
	data, err := c.Encode()
	if err != nil {
		return err
	}
	if err := replaceFile(dir, calibrationFile, data); err != nil {
		return fmt.Errorf("keep what was measured: %w", err)
	}
	return nil
}

// recall reads what was measured on this machine, by which estimates are
// corrected. A note says why it cannot be read, an error when it is to be changed.
func (f *fitter) recall() (notes []Note, err error) {
	f.learnt, err = readCalibration(f.o.StateDir)
	if err == nil || f.o.Measured > 0 || f.o.Forget {
		return nil, err
	}
	return []Note{{Code: "CALIBRATION_UNREADABLE", Message: err.Error() + ": " + HintOf(err)}}, nil
}

// learn records o.Measured, or forgets.
func (f *fitter) learn(ref Ref, seen []Inspection) (o *vram.Observation, forgotten *int, err error) {
	switch {
	case f.o.Measured > 0:
		if o, err = f.observe(ref, seen); err != nil {
			return nil, nil, err
		}
		f.learnt.Add(*o)
	case f.o.Forget:
		n, err := f.forget()
		if n == 0 || err != nil {
			return nil, &n, err
		}
		forgotten = &n
	default:
		return nil, nil, nil
	}
	return o, forgotten, writeCalibration(f.o.StateDir, &f.learnt)
}

// forget drops what was measured on the card of the engine that was asked for.
func (f *fitter) forget() (n int, err error) {
	key := f.cardKey()
	if key == "" {
		return 0, &optionError{"forget-measured", "it is not said of which card", "--gpu 0 names one of several, --vram 24GiB describes one"}
	}
	if len(f.rows) == 0 {
		return f.learnt.Forget("", key), nil
	}
	for _, e := range f.rows {
		n += f.learnt.Forget(e.Profile, key)
	}
	return n, nil
}

// observe works out what o.Measured says about the engine.
func (f *fitter) observe(ref Ref, seen []Inspection) (*vram.Observation, error) {
	wrong := func(reason, hint string) (*vram.Observation, error) {
		return nil, &optionError{"measured", reason, hint}
	}
	switch {
	case len(seen) != 1 || ref.Revision == "":
		return wrong("it is not said which branch was running", "name it: owner/name:branch")
	case f.o.Engine == "":
		return wrong("it is not said which engine took so much", "name it with --engine")
	case len(f.cards) != 1:
		return wrong(fmt.Sprintf("%d cards are known, one is to be measured", len(f.cards)), "--gpu 0 names one of several, --vram 24GiB describes one")
	case f.o.StateDir == "":
		return wrong("nothing is kept on this machine", "")
	}
	engine := f.loads(seen[0].verdicts(f.subject(&seen[0])))
	o, err := f.request(&seen[0], engine.ID).Observe(f.cardKey(), ref.String(), f.o.Measured)
	if err != nil {
		return wrong(err.Error(), HintOf(err))
	}
	return &o, nil
}

// cardKey names the kind of card that estimates are for: as its driver does, or
// by its size when it was only described; "" when they are of several kinds.
func (f *fitter) cardKey() string {
	key := ""
	for _, c := range f.cards {
		name := c.Name
		if f.memory != MemoryGPU && f.memory != MemoryRAM {
			name = vram.GiBText(c.Total)
		}
		if key != "" && key != name {
			return ""
		}
		key = name
	}
	return key
}
