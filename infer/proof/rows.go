package proof

import "math"

// position is what the logits of one position say.
type position struct {
	finite  bool
	top     int     // the likeliest token
	loss    float64 // nats that the token which comes next costs
	entropy float64 // nats, of all of them
}

// look reads the logits of a position, of which next follows; next may be -1.
func look(row []float32, next int) position {
	p := position{finite: true}
	most := row[0]
	for i, v := range row {
		if v != v || math.IsInf(float64(v), 0) {
			return position{}
		}
		if v > most {
			p.top, most = i, v
		}
	}
	sum, mean := sums(row, most)
	p.entropy = math.Log(sum) - mean/sum
	if next >= 0 {
		p.loss = float64(most) - float64(row[next]) + math.Log(sum)
	}
	return p
}

// sums returns Σ exp(x−most) and Σ (x−most)·exp(x−most).
func sums(row []float32, most float32) (sum, mean float64) {
	for _, v := range row {
		d := float64(v) - float64(most)
		e := math.Exp(d)
		sum += e
		mean += d * e
	}
	return sum, mean
}

// rank is how many tokens are likelier than id, plus one.
func rank(row []float32, id int) int {
	n := 1
	for _, v := range row {
		if v > row[id] {
			n++
		}
	}
	return n
}

// divergence is the Kullback-Leibler divergence of b from a in nats: what it
// costs to believe b where a is true. Both rows are of the same vocabulary.
func divergence(a, b []float32) float64 {
	ma, mb := largest(a), largest(b)
	za, _ := sums(a, ma)
	zb, _ := sums(b, mb)
	la, lb := float64(ma)+math.Log(za), float64(mb)+math.Log(zb)
	kl := 0.0
	for i := range a {
		pa := float64(a[i]) - la
		kl += math.Exp(pa) * (pa - (float64(b[i]) - lb))
	}
	return max(0, kl)
}

func largest(row []float32) float32 {
	most := row[0]
	for _, v := range row {
		most = max(most, v)
	}
	return most
}

// loop returns the longest stretch of ids that repeats a block of at most
// maxPeriod tokens, the first occurrence included, and the block's length; zeros
// when no block comes three times.
func loop(ids []int) (length, period int) {
	for p := 1; p <= maxPeriod; p++ {
		run := 0
		for i := p; i < len(ids); i++ {
			if ids[i] != ids[i-p] {
				run = 0
				continue
			}
			if run++; run >= 2*p && run+p > length {
				length, period = run+p, p
			}
		}
	}
	return length, period
}

const maxPeriod = 4

// distinct is the share of different blocks of n tokens among all of them; 1
// when there are none.
func distinct(ids []int, n int) float64 {
	total := len(ids) - n + 1
	if total < 1 {
		return 1
	}
	seen := make(map[[3]int]bool, total)
	for i := range total {
		var key [3]int
		copy(key[:], ids[i:i+n])
		seen[key] = true
	}
	return float64(len(seen)) / float64(total)
}
