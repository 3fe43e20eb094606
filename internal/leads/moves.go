package leads

import (
	"strings"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/rpc"
)

const (
	open      = irtv1.LeadNominationState_LEAD_NOMINATION_STATE_OPEN
	accepted  = irtv1.LeadNominationState_LEAD_NOMINATION_STATE_ACCEPTED
	declined  = irtv1.LeadNominationState_LEAD_NOMINATION_STATE_DECLINED
	withdrawn = irtv1.LeadNominationState_LEAD_NOMINATION_STATE_WITHDRAWN
	expired   = irtv1.LeadNominationState_LEAD_NOMINATION_STATE_EXPIRED
)

// side is whose move it is. An agency that nominates its own has both.
type side int

const (
	nominator side = 1 << iota
	nominee
	nobody side = 0
)

// move is something that a side does with an open nomination.
type move struct {
	name string
	by   side
	to   irtv1.LeadNominationState
	kind irtv1.EventKind // what the two sides are told
}

var (
	accept   = move{"accept", nominee, accepted, irtv1.EventKind_EVENT_KIND_LEAD_PROFESSIONAL_ACCEPTED}
	decline  = move{"decline", nominee, declined, irtv1.EventKind_EVENT_KIND_LEAD_PROFESSIONAL_DECLINED}
	withdraw = move{"withdraw", nominator, withdrawn, irtv1.EventKind_EVENT_KIND_LEAD_PROFESSIONAL_WITHDRAWN}

	allMoves = []move{accept, decline, withdraw}
)

// legal tells whether a side may make the move in a state.
func (m move) legal(by side, state irtv1.LeadNominationState) bool {
	return state == open && m.by&by != 0
}

// may refuses a move that a side does not have, naming those that it has.
func (m move) may(by side, state irtv1.LeadNominationState) error {
	if m.legal(by, state) {
		return nil
	}
	var legal []string
	for _, one := range allMoves {
		if one.legal(by, state) {
			legal = append(legal, one.name)
		}
	}
	return rpc.IllegalMove("nomination", stateText(state), legal, "what you can do with it is", "you can do nothing with it")
}

func stateText(s irtv1.LeadNominationState) string {
	return strings.TrimPrefix(s.String(), "LEAD_NOMINATION_STATE_")
}
