package fence

import (
	"math/bits"
	"slices"
)

// grid finds the fences near a position. It has a level for each size of cell,
// 2^level units of 1e-7 degrees, and a fence lies on the first level whose cells
// are as large as its box: in one to four cells, however large the fence is. A
// position looks into one cell of each level that is in use.
type grid struct {
	levels uint64 // a bit for each level in use
	count  [maxLevel + 1]int
	cells  map[cell][]*entry // a slice is never empty
}

// cell is one cell of one level.
type cell struct {
	level uint8
	x, y  uint32
}

const (
	minLevel = 16 // 0.0065536°: 730 m of latitude
	maxLevel = 31 // 214.7°: more than any fence
)

// level is the first whose cells are at least as wide and as high as the box.
func (b *box) level() uint8 {
	size := uint64(max(b.east-b.west, b.north-b.south))
	return uint8(max(minLevel, bits.Len64(size)))
}

func cellOf(level uint8, p point) cell {
	return cell{level: level, x: uint32(uint64(p.x+halfTurn) >> level), y: uint32(uint64(p.y+halfTurn) >> level)}
}

// cover lists the cells in which positions of the box may be. Positions have
// longitudes below 180°, so a box beyond that comes in two parts.
func (b *box) cover() []cell {
	var cells []cell
	add := func(west, east int64) {
		from, to := cellOf(b.level(), point{west, b.south}), cellOf(b.level(), point{east, b.north})
		for x := from.x; x <= to.x; x++ {
			for y := from.y; y <= to.y; y++ {
				if c := (cell{from.level, x, y}); !slices.Contains(cells, c) {
					cells = append(cells, c)
				}
			}
		}
	}
	add(b.west, min(b.east, halfTurn-1))
	if b.east >= halfTurn {
		add(-halfTurn, b.east-fullTurn)
	}
	return cells
}

func (g *grid) add(e *entry) {
	if g.cells == nil {
		g.cells = make(map[cell][]*entry)
	}
	box := &e.fence.Shape.box
	for _, c := range box.cover() {
		g.cells[c] = append(g.cells[c], e)
	}
	level := box.level()
	g.count[level]++
	g.levels |= 1 << level
}

func (g *grid) remove(e *entry) {
	box := &e.fence.Shape.box
	for _, c := range box.cover() {
		left := slices.DeleteFunc(g.cells[c], func(other *entry) bool { return other == e })
		if len(left) == 0 {
			delete(g.cells, c)
		} else {
			g.cells[c] = left
		}
	}
	level := box.level()
	if g.count[level]--; g.count[level] == 0 {
		g.levels &^= 1 << level
	}
}
