package concerns

import (
	"strings"

	"google.golang.org/grpc/codes"

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
	text := "nothing can be done with it; a new concern needs a name of its own"
	if len(legal) > 0 {
		text = "what can be done with it is " + strings.Join(legal, ", ")
	}
	return rpc.ErrorWith(codes.FailedPrecondition, irtv1.ErrorReason_ERROR_REASON_FAILED_PRECONDITION,
		map[string]string{"state": stateText(v.state), "moves": strings.Join(legal, ",")},
		"The concern is "+stateText(v.state)+": "+text+".")
}

// overtaken says that a colleague was faster.
func (v *version) overtaken() error {
	return rpc.ErrorWith(codes.Aborted, irtv1.ErrorReason_ERROR_REASON_ETAG_MISMATCH,
		map[string]string{"etag": v.etag(), "state": stateText(v.state)},
		"Somebody was faster: the concern is "+stateText(v.state)+" now. Read it again.")
}

func stateText(s irtv1.ConcernState) string { return strings.TrimPrefix(s.String(), "CONCERN_STATE_") }
