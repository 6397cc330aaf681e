// Package dispatch is a booking's way: from a quote to the right officer at the
// door, and to the end of the trip.
//
// Three parts share it. Desk takes what principals want: quotes, bookings, their
// changes and cancellations. Engine finds officers: it plans, searches, offers and
// assigns, one engine for each area. Trips is what happens from there: officers
// set out, arrive, protect, are relieved, and end.
//
// The row of a booking is the only truth. Each part changes it by
// schema.Bookings.Change, under the row's lock, and what it keeps in memory can be
// read again. After the commit the others are told on bus.Bookings.
package dispatch
