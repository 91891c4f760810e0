package hubtest

import (
	"fmt"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// ParseFault reads a fault from one line, as the command hubtest takes it:
// KEY or KEY=VALUE, separated by commas, each key at most once. FaultKeys lists
// the keys. Sizes are like 32MiB (see [ParseSize]), times like 40ms. A body has
// no comma in it.
//
//	reset-after=32MiB,times=3
//	path=/tree/,status=503,retry-after=7
//	ranged,flip-at=1000001,one-conn
func ParseFault(line string) (Fault, error) {
	var f Fault
	var done []string
	for field := range strings.SplitSeq(line, ",") {
		key, value, has := strings.Cut(strings.TrimSpace(field), "=")
		i := slices.IndexFunc(faultKeys, func(k faultKey) bool { return k.name == key })
		if i < 0 {
			return Fault{}, fmt.Errorf("read fault %q: no key %q", line, key)
		}
		k := faultKeys[i]
		if slices.Contains(done, key) {
			return Fault{}, fmt.Errorf("read fault %q: %s twice", line, key)
		}
		done = append(done, key)
		if has == (k.value == "") {
			return Fault{}, fmt.Errorf("read fault %q: want %s", line, k.usage())
		}
		if err := k.set(&f, value); err != nil {
			return Fault{}, fmt.Errorf("read fault %q: %s: %w", line, k.usage(), err)
		}
	}
	if f.Name == "" {
		f.Name = line
	}
	return f, nil
}

// FaultKeys describes the keys of [ParseFault], one a line.
func FaultKeys() string {
	var b strings.Builder
	for _, k := range faultKeys {
		fmt.Fprintf(&b, "%-20s %s\n", k.usage(), k.help)
	}
	return b.String()
}

// faultKey sets a field, or some.
type faultKey struct {
	name, value, help string // value "" = a switch
	set               func(f *Fault, v string) error
}

func (k faultKey) usage() string {
	if k.value == "" {
		return k.name
	}
	return k.name + "=" + k.value
}

func text(field func(f *Fault) *string) func(*Fault, string) error {
	return func(f *Fault, v string) error { *field(f) = v; return nil }
}

func flag(field func(f *Fault) *bool) func(*Fault, string) error {
	return func(f *Fault, _ string) error { *field(f) = true; return nil }
}

func size(field func(f *Fault) *int64) func(*Fault, string) error {
	return func(f *Fault, v string) (err error) { *field(f), err = ParseSize(v); return err }
}

func count(field func(f *Fault) *int) func(*Fault, string) error {
	return func(f *Fault, v string) error {
		n, err := strconv.ParseUint(v, 10, 31)
		*field(f) = int(n)
		return err
	}
}

func period(field func(f *Fault) *time.Duration) func(*Fault, string) error {
	return func(f *Fault, v string) (err error) { *field(f), err = time.ParseDuration(v); return err }
}

func header(k string) func(*Fault, string) error {
	return func(f *Fault, v string) error {
		if f.Header == nil {
			f.Header = make(http.Header)
		}
		f.Header.Set(k, v)
		return nil
	}
}

// preset takes everything but the matching fields from a ready-made fault.
func preset(p func() Fault) func(*Fault, string) error {
	return func(f *Fault, _ string) error {
		made := p()
		f.Status, f.Header, f.Body, f.AuthOnly = made.Status, made.Header, made.Body, made.AuthOnly
		return nil
	}
}

var etags = map[string]func(string) string{"weak": WeakETag, "bare": BareETag, "other": OtherETag}

var faultKeys = []faultKey{
	{"name", "TEXT", "shown in the log", text(func(f *Fault) *string { return &f.Name })},
	{"origin", "api|cdn", "requests to this origin", text(func(f *Fault) *string { return &f.Origin })},
	{"method", "GET", "requests with this method", text(func(f *Fault) *string { return &f.Method })},
	{"path", "TEXT", "requests with this in their path", text(func(f *Fault) *string { return &f.PathContains })},
	{"query", "TEXT", "requests with this in their query", text(func(f *Fault) *string { return &f.QueryContains })},
	{"ranged", "", "requests for a range", flag(func(f *Fault) *bool { return &f.RangedOnly })},
	{"auth", "", "requests with a token", flag(func(f *Fault) *bool { return &f.AuthOnly })},
	{"at", "N", "requests that get byte N of the file, from 1; the …-after keys count from it", size(func(f *Fault) *int64 { return &f.At })},
	{"one-conn", "", "requests on the connection of the first", flag(func(f *Fault) *bool { return &f.OneConn })},
	{"after", "N", "let N such requests pass", count(func(f *Fault) *int { return &f.After })},
	{"times", "N", "then act N times; without: always", count(func(f *Fault) *int { return &f.Times })},

	{"delay", "TIME", "wait before the answer", period(func(f *Fault) *time.Duration { return &f.Delay })},
	{"slow-head", "TIME", "wait between the bytes of the head", period(func(f *Fault) *time.Duration { return &f.SlowHead })},
	{"endless-head", "", "header lines without end", flag(func(f *Fault) *bool { return &f.EndlessHead })},
	{"first-byte", "TIME", "wait between head and body", period(func(f *Fault) *time.Duration { return &f.FirstByte })},
	{"rate", "SIZE", "bytes per second of the body", size(func(f *Fault) *int64 { return &f.Rate })},
	{"ramp", "TIME", "the time in which the rate grows from 0", period(func(f *Fault) *time.Duration { return &f.Ramp })},

	{"status", "N", "answer this status", func(f *Fault, v string) (err error) {
		if f.Status, err = strconv.Atoi(v); err == nil && (f.Status < 200 || f.Status > 599) {
			err = fmt.Errorf("no status of an answer: %d", f.Status)
		}
		return err
	}},
	{"body", "TEXT", "with this body", text(func(f *Fault) *string { return &f.Body })},
	{"type", "TEXT", "with this Content-Type", header("Content-Type")},
	{"retry-after", "TEXT", "with this Retry-After", header("Retry-After")},
	{"html", "", "a page for people, with status 200", preset(func() Fault { return WebPage(http.StatusOK, true) })},
	{"expired", "", "what storage says to a link whose time is over", preset(Expired)},
	{"token-refused", "", "what the hub says to a token that it does not know", preset(TokenRefused)},
	{"without", "HEADER", "leave this header out", func(f *Fault, v string) error { f.Without = append(f.Without, v); return nil }},
	{"etag", "weak|bare|other", "change the tags", func(f *Fault, v string) error {
		if f.ETag = etags[v]; f.ETag == nil {
			return fmt.Errorf("no such form: %q", v)
		}
		return nil
	}},
	{"redirect-to", "URL", "redirect there; {uri} is what was asked for", text(func(f *Fault) *string { return &f.RedirectTo })},

	{"reset-after", "SIZE", "reset the connection after so much of a body", size(func(f *Fault) *int64 { return &f.ResetAfter })},
	{"reset-first", "", "reset the connection before the head", func(f *Fault, _ string) error { f.ResetAfter = -1; return nil }},
	{"close-after", "SIZE", "close it after so much of a body", size(func(f *Fault) *int64 { return &f.CloseAfter })},
	{"reset-every", "SIZE", "reset one each time that so much was sent in all", size(func(f *Fault) *int64 { return &f.ResetEvery })},
	{"close-every", "SIZE", "close one each time that so much was sent in all", size(func(f *Fault) *int64 { return &f.CloseEvery })},
	{"stall-after", "SIZE", "then send nothing more", size(func(f *Fault) *int64 { return &f.StallAfter })},
	{"truncate", "SIZE", "end the body so much too early", size(func(f *Fault) *int64 { return &f.Truncate })},
	{"extra", "SIZE", "zeros behind the body", size(func(f *Fault) *int64 { return &f.Extra })},
	{"flip-at", "N", "flip a bit of byte N of the file, from 1", size(func(f *Fault) *int64 { return &f.FlipAt })},
	{"other-bytes", "", "the body of another file", flag(func(f *Fault) *bool { return &f.OtherBytes })},
	{"ignore-range", "", "the whole file in answer to a range", flag(func(f *Fault) *bool { return &f.IgnoreRange })},
	{"wrong-range", "", "a Content-Range of another offset", flag(func(f *Fault) *bool { return &f.WrongRange })},
	{"wrong-total", "", "a Content-Range of a longer file", flag(func(f *Fault) *bool { return &f.WrongTotal })},
	{"gzip", "", "compressed, without a length", flag(func(f *Fault) *bool { return &f.Gzip })},
}

var units = []struct {
	name string
	size float64
}{
	{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"TiB", 1 << 40},
	{"kB", 1e3}, {"KB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"TB", 1e12}, {"B", 1},
}

// ParseSize reads a number of bytes: 1000, 20MB, 1.5GiB.
func ParseSize(s string) (int64, error) {
	number, unit := s, 1.0
	for _, u := range units {
		if rest, ok := strings.CutSuffix(s, u.name); ok {
			number, unit = rest, u.size
			break
		}
	}
	n, err := strconv.ParseFloat(number, 64)
	if err != nil || !(n >= 0) || n*unit >= math.MaxInt64 {
		return 0, fmt.Errorf("not a size: %q (want 1000, 20MB or 1.5GiB)", s)
	}
	return int64(n * unit), nil
}
