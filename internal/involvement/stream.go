package involvement

import (
	"context"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	rpcstatus "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/children"
	"irthub/internal/rpc"
	"irthub/internal/standard"
)

// SubmitInvolvements implements irt.v1.InvolvementService.
func (s *Service) SubmitInvolvements(
	stream grpc.BidiStreamingServer[irtv1.SubmitInvolvementsRequest, irtv1.SubmitInvolvementsResponse],
) error {
	name := func(req *irtv1.SubmitInvolvementsRequest) string { return req.GetInvolvement().GetName() }
	return rpc.Submissions(stream, name, s.submitOf, answerOf)
}

// submitOf submits what one request of a stream is about.
func (s *Service) submitOf(ctx context.Context, req *irtv1.SubmitInvolvementsRequest) (*irtv1.Involvement, error) {
	a, err := s.submitOne(ctx, req.GetInvolvement(), req.GetValidateOnly())
	if err != nil {
		return nil, err
	}
	return s.written(ctx, &a.shown)
}

// answerOf is the answer to one request of a stream.
func answerOf(req *irtv1.SubmitInvolvementsRequest, shown *irtv1.Involvement, refused *rpcstatus.Status) *irtv1.SubmitInvolvementsResponse {
	out := &irtv1.SubmitInvolvementsResponse{RequestId: req.GetRequestId(), Outcome: &irtv1.SubmitInvolvementsResponse_Result{Result: shown}}
	if refused != nil {
		out.Outcome = &irtv1.SubmitInvolvementsResponse_Error{Error: refused}
	}
	return out
}

// Submit takes one involvement through admission and the write pipeline, waiting
// for a place there: for files, which are slowed down rather than refused. The
// caller and the access entry are those of ctx; the involvement has an entry of its
// own beside it. Errors are as of SubmitInvolvement.
func (s *Service) Submit(ctx context.Context, i *irtv1.Involvement, validateOnly bool) (changed bool, err error) {
	a, err := s.submitOne(ctx, i, validateOnly)
	return err == nil && !a.unchanged, err
}

// submitOne submits one involvement of many.
func (s *Service) submitOne(ctx context.Context, i *irtv1.Involvement, validateOnly bool) (*answer, error) {
	a, err := s.writeOne(ctx, i, validateOnly)
	if err != nil {
		return nil, s.access.Refused(ctx, i.GetName(), err)
	}
	return a, nil
}

func (s *Service) writeOne(ctx context.Context, i *irtv1.Involvement, validateOnly bool) (*answer, error) {
	if i == nil {
		return nil, rpc.Invalid([]standard.Fault{standard.FaultOf("REQUIRED", "involvement")})
	}
	c, err := s.admit(ctx, i)
	if err != nil {
		return nil, err
	}
	c.bulk = true
	if validateOnly {
		return s.rehearser.Do(ctx, c)
	}
	c.access = c.access.Fork()
	c.access.SetQueryName(i.GetName())
	return s.writer.Do(ctx, c)
}

// exportSQL lists an agency's involvements by their ids, which lie together.
var exportSQL = `
	SELECT ` + qualify(columns, "i") + `, ` + qualify(contactColumns, "p") + `, EXISTS (
		SELECT 1 FROM lead_professionals l WHERE l.child_id = i.child_id AND l.involvement_id = i.involvement_id
			AND l.start_date <= $5 AND (l.end_date IS NULL OR l.end_date >= $5))
	FROM involvements i
	LEFT JOIN practitioners p ON p.agency_id = i.agency_id AND p.practitioner_id = i.practitioner_id
	WHERE i.involvement_id > $1 AND i.involvement_id <= $2 AND i.agency_id = $3
	ORDER BY i.involvement_id LIMIT $4`

// Export gives the involvements of an agency after a place, which is nil before the
// first, in the order of their keys, and the place after them; nil where there are
// no more. The caller must be one who may read them; sensitive ones are left out for
// all but the agency.
func (s *Service) Export(ctx context.Context, agency string, after []byte, limit int) (list []*irtv1.Involvement, last []byte, err error) {
	first, end := standard.RecordRange(agency)
	if len(after) == len(first) {
		copy(first[:], after)
	}
	rows, err := s.pool.Query(ctx, exportSQL, [16]byte(first), [16]byte(end), agency, limit, s.today())
	if err != nil {
		return nil, nil, fmt.Errorf("involvement: exporting: %w", err)
	}
	found, err := pgx.CollectRows(rows, scanShown)
	if err != nil {
		return nil, nil, fmt.Errorf("involvement: exporting: %w", err)
	}
	asker := s.directory.Asker(ctx)
	standings := map[uuid.UUID]*children.Standing{}
	if !asker.Owns(agency) {
		ids := make([]uuid.UUID, len(found))
		for i, v := range found {
			ids[i] = v.childID
		}
		if standings, err = children.Standings(ctx, s.pool, asker, ids...); err != nil {
			return nil, nil, err
		}
	}
	for _, v := range found {
		last = v.id[:]
		st := standings[v.childID]
		if st == nil {
			st = &children.Standing{}
		}
		visible, err := s.visible(ctx, asker, st, &v.version)
		if err != nil {
			return nil, nil, err
		}
		if !visible {
			continue
		}
		m, err := s.message(ctx, asker, st, v)
		if err != nil {
			return nil, nil, err
		}
		list = append(list, m)
	}
	return list, last, nil
}
