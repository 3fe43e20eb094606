package accesslog

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"irthub/internal/pg"
)

const (
	// sequenceEvery is how often the elected sequencer looks for new entries: they
	// are in the tree within a second.
	sequenceEvery = 700 * time.Millisecond
	// electEvery is how often the others try to be elected.
	electEvery = time.Second
	// batchTimeout bounds the integration of one batch.
	batchTimeout = 30 * time.Second
	// closeTimeout bounds the last look before the end.
	closeTimeout = 5 * time.Second
	// shrinkEvery is how often, with nothing to integrate, the queue is given the size
	// that it needs.
	shrinkEvery = time.Minute
	// partitionsEvery is how often partitions are looked to.
	partitionsEvery = time.Hour
	// sameWarning is how often one trouble is told again.
	sameWarning = time.Minute
)

// sequencerLock is the advisory lock of the elected sequencer.
const sequencerLock = 0x6972745f74726565 // "irt_tree"

// Sequencer gives every entry its leaf. One process of a hub is elected, by an
// advisory lock on a connection of its own, on which it also does all its work: a
// process that has lost its connection has lost the election and whatever it had
// not committed, so that two can never sequence at once.
type Sequencer struct {
	pool *pgxpool.Pool
	keys *Keys
	log  *slog.Logger

	stop    context.CancelFunc
	stopped chan struct{}

	warned   string
	warnedAt time.Time
}

// StartSequencer takes part in the election, and sequences while elected, until
// Close. Without a signing key it is never elected.
func StartSequencer(ctx context.Context, pool *pgxpool.Pool, keys *Keys, log *slog.Logger) *Sequencer {
	ctx, stop := context.WithCancel(context.WithoutCancel(ctx))
	s := &Sequencer{pool: pool, keys: keys, log: log, stop: stop, stopped: make(chan struct{})}
	go s.run(ctx)
	return s
}

// Close integrates what is there, if this process is the elected one, and ends. It
// returns when that is done or ctx ends.
func (s *Sequencer) Close(ctx context.Context) error {
	s.stop()
	select {
	case <-s.stopped:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("accesslog: ending the sequencer: %w", ctx.Err())
	}
}

func (s *Sequencer) run(ctx context.Context) {
	defer close(s.stopped)
	if !s.keys.CanSign() {
		return
	}
	for ctx.Err() == nil {
		if err := s.term(ctx); err != nil && ctx.Err() == nil {
			s.warn(ctx, err)
			pause(ctx, electEvery)
		}
	}
}

// warn tells of a trouble when it begins, and then once a minute.
func (s *Sequencer) warn(ctx context.Context, err error) {
	if text := err.Error(); text != s.warned || time.Since(s.warnedAt) > sameWarning {
		s.warned, s.warnedAt = text, time.Now()
		s.log.WarnContext(ctx, "the access log's tree does not grow through this process just now; trying again", "error", err)
	}
}

// pause waits, and reports false when ctx ended meanwhile.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// term stands for election on a connection of its own and, once elected, sequences
// until something fails or ctx ends. The lock is given back with the connection.
func (s *Sequencer) term(ctx context.Context) (err error) {
	conn, err := s.connect(ctx)
	if err != nil {
		return err
	}
	defer func() {
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
		defer cancel()
		_ = conn.Close(closing) // it is gone either way
	}()
	for elected := false; !elected; {
		if elected, err = elect(ctx, conn); err != nil {
			return err
		}
		if !elected && !pause(ctx, electEvery) {
			return nil
		}
	}
	l, err := lead(ctx, conn, s.keys)
	if err != nil {
		return err
	}
	s.log.InfoContext(ctx, "elected to sequence the access log", "tree_size", l.tree.size)
	return s.sequence(ctx, l)
}

// connect opens a connection that notices a lost server, and that a server
// notices to be lost, within seconds.
func (s *Sequencer) connect(ctx context.Context) (*pgx.Conn, error) {
	cfg := s.pool.Config().ConnConfig.Copy()
	for name, value := range map[string]string{
		"application_name":    "irthub sequencer",
		"tcp_keepalives_idle": "3", "tcp_keepalives_interval": "1", "tcp_keepalives_count": "3", "tcp_user_timeout": "6000",
		// Plans may be made while the tables are empty, and are kept.
		"enable_seqscan": "off", "enable_hashjoin": "off", "enable_mergejoin": "off",
	} {
		cfg.RuntimeParams[name] = value
	}
	conn, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("accesslog: connecting to sequence: %w", err)
	}
	return conn, nil
}

// elect tries for the lock. It does not wait for it in the database, where that
// would keep old rows from being cleaned up.
func elect(ctx context.Context, conn *pgx.Conn) (elected bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, batchTimeout)
	defer cancel()
	if err := conn.QueryRow(ctx, `SELECT pg_try_advisory_lock($1)`, int64(sequencerLock)).Scan(&elected); err != nil {
		return false, fmt.Errorf("accesslog: standing for election: %w", err)
	}
	return elected, nil
}

// sequence integrates what comes, until ctx ends; then once more.
func (s *Sequencer) sequence(ctx context.Context, l *leader) error {
	var looked, shrunk time.Time
	for {
		if time.Since(looked) > partitionsEvery {
			looked = time.Now()
			if err := EnsurePartitions(ctx, s.pool, looked); err != nil && !errors.Is(err, context.Canceled) {
				s.log.WarnContext(ctx, "entries go to the default partition until their own can be made", "error", err)
				looked = looked.Add(sameWarning - partitionsEvery)
			}
		}
		n, err := l.integrateAll(ctx)
		if err != nil && ctx.Err() == nil {
			return err
		}
		if n == 0 && time.Since(shrunk) > shrinkEvery {
			shrunk = time.Now()
			_ = pg.Shrink(ctx, s.pool, "audit_queue") // or the next time
		}
		if !pause(ctx, sequenceEvery) {
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
			defer cancel()
			_, err := l.integrateAll(last)
			return err
		}
	}
}
