package plan

import (
	"math"
	"math/rand/v2"
	"time"
)

// day is a made-up day of a city's protection work: so many officers with shifts
// of 10 or 12 hours, spread over the day, of three tiers and with one of two
// certificates, some; jobs of 2 to 12 hours, the short ones more often, a tenth of
// them for teams.
func day(seed uint64, officers, jobs int) *Problem {
	random := rand.New(rand.NewPCG(seed, 7))
	hours := func(h float64) time.Duration { return time.Duration(h * float64(time.Hour)).Truncate(time.Minute) }
	spot := func() Spot { // in a town of 10 km, more often in the middle
		return Spot{random.NormFloat64() * 5000, random.NormFloat64() * 5000}
	}
	p := &Problem{Rules: DefaultRules(), Travel: drive}
	tiers, certified := make([]int, officers), make([]bool, officers)
	for o := range officers {
		begin, shift := hours(random.Float64()*16), hours([]float64{10, 12}[random.IntN(2)])
		p.Officers = append(p.Officers, Officer{
			Free: begin, At: spot(), Off: begin + shift, Latest: begin + shift + time.Hour, Hours: 12 * time.Hour,
		})
		tiers[o], certified[o] = random.IntN(3), random.IntN(3) == 0
	}
	needs, certificate := make([]int, jobs), make([]bool, jobs)
	for j := range jobs {
		start := hours(1 + random.Float64()*20)
		job := Job{Start: start, End: start + hours(2*math.Pow(6, math.Pow(random.Float64(), 3))), From: spot(), Seats: 1}
		job.To = job.From
		if random.IntN(2) == 0 {
			job.To = spot()
		}
		if random.IntN(10) == 0 {
			job.Seats = 2 + random.IntN(3)
		}
		p.Jobs = append(p.Jobs, job)
		needs[j], certificate[j] = []int{0, 0, 0, 1, 1, 2}[random.IntN(6)], random.IntN(10) == 0
	}
	p.May = func(o, j int, lead bool) bool {
		return tiers[o] >= needs[j] && (!lead || !certificate[j] || certified[o])
	}
	return p
}

// drive is 1.3 times the crow's way at 7 m/s, and half a minute.
func drive(_ time.Duration, from, to Spot) time.Duration {
	return time.Duration((30 + 1.3*math.Hypot(from.X-to.X, from.Y-to.Y)/7) * float64(time.Second))
}
