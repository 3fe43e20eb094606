package pg

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

// Cluster is a private PostgreSQL in a data directory. One process owns it: it
// started the postmaster, restarts it when it dies, and stops it at the end,
// and the kernel stops it should that process be killed. Other processes of
// the same directory (a second hub, a command such as `irthub token`) join it;
// when the owner goes, one of them becomes the owner and starts it again.
type Cluster struct {
	in   *instance
	life context.Context // ends with Stop
	stop context.CancelFunc
	// patience ends when the postmaster need no longer be stopped politely.
	patience context.Context
	hurry    context.CancelFunc
	done     chan struct{} // closed when this process has let go of the cluster
	stopErr  error         // how that went; read after done
	owned    atomic.Bool
}

// lockPoll is how often a process that joined looks whether the owner has gone.
const lockPoll = 200 * time.Millisecond

// StartEmbedded starts the private PostgreSQL of dataDir, making it first if
// there is none, or joins the one that another process runs there. The files
// are DIR/postgres (the cluster), DIR/postgres.log, DIR/postgres.lock and
// DIR/run (the socket; elsewhere when DIR's path is too long for one). It
// waits until the database answers, recovery after a crash included, for as
// long as ctx lasts; ctx does not bound the cluster's life, Stop ends that.
//
// As root it runs PostgreSQL as the user postgres, or nobody.
func StartEmbedded(ctx context.Context, dataDir string, log *slog.Logger) (*Cluster, error) {
	return start(ctx, dataDir, log, false)
}

// StartDisposable is StartEmbedded for tests: nothing is flushed to disk, so a
// crash of the machine leaves a broken cluster behind, and the hub's role may
// make databases.
func StartDisposable(ctx context.Context, dataDir string, log *slog.Logger) (*Cluster, error) {
	return start(ctx, dataDir, log, true)
}

func start(ctx context.Context, dataDir string, log *slog.Logger, disposable bool) (*Cluster, error) {
	dir, err := resolveDataDir(dataDir)
	if err != nil {
		return nil, fmt.Errorf("pg: data directory: %w", err)
	}
	c := &Cluster{
		in:   &instance{log: log, dataDir: dir, disposable: disposable},
		done: make(chan struct{}),
	}
	c.life, c.stop = context.WithCancel(context.Background())
	c.patience, c.hurry = context.WithCancel(context.Background())
	if err := c.ownOrJoin(ctx); err != nil {
		return nil, fmt.Errorf("pg: private PostgreSQL in %s: %w", dir, err)
	}
	return c, nil
}

// resolveDataDir makes dataDir if it is missing, and gives it one name however
// it was spelt, for the socket's place is derived from it.
func resolveDataDir(dataDir string) (string, error) {
	abs, err := filepath.Abs(dataDir)
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(abs, 0o711); err != nil { //nolint:gosec // root's PostgreSQL is another user's, and must pass through
		return "", err
	}
	return filepath.EvalSymlinks(abs)
}

func (c *Cluster) lockPath() string { return filepath.Join(c.in.dataDir, "postgres.lock") }

// ownOrJoin tries both until one works: the owner may be starting, or stopping.
func (c *Cluster) ownOrJoin(ctx context.Context) error {
	for {
		lock, err := tryLock(c.lockPath())
		if err == nil {
			return c.own(ctx, lock)
		}
		if !errors.Is(err, errLocked) {
			return err
		}
		if joinErr := c.join(ctx); joinErr == nil {
			return nil
		} else if err := wait(ctx, lockPoll); err != nil {
			return fmt.Errorf("another process holds the lock and its PostgreSQL does not answer (%w): %w", joinErr, err)
		}
	}
}

func wait(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// join connects to the cluster that another process runs, at the socket that
// its postmaster has written down, and watches for that process to go.
func (c *Cluster) join(ctx context.Context) error {
	c.in.socketDir = readPidFile(c.in.pgdata()).socketDir
	if c.in.socketDir == "" {
		return errors.New("it has not started yet")
	}
	conn, err := pgx.Connect(ctx, c.URL())
	if err != nil {
		return err
	}
	_ = conn.Close(ctx) // it has told what was asked
	c.in.log.InfoContext(ctx, "joined the PostgreSQL that another process runs", "dir", c.in.pgdata())
	go c.follow()
	return nil
}

// own starts the cluster under lock, and keeps both until Stop.
func (c *Cluster) own(ctx context.Context, lock *os.File) error {
	c.in.socketDir = socketDir(c.in.dataDir)
	p, err := c.startOnce(ctx)
	if err != nil {
		return errors.Join(err, lock.Close())
	}
	c.owned.Store(true)
	go func() {
		defer close(c.done)
		c.stopErr = errors.Join(c.supervise(p), lock.Close())
	}()
	return nil
}

// startOnce launches the postmaster, from whatever state its directory is in,
// and waits until it answers.
func (c *Cluster) startOnce(ctx context.Context) (*process, error) {
	if err := c.in.prepare(ctx); err != nil {
		return nil, err
	}
	if err := c.in.endOrphan(ctx); err != nil {
		return nil, err
	}
	if err := boundLog(c.in.logPath()); err != nil {
		return nil, err
	}
	p, err := c.in.launch()
	if err != nil {
		return nil, err
	}
	started := time.Now()
	if err := c.in.ready(ctx, p); err != nil {
		return nil, errors.Join(err, c.end(p))
	}
	c.in.log.InfoContext(ctx, "private PostgreSQL ready", "pid", p.cmd.Process.Pid, "version", c.in.bin.major,
		"dir", c.in.pgdata(), "took", time.Since(started).Round(time.Millisecond))
	return p, nil
}

// URL is the address of the hub's database in the cluster, for Open.
func (c *Cluster) URL() string { return socketURL(c.in.socketDir, hubRole, hubDatabase) }

// Owned reports whether this process runs the postmaster. A process that
// joined may become the owner later.
func (c *Cluster) Owned() bool { return c.owned.Load() }

// Stop lets go of the cluster: the owner stops the postmaster (connections
// still open are ended; what was committed is kept), others just leave. When
// ctx ends, the postmaster is made to stop at once and recovers at its next
// start. The owner's own pools are best closed before.
func (c *Cluster) Stop(ctx context.Context) error {
	c.stop()
	select {
	case <-c.done:
	case <-ctx.Done():
		c.hurry()
		<-c.done // bounded: in the end it is killed
	}
	return c.stopErr
}

const (
	fastShutdown      = 30 * time.Second // SIGINT: ends connections and writes a checkpoint
	immediateShutdown = 10 * time.Second // SIGQUIT: no checkpoint; postgres kills its own children after 5 s
)

// end stops a postmaster, asking ever less politely, and returns when it is gone.
func (c *Cluster) end(p *process) error {
	p.signal(syscall.SIGINT)
	select {
	case <-p.exited:
		return nil
	case <-c.patience.Done():
	case <-time.After(fastShutdown):
	}
	c.in.log.Warn("PostgreSQL takes too long to stop: it is made to, and will recover at its next start")
	p.signal(syscall.SIGQUIT)
	select {
	case <-p.exited:
		return nil
	case <-time.After(immediateShutdown):
	}
	p.signal(syscall.SIGKILL)
	<-p.exited
	return errors.New("pg: PostgreSQL did not stop and was killed")
}
