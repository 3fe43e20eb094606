package children

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/google/uuid"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/rpc"
	"irthub/internal/standard"
)

// SplitChildRecord implements irtv1.MatchServiceServer.
func (s *Service) SplitChildRecord(ctx context.Context, req *irtv1.SplitChildRecordRequest) (*irtv1.SplitChildRecordResponse, error) {
	from, err := rpc.ParseChildName(req.GetChild())
	if err != nil {
		return nil, err
	}
	var to uuid.UUID
	if req.GetIntoChild() != "" {
		if to, err = rpc.ParseChildName(req.GetIntoChild()); err != nil {
			return nil, err
		}
	}
	if to != uuid.Nil && req.GetNewChild() {
		return nil, rpc.Invalid([]standard.Fault{{
			Field: "new_child", RuleID: "SPLIT_TARGET", Description: "A child is named to take the records, and a new one is asked for.",
			Action: "Send one of the two.",
		}})
	}
	var done split
	err = s.curate(ctx, req.GetReason(), req.GetValidateOnly(), func(ctx context.Context, c *curation) error {
		done = split{curation: c, from: from, to: to, anew: req.GetNewChild()}
		return done.run(ctx, req)
	})
	if err != nil {
		return nil, err
	}
	out := &irtv1.SplitChildRecordResponse{Outcome: done.outcome, ValidateOnly: req.GetValidateOnly()}
	if out.RemainingChild, err = s.show(ctx, from); err != nil {
		return nil, err
	}
	if req.GetValidateOnly() && done.outcome == irtv1.SplitOutcome_SPLIT_OUTCOME_NEW_CHILD {
		return out, nil
	}
	out.Child, err = s.show(ctx, done.to)
	return out, err
}

// split takes records out of a child.
type split struct {
	*curation

	from, to uuid.UUID
	anew     bool
	records  []*record
	outcome  irtv1.SplitOutcome
}

func (p *split) run(ctx context.Context, req *irtv1.SplitChildRecordRequest) error {
	var err error
	if p.records, err = p.recordsByName(ctx, req.GetChildRecords()); err != nil {
		return err
	}
	if done, err := p.alreadyApart(ctx); done || err != nil {
		return err
	}
	if err := p.target(ctx); err != nil {
		return err
	}
	if p.outcome == irtv1.SplitOutcome_SPLIT_OUTCOME_FORMER_CHILD {
		err = p.lockChildren(ctx, p.from, p.to)
	} else {
		err = p.lockChildren(ctx, p.from)
	}
	if err != nil {
		return err
	}
	if p.records, err = p.recordsByName(ctx, req.GetChildRecords()); err != nil { // as they are under the locks
		return err
	}
	if err := p.check(req.GetEtag()); err != nil {
		return err
	}
	return p.carryOut(ctx)
}

// alreadyApart tells that a split was done before: the records stand together
// elsewhere, by a split from this very child.
func (p *split) alreadyApart(ctx context.Context) (bool, error) {
	at := p.records[0].childID
	for _, r := range p.records {
		if r.childID != at || r.childID == p.from || r.matched.rule != ruleSplit {
			return false, nil
		}
	}
	if p.to != uuid.Nil && p.to != at {
		return false, nil
	}
	var was bool
	err := p.tx.QueryRow(ctx, `SELECT EXISTS (SELECT 1 FROM child_records_history WHERE record_id = $1 AND child_id = $2)`,
		[16]byte(p.records[0].id), [16]byte(p.from)).Scan(&was)
	if err != nil {
		return false, fmt.Errorf("children: looking for a split: %w", err)
	}
	p.to, p.outcome = at, irtv1.SplitOutcome_SPLIT_OUTCOME_UNCHANGED
	return was, nil
}

// target chooses the child that the records go to: the one named, or the one they
// were of before that was merged into the present one, or a new one.
func (p *split) target(ctx context.Context) error {
	p.outcome = irtv1.SplitOutcome_SPLIT_OUTCOME_FORMER_CHILD
	if p.to != uuid.Nil {
		return nil
	}
	formers, err := formersOf(ctx, p.tx, idsOf(p.records), p.from)
	former := slices.Compact(slices.SortedFunc(maps.Values(formers), compareIDs))
	switch {
	case err != nil:
		return err
	case p.anew || len(former) == 0:
		p.to, p.outcome = standard.NewChildID(), irtv1.SplitOutcome_SPLIT_OUTCOME_NEW_CHILD
	case len(former) == 1:
		p.to = former[0]
	default:
		return rpc.Precondition("The records come from several former children. Split them off one child at a time, name into_child, or ask for new_child.")
	}
	return nil
}

func idsOf(records []*record) []uuid.UUID {
	ids := make([]uuid.UUID, len(records))
	for i, r := range records {
		ids[i] = r.id
	}
	return ids
}

// check refuses what cannot be done, now that nothing can change.
func (p *split) check(etag string) error {
	if err := checkChildEtag(etag, p.entries[p.from]); err != nil {
		return err
	}
	if err := present(p.entries[p.from]); err != nil {
		return err
	}
	if former := p.entries[p.to]; former != nil && (!former.mergedInto.Valid || former.mergedInto.UUID != p.from) {
		return rpc.Precondition("into_child is not one that was merged into child. Leave it out, or name such a child.")
	}
	left := len(p.members[p.from])
	for _, r := range p.records {
		if r.childID != p.from {
			return rpc.Precondition("A record is not one of the child's any more. List the child's records and choose again.")
		}
		if r.state == irtv1.ChildRecordState_CHILD_RECORD_STATE_ACTIVE {
			left--
		}
	}
	if left == 0 {
		return rpc.Precondition("These are all records of the child in force: nothing would remain. Leave those out that do describe it.")
	}
	return nil
}

func (p *split) carryOut(ctx context.Context) error {
	taken := map[uuid.UUID]bool{}
	remaining := p.members[p.from]
	for _, r := range p.records {
		taken[r.id] = true
		remaining = without(remaining, r.id)
	}
	for _, r := range p.records {
		p.relink(r, p.to, p.decidedBy(ruleSplit, irtv1.MatchDecision_MATCH_DECISION_NEW, r, remaining))
		p.moves = append(p.moves, move{record: r.id, from: p.from, to: p.to})
	}
	p.touched[p.from], p.touched[p.to] = true, true
	since := p.now
	if former := p.entries[p.to]; former == nil {
		p.created[p.to] = true
	} else {
		p.formers[p.to] = p.from
		var err error
		if since, err = mergedAt(ctx, p.tx, former.id); err != nil {
			return err
		}
	}
	if err := p.returnPins(ctx, p.from, p.to, taken, since, p.person()); err != nil {
		return err
	}
	if err := p.store(ctx, p.entries); err != nil {
		return err
	}
	return p.decideBetween(ctx, notSameChild, p.from, p.to)
}

// recordIDOf is the key of a record by its name.
func recordIDOf(name string) (uuid.UUID, error) {
	agency, localID, ok := recordName(name)
	if !ok {
		return uuid.Nil, rpc.NotFound("child record")
	}
	return standard.RecordID(agency, localID), nil
}
