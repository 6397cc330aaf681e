package fleet

import (
	"strings"
	"time"
)

// Officer is what there is of a driver for principals. How much of it one sees
// depends on how they stand to each other.
type Officer struct {
	ID        DriverID
	Name      string
	Alias     string // what principals call them; "" if staff gave none
	Photo     FileID
	Licence   string    // the number of the SIA licence
	Tiers     []Tier    // all of them, the main one first
	Languages []string  // BCP 47
	Stars     float64   // the mean of their ratings, 1 to 5; 0 without any
	Ratings   int       // how many
	Approved  time.Time // since when any principal may choose them; zero: not
	Wish      Wish      // of the principal who looks
}

// Wish is what a principal wishes about an officer.
type Wish string

// The wishes. Who is blocked is never offered the principal's bookings.
const (
	NoWish    Wish = ""
	Favourite Wish = "favourite"
	Blocked   Wish = "blocked"
)

// Principal is what officers may know of the user whom they protect.
type Principal struct {
	User       UserID
	Name       string
	Photo      FileID
	Restricted bool
}

// Known is how a principal knows the officer: by an alias, or by the first name.
func (o *Officer) Known() string {
	if o.Alias != "" {
		return o.Alias
	}
	return FirstName(o.Name)
}

// FirstName is the first word of a person's name.
func FirstName(name string) string {
	first, _, _ := strings.Cut(strings.TrimSpace(name), " ")
	return first
}
