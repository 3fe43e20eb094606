// Package timeline tells what happened to a child in one list, from what the methods
// that list each kind show the caller. It reads nothing of its own, so that it can
// show nothing that they withhold.
package timeline

import (
	"context"
	"time"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/children"
	"irthub/internal/rpc"
	"irthub/internal/standard"
)

// Sizes of a page, as the schema states them.
const (
	defaultPage = 50
	largestPage = 1000
)

// Sources are the features that a timeline is made of.
type Sources struct {
	Children     irtv1.ChildServiceServer
	Involvements irtv1.InvolvementServiceServer
	Concerns     irtv1.ConcernServiceServer
	Referrals    irtv1.ReferralServiceServer
	Consents     irtv1.ConsentServiceServer
	Contacts     Contacts
}

// Contacts lists the contact requests about a child in which the caller has a part, as
// the hub knew them at an instant, or now where that is zero.
type Contacts interface {
	OfChild(ctx context.Context, child string, known time.Time) ([]*irtv1.ContactRequest, error)
}

// Service is irt.v1.TimelineService.
type Service struct {
	irtv1.UnimplementedTimelineServiceServer

	from   Sources
	tokens *rpc.PageTokens
}

// New makes the service.
func New(from Sources, tokens *rpc.PageTokens) *Service {
	return &Service{from: from, tokens: tokens}
}

// ListTimelineEntries implements irt.v1.TimelineService.
func (s *Service) ListTimelineEntries(ctx context.Context, req *irtv1.ListTimelineEntriesRequest) (*irtv1.ListTimelineEntriesResponse, error) {
	const method = irtv1.TimelineService_ListTimelineEntries_FullMethodName
	if err := checkTimes(req); err != nil {
		return nil, err
	}
	cursor, err := s.tokens.Decode(method, req, req.GetPageToken())
	if err != nil {
		return nil, err
	}
	ctx = children.OneReading(ctx)
	t := &timeline{Service: s, req: req, out: &irtv1.ListTimelineEntriesResponse{}}
	if err := t.gather(ctx); err != nil {
		return nil, err
	}
	size := int(rpc.PageSize(req.GetPageSize(), defaultPage, largestPage))
	if last := t.page(cursor, size); last != nil {
		if t.out.NextPageToken, err = s.tokens.Encode(method, req, last); err != nil {
			return nil, err
		}
	}
	return t.out, nil
}

func checkTimes(req *irtv1.ListTimelineEntriesRequest) error {
	var faults []standard.Fault
	if req.GetAsOf() != "" {
		if _, err := standard.ParseDate(req.GetAsOf()); err != nil {
			faults = append(faults, standard.FaultOf("DATE_INVALID", "as_of"))
		}
	}
	if faults = append(faults, rpc.KnownAtFaults(req.GetKnownAt())...); len(faults) > 0 {
		return rpc.Invalid(faults)
	}
	return nil
}
