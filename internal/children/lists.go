package children

import (
	"cmp"
	"context"
	"encoding/binary"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/audit"
	"irthub/internal/identity"
	"irthub/internal/match"
	"irthub/internal/pg"
	"irthub/internal/redact"
	"irthub/internal/rpc"
	"irthub/internal/sharing"
	"irthub/internal/standard"
)

const (
	pageDefault = 50
	pageMost    = 1000
	// candidatesMost is how many candidates MatchChild shows.
	candidatesMost = 10
)

// ListChildRecords implements irtv1.ChildServiceServer.
func (s *Service) ListChildRecords(ctx context.Context, req *irtv1.ListChildRecordsRequest) (*irtv1.ListChildRecordsResponse, error) {
	access := audit.FromContext(ctx)
	agency, ok := strings.CutPrefix(req.GetParent(), "agencies/")
	if !ok || agency == "" {
		return nil, rpc.NotFound("agency")
	}
	var child uuid.UUID
	if req.GetChild() != "" {
		id, err := rpc.ParseChildName(req.GetChild())
		if err != nil {
			return nil, err
		}
		v, err := s.present(ctx, id)
		if err != nil {
			return nil, err
		}
		child = v.entry.id
		access.AddChild(child)
		if _, err := s.decide(ctx, s.directory.Asker(ctx), v); err != nil {
			return nil, err
		}
	}
	after, err := s.tokens.Decode("ListChildRecords", req, req.GetPageToken())
	if err != nil {
		return nil, err
	}
	var out *irtv1.ListChildRecordsResponse
	switch {
	case agency != "-" && !sharing.MayReadRecord(identity.FromContext(ctx), agency):
		return nil, rpc.Denied()
	case child != uuid.Nil:
		out, err = s.recordsOfChild(ctx, child, agency)
	case agency == "-":
		return nil, rpc.Invalid([]standard.Fault{{
			Field: "child", RuleID: "REQUIRED", Description: "The parent agencies/- lists the records of one child.",
			Action: "Name the child, or one agency as the parent.",
		}})
	default:
		out, err = s.recordsOfAgency(ctx, req, agency, after)
	}
	if err != nil {
		return nil, err
	}
	for _, r := range out.GetChildRecords() {
		access.AddReturned(r.GetName())
	}
	return out, nil
}

// recordsSQL lists the records linked to a child.
var recordsSQL = `SELECT ` + recordList + ` FROM child_records
	WHERE child_id = @child ORDER BY create_time, record_id LIMIT @limit`

// recordsOfChild lists what the caller may see of the records linked to a child.
// They are few, so they come in one page.
func (s *Service) recordsOfChild(ctx context.Context, child uuid.UUID, agency string) (*irtv1.ListChildRecordsResponse, error) {
	records, err := s.records.List(ctx, pgx.NamedArgs{"child": [16]byte(child), "limit": pageMost})
	if err != nil {
		return nil, err
	}
	caller := identity.FromContext(ctx)
	records = slices.DeleteFunc(records, func(r *record) bool {
		return agency != "-" && r.agency != agency || !sharing.MayReadRecord(caller, r.agency)
	})
	out := &irtv1.ListChildRecordsResponse{}
	out.ChildRecords, err = s.showRecords(ctx, records)
	return out, err
}

// recordsOfAgency pages through an agency's records. They lie together by key:
// the record id begins with the agency.
func (s *Service) recordsOfAgency(ctx context.Context, req *irtv1.ListChildRecordsRequest, agency string, after []byte) (*irtv1.ListChildRecordsResponse, error) {
	size := int(rpc.PageSize(req.GetPageSize(), pageDefault, pageMost))
	first, last := standard.RecordRange(agency)
	if len(after) == len(first) {
		copy(first[:], after)
	}
	records, err := queryRecords(ctx, s.pool, `SELECT `+recordList+` FROM child_records
		WHERE record_id > $1 AND record_id <= $2 AND agency_id = $3 ORDER BY record_id LIMIT $4`,
		[16]byte(first), [16]byte(last), agency, size+1)
	if err != nil {
		return nil, err
	}
	out := &irtv1.ListChildRecordsResponse{}
	if len(records) > size {
		records = records[:size]
		out.NextPageToken, err = s.tokens.Encode("ListChildRecords", req, records[size-1].id[:])
		if err != nil {
			return nil, err
		}
	}
	for _, r := range records {
		audit.FromContext(ctx).AddChild(r.childID)
	}
	out.ChildRecords, err = s.showRecords(ctx, records)
	return out, err
}

// ListChildVersions implements irtv1.ChildServiceServer.
func (s *Service) ListChildVersions(ctx context.Context, req *irtv1.ListChildVersionsRequest) (*irtv1.ListChildVersionsResponse, error) {
	access := audit.FromContext(ctx)
	id, err := rpc.ParseChildName(req.GetParent())
	if err != nil {
		return nil, err
	}
	before := int32(1<<31 - 1)
	if cursor, err := s.tokens.Decode("ListChildVersions", req, req.GetPageToken()); err != nil {
		return nil, err
	} else if len(cursor) == 4 {
		before = int32(binary.BigEndian.Uint32(cursor)) //nolint:gosec // sealed by us
	}
	access.AddChild(id)
	present, err := s.present(ctx, id)
	if err != nil {
		return nil, err
	}
	asker := s.directory.Asker(ctx)
	decision, err := s.decide(ctx, asker, present)
	if err != nil {
		return nil, err
	}
	size := int(rpc.PageSize(req.GetPageSize(), pageDefault, pageMost))
	versions, err := s.versionsOf(ctx, id, req, before, size+1)
	if err != nil {
		return nil, err
	}
	out := &irtv1.ListChildVersionsResponse{}
	if len(versions) > size {
		versions = versions[:size]
		cursor := binary.BigEndian.AppendUint32(nil, uint32(versions[size-1].entry.revision)) //nolint:gosec // positive
		if out.NextPageToken, err = s.tokens.Encode("ListChildVersions", req, cursor); err != nil {
			return nil, err
		}
	}
	for _, v := range versions {
		m, err := s.message(ctx, asker, &view{entry: v.entry, standing: present.standing}, decision)
		if err != nil {
			return nil, err
		}
		one := &irtv1.ChildVersion{Child: m, KnownFrom: timestamp(v.entry.knownFrom)}
		if v.knownTo != nil {
			one.KnownTo = timestamp(*v.knownTo)
		}
		redact.Pass(ctx, one)
		out.ChildVersions = append(out.ChildVersions, one)
	}
	access.AddReturned(req.GetParent() + "/versions")
	return out, nil
}

type version struct {
	entry   *entry
	knownTo *time.Time
}

// versionsSQL lists the versions of a child before a revision: those that the hub knew
// at an instant, or all where that is infinity.
var versionsSQL = `
	SELECT ` + entryList + `, known_to FROM (
		SELECT ` + entryList + `, NULL::timestamptz AS known_to FROM children WHERE child_id = @child
		UNION ALL
		SELECT ` + entryList + `, known_to FROM children_history WHERE child_id = @child
	) v
	WHERE revision < @before AND (@at = 'infinity' OR known_from <= @at AND (known_to IS NULL OR known_to > @at))
	ORDER BY revision DESC LIMIT @limit`

func versionScan() func(pgx.CollectableRow) (version, error) {
	var c pg.Columns
	return func(row pgx.CollectableRow) (version, error) {
		c.Of(row)
		v := version{entry: &entry{}}
		if err := v.entry.read(&c); err != nil {
			return v, err
		}
		if !c.Null() {
			v.knownTo = new(c.Time())
		}
		return v, c.Err()
	}
}

func (s *Service) versionsOf(ctx context.Context, id uuid.UUID, req *irtv1.ListChildVersionsRequest, before int32, limit int) ([]version, error) {
	at := pgtype.Timestamptz{InfinityModifier: pgtype.Infinity, Valid: true}
	if req.GetKnownAt() != nil {
		at = pgtype.Timestamptz{Time: req.GetKnownAt().AsTime(), Valid: true}
	}
	all, err := s.versions.List(ctx, pgx.NamedArgs{"child": [16]byte(id), "before": before, "at": at, "limit": limit})
	if err != nil {
		return nil, err
	}
	if len(all) == 0 && req.GetPageToken() == "" {
		return nil, rpc.NotFound("child")
	}
	return all, nil
}

// scored shows how a record compares with each candidate by itself, and what
// submitting it would decide.
func (s *Service) scored(f *match.Features, ids []uuid.UUID, members map[uuid.UUID][]*record, narrowed bool, apart func(uuid.UUID) bool) *irtv1.MatchChildResponse {
	m := s.model()
	var all []match.Candidate
	var candidates []*irtv1.MatchCandidate
	for _, id := range ids {
		own := candidatesOf(id, members[id])
		for i, r := range members[id] {
			own[i].DoNotMatch = apart(r.id)
		}
		if len(own) == 0 {
			continue
		}
		all = append(all, own...)
		d := m.Decide(f, own)
		why := explain(&d, m.Version, true)
		why.Narrowed = narrowed
		candidates = append(candidates, &irtv1.MatchCandidate{Child: rpc.ChildName(id), Match: why})
	}
	slices.SortStableFunc(candidates, func(a, b *irtv1.MatchCandidate) int {
		return cmp.Compare(b.GetMatch().GetWeight(), a.GetMatch().GetWeight())
	})
	return &irtv1.MatchChildResponse{
		Decision: bandDecision[m.Decide(f, all).Band], Candidates: candidates[:min(len(candidates), candidatesMost)],
	}
}

func candidatesOf(child uuid.UUID, members []*record) []match.Candidate {
	all := make([]match.Candidate, len(members))
	for i, r := range members {
		all[i] = match.Candidate{Child: match.ChildKey(child), Features: r.features()}
	}
	return all
}
