package children

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"irthub/internal/match"
	"irthub/internal/pg"
)

// How common a name is, and among how many children one is looked for, matching learns
// from the index itself. Children and names are counted every six hours, and as soon as
// the index has grown by half, by one process of all that share the database; where
// they have come to weigh otherwise, they become a new row of match_frequencies and,
// within a minute, part of every process's model. The model's version names the row
// ("hand-1+index-3"), and rows are kept: what was decided can be explained and repeated.

const (
	countEvery   = 6 * time.Hour
	countTimeout = 10 * time.Minute
	// countLeast is how many children say something about names.
	countLeast = 500
	// countNotable is by how many bits an average child's name must weigh otherwise, and
	// sizeNotable by how many the number of children.
	countNotable = 0.1
	sizeNotable  = 0.25
	followEvery  = time.Minute
	followLimit  = 30 * time.Second
)

// model is what matching goes by now. Who decides several things that belong together
// asks once.
func (s *Service) model() *match.Model { return s.current.Load() }

// modelQuery reads the newest frequencies that belong to a built-in model.
const modelQuery = `SELECT frequencies_id, children, frequencies FROM match_frequencies WHERE model_version = $1 ORDER BY frequencies_id DESC LIMIT 1`

// loadModel is the built-in model with the newest frequencies of the index.
func loadModel(ctx context.Context, db Querier) (*match.Model, error) {
	base := match.Default()
	rows, err := db.Query(ctx, modelQuery, base.Version)
	if err != nil {
		return nil, fmt.Errorf("children: reading how common names are: %w", err)
	}
	var id int32
	var n int
	var stored []byte
	if _, err = pgx.CollectExactlyOneRow(rows, func(row pgx.CollectableRow) (struct{}, error) {
		return struct{}{}, row.Scan(&id, &n, &stored)
	}); errors.Is(err, pgx.ErrNoRows) {
		return base, nil
	}
	p := base.Parameters()
	p.Version = versionOf(base.Version, id)
	p.Expect(n)
	p.Frequencies = match.Frequencies{}
	if err == nil {
		err = json.Unmarshal(stored, &p.Frequencies)
	}
	if err != nil {
		return nil, fmt.Errorf("children: reading how common names are: %w", err)
	}
	return match.New(p)
}

// LoadModel takes the newest frequencies of the index into use.
func (s *Service) LoadModel(ctx context.Context) error {
	newest, err := s.newest(ctx)
	if err != nil || newest == s.model().Version {
		return err
	}
	m, err := loadModel(ctx, s.pool)
	if err == nil {
		s.current.Store(m)
	}
	return err
}

// newest is the version that the model should have, without reading all of it.
func (s *Service) newest(ctx context.Context) (string, error) {
	base := match.Default().Version
	var id *int32
	if err := s.pool.QueryRow(ctx, `SELECT max(frequencies_id) FROM match_frequencies WHERE model_version = $1`, base).Scan(&id); err != nil {
		return "", fmt.Errorf("children: asking how common names are: %w", err)
	}
	if id == nil {
		return base, nil
	}
	return versionOf(base, *id), nil
}

// versionOf names a built-in model with a row of match_frequencies joined to it.
func versionOf(base string, id int32) string { return fmt.Sprintf("%s+index-%d", base, id) }

// Learn counts the names of the index and, where they weigh notably otherwise than in
// the newest model, keeps them and takes them into use. It holds a few thousand names
// in memory, however many children there are.
func (s *Service) Learn(ctx context.Context) (learnt bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, countTimeout)
	defer cancel()
	err = pg.InTxRetry(ctx, s.pool, func(tx pgx.Tx) error {
		learnt, err = learn(ctx, tx)
		return err
	})
	if err != nil || !learnt {
		return false, err
	}
	return true, s.LoadModel(ctx)
}

func learn(ctx context.Context, tx pgx.Tx) (learnt bool, err error) {
	// One snapshot for all counts. Of two that learn at once, one begins again.
	if _, err := tx.Exec(ctx, `SET TRANSACTION ISOLATION LEVEL REPEATABLE READ`); err != nil {
		return false, fmt.Errorf("children: counting names: %w", err)
	}
	if _, err := tx.Exec(ctx, fmt.Sprintf(`SET LOCAL statement_timeout = %d`, countTimeout.Milliseconds())); err != nil {
		return false, fmt.Errorf("children: counting names: %w", err)
	}
	before, err := loadModel(ctx, tx)
	if err != nil {
		return false, err
	}
	counts, err := countNames(ctx, tx)
	if err != nil || counts.Children < countLeast {
		return false, err
	}
	base := match.Default()
	found, had := base.Parameters(), before.Parameters()
	found.Frequencies = found.Frequencies.FromIndex(counts)
	found.Expect(counts.Children)
	if found.Frequencies.Apart(&had.Frequencies) < countNotable &&
		math.Abs(math.Log2(found.Prior[match.SameChild]/had.Prior[match.SameChild])) < sizeNotable {
		return false, nil
	}
	stored, err := json.Marshal(found.Frequencies)
	if err != nil {
		return false, fmt.Errorf("children: storing how common names are: %w", err)
	}
	_, err = tx.Exec(ctx, `INSERT INTO match_frequencies (frequencies_id, model_version, children, frequencies, create_time)
		SELECT coalesce(max(frequencies_id), 0) + 1, $1, $2, $3, now() FROM match_frequencies
		ON CONFLICT DO NOTHING`, base.Version, counts.Children, stored)
	if err != nil {
		return false, fmt.Errorf("children: storing how common names are: %w", err)
	}
	return true, nil
}

// countNames counts over the children in force.
func countNames(ctx context.Context, tx pgx.Tx) (*match.IndexCounts, error) {
	c := &match.IndexCounts{Dates: map[string]int{}}
	if err := tx.QueryRow(ctx, `SELECT count(*) FROM children WHERE state = 1`).Scan(&c.Children); err != nil {
		return nil, fmt.Errorf("children: counting names: %w", err)
	}
	var err error
	if c.Given, err = countColumn(ctx, tx, "given_name", c.Children); err != nil {
		return nil, err
	}
	if c.Family, err = countColumn(ctx, tx, "family_name", c.Children); err != nil {
		return nil, err
	}
	const dates = `SELECT date_of_birth::text, count(*) FROM children WHERE state = 1 AND date_of_birth IS NOT NULL
		GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 50000`
	rows, err := tx.Query(ctx, dates) //nolint:rowserrcheck // ForEachRow does
	if err != nil {
		return nil, fmt.Errorf("children: counting dates: %w", err)
	}
	var born string
	var k int
	if _, err := pgx.ForEachRow(rows, []any{&born, &k}, func() error {
		c.Dates[born] = k
		return nil
	}); err != nil {
		return nil, fmt.Errorf("children: counting dates: %w", err)
	}
	return c, nil
}

// countColumn counts one name of n children. The last row is that of all rare names.
func countColumn(ctx context.Context, tx pgx.Tx, column string, n int) (match.NameCounts, error) {
	c := match.NameCounts{Common: map[string]int{}}
	sql := `
		WITH borne AS MATERIALIZED (
			SELECT lower(` + column + `) AS name, count(*) AS k FROM children WHERE state = 1 AND ` + column + ` <> '' GROUP BY 1
		)
		SELECT name, k, k::numeric FROM borne WHERE k >= $1
		UNION ALL
		SELECT '', coalesce(sum(k), 0)::bigint, coalesce(sum(k * k), 0) FROM borne WHERE k < $1`
	rows, err := tx.Query(ctx, sql, match.Established(n)) //nolint:rowserrcheck // ForEachRow does
	if err != nil {
		return c, fmt.Errorf("children: counting names: %w", err)
	}
	var name string
	var k, squares int64
	_, err = pgx.ForEachRow(rows, []any{&name, &k, &squares}, func() error {
		if name == "" {
			c.Rare, c.RareSquares = k, squares
		} else {
			c.Common[name] = int(k)
		}
		return nil
	})
	if err != nil {
		return c, fmt.Errorf("children: counting names: %w", err)
	}
	return c, nil
}

// Learner keeps a process's model up to date.
type Learner struct {
	s    *Service
	log  *slog.Logger
	stop context.CancelFunc

	stopped chan struct{}
}

// StartLearning takes the newest frequencies into use and looks for newer ones every
// minute until Close, counting them itself when it is due. It says in the log when
// blocking keys are of another version than this program's, and refuses to start where
// that version has no key in common with this one.
func (s *Service) StartLearning(ctx context.Context, log *slog.Logger) (*Learner, error) {
	if err := s.LoadModel(ctx); err != nil {
		return nil, err
	}
	stale, err := keysAreStale(ctx, s.pool)
	if err != nil {
		return nil, err
	}
	if stale {
		if err := findable(ctx, s.pool); err != nil {
			return nil, err
		}
		warnOfKeys(ctx, log)
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(ctx))
	l := &Learner{s: s, log: log, stop: stop, stopped: make(chan struct{})}
	go l.follow(ctx)
	return l, nil
}

// Close ends it; a count under way is given up.
func (l *Learner) Close() {
	l.stop()
	<-l.stopped
}

func (l *Learner) follow(ctx context.Context) {
	defer close(l.stopped)
	tick := time.NewTicker(followEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if err := l.look(ctx); err != nil && ctx.Err() == nil {
			l.log.WarnContext(ctx, "cannot learn how common names are; matching goes on with what is known", "error", err)
		}
	}
}

func (l *Learner) look(ctx context.Context) error {
	asking, cancel := context.WithTimeout(ctx, followLimit)
	defer cancel()
	if err := l.s.LoadModel(asking); err != nil {
		return err
	}
	due, err := claimCount(asking, l.s.pool)
	if err != nil || !due {
		return err
	}
	stale, err := keysAreStale(asking, l.s.pool)
	if err != nil {
		return err
	}
	if stale {
		warnOfKeys(ctx, l.log)
	}
	learnt, err := l.s.Learn(ctx)
	if learnt {
		l.log.InfoContext(ctx, "how common names are was learnt from the index", "model_version", l.s.model().Version)
	}
	return err
}

// claimCount tells whether it is this process that should count now: a count is due
// every countEvery and, once a minute at most, where there are half as many children
// again as at the last one, by PostgreSQL's own estimate. One that is claimed and fails
// is made when the next is due.
func claimCount(ctx context.Context, pool *pgxpool.Pool) (bool, error) {
	tag, err := pool.Exec(ctx, `UPDATE match_index SET count_time = now(), count_model = $1, count_children = present.n
		FROM (SELECT reltuples AS n FROM pg_class WHERE oid = 'children'::regclass) present
		WHERE count_time < now() - $2::interval OR count_model <> $1
			OR count_time < now() - $3::interval AND present.n > greatest($4, 1.5 * count_children)`,
		match.Default().Version, countEvery, followEvery-followEvery/10, countLeast)
	if err != nil {
		return false, fmt.Errorf("children: asking whether names are to be counted: %w", err)
	}
	return tag.RowsAffected() == 1, nil
}
