package live

import "armora/fleet"

// Officer is the class of every unit that is a protection officer.
const Officer Class = 1 << 31

// ClassOf returns the class of the officers of a tier.
func ClassOf(tier fleet.Tier) Class {
	for bit, t := range []fleet.Tier{fleet.Essential, fleet.Executive, fleet.Shadow, fleet.ClientVehicle} {
		if t == tier {
			return Officer | 1<<bit
		}
	}
	return Officer
}
