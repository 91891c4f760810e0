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
func writeCalibration(dir string, c *vram.Calibration) (err error) {
	data, err := c.Encode()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("keep what was measured: %w", err)
	}
	f, err := os.CreateTemp(dir, "."+calibrationFile+"-*")
	if err != nil {
		return fmt.Errorf("keep what was measured: %w", err)
	}
	defer func() {
		if err != nil {
			err = fmt.Errorf("keep what was measured: %w", err)
			os.Remove(f.Name()) // of no use to anybody
		}
	}()
	_, err = f.Write(data)
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), filepath.Join(dir, calibrationFile))
}

// learn corrects the engine's overhead by what was measured on this machine, and
// by o.Measured, which it keeps. Notes say what could not be read.
func (f *fitter) learn(ref Ref, seen []Inspection) (*vram.Observation, []Note, error) {
	c, err := readCalibration(f.o.StateDir)
	if err != nil {
		if f.o.Measured > 0 {
			return nil, nil, err
		}
		return nil, []Note{{Code: "CALIBRATION_UNREADABLE", Message: err.Error() + ": " + HintOf(err)}}, nil
	}
	var o *vram.Observation
	if f.o.Measured > 0 {
		if o, err = f.observe(ref, seen); err != nil {
			return nil, nil, err
		}
		c.Add(*o)
		if err := writeCalibration(f.o.StateDir, &c); err != nil {
			return nil, nil, err
		}
	}
	if key := f.cardKey(); key != "" {
		f.profile = c.Apply(f.profile, key)
	}
	return o, nil, nil
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
	o, err := f.request(&seen[0]).Observe(f.cardKey(), ref.String(), f.o.Measured)
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
