// Command pack writes the demo's archive. Without -from it rewrites the
// archive from its own contents, which changes nothing unless the format or
// the compressor did.
//
//	go run ./pack [-from DIR] repository.tar.zst
//
// DIR holds one folder per branch; folders named base are left out.
package main

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"

	"github.com/qbranch/qbranch/cmd/qbranch/internal/demo"
)

func main() {
	from := flag.String("from", "", "folder with one sub-folder per branch")
	flag.Parse()
	if flag.NArg() != 1 {
		fmt.Fprintln(os.Stderr, "usage: pack [-from DIR] ARCHIVE")
		os.Exit(2)
	}
	if err := pack(*from, flag.Arg(0)); err != nil {
		fmt.Fprintln(os.Stderr, "pack:", err)
		os.Exit(1)
	}
}

func pack(from, archive string) error {
	branches, err := read(from, archive)
	if err != nil {
		return err
	}
	var out bytes.Buffer
	if err := demo.WriteArchive(&out, branches); err != nil {
		return err
	}
	return os.WriteFile(archive, out.Bytes(), 0o644)
}

func read(from, archive string) (map[string]map[string][]byte, error) {
	if from != "" {
		return readFolder(from)
	}
	f, err := os.Open(archive)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return demo.ReadArchive(f)
}

func readFolder(dir string) (map[string]map[string][]byte, error) {
	paths, err := filepath.Glob(filepath.Join(dir, "*", "*"))
	if err != nil {
		return nil, err
	}
	branches := map[string]map[string][]byte{}
	for _, p := range paths {
		branch := filepath.Base(filepath.Dir(p))
		if branch == "base" { // the unquantised original
			continue
		}
		data, err := os.ReadFile(p)
		if err != nil {
			return nil, err
		}
		if branches[branch] == nil {
			branches[branch] = map[string][]byte{}
		}
		branches[branch][filepath.Base(p)] = data
	}
	return branches, nil
}
