package hub

import (
	"context"
	"errors"
	"io"
	"log/slog"
)

// DefaultEndpoint is the public hub.
const DefaultEndpoint = "https://huggingface.co"

// Token is a secret: it prints as its source, never as itself.
type Token struct {
	value  string
	Source string // where it came from: "HF_TOKEN", a file's path, …
}

// NewToken wraps a secret and says where it came from.
func NewToken(value, source string) Token { return Token{value, source} }

// Options configure a Client; the zero value is the anonymous public hub.
type Options struct {
	Endpoint  string       // base URL; "" = DefaultEndpoint
	Token     Token        // zero = anonymous
	UserAgent string       // "qbranch/VERSION; …"
	Logger    *slog.Logger // nil = silent; never sees secrets or signed queries
	MaxConns  int          // cap of data connections per host; 0 = 16
	Offline   bool         // every request fails with ErrOffline
}

// OptionsFromEnv reads HF_ENDPOINT, HF_TOKEN, HUGGING_FACE_HUB_TOKEN,
// HF_TOKEN_PATH, HF_HOME, HF_HUB_DISABLE_IMPLICIT_TOKEN and HF_HUB_OFFLINE
// with the official precedence.
func OptionsFromEnv(getenv func(string) string) (Options, error) {
	return Options{}, errors.New("todo")
}

// Client talks to one endpoint. It is safe for concurrent use.
type Client struct{}

// NewClient checks the options and builds a client; it sends nothing.
func NewClient(o Options) (*Client, error) { return nil, errors.New("todo") }

// Endpoint returns the base URL without a trailing slash.
func (c *Client) Endpoint() string { return "" }

// Refs lists the branches, main first, then by name. One request.
func (c *Client) Refs(ctx context.Context, repo RepoID) ([]Branch, error) { return nil, nil }

// Revision resolves a branch, tag or pull-request ref to its commit. One request.
func (c *Client) Revision(ctx context.Context, repo RepoID, rev string) (Commit, error) {
	return "", nil
}

// Tree lists the files of a commit, recursively, sorted by path. Paths, sizes
// and digests have been checked; a listing that contradicts itself is
// ErrBadListing.
func (c *Client) Tree(ctx context.Context, repo RepoID, at Commit) ([]File, error) { return nil, nil }

// ReadFile reads a whole small file, at most limit bytes (ErrTooLarge beyond).
// The caller checks the content against File.OID when it has one.
func (c *Client) ReadFile(ctx context.Context, repo RepoID, at Commit, path string, limit int64) ([]byte, error) {
	return nil, nil
}

// OpenRange opens n bytes at off of a file. The reader yields exactly n bytes
// or an error (io.ErrUnexpectedEOF and network errors are wrapped in
// ErrNetwork and are Temporary). It follows the redirect to storage once per
// file and remembers the signed URL; a refusal by storage re-resolves once for
// everybody who waits. A 200, a wrong Content-Range or a wrong total is
// ErrRange. The caller closes the reader. It does not retry in mid-body.
func (c *Client) OpenRange(ctx context.Context, repo RepoID, at Commit, f File, off, n int64) (io.ReadCloser, error) {
	return nil, nil
}
