package infer

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"

	"github.com/qbranch/qbranch/quant/safetensors"
)

// WriteLogits writes Result.Logits as a safetensors file: "logits" F32 [positions, vocab].
// The file appears whole or not at all, where a link leads if path is one.
// Something that is there and is no regular file is refused: replacing a device
// or a pipe is nobody's wish.
func WriteLogits(path string, r *Result, vocab int) (err error) {
	if vocab < 1 || len(r.Logits) == 0 || len(r.Logits)%vocab != 0 {
		return &inputError{fmt.Errorf("writing logits: %d values are no rows of %d", len(r.Logits), vocab), "generate with the logits kept"}
	}
	raw := make([]byte, 4*len(r.Logits))
	for i, v := range r.Logits {
		binary.LittleEndian.PutUint32(raw[4*i:], math.Float32bits(v))
	}
	if path, err = logitsTarget(path); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return &inputError{fmt.Errorf("writing logits: %w", err), "choose a folder that exists and can be written to"}
	}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("writing logits to %s: %w", path, err), os.Remove(f.Name()))
		}
	}()
	shape := []int64{int64(len(r.Logits) / vocab), int64(vocab)}
	err = safetensors.Write(f, nil, []safetensors.Data{{Name: "logits", DType: "F32", Shape: shape, Bytes: raw}})
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err = os.Chmod(f.Name(), 0o644); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// logitsTarget follows links and looks at what is there already.
func logitsTarget(path string) (string, error) {
	target, err := filepath.EvalSymlinks(path)
	if errors.Is(err, fs.ErrNotExist) {
		return path, nil
	}
	if err == nil {
		var info fs.FileInfo
		if info, err = os.Stat(target); err == nil && !info.Mode().IsRegular() {
			err = errors.New("it is no regular file")
		}
	}
	if err != nil {
		return "", &inputError{fmt.Errorf("writing logits to %s: %w", path, err), "name a file that may be written or replaced"}
	}
	return target, nil
}
