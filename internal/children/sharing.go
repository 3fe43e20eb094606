package children

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/events"
)

// refreshSharing brings what policy knows of children $1 in line with their
// consents and shields. Whether a child is archived is left as it is: that follows
// from the retention rules. A child of whom there is nothing to say has no row.
const refreshSharing = `
	WITH facts AS (
		SELECT q.child_id,
			EXISTS (SELECT 1 FROM shields s WHERE s.child_id = q.child_id AND s.state IN (2, 3, 4)) AS shielded,
			coalesce((
				SELECT jsonb_agg(jsonb_strip_nulls(jsonb_build_object(
					's', c.scope,
					'c', CASE WHEN c.categories <> '{}' THEN to_jsonb(c.categories) END,
					'k', CASE WHEN c.recipient_kinds <> '{}' THEN to_jsonb(c.recipient_kinds) END,
					'r', CASE WHEN c.recipients <> '{}' THEN to_jsonb(c.recipients) END,
					'a', c.agency_id,
					'p', CASE WHEN c.given_by = 'PARENTAL_RESPONSIBILITY' THEN true END,
					'f', to_char(c.start_date, 'YYYY-MM-DD'),
					't', to_char(c.end_date, 'YYYY-MM-DD'))) ORDER BY c.consent_id)
				FROM consents c WHERE c.child_id = q.child_id AND c.state = 1), '[]') AS consents
		FROM (SELECT DISTINCT unnest($1::uuid[]) AS child_id) q
	), kept AS (
		INSERT INTO child_sharing AS k (child_id, shielded, consents)
		SELECT child_id, shielded, consents FROM facts WHERE shielded OR consents <> '[]'
		ON CONFLICT (child_id) DO UPDATE SET shielded = excluded.shielded, consents = excluded.consents
	), bare AS (
		SELECT child_id FROM facts WHERE NOT shielded AND consents = '[]'
	), cleared AS (
		UPDATE child_sharing k SET shielded = false, consents = '[]'
		FROM bare WHERE k.child_id = bare.child_id AND k.archive_date IS NOT NULL
	)
	DELETE FROM child_sharing k USING bare WHERE k.child_id = bare.child_id AND k.archive_date IS NULL`

// RefreshSharing brings what policy knows of children in line with their consents
// and shields, in the transaction that changed those. It waits for nobody who
// holds the children's rows, so the caller must hold them.
func RefreshSharing(ctx context.Context, tx pgx.Tx, ids ...uuid.UUID) error {
	if _, err := tx.Exec(ctx, refreshSharing, uuids(ids)); err != nil {
		return fmt.Errorf("children: refreshing what policy knows: %w", err)
	}
	return nil
}

const shieldColumns = `state, reason, agency_id, proposed_by, propose_time, approve_by_time, decided_by, decide_time,
		lift_reason, lift_proposed_by, lift_propose_time, lift_decided_by, lift_decide_time`

// A child is shielded until a person lifts the shield. So where two become one it
// has the shields of both; and where records part, those in effect stay and are
// copied too, because the record that left may say where the child is. A copy has
// the name of the shield, and a life of its own; where a shield meets its copy, the
// one in effect stays.
var (
	moveShields = strings.ReplaceAll(`
	WITH gone AS (
		DELETE FROM shields WHERE child_id = $1::uuid
		RETURNING shield_id, COLUMNS, known_from, revision
	), kept AS (
		INSERT INTO shields_history (child_id, shield_id, COLUMNS, known_from, revision, known_to)
		SELECT $1::uuid, shield_id, COLUMNS, known_from, revision, greatest($3::timestamptz, known_from + interval '1 microsecond') FROM gone
	)
	INSERT INTO shields (child_id, shield_id, COLUMNS, known_from, revision)
	SELECT $2::uuid, `+freeShieldID+`, COLUMNS, greatest($3::timestamptz, known_from + interval '1 microsecond'), revision + 1
	FROM gone WHERE `+shieldNotThere+` RETURNING state`,
		"COLUMNS", shieldColumns)

	copyShields = strings.ReplaceAll(`
	WITH gone AS (SELECT shield_id, COLUMNS FROM shields WHERE child_id = $1::uuid AND state IN (2, 3, 4))
	INSERT INTO shields (child_id, shield_id, COLUMNS, known_from, revision)
	SELECT $2::uuid, `+freeShieldID+`, COLUMNS, $3::timestamptz, 1
	FROM gone WHERE `+shieldNotThere+` RETURNING state`,
		"COLUMNS", shieldColumns)
)

const (
	freeShieldID = `CASE WHEN EXISTS (SELECT 1 FROM shields t WHERE t.child_id = $2::uuid AND t.shield_id = gone.shield_id)
		THEN gen_random_uuid() ELSE shield_id END`
	shieldNotThere = `NOT EXISTS (SELECT 1 FROM shields t WHERE t.child_id = $2::uuid AND t.shield_id = gone.shield_id
		AND (t.state IN (2, 3, 4) OR gone.state NOT IN (2, 3, 4)))`
)

// storeShields takes a child's shields along, or copies them.
func (w *write) storeShields(ctx context.Context, m move) error {
	sql := copyShields
	if m.whole {
		sql = moveShields
	}
	rows, err := w.tx.Query(ctx, sql, [16]byte(m.from), [16]byte(m.to), w.now)
	if err != nil {
		return fmt.Errorf("children: moving shields: %w", err)
	}
	arrived, err := pgx.CollectRows(rows, pgx.RowTo[int16])
	if err != nil {
		return fmt.Errorf("children: moving shields: %w", err)
	}
	if slices.ContainsFunc(arrived, func(state int16) bool { return InEffect(irtv1.ShieldState(state)) }) {
		w.events = append(w.events, events.Event{Kind: irtv1.EventKind_EVENT_KIND_CHILD_SHIELDED, Child: m.to, Time: w.now})
	}
	return nil
}

// InEffect tells whether a shield of that state hides the child.
func InEffect(state irtv1.ShieldState) bool {
	switch state {
	case irtv1.ShieldState_SHIELD_STATE_PROVISIONAL, irtv1.ShieldState_SHIELD_STATE_ACTIVE,
		irtv1.ShieldState_SHIELD_STATE_LIFT_PROPOSED:
		return true
	}
	return false
}
