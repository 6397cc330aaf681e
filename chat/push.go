package chat

import (
	"context"
	"time"

	"github.com/riverqueue/river"

	"armora/fleet"
)

// pushLife is how long a push of a message is of use: later it is found in the app.
const pushLife = time.Hour

// pusher tells people, by push, of messages that have not come to any of their apps.
// There is no list of who is present: who is has marked the message delivered.
type pusher struct {
	river.WorkerDefaults[fleet.ChatPushJob]
	rooms *Rooms
}

// AddWorkers adds the worker that pushes to who is absent.
func (r *Rooms) AddWorkers(workers *river.Workers) { river.AddWorker(workers, &pusher{rooms: r}) }

// Work implements river.Worker. The push says that there is a message, and nothing of
// it: others may see the screen of a phone.
func (p *pusher) Work(ctx context.Context, job *river.Job[fleet.ChatPushJob]) error {
	now := p.rooms.cfg.Clock.Now()
	_, err := p.rooms.chats.Push(ctx, p.rooms.participant(Reader{User: job.Args.User}), job.Args, fleet.Notice{
		ID: fleet.NewID[fleet.Notice](), User: job.Args.User, Channel: fleet.PushChannel, Kind: "chat_message", Booking: job.Args.Booking,
		Created: now, Expires: now.Add(pushLife),
	})
	return err
}
