package contact

import (
	"strings"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/rpc"
)

const (
	open      = irtv1.ContactRequestState_CONTACT_REQUEST_STATE_OPEN
	answered  = irtv1.ContactRequestState_CONTACT_REQUEST_STATE_ANSWERED
	declined  = irtv1.ContactRequestState_CONTACT_REQUEST_STATE_DECLINED
	cancelled = irtv1.ContactRequestState_CONTACT_REQUEST_STATE_CANCELLED
	expired   = irtv1.ContactRequestState_CONTACT_REQUEST_STATE_EXPIRED
)

// move is what somebody does with a request.
type move string

const (
	answer  move = "answer"
	decline move = "decline"
	cancel  move = "cancel"
	send    move = "sendMessage"
)

// The moves that each side has, by the state that it sees.
var (
	askersMoves    = map[irtv1.ContactRequestState][]move{open: {cancel, send}, answered: {send}}
	answerersMoves = map[irtv1.ContactRequestState][]move{open: {answer, decline}, answered: {send}}
)

// moves are those that this side has now.
func (p *party) moves() []move {
	if p.route == nil {
		return askersMoves[p.state()]
	}
	return answerersMoves[p.state()]
}

// may refuses a move that this side does not have, naming those that it has.
func (p *party) may(m move) error {
	legal := make([]string, 0, len(p.moves()))
	for _, one := range p.moves() {
		if one == m {
			return nil
		}
		legal = append(legal, string(one))
	}
	return rpc.IllegalMove("contact request", stateText(p.state()), legal, "what can be done with it is", "nothing can be done with it")
}

// overtaken says that somebody of the caller's side was faster.
func (p *party) overtaken() error {
	return rpc.Overtaken(stateText(p.state()), p.etag(),
		"Somebody was faster: the contact request is "+stateText(p.state())+" now. Read it again.")
}

func stateText(s irtv1.ContactRequestState) string {
	return strings.TrimPrefix(s.String(), "CONTACT_REQUEST_STATE_")
}
