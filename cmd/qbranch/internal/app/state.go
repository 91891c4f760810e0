package app

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// stateLimit is what is read of a list in the state directory, in bytes.
const stateLimit = 64 << 10

// readState reads a list of the state directory into kept, which stays as it is
// where nothing is kept: dir is "", or there is no such file. What the list is of
// is named in errors.
func readState(dir, name, what string, kept any) error {
	if dir == "" {
		return nil
	}
	f, err := os.Open(filepath.Join(dir, name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read %s: %w", what, err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, stateLimit))
	if err == nil {
		err = json.Unmarshal(data, kept)
	}
	if err != nil {
		return fmt.Errorf("read %s, %s: %w", what, f.Name(), err)
	}
	return nil
}

// replaceFile replaces a file of the state directory as a whole, or leaves it as
// it was.
func replaceFile(dir, name string, data []byte) (err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, "."+name+"-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			os.Remove(f.Name()) // of no use to anybody
		}
	}()
	_, err = f.Write(data)
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), filepath.Join(dir, name))
}
