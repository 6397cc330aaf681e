// Package simulate compares dispatch policies on a virtual clock: a day runs in
// seconds, and each policy meets the same world.
//
// # On demand
//
// A [Ride] plays recorded trips. Every [Rules.Tick] those who wait and the drivers who
// are free are handed to the policy, which pairs them; all drivers who are free, and
// have not declined that request, are candidates, for every policy. Where somebody
// is, how long they will wait, who declines whom and how far off an estimate is
// depend on the seed alone, and never on the policy or on what it did before.
//
// The batch is the engine's way: the assignment of all is solved exactly on the complete
// graph by dispatch/match, with the engine's weights, and with its rules for swaps: a
// request whose driver is still far may get another, who accepts first, and the
// driver is then to be had for somebody else. The other two policies keep what they
// have paired. Rules.Swaps turns it off.
//
// A request ends once: it is served, or nobody has been found when its patience is
// over and it is unserved. Both count.
//
// # Security work
//
// A [Watch] plays a seeded day of protection work; see there.
//
// The same seed gives the same figures, but for how long the solver took, which is
// real time.
package simulate
