package hubtest

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"
)

// Options may be zero.
type Options struct {
	Addr       string        // API origin, "" = 127.0.0.1:0
	CDNAddr    string        // CDN origin, "" = 127.0.0.1:0
	Token      string        // the token that opens gated and private repositories
	OtherToken string        // a good token of somebody who has no access to them
	URLLife    time.Duration // of signed CDN URLs; 0 = 1 h
	URLUses    int           // requests that a signed CDN URL is good for; 0 = any number
	RangeBound bool          // a signed CDN URL is good for the very Range (or none) with which it was asked for
	PageSize   int           // of tree listings; 0 = 1000

	// OnRequest, if set, gets every request when its answer has ended, and the
	// log stays empty: for a hub that runs for days. It is called by several
	// goroutines at once.
	OnRequest func(Entry)
}

// Server is a running hub. Its methods are safe for concurrent use.
type Server struct {
	opts     Options
	api, cdn *origin
	log      requestLog
	faults   faultList
	limiter  *rate.Limiter // over all CDN connections
	latency  atomic.Int64  // a time.Duration
	requests atomic.Int64  // numbers the X-Request-Id
	signed   atomic.Int64  // numbers the signed URLs, so that no two are equal

	mu    sync.RWMutex
	key   []byte              // signs CDN URLs
	uses  map[string]int      // of signed URLs, by Key-Pair-Id; only with Options.URLUses
	repos map[string]*repo    // by owner/name
	moved map[string]string   // old name → new name
	blobs map[string]*Content // LFS content by hex SHA-256
}

// Start listens on both origins and serves until Close.
func Start(o Options) (*Server, error) {
	if o.Addr == "" {
		o.Addr = "127.0.0.1:0"
	}
	if o.CDNAddr == "" {
		o.CDNAddr = "127.0.0.1:0"
	}
	if o.URLLife == 0 {
		o.URLLife = time.Hour
	}
	if o.PageSize == 0 {
		o.PageSize = 1000
	}
	s := &Server{
		opts:    o,
		limiter: newLimiter(),
		key:     newKey(),
		uses:    make(map[string]int),
		repos:   make(map[string]*repo),
		moved:   make(map[string]string),
		log:     requestLog{tell: o.OnRequest},
		blobs:   make(map[string]*Content),
	}
	var err error
	if s.api, err = listen("api", o.Addr); err != nil {
		return nil, err
	}
	if s.cdn, err = listen("cdn", o.CDNAddr); err != nil {
		return nil, joinClose(err, s.api)
	}
	s.api.serve(s.wrap("api", http.HandlerFunc(s.serveAPI)))
	s.cdn.serve(s.wrap("cdn", http.HandlerFunc(s.serveCDN)))
	return s, nil
}

func joinClose(err error, o *origin) error {
	o.listener.Close() // nothing was served on it
	return err
}

func newKey() []byte {
	key := make([]byte, 32)
	rand.Read(key) // never fails, by its contract
	return key
}

// wrap puts log, rate limit and faults around the handler of an origin.
func (s *Server) wrap(name string, h http.Handler) http.Handler {
	h = s.faults.wrap(name, h)
	if name == "cdn" {
		h = s.limit(h)
	}
	return s.log.wrap(name, s.delay(h))
}

// URL is the API origin.
func (s *Server) URL() string { return s.api.url }

// CDNURL is the storage origin.
func (s *Server) CDNURL() string { return s.cdn.url }

// Close stops both origins, breaks open connections and waits for the
// handlers to return.
func (s *Server) Close() error {
	err := s.api.close()
	if e := s.cdn.close(); err == nil {
		err = e
	}
	return err
}

// DropConnections resets every open CDN connection now and returns how many.
func (s *Server) DropConnections() int { return s.cdn.drop() }

// ExpireURLs makes every CDN URL signed so far answer 403, as if its time had
// run out.
func (s *Server) ExpireURLs() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.key = newKey()
}

// origin is a listener, its HTTP server and its open connections.
type origin struct {
	name     string
	url      string
	listener net.Listener
	server   *http.Server
	wg       sync.WaitGroup // the accept loop and the handlers

	mu       sync.Mutex
	conns    map[*trackedConn]struct{}
	accepted int64 // connections so far
	connRate int64 // bytes per second of each connection; 0 = no limit
}

func listen(name, addr string) (*origin, error) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("listen for the %s origin: %w", name, err)
	}
	o := &origin{name: name, url: "http://" + l.Addr().String(), conns: make(map[*trackedConn]struct{})}
	o.listener = &trackingListener{Listener: l, origin: o}
	return o, nil
}

func (o *origin) serve(h http.Handler) {
	o.server = &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			o.wg.Add(1)
			defer o.wg.Done()
			h.ServeHTTP(w, r)
		}),
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			return context.WithValue(ctx, connKey{}, c)
		},
		ErrorLog: log.New(io.Discard, "", 0), // faults break connections on purpose
	}
	o.wg.Add(1)
	go func() {
		defer o.wg.Done()
		o.server.Serve(o.listener) // always ends with ErrServerClosed, or with the listener's own error
	}()
}

func (o *origin) close() error {
	err := o.server.Close()
	o.drop() // hijacked connections are not the server's to close
	o.wg.Wait()
	return err
}

// drop resets all open connections and returns how many there were.
func (o *origin) drop() int {
	o.mu.Lock()
	conns := make([]*trackedConn, 0, len(o.conns))
	for c := range o.conns {
		conns = append(conns, c)
	}
	o.mu.Unlock()
	for _, c := range conns {
		c.reset()
	}
	return len(conns)
}

func (o *origin) setRate(bytesPerSecond int64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.connRate = bytesPerSecond
	for c := range o.conns {
		setRate(c.limiter, bytesPerSecond)
	}
}

// sendBuffer bounds what the kernel holds of a connection, so that the bytes
// the log calls sent are near those the other side has seen.
const sendBuffer = 128 << 10

type trackingListener struct {
	net.Listener
	origin *origin
}

func (l *trackingListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	c := &trackedConn{TCPConn: conn.(*net.TCPConn), origin: l.origin, limiter: newLimiter()}
	c.SetWriteBuffer(sendBuffer) // a wish; the default buffer serves too
	l.origin.mu.Lock()
	defer l.origin.mu.Unlock()
	l.origin.accepted++
	c.number = l.origin.accepted
	setRate(c.limiter, l.origin.connRate)
	l.origin.conns[c] = struct{}{}
	return c, nil
}

type trackedConn struct {
	*net.TCPConn
	origin  *origin
	number  int64 // of the connections of its origin, from 1
	limiter *rate.Limiter
	used    atomic.Bool  // a request came over it
	drip    atomic.Int64 // a time.Duration between the bytes of the next head; 0 = none
}

// Write sends the head of an answer byte by byte, if that was wished.
func (c *trackedConn) Write(p []byte) (int, error) {
	gap := time.Duration(c.drip.Load())
	if gap == 0 {
		return c.TCPConn.Write(p)
	}
	c.drip.Store(0)
	for i := range p {
		if bytes.HasSuffix(p[:i], []byte("\r\n\r\n")) {
			n, err := c.TCPConn.Write(p[i:])
			return i + n, err
		}
		time.Sleep(gap) // a closed connection ends this at the next byte
		if _, err := c.TCPConn.Write(p[i : i+1]); err != nil {
			return i, err
		}
	}
	return len(p), nil
}

type connKey struct{}

// connOf returns the connection of a request.
func connOf(r *http.Request) *trackedConn { return r.Context().Value(connKey{}).(*trackedConn) }

func (c *trackedConn) Close() error {
	c.origin.mu.Lock()
	delete(c.origin.conns, c)
	c.origin.mu.Unlock()
	return c.TCPConn.Close()
}

// reset closes with an RST instead of a FIN.
func (c *trackedConn) reset() {
	c.SetLinger(0) // fails only on a connection that is closed already
	c.Close()
}
