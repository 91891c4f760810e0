package hubtest

import (
	"net/http"
	"time"
)

// RepoData is a repository in memory: branch → path → content. Contents are
// shared, never copied or written to.
type RepoData struct {
	ID       string // owner/name
	Branches map[string]map[string][]byte
	Gated    bool // metadata is public, files need Token
	Private  bool // everything needs Token
}

// Options may be zero.
type Options struct {
	Addr     string        // API origin, "" = 127.0.0.1:0
	CDNAddr  string        // CDN origin, "" = 127.0.0.1:0
	Token    string        // the token that opens gated and private repositories
	URLLife  time.Duration // of signed CDN URLs; 0 = 1 h
	PageSize int           // of tree listings; 0 = 1000
}

// Server is a running hub. Its methods are safe for concurrent use.
type Server struct{}

// Start listens on both origins and serves until Close.
func Start(o Options) (*Server, error) { return nil, nil }

// Add publishes a repository; commit ids are derived from the contents, so the
// same contents have the same commits on every machine.
func (s *Server) Add(r RepoData) error { return nil }

// URL is the API origin; CDNURL the storage origin.
func (s *Server) URL() string    { return "" }
func (s *Server) CDNURL() string { return "" }

// Close stops both origins and breaks open connections.
func (s *Server) Close() error { return nil }

// Commit returns the commit of a branch.
func (s *Server) Commit(repo, branch string) string { return "" }

// Entry is one request in the log.
type Entry struct {
	Time   time.Time
	Origin string // "api" or "cdn"
	Method string
	Path   string // without the query
	Range  string // the Range header
	Status int
	Sent   int64 // body bytes written
	Auth   bool  // an Authorization header was present
}

// Log returns the requests so far; ResetLog forgets them.
func (s *Server) Log() []Entry { return nil }
func (s *Server) ResetLog()    {}

// SetRate limits the CDN to bytes per second over all connections; 0 = none.
func (s *Server) SetRate(bytesPerSecond int64) {}

// DropConnections resets every open CDN connection now and returns how many.
func (s *Server) DropConnections() int { return 0 }

// Fault misbehaves for matching requests. Match by Origin ("api", "cdn", "" =
// both), Method and PathContains; After skips that many matching requests,
// Times is how often it acts (0 = always). The action fields combine where
// that makes sense.
type Fault struct {
	Name         string
	Origin       string
	Method       string
	PathContains string
	RangedOnly   bool
	After        int
	Times        int

	Status      int                      // answer this status …
	Header      http.Header              // … with these headers …
	Body        string                   // … and this body
	ResetAfter  int64                    // reset the connection after n body bytes (use 1 for "at once")
	Truncate    int64                    // end the body n bytes early though the length says more
	FlipAt      int64                    // flip a bit of the content's byte n-1 (1-based offset in the file; 0 = none)
	Delay       time.Duration            // before the headers
	IgnoreRange bool                     // 200 with the whole content
	WrongRange  bool                     // 206 with a Content-Range of another offset
	RedirectTo  string                   // redirect there instead
	Rewrite     func(body []byte) []byte // change a JSON or text answer
}

// AddFault adds a fault and returns a function that removes it.
func (s *Server) AddFault(f Fault) (remove func()) { return func() {} }
