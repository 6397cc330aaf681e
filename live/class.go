package live

import "armora/fleet"

// Officer is the class of every unit that is a protection officer.
const Officer Class = 1 << 31

// ClassOf returns the class of the officers who may be offered for all of some
// tiers; for none, of an officer who may be offered for nothing.
func ClassOf(tiers ...fleet.Tier) Class {
	class := Officer
	for _, tier := range tiers {
		for bit, t := range []fleet.Tier{fleet.Essential, fleet.Executive, fleet.Shadow, fleet.ClientVehicle} {
			if t == tier {
				class |= 1 << bit
			}
		}
	}
	return class
}

// The statuses of officers. One who has never said is none of them.
const (
	OnDuty Status = 1 << iota
	OnBreak
	OffDuty
)

// StatusOf returns the status of an officer.
func StatusOf(duty fleet.Duty) Status {
	switch duty {
	case fleet.OnDuty:
		return OnDuty
	case fleet.OnBreak:
		return OnBreak
	case fleet.OffDuty:
		return OffDuty
	}
	return 0
}
