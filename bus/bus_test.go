package bus_test

import (
	"slices"
	"testing"

	"armora/bus"
)

func TestTopicDeliversInOrderUntilCancel(t *testing.T) {
	t.Parallel()
	var topic bus.Topic[int]
	topic.Publish(0) // nobody listens: not kept

	var first, second []int
	cancel := topic.Subscribe(func(n int) { first = append(first, n) })
	topic.Subscribe(func(n int) { second = append(second, n) })
	topic.Publish(1)
	topic.Publish(2)
	cancel()
	cancel() // a second time does nothing
	topic.Publish(3)

	if want := []int{1, 2}; !slices.Equal(first, want) {
		t.Errorf("the cancelled subscriber got %v, want %v", first, want)
	}
	if want := []int{1, 2, 3}; !slices.Equal(second, want) {
		t.Errorf("the other subscriber got %v, want %v", second, want)
	}
}
