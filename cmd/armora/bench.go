package main

// benchCommand groups the benchmarks.
type benchCommand struct {
	Ingest   ingestBench   `cmd:"" help:"Measure a point's way into the database, beside what the same PostgreSQL takes by bare COPY. Starts everything it needs, and removes it."`
	Load     loadCommand   `cmd:"" help:"Publish points to any MQTT 5 broker as fast as it acknowledges them, and print what was measured as JSON."`
	Tracking trackingBench `cmd:"" help:"Measure how old positions are when they come to who watches a trip, beside a plain MQTT broker in the same run."`
	Idle     idleCommand   `cmd:"" hidden:"" help:"Hold connections that say nothing, until told to stop."`
	Sink     sinkCommand   `cmd:"" hidden:"" help:"Run the hub's front door with nothing behind it, until told to stop."`
}
