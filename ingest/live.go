package ingest

import "armora/fleet"

func (p *Pipeline) move(unit fleet.Unit, at fleet.Millis, point *fleet.Point) {}
