// Package fleet holds the nouns of ARMORA: devices, drivers, vehicles and the
// points they report, with the rules that belong to the nouns themselves.
//
// It is the ground floor of the house: it does no I/O, starts no goroutine and
// imports nothing but the standard library and google/uuid, so that every
// other package can speak in its terms.
package fleet
