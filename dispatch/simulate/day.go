package simulate

import (
	"cmp"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"armora/dispatch/eta"
)

// venue is where protection begins and ends more often than elsewhere: metres to the
// east and the north of Charing Cross, and how often.
type venue struct {
	at    spot
	share float64
}

var venues = []venue{
	{spot{-1500, 300}, 0.35},     // Mayfair and St James's
	{spot{2800, 600}, 0.2},       // the City
	{spot{7500, -200}, 0.12},     // Canary Wharf
	{spot{-4500, -800}, 0.15},    // Kensington
	{spot{-3000, 5500}, 0.06},    // Hampstead
	{spot{-23_000, -4200}, 0.12}, // Heathrow
}

// Shares of the day. They are stated, not measured: there is no record of such days.
var (
	lengths    = []choice{{2, 0.35}, {3, 0.2}, {4, 0.17}, {6, 0.12}, {8, 0.1}, {10, 0.04}, {12, 0.02}} // hours
	teams      = []choice{{1, 0.9}, {2, 0.06}, {3, 0.025}, {4, 0.015}}                                 // seats
	wanted     = []choice{{0, 0.6}, {1, 0.28}, {2, 0.12}}                                              // the least tier
	tiers      = []choice{{0, 0.5}, {1, 0.32}, {2, 0.18}}                                              // an officer's
	shiftHours = []choice{{10, 0.4}, {12, 0.6}}
)

const (
	scheduled      = 0.7  // of the bookings; the others are for at once
	elsewhere      = 0.5  // end where they did not begin
	needsLicence   = 0.1  // want a lead with a certain licence
	haveLicence    = 0.35 // of the officers
	medianNotice   = 18   // hours, log-normal
	noticeSpread   = 1.2
	leastNotice    = 2 * time.Hour
	farthestNotice = 7 * 24 * time.Hour
)

// choice is a number, and how likely it is.
type choice struct{ n, share float64 }

func pick(random *rand.Rand, of []choice) float64 {
	u := random.Float64()
	for _, c := range of {
		if u -= c.share; u < 0 {
			return c.n
		}
	}
	return of[len(of)-1].n
}

func hours(h float64) time.Duration {
	return time.Duration(h * float64(time.Hour)).Truncate(time.Minute)
}

// newDay makes the day of a seed: the same for every policy. The roster follows the
// work: a shift begins half an hour to two and a half before a booking might.
func newDay(w *Watch) *guard {
	g := &guard{Watch: w, model: eta.Default()}
	random := rand.New(rand.NewPCG(w.Seed, 3)) //nolint:gosec // it has to be the same each time
	for range w.Officers {
		o := officer{on: startOf(random) - hours(0.5+2*random.Float64()), at: place(random)}
		o.off = o.on + hours(pick(random, shiftHours))
		o.tier, o.certified = int(pick(random, tiers)), random.Float64() < haveLicence
		o.free = o.on
		g.officers = append(g.officers, o)
	}
	for range w.Bookings {
		g.bookings = append(g.bookings, newBooking(w, random))
	}
	slices.SortStableFunc(g.bookings, func(a, b booking) int { return cmp.Compare(a.asked, b.asked) })
	return g
}

func newBooking(w *Watch, random *rand.Rand) booking {
	b := booking{start: startOf(random), length: hours(pick(random, lengths)), from: place(random), seats: int(pick(random, teams))}
	if b.to = b.from; random.Float64() < elsewhere {
		b.to = place(random)
	}
	b.tier, b.certified = int(pick(random, wanted)), random.Float64() < needsLicence
	notice := hours(medianNotice * math.Exp(noticeSpread*random.NormFloat64()))
	if b.asked = b.start; random.Float64() < scheduled {
		b.asked -= min(max(notice, leastNotice), farthestNotice)
	}
	if late := random.Float64(); random.Float64() < w.Rules.Overruns {
		b.overrun = time.Duration(late * float64(30*time.Minute)).Truncate(time.Minute)
	}
	return b
}

// startOf draws when a booking begins: in the morning, the evening, or at any time.
func startOf(random *rand.Rand) time.Duration {
	u, z := random.Float64(), random.NormFloat64()
	h := 24 * random.Float64()
	switch {
	case u < 0.45:
		h = 8.5 + 1.5*z
	case u < 0.8:
		h = 17.5 + 2*z
	}
	return hours(min(max(h, 0), 23.9))
}

// place draws where: three in four are within a few kilometres of a venue.
func place(random *rand.Rand) spot {
	dx, dy, u := random.NormFloat64(), random.NormFloat64(), random.Float64()
	if random.Float64() < 0.25 {
		return spot{6000 * dx, 6000 * dy}
	}
	for _, v := range venues {
		if u -= v.share; u < 0 {
			return spot{v.at.x + 1200*dx, v.at.y + 1200*dy}
		}
	}
	return spot{1200 * dx, 1200 * dy}
}
