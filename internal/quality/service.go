// Package quality is irt.v1.QualityService: what is missing, doubled or at odds in
// the index, per agency, and the gaps and duplications between agencies. It reads
// what others keep, and writes nothing.
package quality

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/agencies"
	"irthub/internal/audit"
	"irthub/internal/children"
	"irthub/internal/identity"
	"irthub/internal/redact"
	"irthub/internal/rpc"
	"irthub/internal/sharing"
)

const (
	pageDefault = 100
	pageMost    = 1000
)

// Service is irt.v1.QualityService.
type Service struct {
	irtv1.UnimplementedQualityServiceServer

	pool      *pgxpool.Pool
	directory *agencies.Directory
	tokens    *rpc.PageTokens
}

// New makes the service.
func New(pool *pgxpool.Pool, directory *agencies.Directory, tokens *rpc.PageTokens) *Service {
	return &Service{pool: pool, directory: directory, tokens: tokens}
}

// GetQualityReport implements irtv1.QualityServiceServer.
func (s *Service) GetQualityReport(ctx context.Context, req *irtv1.GetQualityReportRequest) (*irtv1.QualityReport, error) {
	agency, err := scope(ctx, req.GetAgency())
	if err != nil {
		return nil, err
	}
	out := &irtv1.QualityReport{}
	if out.Agencies, err = s.count(ctx, agency); err != nil {
		return nil, err
	}
	if err := s.countQueries(ctx, agency, out.GetAgencies()); err != nil {
		return nil, err
	}
	if agency == "" {
		err = s.countChildren(ctx, time.Now(), out)
	}
	return out, err
}

// scope is the agency whose records the caller may ask about, "" for all.
func scope(ctx context.Context, asked string) (string, error) {
	caller := identity.FromContext(ctx)
	agency := strings.TrimPrefix(asked, "agencies/")
	if agency == "" && !sharing.MayReadRecord(caller, "-") { // any agency's
		agency = caller.Agency
	}
	if agency != "" && !sharing.MayReadRecord(caller, agency) {
		return "", rpc.Denied()
	}
	return agency, nil
}

// ListQualityFindings implements irtv1.QualityServiceServer.
func (s *Service) ListQualityFindings(ctx context.Context, req *irtv1.ListQualityFindingsRequest) (*irtv1.ListQualityFindingsResponse, error) {
	cursor, err := s.tokens.Decode("ListQualityFindings", req, req.GetPageToken())
	if err != nil {
		return nil, err
	}
	agency, err := scope(ctx, req.GetAgency())
	if err != nil {
		return nil, err
	}
	var after uuid.UUID
	if len(cursor) == len(after) {
		after = uuid.UUID(cursor)
	}
	size := int(rpc.PageSize(req.GetPageSize(), pageDefault, pageMost))
	list, err := s.list(ctx, req.GetKind(), agency, after, size+1)
	if err != nil {
		return nil, err
	}
	out := &irtv1.ListQualityFindingsResponse{}
	if len(list) > size {
		list = list[:size]
		last := list[size-1].id
		if out.NextPageToken, err = s.tokens.Encode("ListQualityFindings", req, last[:]); err != nil {
			return nil, err
		}
	}
	access := audit.FromContext(ctx)
	for i := range list {
		f := list[i].message(req.GetKind())
		access.AddChild(list[i].child)
		if f.GetChildRecord() != "" {
			access.AddReturned(f.GetChildRecord())
		}
		out.Findings = append(out.Findings, f)
	}
	return out, s.show(ctx, list, out.GetFindings())
}

// show shows findings: an agency its own, and others by what they are shown of the
// child.
func (s *Service) show(ctx context.Context, list []found, messages []*irtv1.QualityFinding) error {
	asker := s.directory.Asker(ctx)
	var foreign []uuid.UUID
	for i := range list {
		if !asker.Owns(list[i].agency) {
			foreign = append(foreign, list[i].child)
		}
	}
	standings := map[uuid.UUID]*children.Standing{}
	if len(foreign) > 0 {
		var err error
		if standings, err = children.Standings(ctx, s.pool, asker, foreign...); err != nil {
			return err
		}
	}
	for i, m := range messages {
		d := sharing.Own(asker.Caller, list[i].agency)
		if standing := standings[list[i].child]; standing != nil {
			d = sharing.Decide(sharing.See, standing.Said(asker, list[i].agency))
		}
		redact.Show(ctx, m, d)
	}
	return nil
}

func (s *Service) list(ctx context.Context, kind irtv1.QualityFindingKind, agency string, after uuid.UUID, limit int) ([]found, error) {
	if condition, ok := conditionOf(ofRecords, kind); ok {
		return s.listRecords(ctx, condition, agency, after, limit)
	}
	condition, ok := conditionOf(ofChildren, kind)
	if !ok || agency != "" {
		return nil, rpc.Denied()
	}
	return s.listChildren(ctx, condition, time.Now(), after, limit)
}

// message names the finding. The rules broken stand before the field in a query.
func (f *found) message(kind irtv1.QualityFindingKind) *irtv1.QualityFinding {
	m := &irtv1.QualityFinding{Kind: kind, Child: rpc.ChildName(f.child), ChildRecord: f.record}
	if kind != irtv1.QualityFindingKind_QUALITY_FINDING_KIND_QUERY {
		return m
	}
	for _, q := range f.queries {
		rule, _, _ := strings.Cut(q, " ")
		if !slices.Contains(m.GetRuleIds(), rule) {
			m.RuleIds = append(m.RuleIds, rule)
		}
	}
	return m
}
