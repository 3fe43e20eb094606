package children

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/audit"
	"irthub/internal/identity"
)

// A record that a person confirmed to be of one child with another stands apart from
// it for a reason only: a third record, of either's child, that a person kept apart
// from one of them or put together with one. When that third leaves, the reason is
// gone, and the two must not wait for somebody to send them again.

// estranged finds the records in force that stand apart from one they were confirmed
// with, among those about which, and one of the records $1, a person decided.
const estranged = `
	SELECT %s FROM child_records WHERE record_id IN (
		SELECT a.record_id FROM match_constraints m
		JOIN child_records a ON a.record_id = m.other_record_id AND a.state = 1
		JOIN match_constraints s ON s.record_id = a.record_id AND s.kind = 1
		JOIN child_records b ON b.record_id = s.other_record_id AND b.state = 1 AND b.child_id <> a.child_id
		WHERE m.record_id = ANY($1::uuid[]))
	ORDER BY record_id`

// reuniteDeep is how often what moved for such a reason is itself a reason.
const reuniteDeep = 8

// reunite matches such records again after records left their children, in the same
// transaction. Which they are, and which children that changes, shows only once it holds
// locks, so these further ones come out of turn: one that waits for who waits for it
// begins again after a second (pg.InTxRetry), which is rarer than such records are.
func (w *write) reunite(ctx context.Context) error {
	left := make([]uuid.UUID, 0, len(w.movedFrom))
	for id := range w.movedFrom {
		left = append(left, id)
	}
	for _, r := range w.fresh {
		if r.state != irtv1.ChildRecordState_CHILD_RECORD_STATE_ACTIVE {
			left = append(left, r.id)
		}
	}
	if len(left) == 0 || w.deep == reuniteDeep {
		return nil
	}
	records, err := queryRecords(ctx, w.tx, fmt.Sprintf(estranged, recordList), uuids(left))
	if err != nil || len(records) == 0 {
		return err
	}
	next := &write{s: w.s, model: w.model, from: w.tx, tx: w.tx, deep: w.deep + 1}
	todo := next.takeAgain(records)
	if err := next.rematch(ctx, todo, next.storeAll); err != nil {
		return err
	}
	return next.auditHub(ctx)
}

// takeAgain makes submissions of records as they stand.
func (w *write) takeAgain(records []*record) (todo []int) {
	for i, r := range records {
		sub := &submission{id: r.id, agency: r.agency, localID: r.localID, person: r.person, queries: r.queries, again: true}
		sub.prepare()
		w.subs, todo = append(w.subs, sub), append(todo, i)
	}
	w.out = make([]outcome, len(records))
	return todo
}

// auditHub records in the access log, as the hub's own act, which children changed.
func (w *write) auditHub(ctx context.Context) error {
	if len(w.touched) == 0 {
		return nil
	}
	by := identity.NewContext(ctx, identity.Caller{
		Agency: rematchAgency, Role: irtv1.Role_ROLE_HUB_OPERATOR, Purpose: irtv1.Purpose_PURPOSE_DATA_QUALITY,
	})
	entry := audit.New(by, rematchMethod)
	entry.AddChild(sorted(w.touched)...)
	return audit.Insert(ctx, w.tx, []*audit.Entry{entry})
}
