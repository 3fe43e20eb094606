package pgtest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"

	"irthub/internal/pg"
)

// The shared cluster must outlive whichever test process comes first, so it is
// kept by a process of its own: this test binary again, with keeperEnv set.
//
// Every test process holds a shared lock on DIR/users for as long as it lives,
// however it ends. The keeper stops the cluster when for linger it could have
// had that lock for itself, and holds it while it stops, so that a test that
// comes then waits and starts the next keeper.
const (
	keeperEnv = "IRTHUB_PGTEST_KEEPER" // the shared directory
	linger    = 10 * time.Second       // between two packages' tests nobody may use it
)

// templatePrefix begins the names of migrated templates.
const templatePrefix = "irthub_template_"

func init() {
	if dir := os.Getenv(keeperEnv); dir != "" {
		if err := keep(dir); err != nil {
			slog.Error("keeping the test cluster", "error", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
}

// sharedDir is the directory of this user's cluster.
func sharedDir() string {
	return filepath.Join(os.TempDir(), fmt.Sprintf("irthub-pgtest-%d", os.Geteuid()))
}

// joinShared makes this process a user of the shared cluster, starting it if
// it is not up, and returns its URL.
func joinShared(ctx context.Context) (string, error) {
	dir := sharedDir()
	if err := os.MkdirAll(dir, 0o711); err != nil {
		return "", err
	}
	if err := lockForLife(filepath.Join(dir, "users"), syscall.LOCK_SH); err != nil {
		return "", err
	}
	// One process at a time looks and starts; the others then find it up.
	starter, err := lockFile(filepath.Join(dir, "starter"), syscall.LOCK_EX)
	if err != nil {
		return "", err
	}
	defer starter.Close()
	if url, err := answeringURL(ctx, dir); err == nil && kept(dir) {
		return url, nil
	}
	// What a killed keeper wrote down must not be believed while the next one starts its
	// cluster once, to end it in order.
	if err := os.Remove(filepath.Join(dir, urlName)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return "", err
	}
	if err := spawnKeeper(dir); err != nil {
		return "", err
	}
	return awaitURL(ctx, dir)
}

// urlName names the file in which the keeper writes down where the cluster answers.
const urlName = "url"

// lockForLife takes a lock that only the end of this process gives back.
func lockForLife(path string, how int) error {
	f, err := lockFile(path, how)
	if err == nil {
		forLife = append(forLife, f) // a collected file would be closed
	}
	return err
}

var forLife []*os.File

func lockFile(path string, how int) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	for {
		err = syscall.Flock(int(f.Fd()), how)
		if !errors.Is(err, syscall.EINTR) {
			break
		}
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("locking %s: %w", path, err), f.Close())
	}
	return f, nil
}

// answeringURL is the cluster's URL as the keeper wrote it down, if it answers.
func answeringURL(ctx context.Context, dir string) (string, error) {
	data, err := os.ReadFile(filepath.Join(dir, urlName))
	if err != nil {
		return "", err
	}
	url := strings.TrimSpace(string(data))
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return "", err
	}
	return url, conn.Close(ctx)
}

func awaitURL(ctx context.Context, dir string) (string, error) {
	for {
		url, err := answeringURL(ctx, dir)
		if err == nil {
			return url, nil
		}
		select {
		case <-ctx.Done():
			return "", fmt.Errorf("the test cluster did not start (%w); see %s/keeper.log", err, dir)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// spawnKeeper starts the keeper in a session of its own, with no file of this
// process: `go test` waits for whoever holds its output.
func spawnKeeper(dir string) error {
	exe, err := os.Executable()
	if err != nil {
		return err
	}
	log, err := os.OpenFile(filepath.Join(dir, "keeper.log"), os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), keeperEnv+"="+dir)
	cmd.Dir = "/"
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("starting the keeper of the test cluster: %w", err)
	}
	go func() { _ = cmd.Wait() }() // reaps it, should it end before this process
	return nil
}

// keeperName names the file that the keeper locks for as long as it lives, so that
// there is never a second one.
const keeperName = "keeper"

// kept tells whether there is a keeper: the cluster of one that was killed may answer
// for a moment more.
func kept(dir string) bool {
	f, err := lockFile(filepath.Join(dir, keeperName), syscall.LOCK_EX|syscall.LOCK_NB)
	if err == nil {
		_ = f.Close()
	}
	return errors.Is(err, syscall.EWOULDBLOCK)
}

// keep runs the shared cluster until nobody has used it for a while.
func keep(dir string) error {
	if err := lockForLife(filepath.Join(dir, keeperName), syscall.LOCK_EX); err != nil {
		return err
	}
	cluster, err := startClean(dir)
	if err != nil {
		return err
	}
	urlFile := filepath.Join(dir, urlName)
	if err := os.WriteFile(urlFile, []byte(cluster.URL()), 0o600); err != nil {
		return errors.Join(err, cluster.Stop(context.Background()))
	}
	users, err := awaitIdle(filepath.Join(dir, "users"))
	if err != nil {
		return errors.Join(err, cluster.Stop(context.Background()))
	}
	defer users.Close()
	err = errors.Join(dropDatabases(cluster.URL()), os.Remove(urlFile), cluster.Stop(context.Background()))
	if err != nil {
		return err
	}
	return os.WriteFile(cleanMark(dir), nil, 0o600)
}

// cleanMark names the file that says that the cluster was stopped in order:
// nothing of it is ever flushed, so one that was not cannot be trusted.
func cleanMark(dir string) string { return filepath.Join(dir, "clean") }

func startClean(dir string) (*pg.Cluster, error) {
	data := filepath.Join(dir, "data")
	if err := os.Remove(cleanMark(dir)); err != nil {
		if err := discard(data); err != nil {
			return nil, err
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	return pg.StartDisposable(ctx, data, slog.Default())
}

// discard removes an untrustworthy cluster, whose postmaster may be on its way
// out after its keeper was killed: starting it once more ends that one in order.
func discard(data string) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if _, err := os.Stat(filepath.Join(data, "postgres", "postmaster.pid")); err == nil {
		if cluster, err := pg.StartDisposable(ctx, data, slog.Default()); err == nil {
			_ = cluster.Stop(ctx)
		}
	}
	return os.RemoveAll(data)
}

// awaitIdle returns the users' lock, taken exclusively, when it has been free
// for linger.
func awaitIdle(users string) (*os.File, error) {
	const poll = 250 * time.Millisecond
	tick := time.NewTicker(poll)
	defer tick.Stop()
	for idle := time.Duration(0); ; idle += poll {
		f, err := lockFile(users, syscall.LOCK_EX|syscall.LOCK_NB)
		switch {
		case errors.Is(err, syscall.EWOULDBLOCK):
			idle = 0
		case err != nil:
			return nil, err
		case idle >= linger:
			return f, nil
		default:
			_ = f.Close()
		}
		<-tick.C
	}
}

// dropDatabases removes what killed tests left behind, and templates of
// migrations other than the keeper's own.
func dropDatabases(server string) error {
	fingerprint, err := pg.MigrationsFingerprint()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	conn, err := pgx.Connect(ctx, server)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	rows, err := conn.Query(ctx, `SELECT datname FROM pg_database WHERE starts_with(datname, $1)
		OR starts_with(datname, $2) AND datname <> $2 || $3`, namePrefix, templatePrefix, fingerprint)
	if err != nil {
		return err
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return err
	}
	for _, name := range names {
		if _, err := conn.Exec(ctx, "ALTER DATABASE "+name+" IS_TEMPLATE false"); err != nil {
			return err
		}
		if _, err := conn.Exec(ctx, "DROP DATABASE "+name+" WITH (FORCE)"); err != nil {
			return err
		}
	}
	return nil
}
