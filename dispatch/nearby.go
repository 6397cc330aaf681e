package dispatch

import (
	"cmp"
	"context"
	"slices"

	"armora/fleet"
	"armora/live"
)

// Crowd is how many officers are in a cell.
type Crowd struct {
	Cell
	Officers int
}

// maxCrowd bounds how many officers of a tier are looked at for Nearby.
const maxCrowd = 2000

// Nearby says to a principal with a quote that is still good where officers are
// who are on duty and may be offered for a tier, "" for any: how many in each cell
// whose middle is in the circle, the nearest middle first. A cell is counted whole
// or not at all, so that a circle moved by a metre tells nothing of where in it
// they are.
func (d *Desk) Nearby(ctx context.Context, user fleet.UserID, lat, lon, radius float64, tier fleet.Tier) ([]Crowd, error) {
	if err := d.mayBook(ctx, user); err != nil {
		return nil, err
	}
	open, err := d.quotes.HasOpen(ctx, user, d.cfg.Clock.Now())
	if err != nil {
		return nil, err
	}
	if !open {
		return nil, &fleet.Error{Code: fleet.CodeForbidden, Message: "ask for a quote first: officers nearby are shown for as long as it is good"}
	}
	tiers := []fleet.Tier{tier}
	if tier == "" {
		tiers = []fleet.Tier{fleet.Essential, fleet.Executive, fleet.Shadow, fleet.ClientVehicle}
	}
	crowds, counted := map[Cell]int{}, map[fleet.Unit]bool{}
	for _, t := range tiers {
		for _, n := range d.onDuty(t, lat, lon, radius+cellDiagonal, maxCrowd) {
			cell := CellOf(n.Lat, n.Lon)
			if !counted[n.Unit] && fleet.Distance(lat, lon, cell.Lat, cell.Lon) <= radius {
				counted[n.Unit] = true
				crowds[cell]++
			}
		}
	}
	list := make([]Crowd, 0, len(crowds))
	for cell, n := range crowds {
		list = append(list, Crowd{Cell: cell, Officers: n})
	}
	slices.SortFunc(list, func(a, b Crowd) int {
		return cmp.Or(cmp.Compare(fleet.Distance(lat, lon, a.Lat, a.Lon), fleet.Distance(lat, lon, b.Lat, b.Lon)),
			cmp.Compare(a.Lat, b.Lat), cmp.Compare(a.Lon, b.Lon))
	})
	return list, nil
}

// onDuty returns up to k officers of a tier within some metres of a place, the
// nearest first, who are on duty and have been heard of just now.
func (d *Desk) onDuty(tier fleet.Tier, lat, lon, within float64, k int) []live.Neighbour {
	return d.cfg.Map.Nearest(nil, lat, lon, k, live.Filter{
		Class: live.ClassOf(tier), Status: live.OnDuty, Within: within, ReceivedSince: fleet.MillisOf(d.cfg.Clock.Now().Add(-freshFor)),
	})
}
