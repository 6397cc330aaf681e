package ingest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"armora/fleet"
)

// PayloadKeys gives the key with which a device seals what it sends.
type PayloadKeys interface {
	// PayloadKey returns CodeNotFound for a device that has none, and CodeUnavailable
	// if it can't be had now. With any other error it is never to be had.
	PayloadKey(ctx context.Context, device fleet.DeviceID) ([]byte, error)
}

// errKeyWanted says that a message can't be opened before its device's key has
// been asked for.
var errKeyWanted = errors.New("payload key wanted")

// How long a key is believed, and for how long one that does not fit is. A
// device that sends what no key opens makes at most one query in a keyRetry.
const (
	keyLife  = time.Minute
	keyRetry = 10 * time.Second
)

// keyring remembers payload keys, for devices up to the size of the fleet.
// Asking for a key may block, so messages that need it are parked meanwhile: how
// many is the broker's to limit, as with the queue.
type keyring struct {
	config *Config
	queue  *queue                   // held while messages are parked
	again  func(*Message, *receipt) // takes a parked message in once more

	mu     sync.Mutex
	keys   map[fleet.DeviceID]payloadKey
	parked []parked
	wake   chan struct{} // holds a token when something was parked
}

func newKeyring(config *Config, queue *queue, again func(*Message, *receipt)) *keyring {
	return &keyring{
		config: config, queue: queue, again: again,
		keys: make(map[fleet.DeviceID]payloadKey), wake: make(chan struct{}, 1),
	}
}

type payloadKey struct {
	key   []byte // nil: there is none
	why   error  // why not
	asked time.Time
}

type parked struct {
	message Message
	receipt *receipt
}

// open calls do with the key of the message's sender. It returns errKeyWanted
// when the key is not known, or does not fit and may have been changed.
func (k *keyring) open(m *Message, do func(key []byte) error) error {
	k.mu.Lock()
	known, found := k.keys[m.From.Device]
	k.mu.Unlock()
	age := k.config.Clock.Now().Sub(known.asked)
	if !found || age > keyLife {
		return errKeyWanted
	}
	err := known.why
	if known.key != nil {
		err = do(known.key)
	}
	if err != nil && age > keyRetry {
		return errKeyWanted
	}
	return err
}

// park keeps a message until the key of its sender has been asked for.
func (k *keyring) park(m Message, r *receipt) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if !k.queue.hold() {
		r.drop()
		return
	}
	k.parked = append(k.parked, parked{m, r})
	select {
	case k.wake <- struct{}{}:
	default:
	}
}

// run asks for keys until ctx is done.
func (k *keyring) run(ctx context.Context) {
	for {
		for _, waiting := range k.unpark() {
			if k.ask(ctx, waiting.message.From.Device) == nil {
				k.again(&waiting.message, waiting.receipt)
			} else {
				waiting.receipt.drop()
			}
			k.queue.unhold()
		}
		select {
		case <-k.wake:
		case <-ctx.Done():
			return
		}
	}
}

// close drops what is parked, once the queue is closed and run has returned.
func (k *keyring) close() {
	for _, waiting := range k.unpark() {
		waiting.receipt.drop()
		k.queue.unhold()
	}
}

func (k *keyring) unpark() []parked {
	k.mu.Lock()
	defer k.mu.Unlock()
	waiting := k.parked
	k.parked = nil
	return waiting
}

// errNoKey is why a device has no payload key that nobody has given one.
var errNoKey = errors.New("the message is encrypted, and the device has no payload key")

// ask asks for a key, unless that was done a moment ago, until there is an
// answer. It fails only when ctx is done. Others wait behind, so one key that does
// not open is an answer too.
func (k *keyring) ask(ctx context.Context, device fleet.DeviceID) error {
	k.mu.Lock()
	known, found := k.keys[device]
	k.mu.Unlock()
	if found && k.config.Clock.Now().Sub(known.asked) <= keyRetry {
		return nil
	}
	for pause := firstPause; ; pause = min(2*pause, lastPause) {
		bounded, cancel := context.WithTimeout(ctx, k.config.CommitTimeout)
		key, err := k.config.PayloadKeys.PayloadKey(bounded, device)
		cancel()
		if ctx.Err() == nil && fleet.CodeOf(err) != fleet.CodeUnavailable && !errors.Is(err, context.DeadlineExceeded) {
			k.learn(device, key, err)
			return nil
		}
		if ctx.Err() == nil {
			k.config.Log.Warn("payload key not available, trying again", "device", device, "in", pause, "err", err)
		}
		if err := fleet.Wait(ctx, k.config.Clock, pause); err != nil {
			return err
		}
	}
}

// learn remembers what came of asking for a key.
func (k *keyring) learn(device fleet.DeviceID, key []byte, err error) {
	known := payloadKey{key: key, asked: k.config.Clock.Now()}
	switch {
	case key == nil && err == nil, fleet.CodeOf(err) == fleet.CodeNotFound:
		known.why = errNoKey
	case err != nil:
		known.why = fmt.Errorf("the message is encrypted, and the device's payload key can't be had: %w", err)
		k.config.Log.Error("a payload key can't be had", "device", device, "err", err)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.keys[device] = known
}
