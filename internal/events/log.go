package events

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	irtv1 "irthub/gen/irt/v1"
)

// Position is a place in the log: that of an event, or where one has got to.
type Position struct {
	Day  int32  // days since 1970
	N    int64  // dense, from 1
	Mark uint64 // of the event that stands there, for another may once the database was put back; 0: not known
}

// Append appends the position to b in 20 bytes.
func (p Position) Append(b []byte) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(p.Day)) //nolint:gosec // there and back
	b = binary.BigEndian.AppendUint64(b, uint64(p.N))   //nolint:gosec // there and back
	return binary.BigEndian.AppendUint64(b, p.Mark)
}

// ParsePosition reads what Append wrote, or wrote when there was no mark.
func ParsePosition(b []byte) (p Position, ok bool) {
	switch len(b) {
	case 20:
		p.Mark = binary.BigEndian.Uint64(b[12:])
	case 12:
	default:
		return p, false
	}
	p.Day = int32(binary.BigEndian.Uint32(b))   //nolint:gosec // there and back
	p.N = int64(binary.BigEndian.Uint64(b[4:])) //nolint:gosec // there and back
	return p, p.N >= 0
}

// mark is the part of an event's id that is random.
func mark(id [16]byte) uint64 { return binary.BigEndian.Uint64(id[8:]) }

// At is the position n of a day, as the database has them.
func At(day time.Time, n int64) Position { return Position{Day: dayOf(day), N: n} }

// Date is the day, as the database has it.
func (p Position) Date() time.Time { return time.Unix(int64(p.Day)*86400, 0).UTC() }

func dayOf(t time.Time) int32 { return int32(t.Unix() / 86400) } //nolint:gosec // for some millions of years

// Logged is an event with its place in the log.
type Logged struct {
	Event
	Audience Audience
	ID       uuid.UUID
	At       Position
}

// Querier is a pool, a connection or a transaction.
type Querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// Head is where the log ends, and the position of the oldest event that is kept, or
// of the next if there is none.
func Head(ctx context.Context, db Querier) (end Position, keptFrom int64, err error) {
	end, keptFrom, _, err = head(ctx, db, Position{})
	return end, keptFrom, err
}

// Resume is Head for who has read up to a position. It is whole if nothing after that
// has gone and the log is the one that was read: if it holds the event of the mark
// there still. Of an event that is no longer kept itself, that cannot be known.
func Resume(ctx context.Context, db Querier, after Position) (end Position, whole bool, err error) {
	end, keptFrom, there, err := head(ctx, db, after)
	switch {
	case err != nil, after.N+1 < keptFrom, after.N > end.N:
		return end, false, err
	case after.N+1 == keptFrom, after.Mark == 0:
		return end, true, nil
	}
	return end, there == after.Mark, nil
}

// headSQL also finds which events stand at the end and at a position.
const headSQL = `SELECT h.day, h.position, h.kept_from,
	(SELECT e.event_id FROM events e WHERE e.day = h.day AND e.position = h.position),
	(SELECT e.event_id FROM events e WHERE e.day = $1 AND e.position = $2)
FROM event_head h`

// head is Head with the mark of what stands at a position, or 0.
func head(ctx context.Context, db Querier, at Position) (end Position, keptFrom int64, there uint64, err error) {
	var day time.Time
	var last, here *[16]byte
	if err := db.QueryRow(ctx, headSQL, at.Date(), at.N).Scan(&day, &end.N, &keptFrom, &last, &here); err != nil {
		return end, 0, 0, fmt.Errorf("events: reading where the log ends: %w", err)
	}
	end.Day = dayOf(day)
	if last != nil {
		end.Mark = mark(*last)
	}
	if here != nil {
		there = mark(*here)
	}
	return end, keptFrom, there, nil
}

const readSQL = `SELECT day, position, ` + eventColumns + ` FROM events WHERE day >= $1 AND (day, position) > ($1, $2)`

// Read reads the events after a position in their order, limit at most.
func Read(ctx context.Context, db Querier, after Position, limit int) ([]*Logged, error) {
	return read(ctx, db, readSQL+` ORDER BY day, position LIMIT $3`, after.Date(), after.N, limit)
}

// ReadAbout is Read for events about any of the children.
func ReadAbout(ctx context.Context, db Querier, children []uuid.UUID, after Position, limit int) ([]*Logged, error) {
	return read(ctx, db, readSQL+` AND (child_id = ANY($4::uuid[]) OR other_child_id = ANY($4::uuid[]))
		ORDER BY day, position LIMIT $3`, after.Date(), after.N, limit, arrays(children))
}

// arrays are ids as pgx writes them in binary; uuid.UUID it would write as text.
func arrays(ids []uuid.UUID) [][16]byte {
	all := make([][16]byte, len(ids))
	for i, id := range ids {
		all[i] = id
	}
	return all
}

// readForSQL looks in each index by itself, so that whatever is for nobody concerned
// is not looked at. The same event may be found twice.
var readForSQL = func() string {
	var parts []string
	for _, what := range []string{
		"child_id = ANY($4::uuid[])", "other_child_id = ANY($4::uuid[])",
		"agencies @> ARRAY[$5::text] AND agencies <> '{}'", "reveals = $5 AND reveals <> ''",
	} {
		parts = append(parts, "("+readSQL+" AND "+what+" ORDER BY day, position LIMIT $3)")
	}
	return strings.Join(parts, " UNION ALL ") + " ORDER BY day, position"
}()

// ReadFor is Read for what can be for an agency that works with the children: events
// about any of them, those addressed to it, and those that give it away.
func ReadFor(ctx context.Context, db Querier, agency string, children []uuid.UUID, after Position, limit int) ([]*Logged, error) {
	found, err := read(ctx, db, readForSQL, after.Date(), after.N, limit, arrays(children), agency)
	if err != nil {
		return nil, err
	}
	found = slices.CompactFunc(found, func(a, b *Logged) bool { return a.At == b.At })
	return found[:min(len(found), limit)], nil
}

func read(ctx context.Context, db Querier, sql string, args ...any) ([]*Logged, error) {
	rows, err := db.Query(ctx, sql, args...)
	if err != nil {
		return nil, fmt.Errorf("events: reading the log: %w", err)
	}
	all, err := pgx.CollectRows(rows, scanLogged)
	if err != nil {
		return nil, fmt.Errorf("events: reading the log: %w", err)
	}
	return all, nil
}

func scanLogged(row pgx.CollectableRow) (*Logged, error) {
	l := &Logged{}
	var day time.Time
	var kind, audience int16
	var id [16]byte
	var child, other *[16]byte
	err := row.Scan(&day, &l.At.N, &id, &kind, &child, &other, &l.Agency, &l.Resource, &audience, &l.Agencies, &l.Reveals, &l.Time)
	l.At.Day, l.At.Mark, l.ID, l.Kind, l.Audience = dayOf(day), mark(id), id, irtv1.EventKind(kind), Audience(audience)
	l.Child, l.OtherChild = idOrNil(child), idOrNil(other)
	return l, err
}

func idOrNil(id *[16]byte) uuid.UUID {
	if id == nil {
		return uuid.Nil
	}
	return *id
}
