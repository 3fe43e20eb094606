package contact

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/agencies"
	"irthub/internal/rpc"
	"irthub/internal/sharing"
)

// GetContactRequest implements irt.v1.ContactService.
func (s *Service) GetContactRequest(ctx context.Context, req *irtv1.GetContactRequestRequest) (*irtv1.ContactRequest, error) {
	return s.read(ctx, s.directory.Asker(ctx), req.GetName())
}

// A side's state is that which is stored, but for what is open though its time is
// over: $5 is the state that is wanted, 0 for any, $6 the present.
const (
	askedSQL = `SELECT q.contact_request_id FROM contact_requests q
		WHERE q.agency_id = $1 AND q.contact_request_id < $2 AND ` + inState + `
		ORDER BY q.contact_request_id DESC LIMIT $3`
	receivedSQL = `SELECT q.contact_request_id FROM contact_routes q
		JOIN involvements i ON i.child_id = q.child_id AND i.involvement_id = q.involvement_id
		WHERE q.agency_id = $1 AND q.contact_request_id < $2 AND ` + inState + `
		ORDER BY q.contact_request_id DESC LIMIT $3`
	inState = `($4 = 0 OR $4 = CASE WHEN q.state = 1 AND q.expire_time <= $5 THEN 5 ELSE q.state END)`
)

// ListContactRequests implements irt.v1.ContactService.
func (s *Service) ListContactRequests(ctx context.Context, req *irtv1.ListContactRequestsRequest) (*irtv1.ListContactRequestsResponse, error) {
	const method = irtv1.ContactService_ListContactRequests_FullMethodName
	asker := s.directory.Asker(ctx)
	agency, ok := agencies.ParseName(req.GetParent())
	facts := asker.Facts()
	facts.Own = ok && asker.Owns(agency)
	if !sharing.Decide(sharing.TakePart, facts).Allowed() {
		return nil, rpc.Denied()
	}
	before := uuid.Max
	cursor, err := s.tokens.Decode(method, req, req.GetPageToken())
	if err != nil {
		return nil, err
	}
	if cursor != nil {
		copy(before[:], cursor)
	}
	size, now := int(rpc.PageSize(req.GetPageSize(), defaultPage, largestPage)), time.Now()
	sql := askedSQL
	if req.GetReceived() {
		sql = receivedSQL
	}
	rows, err := s.pool.Query(ctx, sql, agency, [16]byte(before), size+1, int32(req.GetState()), now)
	if err != nil {
		return nil, fmt.Errorf("contact: listing requests: %w", err)
	}
	found, err := pgx.CollectRows(rows, pgx.RowTo[[16]byte])
	if err != nil {
		return nil, fmt.Errorf("contact: listing requests: %w", err)
	}
	out := &irtv1.ListContactRequestsResponse{}
	if len(found) > size {
		found = found[:size]
		if out.NextPageToken, err = s.tokens.Encode(method, req, found[size-1][:]); err != nil {
			return nil, err
		}
	}
	out.ContactRequests, err = s.partsIn(ctx, found, asker, now)
	return out, err
}

// partsIn are those of some requests in which the asker has a part, as it is shown them.
func (s *Service) partsIn(ctx context.Context, found [][16]byte, asker agencies.Asker, now time.Time) ([]*irtv1.ContactRequest, error) {
	ids := make([]uuid.UUID, len(found))
	for i, id := range found {
		ids[i] = id
	}
	all, err := load(ctx, s.pool, "", ids...)
	if err != nil {
		return nil, err
	}
	return s.parts(ctx, all, asker, now), nil
}

// parts are those of requests in which the asker has a part, as they are at an instant.
func (s *Service) parts(ctx context.Context, all []*request, asker agencies.Asker, at time.Time) (out []*irtv1.ContactRequest) {
	for _, q := range all {
		if p, err := partyOf(q, asker, at); err == nil {
			out = append(out, s.shown(ctx, p, asker, s.message(p)))
		}
	}
	return out
}

// ofChildSQL lists the requests about a child in which an agency has a part.
const ofChildSQL = `SELECT r.contact_request_id FROM contact_requests r
	WHERE r.child_id = @child AND (r.agency_id = @agency OR EXISTS (SELECT 1 FROM contact_routes o
		JOIN involvements i ON i.child_id = o.child_id AND i.involvement_id = o.involvement_id
		WHERE o.child_id = @child AND o.contact_request_id = r.contact_request_id AND o.agency_id = @agency))
	ORDER BY r.contact_request_id DESC LIMIT @limit`

// OfChild lists the contact requests about a child in which the caller's agency has a
// part, as ListContactRequests shows them, the newest first. known is an instant to
// list them as the hub knew them then, of the child that was one then, or zero.
func (s *Service) OfChild(ctx context.Context, child string, known time.Time) ([]*irtv1.ContactRequest, error) {
	id, err := rpc.ParseChildName(child)
	if err != nil {
		return nil, err
	}
	asker := s.directory.Asker(ctx)
	if !known.IsZero() {
		return s.past(ctx, id, known, asker)
	}
	found, err := s.ofChild.List(ctx, pgx.NamedArgs{"child": [16]byte(id), "agency": asker.Agency, "limit": largestPage})
	if err != nil || len(found) == 0 {
		return nil, err
	}
	return s.partsIn(ctx, found, asker, time.Now())
}
