package children

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// What hangs on a child goes along when a record comes to another child, and when
// children become one or are parted again. The rules, of which the first that fits
// holds:
//
//   - What was said through a record goes where the record goes.
//   - Where two children become one, all goes to the one.
//   - Where a child that had become one with another is split off again, what it had
//     before goes back to it.
//   - The involvement that a referral made goes where the referral goes.
//   - All else goes where the agency whose it is works with the child: along, if a record
//     or an involvement of that agency's goes there now and it has neither left where it
//     was; otherwise it stays, as does what was said by who never worked with the child.
//
// What hangs on another thing (a lead professional on an involvement, a message on a
// request) goes with that.

// hanging is a kind of thing that agencies hang on a child: a table with a history, by
// its key and its columns but for child_id, known_from and revision. agency_id is whose
// it is, record_id the record of that agency's through which it was said, or NULL.
type hanging struct{ table, key, columns string }

var hangings = []hanging{
	{"involvements", "involvement_id", `involvement_id, agency_id, local_id, record_id, record_local_id, role, practitioner_id,
		start_date, end_date, sensitive, sensitive_basis, create_time`},
	{"consents", "consent_id", `consent_id, agency_id, local_id, record_id, record_local_id, scope, categories, recipient_kinds,
		recipients, given_by, start_date, end_date, state, withdraw_date, create_time`},
	{"concerns", "concern_id", `concern_id, agency_id, local_id, record_id, record_local_id, category, level, practitioner_id, start_date,
		review_date, review_told, state, outcome, end_date, sensitive, create_time`},
	{"contact_requests", "contact_request_id", `contact_request_id, record_id, agency_id, practitioner_id, involvement_id, audience, state, purpose,
		reason, create_time, expire_time`},
	{"referrals", "referral_id", `referral_id, agency_id, local_id, record_id, record_local_id, recipient_id, service, reason, urgency,
		basis, state, acknowledge_by_time, overdue_told, decline_reason, outcome, redirected_from, involvement_id, send_time, acknowledge_time, create_time`},
	{"plans", "plan_id", `plan_id, agency_id, local_id, record_id, record_local_id, kind, practitioner_id, start_date, end_date, create_time`},
}

// later is the instant @now, or just after the version before should the clock have
// been set back.
const later = `greatest(@now::timestamptz, known_from + interval '1 microsecond')`

// move moves those rows which a condition selects from the child @from to the child @to,
// where they are new versions, known from @now on.
func (h hanging) move(which string) string {
	return strings.NewReplacer("TABLE", h.table, "KEY", h.key, "COLUMNS", h.columns).Replace(`
	WITH gone AS (
		DELETE FROM TABLE t WHERE child_id = @from::uuid AND ` + which + `
		RETURNING COLUMNS, known_from, revision
	), kept AS (
		INSERT INTO TABLE_history (child_id, COLUMNS, known_from, revision, known_to)
		SELECT @from::uuid, COLUMNS, known_from, revision, ` + later + ` FROM gone
	)
	INSERT INTO TABLE (child_id, COLUMNS, known_from, revision)
	SELECT @to::uuid, COLUMNS, ` + later + `, revision + 1 FROM gone`)
}

// moves are the statements that move of every kind what a condition selects, and those
// refusals to share, which have no history, that another selects.
func moves(which, refusals string) []string {
	all := []string{`UPDATE sharing_refusals t SET child_id = @to::uuid WHERE child_id = @from::uuid AND ` + refusals}
	for _, h := range hangings {
		all = append(all, h.move(which))
	}
	return all
}

// What the rules select of the rows t.
const (
	withRecord = `(@whole::bool OR record_id = @record::uuid)`

	ofTheRecordsThere = `record_id IN (SELECT r.record_id FROM child_records r WHERE r.child_id = @to::uuid)`

	// The child @former became one with @from at the instant @merged_at.
	hadBefore = `(` + ofTheRecordsThere + ` OR record_id IS NULL AND EXISTS (
			SELECT 1 FROM TABLE_history h WHERE h.child_id = @former::uuid AND h.KEY = t.KEY AND h.known_to >= @merged_at::timestamptz))`

	referred = `(record_id IS NULL AND EXISTS (SELECT 1 FROM referrals r WHERE r.child_id = @to::uuid
			AND r.recipient_id = t.agency_id AND r.involvement_id = t.local_id AND r.known_from >= @now::timestamptz))`

	// That the agency works with the child @to does not do: it may have nothing to do with
	// what moves, and have spoken of another child.
	withAgency = `(record_id IS NULL
		AND (EXISTS (SELECT 1 FROM involvements i JOIN involvements_history h USING (involvement_id)
				WHERE i.child_id = @to::uuid AND i.agency_id = t.agency_id AND h.child_id = @from::uuid AND h.known_to >= @now::timestamptz)
			OR EXISTS (SELECT 1 FROM child_records r JOIN child_records_history h USING (record_id)
				WHERE r.child_id = @to::uuid AND r.agency_id = t.agency_id AND r.state = 1 AND h.child_id = @from::uuid AND h.known_to >= @now::timestamptz))
		AND NOT EXISTS (SELECT 1 FROM involvements i WHERE i.child_id = @from::uuid AND i.agency_id = t.agency_id)
		AND NOT EXISTS (SELECT 1 FROM child_records r WHERE r.child_id = @from::uuid AND r.agency_id = t.agency_id AND r.state = 1))`
)

var (
	movesWithRecord = moves(withRecord, withRecord)
	movesWithAgency = moves(withAgency, withAgency)
	returns         = moves(hadBefore, ofTheRecordsThere)
	moveReferred    = hangings[0].move(referred) // of the involvements
)

// Records that were withdrawn stay with the entry they were of, also when it
// becomes one with another: should they be revived, they begin from there.
func moveWithdrawn(which string) string {
	next := slices.Clone(recordColumns)
	for i, c := range next {
		switch c {
		case "child_id":
			next[i] = "@to::uuid"
		case "known_from":
			next[i] = later
		case "revision":
			next[i] = "revision + 1"
		}
	}
	return `
	WITH gone AS (
		DELETE FROM child_records r WHERE child_id = @from::uuid AND ` + which + `
		RETURNING ` + recordList + `
	), kept AS (
		INSERT INTO child_records_history (` + recordList + `, known_to)
		SELECT ` + recordList + `, ` + later + ` FROM gone
	)
	INSERT INTO child_records (` + recordList + `)
	SELECT ` + strings.Join(next, ", ") + ` FROM gone`
}

var (
	moveAllWithdrawn = moveWithdrawn(`record_id <> @record::uuid`)
	returnWithdrawn  = moveWithdrawn(`state <> 1 AND EXISTS (
			SELECT 1 FROM child_records_history h WHERE h.record_id = r.record_id AND h.child_id = @former::uuid AND h.known_to >= @merged_at::timestamptz)`)
)

const (
	// ofInvolvements and ofRequests select what hangs on what has come to the child @to;
	// all where a child moves as a whole.
	ofInvolvements = `(@whole::bool OR involvement_id IN (SELECT i.involvement_id FROM involvements i WHERE i.child_id = @to::uuid))`
	ofRequests     = `contact_request_id IN (SELECT q.contact_request_id FROM contact_requests q WHERE q.child_id = @to::uuid)`

	leadColumns = `involvement_id, agency_id, practitioner_id, start_date, end_date`
)

// What hangs on other things. A route whose involvement stays behind is no longer of the
// child that is asked about, and counts no more (package contact).
var dependents = []string{
	moveLeads,
	hanging{table: "lead_nominations", columns: `nomination_id, agency_id, nominated_by, involvement_id, recipient_id, local_id, practitioner_id, replaces_id,
		start_date, state, decline_reason, expire_time, create_time`}.move(ofInvolvements),
	hanging{table: "contact_routes", columns: `contact_request_id, correspondent_id, agency_id, practitioner_id, involvement_id, state, disclosed,
		answered_by, answer_time, read_time, expire_time`}.move(ofRequests),
	`UPDATE contact_messages SET child_id = @to::uuid WHERE child_id = @from::uuid AND ` + ofRequests,
}

// Where the new child has a lead professional already, that one stays and the other is
// history.
var moveLeads = strings.ReplaceAll(`
	WITH gone AS (
		DELETE FROM lead_professionals WHERE child_id = @from::uuid AND `+ofInvolvements+`
		RETURNING COLUMNS, known_from
	), kept AS (
		INSERT INTO lead_professionals_history (child_id, COLUMNS, known_from, known_to)
		SELECT @from::uuid, COLUMNS, known_from, `+later+` FROM gone
	)
	INSERT INTO lead_professionals (child_id, COLUMNS, known_from)
	SELECT @to::uuid, COLUMNS, `+later+` FROM gone g
	WHERE NOT EXISTS (
		SELECT 1 FROM lead_professionals l WHERE l.child_id = @to::uuid
			AND l.start_date <= coalesce(g.end_date, 'infinity') AND g.start_date <= coalesce(l.end_date, 'infinity'))`,
	"COLUMNS", leadColumns)

// restoreLeads gives back the lead professional that gave way when a child was merged.
var restoreLeads = strings.NewReplacer("COLUMNS", leadColumns, "HISTORY", columnsOf("h", leadColumns)).Replace(`
	INSERT INTO lead_professionals (child_id, COLUMNS, known_from)
	SELECT @to::uuid, HISTORY, greatest(@now::timestamptz, h.known_to) FROM lead_professionals_history h
	JOIN involvements i ON i.child_id = @to::uuid AND i.involvement_id = h.involvement_id
		AND i.practitioner_id = h.practitioner_id AND NOT i.sensitive
	WHERE h.child_id = @former::uuid AND h.known_to >= @merged_at::timestamptz
		AND (i.end_date IS NULL OR i.end_date >= coalesce(h.end_date, 'infinity'))
		AND NOT EXISTS (SELECT 1 FROM lead_professionals l WHERE l.child_id = @to::uuid
			AND l.start_date <= coalesce(h.end_date, 'infinity') AND h.start_date <= coalesce(l.end_date, 'infinity'))`)

// columnsOf puts an alias before each column of a list.
func columnsOf(alias, columns string) string {
	list := strings.Split(columns, ",")
	for i := range list {
		list[i] = alias + "." + strings.TrimSpace(list[i])
	}
	return strings.Join(list, ", ")
}

// storeMoves takes what hangs on children along with the records that came to another
// child. Moves are rare, so they go one by one.
func (w *write) storeMoves(ctx context.Context) error {
	if len(w.moves)+len(w.formers) > 0 {
		if err := w.storeRows(ctx); err != nil {
			return err
		}
	}
	for _, m := range w.moves {
		args := pgx.NamedArgs{"from": [16]byte(m.from), "to": [16]byte(m.to), "record": [16]byte(m.record), "whole": m.whole, "now": w.now}
		first := movesWithRecord
		if m.whole {
			// Whether the child that they are one in is archived is a matter of that child.
			first = append([]string{
				moveAllWithdrawn,
				`UPDATE child_sharing SET archive_date = NULL, archive_reason = '', purge_date = NULL WHERE child_id = @from::uuid`,
			}, first...)
		}
		if err := goAlong(ctx, w.tx, first, args); err != nil {
			return err
		}
		if err := w.storeShields(ctx, m); err != nil {
			return err
		}
		if err := RefreshSharing(ctx, w.tx, m.from, m.to); err != nil {
			return err
		}
	}
	return w.returnRest(ctx)
}

// giveBack gives the child that a former one is now what hung on the former one and on
// no record that comes with it.
func (w *write) giveBack(ctx context.Context, from, to, former uuid.UUID, mergedAt time.Time) error {
	args := pgx.NamedArgs{
		"from": [16]byte(from), "to": [16]byte(to), "former": [16]byte(former), "merged_at": mergedAt, "whole": false, "now": w.now,
	}
	if err := goAlong(ctx, w.tx, append([]string{returnWithdrawn}, returns...), args); err != nil {
		return err
	}
	if _, err := w.tx.Exec(ctx, restoreLeads, args); err != nil {
		return fmt.Errorf("children: giving back a lead professional: %w", err)
	}
	return RefreshSharing(ctx, w.tx, from, to)
}

// goAlong moves what the first statements move, what follows that by the rules, and what
// hangs on any of it.
func goAlong(ctx context.Context, tx pgx.Tx, first []string, args pgx.NamedArgs) error {
	if err := sendAll(ctx, tx, first, args); err != nil {
		return err
	}
	// An involvement that follows a referral may be all that its agency had to do with
	// the child, and the agency's own referrals go along then.
	for referred := true; referred; {
		b := &pgx.Batch{}
		b.Queue(moveReferred, args).Exec(func(tag pgconn.CommandTag) error {
			referred = tag.RowsAffected() > 0
			return nil
		})
		for _, sql := range movesWithAgency {
			b.Queue(sql, args)
		}
		if err := tx.SendBatch(ctx, b).Close(); err != nil {
			return fmt.Errorf("children: moving what follows: %w", err)
		}
	}
	return sendAll(ctx, tx, dependents, args)
}

func sendAll(ctx context.Context, tx pgx.Tx, all []string, args pgx.NamedArgs) error {
	b := &pgx.Batch{}
	for _, sql := range all {
		b.Queue(sql, args)
	}
	if err := tx.SendBatch(ctx, b).Close(); err != nil {
		return fmt.Errorf("children: moving what hangs on a child: %w", err)
	}
	return nil
}
