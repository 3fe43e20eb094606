package concerns

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/children"
	"irthub/internal/events"
	"irthub/internal/pg"
	"irthub/internal/rpc"
	"irthub/internal/standard"
)

// worriedSQL counts the agencies that have an open concern about a child which began
// after a day. Those of sensitive services are not counted: what follows from the number
// would tell of them.
func worriedSQL(child, after string) string {
	// Which agencies they are first: what is sensitive need not be asked of each concern.
	return `(SELECT count(*) FROM (SELECT DISTINCT v.child_id, v.agency_id, false AS sensitive FROM concerns v
			WHERE v.child_id = ` + child + ` AND v.state = 1 AND v.start_date > ` + after + ` AND NOT v.sensitive) v
		WHERE NOT ` + isSensitive + `)`
}

// since is the day after which what began is within a window of so many days.
func since(today time.Time, window int) any {
	return pg.Date(today.AddDate(0, 0, -cmp.Or(window, DefaultWindow)))
}

func (c *change) agenciesWorried(ctx context.Context, child uuid.UUID) (n int, err error) {
	err = c.tx.QueryRow(ctx, `SELECT `+worriedSQL("$1", "$2"), [16]byte(child), since(c.today, c.s.window)).Scan(&n)
	if err != nil {
		return 0, fmt.Errorf("concerns: counting agencies: %w", err)
	}
	return n, nil
}

// escalate tells everybody who works with the child where a concern became acute, or
// one more agency shares the worry of another; and the data managers, where nobody
// leads. before is how many agencies were worried until now.
func (c *change) escalate(ctx context.Context, cur, next *version, before int) error {
	if next.sensitive {
		return nil
	}
	after, err := c.agenciesWorried(ctx, next.childID)
	if err != nil {
		return err
	}
	becameAcute := next.level == acute && (cur == nil || cur.level != acute)
	if !becameAcute && (after < 2 || after <= before) {
		return nil
	}
	told, err := escalation(ctx, c.tx, next, c.now)
	c.events = append(c.events, told...)
	return err
}

// escalation is what is told of a child whose concerns escalate, the last by this one.
func escalation(ctx context.Context, tx pgx.Tx, last *version, now time.Time) ([]events.Event, error) {
	told := []events.Event{{
		Kind: irtv1.EventKind_EVENT_KIND_CONCERN_ESCALATED, Child: last.childID, Agency: last.agency,
		Resource: last.name(), Time: now,
	}}
	var led bool
	// One through what is sensitive by now leads nobody who may not know of it.
	err := tx.QueryRow(ctx, `SELECT EXISTS (SELECT 1 FROM lead_professionals v
		WHERE v.child_id = $1 AND v.start_date <= $2 AND (v.end_date IS NULL OR v.end_date >= $2)
			AND NOT EXISTS (SELECT 1 FROM agencies a WHERE a.agency_id = v.agency_id AND a.sensitive)
			AND NOT EXISTS (SELECT 1 FROM involvements i WHERE i.child_id = v.child_id AND i.involvement_id = v.involvement_id AND i.sensitive))`,
		[16]byte(last.childID), pg.Date(standard.DayOf(now))).Scan(&led)
	if err != nil {
		return nil, fmt.Errorf("concerns: looking for a lead professional: %w", err)
	}
	if !led {
		told = append(told, events.Event{
			Kind: irtv1.EventKind_EVENT_KIND_LEAD_PROFESSIONAL_WANTED, Child: last.childID,
			Resource: rpc.ChildName(last.childID), Time: now,
		})
	}
	return told, nil
}

// worry is how far the concerns about a child go, as everybody may know who works
// with it.
type worry struct {
	agencies int  // that are worried, within the window
	acute    bool // one of them acutely
	workers  []string
}

// beyond tells whether there is that of which all who work with the child are told,
// and which is not in what some of them had been told before.
func (w worry) beyond(before worry) bool {
	return w.acute && !before.acute || w.agencies >= 2 && w.agencies > before.agencies
}

// worriesSQL reads the worries about children $1 within the window that began after $2,
// and who works with them on the day $3, without sensitive services.
var worriesSQL = `
	SELECT q.child_id, ` + worriedSQL("q.child_id", "$2") + `,
		EXISTS (SELECT 1 FROM concerns v WHERE v.child_id = q.child_id AND v.state = 1 AND v.level = '` + acute + `' AND NOT ` + isSensitive + `),
		ARRAY(SELECT v.agency_id FROM (
				SELECT child_id, agency_id, false AS sensitive FROM child_records WHERE child_id = q.child_id AND state = 1
				UNION SELECT child_id, agency_id, false FROM involvements
				WHERE child_id = q.child_id AND start_date <= $3 AND (end_date IS NULL OR end_date >= $3)) v
			WHERE NOT ` + isSensitive + `)
	FROM unnest($1::uuid[]) AS q(child_id)`

// lastSQL reads the concern that was the last to come to child $1, of those that count.
const lastSQL = `SELECT ` + shownColumns + ` FROM concerns v
	WHERE v.child_id = $1 AND v.state = 1 AND (v.level = '` + acute + `' OR v.start_date > $2) AND NOT ` + isSensitive + `
	ORDER BY v.level = '` + acute + `' DESC, v.known_from DESC, v.concern_id LIMIT 1`

// Follow escalates where concerns come together because children become one, or a
// record comes to another child: who works with it then is told once, as if what others
// brought had been submitted just now, unless all of them had been told of as much
// before. window is that of Options.
func Follow(window int) children.Follower {
	return func(ctx context.Context, tx pgx.Tx, moves children.Moves, now time.Time) (func(context.Context) ([]events.Event, error), error) {
		f := &follower{tx: tx, moves: moves, now: now, since: since(standard.DayOf(now), window)}
		var all []uuid.UUID
		for to, from := range moves {
			all = append(append(all, to), from...)
		}
		var err error
		if f.before, err = f.worries(ctx, all); err != nil {
			return nil, err
		}
		if !slices.ContainsFunc(slices.Collect(maps.Values(f.before)), func(w worry) bool { return w.acute || w.agencies > 0 }) {
			return nil, nil
		}
		return f.told, nil
	}
}

// follower is one transaction that moves concerns.
type follower struct {
	tx     pgx.Tx
	moves  children.Moves
	now    time.Time
	since  any
	before map[uuid.UUID]worry
}

func (f *follower) worries(ctx context.Context, ids []uuid.UUID) (map[uuid.UUID]worry, error) {
	plain := make([][16]byte, len(ids)) // not uuid.UUID, which pgx would write as text
	for i, id := range ids {
		plain[i] = id
	}
	rows, err := f.tx.Query(ctx, worriesSQL, plain, f.since, pg.Date(standard.DayOf(f.now))) //nolint:rowserrcheck // ForEachRow does
	if err != nil {
		return nil, fmt.Errorf("concerns: reading what comes together: %w", err)
	}
	all := make(map[uuid.UUID]worry, len(ids))
	var id [16]byte
	var w worry
	_, err = pgx.ForEachRow(rows, []any{&id, &w.agencies, &w.acute, &w.workers}, func() error {
		all[id] = w
		w.workers = nil // the next row's own
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("concerns: reading what comes together: %w", err)
	}
	return all, nil
}

// told is what is told once all has moved.
func (f *follower) told(ctx context.Context) (told []events.Event, err error) {
	to := slices.SortedFunc(maps.Keys(f.moves), func(a, b uuid.UUID) int { return slices.Compare(a[:], b[:]) })
	after, err := f.worries(ctx, to)
	if err != nil {
		return nil, err
	}
	for _, child := range to {
		if !f.escalates(child, after[child]) {
			continue
		}
		rows, err := f.tx.Query(ctx, lastSQL, [16]byte(child), f.since)
		if err != nil {
			return nil, fmt.Errorf("concerns: looking for what came last: %w", err)
		}
		last, err := pgx.CollectExactlyOneRow(rows, scanVersion)
		if err != nil {
			return nil, fmt.Errorf("concerns: looking for what came last: %w", err)
		}
		one, err := escalation(ctx, f.tx, last, f.now)
		if err != nil {
			return nil, err
		}
		told = append(told, one...)
	}
	return told, nil
}

// escalates tells whether somebody works with a child now who worked with one of those
// that came together in it, and had not been told of as much there.
func (f *follower) escalates(child uuid.UUID, now worry) bool {
	heard := map[string]worry{}
	for _, side := range append([]uuid.UUID{child}, f.moves[child]...) {
		w := f.before[side]
		for _, agency := range w.workers {
			h := heard[agency]
			heard[agency] = worry{agencies: max(h.agencies, w.agencies), acute: h.acute || w.acute}
		}
	}
	return slices.ContainsFunc(now.workers, func(agency string) bool {
		h, worked := heard[agency]
		return worked && now.beyond(h)
	})
}
