package children

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/events"
	"irthub/internal/sharing"
)

// How long an entry is kept (docs/RETENTION.md), in years.
const (
	keptUntilAge      = 20 // the index is of those aged 0 to 19: IRT concept 2003
	consentedUntilAge = 25 // SI 2007/2182: to the 25th birthday by explicit consent
	keptAfterDeath    = 1
	keptWithoutRecord = 1
	archivedFor       = 6 // SI 2007/2182: then purged
)

// Keeping is what the retention rules look at in a child, and what they have come to.
type Keeping struct {
	Child     uuid.UUID
	withdrawn bool      // no agency has an active record
	changed   time.Time // the day on which the entry last changed
	born      time.Time // or is expected to be born; zero where neither is known
	died      time.Time // zero while alive
	consents  []sharing.ConsentFact

	Archived time.Time // the day on which it was archived; zero while it is in use
	Purge    time.Time // the first day on which it is purged, of one that is archived
	Reason   irtv1.RetentionReason
}

// Due is the first day on which the child is archived, and why; the zero time where
// nothing that is known says when. Who is born on 29 February has a birthday on
// 1 March in other years, as in English law.
func (k *Keeping) Due() (day time.Time, reason irtv1.RetentionReason) {
	if !k.born.IsZero() {
		day, reason = k.born.AddDate(keptUntilAge, 0, 0), irtv1.RetentionReason_RETENTION_REASON_AGE
		if agreed := k.agreedUntil(); agreed.After(day) {
			day, reason = agreed, irtv1.RetentionReason_RETENTION_REASON_CONSENT
		}
	}
	// A child who died before that is kept for those who review the death, and no longer.
	if !k.died.IsZero() && (day.IsZero() || k.died.Before(day)) {
		return k.died.AddDate(keptAfterDeath, 0, 0), irtv1.RetentionReason_RETENTION_REASON_DEATH
	}
	if k.withdrawn {
		if left := k.changed.AddDate(keptWithoutRecord, 0, 0); day.IsZero() || left.Before(day) {
			return left, irtv1.RetentionReason_RETENTION_REASON_NO_RECORD
		}
	}
	return day, reason
}

// agreedUntil is the first day that consent to be kept no longer covers.
func (k *Keeping) agreedUntil() (day time.Time) {
	for _, c := range k.consents {
		if c.Scope != irtv1.ConsentScope_CONSENT_SCOPE_RETENTION {
			continue
		}
		until := k.born.AddDate(consentedUntilAge, 0, 0)
		if last, err := time.Parse(time.DateOnly, c.Until); err == nil && last.Before(until) {
			until = last.AddDate(0, 0, 1)
		}
		if until.After(day) {
			day = until
		}
	}
	return day
}

// PurgeDay is the first day on which a child archived on a day is purged.
func PurgeDay(archived time.Time) time.Time { return archived.AddDate(archivedFor, 0, 0) }

// AtRest says whether the child is to be archived on a day.
func (k *Keeping) AtRest(today time.Time) bool {
	day, _ := k.Due()
	return !day.IsZero() && !day.After(today)
}

const keepingSQL = `SELECT c.child_id, c.state, c.known_from, coalesce(c.date_of_birth, c.expected_date_of_birth), c.date_of_death,
		k.archive_date, k.purge_date, coalesce(k.archive_reason, ''), k.consents
	FROM children c LEFT JOIN child_sharing k ON k.child_id = c.child_id
	WHERE c.merged_into IS NULL AND `

// ReadKeeping reads what the retention rules look at, of children that have not
// been merged, in the order of their ids.
func ReadKeeping(ctx context.Context, q querier, ids ...uuid.UUID) ([]*Keeping, error) {
	return keepings(ctx, q, keepingSQL+`c.child_id = ANY($1::uuid[]) ORDER BY c.child_id`, uuids(ids))
}

// KeepingToSettle reads, after a child in the order of ids, those that the rules may
// have something to say of on a day: that may be due, or are archived.
func KeepingToSettle(ctx context.Context, q querier, today time.Time, after uuid.UUID, limit int) ([]*Keeping, error) {
	return keepings(ctx, q, keepingSQL+`c.child_id > $1 AND (
			coalesce(c.date_of_birth, c.expected_date_of_birth) <= $2 OR c.date_of_death <= $3
			OR c.state = 2 AND c.known_from <= $4 OR k.archive_date IS NOT NULL)
		ORDER BY c.child_id LIMIT $5`,
		[16]byte(after), today.AddDate(-keptUntilAge, 0, 0), today.AddDate(-keptAfterDeath, 0, 0),
		today.AddDate(-keptWithoutRecord, 0, 1), limit)
}

func keepings(ctx context.Context, q querier, sql string, args ...any) ([]*Keeping, error) {
	rows, err := q.Query(ctx, sql, args...)
	if err != nil {
		return nil, fmt.Errorf("children: reading what retention looks at: %w", err)
	}
	all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (*Keeping, error) {
		k := &Keeping{}
		var state irtv1.ChildState
		var born, died, archived, purge pgtype.Date
		var changed time.Time
		var reason string
		var consents []byte
		err := row.Scan((*[16]byte)(&k.Child), &state, &changed, &born, &died, &archived, &purge, &reason, &consents)
		if err != nil {
			return nil, err
		}
		k.withdrawn, k.changed = state == irtv1.ChildState_CHILD_STATE_WITHDRAWN, dateOf(changed)
		k.born, k.died, k.Archived, k.Purge = born.Time, died.Time, archived.Time, purge.Time
		k.Reason = irtv1.RetentionReason(irtv1.RetentionReason_value[retentionPrefix+reason])
		k.consents, err = sharing.ParseConsents(consents)
		return k, err
	})
	if err != nil {
		return nil, fmt.Errorf("children: reading what retention looks at: %w", err)
	}
	return all, nil
}

const retentionPrefix = "RETENTION_REASON_"

// Settled are the children that a settling archived, and that it put back into use.
type Settled struct{ Archived, Restored []uuid.UUID }

// SettleRetention archives those of the children that are due on a day, and puts
// back into use those that are archived and not due, because a date was corrected or
// consent was given since. The caller holds them (Hold). now is when the hub comes to
// know it. A child is archived as of the day of the settling and not of the day it
// was due: a wrong date of birth must not make it due to be purged.
func SettleRetention(ctx context.Context, tx pgx.Tx, today, now time.Time, ids ...uuid.UUID) (*Settled, error) {
	all, err := ReadKeeping(ctx, tx, ids...)
	if err != nil {
		return nil, err
	}
	s := &Settled{}
	var reasons []string
	var told []events.Event
	for _, k := range all {
		e := events.Event{Child: k.Child, Time: now}
		switch rest := k.AtRest(today); {
		case rest && k.Archived.IsZero():
			_, reason := k.Due()
			s.Archived = append(s.Archived, k.Child)
			reasons = append(reasons, strings.TrimPrefix(reason.String(), retentionPrefix))
			e.Kind = irtv1.EventKind_EVENT_KIND_CHILD_ARCHIVED
		case !rest && !k.Archived.IsZero():
			s.Restored = append(s.Restored, k.Child)
			e.Kind = irtv1.EventKind_EVENT_KIND_CHILD_RESTORED
		default:
			continue
		}
		told = append(told, e)
	}
	if len(told) == 0 {
		return s, nil
	}
	if err := s.store(ctx, tx, today, reasons); err != nil {
		return nil, err
	}
	return s, events.Append(ctx, tx, told)
}

func (s *Settled) store(ctx context.Context, tx pgx.Tx, today time.Time, reasons []string) error {
	b := &pgx.Batch{}
	b.Queue(`INSERT INTO child_sharing AS k (child_id, archive_date, archive_reason, purge_date)
		SELECT child_id, $3, reason, $4 FROM unnest($1::uuid[], $2::text[]) AS q(child_id, reason)
		ON CONFLICT (child_id) DO UPDATE SET archive_date = excluded.archive_date,
			archive_reason = excluded.archive_reason, purge_date = excluded.purge_date`,
		uuids(s.Archived), reasons, today, PurgeDay(today))
	b.Queue(`UPDATE child_sharing SET archive_date = NULL, archive_reason = '', purge_date = NULL
		WHERE child_id = ANY($1::uuid[]) AND (shielded OR consents <> '[]')`, uuids(s.Restored))
	b.Queue(`DELETE FROM child_sharing WHERE child_id = ANY($1::uuid[]) AND NOT shielded AND consents = '[]'`, uuids(s.Restored))
	if err := tx.SendBatch(ctx, b).Close(); err != nil {
		return fmt.Errorf("children: archiving: %w", err)
	}
	return nil
}
