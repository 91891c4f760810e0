package app

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/qbranch/qbranch/hub"
	"github.com/qbranch/qbranch/quant/vram/gpu"
	"github.com/qbranch/qbranch/store"
)

// CheckState is the outcome of one check of Doctor.
type CheckState string

// Check states.
const (
	CheckOK      CheckState = "ok"
	CheckWarn    CheckState = "warn" // it will do, or it is not needed
	CheckFail    CheckState = "fail" // needed, and does not work
	CheckSkipped CheckState = "skipped"
)

// Check is one thing that Doctor looked at.
type Check struct {
	Name    string     `json:"name"` // endpoint, storage, clock, repository, token, proxy, certificates, store, disk, cache, gpu, cpu
	State   CheckState `json:"state"`
	Detail  string     `json:"detail"`
	Advice  string     `json:"advice,omitempty"`  // what to do next
	Host    string     `json:"host,omitempty"`    // host:port
	Proxy   string     `json:"proxy,omitempty"`   // host:port of the proxy on the way
	Step    string     `json:"step,omitempty"`    // that failed: proxy, dns, tcp, tls, http
	Seconds float64    `json:"seconds,omitempty"` // until the answer

	network bool // a host is the trouble
}

// Diagnosis is what Doctor found, in a fixed order.
type Diagnosis struct {
	Endpoint string  `json:"endpoint"`
	Checks   []Check `json:"checks"`
	OK       bool    `json:"ok"` // all that is needed works
}

// DoctorError says that something that is needed does not work.
type DoctorError struct {
	Failed  []Check
	network bool
}

// Error names the first failure and counts the others.
func (e *DoctorError) Error() string {
	f := e.Failed[0]
	text := f.Name + ": " + f.Detail
	if n := len(e.Failed) - 1; n > 0 {
		text += fmt.Sprintf(", and %d more", n)
	}
	return text
}

// Unwrap makes it a failure of the network when a host is the trouble, else one
// of no kind.
func (e *DoctorError) Unwrap() error {
	if e.network {
		return hub.ErrNetwork
	}
	return nil
}

// Hint is the advice of the first failure.
func (e *DoctorError) Hint() string { return e.Failed[0].Advice }

// storageHosts serve the public hub's large files, one or the other of them, as
// its documentation and its redirects have it.
var storageHosts = [...]string{"us.aws.cdn.hf.co", "us.gcp.cdn.hf.co", "cas-bridge.xethub.hf.co", "cdn-lfs.hf.co"}

// Limits of Doctor.
const (
	doctorTime = 8 * time.Second // for everything that can be slow
	clockSkew  = 5 * time.Minute // beyond which certificates and signed links get into trouble
	littleDisk = 5 << 30         // bytes; a small quant of a small model
)

// Doctor looks at all that fetching needs: the hub and its storage, by their
// steps, clock, proxy and certificates, the token's file, store, disk and GPU.
// With a ref, which may be nil, it resolves it and reads the first byte of its
// weights. Everything runs at once and ends within seconds. The diagnosis comes
// with a *DoctorError when something needed fails.
func (a *App) Doctor(ctx context.Context, ref *Ref) (*Diagnosis, error) {
	ctx, cancel := context.WithTimeout(ctx, doctorTime)
	defer cancel()
	groups := []func(context.Context) []Check{
		a.checkEndpoint,
		func(ctx context.Context) []Check { return a.checkStorage(ctx, ref) },
		func(context.Context) []Check { return a.checkSettings() },
		a.checkStore,
		func(ctx context.Context) []Check { return []Check{checkGPU(ctx, gpu.Machine{}), checkCPU()} },
	}
	results := make([][]Check, len(groups))
	var wg sync.WaitGroup
	for i, group := range groups {
		wg.Go(func() { results[i] = group(ctx) })
	}
	wg.Wait()
	d := &Diagnosis{Endpoint: a.Endpoint(), Checks: slices.Concat(results...)}
	bad := &DoctorError{}
	for _, c := range d.Checks {
		if c.State == CheckFail {
			bad.Failed = append(bad.Failed, c)
			bad.network = bad.network || c.network
		}
	}
	if d.OK = len(bad.Failed) == 0; !d.OK {
		return d, bad
	}
	return d, nil
}

// checkEndpoint probes the hub and reads its clock.
func (a *App) checkEndpoint(ctx context.Context) []Check {
	if a.offline {
		return []Check{{Name: "endpoint", State: CheckSkipped, Detail: a.Endpoint() + ": offline"}}
	}
	u, err := url.Parse(a.Endpoint())
	if err != nil {
		return []Check{{Name: "endpoint", State: CheckFail, Detail: err.Error()}}
	}
	u = u.JoinPath("api", "models")
	u.RawQuery = "limit=1"
	p := a.hub.Probe(ctx, u)
	c := probed("endpoint", p)
	if p.Failed == "" && p.Page {
		c.network = true
		c.State, c.Detail = CheckFail, a.Endpoint()+" answers with a web page: it is no hub, or the network wants a login"
		c.Advice = "open a web page in a browser to log in to the network, or check HF_ENDPOINT"
	}
	return append([]Check{c}, clockOf(p)...)
}

// probed turns a probe of a host into a check.
func probed(name string, p hub.Probe) Check {
	c := Check{Name: name, State: CheckOK, Host: p.Host, Proxy: p.Proxy, Step: string(p.Failed), Seconds: p.Took.Seconds(), Advice: p.Hint()}
	via := ""
	if p.Proxy != "" {
		via = " by the proxy " + p.Proxy
	}
	switch {
	case p.Failed != "":
		var n *hub.NetworkError
		cause := p.Err
		if errors.As(p.Err, &n) {
			cause = n.Err
		}
		c.network = true
		c.State, c.Detail = CheckFail, fmt.Sprintf("%s%s cannot be reached, step %s: %v", p.Host, via, p.Failed, cause)
	case p.Issuer != "":
		c.Detail = fmt.Sprintf("%s%s answers in %d ms, certificate by %s", p.Host, via, p.Took.Milliseconds(), p.Issuer)
	default:
		c.Detail = fmt.Sprintf("%s%s answers in %d ms", p.Host, via, p.Took.Milliseconds())
	}
	if c.State == CheckOK && p.Status >= 500 {
		c.State, c.Detail = CheckWarn, fmt.Sprintf("%s, but with status %d", c.Detail, p.Status)
		c.Advice = "it is in trouble: try again in a few minutes"
	}
	return c
}

// clockOf compares the clocks, as far as the answer said what time it is there.
func clockOf(p hub.Probe) []Check {
	if p.Failed != "" || !p.Dated {
		return nil
	}
	c := Check{Name: "clock", State: CheckOK, Detail: "agrees with the hub's"}
	if p.Skew.Abs() > clockSkew {
		way := "ahead of"
		if p.Skew < 0 {
			way = "behind"
		}
		c.State = CheckWarn
		c.Detail = fmt.Sprintf("%s %s the hub's", agoText(p.Skew.Abs()), way)
		c.Advice = "set the clock: certificates and signed links are good for a time only"
	}
	return []Check{c}
}

// checkStorage reads the first byte of a reference's weights, or probes the
// public hub's storage hosts, of which one has to be there.
func (a *App) checkStorage(ctx context.Context, ref *Ref) []Check {
	switch {
	case a.offline:
		return []Check{{Name: "storage", State: CheckSkipped, Detail: "offline"}}
	case ref != nil:
		return a.checkRef(ctx, *ref)
	case a.Endpoint() != hub.DefaultEndpoint:
		return []Check{{Name: "storage", State: CheckSkipped, Detail: "where " + a.Endpoint() + " keeps its weights is not known without a repository",
			Advice: "'qbranch doctor owner/name' tries it"}}
	}
	checks := make([]Check, len(storageHosts))
	var wg sync.WaitGroup
	for i, host := range storageHosts {
		wg.Go(func() {
			checks[i] = probed("storage", a.hub.Probe(ctx, &url.URL{Scheme: "https", Host: host, Path: "/"}))
		})
	}
	wg.Wait()
	if slices.ContainsFunc(checks, func(c Check) bool { return c.State != CheckFail }) {
		for i := range checks {
			if checks[i].State == CheckFail { // the hub chooses: it may not need this one
				checks[i].State = CheckWarn
			}
		}
	}
	return checks
}

// checkRef goes the whole way to a reference's weights, but for the weights.
func (a *App) checkRef(ctx context.Context, ref Ref) []Check {
	repo := Check{Name: "repository", State: CheckFail}
	commit, err := a.revision(ctx, ref)
	var files []hub.File
	if err == nil {
		files, err = a.hub.Tree(ctx, ref.Repo, commit)
	}
	if err != nil {
		repo.Detail, repo.Advice, repo.network = err.Error(), HintOf(err), FailureOf(err) == FailureNetwork
		return []Check{repo}
	}
	repo.State, repo.Detail = CheckOK, fmt.Sprintf("%s stands at %s, %d files", ref, commit.Short(), len(files))
	i := slices.IndexFunc(files, func(f hub.File) bool { return f.LFS && f.Size > 0 })
	if i < 0 {
		return []Check{repo, {Name: "storage", State: CheckSkipped, Detail: "no file of it is in storage"}}
	}
	return []Check{repo, a.checkFile(ctx, ref.Repo, commit, files[i])}
}

// checkFile finds the storage of a file, probes its host and reads a byte.
func (a *App) checkFile(ctx context.Context, repo RepoID, commit hub.Commit, f hub.File) Check {
	fail := func(err error) Check {
		return Check{Name: "storage", State: CheckFail, Detail: err.Error(), Advice: HintOf(err), network: FailureOf(err) == FailureNetwork}
	}
	where, err := a.hub.Locate(ctx, repo, commit, f)
	if err != nil {
		return fail(err)
	}
	c := probed("storage", a.hub.Probe(ctx, where))
	if c.State == CheckFail {
		return c
	}
	body, err := a.hub.OpenRange(ctx, repo, commit, f, 0, 1)
	if err == nil {
		_, err = body.Read(make([]byte, 1))
		body.Close() // only read from: nothing is lost
	}
	if err != nil {
		failed := fail(err)
		failed.Host, failed.Proxy, failed.Seconds = c.Host, c.Proxy, c.Seconds
		return failed
	}
	c.State, c.Advice = CheckOK, "" // whatever it says at its root
	c.Detail += "; the first byte of " + f.Path + " came"
	return c
}

// checkSettings looks at what comes from the environment and asks nobody.
func (a *App) checkSettings() []Check {
	proxy := Check{Name: "proxy", State: CheckOK, Detail: "none for " + a.Endpoint()}
	switch via, err := a.hub.ProxyFor(); {
	case err != nil:
		proxy.network = true
		proxy.State, proxy.Detail, proxy.Advice = CheckFail, err.Error(), "it looks like http://USER:PASSWORD@HOST:PORT"
	case via != "":
		proxy.Detail, proxy.Proxy = via+" for "+a.Endpoint(), via
	}
	certificates := Check{Name: "certificates", State: CheckOK, Detail: "the system's"}
	if source := a.hub.Certificates(); source != "" {
		certificates.Detail += ", and those of " + source
	}
	token := Check{Name: "token", State: CheckOK, Detail: "none: public repositories only"}
	if t := a.hub.Token(); !t.IsZero() {
		token.Detail = t.Source
		token.Advice = "'qbranch auth status' asks the hub what it may do"
		if t.Exposed() {
			token.State = CheckWarn
			token.Detail += fmt.Sprintf(", which others on this machine can read (mode %04o)", t.Mode)
			token.Advice = "chmod 600 " + t.Source
		}
	}
	return []Check{proxy, certificates, token}
}

// checkStore looks at the store, the disk it is on, and the cache.
func (a *App) checkStore(ctx context.Context) []Check {
	checks := []Check{a.checkStoreItself(ctx), a.checkDisk()}
	if a.cache != "" {
		c := Check{Name: "cache", State: CheckOK, Detail: a.cache}
		if err := writable(a.cache); err != nil {
			c.State, c.Detail = CheckWarn, fmt.Sprintf("%s cannot be written: %v", a.cache, err)
			c.Advice = "every listing asks the hub for everything; XDG_CACHE_HOME names another folder"
		}
		checks = append(checks, c)
	}
	return checks
}

func (a *App) checkStoreItself(ctx context.Context) Check {
	c := Check{Name: "store", State: CheckOK, Detail: a.dir + ", not made yet"}
	st, err := a.existingStore()
	if err == nil {
		err = writable(a.dir)
	}
	if err != nil {
		c.State, c.Detail, c.Advice = CheckFail, err.Error(), HintOf(err)
		if c.Advice == "" {
			c.Advice = "choose another directory with --store or QBRANCH_STORE"
		}
		return c
	}
	if st == nil {
		return c
	}
	rep, err := a.StoreCheck(ctx, CheckRequest{})
	switch {
	case rep == nil:
		c.State, c.Detail, c.Advice = CheckWarn, fmt.Sprintf("%s: %v", a.dir, err), "'qbranch store fsck' takes the time it needs"
	case !rep.OK:
		c.State, c.Detail, c.Advice = CheckFail, err.Error(), "'qbranch store fsck' names all of it, 'qbranch verify --all --repair' mends it"
	default:
		c.Detail = fmt.Sprintf("%s: branches: %d, %s, nothing missing", a.dir, rep.Branches, BytesText(rep.Bytes))
	}
	return c
}

// checkDisk looks at the file system that the store is or would be on.
func (a *App) checkDisk() Check {
	c := Check{Name: "disk", State: CheckOK}
	disk, err := store.OS().Disk(nearestDir(a.dir))
	if err != nil {
		c.State, c.Detail = CheckWarn, err.Error()
		return c
	}
	c.Detail = BytesText(disk.Free) + " free"
	if disk.Kind != "" {
		c.Detail += ", " + disk.Kind
	}
	switch {
	case disk.ReadOnly:
		c.State, c.Detail, c.Advice = CheckFail, c.Detail+", read-only", "choose another directory with --store or QBRANCH_STORE"
	case disk.Network:
		c.State, c.Detail = CheckWarn, c.Detail+", on another machine"
		c.Advice = "let only one machine at a time fetch into it: locks may not hold across machines"
	case disk.Free < littleDisk:
		c.State, c.Advice = CheckWarn, "'qbranch gc' and 'qbranch rm' make room; a quant of a small model has 4 GB"
	}
	return c
}

// writable makes a file in a folder, or in the nearest one above that is there,
// and takes it away again.
func writable(dir string) error {
	f, err := os.CreateTemp(nearestDir(dir), ".qbranch-doctor-*")
	if err != nil {
		return err
	}
	return errors.Join(f.Close(), os.Remove(f.Name()))
}

// nearestDir is dir, or what of the way to it exists.
func nearestDir(dir string) string {
	for {
		if fi, err := os.Stat(dir); err == nil && fi.IsDir() || dir == filepath.Dir(dir) {
			return dir
		}
		dir = filepath.Dir(dir)
	}
}
