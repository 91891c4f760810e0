package store

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
)

// crash leaves an ingestion as a killed process does: no last mark, files
// closed, lock gone.
func crash(t testing.TB, in *Ingest) {
	t.Helper()
	in.life.Lock()
	defer in.life.Unlock()
	in.pause()
	if err := in.end(); err != nil {
		t.Fatal(err)
	}
	if err := in.p.lock.Close(); err != nil {
		t.Fatal(err)
	}
}

// catchUp waits until SHA-256 is at the frontier.
func catchUp(t testing.TB, in *Ingest) {
	t.Helper()
	in.pause()
	for in.hashed < in.front {
		if err := in.hashPart(in.hashed); err != nil {
			t.Fatal(err)
		}
	}
	in.resume()
}

// overwrite writes p at off into the file at path.
func overwrite(t testing.TB, path string, off int64, p []byte) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt(p, off); err != nil {
		t.Fatal(err)
	}
}

// checkHeld fails when a part is held that the file does not have.
func checkHeld(t testing.TB, in *Ingest, data []byte) {
	t.Helper()
	got, err := os.ReadFile(in.p.data())
	if err != nil {
		t.Fatal(err)
	}
	for i := range in.NumParts() {
		if in.Held(i) && !bytes.Equal(part(got, i), part(data, i)) {
			t.Errorf("part %d is held and wrong", i)
		}
	}
}

// frozen makes the clock of s stand still, so that marks come only when asked for.
func frozen(s *Store) *Store {
	at := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	s.now = func() time.Time { return at }
	return s
}

// history is an ingestion of data with marks, a wrong part that is dropped and
// written again, and a tail that no mark covers.
func history(t testing.TB, s *Store, data []byte) *Ingest {
	t.Helper()
	in := openIngest(t, s, wantOf(data))
	write := func(i int, p []byte) {
		if err := in.WritePart(t.Context(), i, p); err != nil {
			t.Fatal(err)
		}
	}
	mark := func() {
		catchUp(t, in) // so that the mark carries a state
		if err := in.mark(); err != nil {
			t.Fatal(err)
		}
	}
	write(2, part(data, 2))
	write(0, bytes.Repeat([]byte{7}, PartSize)) // wrong
	mark()
	if err := in.Drop(0); err != nil {
		t.Fatal(err)
	}
	write(0, part(data, 0))
	mark()
	write(1, part(data, 1))
	return in
}

// findDrop returns where the DROP of a history is.
func findDrop(t *testing.T, journal []byte) int {
	t.Helper()
	for off := journalHeader; off < len(journal); off += recordSize(journal[off:]) {
		if journal[off] == recDrop {
			return off
		}
	}
	t.Fatal("no DROP in the journal")
	return 0
}

// TestJournalMutilated cuts the journal of a history at every length and
// corrupts every byte of it in turn, and checks what a reader would believe
// against what the file holds.
func TestJournalMutilated(t *testing.T) {
	s := frozen(openTest(t))
	data := content(3, 3*PartSize+1000)
	w := wantOf(data)
	in := history(t, s, data)
	crash(t, in)
	journal, err := os.ReadFile(in.p.journal())
	if err != nil {
		t.Fatal(err)
	}
	full, err := replayJournal(journal, w)
	if err != nil || full.torn || full.heldBytes(int64(len(data))) != 3*PartSize {
		t.Fatalf("the whole journal: %+v, %v", full, err)
	}
	h := sha256.New()
	sums, states := make([]Digest, 4), make([][]byte, 5)
	for i := range sums {
		h.Write(part(data, i))
		sums[i] = sumPart(part(data, i))
		if states[i+1], err = h.(encoding.BinaryMarshaler).MarshalBinary(); err != nil {
			t.Fatal(err)
		}
	}
	// believed checks one variant: r believes a part without looking only if the
	// file has it, and a state only if it is that of the file's bytes. undropped
	// says that the DROP was cut off whole: then the file has newer bytes than
	// the claim. Drop makes itself durable, so that no crash does that, and even
	// then the final digest decides (TestJournalMutilatedOnDisk).
	believed := func(name string, r *replay, undropped bool) {
		if r.torn {
			return // everything is looked at
		}
		for i, end := range r.ends {
			if end == 0 || end > r.covers || i == 0 && undropped {
				continue
			}
			if r.sums[i] != sums[i] {
				t.Errorf("%s: part %d is believed and wrong", name, i)
			}
		}
		if r.hashed > 0 && !undropped && !bytes.Equal(states[r.hashed], r.state) {
			t.Errorf("%s: the state of SHA-256 is of other bytes", name)
		}
	}
	dropEnd := findDrop(t, journal) + dropRecord
	cases := 0
	for cut := range len(journal) {
		r, err := replayJournal(journal[:cut], w)
		if (err != nil) != (cut < journalHeader) {
			t.Fatalf("cut at %d: %v", cut, err)
		}
		if err == nil {
			believed(fmt.Sprintf("cut at %d", cut), r, cut < dropEnd)
		}
		cases++
	}
	for at := range journal {
		for _, mask := range []byte{0x01, 0x80, 0xff} {
			bad := slices.Clone(journal)
			bad[at] ^= mask
			r, err := replayJournal(bad, w)
			// The git blob id in the header is not compared, but its CRC is.
			if (err != nil) != (at < journalHeader) {
				t.Fatalf("byte %d corrupt: %v", at, err)
			}
			if err == nil && !r.torn {
				t.Errorf("byte %d corrupt: not noticed", at)
			}
			cases++
		}
		grown := append(slices.Clone(journal), make([]byte, at+1)...) // a tail of zeros
		if r, err := replayJournal(grown, w); err != nil || !r.torn {
			t.Errorf("%d zeros appended: not noticed", at+1)
		}
	}
	t.Logf("%d cases", cases)
}

// TestJournalMutilatedOnDisk does the same through Ingest for a choice of cuts
// and corruptions: reopen, look at what is held, finish, compare the blob.
func TestJournalMutilatedOnDisk(t *testing.T) {
	t.Parallel()
	s := frozen(openTest(t))
	data := content(3, 3*PartSize+1000)
	in := history(t, s, data)
	crash(t, in)
	journal, _ := os.ReadFile(in.p.journal())
	bytesOnDisk, _ := os.ReadFile(in.p.data())
	// Some places in every record, and every byte of the DROP: a reader that lost
	// it would take the wrong bytes' digest for the part's.
	var places []int
	for at := 0; at < len(journal); at += 37 {
		places = append(places, at)
	}
	dropAt := findDrop(t, journal)
	for at := dropAt; at < dropAt+dropRecord; at++ {
		places = append(places, at)
	}
	for _, at := range places {
		for _, how := range []string{"cut", "corrupt"} {
			b := slices.Clone(journal)
			if how == "cut" {
				b = b[:at]
			} else {
				b[at] ^= 0x10
			}
			t.Run(fmt.Sprintf("%s at %d", how, at), func(t *testing.T) {
				t.Parallel()
				finishMutilated(t, data, b, bytesOnDisk, how == "cut" && at <= dropAt)
			})
		}
	}
}

// finishMutilated goes on from a journal and a data file. stale says that the
// journal has lost a DROP whole, which no crash does, so that it claims the old
// bytes of part 0: even then nothing wrong is published.
func finishMutilated(t *testing.T, data, journal, file []byte, stale bool) {
	t.Helper()
	s := frozen(openTest(t))
	p := s.partialOf(wantOf(data))
	if err := s.ensureDir(p.dir); err != nil {
		t.Fatal(err)
	}
	for path, content := range map[string][]byte{p.journal(): journal, p.data(): file} {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	in := openIngest(t, s, wantOf(data))
	checkHeld(t, in, data)
	writeMissing(t, in, data)
	if _, err := in.Commit(t.Context()); err != nil {
		bad, recheck := in.Recheck(t.Context())
		if !stale || recheck != nil || !slices.Equal(bad, []int{0}) {
			t.Fatalf("Commit: %v; then Recheck: %v, %v", err, bad, recheck)
		}
		if err := in.Drop(0); err != nil {
			t.Fatal(err)
		}
		writeMissing(t, in, data)
		commit(t, in)
	}
	checkBlob(t, s, data)
}

// TestZeroedHole is the power cut as file systems really do it: the journal has
// the claim, the file has its full length, and the bytes are zeros.
func TestZeroedHole(t *testing.T) {
	t.Parallel()
	s := frozen(openTest(t))
	data := content(4, 4*PartSize)
	in := openIngest(t, s, wantOf(data))
	for i := range 2 {
		if err := in.WritePart(t.Context(), i, part(data, i)); err != nil {
			t.Fatal(err)
		}
	}
	if err := in.mark(); err != nil {
		t.Fatal(err)
	}
	for i := 2; i < 4; i++ {
		if err := in.WritePart(t.Context(), i, part(data, i)); err != nil {
			t.Fatal(err)
		}
	}
	crash(t, in)
	overwrite(t, in.p.data(), 3*PartSize, make([]byte, PartSize))
	if got := s.Held(wantOf(data)); got != 4*PartSize {
		t.Errorf("Held() = %d, want what is claimed, %d", got, 4*PartSize)
	}
	for range 2 { // the second time the journal itself knows
		in = openIngest(t, s, wantOf(data))
		for i, want := range []bool{true, true, true, false} {
			if in.Held(i) != want {
				t.Errorf("Held(%d) = %v", i, !want)
			}
		}
		crash(t, in)
	}
	in = openIngest(t, s, wantOf(data))
	if n := writeMissing(t, in, data); n != 1 {
		t.Errorf("%d parts written, want 1", n)
	}
	commit(t, in)
	checkBlob(t, s, data)
}

// TestStrangeState: a journaled state of SHA-256 that cannot be understood (of
// another program, or another release of Go) means hashing from the beginning.
func TestStrangeState(t *testing.T) {
	t.Parallel()
	for _, state := range []string{"", "strange", strings.Repeat("x", 108), strings.Repeat("x", 300)} {
		s := frozen(openTest(t))
		data := content(7, 2*PartSize)
		in := openIngest(t, s, wantOf(data))
		if err := in.WritePart(t.Context(), 0, part(data, 0)); err != nil {
			t.Fatal(err)
		}
		if err := in.jrn.mark(in.jrn.off, 1, []byte(state)); err != nil {
			t.Fatal(err)
		}
		crash(t, in)
		in = openIngest(t, s, wantOf(data))
		if !in.Held(0) {
			t.Errorf("state of %d bytes: the part is not held", len(state))
		}
		writeMissing(t, in, data)
		commit(t, in)
		checkBlob(t, s, data)
	}
}

// TestDataCutOff: the length of the data file is not what it was made with, so
// that nothing about it is believed, marks or not.
func TestDataCutOff(t *testing.T) {
	t.Parallel()
	for _, size := range []int64{0, PartSize, 2*PartSize + 1, 5 * PartSize} {
		s := openTest(t)
		data := content(5, 4*PartSize)
		in := openIngest(t, s, wantOf(data))
		writeMissing(t, in, data)
		if err := in.Close(); err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(in.p.data(), size); err != nil {
			t.Fatal(err)
		}
		in = openIngest(t, s, wantOf(data))
		checkHeld(t, in, data)
		if got, want := in.HeldBytes(), min(size/PartSize, 4)*PartSize; got != want {
			t.Errorf("cut to %d: %d bytes held, want %d", size, got, want)
		}
		writeMissing(t, in, data)
		commit(t, in)
		checkBlob(t, s, data)
	}
}

// Names in the environment of the child that gets killed.
const (
	envChildStore = "QBRANCH_TEST_KILL_STORE"
	killParts     = 48
)

// TestKillChild is no test of its own: it is what TestKill runs and kills.
func TestKillChild(t *testing.T) {
	dir := os.Getenv(envChildStore)
	if dir == "" {
		t.Skip("run by TestKill")
	}
	s, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	data := content(6, killParts*PartSize-5)
	in, err := s.Ingest(context.Background(), wantOf(data))
	if err != nil {
		t.Fatal(err)
	}
	fmt.Printf("held %d\n", in.HeldBytes())
	g := new(errgroup.Group)
	g.SetLimit(4) // four connections
	for i := range in.NumParts() {
		if in.Held(i) {
			continue
		}
		g.Go(func() error {
			if err := in.WritePart(context.Background(), i, part(data, i)); err != nil {
				return err
			}
			_, err := fmt.Printf("part %d\n", i)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	d, err := in.Commit(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	fmt.Println("blob", d)
}

// TestKill kills (SIGKILL) a process in the middle of an ingestion, again and
// again: every part that WritePart returned for is held by the next process,
// which writes each of the others once.
func TestKill(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "store")
	s, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	data := content(6, killParts*PartSize-5)
	reported := map[int]bool{}
	for kills := 0; ; kills++ {
		killAfter := 10
		if kills == 3 {
			killAfter = killParts + 1 // let it finish
		}
		held, wrote, done := runAndKill(t, dir, killAfter)
		var want int64
		for i := range reported {
			want += int64(partLen(int64(len(data)), i))
		}
		// Parts that were written but not reported yet may be held as well: at
		// most one per connection and kill.
		if slack := int64(4 * kills * PartSize); held < want || held > want+slack {
			t.Errorf("after %d kills %d bytes are held; %d were reported", kills, held, want)
		}
		for _, i := range wrote {
			if reported[i] {
				t.Errorf("part %d was written twice", i)
			}
			reported[i] = true
		}
		if done {
			break
		}
		if _, ok := s.Find(wantOf(data)); ok {
			t.Fatal("published half way")
		}
	}
	checkBlob(t, s, data)
	if err := s.Verify(t.Context(), wantOf(data).SHA256, 0, nil); err != nil {
		t.Error(err)
	}
}

// runAndKill runs the child until it has reported n parts and kills it then.
func runAndKill(t *testing.T, dir string, n int) (held int64, wrote []int, done bool) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, "-test.run=^TestKillChild$")
	cmd.Env = append(os.Environ(), envChildStore+"="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		var i int
		if _, err := fmt.Sscanf(lines.Text(), "held %d", &held); err == nil {
			continue
		}
		if _, err := fmt.Sscanf(lines.Text(), "part %d", &i); err == nil {
			if wrote = append(wrote, i); len(wrote) == n {
				if err := cmd.Process.Kill(); err != nil {
					t.Fatal(err)
				}
			}
			continue
		}
		done = done || len(lines.Text()) > 5 && lines.Text()[:5] == "blob "
	}
	_ = cmd.Wait() // it was killed
	return held, wrote, done
}
