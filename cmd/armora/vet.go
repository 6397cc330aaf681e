package main

import (
	"context"
	"time"

	"armora/fleet"
	"armora/schema"
)

// vet gives every officer of the demo, and every car, the papers without which
// they would be offered nothing.
func (h *hub) vet(ctx context.Context) error {
	const page = 1000
	drivers := schema.Drivers{DB: h.db}
	for last := (fleet.DriverID{}); ; {
		records, err := drivers.FitnessAfter(ctx, last, page)
		if err != nil {
			return err
		}
		for i := range records {
			if err := h.vetOfficer(ctx, &records[i]); err != nil {
				return err
			}
		}
		if len(records) < page {
			return h.officers.TellAll(ctx)
		}
		last = records[len(records)-1].Driver
	}
}

func (h *hub) vetOfficer(ctx context.Context, r *fleet.FitnessRecord) error {
	for _, reason := range fleet.Fitness(r, h.clock.Now()) {
		if reason.Defect != fleet.DefectMissing {
			continue
		}
		now := h.clock.Now()
		d := fleet.Document{
			ID: fleet.NewID[fleet.Document](), Vehicle: reason.Vehicle, Kind: reason.Kind, Number: "1234567890123456",
			Expires: now.AddDate(1, 0, 0), Submitted: now, SubmittedBy: "demo",
		}
		if d.Vehicle.IsZero() {
			d.Driver = r.Driver
		}
		if d.Kind == fleet.SIALicence {
			d.Category = fleet.CloseProtection
		}
		documents := schema.Documents{DB: h.db}
		if err := documents.Submit(ctx, d, fleet.UserID{}); err != nil {
			return err
		}
		_, err := documents.Decide(ctx, d.ID, schema.Examination{Status: fleet.Verified, Reverify: now.Add(365 * 24 * time.Hour), At: now, By: "demo"})
		if err != nil {
			return err
		}
	}
	return nil
}
