package simulate

import (
	"context"
	"fmt"
	"io"
	"math"
	"strings"
	"text/tabwriter"
)

// Trials are the figures of one policy, a run for each seed: Figures of a Ride,
// WatchFigures of a Watch.
type Trials[F any] struct {
	Policy string
	Runs   []F
	rows   []row[F]
}

// row is a figure as a table shows it.
type row[F any] struct {
	name, unit string
	scale      float64
	of         func(*F) *float64
	compared   bool // with the other policies
}

// Try plays the demand by a policy with the seeds 1 to n.
func (r Ride) Try(ctx context.Context, policy string, n int) (Trials[Figures], error) {
	return try(policy, n, rideRows, func(seed uint64) (Figures, error) {
		r.Seed = seed
		return r.Run(ctx, policy)
	})
}

// Try plays the days of the seeds 1 to n by a policy.
func (w Watch) Try(ctx context.Context, policy string, n int) (Trials[WatchFigures], error) {
	return try(policy, n, watchRows(), func(seed uint64) (WatchFigures, error) {
		w.Seed = seed
		return w.Run(ctx, policy)
	})
}

func try[F any](policy string, n int, rows []row[F], run func(seed uint64) (F, error)) (Trials[F], error) {
	t := Trials[F]{Policy: policy, rows: rows}
	if n < 1 {
		return t, fmt.Errorf("%d seeds", n)
	}
	for seed := range n {
		figures, err := run(uint64(seed + 1))
		if err != nil {
			return t, err
		}
		t.Runs = append(t.Runs, figures)
	}
	return t, nil
}

// all lists one figure of each run.
func (t *Trials[F]) all(r row[F]) []float64 {
	all := make([]float64, len(t.Runs))
	for i := range t.Runs {
		all[i] = *r.of(&t.Runs[i])
	}
	return all
}

// Mean returns the mean of each figure over the runs.
func (t *Trials[F]) Mean() F {
	var m F
	for _, r := range t.rows {
		*r.of(&m) = mean(t.all(r))
	}
	return m
}

var rideRows = []row[Figures]{
	{"served", "%", 100, func(f *Figures) *float64 { return &f.Served }, false},
	{"wait, mean", "s", 1, func(f *Figures) *float64 { return &f.WaitMean }, true},
	{"wait, median", "s", 1, func(f *Figures) *float64 { return &f.WaitMedian }, false},
	{"wait, p95", "s", 1, func(f *Figures) *float64 { return &f.WaitP95 }, true},
	{"wait of all, mean", "s", 1, func(f *Figures) *float64 { return &f.WaitAllMean }, true},
	{"pick-up, mean", "s", 1, func(f *Figures) *float64 { return &f.PickupMean }, false},
	{"utilisation", "%", 100, func(f *Figures) *float64 { return &f.Utilisation }, false},
	{"Gini of work", "", 1, func(f *Figures) *float64 { return &f.Gini }, false},
	{"solver, p99", "ms", 1, func(f *Figures) *float64 { return &f.SolverP99 }, false},
}

// watchRows are those of security work, and then those of a ride.
func watchRows() []row[WatchFigures] {
	rows := []row[WatchFigures]{
		{"officer-hours served", "h", 1, func(f *WatchFigures) *float64 { return &f.Hours }, true},
		{"of those asked for", "%", 100, func(f *WatchFigures) *float64 { return &f.HoursServed }, false},
		{"upper bound", "h", 1, func(f *WatchFigures) *float64 { return &f.Bound }, false},
		{"of the bound", "%", 100, func(f *WatchFigures) *float64 { return &f.OfBound }, false},
		{"on time, of the scheduled", "%", 100, func(f *WatchFigures) *float64 { return &f.OnTime }, false},
		{"empty travel", "h", 1, func(f *WatchFigures) *float64 { return &f.Empty }, false},
		{"overtime", "h", 1, func(f *WatchFigures) *float64 { return &f.Overtime }, false},
	}
	for _, r := range rideRows {
		rows = append(rows, row[WatchFigures]{r.name, r.unit, r.scale, func(f *WatchFigures) *float64 { return r.of(&f.Figures) }, false})
	}
	return rows
}

// interval is half the width of the 95% confidence interval of the mean.
func interval(of []float64) float64 {
	n := float64(len(of))
	if n < 2 {
		return 0
	}
	m, sum := mean(of), 0.0
	for _, x := range of {
		sum += (x - m) * (x - m)
	}
	return student(len(of)-1) * math.Sqrt(sum/(n-1)/n)
}

// student is the 97.5% quantile of Student's distribution with so many degrees of
// freedom, by its expansion around the normal's (Abramowitz and Stegun, 26.7.5);
// it is off by 1% with 3, and by less with more.
func student(freedom int) float64 {
	const z = 1.959964
	n := float64(freedom)
	z3, z5, z7 := z*z*z, z*z*z*z*z, z*z*z*z*z*z*z
	return z + (z3+z)/(4*n) + (5*z5+16*z3+3*z)/(96*n*n) + (3*z7+19*z5+17*z3-15*z)/(384*n*n*n)
}

// Table writes the figures of policies side by side, with 95% intervals where there
// are several runs, and then, seed by seed, what each comes to beside those before the
// last.
func Table[F any](w io.Writer, trials []Trials[F]) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	line := func(name string, cell func(*Trials[F]) string) {
		_, _ = fmt.Fprint(t, name) // Flush tells of errors
		for i := range trials {
			_, _ = fmt.Fprint(t, "\t", cell(&trials[i]))
		}
		_, _ = fmt.Fprintln(t)
	}
	line("", func(p *Trials[F]) string { return p.Policy })
	for _, r := range trials[0].rows {
		line(strings.TrimSuffix(r.name+", "+r.unit, ", "), func(p *Trials[F]) string {
			all := p.all(r)
			for i := range all {
				all[i] *= r.scale
			}
			return spread(all)
		})
	}
	for i := range len(trials) - 1 {
		for _, r := range trials[0].rows {
			if r.compared {
				line(r.name+", of "+trials[i].Policy, func(p *Trials[F]) string { return spread(shares(p.all(r), trials[i].all(r))) })
			}
		}
	}
	return t.Flush()
}

// shares is what each number is of that of another run.
func shares(of, base []float64) []float64 {
	for i := range of {
		of[i] /= base[i]
	}
	return of
}

// spread writes a mean, and its interval where there is one.
func spread(of []float64) string {
	m := mean(of)
	digits := 1
	if m < 10 {
		digits = 3
	}
	text := fmt.Sprintf("%.*f", digits, m)
	if len(of) > 1 {
		text += fmt.Sprintf(" ± %.*f", digits, interval(of))
	}
	return text
}
