package children

import (
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"

	"irthub/internal/match"
	"irthub/internal/pg/pgtest"
)

// Of all processes one counts, every six hours, when the model is another or when the
// index has grown; the others take what it found.
func TestOneProcessCounts(t *testing.T) {
	t.Parallel()
	pool := pgtest.New(t)
	exec := func(sql string, args ...any) {
		t.Helper()
		if _, err := pool.Exec(t.Context(), sql, args...); err != nil {
			t.Fatal(err)
		}
	}
	var said strings.Builder
	var learners []*Learner
	for range 3 {
		s := &Service{pool: pool}
		s.current.Store(match.Default())
		learners = append(learners, &Learner{s: s, log: slog.New(slog.NewTextHandler(&said, nil))})
	}
	look := func() (versions []string) {
		t.Helper()
		for range 2 { // what the last one learnt the others find a minute later
			for _, l := range learners {
				if err := l.look(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
		}
		for _, l := range learners {
			versions = append(versions, strings.TrimPrefix(l.s.model().Version, match.Default().Version))
		}
		return versions
	}
	populate := func(given string) {
		t.Helper()
		exec(`INSERT INTO children (child_id, state, given_name, family_name, create_time, known_from, revision)
			SELECT gen_random_uuid(), 1, $1, 'Quill', now(), now(), 1 FROM generate_series(1, 1000)`, given)
	}
	all := func(version string) string { return strings.Join([]string{version, version, version}, " ") }

	populate("Zephyrine")
	if got := strings.Join(look(), " "); got != all("+index-1") {
		t.Errorf("first: %q", got)
	}
	populate("Peregrine")
	if got := strings.Join(look(), " "); got != all("+index-1") {
		t.Errorf("before it is due: %q", got)
	}
	exec(`UPDATE match_index SET count_time = now() - interval '6 hours 1 second'`)
	if got := strings.Join(look(), " "); got != all("+index-2") {
		t.Errorf("when it is due: %q", got)
	}
	populate("Ptolemy")
	exec(`UPDATE match_index SET count_model = 'another'`)
	if got := strings.Join(look(), " "); got != all("+index-3") {
		t.Errorf("with another model: %q", got)
	}
	aMinuteLater := func() (counted bool) {
		t.Helper()
		exec(`ANALYZE children`)
		exec(`UPDATE match_index SET count_time = now() - interval '1 minute'`)
		look()
		if err := pool.QueryRow(t.Context(), `SELECT count_time > now() - interval '30 seconds' FROM match_index`).Scan(&counted); err != nil {
			t.Fatal(err)
		}
		return counted
	}
	aMinuteLater() // how many there were at the last count PostgreSQL may not have known
	if aMinuteLater() {
		t.Error("it counts though there are no more children")
	}
	populate("Persephone")
	populate("Philomena")
	if !aMinuteLater() || aMinuteLater() {
		t.Error("when there are half as many again it does not count, or counts twice")
	}
	if got := strings.Join(look(), " "); got != all("+index-4") {
		t.Errorf("when it has grown: %q", got)
	}
	if n := strings.Count(said.String(), "learnt from the index"); n != 4 || strings.Contains(strings.ToLower(said.String()), "quill") {
		t.Errorf("it was said %d times: %s", n, &said)
	}
}

// Two that count at once keep what they found once.
func TestTwoCountAtOnce(t *testing.T) {
	t.Parallel()
	pool := pgtest.New(t)
	if _, err := pool.Exec(t.Context(), `INSERT INTO children (child_id, state, given_name, family_name, create_time, known_from, revision)
		SELECT gen_random_uuid(), 1, 'Zephyrine', 'Quill', now(), now(), 1 FROM generate_series(1, 1000)`); err != nil {
		t.Fatal(err)
	}
	var learnt atomic.Int32
	errs := make(chan error, 4)
	for range 4 {
		go func() {
			s := &Service{pool: pool}
			s.current.Store(match.Default())
			did, err := s.Learn(t.Context())
			if did {
				learnt.Add(1)
			}
			errs <- err
		}()
	}
	for range 4 {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	var rows int32
	if err := pool.QueryRow(t.Context(), `SELECT count(*) FROM match_frequencies`).Scan(&rows); err != nil || rows != 1 || learnt.Load() != 1 {
		t.Errorf("%d rows, learnt %d times, error %v", rows, learnt.Load(), err)
	}
}
