package children

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"math"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"irthub/internal/match"
	"irthub/internal/pg"
)

// How common a name is, and among how many children one is looked for, matching learns
// from the index itself. Children and names are counted every six hours, and as soon as
// the index has grown by half, by one process of all that share the database; where
// they have come to weigh otherwise, they become a new row of match_frequencies and,
// within a minute, part of every process's model. The model's version names the row
// ("hand-1+index-3"), and rows are kept: what was decided can be explained and repeated.
// Each model has rows of its own, since its own table of names is in them.

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
	leaveLimit   = 2 * time.Second
)

// Learn counts the names of the index and, where they weigh notably otherwise than in
// the newest model, keeps them and takes them into use. It holds a few thousand names
// in memory, however many children there are.
func (s *Service) Learn(ctx context.Context) (learnt bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, countTimeout)
	defer cancel()
	err = pg.InTxRetry(ctx, s.pool, func(tx pgx.Tx) error {
		found, n, err := s.count(ctx, tx)
		if learnt = found != nil; err != nil || !learnt {
			return err
		}
		return s.keepNames(ctx, tx, n, found)
	})
	if err != nil || !learnt {
		return false, err
	}
	return true, s.LoadModel(ctx)
}

// countOnly has the model go by how common names are now, and keeps nothing.
func (s *Service) countOnly(ctx context.Context) error {
	return pg.InTxRetry(ctx, s.pool, func(tx pgx.Tx) error {
		found, n, err := s.count(ctx, tx)
		if err != nil || found == nil {
			return err
		}
		m, err := indexed(s.base, s.base.Version, n, *found)
		if err == nil {
			s.current.Store(m)
		}
		return err
	})
}

// count counts names, and returns how common they are and the number of children where
// that is notably otherwise than in the newest model.
func (s *Service) count(ctx context.Context, tx pgx.Tx) (*match.Frequencies, int, error) {
	// One snapshot for all counts. Of two that learn at once, one begins again.
	if _, err := tx.Exec(ctx, `SET TRANSACTION ISOLATION LEVEL REPEATABLE READ`); err != nil {
		return nil, 0, fmt.Errorf("children: counting names: %w", err)
	}
	if _, err := tx.Exec(ctx, fmt.Sprintf(`SET LOCAL statement_timeout = %d`, countTimeout.Milliseconds())); err != nil {
		return nil, 0, fmt.Errorf("children: counting names: %w", err)
	}
	before, err := s.loadModel(ctx, tx)
	if err != nil {
		return nil, 0, err
	}
	counts, err := countNames(ctx, tx)
	if err != nil || counts.Children < countLeast {
		return nil, 0, err
	}
	found, had := s.base.Parameters(), before.Parameters()
	found.Frequencies = found.Frequencies.FromIndex(counts)
	found.Expect(counts.Children)
	if found.Frequencies.Apart(&had.Frequencies) < countNotable &&
		math.Abs(math.Log2(found.Prior[match.SameChild]/had.Prior[match.SameChild])) < sizeNotable {
		return nil, 0, nil
	}
	return &found.Frequencies, counts.Children, nil
}

// keepNames keeps how common names are among n children.
func (s *Service) keepNames(ctx context.Context, tx pgx.Tx, n int, names *match.Frequencies) error {
	stored, err := json.Marshal(names)
	if err != nil {
		return fmt.Errorf("children: storing how common names are: %w", err)
	}
	if _, err = tx.Exec(ctx, `INSERT INTO match_frequencies (frequencies_id, model_version, children, frequencies, create_time)
		SELECT coalesce(max(frequencies_id), 0) + 1, $1, $2, $3, now() FROM match_frequencies
		ON CONFLICT DO NOTHING`, s.base.Version, n, stored); err != nil {
		return fmt.Errorf("children: storing how common names are: %w", err)
	}
	return nil
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
	s     *Service
	log   *slog.Logger
	stop  context.CancelFunc
	since time.Time // of the start, as the database has it
	// others are the models of other hubs on the database, as the log has them.
	others string

	stopped chan struct{}
}

// StartLearning takes the newest frequencies into use and looks for newer ones every
// minute until Close, counting them itself when it is due, and before it returns where
// none were counted for its model. It says in the log when blocking keys are of another
// version than this program's, or the model another than that of other hubs, and refuses
// to start where that version has no key in common with this one, or where the model
// bears another's name.
func (s *Service) StartLearning(ctx context.Context, log *slog.Logger) (*Learner, error) {
	since, err := s.keepModel(ctx, true)
	if err != nil {
		return nil, err
	}
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
	l := &Learner{s: s, log: log, since: since, stopped: make(chan struct{})}
	if !s.counted() {
		l.note(ctx, l.learn(ctx))
	}
	ctx, l.stop = context.WithCancel(context.WithoutCancel(ctx))
	go l.follow(ctx)
	return l, nil
}

// Close ends it; a count under way is given up.
func (l *Learner) Close() {
	l.stop()
	<-l.stopped
	ctx, cancel := context.WithTimeout(context.Background(), leaveLimit)
	defer cancel()
	if err := l.s.leaveModel(ctx); err != nil {
		l.log.WarnContext(ctx, "for some minutes this hub will seem to run", "error", err)
	}
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
		l.note(ctx, l.look(ctx))
	}
}

func (l *Learner) note(ctx context.Context, err error) {
	if err != nil && ctx.Err() == nil {
		l.log.WarnContext(ctx, "cannot learn how common names are; matching goes on with what is known", "error", err)
	}
}

func (l *Learner) look(ctx context.Context) error {
	asking, cancel := context.WithTimeout(ctx, followLimit)
	defer cancel()
	others, err := l.s.useModel(asking, l.since)
	if err != nil {
		return err
	}
	l.tell(ctx, others)
	if err := l.s.LoadModel(asking); err != nil {
		return err
	}
	due, err := l.s.claimCount(asking, len(others) > 0)
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
	return l.learn(ctx)
}

func (l *Learner) learn(ctx context.Context) error {
	learnt, err := l.s.Learn(ctx)
	if learnt {
		l.log.InfoContext(ctx, "how common names are was learnt from the index", "model_version", l.s.model().Version)
	}
	return err
}

// tell says in the log when hubs on the database begin to go by different models, and
// when they go by one again.
func (l *Learner) tell(ctx context.Context, others []string) {
	found := strings.Join(others, ", ")
	switch found {
	case l.others:
		return
	case "":
		l.log.InfoContext(ctx, "all hubs on this database go by one model of matching again", "model_version", l.s.base.Version)
	default:
		l.log.WarnContext(ctx, "hubs on this database go by different models of matching: which child a record goes to depends on the hub it is sent to. "+
			"Give all of them the same --match-model", "model_version", l.s.base.Version, "others", found)
	}
	l.others = found
}

// claimCount tells whether it is this process that should count now: a count is due
// every countEvery, for another model and, once a minute at most, where there are half as
// many children again as at the last one, by PostgreSQL's own estimate. One that is
// claimed and fails is made when the next is due. While hubs go by different models, each
// has counted for its own when it started, and it is not another's turn all the time.
func (s *Service) claimCount(ctx context.Context, different bool) (bool, error) {
	tag, err := s.pool.Exec(ctx, `UPDATE match_index SET count_time = now(), count_model = $1, count_children = present.n
		FROM (SELECT reltuples AS n FROM pg_class WHERE oid = 'children'::regclass) present
		WHERE count_time < now() - $2::interval OR count_model <> $1 AND NOT $5
			OR count_time < now() - $3::interval AND present.n > greatest($4, 1.5 * count_children)`,
		s.base.Version, countEvery, followEvery-followEvery/10, countLeast, different)
	if err != nil {
		return false, fmt.Errorf("children: asking whether names are to be counted: %w", err)
	}
	return tag.RowsAffected() == 1, nil
}
