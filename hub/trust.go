package hub

import (
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
)

// ErrBadCertificates is what a CertificatesError wraps.
var ErrBadCertificates = errors.New("no certificates")

// CertificatesError is a file or folder of certificates, named by the
// environment, that cannot be used. It is ErrBadCertificates.
type CertificatesError struct {
	Variable string // SSL_CERT_FILE, …
	Path     string
	Reason   string
}

// Error names the variable, the path and what is wrong with it.
func (e *CertificatesError) Error() string {
	return fmt.Sprintf("read the certificates of %s (%s): %s", e.Variable, printable(e.Path), printable(e.Reason))
}

// Unwrap returns ErrBadCertificates.
func (e *CertificatesError) Unwrap() error { return ErrBadCertificates }

// Hint says what to do next.
func (e *CertificatesError) Hint() string {
	return "it has to hold certificates in PEM form (-----BEGIN CERTIFICATE-----); unset " + e.Variable + " to trust the system's alone"
}

// Roots are certificates to trust beside the system's.
type Roots struct {
	Pool   *x509.CertPool // nil = the system's alone
	Source string         // "SSL_CERT_FILE=/etc/corp.pem", "" = none
}

// maxCertificates bounds what is read of one file of certificates.
const maxCertificates = 16 << 20

// rootsFromEnv reads the first of these that is set: SSL_CERT_FILE and
// SSL_CERT_DIR (together), REQUESTS_CA_BUNDLE, CURL_CA_BUNDLE. Each may be a
// file or a folder, SSL_CERT_DIR a list of folders. Go itself knows the first two
// on some systems only.
func rootsFromEnv(getenv func(string) string) (Roots, error) {
	for _, names := range [][]string{{"SSL_CERT_FILE", "SSL_CERT_DIR"}, {"REQUESTS_CA_BUNDLE"}, {"CURL_CA_BUNDLE"}} {
		var r Roots
		for _, name := range names {
			value := getenv(name)
			if value == "" {
				continue
			}
			if r.Pool == nil {
				var err error
				if r.Pool, err = x509.SystemCertPool(); err != nil {
					r.Pool = x509.NewCertPool() // a system without any
				}
				r.Source = name + "=" + value
			}
			paths := []string{expand(value, getenv)}
			if name == "SSL_CERT_DIR" {
				paths = filepath.SplitList(value)
			}
			for _, path := range paths {
				if err := addCertificates(r.Pool, path, name == "SSL_CERT_DIR"); err != nil {
					return Roots{}, &CertificatesError{name, path, err.Error()}
				}
			}
		}
		if r.Pool != nil {
			return r, nil
		}
	}
	return Roots{}, nil
}

// addCertificates adds those of a file, or of a folder's files. A folder among
// several may be absent or hold none.
func addCertificates(pool *x509.CertPool, path string, oneOfSeveral bool) error {
	fi, err := os.Stat(path)
	if err != nil {
		if oneOfSeveral && errors.Is(err, os.ErrNotExist) {
			return nil
		}
		return reasonOf(err)
	}
	files := []string{path}
	if fi.IsDir() {
		entries, err := os.ReadDir(path)
		if err != nil {
			return reasonOf(err)
		}
		files = files[:0]
		for _, e := range entries {
			files = append(files, filepath.Join(path, e.Name()))
		}
	}
	added := false
	for _, name := range files {
		data, err := readCertificates(name)
		if err != nil && !fi.IsDir() {
			return reasonOf(err)
		}
		added = pool.AppendCertsFromPEM(data) || added
	}
	if !added && !oneOfSeveral {
		return errors.New("there are no certificates in PEM form in it")
	}
	return nil
}

func readCertificates(name string) ([]byte, error) {
	fi, err := os.Stat(name)
	if err != nil || !fi.Mode().IsRegular() {
		return nil, errors.Join(err, errNoRegular(fi))
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxCertificates+1))
	if len(data) > maxCertificates {
		return nil, fmt.Errorf("more than %d bytes", maxCertificates)
	}
	return data, err
}

func errNoRegular(fi os.FileInfo) error {
	if fi == nil || fi.Mode().IsRegular() {
		return nil
	}
	return errors.New("not a regular file")
}

// reasonOf leaves out the path, which the message names already.
func reasonOf(err error) error {
	var p *os.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

// proxyError is a proxy that refuses to connect us. It is ErrProxy.
type proxyError struct {
	proxy  string // host:port
	status string
}

func (e *proxyError) Error() string {
	return fmt.Sprintf("%v: %s says %s", ErrProxy, e.proxy, e.status)
}

func (e *proxyError) Unwrap() error { return ErrProxy }

// final says whether asking the proxy again is of no use.
func (e *proxyError) final() bool {
	return slices.ContainsFunc([]string{"401", "403", "405", "407"}, func(s string) bool { return len(e.status) >= 3 && e.status[:3] == s })
}

// checkProxy reads what a proxy answers to CONNECT.
func checkProxy(proxy *url.URL, resp *http.Response) error {
	if resp.StatusCode == http.StatusOK {
		return nil
	}
	return &proxyError{printable(proxy.Host), printable(resp.Status)}
}

// isProxyRefusal says whether a proxy will go on refusing.
func isProxyRefusal(err error) bool {
	var p *proxyError
	return errors.As(err, &p) && p.final()
}
