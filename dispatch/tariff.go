package dispatch

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"time"

	"armora/fleet"
	"armora/tariff"
)

// Tariff is what everything costs now.
func (d *Desk) Tariff(ctx context.Context) (tariff.Table, error) {
	table := tariff.Default()
	body, err := d.tariffs.Current(ctx, d.cfg.Clock.Now())
	if err != nil || body == nil {
		return table, err
	}
	table = tariff.Table{}
	return table, json.Unmarshal(body, &table)
}

// Edition is a tariff that was set, or with which the hub came.
type Edition struct {
	tariff.Table
	SetBy fleet.UserID // zero: the bootstrap admin, or nobody
	Since time.Time    // when it was set; zero: it came with the hub
}

// Tariffs returns up to limit editions of versions before the given one, the newest
// first, among them those that are to come into force. 0 starts with the newest.
func (d *Desk) Tariffs(ctx context.Context, before, limit int) ([]Edition, error) {
	list, err := d.tariffs.List(ctx, before, limit)
	if err != nil {
		return nil, err
	}
	editions := make([]Edition, len(list), len(list)+1)
	for i, e := range list {
		editions[i] = Edition{SetBy: e.SetBy, Since: e.Since}
		if err := json.Unmarshal(e.Body, &editions[i].Table); err != nil {
			return nil, err
		}
		editions[i].ValidFrom = cmp.Or(editions[i].ValidFrom, e.Since) // older ones do not say
	}
	if first := tariff.Default(); len(list) < limit && (before == 0 || before > first.Version) {
		editions = append(editions, Edition{Table: first})
	}
	return editions, nil
}

// SetTariff sets what everything costs from a time on, or from now on if the table
// names none, or that of an edition that is in force already, as the edition that follows the newest, and returns it. read is the
// version of the newest that was read, 0 for whichever there is. Quotes and bookings
// that there are keep theirs. An edition that is to come is replaced by another for
// the same time.
func (d *Desk) SetTariff(ctx context.Context, by fleet.UserID, read int64, table tariff.Table) (tariff.Table, error) {
	if err := d.checked(ctx, &table); err != nil {
		return table, err
	}
	now := d.cfg.Clock.Now()
	if table.ValidFrom.Before(now) {
		table.ValidFrom = now
	}
	newest, err := d.Tariffs(ctx, 0, 1)
	if err != nil {
		return table, err
	}
	if read != 0 && read != int64(newest[0].Version) {
		return table, &fleet.Error{Code: fleet.CodeVersionMismatch, Message: "the tariff has changed since it was read: read it again"}
	}
	table.Version, table.ValidFrom = newest[0].Version+1, table.ValidFrom.UTC()
	body, err := json.Marshal(table)
	if err != nil {
		return table, err
	}
	return table, d.tariffs.Add(ctx, table.Version, body, by, now)
}

// checked reports what is wrong with a table, also beside what officers are paid now.
func (d *Desk) checked(ctx context.Context, table *tariff.Table) error {
	if err := table.Check(); err != nil {
		return err
	}
	body, err := d.rates.Current(ctx)
	if err != nil {
		return err
	}
	var rates tariff.PayRates
	if err := json.Unmarshal(body, &rates); err != nil {
		return err
	}
	if rates.Check(table) != nil {
		return &fleet.Error{Code: fleet.CodeInvalid, Message: "members would pay less for hours than officers get: lower the pay rates first",
			Flaws: []fleet.Flaw{{Location: "discount", Message: fmt.Sprintf("is no more than %d percent while officers get %d", 100-rates.Work, rates.Work)}}}
	}
	return nil
}
