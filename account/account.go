// Package account says who somebody is: the credentials with which devices
// prove themselves, the keys that sign tokens, and the secret that keeps both
// apart from the database.
//
// Nothing that opens a door lies readable in the database: secrets are kept
// as keyed hashes, keys are sealed, and the root of both is a file (or an
// environment variable) that a copy of the database does not include.
package account
