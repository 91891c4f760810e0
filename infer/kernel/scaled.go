package kernel

// AddScaled is dst += w·src.
func AddScaled(dst, src []float32, w float32) {
	dst = dst[:len(src)]
	for i, v := range src {
		dst[i] += float32(w * v)
	}
}
