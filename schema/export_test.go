package schema

import "time"

// WithServersIn looks for the server's binaries in these folders only.
func WithServersIn(folders ...string) PrivateOption {
	return func(o *privateOptions) { o.bins = folders }
}

// WithPatience bounds how long a server that was left running may take to answer.
func WithPatience(d time.Duration) PrivateOption {
	return func(o *privateOptions) { o.patience = d }
}

// LatestVersion is the last migration that this binary knows.
func LatestVersion() int64 { return latestVersion() }
