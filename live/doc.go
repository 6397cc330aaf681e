// Package live is the map of where everybody is now: for each unit its newest
// fix, found by id or by nearness. It does no I/O and starts no goroutines.
//
// The earth is cut into bands of pages of cells, along the bits of positions in
// units of 1e-7 degrees:
//
//	band   a row of pages around the globe, 11.7 km high; it has as many columns
//	       as keep its cells about square
//	page   16 × 16 cells in 4.6 kB, made when somebody first comes there; it
//	       knows which of its cells are occupied
//	cell   729 m; the root of a quadtree
//	leaf   up to 59 entries inline, each of 8 bytes: where in the cell, and whose
//	       it is. A leaf that overflows becomes a node of four, down to 11 mm;
//	       units that stand in one place are told apart by the bits of their ids.
//	       Nodes that hold little become a leaf again
//
// All else that is known of a unit is in its record of 32 and 64 bytes, found by a
// hash table and never moved; searches look at the 32 alone. An update touches the
// unit's slot, its record and one leaf or two, which are loaded from memory side by
// side: that is what it costs. Of many updates that are made together, each step is
// loaded for sixteen at a time. A search goes down all cells in sight level by level,
// so that the nodes of one are loaded while those above are looked at.
//
// An update locks the unit and then one cell at a time; nothing is global. A
// search locks nothing. It reads optimistically: a cell counts its changes, and what
// was read counts if there was none meanwhile. That an entry is written in its place is
// no change, since it is one word: most units move within a leaf, and disturb nobody. A
// unit that moves from one cell to another is for a moment in neither, and a search
// might look into the new one before and the old one after. So a page counts the moves that begin and those that end, and a
// search counts if none was under way in the pages that it looked at. Otherwise
// it starts again. In the end, or at once if it looked at much, it insists: it
// locks each cell while it reads it, looks again at those pages alone in which
// somebody moved, and keeps moves from cell to cell in those waiting meanwhile.
// However far a search looks, the rest of the map goes on.
package live
