package sim

import "container/heap"

// Route returns the streets of the quickest way from one junction to another
// at the speed limits, by A*. It is empty when they are the same.
func (c *City) Route(from, to Junction) []Street {
	var (
		goal    = c.at[to]
		arrived = make([]int32, len(c.at)) // 1 + the street by which a junction is best reached; 0: not yet
		cost    = make([]float64, len(c.at))
		open    = frontier{{from, 0}}
	)
	for len(open) > 0 {
		here := heap.Pop(&open).(candidate).junction
		if here == to {
			return c.trace(arrived, from, to)
		}
		for i := c.first[here]; i < c.first[here+1]; i++ {
			s := &c.streets[i]
			reached := cost[here] + s.Length/s.Class.Limit()
			if s.To == from || arrived[s.To] != 0 && reached >= cost[s.To] {
				continue
			}
			cost[s.To], arrived[s.To] = reached, i+1
			// No way is quicker than a straight arterial: the estimate never
			// exceeds the truth, so the first arrival is the best.
			heap.Push(&open, candidate{s.To, reached + c.at[s.To].Distance(goal)/Arterial.Limit()})
		}
	}
	return nil // not reached: a city is connected
}

func (c *City) trace(arrived []int32, from, to Junction) []Street {
	length := 0
	for j := to; j != from; j = c.streets[arrived[j]-1].From {
		length++
	}
	route := make([]Street, length)
	for j := to; j != from; j = route[length].From {
		length--
		route[length] = c.streets[arrived[j]-1]
	}
	return route
}

// candidate is a junction that a search has come to, with the least time that
// a way through it can take.
type candidate struct {
	junction Junction
	total    float64
}

type frontier []candidate

func (f frontier) Len() int           { return len(f) }
func (f frontier) Less(i, j int) bool { return f[i].total < f[j].total }
func (f frontier) Swap(i, j int)      { f[i], f[j] = f[j], f[i] }
func (f *frontier) Push(x any)        { *f = append(*f, x.(candidate)) }
func (f *frontier) Pop() any {
	last := (*f)[len(*f)-1]
	*f = (*f)[:len(*f)-1]
	return last
}
