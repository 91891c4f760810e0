package hubtest

import (
	"bytes"
	"cmp"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// RepoData is a repository: branch → path → content, in memory (Branches) or
// of any kind (Files); a branch is in one of them. Contents are shared, never
// copied or written to. Paths are served as they are: a hostile repository is a
// fair thing to test against.
//
// A branch called refs/pr/1, refs/convert/parquet or refs/tags/v1 is not a
// branch but a pull request, a conversion or a tag, as on the hub.
type RepoData struct {
	ID       string // owner/name
	Branches map[string]map[string][]byte
	Files    map[string]map[string]*Content
	Gated    bool // metadata is public, files need Token
	Private  bool // everything needs Token
	Disabled bool // nobody gets at the files
}

// FromDir describes a repository on disk: each sub-folder of dir is a branch.
// The files stay where they are (see [OnDisk]).
func FromDir(id, dir string) (RepoData, error) {
	r := RepoData{ID: id, Files: make(map[string]map[string]*Content)}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return RepoData{}, fmt.Errorf("read the branches of %s: %w", id, err)
	}
	for _, e := range entries {
		if !e.IsDir() {
			continue
		}
		files, err := Folder(filepath.Join(dir, e.Name()))
		if err != nil {
			return RepoData{}, fmt.Errorf("read branch %s of %s: %w", e.Name(), id, err)
		}
		r.Files[e.Name()] = files
	}
	return r, nil
}

type repo struct {
	id             string // owner/name
	key            string // 24 hex digits, the hub's internal _id
	gated, private bool
	disabled       bool
	branches       map[string]*commit // and pull requests and the like, as refs/…
	commits        map[string]*commit // every commit there ever was
}

// commit is a snapshot: files and the folders they imply, by path.
type commit struct {
	id    string
	files map[string]*object
	trees map[string]string // folder → git tree id; "" is the root
	paths []string          // of files and folders, sorted, without the root
	bytes int64
}

// object is one file of a commit.
type object struct {
	*Content
	oid     string // git blob id; of the pointer text for an LFS file
	sha256  string // "" unless LFS
	pointer []byte // the pointer text of an LFS file
}

// Add publishes a repository; commit ids are derived from the contents, so the
// same contents have the same commits on every machine. A repository of the
// same name is replaced.
func (s *Server) Add(r RepoData) error {
	owner, name, ok := strings.Cut(r.ID, "/")
	if !ok || owner == "" || name == "" || strings.Contains(name, "/") {
		return fmt.Errorf("add repository %q: want owner/name", r.ID)
	}
	sum := sha256.Sum256([]byte(r.ID))
	p := &repo{
		id: r.ID, key: hex.EncodeToString(sum[:12]), gated: r.Gated, private: r.Private, disabled: r.Disabled,
		branches: make(map[string]*commit), commits: make(map[string]*commit),
	}
	all := maps.Clone(r.Files)
	if all == nil {
		all = make(map[string]map[string]*Content)
	}
	for branch, files := range r.Branches {
		all[branch] = inMemory(files)
	}
	for branch, files := range all {
		c, err := newCommit(files)
		if err != nil {
			return fmt.Errorf("add branch %s of %s: %w", branch, r.ID, err)
		}
		p.branches[branch], p.commits[c.id] = c, c
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.repos[r.ID] = p
	for _, c := range p.commits {
		s.keep(c)
	}
	return nil
}

// SetBranch moves a branch to a new commit with these files, or makes it; nil
// files delete the branch. Old commits stay resolvable. It returns the commit.
func (s *Server) SetBranch(repo, branch string, files map[string][]byte) (string, error) {
	return s.SetFiles(repo, branch, inMemory(files))
}

func inMemory(files map[string][]byte) map[string]*Content {
	if files == nil {
		return nil
	}
	out := make(map[string]*Content, len(files))
	for name, data := range files {
		out[name] = Bytes(data)
	}
	return out
}

// SetFiles is [Server.SetBranch] for contents of any kind.
func (s *Server) SetFiles(repo, branch string, files map[string]*Content) (string, error) {
	var c *commit
	if files != nil {
		var err error
		if c, err = newCommit(files); err != nil {
			return "", fmt.Errorf("set branch %s of %s: %w", branch, repo, err)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.repos[repo]
	if p == nil {
		return "", fmt.Errorf("set branch %s: no repository %q", branch, repo)
	}
	if c == nil {
		delete(p.branches, branch)
		return "", nil
	}
	p.branches[branch], p.commits[c.id] = c, c
	s.keep(c)
	return c.id, nil
}

// Rename gives a repository another name. The API sends whoever asks for the
// old name to the new one (307, relative); files are served under both.
func (s *Server) Rename(from, to string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.repos[from]
	if p == nil || s.repos[to] != nil {
		return fmt.Errorf("rename %s to %s: no such repository, or one in the way", from, to)
	}
	delete(s.repos, from)
	p.id, s.repos[to], s.moved[from] = to, p, to
	return nil
}

// keep makes the LFS content of a commit known to the CDN. s.mu is held.
func (s *Server) keep(c *commit) {
	for _, f := range c.files {
		if f.sha256 != "" {
			s.blobs[f.sha256] = f.Content
		}
	}
}

// Commit returns the commit of a branch, "" if there is none.
func (s *Server) Commit(repo, branch string) string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if p := s.repos[repo]; p != nil && p.branches[branch] != nil {
		return p.branches[branch].id
	}
	return ""
}

// resolve finds a commit by branch, tag, refs/… or commit id. s.mu is held.
func (p *repo) resolve(rev string) *commit {
	for _, name := range []string{strings.TrimPrefix(rev, "refs/heads/"), "refs/tags/" + rev} {
		if c := p.branches[name]; c != nil {
			return c
		}
	}
	return p.commits[rev]
}

func newCommit(files map[string]*Content) (*commit, error) {
	c := &commit{files: make(map[string]*object, len(files)), trees: make(map[string]string)}
	folders := map[string]map[string]treeEntry{"": {}}
	for name, content := range files {
		o, err := newObject(name, content)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", name, err)
		}
		c.files[name] = o
		c.bytes += content.size
		addEntry(folders, name, treeEntry{mode: "100644", oid: o.oid})
	}
	// Deepest first: a folder's id goes into its parent's.
	names := slices.SortedFunc(maps.Keys(folders), func(a, b string) int {
		return cmp.Or(strings.Count(b, "/")-strings.Count(a, "/"), len(b)-len(a), strings.Compare(a, b))
	})
	for _, name := range names {
		oid := treeID(folders[name])
		c.trees[name] = oid
		if name != "" {
			addEntry(folders, name, treeEntry{mode: "40000", oid: oid})
		}
	}
	c.paths = slices.Collect(maps.Keys(c.files))
	for name := range c.trees {
		if name != "" {
			c.paths = append(c.paths, name)
		}
	}
	slices.Sort(c.paths)
	const who = "hubtest <hubtest@localhost> 1695800000 +0000"
	c.id = gitID("commit", fmt.Appendf(nil, "tree %s\nauthor %s\ncommitter %s\n\nadd files\n", c.trees[""], who, who))
	return c, nil
}

type treeEntry struct{ mode, oid string }

// addEntry puts an entry into its folder, and makes sure that the folder and
// its parents exist.
func addEntry(folders map[string]map[string]treeEntry, name string, e treeEntry) {
	dir, base := splitPath(name)
	for d := dir; folders[d] == nil; d, _ = splitPath(d) {
		folders[d] = make(map[string]treeEntry)
	}
	folders[dir][base] = e
}

func splitPath(name string) (dir, base string) {
	if i := strings.LastIndexByte(name, '/'); i >= 0 {
		return name[:i], name[i+1:]
	}
	return "", name
}

// treeID is the id of a git tree object. Git sorts folders as if their names
// ended in a slash.
func treeID(entries map[string]treeEntry) string {
	key := func(name string) string {
		if entries[name].mode == "40000" {
			return name + "/"
		}
		return name
	}
	names := slices.SortedFunc(maps.Keys(entries), func(a, b string) int { return strings.Compare(key(a), key(b)) })
	var buf bytes.Buffer
	for _, name := range names {
		raw, err := hex.DecodeString(entries[name].oid)
		if err != nil {
			panic("qbranch: internal error: object id is not hex: " + err.Error())
		}
		fmt.Fprintf(&buf, "%s %s\x00%s", entries[name].mode, name, raw)
	}
	return gitID("tree", buf.Bytes())
}

func gitID(kind string, data []byte) string {
	h := sha1.New()
	fmt.Fprintf(h, "%s %d\x00", kind, len(data))
	h.Write(data)
	return hex.EncodeToString(h.Sum(nil))
}

func newObject(name string, c *Content) (*object, error) {
	if !isLFS(name, c.size) {
		oid, err := c.blobID()
		return &object{Content: c, oid: oid}, err
	}
	sum, err := c.SHA256()
	pointer := fmt.Appendf(nil, "version https://git-lfs.github.com/spec/v1\noid sha256:%x\nsize %d\n", sum, c.size)
	return &object{Content: c, oid: gitID("blob", pointer), sha256: hex.EncodeToString(sum[:]), pointer: pointer}, err
}

// lfsFrom is the size from which the hub asks for LFS whatever the name.
const lfsFrom = 10 << 20

// lfsExtensions is the hub's default .gitattributes.
const lfsExtensions = " .7z .arrow .bin .bz2 .ckpt .ftz .gz .h5 .joblib .mlmodel .model .msgpack .npy .npz .onnx .ot" +
	" .parquet .pb .pickle .pkl .pt .pth .rar .safetensors .tar .tflite .tgz .wasm .xz .zip .zst .gguf "

// isLFS says whether a file would be stored by LFS. An empty file never is:
// git-lfs leaves it alone.
func isLFS(name string, size int64) bool {
	ext := path.Ext(name)
	return size > 0 && (size >= lfsFrom || ext != "" && strings.Contains(lfsExtensions, " "+ext+" "))
}
