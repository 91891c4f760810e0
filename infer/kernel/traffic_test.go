package kernel

import "testing"

// Every byte is read, whatever the threads and the instructions; those after the
// last 512 are left out.
func TestRead(t *testing.T) {
	data := make([]byte, 3*readPart+512+13)
	data[len(data)-1] = 0x80
	for threads := 1; threads <= 3; threads++ {
		for _, isa := range sets() {
			p := newPool(threads, "", isa)
			for _, at := range []int{0, 64, readPart - 1, 2*readPart + 100, len(data) - 14} {
				data[at] = 0x21
				if got, err := p.Read(data); err != nil || got != 0x21 {
					t.Errorf("%s, %d threads, byte %d: got %#x, %v, want 0x21", isa.name, threads, at, got, err)
				}
				data[at] = 0
			}
			p.Close()
		}
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
