package simulate

import (
	"context"
	"fmt"
	"io"
	"math"
	"text/tabwriter"
)

// Trials are the figures of one policy, a run for each seed.
type Trials struct {
	Policy string
	Runs   []Figures
}

// Try plays the demand by a policy with the seeds 1 to n.
func (r Ride) Try(ctx context.Context, policy string, n int) (Trials, error) {
	t := Trials{Policy: policy}
	if n < 1 {
		return t, fmt.Errorf("%d seeds", n)
	}
	for seed := range n {
		r.Seed = uint64(seed + 1)
		figures, err := r.Run(ctx, policy)
		if err != nil {
			return t, err
		}
		t.Runs = append(t.Runs, figures)
	}
	return t, nil
}

// of lists one figure of all runs.
func (t *Trials) of(figure func(*Figures) float64) []float64 {
	all := make([]float64, len(t.Runs))
	for i := range t.Runs {
		all[i] = figure(&t.Runs[i])
	}
	return all
}

// Mean returns the mean of each figure over the runs.
func (t *Trials) Mean() Figures {
	var m Figures
	for _, row := range rows {
		*row.of(&m) = mean(t.of(func(f *Figures) float64 { return *row.of(f) }))
	}
	return m
}

// rows are the figures as a table shows them.
var rows = []struct {
	name  string
	scale float64
	of    func(*Figures) *float64
}{
	{"served, %", 100, func(f *Figures) *float64 { return &f.Served }},
	{"wait, mean, s", 1, func(f *Figures) *float64 { return &f.WaitMean }},
	{"wait, median, s", 1, func(f *Figures) *float64 { return &f.WaitMedian }},
	{"wait, p95, s", 1, func(f *Figures) *float64 { return &f.WaitP95 }},
	{"wait of all, mean, s", 1, func(f *Figures) *float64 { return &f.WaitAllMean }},
	{"pick-up, mean, s", 1, func(f *Figures) *float64 { return &f.PickupMean }},
	{"utilisation, %", 100, func(f *Figures) *float64 { return &f.Utilisation }},
	{"Gini of work", 1, func(f *Figures) *float64 { return &f.Gini }},
	{"solver, p99, ms", 1, func(f *Figures) *float64 { return &f.SolverP99 }},
}

// ratios are what is compared between policies, with the rest of them.
var ratios = []int{1, 3, 4}

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
// are several runs, and then, seed by seed, what each comes to beside those before the last.
func Table(w io.Writer, trials []Trials) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	line := func(name string, cell func(*Trials) string) {
		_, _ = fmt.Fprint(t, name) // Flush tells of errors
		for i := range trials {
			_, _ = fmt.Fprint(t, "\t", cell(&trials[i]))
		}
		_, _ = fmt.Fprintln(t)
	}
	line("", func(p *Trials) string { return p.Policy })
	for _, row := range rows {
		line(row.name, func(p *Trials) string {
			return spread(p.of(func(f *Figures) float64 { return *row.of(f) * row.scale }))
		})
	}
	for i := range len(trials) - 1 {
		for _, r := range ratios {
			line(fmt.Sprintf("%s, of %s", rows[r].name[:len(rows[r].name)-3], trials[i].Policy), func(p *Trials) string {
				return spread(share(p, &trials[i], rows[r].of))
			})
		}
	}
	return t.Flush()
}

// share is what a figure of one policy is of that of another, seed by seed.
func share(p, base *Trials, of func(*Figures) *float64) []float64 {
	all := make([]float64, len(p.Runs))
	for i := range p.Runs {
		all[i] = *of(&p.Runs[i]) / *of(&base.Runs[i])
	}
	return all
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
