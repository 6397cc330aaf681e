package chat

import (
	"slices"

	"armora/fleet"
)

// QuickReply is something that can be said with one touch.
type QuickReply struct{ ID, Text string }

// quickReplies are what each part in a conversation often says.
var quickReplies = map[fleet.ActorKind][]QuickReply{
	fleet.ByPrincipal: {
		{"coming", "I am on my way to you."},
		{"five_minutes", "I need five more minutes."},
		{"where", "Where are you?"},
		{"call_me", "Please call me."},
		{"all_well", "All is well."},
		{"thank_you", "Thank you."},
	},
	fleet.ByOfficer: {
		{"on_my_way", "I am on my way."},
		{"five_minutes", "I will be with you in five minutes."},
		{"here", "I am at the commencement point."},
		{"traffic", "I am held up in traffic."},
		{"stay_inside", "Please stay inside until I am at the door."},
		{"ready", "I am ready when you are."},
		{"understood", "Understood."},
	},
	fleet.ByOps: {
		{"looking", "The control room is looking into it."},
		{"officer_told", "Your protection officer has been told."},
		{"all_well", "Is all well?"},
		{"call_us", "Please call the control room."},
	},
}

// QuickReplies returns what somebody can say with one touch, by their part in the
// conversation.
func QuickReplies(as fleet.ActorKind) []QuickReply { return slices.Clone(quickReplies[as]) }
