package kernel

import "testing"

// Every word is read once, whatever the threads; bytes after the last word are
// left out.
func TestRead(t *testing.T) {
	data := make([]byte, 3*readPart+13)
	var want uint64
	for i := range len(data) / 8 {
		data[8*i+3] = byte(i)
		want += uint64(byte(i)) << 24
	}
	data[len(data)-1] = 1
	for threads := 1; threads <= 3; threads++ {
		p := NewPool(threads, "")
		got, err := p.Read(data)
		if err != nil || got != want {
			t.Errorf("%d threads: got %d, %v, want %d", threads, got, err, want)
		}
		p.Close()
	}
}

// The most that decoding on one goroutine can reach.
func BenchmarkRead(b *testing.B) {
	data := make([]byte, 1<<30)
	for i := 0; i < len(data); i += 1 << 10 {
		data[i] = 1
	}
	p := NewPool(1, "")
	defer p.Close()
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		if _, err := p.Read(data); err != nil {
			b.Fatal(err)
		}
	}
}
