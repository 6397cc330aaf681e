package plan

import "time"

// None is the officer of a seat that nobody has.
const None = -1

// Spot is a place. What its numbers mean, degrees or metres, the problem's Travel
// knows.
type Spot struct{ X, Y float64 }

// Officer is an officer for one shift. Somebody with two shifts is two officers.
// All times are since one instant that is the caller's to choose.
type Officer struct {
	Free   time.Duration // from when on they can set out: the shift's begin, or the end of what they are at
	At     Spot          // and from where
	Off    time.Duration // the shift's end: what goes on longer is overtime
	Latest time.Duration // by when they have to be done, overtime included; at least Off
	Hours  time.Duration // for how long they may still be at work, on jobs and on the way to them; 0: as long as the shift is
}

// Job is work at a fixed time.
type Job struct {
	Start, End time.Duration
	From, To   Spot // where it begins and ends
	Seats      int  // how many officers it takes; the first seat is the lead's
	// Value is what each of its seats is worth; 0: its time, so that what is served
	// is counted in officer-hours.
	Value time.Duration
	// Firm are the officers who are on it for certain, by seat, or None; nil: none
	// are. They stay, even where they cannot be in time.
	Firm []int
	// Planned are the officers by the last plan, by seat, or None; nil: it had none.
	Planned []int
}

// Rules say what is weighed against what, and how hard is tried.
type Rules struct {
	// Margin is what is kept free before each job beyond travel.
	Margin time.Duration
	// Worth is how much travel an hour of a job's value is worth. It is so high
	// that work is left out to save travel nowhere.
	Worth int
	// Overtime is how much travel an hour of overtime is worth.
	Overtime int
	// Switch is what it takes to give a planned seat to another officer: the plan
	// gains more than that, or the seat's officer stays.
	Switch time.Duration
	// Rounds is how often it is tried to better the plan.
	Rounds int
}

// DefaultRules are those of a hub that was told nothing else.
func DefaultRules() Rules {
	return Rules{Margin: 5 * time.Minute, Worth: 100, Overtime: 2, Switch: 10 * time.Minute, Rounds: 5000}
}

// Problem is what is to be planned.
type Problem struct {
	Officers []Officer
	Jobs     []Job
	Rules    Rules
	// Travel is how long the way takes if one sets out at a time. It is asked once
	// for each two places that may follow one another.
	Travel func(at time.Duration, from, to Spot) time.Duration
	// May reports whether an officer suits a job's seat, the lead's or another:
	// licences, tier, languages, whom the principal does not want. nil: everybody
	// does. It is asked at most twice for an officer and a job.
	May func(officer, job int, lead bool) bool
}

// Plan is who does what.
type Plan struct {
	Seats       [][]int  // of each job, by seat: the officer, or None
	Itineraries [][]Stop // of each officer, in order of time
	Totals
}

// Stop is a job on an officer's itinerary.
type Stop struct {
	Job, Seat int
	SetOut    time.Duration // when they have to, at the latest: travel and the margin before its start
	Travel    time.Duration
}

// Totals sum up a plan.
type Totals struct {
	Served   time.Duration // the value of all seats that are filled
	Jobs     int           // how many jobs are served whole
	Travel   time.Duration
	Overtime time.Duration
	Switched int // seats whose officer is not the one of the last plan
}
