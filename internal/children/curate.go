package children

import (
	"context"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/audit"
	"irthub/internal/identity"
	"irthub/internal/match"
	"irthub/internal/pg"
	"irthub/internal/rpc"
	"irthub/internal/sharing"
)

// curation is one act of a data manager on the index: a merge, a split, a decision
// about a review, a pin. It is a write of the pipeline's kind, in one transaction
// and under the same locks, so that it and submissions see each other whole or not
// at all.
type curation struct {
	*write

	caller  identity.Caller
	reason  string
	access  *audit.Entry
	entries map[uuid.UUID]*entry
}

// curate runs an act, with its access entry, in one transaction; a validate_only
// one is rolled back, and its access is recorded by the caller's interceptor.
func (s *Service) curate(ctx context.Context, reason string, validateOnly bool, act func(context.Context, *curation) error) error {
	access := audit.FromContext(ctx)
	run := pg.InTxRetry
	if validateOnly {
		run = pg.Rehearse
	}
	err := run(ctx, s.pool, func(tx pgx.Tx) error {
		c := &curation{
			write:  &write{s: s, model: s.model(), from: tx, tx: tx, bonds: bonds{}, existing: map[uuid.UUID]*record{}},
			caller: identity.FromContext(ctx), reason: reason, access: access,
		}
		c.begin()
		c.actor = c.caller.Agency
		if err := act(ctx, c); err != nil {
			return err
		}
		if err := c.reunite(ctx); err != nil {
			return err
		}
		if validateOnly {
			return nil
		}
		return audit.Insert(ctx, tx, []*audit.Entry{access})
	})
	if err == nil && !validateOnly {
		access.Recorded()
	}
	return err
}

// person is who acts, as decisions name it.
func (c *curation) person() string { return personName(c.caller) }

func personName(c identity.Caller) string {
	if c.Practitioner != "" {
		return c.PractitionerName()
	}
	return c.AgencyName()
}

// lockChildren takes children to itself, and the records that stand under them,
// withdrawn ones too: the locks of submissions of those records, then the children by their rows.
func (c *curation) lockChildren(ctx context.Context, ids ...uuid.UUID) error {
	wanted := map[uuid.UUID]bool{}
	for _, id := range ids {
		wanted[id] = true
	}
	records, err := c.recordsUnder(ctx, ids)
	if err != nil {
		return err
	}
	c.held = locksOfRecords(records)
	if err := c.lock(ctx); err != nil {
		return err
	}
	if c.entries, c.members, err = c.lockEntries(ctx, wanted); err != nil {
		return err
	}
	for id := range wanted {
		if c.entries[id] == nil {
			return rpc.NotFound("child")
		}
		for _, r := range c.members[id] {
			if !c.held.of(r.id) { // it came in between
				return errStale
			}
		}
		c.access.AddChild(id)
	}
	return nil
}

func (c *curation) recordsUnder(ctx context.Context, children []uuid.UUID) ([]uuid.UUID, error) {
	rows, err := c.tx.Query(ctx, `SELECT record_id FROM child_records WHERE child_id = ANY($1::uuid[])`, uuids(children))
	if err != nil {
		return nil, fmt.Errorf("children: looking for records: %w", err)
	}
	return pgx.CollectRows(rows, scanUUID)
}

func scanUUID(row pgx.CollectableRow) (id uuid.UUID, err error) {
	err = row.Scan((*[16]byte)(&id))
	return id, err
}

// mayCurate tells whether the caller may say where the records of these agencies
// stand: who may write them.
func (c *curation) mayCurate(records []*record) error {
	for _, r := range records {
		if !sharing.MayWrite(c.caller, r.agency) {
			return rpc.Denied()
		}
	}
	return nil
}

// relink puts a record under another child, by a person's decision.
func (c *curation) relink(r *record, to uuid.UUID, m matched) {
	next := *r
	next.childID, next.matched = to, m
	next.knownFrom, next.revision = After(c.now, r.knownFrom), r.revision+1
	c.existing[r.id], c.movedFrom[r.id] = r, r.childID
	c.settleIn(r, &next, nil)
}

// decidedBy is how a record that a person placed came to its child, with the
// evidence there is against the records it is to stand beside, or apart from.
func (c *curation) decidedBy(rule string, decision irtv1.MatchDecision, r *record, others []*record) matched {
	m := matched{decision: decision, rule: rule, model: c.model.Version}
	if len(others) == 0 {
		return m
	}
	d := c.model.Decide(r.features(), candidatesOf(others[0].childID, others))
	if d.Member >= 0 {
		m.probability, m.weight = float32(d.Result.Probability), float32(d.Result.Weight)
		m.evidence = encodeEvidence(&d, others[d.Member].id)
	}
	return m
}

// decideBetween keeps a decision about every record of two children, withdrawn ones
// too: they may be revived.
func (c *curation) decideBetween(ctx context.Context, kind irtv1.MatchConstraintKind, a, b uuid.UUID) error {
	side, err := c.recordsUnder(ctx, []uuid.UUID{a})
	if err != nil {
		return err
	}
	other, err := c.recordsUnder(ctx, []uuid.UUID{b})
	if err != nil {
		return err
	}
	return c.decision(kind).decide(ctx, c.tx, side, other)
}

func (c *curation) decision(kind irtv1.MatchConstraintKind) *decision {
	return &decision{kind: kind, by: c.person(), reason: c.reason, at: c.now}
}

// risk is that of making one child of two that are locked.
func (c *curation) risk(ctx context.Context, a, b uuid.UUID) (risk, error) {
	r := riskBetween(c.model, c.members[a], c.members[b])
	isShielded, err := shielded(ctx, c.tx, a, b)
	if err != nil {
		return r, err
	}
	if isShielded {
		r.add(highRisk, shieldedChild)
	}
	apart, err := heldApart(ctx, c.tx, c.members[a], c.members[b])
	if apart {
		r.add(highRisk, heldApartRisk)
	}
	return r, err
}

// mergeInto makes one child of two that are locked, the records of both confirmed
// to be of one.
func (c *curation) mergeInto(ctx context.Context, from, into uuid.UUID) error {
	moving, there := c.members[from], c.members[into]
	if err := c.decideBetween(ctx, sameChild, from, into); err != nil {
		return err
	}
	for _, r := range moving {
		c.relink(r, into, c.decidedBy(ruleMerged, irtv1.MatchDecision_MATCH_DECISION_LINK, r, there))
	}
	c.merged[from], c.touched[from], c.touched[into] = into, true, true
	c.moves = append(c.moves, move{from: from, to: into, whole: true})
	return c.store(ctx, c.entries)
}

// present refuses a child that has become another.
func present(e *entry) error {
	if e.mergedInto.Valid {
		return rpc.Precondition("It has become another child. Read it again by its name, which answers with the one it became, and use that.")
	}
	return nil
}

func (e *entry) etag() string { return rpc.Etag(e.id, e.revision) }

func checkChildEtag(given string, e *entry) error {
	if given != "" && given != e.etag() {
		return rpc.Aborted(e.etag())
	}
	return nil
}

// recordsByName reads records that the caller may write, in the order of their names.
func (c *curation) recordsByName(ctx context.Context, names []string) ([]*record, error) {
	ids := make([]uuid.UUID, 0, len(names))
	for _, name := range names {
		id, err := recordIDOf(name)
		if err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	found, err := queryRecords(ctx, c.tx, `SELECT `+recordList+` FROM child_records WHERE record_id = ANY($1::uuid[])`, uuids(ids))
	if err != nil {
		return nil, err
	}
	byID := make(map[uuid.UUID]*record, len(found))
	for _, r := range found {
		byID[r.id] = r
	}
	out := make([]*record, 0, len(ids))
	for _, id := range ids {
		r := byID[id]
		if r == nil {
			return nil, rpc.NotFound("child record")
		}
		delete(byID, id)
		out = append(out, r)
	}
	return out, c.mayCurate(out)
}

// keepDecision keeps what people decided about a review.
func (c *curation) keepDecision(ctx context.Context, reviewID uuid.UUID, resolution irtv1.MatchResolution) error {
	_, err := c.tx.Exec(ctx, `INSERT INTO match_review_decisions (review_id, decide_time, resolution, decided_by, reason)
		VALUES ($1, $2, $3, $4, $5)`, [16]byte(reviewID), c.now, int16(resolution), c.person(), c.reason) //nolint:gosec // few
	if err != nil {
		return fmt.Errorf("children: keeping a decision: %w", err)
	}
	return nil
}

// bestOf is a model's view of a record among others.
func bestOf(m *match.Model, f *match.Features, others []*record) match.Decision {
	return m.Decide(f, candidatesOf(uuid.Nil, others))
}
