// Package armorav1 is the generated Go of points.proto, the compact form in
// which devices publish positions. It imports nothing of the hub, so that a
// device's own code can use it.
package armorav1

//go:generate go run generate.go
