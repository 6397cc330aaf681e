package match

// hungarian finds the least cost by the dense Hungarian algorithm in O(n²m), with
// a column for each row to be left out in. It shares nothing with the solver.
func (d *table) hungarian() Cost {
	const far = 1 << 58
	n, m := len(d.skips), d.columns+len(d.skips)
	cost := func(i, j int) Cost { // counted from 1, as is usual here
		switch {
		case j <= d.columns && d.costs[i-1][j-1] != forbidden:
			return d.costs[i-1][j-1]
		case j == d.columns+i:
			return d.skips[i-1]
		}
		return far / 1024
	}
	u, v := make([]Cost, n+1), make([]Cost, m+1)
	owner, way := make([]int, m+1), make([]int, m+1)
	for i := 1; i <= n; i++ {
		owner[0] = i
		least, used := make([]Cost, m+1), make([]bool, m+1)
		for j := range least {
			least[j] = far
		}
		j0 := 0
		for owner[j0] != 0 {
			used[j0] = true
			i0, j1, delta := owner[j0], 0, Cost(far)
			for j := 1; j <= m; j++ {
				if used[j] {
					continue
				}
				if c := cost(i0, j) - u[i0] - v[j]; c < least[j] {
					least[j], way[j] = c, j0
				}
				if least[j] < delta {
					delta, j1 = least[j], j
				}
			}
			for j := 0; j <= m; j++ {
				if used[j] {
					u[owner[j]] += delta
					v[j] -= delta
				} else {
					least[j] -= delta
				}
			}
			j0 = j1
		}
		for j0 != 0 {
			owner[j0] = owner[way[j0]]
			j0 = way[j0]
		}
	}
	var total Cost
	for j := 1; j <= m; j++ {
		if owner[j] != 0 {
			total += cost(owner[j], j)
		}
	}
	return total
}
