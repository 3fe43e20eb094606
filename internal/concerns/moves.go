package concerns

import (
	"strings"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/rpc"
)

const (
	open      = irtv1.ConcernState_CONCERN_STATE_OPEN
	closed    = irtv1.ConcernState_CONCERN_STATE_CLOSED
	withdrawn = irtv1.ConcernState_CONCERN_STATE_WITHDRAWN
)

// move is what an agency does with a concern of its own.
type move string

const (
	submit     move = "submit"
	closing    move = "close"
	withdrawal move = "withdraw"
)

// moves are those that there are, by state, in the order of their names. What is
// closed or withdrawn stays so.
var moves = map[irtv1.ConcernState][]move{open: {closing, submit, withdrawal}}

// may refuses a move that the state does not have, naming those that it has.
func (v *version) may(m move) error {
	legal := make([]string, 0, len(moves[v.state]))
	for _, one := range moves[v.state] {
		if one == m {
			return nil
		}
		legal = append(legal, string(one))
	}
	return rpc.IllegalMove("concern", stateText(v.state), legal,
		"what can be done with it is", "nothing can be done with it; a new concern needs a name of its own")
}

// overtaken says that a colleague was faster.
func (v *version) overtaken() error {
	return rpc.Overtaken(stateText(v.state), v.etag(),
		"Somebody was faster: the concern is "+stateText(v.state)+" now. Read it again.")
}

func stateText(s irtv1.ConcernState) string { return strings.TrimPrefix(s.String(), "CONCERN_STATE_") }
