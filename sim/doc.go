// Package sim is the simulated city: officers who drive along the streets of a
// made-up London, each with a phone and a tracker that report over real MQTT
// connections; principals who book them over HTTP; and the replay of recorded
// tracks.
//
// It stands outside the hub and knows only the published contract: topics,
// JSON, REST, and the protobuf in deploy/proto. What the officers do, and what their
// receivers make of it, follows from a seed; only when a message travels is up
// to the machine.
package sim
