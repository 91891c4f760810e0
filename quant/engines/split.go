package engines

// parallel judges the split of every matrix over several cards.
func (j *judge) parallel() {
	n := j.s.TensorParallel
	if n < 2 {
		return
	}
	if !j.e.Parallel {
		j.add(No, "tensor parallel over %d cards: %s cannot split matrices", n, j.e.Name)
		return
	}
	g := j.s.GroupSize
	permuted := j.s.permuted()
	var rows, whole, columns bool
	for _, m := range j.s.Matrices {
		if k := m.K / n; m.Row {
			if !rows && (m.K%n != 0 || j.e.Shapes.K > 0 && k%j.e.Shapes.K != 0) {
				rows = true
				j.add(No, "tensor parallel over %d cards: a matrix of %d rows cannot be split for %s", n, m.K, j.e.Name)
			}
			if !whole && g > 0 && k%g != 0 && (permuted != yes || j.e.Groups.Whole) {
				whole = true
				j.add(No, "tensor parallel over %d cards: %d rows a card are no whole groups of %d (error: “input size is not aligned”)", n, k, g)
			}
			continue
		}
		if !columns && (m.N%n != 0 || j.e.Shapes.N > 0 && m.N/n%j.e.Shapes.N != 0) {
			columns = true
			j.add(No, "tensor parallel over %d cards: a matrix of %d columns cannot be split for %s", n, m.N, j.e.Name)
		}
	}
	if len(j.s.Matrices) == 0 {
		j.add(Unknown, "tensor parallel over %d cards: the shapes of the matrices are not known", n)
	}
	if permuted == yes {
		j.add(Caveat, "act-order with tensor parallel: every card keeps all scales, and the kernel is a slower one")
	}
}
