package model

import "github.com/qbranch/qbranch/infer/kernel"

// norm is a layer norm with its weights: root mean square, or about the mean.
type norm struct {
	weight []float32 // (width), or (heads, width) where each head has its own
	bias   []float32 // (width), or nil
	width  int
	mean   bool
	eps    float64
}

// apply sets each row of dst, (rows, width), to the norm of src's. dst may be src.
func (n *norm) apply(dst, src []float32) {
	for i := 0; i < len(src); i += len(n.weight) { // one turn for each head of its own
		if len(n.weight) == n.width {
			n.rows(dst, src, n.weight)
			return
		}
		for h := 0; h < len(n.weight); h += n.width {
			n.rows(dst[i+h:][:n.width], src[i+h:][:n.width], n.weight[h:][:n.width])
		}
	}
}

func (n *norm) rows(dst, src, weight []float32) {
	if n.mean {
		kernel.LayerNorm(dst, src, weight, n.bias, n.eps)
	} else {
		kernel.RMSNorm(dst, src, weight, n.eps)
	}
}

// rmsNorm loads a norm that has a weight only.
func (l *loader) rmsNorm(name string, width int) norm {
	return norm{weight: l.vector(name+".weight", width), width: width, eps: l.Eps}
}

// layerNorm loads a norm that has a bias.
func (l *loader) layerNorm(name string, width int) norm {
	return norm{weight: l.vector(name+".weight", width), bias: l.vector(name+".bias", width), width: width, mean: true, eps: l.Eps}
}
