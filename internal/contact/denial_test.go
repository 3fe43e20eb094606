package contact_test

import (
	"context"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/contact"
	"irthub/internal/pg"
	"irthub/internal/rpc"
	"irthub/internal/standard"
)

// statements counts those that a pool sends.
type statements struct{ n atomic.Int64 }

func (s *statements) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	s.n.Add(1)
	return ctx
}

func (*statements) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

func (s *statements) TraceBatchStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceBatchStartData) context.Context {
	s.n.Add(int64(data.Batch.Len()))
	return ctx
}

func (*statements) TraceBatchQuery(context.Context, *pgx.Conn, pgx.TraceBatchQueryData) {}
func (*statements) TraceBatchEnd(context.Context, *pgx.Conn, pgx.TraceBatchEndData)     {}

// count is how many statements a call takes.
func (s *statements) count(call func()) int64 {
	before := s.n.Load()
	call()
	return s.n.Load() - before
}

// A denial takes the same statements whether the thing is there, and asking the same
// whether there is anybody to answer: what takes longer tells something.
func TestDenialsTakeTheSameStatements(t *testing.T) {
	t.Parallel()
	h, counted := newHub(t), &statements{}
	pool, err := pg.Open(t.Context(), h.pool.Config().ConnString(), pg.Options{Tracer: counted})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	h.Service = contact.New(pool, h.directory, h.tokens)
	served := h.submit("school", nhsNumber, "Rosalind", "2015-06-02")
	h.involve("clinic", served)
	alone := h.submit("gp", otherChild, "Barnaby", "2012-01-09")
	q := h.ask("school/ann", served)
	h.ask("school/ann", alone)
	with := counted.count(func() { h.ask("school/ann", served) })
	without := counted.count(func() { h.ask("school/ann", alone) })
	if with != without || with == 0 {
		t.Errorf("asking takes %d statements with a service, %d without", with, without)
	}
	h.exec(`INSERT INTO child_sharing (child_id, archive_date) SELECT child_id, '2026-01-01' FROM child_records WHERE agency_id = 'gp'`)
	const noRequest = "agencies/school/contactRequests/0198c0de-0000-7000-8000-000000000000"
	noChild := rpc.ChildName(standard.NewChildID())
	for what, pair := range map[string][2]func() error{
		"RequestContact": {
			func() error { _, err := h.askFor("school/ann", alone, "agencies/gp/involvements/i"); return err },
			func() error { _, err := h.askFor("school/ann", noChild, "agencies/gp/involvements/i"); return err },
		},
		"GetContactRequest":    {func() error { return h.get("charity/ann", q.GetName()) }, func() error { return h.get("charity/ann", noRequest) }},
		"ListContactMessages":  {func() error { return h.messages("charity/ann", q.GetName()) }, func() error { return h.messages("charity/ann", noRequest) }},
		"AnswerContactRequest": {func() error { return h.answer("charity/ann", q.GetName()) }, func() error { return h.answer("charity/ann", noRequest) }},
	} {
		var there, none error
		a := counted.count(func() { there = pair[0]() })
		b := counted.count(func() { none = pair[1]() })
		if a != b || a == 0 || there == nil || none == nil || there.Error() != none.Error() {
			t.Errorf("%s: %d statements and %v where it is there, %d and %v where it is not", what, a, there, b, none)
		}
	}
}

func (h *hub) get(person, name string) error {
	_, err := h.GetContactRequest(by(h.t, person), &irtv1.GetContactRequestRequest{Name: name})
	return err
}

func (h *hub) messages(person, name string) error {
	_, err := h.ListContactMessages(by(h.t, person), &irtv1.ListContactMessagesRequest{Parent: name})
	return err
}

func (h *hub) answer(person, name string) error {
	_, err := h.AnswerContactRequest(by(h.t, person), &irtv1.AnswerContactRequestRequest{Name: name, Text: "x"})
	return err
}
