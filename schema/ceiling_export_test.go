package schema

// DB is the ceiling's own database.
func (c *Ceiling) DB() *DB { return c.db }
