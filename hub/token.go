package hub

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// Token is a secret: it prints as its source, never as itself.
type Token struct {
	value  *string     // behind a pointer, so that no formatting verb reaches it from outside
	Source string      // where it came from: "HF_TOKEN", a file's path, …
	Mode   fs.FileMode // permission bits of that file; 0 = it was no file
}

// NewToken wraps a secret and says where it came from. An empty secret is no
// token.
func NewToken(value, source string) Token {
	value = strings.TrimSpace(value)
	if value == "" {
		return Token{}
	}
	return Token{value: &value, Source: source}
}

// IsZero reports whether there is no token.
func (t Token) IsZero() bool { return t.value == nil }

// String says where the token came from.
func (t Token) String() string {
	if t.IsZero() {
		return "no token"
	}
	return "token from " + t.Source
}

// GoString is String.
func (t Token) GoString() string { return t.String() }

// authorization returns the header's value, "" without a token.
func (t Token) authorization() string {
	if t.IsZero() {
		return ""
	}
	return "Bearer " + *t.value
}

// TokenError is a token that cannot be sent. It is ErrBadToken.
type TokenError struct{ Source string }

// Error says where the token came from, and nothing of what it is.
func (e *TokenError) Error() string {
	return "use the token from " + e.Source + ": it contains characters no token has"
}

// Unwrap returns ErrBadToken.
func (e *TokenError) Unwrap() error { return ErrBadToken }

// Hint says what to do next.
func (e *TokenError) Hint() string {
	return "a token is one word like hf_…: copy it again, or go on without: HF_HUB_DISABLE_IMPLICIT_TOKEN=1"
}

// check refuses what could not be sent in a header.
func (t Token) check() error {
	if t.IsZero() {
		return nil
	}
	for _, c := range []byte(*t.value) {
		if c <= ' ' || c >= 0x7f {
			return &TokenError{t.Source}
		}
	}
	return nil
}

// maxTokenFile bounds what is read of a token file.
const maxTokenFile = 64 << 10

// OptionsFromEnv reads HF_ENDPOINT, HF_TOKEN, HUGGING_FACE_HUB_TOKEN,
// HF_TOKEN_PATH, HF_HOME, HF_HUB_DISABLE_IMPLICIT_TOKEN, HF_HUB_OFFLINE and
// TRANSFORMERS_OFFLINE with the official precedence, HF_HUB_ETAG_TIMEOUT,
// HF_HUB_DOWNLOAD_TIMEOUT and QBRANCH_ALLOW_HTTP; and, for certificates to trust
// beside the system's, the first that is set of SSL_CERT_FILE and SSL_CERT_DIR,
// REQUESTS_CA_BUNDLE, and CURL_CA_BUNDLE (*CertificatesError when it is of no use).
// A token file that is missing means no token; one that cannot be read is an
// error.
func OptionsFromEnv(getenv func(string) string) (Options, error) {
	o := Options{
		Endpoint:  strings.TrimRight(strings.TrimSpace(getenv("HF_ENDPOINT")), "/"),
		Offline:   isTrue(getenv("HF_HUB_OFFLINE")) || isTrue(getenv("TRANSFORMERS_OFFLINE")),
		AllowHTTP: isTrue(getenv("QBRANCH_ALLOW_HTTP")),

		HeaderTimeout: seconds(getenv("HF_HUB_ETAG_TIMEOUT")),
		StallTimeout:  seconds(getenv("HF_HUB_DOWNLOAD_TIMEOUT")),
	}
	var err error
	if o.Roots, err = rootsFromEnv(getenv); err != nil {
		return Options{}, err
	}
	if isTrue(getenv("HF_HUB_DISABLE_IMPLICIT_TOKEN")) {
		return o, nil
	}
	for _, name := range []string{"HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"} {
		if o.Token = NewToken(getenv(name), name); !o.Token.IsZero() {
			return o, nil
		}
	}
	path := tokenPath(getenv)
	if path == "" {
		return o, nil
	}
	o.Token, err = ReadToken(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return o, nil
	case err != nil:
		return o, fmt.Errorf("%w (HF_HUB_DISABLE_IMPLICIT_TOKEN=1 goes on without)", err)
	}
	return o, nil
}

// ReadToken reads a token from a file, at most 64 KiB of it.
func ReadToken(path string) (Token, error) {
	fail := func(err error) (Token, error) {
		return Token{}, fmt.Errorf("read the token: %w", err)
	}
	f, err := os.Open(path)
	if err != nil {
		return fail(err)
	}
	defer f.Close()
	fi, err := f.Stat()
	if err != nil {
		return fail(err)
	}
	data, err := io.ReadAll(io.LimitReader(f, maxTokenFile))
	if err != nil {
		return fail(err)
	}
	t := NewToken(string(data), path)
	if !t.IsZero() {
		t.Mode = fi.Mode().Perm()
	}
	return t, nil
}

// Exposed reports whether others on this machine can read the file that the
// token came from. On Windows the mode does not tell.
func (t Token) Exposed() bool { return runtime.GOOS != "windows" && t.Mode&0o077 != 0 }

// tokenPath is where the official tools keep the token; "" when there is not
// even a home.
func tokenPath(getenv func(string) string) string {
	if p := getenv("HF_TOKEN_PATH"); p != "" {
		return expand(p, getenv)
	}
	if p := getenv("HF_HOME"); p != "" {
		return filepath.Join(expand(p, getenv), "token")
	}
	if p := getenv("XDG_CACHE_HOME"); p != "" {
		return filepath.Join(expand(p, getenv), "huggingface", "token")
	}
	home := homeDir(getenv)
	if home == "" {
		return ""
	}
	return filepath.Join(home, ".cache", "huggingface", "token")
}

func homeDir(getenv func(string) string) string {
	if home := getenv("HOME"); home != "" {
		return home
	}
	return getenv("USERPROFILE") // Windows
}

// expand replaces ~ and $NAME as the official tools do.
func expand(path string, getenv func(string) string) string {
	if path == "~" || strings.HasPrefix(path, "~/") || strings.HasPrefix(path, `~\`) {
		path = homeDir(getenv) + path[1:]
	}
	return os.Expand(path, getenv)
}

// seconds reads a timeout, at most maxTimeout; 0 for what is no number above 0,
// which the official tools take for an error and we for the default.
func seconds(s string) time.Duration {
	n, err := strconv.ParseFloat(strings.TrimSpace(s), 64)
	if err != nil || !(n > 0) {
		return 0
	}
	return time.Duration(min(n, maxTimeout.Seconds()) * float64(time.Second))
}

// isTrue reads a boolean as the official tools do.
func isTrue(s string) bool {
	switch strings.ToUpper(s) {
	case "1", "ON", "YES", "TRUE":
		return true
	}
	return false
}
