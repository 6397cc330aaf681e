package dispatch

import (
	"context"
	"encoding/json"

	"armora/fleet"
	"armora/tariff"
)

// Tariff is what everything costs now.
func (d *Desk) Tariff(ctx context.Context) (tariff.Table, error) {
	table := tariff.Default()
	body, err := d.tariffs.Current(ctx)
	if err != nil || body == nil {
		return table, err
	}
	table = tariff.Table{}
	return table, json.Unmarshal(body, &table)
}

// SetTariff sets what everything costs from now on, as the edition that follows
// the one that was read, and returns it; 0 for whichever there is. Quotes and
// bookings that there are keep theirs.
func (d *Desk) SetTariff(ctx context.Context, by fleet.UserID, read int64, table tariff.Table) (tariff.Table, error) {
	if err := table.Check(); err != nil {
		return table, err
	}
	now, err := d.Tariff(ctx)
	if err != nil {
		return table, err
	}
	if read != 0 && read != int64(now.Version) {
		return table, &fleet.Error{Code: fleet.CodeVersionMismatch, Message: "the tariff has changed since it was read: read it again"}
	}
	table.Version = now.Version + 1
	body, err := json.Marshal(table)
	if err != nil {
		return table, err
	}
	return table, d.tariffs.Add(ctx, table.Version, body, by, d.cfg.Clock.Now())
}
