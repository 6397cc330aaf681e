package sim

import (
	"cmp"
	"math/rand/v2"
	"slices"
)

// plan is a city in the making: a bent grid, whose crossings are numbered
// row by row, and the streets between neighbours.
type plan struct {
	random                *rand.Rand
	river                 river
	columnPhase, rowPhase int // which lines of the grid are the wide ones
	at                    []Position
	tunnels               map[[2]int]bool // by their two crossings, the lower first
	streets               []Street        // in both directions, From and To being crossings
}

func (p *plan) placeJunctions() {
	p.at = make([]Position, 0, columns*rows)
	for row := range rows {
		for column := range columns {
			p.at = append(p.at, Position{
				X: (float64(column)-(columns-1)/2.0)*spacing + jitter*(2*p.random.Float64()-1),
				Y: (float64(row)-(rows-1)/2.0)*spacing + jitter*(2*p.random.Float64()-1),
			})
		}
	}
}

// lineClass is the class of the line-th line of the grid.
func lineClass(line, phase int) Class {
	switch (line + phase) % 10 {
	case 0:
		return Arterial
	case 5:
		return Primary
	default:
		return Residential
	}
}

// digTunnels puts a handful of underpasses of 600 to 1,000 m under the
// arterial rows.
func (p *plan) digTunnels() {
	for row := range rows {
		if lineClass(row, p.rowPhase) != Arterial {
			continue
		}
		start := p.random.IntN(columns - 6)
		for column := start; column < start+3+p.random.IntN(3); column++ {
			from := row*columns + column
			p.tunnels[[2]int{from, from + 1}] = true
		}
	}
}

func (p *plan) layStreets() {
	for row := range rows {
		for column := range columns {
			here := row*columns + column
			if column+1 < columns {
				// Nothing crosses the river lengthwise: rows run along it.
				p.lay(here, here+1, lineClass(row, p.rowPhase), false)
			}
			if row+1 < rows {
				class := lineClass(column, p.columnPhase)
				p.lay(here, here+columns, class, class != Residential)
			}
		}
	}
}

// lay builds the street between two neighbouring crossings, unless it would
// stand in the water or is one of the missing.
func (p *plan) lay(a, b int, class Class, mayCross bool) {
	absent := class == Residential && p.random.Float64() < missing
	wet := p.river.crossed(p.at[a], p.at[b])
	if absent || wet && !mayCross {
		return
	}
	street := Street{
		From: Junction(a), To: Junction(b), Length: p.at[a].Distance(p.at[b]),
		Class: class, Bridge: wet, Tunnel: p.tunnels[[2]int{a, b}],
	}
	p.streets = append(p.streets, street)
	street.From, street.To = street.To, street.From
	p.streets = append(p.streets, street)
}

// city keeps the largest connected part of the plan and numbers it afresh.
func (p *plan) city() *City {
	slices.SortStableFunc(p.streets, func(a, b Street) int { return cmp.Compare(a.From, b.From) })
	part := p.largestPart()
	number := make([]Junction, len(p.at))
	c := &City{river: p.river}
	for crossing, in := range part {
		if in {
			number[crossing] = Junction(len(c.at))
			c.at = append(c.at, p.at[crossing])
		}
	}
	c.first = make([]int32, len(c.at)+1)
	for _, s := range p.streets {
		if part[s.From] {
			s.From, s.To = number[s.From], number[s.To]
			c.streets = append(c.streets, s)
			c.first[s.From+1] = int32(len(c.streets))
		}
	}
	return c
}

// largestPart marks the crossings of the largest connected part.
func (p *plan) largestPart() []bool {
	next := make([][]Junction, len(p.at))
	for _, s := range p.streets {
		next[s.From] = append(next[s.From], s.To)
	}
	seen := make([]bool, len(p.at))
	var largest []Junction
	for start := range p.at {
		if seen[start] {
			continue
		}
		seen[start] = true
		reached := []Junction{Junction(start)}
		for i := 0; i < len(reached); i++ {
			for _, j := range next[reached[i]] {
				if !seen[j] {
					seen[j] = true
					reached = append(reached, j)
				}
			}
		}
		if len(reached) > len(largest) {
			largest = reached
		}
	}
	part := make([]bool, len(p.at))
	for _, j := range largest {
		part[j] = true
	}
	return part
}
