package contact_test

import (
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/contact"
)

// model is what a request is to its asker and to one whom it goes to, as the text of
// the schema has it.
type model struct {
	direct        bool
	asker, answer string // the states that each sees
}

// moves of each side by the state it sees.
var (
	askersMoves    = map[string]string{"OPEN": "cancel,sendMessage", "ANSWERED": "sendMessage"}
	answerersMoves = map[string]string{"OPEN": "answer,decline", "ANSWERED": "sendMessage"}
)

// may says whether a side has a move, and which state and moves it is told otherwise.
func (m *model) may(side, move string) (ok bool, state, moves string) {
	state, moves = m.asker, askersMoves[m.asker]
	if side == "clinic/ann" || side == "gp/ann" {
		state, moves = m.answer, answerersMoves[m.answer]
	}
	return slices.Contains(strings.Split(moves, ","), move), state, moves
}

// make is what a move that may be made, or the passing of time, comes to.
func (m *model) make(move string) {
	switch move {
	case "answer":
		m.answer, m.asker = "ANSWERED", "ANSWERED"
	case "decline":
		m.answer = "DECLINED"
		if m.direct {
			m.asker = "DECLINED"
		}
	case "cancel":
		m.asker = "CANCELLED"
		if m.answer == "OPEN" {
			m.answer = "CANCELLED"
		}
	case "time":
		for _, state := range []*string{&m.asker, &m.answer} {
			if *state == "OPEN" {
				*state = "EXPIRED"
			}
		}
	}
}

// Whatever is done in whichever order, each side sees the state that the model has,
// and what cannot be done is refused with that state and the moves there are.
func TestMovesAreThoseOfTheModel(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	child := h.submit("school", nhsNumber, "Rosalind", "2015-06-02")
	h.involve("clinic", child)
	h.involve("gp", child)
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	made, refused := 0, 0
	for range 60 {
		h.exec(`UPDATE contact_requests SET practitioner_id = 'earlier'`)
		m, other := &model{direct: r.IntN(2) == 0, asker: "OPEN", answer: "OPEN"}, "clinic/ann"
		var q *irtv1.ContactRequest
		if m.direct {
			other = "gp/ann"
			var err error
			if q, err = h.askFor("school/ann", child, "agencies/gp/involvements/i"); err != nil {
				t.Fatal(err)
			}
		} else {
			q, _ = h.RequestContact(by(t, "school/ann"), &irtv1.RequestContactRequest{Child: child, To: &irtv1.RequestContactRequest_Audience{
				Audience: irtv1.ContactAudience_CONTACT_AUDIENCE_SENSITIVE_SERVICES,
			}})
		}
		for range 6 {
			if r.IntN(8) == 0 {
				h.exec(`UPDATE contact_requests SET expire_time = now()`)
				h.exec(`UPDATE contact_routes SET expire_time = now()`)
				if r.IntN(2) == 0 {
					if err := contact.Sweep.Run(t.Context(), h.pool); err != nil {
						t.Fatal(err)
					}
				}
				m.make("time")
			}
			side := []string{"school/ann", other}[r.IntN(2)]
			moves := h.sideMoves(side, q.GetName())
			move := slices.Sorted(maps.Keys(moves))[r.IntN(len(moves))]
			may, wantState, wantMoves := m.may(side, move)
			code, state, legal := refusal(moves[move]())
			switch {
			case may && code == codes.OK:
				made++
				m.make(move)
			case !may && code == codes.FailedPrecondition && state == wantState && legal == wantMoves:
				refused++
			default:
				t.Fatalf("%s does %s, the model %+v: %v %s %s", side, move, m, code, state, legal)
			}
			for person, want := range map[string]string{"school/ann": m.asker, other: m.answer} {
				if seen, _ := h.read(person, q.GetName()); "CONTACT_REQUEST_STATE_"+want != seen.GetState().String() {
					t.Fatalf("after %s by %s %s sees %v, want %s", move, side, person, seen.GetState(), want)
				}
			}
		}
	}
	if made < 20 || refused < 20 {
		t.Errorf("%d moves were made and %d refused: the test sees little", made, refused)
	}
}

// sideMoves are the moves that a person can try.
func (h *hub) sideMoves(person, name string) map[string]func() error {
	ctx := by(h.t, person)
	moves := map[string]func() error{"sendMessage": func() error {
		_, err := h.SendContactMessage(ctx, &irtv1.SendContactMessageRequest{Parent: name, Message: &irtv1.ContactMessage{Text: "x"}})
		return err
	}}
	if strings.HasPrefix(person, "school/") {
		moves["cancel"] = func() error {
			_, err := h.CancelContactRequest(ctx, &irtv1.CancelContactRequestRequest{Name: name})
			return err
		}
	}
	moves["answer"] = func() error {
		_, err := h.AnswerContactRequest(ctx, &irtv1.AnswerContactRequestRequest{Name: name, Text: "x"})
		return err
	}
	moves["decline"] = func() error {
		_, err := h.DeclineContactRequest(ctx, &irtv1.DeclineContactRequestRequest{Name: name})
		return err
	}
	return moves
}
