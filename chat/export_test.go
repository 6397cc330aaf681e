package chat

import (
	"context"

	"github.com/riverqueue/river"

	"armora/fleet"
)

// WorkPush is what the worker does with a job.
func (r *Rooms) WorkPush(ctx context.Context, job fleet.ChatPushJob) error {
	return (&pusher{rooms: r}).Work(ctx, &river.Job[fleet.ChatPushJob]{Args: job})
}
