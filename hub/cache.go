package hub

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// Limits of the cache, in bytes.
const (
	maxCache      = 64 << 20 // all entries together; then the oldest go, down to three quarters
	maxCacheEntry = maxListing
	maxCacheHead  = 4 << 10
)

// cacheMagic begins every entry. docs/cache-format.md describes the rest.
const cacheMagic = "qbranch cache 1\n"

// cache keeps answers of the hub on disk. It is a help and never a must: what
// cannot be read, or is not what it says, is not there, and what cannot be
// written is not kept. A nil cache keeps nothing.
type cache struct {
	dir string
	log *slog.Logger

	mu    sync.Mutex
	bytes int64 // -1 = not yet counted
}

// cached is one entry.
type cached struct {
	Key    string `json:"key"`
	ETag   string `json:"etag,omitempty"`
	Repo   string `json:"repo,omitempty"` // what the hub calls the repository
	Time   int64  `json:"time"`           // when the hub last said so, Unix seconds
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`

	body []byte
}

func newCache(dir string, log *slog.Logger) *cache {
	if dir == "" {
		return nil
	}
	return &cache{dir: dir, log: log, bytes: -1}
}

// cachePath is where the entry of a key lies: the key's SHA-256, in a folder of
// its first two digits.
func cachePath(key string) string {
	sum := sha256.Sum256([]byte(key))
	name := hex.EncodeToString(sum[:])
	return filepath.Join(name[:2], name)
}

// get returns the entry of a key, if it is there and whole.
func (c *cache) get(key string) (cached, bool) {
	if c == nil {
		return cached{}, false
	}
	e, err := c.read(key)
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			c.log.Debug("cache entry ignored", "key", key, "error", err)
		}
		return cached{}, false
	}
	return e, true
}

func (c *cache) read(key string) (cached, error) {
	root, err := os.OpenRoot(c.dir)
	if err != nil {
		return cached{}, err
	}
	defer root.Close()
	// Looked at before it is opened: opening a pipe waits for who writes to it.
	if fi, err := root.Lstat(cachePath(key)); err != nil || !fi.Mode().IsRegular() {
		return cached{}, errors.Join(err, errors.New("not a regular file"))
	}
	f, err := root.Open(cachePath(key))
	if err != nil {
		return cached{}, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxCacheEntry+maxCacheHead+1))
	if err != nil {
		return cached{}, err
	}
	return decodeCached(key, data)
}

// decodeCached takes an entry apart and checks all that it says of itself.
func decodeCached(key string, data []byte) (cached, error) {
	rest, ok := bytes.CutPrefix(data, []byte(cacheMagic))
	head, body, found := bytes.Cut(rest, []byte("\n"))
	if !ok || !found || len(head) > maxCacheHead {
		return cached{}, errors.New("not an entry")
	}
	var e cached
	if err := json.Unmarshal(head, &e); err != nil {
		return cached{}, fmt.Errorf("read its head: %w", err)
	}
	sum := sha256.Sum256(body)
	switch {
	case e.Key != key:
		return cached{}, errors.New("it is of another key")
	case e.Size != int64(len(body)), e.SHA256 != hex.EncodeToString(sum[:]):
		return cached{}, errors.New("its content has changed")
	}
	e.body = body
	return e, nil
}

func encodeCached(e cached) ([]byte, error) {
	sum := sha256.Sum256(e.body)
	e.Size, e.SHA256 = int64(len(e.body)), hex.EncodeToString(sum[:])
	head, err := json.Marshal(e)
	if err != nil {
		return nil, err
	}
	if len(head) > maxCacheHead || len(e.body) > maxCacheEntry {
		return nil, errors.New("too large")
	}
	return slices.Concat([]byte(cacheMagic), head, []byte("\n"), e.body), nil
}

// put keeps an entry, for whoever asks next.
func (c *cache) put(e cached) {
	if c == nil {
		return
	}
	data, err := encodeCached(e)
	if err == nil {
		err = c.write(e.Key, data)
	}
	if err != nil {
		c.log.Debug("cache entry not kept", "key", e.Key, "error", err)
	}
}

// write makes an entry appear whole. It is not synced: a torn one is noticed.
func (c *cache) write(key string, data []byte) error {
	if err := os.MkdirAll(c.dir, 0o700); err != nil {
		return err
	}
	root, err := os.OpenRoot(c.dir)
	if err != nil {
		return err
	}
	defer root.Close()
	path := cachePath(key)
	if err := root.Mkdir(filepath.Dir(path), 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	temp := fmt.Sprintf("%s.%016x", path, rand.Uint64())
	f, err := root.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err = errors.Join(err, f.Close()); err == nil {
		err = root.Rename(temp, path)
	}
	if err != nil {
		root.Remove(temp) // the first error is the one to tell
		return err
	}
	c.grew(int64(len(data)))
	return nil
}

// drop removes an entry that turned out to be of no use.
func (c *cache) drop(key string) {
	if c == nil {
		return
	}
	if root, err := os.OpenRoot(c.dir); err == nil {
		root.Remove(cachePath(key)) // at worst it is found useless again
		root.Close()
	}
}

// grew counts what was written, and makes room when that is too much.
func (c *cache) grew(n int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.bytes >= 0 {
		c.bytes += n
	}
	if c.bytes >= 0 && c.bytes <= maxCache {
		return
	}
	files := cacheFiles(c.dir)
	c.bytes = 0
	for _, f := range files {
		c.bytes += f.size
	}
	if c.bytes <= maxCache {
		return
	}
	slices.SortFunc(files, func(a, b cacheFile) int { return a.at.Compare(b.at) })
	for _, f := range files {
		if c.bytes <= maxCache/4*3 {
			break
		}
		if os.Remove(f.path) == nil {
			c.bytes -= f.size
		}
	}
}

type cacheFile struct {
	path string
	size int64
	at   time.Time
}

// cacheFiles finds what looks like ours, finished or not, and nothing else.
func cacheFiles(dir string) []cacheFile {
	var out []cacheFile
	folders, _ := os.ReadDir(dir) // what cannot be read has nothing
	for _, folder := range folders {
		if !folder.IsDir() || !isHex(folder.Name(), 2) {
			continue
		}
		files, _ := os.ReadDir(filepath.Join(dir, folder.Name()))
		for _, f := range files {
			name, _, _ := strings.Cut(f.Name(), ".")
			fi, err := f.Info()
			if err != nil || !fi.Mode().IsRegular() || !isHex(name, 64) {
				continue
			}
			out = append(out, cacheFile{filepath.Join(dir, folder.Name(), f.Name()), fi.Size(), fi.ModTime()})
		}
	}
	return out
}

// ClearCache removes what clients have kept in a cache folder (Options.CacheDir)
// and returns how many entries and bytes that were. What is not ours stays.
func ClearCache(dir string) (entries int, size int64, err error) {
	for _, f := range cacheFiles(dir) {
		if e := os.Remove(f.path); e != nil && !errors.Is(e, fs.ErrNotExist) {
			err = errors.Join(err, e)
			continue
		}
		entries++
		size += f.size
	}
	if err != nil {
		return entries, size, fmt.Errorf("clear the cache: %w", err)
	}
	return entries, size, nil
}
