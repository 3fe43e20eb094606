package children

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

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

const (
	consentColumns = `consent_id, agency_id, local_id, record_id, record_local_id, scope, categories, recipient_kinds,
		recipients, given_by, start_date, end_date, state, withdraw_date, create_time`
	shieldColumns = `state, reason, agency_id, proposed_by, propose_time, approve_by_time, decided_by, decide_time,
		lift_reason, lift_proposed_by, lift_propose_time, lift_decided_by, lift_decide_time`
)

// moveSQL moves those rows of a table with a _history twin that which selects from
// the child $1 to the child $2, where they are new versions, known from $5 on.
func moveSQL(table, columns, which string) string {
	return strings.NewReplacer("TABLE", table, "COLUMNS", columns, "WHICH", which).Replace(`
	WITH gone AS (
		DELETE FROM TABLE WHERE child_id = $1::uuid AND WHICH
		RETURNING COLUMNS, known_from, revision
	), kept AS (
		INSERT INTO TABLE_history (child_id, COLUMNS, known_from, revision, known_to)
		SELECT $1::uuid, COLUMNS, known_from, revision, greatest($5::timestamptz, known_from + interval '1 microsecond') FROM gone
	)
	INSERT INTO TABLE (child_id, COLUMNS, known_from, revision)
	SELECT $2::uuid, COLUMNS, greatest($5::timestamptz, known_from + interval '1 microsecond'), revision + 1 FROM gone`)
}

// goesAlong selects what follows the record $3, or all where $4 is set.
const goesAlong = `($4::bool OR record_id = $3::uuid)`

// What was agreed and refused through a record follows it, as its involvements do.
var moveConsents = moveSQL("consents", consentColumns, goesAlong)

const concernColumns = `concern_id, agency_id, local_id, record_id, record_local_id, category, level, practitioner_id, start_date,
	review_date, review_told, state, outcome, end_date, sensitive, create_time`

// A concern that was shared through a record follows it too.
var moveConcerns = moveSQL("concerns", concernColumns, goesAlong)

const moveRefusals = `UPDATE sharing_refusals SET child_id = $2::uuid
	WHERE child_id = $1::uuid AND ` + goesAlong

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

const (
	contactColumns = `contact_request_id, record_id, agency_id, practitioner_id, involvement_id, audience, state, purpose, reason,
		create_time, expire_time`
	contactRouteColumns = `contact_request_id, correspondent_id, agency_id, practitioner_id, involvement_id, state, disclosed,
		answered_by, answer_time, read_time, expire_time`
	// contactsThatMove are the requests that go along with a record: those of whose
	// asker it is, and all where the child moves as a whole.
	contactsThatMove = `SELECT contact_request_id FROM contact_requests
		WHERE child_id = $1::uuid AND ` + goesAlong
)

// A contact request follows its asker's record, with whom it goes to and what was
// written. A route whose involvement stays behind is no longer of the child that is
// asked about, and counts no more (package contact).
var (
	moveContactMessages = `UPDATE contact_messages SET child_id = $2::uuid
		WHERE child_id = $1::uuid AND contact_request_id IN (` + contactsThatMove + `)`
	moveContactRoutes = moveSQL("contact_routes", contactRouteColumns, `contact_request_id IN (`+contactsThatMove+`)`)
	moveContacts      = moveSQL("contact_requests", contactColumns, goesAlong)
)

const referralColumns = `referral_id, agency_id, local_id, record_id, record_local_id, recipient_id, service, reason, urgency,
	basis, state, acknowledge_by_time, overdue_told, decline_reason, outcome, redirected_from, involvement_id, send_time, acknowledge_time, create_time`

// A referral follows its sender's record.
var moveReferrals = moveSQL("referrals", referralColumns, goesAlong)

const planColumns = `plan_id, agency_id, local_id, record_id, record_local_id, kind, practitioner_id, start_date, end_date, create_time`

// A plan follows the record of the agency that is responsible.
var movePlans = moveSQL("plans", planColumns, goesAlong)

// moveSharing takes consents, refusals, concerns, contact requests, referrals, plans and shields
// along with a record that came to another child, and keeps what policy knows of both children true.
func moveSharing(ctx context.Context, tx pgx.Tx, m move, now time.Time) error {
	from, to := [16]byte(m.from), [16]byte(m.to)
	b := &pgx.Batch{}
	b.Queue(moveConsents, from, to, [16]byte(m.record), m.whole, now)
	b.Queue(moveRefusals, from, to, [16]byte(m.record), m.whole)
	b.Queue(moveContactMessages, from, to, [16]byte(m.record), m.whole)
	for _, sql := range []string{moveConcerns, moveContactRoutes, moveContacts, moveReferrals, movePlans} {
		b.Queue(sql, from, to, [16]byte(m.record), m.whole, now)
	}
	shields := copyShields
	if m.whole {
		shields = moveShields
		// Whether the child that they are one in is archived is a matter of that child.
		b.Queue(`UPDATE child_sharing SET archive_date = NULL, archive_reason = '', purge_date = NULL WHERE child_id = $1`, from)
	}
	var arrived []int16
	b.Queue(shields, from, to, now).Query(func(rows pgx.Rows) (err error) {
		arrived, err = pgx.CollectRows(rows, pgx.RowTo[int16])
		return err
	})
	b.Queue(refreshSharing, uuids([]uuid.UUID{m.from, m.to}))
	if err := tx.SendBatch(ctx, b).Close(); err != nil {
		return fmt.Errorf("children: moving what may be shared: %w", err)
	}
	if !slices.ContainsFunc(arrived, func(state int16) bool { return InEffect(irtv1.ShieldState(state)) }) {
		return nil
	}
	return events.Append(ctx, tx, []events.Event{{
		Kind: irtv1.EventKind_EVENT_KIND_CHILD_SHIELDED, Child: m.to, Time: now,
	}})
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
