package fleet

import "time"

// Opens is what a ticket lets its holder open.
type Opens string

// What tickets open. A socket's ticket is good once; that of an event stream is
// good for as long as it lasts, since browsers reconnect to the same URL.
const (
	OpensTracking Opens = "tracking" // the WebSocket of a trip
	OpensChat     Opens = "chat"     // the WebSocket of a trip's conversation
	OpensEvents   Opens = "events"   // the event stream of a trip
)

// Once reports whether a ticket is used up by opening what it opens.
func (o Opens) Once() bool { return o != OpensEvents }

// Ticket lets a browser in where it cannot send its token: in a WebSocket's or an
// event stream's URL.
type Ticket struct {
	Session UserSessionID // whose it is; zero: it is of a share
	Share   ShareID
	Opens   Opens
	Trip    BookingID
	Expires time.Time
	Until   time.Time // when the token expires by which it was asked for
}
