package simulate

import (
	"cmp"
	"math"
	"slices"
)

// grid knows where the free drivers are, and finds those nearest to a spot. It
// covers a box; who is outside is kept at its edge, where they are found all the
// same, since nobody is nearer to anybody than the nearest points of the box are.
type grid struct {
	low    spot
	side   float64 // of a cell, metres
	nx, ny int
	cells  [][]int32
	at     []spot // of each driver
	where  []int32
	free   int
}

// near is a driver, and how far away, metres.
type near struct {
	metres float64
	driver int32
}

func byDistance(a, b near) int {
	if c := cmp.Compare(a.metres, b.metres); c != 0 {
		return c
	}
	return cmp.Compare(a.driver, b.driver)
}

// gone is the cell of a driver who is not free.
const gone = int32(-1)

func newGrid(drivers []spot, side float64, low, high spot) *grid {
	g := &grid{low: low, side: side, at: drivers, where: make([]int32, len(drivers))}
	g.nx, g.ny = int((high.x-low.x)/side)+1, int((high.y-low.y)/side)+1
	g.cells = make([][]int32, g.nx*g.ny)
	for i := range g.where {
		g.where[i] = gone
	}
	return g
}

func (g *grid) cell(p spot) (x, y int) {
	x, y = int(math.Floor((p.x-g.low.x)/g.side)), int(math.Floor((p.y-g.low.y)/g.side))
	return min(max(x, 0), g.nx-1), min(max(y, 0), g.ny-1)
}

// put says that a driver is free at a spot.
func (g *grid) put(driver int32, at spot) {
	g.at[driver] = at
	x, y := g.cell(at)
	c := int32(y*g.nx + x)
	g.where[driver] = c
	g.cells[c] = append(g.cells[c], driver)
	g.free++
}

// take says that a driver is no longer free.
func (g *grid) take(driver int32) {
	c := g.where[driver]
	i := slices.Index(g.cells[c], driver)
	last := len(g.cells[c]) - 1
	g.cells[c][i] = g.cells[c][last]
	g.cells[c] = g.cells[c][:last]
	g.where[driver] = gone
	g.free--
}

// nearest appends the k free drivers nearest to a spot, who are not excluded, the
// nearest first and of two as near the one with the lower number.
func (g *grid) nearest(dst []near, p spot, k int, excluded []int32) []near {
	x, y := g.cell(p)
	from := len(dst)
	seen := 0
	for ring := 0; ring <= max(g.nx, g.ny); ring++ {
		if found := dst[from:]; len(found) >= k {
			slices.SortFunc(found, byDistance)
			dst = dst[:from+k]
			if dst[from+k-1].metres <= float64(ring-1)*g.side { // what is in this ring is as far at least
				break
			}
		}
		dst, seen = g.ring(dst, seen, p, x, y, ring, excluded)
		if seen == g.free {
			break
		}
	}
	slices.SortFunc(dst[from:], byDistance)
	return dst[:min(len(dst), from+k)]
}

// ring appends those in the cells that are so many from a cell.
func (g *grid) ring(dst []near, seen int, p spot, x, y, ring int, excluded []int32) ([]near, int) {
	for cy := max(0, y-ring); cy <= min(g.ny-1, y+ring); cy++ {
		step := 1
		if cy != y-ring && cy != y+ring {
			step = max(1, 2*ring)
		}
		for cx := x - ring; cx <= x+ring; cx += step {
			if cx < 0 || cx >= g.nx {
				continue
			}
			for _, d := range g.cells[cy*g.nx+cx] {
				seen++
				if !slices.Contains(excluded, d) {
					dst = append(dst, near{p.to(g.at[d]), d})
				}
			}
		}
	}
	return dst, seen
}
