package accesses

import (
	"bytes"
	"context"
	"time"

	"google.golang.org/genproto/googleapis/api/httpbody"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/accesslog"
	"irthub/internal/agencies"
	"irthub/internal/audit"
	"irthub/internal/identity"
	"irthub/internal/rpc"
	"irthub/internal/standard"
)

const (
	unusualDefault = 100
	unusualMost    = 1000
	unusualPeriod  = 7 * 24 * time.Hour
	longestPeriod  = 92 * 24 * time.Hour
)

// ListUnusualAccess implements irtv1.AuditServiceServer.
func (s *Service) ListUnusualAccess(ctx context.Context, req *irtv1.ListUnusualAccessRequest) (*irtv1.ListUnusualAccessResponse, error) {
	found, more, err := s.unusual(ctx, req)
	if err != nil {
		return nil, err
	}
	out := &irtv1.ListUnusualAccessResponse{More: more}
	for i := range found {
		out.Callers = append(out.Callers, unusualMessage(&found[i]))
	}
	return out, nil
}

// ExportUnusualAccess implements irtv1.AuditServiceServer.
func (s *Service) ExportUnusualAccess(ctx context.Context, req *irtv1.ListUnusualAccessRequest) (*httpbody.HttpBody, error) {
	found, _, err := s.unusual(ctx, req)
	if err != nil {
		return nil, err
	}
	var file bytes.Buffer
	if err := accesslog.WriteUnusual(&file, found); err != nil {
		return nil, err
	}
	return &httpbody.HttpBody{ContentType: "text/csv; charset=utf-8", Data: file.Bytes()}, nil
}

func (s *Service) unusual(ctx context.Context, req *irtv1.ListUnusualAccessRequest) (found []accesslog.Unusual, more bool, err error) {
	since, until, err := period(req, time.Now())
	if err != nil {
		return nil, false, err
	}
	agency := ""
	if req.GetAgency() != "" {
		var ok bool
		if agency, ok = agencies.ParseName(req.GetAgency()); !ok {
			return nil, false, rpc.NotFound("agency")
		}
	}
	size := int(rpc.PageSize(req.GetPageSize(), unusualDefault, unusualMost))
	found, err = accesslog.ListUnusual(ctx, s.pool, since, until, agency, size+1)
	if err != nil {
		return nil, false, err
	}
	if more = len(found) > size; more {
		found = found[:size]
	}
	audit.FromContext(ctx).AddReturned("unusualAccess")
	return found, more, nil
}

func period(req *irtv1.ListUnusualAccessRequest, now time.Time) (since, until time.Time, err error) {
	until = now
	if req.GetUntil() != nil {
		until = req.GetUntil().AsTime()
	}
	since = until.Add(-unusualPeriod)
	if req.GetSince() != nil {
		since = req.GetSince().AsTime()
	}
	if !since.Before(until) || until.Sub(since) > longestPeriod {
		return since, until, rpc.Invalid([]standard.Fault{{
			Field: "since", RuleID: "PERIOD_RANGE", Description: "The period is empty, or longer than 92 days.",
			Action: "Send a since before until, at most 92 days.",
		}})
	}
	return since, until, nil
}

func unusualMessage(u *accesslog.Unusual) *irtv1.UnusualAccess {
	role, _ := identity.ParseRole(u.Role)
	m := &irtv1.UnusualAccess{
		Agency: agencies.Name(u.Agency), Role: role, Accesses: u.Accesses, Children: u.Children,
		ChildrenNotInvolved: u.NotInvolved, ChildrenOwnSurname: u.OwnSurname, OutOfHours: u.OutOfHours,
		Emergencies: u.Emergencies, Denied: u.Denied, OverLimit: u.OverLimit,
	}
	if u.Practitioner != "" {
		m.Practitioner = agencies.PractitionerName(u.Agency, u.Practitioner)
	}
	for _, sign := range u.Signs() {
		m.Signs = append(m.Signs, irtv1.UnusualAccessSign(irtv1.UnusualAccessSign_value["UNUSUAL_ACCESS_SIGN_"+sign]))
	}
	return m
}
