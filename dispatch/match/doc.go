// Package match pairs requests with officers. It is pure: no I/O, no goroutines,
// no clock.
//
// # The problem
//
// A [Graph] has a row for each request and a column for each officer. Row i may
// have column j at cost(i, j) if there is an edge, or be left out at skip(i). Each
// row has at most one column and each column at most one row. A [Solver] finds
//
//	min  Σ cost(i, j) over the pairs (i, j)  +  Σ skip(i) over the rows left out
//
// exactly. So a row is served when that costs all together less than its skip
// price, and of two rows that compete the one with the higher price goes first,
// other things being equal. If all prices are the same, and above the highest cost
// by rows × (the highest cost − the lowest), as many rows are served as can be,
// and of the ways to serve as many the cheapest is taken. Which of several optima
// is found depends on the order of rows and edges alone.
//
// A graph may give a row's nearest officers only, and [Solver.Widen] the others
// where they may be of use: what it finds is optimal with all of them.
//
// A booking of several seats is a team ([Graph.AddTeam]), filled whole or not at
// all. That makes the problem hard, and which teams are served is decided by a
// rule; everything around them is exact.
//
// # How it is solved
//
// By shortest augmenting paths with potentials, as Jonker and Volgenant, "A
// Shortest Augmenting Path Algorithm for Dense and Sparse Linear Assignment
// Problems" (Computing 38, 1987): a reduction places most rows at little cost, and
// then each other row is placed by Dijkstra's algorithm over reduced costs. The
// dual variables that come with it prove the optimum: see [Solution].
package match
