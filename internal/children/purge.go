package children

import (
	"context"
	"fmt"
	"slices"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"irthub/internal/match"
)

// purgedOf says by whose id a row goes: that of the child or of a record of it.
type purgedOf int

const (
	ofChild purgedOf = iota
	ofRecord
)

// purgedRow is a column by which rows of a table are of a child that is purged.
type purgedRow struct {
	table, column string
	of            purgedOf
}

// purgedRows is everything that the hub holds of a child, besides match_keys, which
// are found by what the records say, and the decisions on its reviews. A test holds
// it against the schema: a table with a column that names a child or a record is
// here, or is named there with the reason why not.
var purgedRows = []purgedRow{
	{"involvements", "child_id", ofChild},
	{"involvements_history", "child_id", ofChild},
	{"lead_professionals", "child_id", ofChild},
	{"lead_professionals_history", "child_id", ofChild},
	{"lead_nominations", "child_id", ofChild},
	{"lead_nominations_history", "child_id", ofChild},
	{"consents", "child_id", ofChild},
	{"consents_history", "child_id", ofChild},
	{"shields", "child_id", ofChild},
	{"shields_history", "child_id", ofChild},
	{"sharing_refusals", "child_id", ofChild},
	{"emergency_accesses", "child_id", ofChild},
	{"concerns", "child_id", ofChild},
	{"concerns_history", "child_id", ofChild},
	{"contact_requests", "child_id", ofChild},
	{"contact_requests_history", "child_id", ofChild},
	{"contact_routes", "child_id", ofChild},
	{"contact_routes_history", "child_id", ofChild},
	{"contact_messages", "child_id", ofChild},
	{"referrals", "child_id", ofChild},
	{"referrals_history", "child_id", ofChild},
	{"plans", "child_id", ofChild},
	{"plans_history", "child_id", ofChild},
	{"child_pins", "child_id", ofChild},
	{"child_pins_history", "child_id", ofChild},
	{"match_reviews", "record_id", ofRecord},
	{"match_reviews", "candidate_child_id", ofChild},
	{"match_constraints", "record_id", ofRecord},
	{"match_constraints", "other_record_id", ofRecord},
	{"match_constraints_history", "record_id", ofRecord},
	{"match_constraints_history", "other_record_id", ofRecord},
	{"child_records_history", "record_id", ofRecord},
	{"child_records", "child_id", ofChild},
	{"child_sharing", "child_id", ofChild},
	{"children_history", "child_id", ofChild},
	{"children", "child_id", ofChild},
}

// Purged is what a purge removed.
type Purged struct {
	Children []uuid.UUID            // with those that had become one with them
	Agencies map[uuid.UUID][]string // whose records went, by the child they were of
}

// Purge removes for good all that the hub holds of children, which the caller holds
// (Hold), and of every entry that had become one with them. The access log stays: it
// holds ids and names of resources, and forgets them at the end of a retention of
// its own.
func Purge(ctx context.Context, tx pgx.Tx, ids ...uuid.UUID) (*Purged, error) {
	all, err := withMerged(ctx, tx, ids)
	if err != nil {
		return nil, err
	}
	records, err := queryRecords(ctx, tx, `SELECT `+recordList+` FROM child_records WHERE child_id = ANY($1::uuid[])`, uuids(all))
	if err != nil {
		return nil, err
	}
	p := &Purged{Children: all, Agencies: map[uuid.UUID][]string{}}
	var recordIDs []uuid.UUID
	var keys []keyRow
	var stale []uuid.UUID
	for _, r := range records {
		recordIDs = append(recordIDs, r.id)
		if r.keysOf != match.KeyVersion {
			stale = append(stale, r.id)
		}
		keys = appendMissing(keys, r.id, r.keys(), nil)
		if !slices.Contains(p.Agencies[r.childID], r.agency) {
			p.Agencies[r.childID] = append(p.Agencies[r.childID], r.agency)
		}
	}
	if len(stale) > 0 {
		// What keys they have cannot be told by what they say. This reads the whole
		// table, which no more happens once all keys have been made anew (rekey.go).
		if _, err := tx.Exec(ctx, `DELETE FROM match_keys WHERE record_id = ANY($1::uuid[])`, uuids(stale)); err != nil {
			return nil, fmt.Errorf("children: purging keys: %w", err)
		}
	}
	return p, purgeRows(ctx, tx, all, recordIDs, keys)
}

// withMerged are the children and those that had become one with them.
func withMerged(ctx context.Context, tx pgx.Tx, ids []uuid.UUID) ([]uuid.UUID, error) {
	rows, err := tx.Query(ctx, `
		WITH RECURSIVE whole AS (
			SELECT unnest($1::uuid[]) AS child_id
			UNION
			SELECT c.child_id FROM children c JOIN whole ON c.merged_into = whole.child_id
		)
		SELECT child_id FROM whole ORDER BY child_id`, uuids(ids))
	if err != nil {
		return nil, fmt.Errorf("children: finding what had been merged: %w", err)
	}
	all, err := pgx.CollectRows(rows, pgx.RowTo[[16]byte])
	if err != nil {
		return nil, fmt.Errorf("children: finding what had been merged: %w", err)
	}
	out := make([]uuid.UUID, len(all))
	for i, id := range all {
		out[i] = id
	}
	return out, nil
}

func purgeRows(ctx context.Context, tx pgx.Tx, children, records []uuid.UUID, keys []keyRow) error {
	key, of := make([]int64, len(keys)), make([]uuid.UUID, len(keys))
	for i, k := range keys {
		key[i], of[i] = k.key, k.record
	}
	b := &pgx.Batch{}
	b.Queue(`DELETE FROM match_keys m USING unnest($1::bigint[], $2::uuid[]) AS d(key, record_id)
		WHERE m.key = d.key AND m.record_id = d.record_id`, key, uuids(of))
	b.Queue(`DELETE FROM match_review_decisions d USING match_reviews v WHERE d.review_id = v.review_id
		AND (v.record_id = ANY($1::uuid[]) OR v.candidate_child_id = ANY($2::uuid[]))`, uuids(records), uuids(children))
	for _, p := range purgedRows {
		ids := children
		if p.of == ofRecord {
			ids = records
		}
		b.Queue(`DELETE FROM `+p.table+` WHERE `+p.column+` = ANY($1::uuid[])`, uuids(ids))
	}
	if err := tx.SendBatch(ctx, b).Close(); err != nil {
		return fmt.Errorf("children: purging: %w", err)
	}
	return nil
}
