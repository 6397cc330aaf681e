// Package live is the map of where everybody is now: for each unit its newest
// fix, found by id or by nearness. It does no I/O and starts no goroutines.
//
// The earth is cut into bands of pages of cells:
//
//	band   a row of pages around the globe, 4.1 km high; it has as many columns
//	       as keep its cells about square
//	page   16 × 16 cells, made when somebody first comes there; it knows which of
//	       its cells are occupied
//	cell   255.5 m; the root of a quadtree
//	leaf   six entries inline: their positions in one cache line, and in another
//	       whose they are. A leaf that overflows becomes a node of four, down to
//	       4 m; units that stand closer are told apart by a hash of their ids.
//	       Four that hold little become one again
//
// An update locks the unit and then one cell at a time; nothing is global. A
// search locks nothing. It reads optimistically: a cell has a sequence number
// that is odd while the cell is written, and what was read counts if the number
// is even and has stayed. A unit that moves from one cell to another is for a
// moment in neither, and a search might look into the new one before and the old
// one after. So a page counts the moves that begin and those that end, and a
// search counts if none was under way in the pages that it looked at. Otherwise
// it starts again, and in the end locks each cell that it reads and keeps moves
// in those pages waiting until it is done.
package live
