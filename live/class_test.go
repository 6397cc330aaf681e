package live

import (
	"testing"

	"armora/fleet"
)

func TestClassesAndStatusesOfOfficers(t *testing.T) {
	t.Parallel()
	all := []fleet.Tier{fleet.Essential, fleet.Executive, fleet.Shadow, fleet.ClientVehicle}
	seen := Officer
	for _, tier := range all {
		class := ClassOf(tier)
		if class&Officer == 0 || class&^Officer == 0 || class&seen != Officer {
			t.Errorf("%s is %b", tier, class)
		}
		seen |= class
	}
	if ClassOf(all...) != seen || ClassOf() != Officer || ClassOf("gold") != Officer {
		t.Error("the class of several tiers is not that of each")
	}
	if StatusOf("") != 0 || StatusOf(fleet.OnDuty) != OnDuty || StatusOf(fleet.OnBreak) != OnBreak || StatusOf(fleet.OffDuty) != OffDuty {
		t.Error("a status is another's")
	}
}
