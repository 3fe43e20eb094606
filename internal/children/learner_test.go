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
		s := &Service{pool: pool, base: match.Default()}
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
			s := &Service{pool: pool, base: match.Default()}
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

// Hubs that go by different models say so as long as both run, and no longer; and do not
// count names by turns all the time.
func TestDifferentModelsAreNoticed(t *testing.T) {
	t.Parallel()
	pool := pgtest.New(t)
	p := match.Default().Parameters()
	p.Version, p.Records = "area-2026", 5000
	area, err := match.New(p)
	if err != nil {
		t.Fatal(err)
	}
	start := func(m *match.Model) (*Learner, *strings.Builder) {
		t.Helper()
		s, said := &Service{pool: pool, base: match.Default()}, &strings.Builder{}
		if m != nil {
			if err := s.UseModel(m); err != nil {
				t.Fatal(err)
			}
		}
		l, err := s.StartLearning(t.Context(), slog.New(slog.NewTextHandler(said, nil)))
		if err != nil {
			t.Fatal(err)
		}
		return l, said
	}
	look := func(all ...*Learner) {
		t.Helper()
		for _, l := range all {
			if err := l.look(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	old, saidOld := start(nil)
	given, saidGiven := start(area)
	defer given.Close()
	look(old, given, old, given)
	for _, said := range []string{saidOld.String(), saidGiven.String()} {
		if strings.Count(said, "different models") != 1 || !strings.Contains(said, match.Default().Version) || !strings.Contains(said, "area-2026") {
			t.Errorf("it says %q", said)
		}
	}
	var model string
	if err := pool.QueryRow(t.Context(), `SELECT count_model FROM match_index`).Scan(&model); err != nil {
		t.Fatal(err)
	}
	look(given, old)
	var after string
	if err := pool.QueryRow(t.Context(), `SELECT count_model FROM match_index`).Scan(&after); err != nil || after != model {
		t.Errorf("names were counted for %q, and then for %q, error %v", model, after, err)
	}
	old.Close()
	look(given, given)
	if said := saidGiven.String(); strings.Count(said, "different models") != 1 || strings.Count(said, "one model of matching again") != 1 {
		t.Errorf("when the other has ended it says %q", said)
	}
	// One that ended before, in whatever way, is none.
	if _, err := pool.Exec(t.Context(), `UPDATE match_models SET use_time = now() WHERE model_version <> 'area-2026'`); err != nil {
		t.Fatal(err)
	}
	another, saidAnother := start(area)
	defer another.Close()
	look(another)
	if saidAnother.String() != "" {
		t.Errorf("of one that was killed before it says %q", saidAnother)
	}
}
