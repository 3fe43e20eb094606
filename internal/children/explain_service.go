package children

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/audit"
	"irthub/internal/identity"
	"irthub/internal/match"
	"irthub/internal/rpc"
	"irthub/internal/sharing"
	"irthub/internal/standard"
)

// pairsAtMost is how many pairs of records are explained at once.
const pairsAtMost = 100

// ExplainMatch implements irtv1.MatchServiceServer.
func (s *Service) ExplainMatch(ctx context.Context, req *irtv1.ExplainMatchRequest) (*irtv1.ExplainMatchResponse, error) {
	one, other := firstText(req.GetChildRecord(), req.GetChild()), firstText(req.GetOtherChildRecord(), req.GetOtherChild())
	twoOfOne := req.GetChildRecord() != "" && req.GetChild() != "" || req.GetOtherChildRecord() != "" && req.GetOtherChild() != ""
	if one == "" || twoOfOne || req.GetChild() != "" && req.GetOtherChild() == "" {
		return nil, rpc.Invalid([]standard.Fault{{
			Field: "child_record", RuleID: "EXPLAIN_SUBJECT", Description: "It is not clear what to explain.",
			Action: "Send child_record alone, child_record and other_child_record or other_child, or child and other_child.",
		}})
	}
	if other == "" {
		return s.explainRecord(ctx, req.GetChildRecord())
	}
	// Two things of two agencies are compared for those alone who may read both.
	if !sharing.MayReadRecord(identity.FromContext(ctx), "-") {
		return nil, rpc.Denied()
	}
	side, err := s.sideOf(ctx, one)
	if err != nil {
		return nil, err
	}
	opposite, err := s.sideOf(ctx, other)
	if err != nil {
		return nil, err
	}
	return s.explainPairs(ctx, side, opposite)
}

// explainRecord is how a record came to its child, as it was decided. The evidence is
// for those who may read the record, as long as neither its child nor the child it was
// compared with is shielded. Whose record that was is told to those who may read that
// too, and only where the evidence is of that record alone.
func (s *Service) explainRecord(ctx context.Context, name string) (*irtv1.ExplainMatchResponse, error) {
	r, err := s.ownRecord(ctx, name)
	if err != nil {
		return nil, err
	}
	access := audit.FromContext(ctx)
	access.AddChild(r.childID)
	access.AddReturned(r.name())
	out := &irtv1.ExplainMatchResponse{Match: r.explanation(), Child: rpc.ChildName(r.childID)}
	shown := about{message: out, children: []uuid.UUID{r.childID}, owner: r.agency, evidence: out.GetMatch()}
	fields, against, together := decodeEvidence(r.matched.evidence)
	out.Match.FieldWeights = fields
	if against == uuid.Nil {
		return out, s.showAbout(ctx, shown)
	}
	found, err := queryRecords(ctx, s.pool, `SELECT `+recordList+` FROM child_records WHERE record_id = $1`, [16]byte(against))
	if err != nil {
		return nil, err
	}
	for _, other := range found {
		if other.childID != r.childID {
			shown.children = append(shown.children, other.childID)
		}
		if !together && sharing.MayReadRecord(identity.FromContext(ctx), other.agency) {
			out.Match.ComparedWith = other.name()
			access.AddReturned(other.name())
		}
	}
	return out, s.showAbout(ctx, shown)
}

// sideOf are the records that a name stands for: itself, or a child's in force.
func (s *Service) sideOf(ctx context.Context, name string) ([]*record, error) {
	if strings.HasPrefix(name, "agencies/") {
		r, err := s.ownRecord(ctx, name)
		return []*record{r}, err
	}
	id, err := rpc.ParseChildName(name)
	if err != nil {
		return nil, err
	}
	v, err := s.follow(ctx, id)
	if err != nil {
		return nil, err
	}
	members, err := findMembers(ctx, s.pool, map[uuid.UUID]bool{v.entry.id: true})
	return members[v.entry.id], err
}

// explainPairs compares the records of two sides, each as if the other were all
// that is known.
func (s *Service) explainPairs(ctx context.Context, side, other []*record) (*irtv1.ExplainMatchResponse, error) {
	made, err := constraintsAmong(ctx, s.pool, append(idsOf(side), idsOf(other)...))
	if err != nil {
		return nil, err
	}
	caller, access, model := identity.FromContext(ctx), audit.FromContext(ctx), s.model()
	out, of := &irtv1.ExplainMatchResponse{}, map[*irtv1.MatchPair][]uuid.UUID{}
	for _, x := range side {
		for _, y := range other {
			if x.id == y.id || !sharing.MayReadRecord(caller, x.agency) || !sharing.MayReadRecord(caller, y.agency) {
				continue
			}
			access.AddChild(x.childID, y.childID)
			p := explainPair(model, x, y, made.between(x.id, y.id))
			out.Pairs, of[p] = append(out.Pairs, p), []uuid.UUID{x.childID, y.childID}
		}
	}
	slices.SortStableFunc(out.GetPairs(), func(a, b *irtv1.MatchPair) int {
		return cmp.Compare(b.GetMatch().GetWeight(), a.GetMatch().GetWeight())
	})
	out.Pairs = out.GetPairs()[:min(len(out.GetPairs()), pairsAtMost)]
	shown := make([]about, len(out.GetPairs()))
	for i, p := range out.GetPairs() {
		access.AddReturned(p.GetChildRecord(), p.GetOtherChildRecord())
		shown[i] = about{message: p, children: of[p], evidence: p.GetMatch()}
	}
	return out, s.showAbout(ctx, shown...)
}

func explainPair(m *match.Model, x, y *record, constraint irtv1.MatchConstraintKind) *irtv1.MatchPair {
	d := bestOf(m, x.features(), []*record{y})
	p := &irtv1.MatchPair{
		ChildRecord: x.name(), OtherChildRecord: y.name(), Constraint: constraint,
		Match: explain(&d, m.Version, true),
	}
	p.Match.ComparedWith = y.name()
	for c, probability := range d.Result.Posterior {
		p.Classes = append(p.Classes, &irtv1.MatchClassProbability{
			MatchClass: match.Class(c).String(), Probability: probability,
		})
	}
	return p
}

func constraintsAmong(ctx context.Context, q querier, ids []uuid.UUID) (bonds, error) {
	rows, err := q.Query(ctx, bondQuery, uuids(ids))
	if err != nil {
		return nil, fmt.Errorf("children: looking for decisions about records: %w", err)
	}
	b := bonds{}
	return b, b.scan(rows)
}

// constraintsAtMost is how many constraints one answer lists.
const constraintsAtMost = 1000

// constraintsQuery lists constraints, each once though it stands twice: as seen
// from the records $1 or, for those between two of them, from the lower one.
func constraintsQuery(ended bool) string {
	const columns = `record_id, other_record_id, kind, reason, decided_by, create_time`
	from := `SELECT ` + columns + `, NULL::timestamptz AS end_time, '' AS ended_by, '' AS end_reason FROM match_constraints WHERE record_id = ANY($1::uuid[])`
	if ended {
		from += ` UNION ALL SELECT ` + columns + `, end_time, ended_by, end_reason FROM match_constraints_history WHERE record_id = ANY($1::uuid[])`
	}
	return `
		SELECT m.kind, a.agency_id, a.local_id, a.child_id, b.agency_id, b.local_id, b.child_id,
			m.reason, m.decided_by, m.create_time, m.end_time, m.ended_by, m.end_reason
		FROM (` + from + `) m
		JOIN child_records a ON a.record_id = m.record_id
		JOIN child_records b ON b.record_id = m.other_record_id
		WHERE m.record_id < m.other_record_id OR m.other_record_id <> ALL($1::uuid[])
		ORDER BY coalesce(m.end_time, m.create_time) DESC, m.record_id, m.other_record_id LIMIT $2`
}

func scanConstraint(row pgx.CollectableRow) (*irtv1.MatchConstraint, error) {
	m := &irtv1.MatchConstraint{}
	var a, b record
	var created time.Time
	var ended *time.Time
	err := row.Scan((*int32)(&m.Kind), &a.agency, &a.localID, (*[16]byte)(&a.childID), &b.agency, &b.localID, (*[16]byte)(&b.childID),
		&m.Reason, &m.DecidedBy, &created, &ended, &m.EndedBy, &m.EndReason)
	m.ChildRecord, m.OtherChildRecord = a.name(), b.name()
	m.Child, m.OtherChild = rpc.ChildName(a.childID), rpc.ChildName(b.childID)
	m.CreateTime = timestamp(created)
	if ended != nil {
		m.EndTime = timestamp(*ended)
	}
	return m, err
}

// ListMatchConstraints implements irtv1.MatchServiceServer.
func (s *Service) ListMatchConstraints(ctx context.Context, req *irtv1.ListMatchConstraintsRequest) (*irtv1.ListMatchConstraintsResponse, error) {
	if (req.GetChild() == "") == (req.GetChildRecord() == "") {
		return nil, rpc.Invalid([]standard.Fault{{
			Field: "child", RuleID: "REQUIRED", Description: "Constraints are listed of one child or of one record.",
			Action: "Send child or child_record.",
		}})
	}
	ids, err := s.recordsAsked(ctx, req)
	if err != nil {
		return nil, err
	}
	rows, err := s.pool.Query(ctx, constraintsQuery(req.GetShowEnded()), uuids(ids), constraintsAtMost)
	if err != nil {
		return nil, fmt.Errorf("children: listing constraints: %w", err)
	}
	all, err := pgx.CollectRows(rows, scanConstraint)
	if err != nil {
		return nil, fmt.Errorf("children: reading constraints: %w", err)
	}
	caller, access := identity.FromContext(ctx), audit.FromContext(ctx)
	out := &irtv1.ListMatchConstraintsResponse{}
	var shown []about
	for _, m := range all {
		a, _, _ := recordName(m.GetChildRecord())
		b, _, _ := recordName(m.GetOtherChildRecord())
		if sharing.MayReadRecord(caller, a) && sharing.MayReadRecord(caller, b) {
			access.AddReturned(m.GetChildRecord(), m.GetOtherChildRecord())
			out.MatchConstraints = append(out.MatchConstraints, m)
			shown = append(shown, about{message: m, children: named(m.GetChild(), m.GetOtherChild())})
		}
	}
	return out, s.showAbout(ctx, shown...)
}

func (s *Service) recordsAsked(ctx context.Context, req *irtv1.ListMatchConstraintsRequest) ([]uuid.UUID, error) {
	access := audit.FromContext(ctx)
	if req.GetChildRecord() != "" {
		r, err := s.ownRecord(ctx, req.GetChildRecord())
		if err != nil {
			return nil, err
		}
		access.AddChild(r.childID)
		return []uuid.UUID{r.id}, nil
	}
	id, err := rpc.ParseChildName(req.GetChild())
	if err != nil {
		return nil, err
	}
	v, err := s.follow(ctx, id)
	if err != nil {
		return nil, err
	}
	access.AddChild(v.entry.id)
	records, err := queryRecords(ctx, s.pool, `SELECT `+recordList+` FROM child_records WHERE child_id = $1`, [16]byte(v.entry.id))
	return idsOf(records), err
}

// RevokeMatchConstraint implements irtv1.MatchServiceServer.
func (s *Service) RevokeMatchConstraint(ctx context.Context, req *irtv1.RevokeMatchConstraintRequest) (*irtv1.MatchConstraint, error) {
	var out *irtv1.MatchConstraint
	err := s.curate(ctx, req.GetReason(), false, func(ctx context.Context, c *curation) error {
		records, err := c.recordsByName(ctx, []string{req.GetChildRecord(), req.GetOtherChildRecord()})
		if err != nil {
			return err
		}
		c.held = locksOfRecords(idsOf(records))
		if err := c.lock(ctx); err != nil {
			return err
		}
		a, b := records[0].id, records[1].id
		made, err := constraintsAmong(ctx, c.tx, []uuid.UUID{a})
		if err != nil {
			return err
		}
		kind := made.between(a, b)
		if kind == irtv1.MatchConstraintKind_MATCH_CONSTRAINT_KIND_UNSPECIFIED {
			return rpc.NotFound("match constraint")
		}
		c.access.AddChild(records[0].childID, records[1].childID)
		c.access.AddReturned(records[0].name(), records[1].name())
		if err := endConstraints(ctx, c.tx, []uuid.UUID{a, b}, []uuid.UUID{b, a}, c.decision(kind), ""); err != nil {
			return err
		}
		row, err := c.tx.Query(ctx, constraintsQuery(true), uuids([]uuid.UUID{a}), constraintsAtMost)
		if err != nil {
			return fmt.Errorf("children: reading a constraint: %w", err)
		}
		all, err := pgx.CollectRows(row, scanConstraint)
		if i := slices.IndexFunc(all, func(m *irtv1.MatchConstraint) bool { return m.GetOtherChildRecord() == records[1].name() }); err == nil && i >= 0 {
			out = all[i]
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, s.showAbout(ctx, about{message: out, children: named(out.GetChild(), out.GetOtherChild())})
}
