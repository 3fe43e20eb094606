package events_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/events"
	"irthub/internal/pg"
	"irthub/internal/pg/pgtest"
)

// start starts a sequencer, ended with the test.
func start(t testing.TB, pool *pgxpool.Pool) *events.Sequencer {
	t.Helper()
	s := events.StartSequencer(t.Context(), pool, slog.New(slog.DiscardHandler), func() {})
	t.Cleanup(func() { _ = s.Close(context.Background()) })
	return s
}

// reader is a consumer with its own cursor.
type reader struct {
	at   events.Position
	seen []*events.Logged
}

// read reads until it has n events, or a minute is over.
func (r *reader) read(t testing.TB, pool *pgxpool.Pool, n int) {
	t.Helper()
	for end := time.Now().Add(time.Minute); len(r.seen) < n; {
		page, err := events.Read(t.Context(), pool, r.at, 97)
		if err != nil {
			t.Error(err)
			return
		}
		if len(page) == 0 {
			if time.Now().After(end) {
				t.Errorf("%d of %d events came within a minute", len(r.seen), n)
				return
			}
			time.Sleep(5 * time.Millisecond) //nolint:forbidigo // a wait with a deadline
			continue
		}
		r.seen = append(r.seen, page...)
		r.at = page[len(page)-1].At
	}
}

// appendOne appends an event of a child under the child's lock, as changes do, and
// says with what it numbered it.
func appendOne(ctx context.Context, pool *pgxpool.Pool, child uuid.UUID, pauseMillis int, abandon error) error {
	return pg.InTx(ctx, pool, func(tx pgx.Tx) error {
		var revision int32
		var now time.Time
		err := tx.QueryRow(ctx, `UPDATE children SET revision = revision + 1 WHERE child_id = $1
			RETURNING revision, clock_timestamp()`, [16]byte(child)).Scan(&revision, &now)
		if err != nil {
			return err
		}
		err = events.Append(ctx, tx, []events.Event{{
			Kind: irtv1.EventKind_EVENT_KIND_CHILD_UPDATED, Child: child, Agency: "school-1",
			Resource: revisionName(revision), Time: now,
		}})
		if err != nil {
			return err
		}
		if pauseMillis > 0 { // commits after others that began later
			if _, err := tx.Exec(ctx, `SELECT pg_sleep($1)`, float64(pauseMillis)/1000); err != nil {
				return err
			}
		}
		return abandon
	})
}

func revisionName(n int32) string { return "revisions/" + time.Duration(n).String() }

func makeChildren(t testing.TB, pool *pgxpool.Pool, n int) []uuid.UUID {
	t.Helper()
	ids := make([]uuid.UUID, n)
	for i := range ids {
		ids[i] = uuid.New()
		if _, err := pool.Exec(t.Context(), `INSERT INTO children (child_id, state, create_time, known_from, revision)
			VALUES ($1, 1, now(), now(), 0)`, [16]byte(ids[i])); err != nil {
			t.Fatal(err)
		}
	}
	return ids
}

// Through two processes many transactions append, commit out of order or not at
// all, while three sequencers run and their connections are cut again and again.
// Whoever reads with a cursor meanwhile gets every committed event once, no other,
// and those of one child in the order of its changes.
func TestEveryCommittedEventIsReadOnceAndInOrder(t *testing.T) {
	t.Parallel()
	url := pgtest.URL(t)
	first, second, third := pgtest.Open(t, url), pgtest.Open(t, url), pgtest.Open(t, url)
	children := makeChildren(t, first, 12)
	for range 3 { // on connections of their own, which are cut
		start(t, pgtest.Open(t, url))
	}
	const writers, each = 6, 60
	var mu sync.Mutex
	committed := map[uuid.UUID]int{}
	total := 0
	var work sync.WaitGroup
	for w := range writers {
		pool := []*pgxpool.Pool{first, second}[w%2]
		work.Go(func() {
			for n := range each {
				child := children[(w*7+n*5)%len(children)]
				var abandon error
				if (n+w)%5 == 0 {
					abandon = errAbandoned
				}
				err := appendOne(t.Context(), pool, child, (n+w)%3*15, abandon)
				switch {
				case err == nil:
					mu.Lock()
					committed[child]++
					total++
					mu.Unlock()
				case !errors.Is(err, errAbandoned):
					t.Error(err)
				}
			}
		})
	}
	stop := make(chan struct{})
	var cutter sync.WaitGroup
	cutter.Go(func() {
		for {
			select {
			case <-stop:
				return
			case <-time.After(50 * time.Millisecond):
				cutRounds(t, third)
			}
		}
	})
	var want int
	for w := range writers {
		for n := range each {
			if (n+w)%5 != 0 {
				want++
			}
		}
	}
	readers := []*reader{{}, {}}
	var reading sync.WaitGroup
	for _, r := range readers {
		reading.Go(func() { r.read(t, third, want) })
	}
	work.Wait()
	close(stop)
	cutter.Wait()
	reading.Wait()
	if total != want {
		t.Fatalf("%d were committed, not %d", total, want)
	}
	for _, r := range readers {
		r.check(t, committed)
	}
	if left, err := events.Read(t.Context(), third, readers[0].at, 1); err != nil || len(left) > 0 {
		t.Errorf("there is more: %v, %v", left, err)
	}
}

var errAbandoned = errors.New("abandoned")

// check holds what was read against what was committed: positions without a gap,
// every event once, each child's revisions one after the other.
func (r *reader) check(t *testing.T, committed map[uuid.UUID]int) {
	t.Helper()
	revision := map[uuid.UUID]int32{}
	seen := map[uuid.UUID]bool{}
	for i, e := range r.seen {
		if e.At.N != int64(i+1) {
			t.Fatalf("the event after %d has the position %d", i, e.At.N)
		}
		if seen[e.ID] {
			t.Errorf("%s was read twice", e.ID)
		}
		seen[e.ID] = true
		revision[e.Child]++
		if want := revisionName(revision[e.Child]); e.Resource != want {
			t.Errorf("of a child %s came as its event no. %d", e.Resource, revision[e.Child])
		}
	}
	for child, n := range committed {
		if revision[child] != int32(n) {
			t.Errorf("%d events of a child, %d were committed", revision[child], n)
		}
	}
}

// cutRounds ends the connections on which rounds are under way.
func cutRounds(t testing.TB, pool *pgxpool.Pool) {
	t.Helper()
	_, err := pool.Exec(context.Background(), `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
		WHERE datname = current_database() AND pid <> pg_backend_pid() AND query LIKE '%moved ' || 'AS%'`)
	if err != nil && !pg.Unavailable(err) {
		t.Error(err)
	}
}

// A process that stands still in the middle holds nobody up for longer than the
// database lets it; here one that holds the log's row, until it is gone.
func TestFaultSequencerThatDiesIsNotMissed(t *testing.T) {
	t.Parallel()
	url := pgtest.URL(t)
	pool := pgtest.Open(t, url)
	children := makeChildren(t, pool, 1)
	held, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := held.Exec(t.Context(), `BEGIN; SELECT FROM event_head FOR UPDATE`); err != nil {
		t.Fatal(err)
	}
	start(t, pool)
	if err := appendOne(t.Context(), pool, children[0], 0, nil); err != nil {
		t.Fatal(err)
	}
	if page, err := events.Read(t.Context(), pool, events.Position{}, 10); err != nil || len(page) > 0 {
		t.Fatalf("%d events were told while the log was held: %v", len(page), err)
	}
	if err := held.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	r := &reader{}
	r.read(t, pool, 1)
}

// Closing moves what is there.
func TestCloseLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	pool := pgtest.New(t)
	children := makeChildren(t, pool, 1)
	s := start(t, pool)
	for range 5 {
		if err := appendOne(t.Context(), pool, children[0], 0, nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if page, err := events.Read(t.Context(), pool, events.Position{}, 10); err != nil || len(page) != 5 {
		t.Errorf("%d events after the end: %v", len(page), err)
	}
}

// What is thirty days old goes, a day at a time, and the log says from where it is kept
// and can be resumed from.
func TestOldDaysAreDropped(t *testing.T) {
	t.Parallel()
	pool := pgtest.New(t)
	if err := events.KeepUp(t.Context(), pool); err != nil {
		t.Fatal(err)
	}
	today := time.Now().UTC().Truncate(24 * time.Hour)
	position := 0
	for _, daysAgo := range []int{40, 32, 29} {
		day := today.AddDate(0, 0, -daysAgo)
		name := day.Format("events_2006_01_02")
		for _, sql := range []string{
			`CREATE TABLE ` + name + ` PARTITION OF events FOR VALUES FROM ('` + day.Format(time.DateOnly) + `') TO ('` + day.AddDate(0, 0, 1).Format(time.DateOnly) + `')`,
			`UPDATE event_head SET position = position + 10`,
		} {
			if _, err := pool.Exec(t.Context(), sql); err != nil {
				t.Fatal(err)
			}
		}
		for range 10 {
			position++
			if _, err := pool.Exec(t.Context(), `INSERT INTO events (day, position, event_id, kind, agency_id, resource, audience, agencies, reveals, event_time)
				VALUES ($1::date, $2, gen_random_uuid(), 1, '', '', 1, '{}', '', now())`, day, position); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := events.KeepUp(t.Context(), pool); err != nil {
		t.Fatal(err)
	}
	end, keptFrom, err := events.Head(t.Context(), pool)
	if err != nil || end.N != 30 || keptFrom != 21 {
		t.Errorf("the log ends at %d and is kept from %d: %v", end.N, keptFrom, err)
	}
	page, err := events.Read(t.Context(), pool, events.Position{}, 100)
	if err != nil || len(page) != 10 || page[0].At.N != 21 {
		t.Fatalf("%d events are left: %v", len(page), err)
	}
	kept, other := page[3].At, page[3].At
	other.Mark++
	for _, tt := range []struct {
		name  string
		after events.Position
		whole bool
	}{
		{"the next has gone", events.Position{Day: kept.Day - 3, N: 19, Mark: 1}, false},
		{"only it has gone", events.Position{Day: kept.Day - 3, N: 20, Mark: 1}, true},
		{"it is kept", kept, true},
		{"without a mark", events.Position{Day: kept.Day, N: kept.N}, true},
		{"another is there", other, false},
		{"it is of another day", events.Position{Day: kept.Day + 1, N: kept.N, Mark: kept.Mark}, false},
		{"beyond the end", events.Position{Day: kept.Day, N: 31}, false},
	} {
		if end, whole, err := events.Resume(t.Context(), pool, tt.after); err != nil || end.N != 30 || whole != tt.whole {
			t.Errorf("%s: %v, up to %d, %v", tt.name, whole, end.N, err)
		}
	}
}

// Reading about children is reading all and leaving the others out.
func TestReadAbout(t *testing.T) {
	t.Parallel()
	pool := pgtest.New(t)
	children := makeChildren(t, pool, 3)
	s := start(t, pool)
	for n := range 9 {
		if err := appendOne(t.Context(), pool, children[n%3], 0, nil); err != nil {
			t.Fatal(err)
		}
	}
	err := pg.InTx(t.Context(), pool, func(tx pgx.Tx) error {
		return events.Append(t.Context(), tx, []events.Event{{
			Kind: irtv1.EventKind_EVENT_KIND_CHILD_MERGED, Child: children[1], OtherChild: children[0],
			Time: time.Now(),
		}})
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	about, err := events.ReadAbout(t.Context(), pool, children[:1], events.Position{}, 100)
	if err != nil || len(about) != 4 || about[3].OtherChild != children[0] {
		t.Errorf("%d events about the child: %v", len(about), err)
	}
	all, err := events.Read(t.Context(), pool, events.Position{}, 100)
	if err != nil || len(all) != 10 {
		t.Fatalf("%d events: %v", len(all), err)
	}
	rest, err := events.Read(t.Context(), pool, all[3].At, 2)
	if err != nil || len(rest) != 2 || rest[0].At.N != 5 || !slices.Equal(rest[0].Agencies, []string{}) {
		t.Errorf("after the fourth came %+v: %v", rest, err)
	}
}
