package referrals

import (
	"slices"
	"strings"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/rpc"
)

const (
	sent         = irtv1.ReferralState_REFERRAL_STATE_SENT
	acknowledged = irtv1.ReferralState_REFERRAL_STATE_ACKNOWLEDGED
	accepted     = irtv1.ReferralState_REFERRAL_STATE_ACCEPTED
	declined     = irtv1.ReferralState_REFERRAL_STATE_DECLINED
	inProgress   = irtv1.ReferralState_REFERRAL_STATE_IN_PROGRESS
	closed       = irtv1.ReferralState_REFERRAL_STATE_CLOSED
	withdrawn    = irtv1.ReferralState_REFERRAL_STATE_WITHDRAWN
)

// side is whose move it is.
type side int

const (
	nobody side = iota
	sender
	recipient
)

// move is something that a side does with a referral.
type move struct {
	name string
	by   side
	from []irtv1.ReferralState
	to   irtv1.ReferralState
	kind irtv1.EventKind // what the parties are told
}

var (
	send = move{"send", sender, states(sent), sent, irtv1.EventKind_EVENT_KIND_REFERRAL_SENT}

	acknowledge = move{"acknowledge", recipient, states(sent), acknowledged, irtv1.EventKind_EVENT_KIND_REFERRAL_ACKNOWLEDGED}
	accept      = move{"accept", recipient, states(sent, acknowledged), accepted, irtv1.EventKind_EVENT_KIND_REFERRAL_ACCEPTED}
	decline     = move{"decline", recipient, states(sent, acknowledged), declined, irtv1.EventKind_EVENT_KIND_REFERRAL_DECLINED}
	redirect    = move{"redirect", recipient, states(sent, acknowledged), sent, irtv1.EventKind_EVENT_KIND_REFERRAL_REDIRECTED}
	start       = move{"start", recipient, states(accepted), inProgress, irtv1.EventKind_EVENT_KIND_REFERRAL_STARTED}
	finish      = move{"close", recipient, states(accepted, inProgress), closed, irtv1.EventKind_EVENT_KIND_REFERRAL_CLOSED}
	withdraw    = move{"withdraw", sender, states(sent, acknowledged), withdrawn, irtv1.EventKind_EVENT_KIND_REFERRAL_WITHDRAWN}

	allMoves = []move{send, acknowledge, accept, decline, redirect, start, finish, withdraw}
)

func states(all ...irtv1.ReferralState) []irtv1.ReferralState { return all }

// legal tells whether a side may make the move in a state.
func (m move) legal(by side, state irtv1.ReferralState) bool {
	return m.by == by && slices.Contains(m.from, state)
}

// may refuses a move that a side does not have, naming those that it has.
func (m move) may(by side, state irtv1.ReferralState) error {
	if m.legal(by, state) {
		return nil
	}
	var legal []string
	for _, one := range allMoves {
		if one.legal(by, state) {
			legal = append(legal, one.name)
		}
	}
	return rpc.IllegalMove("referral", stateText(state), legal, "what you can do with it is", "you can do nothing with it")
}

// overtaken says that somebody was faster, and where the referral stands now.
func (v *version) overtaken() error {
	return rpc.Overtaken(stateText(v.state), v.etag(),
		"It has changed since you read it: the referral is "+stateText(v.state)+" now. Read it again.")
}

func stateText(s irtv1.ReferralState) string {
	return strings.TrimPrefix(s.String(), "REFERRAL_STATE_")
}
