package match

// hungarian finds the least cost by the dense Hungarian algorithm, O(n²m), on
// floating-point-free integers: rows by columns and a column of its own for each
// row to be left out. It shares nothing with the solver.
func hungarian(g *Graph) Cost {
	const forbidden = MaxCost * 64
	n, m := g.Rows(), g.Columns()+g.Rows()
	cost := make([][]Cost, n+1) // from 1, as is usual for this algorithm
	for i := 1; i <= n; i++ {
		cost[i] = make([]Cost, m+1)
		for j := range cost[i] {
			cost[i][j] = forbidden
		}
		for _, e := range g.Edges(i - 1) {
			cost[i][e.Column+1] = min(cost[i][e.Column+1], e.Cost)
		}
		cost[i][g.Columns()+i] = g.Skip(i - 1)
	}
	u, v := make([]Cost, n+1), make([]Cost, m+1)
	owner, way := make([]int, m+1), make([]int, m+1)
	for i := 1; i <= n; i++ {
		owner[0] = i
		least, used := make([]Cost, m+1), make([]bool, m+1)
		for j := range least {
			least[j] = forbidden * 2
		}
		j0 := 0
		for owner[j0] != 0 {
			used[j0] = true
			i0, j1, delta := owner[j0], 0, forbidden*2
			for j := 1; j <= m; j++ {
				if used[j] {
					continue
				}
				if c := cost[i0][j] - u[i0] - v[j]; c < least[j] {
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
			total += cost[owner[j]][j]
		}
	}
	return total
}
