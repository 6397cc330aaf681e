// Package plan assigns work that is known ahead: which officer does which job, one
// after the other, over the hours to come. It is pure: no I/O, no goroutines, no
// clock.
//
// # The problem
//
// A [Problem] has officers, each for one shift, and jobs at fixed times, each with
// a number of seats. An officer's itinerary is feasible if they suit each seat,
// reach each job in time from the one before, are back from the last by the end of
// their shift, overtime included, and are at work no longer than they may be. Of
// all feasible plans the planner looks for one of the highest worth,
//
//	Σ worth of the seats filled − travel − overtime − Σ switches
//
// all in time: [Rules] says what one counts beside another. A job's seats are filled
// all or none. What is firm is never given up, whatever it costs.
//
// Without teams and shifts this is the vehicle scheduling problem, a flow; with
// them it is NP-hard. [Planner.Bound] solves the flow, and so bounds what any plan
// can serve; the planner itself is a heuristic that is measured against it.
//
// # How it is planned
//
// Jobs have fixed times, so that a job has one place in an itinerary, to insert it
// is cheap, and the best path of one officer through all that nobody does is found
// exactly. The last plan, as far as it still holds, and then the other jobs are
// inserted where each costs the least, teams first. Then for a number of rounds
// some officers lose what they do around one job, chosen by chance, or one of them
// takes the best path though others have parts of it, and all who lost something
// get their best paths through what is left: ruin and recreate, as Schrimpf et al.,
// "Record Breaking Optimization Results Using the Ruin and Recreate Principle" (J.
// Comput. Phys. 159, 2000), with the blinks of Christiaens and Vanden Berghe, "Slack
// Induction by String Removals for Vehicle Routing Problems" (Transportation Science
// 54, 2020). A round that made it worse is undone.
//
// A team gets the cheapest officer for each seat in turn, the lead first, or
// nobody.
//
// The random numbers are the same each time: the same problem has the same plan.
package plan
