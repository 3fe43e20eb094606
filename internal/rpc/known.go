package rpc

import (
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"irthub/internal/standard"
)

// clockSkew is how far a caller's clock may be ahead of the hub's.
const clockSkew = time.Minute

// KnownAtFaults are the faults of a request's known_at: none where it is an instant of
// the past, or left out.
func KnownAtFaults(at *timestamppb.Timestamp) []standard.Fault {
	if at == nil || at.IsValid() && !at.AsTime().After(time.Now().Add(clockSkew)) && at.AsTime().Year() >= 2000 {
		return nil
	}
	return []standard.Fault{{
		Field: "known_at", RuleID: "KNOWN_AT_RANGE",
		Description: "The instant is in the future, or before the year 2000.",
		Action:      "Send an instant of the past, or leave it out to ask what is known now.",
	}}
}

// KnownAtOfChild is the error where known_at is asked of an agency's list.
func KnownAtOfChild() error {
	return Invalid([]standard.Fault{{
		Field: "known_at", RuleID: "KNOWN_AT_OF_CHILD",
		Description: "What was known at an instant is told of a child, not of an agency.",
		Action:      "Name a child (children/{child}), or leave it out.",
	}})
}
