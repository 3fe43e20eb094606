package children

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/google/uuid"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/pg"
)

// candidates are children that may be meant, with their records in force, of which
// nothing is read but what matching looks at: most of them are strangers.
type candidates struct {
	members  map[uuid.UUID][]*record
	shielded map[uuid.UUID]bool
}

// matchColumns are the person columns that personOf looks at.
var matchColumns = slices.DeleteFunc(slices.Clone(personColumns), func(c column) bool {
	switch c.name {
	case "given_name", "middle_names", "family_name", "preferred_given_name", "former_family_names", "date_of_birth",
		"sex", "postcode", "address_lines", "nhs_number", "upn", "telephone", "email", "carers":
		return false
	}
	return true
})

// candidateList are the columns of a candidate's record.
var candidateList = "record_id, agency_id, child_id, revision, " + strings.Join(columnList(matchColumns), ", ")

// candidatesQuery reads the records in force of the children that the records $1 are
// of, and of the children $2, and whether each child is shielded. The arrays stand in
// subqueries as those of ReadQuery do.
var candidatesQuery = `
	WITH asked(child) AS MATERIALIZED (
		SELECT r.child_id FROM unnest((SELECT $1::uuid[])) AS q(record_id)
		CROSS JOIN LATERAL (SELECT child_id FROM child_records WHERE record_id = q.record_id OFFSET 0) r
		UNION SELECT unnest((SELECT $2::uuid[])))
	SELECT s.shielded, ` + candidateList + `
	FROM asked
	LEFT JOIN LATERAL (SELECT shielded FROM child_sharing WHERE child_id = asked.child AND shielded OFFSET 0) s ON true
	CROSS JOIN LATERAL (
		SELECT ` + candidateList + ` FROM child_records c WHERE c.child_id = asked.child AND state = 1
		ORDER BY record_id OFFSET 0) r`

// readCandidates reads the children that some records are of, and some children.
func readCandidates(ctx context.Context, q querier, of, children []uuid.UUID) (*candidates, error) {
	found := &candidates{members: make(map[uuid.UUID][]*record, len(of)+len(children)), shielded: map[uuid.UUID]bool{}}
	if len(of) == 0 && len(children) == 0 {
		return found, nil
	}
	rows, err := q.Query(ctx, candidatesQuery, uuids(of), uuids(children))
	if err != nil {
		return nil, fmt.Errorf("children: reading candidates: %w", err)
	}
	defer rows.Close()
	var c pg.Columns
	for rows.Next() {
		c.Of(rows)
		isShielded := c.Bool()
		r, err := readCandidate(&c)
		if err != nil {
			return nil, fmt.Errorf("children: reading a candidate: %w", err)
		}
		found.members[r.childID] = append(found.members[r.childID], r)
		if isShielded {
			found.shielded[r.childID] = true
		}
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("children: reading candidates: %w", err)
	}
	return found, nil
}

func readCandidate(c *pg.Columns) (*record, error) {
	r := &record{
		id: c.UUID(), agency: c.Text(), childID: c.UUID(), revision: c.Int32(),
		state: irtv1.ChildRecordState_CHILD_RECORD_STATE_ACTIVE, person: &irtv1.ChildRecord{},
	}
	return r, readPerson(c, matchColumns, reflect.ValueOf(r.person).Elem(), recordPlace)
}
