package exchange

import (
	"context"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/agencies"
	"irthub/internal/audit"
	"irthub/internal/identity"
	"irthub/internal/rpc"
	"irthub/internal/sharing"
)

// exportBatch is how many records are read, recorded in the access log and sent at
// once.
const exportBatch = 200

// exported decides whether the caller may have the records of an agency, and which
// agency that is.
func exported(ctx context.Context, parent string) (agency string, err error) {
	caller := identity.FromContext(ctx)
	agency, ok := agencies.ParseName(parent)
	if parent == "agencies/-" {
		agency, ok = caller.Agency, true
	}
	if !ok || !sharing.MayReadRecord(caller, agency) {
		return "", rpc.Denied()
	}
	return agency, nil
}

// ExportChildRecords implements irtv1.ExportServiceServer. What is added to the
// access entry before a message is sent is durable before it leaves.
func (s *Service) ExportChildRecords(
	req *irtv1.ExportChildRecordsRequest, stream grpc.ServerStreamingServer[irtv1.ExportChildRecordsResponse],
) error {
	ctx := stream.Context()
	agency, err := exported(ctx, req.GetParent())
	if err != nil {
		return err
	}
	entry := audit.FromContext(ctx)
	for after := []byte(nil); ; {
		held, err := s.records.Export(ctx, agency, after, exportBatch)
		if err != nil || len(held) == 0 {
			return err
		}
		out := &irtv1.ExportChildRecordsResponse{}
		for _, h := range held {
			entry.AddChild(h.Child)
			entry.AddReturned(h.Record.GetName())
			out.ChildRecords = append(out.ChildRecords, h.Record)
		}
		if err := stream.Send(out); err != nil {
			return err
		}
		after = held[len(held)-1].Place
	}
}

// ExportInvolvements implements irtv1.ExportServiceServer.
func (s *Service) ExportInvolvements(
	req *irtv1.ExportInvolvementsRequest, stream grpc.ServerStreamingServer[irtv1.ExportInvolvementsResponse],
) error {
	ctx := stream.Context()
	agency, err := exported(ctx, req.GetParent())
	if err != nil {
		return err
	}
	return eachPlace(ctx, agency, s.involvements.Export,
		func(all []*irtv1.Involvement) error {
			return stream.Send(&irtv1.ExportInvolvementsResponse{Involvements: all})
		})
}

// ExportConsents implements irtv1.ExportServiceServer.
func (s *Service) ExportConsents(
	req *irtv1.ExportConsentsRequest, stream grpc.ServerStreamingServer[irtv1.ExportConsentsResponse],
) error {
	ctx := stream.Context()
	agency, err := exported(ctx, req.GetParent())
	if err != nil {
		return err
	}
	return eachPlace(ctx, agency, s.consents.Export,
		func(all []*irtv1.Consent) error { return stream.Send(&irtv1.ExportConsentsResponse{Consents: all}) })
}

// eachPlace sends what an agency has, from place to place in the order of the keys, and
// adds it to the access entry.
func eachPlace[R interface {
	GetName() string
	GetChild() string
}](
	ctx context.Context, agency string, read func(ctx context.Context, agency string, after []byte, limit int) ([]R, []byte, error), send func([]R) error,
) error {
	entry := audit.FromContext(ctx)
	for after := []byte(nil); ; {
		list, last, err := read(ctx, agency, after, exportBatch)
		if err != nil || last == nil {
			return err
		}
		for _, m := range list {
			if child, err := rpc.ParseChildName(m.GetChild()); err == nil {
				entry.AddChild(child)
			}
			entry.AddReturned(m.GetName())
		}
		if len(list) > 0 {
			if err := send(list); err != nil {
				return err
			}
		}
		after = last
	}
}

// ExportConcerns implements irtv1.ExportServiceServer: ListConcerns, page after page,
// by its rules.
func (s *Service) ExportConcerns(
	req *irtv1.ExportConcernsRequest, stream grpc.ServerStreamingServer[irtv1.ExportConcernsResponse],
) error {
	agency, err := exported(stream.Context(), req.GetParent())
	if err != nil {
		return err
	}
	page := &irtv1.ListConcernsRequest{Parent: agencies.Name(agency), PageSize: exportBatch}
	return eachPage(stream.Context(), page, &page.PageToken, s.concerns.ListConcerns, (*irtv1.ListConcernsResponse).GetConcerns,
		func(all []*irtv1.Concern) error { return stream.Send(&irtv1.ExportConcernsResponse{Concerns: all}) })
}

// ExportReferrals implements irtv1.ExportServiceServer: ListReferrals of those sent,
// page after page, by its rules.
func (s *Service) ExportReferrals(
	req *irtv1.ExportReferralsRequest, stream grpc.ServerStreamingServer[irtv1.ExportReferralsResponse],
) error {
	agency, err := exported(stream.Context(), req.GetParent())
	if err != nil {
		return err
	}
	page := &irtv1.ListReferralsRequest{Parent: agencies.Name(agency), Sent: true, PageSize: exportBatch}
	return eachPage(stream.Context(), page, &page.PageToken, s.referrals.ListReferrals, (*irtv1.ListReferralsResponse).GetReferrals,
		func(all []*irtv1.Referral) error { return stream.Send(&irtv1.ExportReferralsResponse{Referrals: all}) })
}

// ExportPlans implements irtv1.ExportServiceServer: ListPlans, page after page, by its
// rules.
func (s *Service) ExportPlans(req *irtv1.ExportPlansRequest, stream grpc.ServerStreamingServer[irtv1.ExportPlansResponse]) error {
	agency, err := exported(stream.Context(), req.GetParent())
	if err != nil {
		return err
	}
	page := &irtv1.ListPlansRequest{Parent: agencies.Name(agency), IncludeEnded: true, PageSize: exportBatch}
	return eachPage(stream.Context(), page, &page.PageToken, s.plans.ListPlans, (*irtv1.ListPlansResponse).GetPlans,
		func(all []*irtv1.ProtectionPlan) error { return stream.Send(&irtv1.ExportPlansResponse{Plans: all}) })
}

// ExportServices implements irtv1.ExportServiceServer: ListServices, page after page, by
// its rules.
func (s *Service) ExportServices(req *irtv1.ExportServicesRequest, stream grpc.ServerStreamingServer[irtv1.ExportServicesResponse]) error {
	agency, err := exported(stream.Context(), req.GetParent())
	if err != nil {
		return err
	}
	entry := audit.FromContext(stream.Context())
	page := &irtv1.ListServicesRequest{Parent: agencies.Name(agency), IncludeInactive: true, PageSize: exportBatch}
	return eachPage(stream.Context(), page, &page.PageToken, s.services.ListServices, (*irtv1.ListServicesResponse).GetServices,
		func(all []*irtv1.Service) error {
			for _, m := range all {
				entry.AddReturned(m.GetName())
			}
			return stream.Send(&irtv1.ExportServicesResponse{Services: all})
		})
}

// eachPage sends what is on the pages of a list. token is that of the request.
func eachPage[Req, R any, Page interface{ GetNextPageToken() string }](
	ctx context.Context, req Req, token *string, list func(context.Context, Req) (Page, error), of func(Page) []R, send func([]R) error,
) error {
	for {
		page, err := list(ctx, req)
		if err != nil {
			return err
		}
		if all := of(page); len(all) > 0 {
			if err := send(all); err != nil {
				return err
			}
		}
		if *token = page.GetNextPageToken(); *token == "" {
			return nil
		}
	}
}

// ExportAccesses implements irtv1.ExportServiceServer: ListAccesses, page after
// page, by its rules.
func (s *Service) ExportAccesses(
	req *irtv1.ExportAccessesRequest, stream grpc.ServerStreamingServer[irtv1.ExportAccessesResponse],
) error {
	if _, err := rpc.ParseChildName(req.GetParent()); err != nil {
		return rpc.Denied()
	}
	page := &irtv1.ListAccessesRequest{
		Parent: req.GetParent(), Since: req.GetSince(), Until: req.GetUntil(), PageSize: exportBatch,
	}
	return eachPage(stream.Context(), page, &page.PageToken, s.accesses.ListAccesses, (*irtv1.ListAccessesResponse).GetAccesses,
		func(all []*irtv1.Access) error { return stream.Send(&irtv1.ExportAccessesResponse{Accesses: all}) })
}

// ExportQualityFindings implements irtv1.ExportServiceServer: ListQualityFindings,
// kind after kind and page after page, by its rules.
func (s *Service) ExportQualityFindings(
	req *irtv1.ExportQualityFindingsRequest, stream grpc.ServerStreamingServer[irtv1.ExportQualityFindingsResponse],
) error {
	kinds := req.GetKinds()
	if len(kinds) == 0 {
		for kind := irtv1.QualityFindingKind_QUALITY_FINDING_KIND_NO_NHS_NUMBER; irtv1.QualityFindingKind_name[int32(kind)] != ""; kind++ {
			kinds = append(kinds, kind)
		}
	}
	for _, kind := range kinds {
		err := s.exportFindings(&irtv1.ListQualityFindingsRequest{Kind: kind, Agency: req.GetAgency(), PageSize: exportBatch}, stream)
		if status.Code(err) == codes.PermissionDenied && len(req.GetKinds()) == 0 && aboutChildren(kind) {
			continue
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *Service) exportFindings(
	page *irtv1.ListQualityFindingsRequest, stream grpc.ServerStreamingServer[irtv1.ExportQualityFindingsResponse],
) error {
	return eachPage(stream.Context(), page, &page.PageToken, s.findings.ListQualityFindings, (*irtv1.ListQualityFindingsResponse).GetFindings,
		func(all []*irtv1.QualityFinding) error {
			return stream.Send(&irtv1.ExportQualityFindingsResponse{Findings: all})
		})
}

// aboutChildren tells the kinds about children rather than records, which are for
// data managers.
func aboutChildren(kind irtv1.QualityFindingKind) bool {
	return kind >= irtv1.QualityFindingKind_QUALITY_FINDING_KIND_SEVERAL_WITHOUT_LEAD
}
