package ingest

import (
	"sync/atomic"
	"unsafe"

	"github.com/prometheus/client_golang/prometheus"

	"armora/fleet"
)

const (
	formats  = int(fleet.FormatOsmAnd) + 1
	verdicts = int(fleet.Mock) + 1
)

// counters are kept as plain atomics: the hot path adds to them, and both Stats
// and the metrics read them.
type counters struct {
	messages   [formats]atomic.Uint64 // read, by format
	points     [formats]atomic.Uint64 // decoded, by format
	letters    [formats]atomic.Uint64 // dead letters, by format
	verdicts   [verdicts]atomic.Uint64
	empty      atomic.Uint64 // messages without a position
	late       atomic.Uint64
	skewed     atomic.Uint64
	apart      atomic.Uint64 // sent to quarantine
	repeats    atomic.Uint64
	unfollowed atomic.Uint64 // of people who may not be followed then
	stored     atomic.Uint64
	acked      atomic.Uint64
	refused    atomic.Uint64 // rows that the database refused
	lost       atomic.Uint64 // dead letters that it refused
	retries    atomic.Uint64
	overload   atomic.Uint64 // HTTP requests refused since too much waits

	batchPoints   prometheus.Histogram
	commitSeconds prometheus.Histogram
}

// Stats is what went through the pipeline since it was made. Points that are
// neither Stored nor Repeats nor Unfollowed nor Refused wait for their commit.
type Stats struct {
	Messages    uint64 // read, of every format
	Points      uint64 // decoded from them
	Stored      uint64 // committed points
	Repeats     uint64 // points told before
	Acked       uint64 // messages committed and acknowledged
	Late        uint64 // points that came after a newer one of their device
	Junk        uint64 // points whose verdict is not OK
	Unfollowed  uint64 // points of phones of people who may not be followed
	Quarantined uint64 // points with a date that the points table does not take
	DeadLetters uint64
	Retries     uint64 // commits that had to be tried again
	Queued      int    // points that wait for their commit
}

// Stats returns the figures as they are. It is cheap.
func (p *Pipeline) Stats() Stats {
	c := p.count
	s := Stats{
		Messages: sum(c.messages[:]), Points: sum(c.points[:]),
		Stored: c.stored.Load(), Repeats: c.repeats.Load(), Acked: c.acked.Load(),
		Unfollowed: c.unfollowed.Load(), Late: c.late.Load(), Junk: sum(c.verdicts[fleet.OK+1:]), Quarantined: c.apart.Load(),
		DeadLetters: sum(c.letters[:]), Retries: c.retries.Load(),
	}
	s.Queued, _ = p.queue.depth()
	return s
}

func sum(of []atomic.Uint64) (total uint64) {
	for i := range of {
		total += of[i].Load()
	}
	return total
}

func newCounters() *counters {
	return &counters{
		batchPoints: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "armora_ingest_batch_points",
			Help:    "Points in a committed batch.",
			Buckets: prometheus.ExponentialBuckets(1, 4, 8),
		}),
		commitSeconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "armora_ingest_commit_seconds",
			Help:    "Time from the first try to the commit of a batch of points.",
			Buckets: prometheus.ExponentialBuckets(0.001, 2, 14),
		}),
	}
}

// register makes the metrics known; on a nil registerer it does nothing.
func (p *Pipeline) register(registry prometheus.Registerer) error {
	if registry == nil {
		return nil
	}
	c := p.count
	all := []prometheus.Collector{c.batchPoints, c.commitSeconds}
	counter := func(name, help string, value *atomic.Uint64, labels prometheus.Labels) {
		all = append(all, prometheus.NewCounterFunc(
			prometheus.CounterOpts{Name: "armora_ingest_" + name, Help: help, ConstLabels: labels},
			func() float64 { return float64(value.Load()) }))
	}
	for i := range formats {
		label := prometheus.Labels{"format": fleet.Format(i).String()}
		counter("messages_total", "Messages read.", &c.messages[i], label)
		counter("points_total", "Points decoded.", &c.points[i], label)
		counter("dead_letters_total", "Messages and points kept as dead letters.", &c.letters[i], label)
	}
	for i := range verdicts {
		label := prometheus.Labels{"verdict": fleet.Verdict(i).String()}
		counter("judged_total", "Points that were not repeats, by verdict.", &c.verdicts[i], label)
	}
	counter("stored_total", "Points committed.", &c.stored, nil)
	counter("acknowledged_total", "Messages committed and acknowledged.", &c.acked, nil)
	counter("repeats_total", "Points told before.", &c.repeats, nil)
	counter("unfollowed_total", "Points of people's phones from times at which they may not be followed: acknowledged, and not stored.", &c.unfollowed, nil)
	counter("no_position_total", "Messages that were understood and carry no position.", &c.empty, nil)
	counter("late_total", "Points that came after a newer one of their device.", &c.late, nil)
	counter("skewed_total", "Points judged by a corrected time.", &c.skewed, nil)
	counter("quarantined_total", "Points dated outside what the points table takes.", &c.apart, nil)
	counter("refused_total", "Points that the database refused for what they hold.", &c.refused, nil)
	counter("dead_letters_lost_total", "Dead letters that the database refused.", &c.lost, nil)
	counter("http_refused_total", "HTTP requests refused because too much waits for a commit.", &c.overload, nil)
	counter("commit_retries_total", "Commits that had to be tried again.", &c.retries, nil)
	gauge := func(name, help string, value func(points, batches int) int) {
		all = append(all, prometheus.NewGaugeFunc(
			prometheus.GaugeOpts{Name: "armora_ingest_" + name, Help: help},
			func() float64 { return float64(value(p.queue.depth())) }))
	}
	gauge("queue_points", "Points that wait for their commit.", func(points, _ int) int { return points })
	gauge("queue_bytes", "Memory that they take.", func(points, _ int) int { return points * int(unsafe.Sizeof(fleet.Point{})) })
	gauge("queue_batches", "Batches that they are in.", func(_, batches int) int { return batches })
	for _, collector := range all {
		if err := registry.Register(collector); err != nil {
			return err
		}
	}
	return nil
}
