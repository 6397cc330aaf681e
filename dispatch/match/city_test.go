package match

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
)

// city is requests and officers on a plane of 60 km by 50 km, as Greater London
// is, for tests and benchmarks at size.
type city struct {
	requests, officers []place
	cells              [][]int32 // the officers of each square of cellSide metres
	across             int
	given              []candidate // the last that each request was given; all before it were given too
	had                []int       // how many those are
	near               []candidate
}

type place struct{ x, y float64 } // metres

type candidate struct {
	cost   Cost
	column int32
}

const (
	width, height = 60_000, 50_000
	cellSide      = 250
	speed         = 8 / 1.3           // metres of crow-fly a second
	patience      = Cost(45 * 60_000) // what it costs to leave a request out
)

// crowd says where requests and officers are.
type crowd struct {
	name               string
	each               float64 // officers for each request
	requests, officers float64 // the share within 500 m of one of ten venues; the rest is spread evenly
}

var crowds = []crowd{
	{"spread", 5, 0, 0},
	{"scarce", 1, 0, 0},  // spread, and with as many requests as officers
	{"short", 0.2, 0, 0}, // and with a fifth as many
	{"venues", 5, 0.5, 0.5},
	{"crush", 5, 0.5, 0}, // everybody leaves the venue, and the officers are elsewhere
}

func (w crowd) officersFor(requests int) int { return int(w.each * float64(requests)) }

// at names the crowd with so many requests.
func (w crowd) at(requests int) string {
	return fmt.Sprintf("%s/%dx%d", w.name, requests, w.officersFor(requests))
}

func newCity(seed uint64, requests int, w crowd) *city {
	random := rand.New(rand.NewPCG(seed, uint64(requests)))
	var hot [10]place
	for i := range hot {
		hot[i] = place{width * (0.2 + 0.6*random.Float64()), height * (0.2 + 0.6*random.Float64())}
	}
	put := func(n int, share float64) []place {
		places := make([]place, n)
		for i := range places {
			places[i] = place{width * random.Float64(), height * random.Float64()}
			if random.Float64() < share {
				venue, r, angle := hot[random.IntN(len(hot))], 500*math.Sqrt(random.Float64()), 2*math.Pi*random.Float64()
				places[i] = place{venue.x + r*math.Cos(angle), venue.y + r*math.Sin(angle)}
			}
		}
		return places
	}
	c := &city{requests: put(requests, w.requests), officers: put(w.officersFor(requests), w.officers), across: width/cellSide + 1}
	c.cells = make([][]int32, c.across*(height/cellSide+1))
	for i, p := range c.officers {
		cell := int(p.y)/cellSide*c.across + int(p.x)/cellSide
		c.cells[cell] = append(c.cells[cell], int32(i))
	}
	return c
}

func (c *city) cost(row int, column int32) Cost {
	p, q := c.requests[row], c.officers[column]
	return Cost(math.Hypot(p.x-q.x, p.y-q.y) / speed * 1000)
}

// graph gives each request its k nearest officers, and says what the others cost
// at least.
func (c *city) graph(k int) (*Graph, []Cost) {
	g, rest := new(Graph), make([]Cost, len(c.requests))
	g.Reset(len(c.officers))
	c.given = make([]candidate, len(c.requests))
	c.had = refill(c.had, len(c.requests), k)
	var edges []Edge
	for row := range c.requests {
		c.given[row] = candidate{-1, None}
		edges, rest[row] = c.take(edges[:0], row, k)
		g.AddRow(patience, edges...)
	}
	return g, rest
}

// take gives a request its k nearest officers beyond those it has.
func (c *city) take(dst []Edge, row, k int) ([]Edge, Cost) {
	last := c.given[row]
	for radius := 500.0; ; radius *= 2 {
		c.within(row, radius)
		from, _ := slices.BinarySearchFunc(c.near, last, candidate.compare)
		if from < len(c.near) && c.near[from] == last {
			from++
		}
		if len(c.near)-from < k && len(c.near) < len(c.officers) {
			continue
		}
		for _, n := range c.near[from:min(from+k, len(c.near))] {
			dst = append(dst, Edge{n.column, n.cost})
			c.given[row] = n
		}
		if from+k >= len(c.near) {
			return dst, MaxCost
		}
		return dst, c.near[from+k].cost
	}
}

// more is take, of as many again as the request has.
func (c *city) more(dst []Edge, row int, _ Cost) ([]Edge, Cost) {
	c.had[row] *= 2
	return c.take(dst, row, c.had[row]/2)
}

// within finds the officers within so many metres, the nearest first.
func (c *city) within(row int, radius float64) {
	p := c.requests[row]
	c.near = c.near[:0]
	for y := max(0, int((p.y-radius)/cellSide)); y <= min(height/cellSide, int((p.y+radius)/cellSide)); y++ {
		for x := max(0, int((p.x-radius)/cellSide)); x < min(c.across, int((p.x+radius)/cellSide)+1); x++ {
			for _, column := range c.cells[y*c.across+x] {
				if q := c.officers[column]; math.Hypot(p.x-q.x, p.y-q.y) <= radius {
					c.near = append(c.near, candidate{c.cost(row, column), column})
				}
			}
		}
	}
	slices.SortFunc(c.near, candidate.compare)
}

func (n candidate) compare(o candidate) int {
	if n.cost != o.cost {
		return int(n.cost - o.cost)
	}
	return int(n.column - o.column)
}
