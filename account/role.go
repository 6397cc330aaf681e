package account

// Role is what a person may be to the hub.
type Role string

// The roles that operations ask for so far.
const (
	Dispatcher Role = "dispatcher"
	Admin      Role = "admin"
)
