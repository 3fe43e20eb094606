package pg

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// The database and the role the hub uses in a private cluster. The role is no
// superuser: the hub has no more power there than in a server it was given.
const (
	hubRole     = "irthub"
	hubDatabase = "irthub"
	superuser   = "postgres"
)

// instance is a private cluster's files and how to run them. Its methods are
// called by the process that holds the cluster's lock.
type instance struct {
	log        *slog.Logger
	dataDir    string // absolute, without links
	socketDir  string
	disposable bool
	bin        binaries
	account    account
	shared     int64 // bytes of the shared buffers of the postmaster that was launched last
}

func (in *instance) pgdata() string  { return filepath.Join(in.dataDir, "postgres") }
func (in *instance) logPath() string { return filepath.Join(in.dataDir, "postgres.log") }

// prepare finds binaries and an account, and makes the cluster if there is none.
func (in *instance) prepare(ctx context.Context) error {
	major, err := clusterMajor(in.pgdata())
	if err != nil {
		return err
	}
	if in.bin, err = findBinaries(ctx, major); err != nil {
		return err
	}
	if in.account, err = pickAccount(in.pgdata()); err != nil {
		return err
	}
	if err := in.openDataDir(); err != nil {
		return err
	}
	for _, dir := range []string{in.dataDir, in.bin.dir} {
		if err := in.account.canEnter(dir); err != nil {
			return err
		}
	}
	if major == 0 {
		return in.initdb(ctx)
	}
	return in.account.ownTree(in.pgdata())
}

// openDataDir lets the account pass through a data directory of the hub's own.
// It gets no further: it may not list it, nor read the hub's files.
func (in *instance) openDataDir() error {
	fi, err := os.Stat(in.dataDir)
	if err != nil {
		return err
	}
	ours := fi.Sys().(*syscall.Stat_t).Uid == uint32(os.Geteuid()) //nolint:gosec // ids are 32 bits
	if !in.account.drop || !ours || in.account.mayPass(fi) {
		return nil
	}
	return os.Chmod(in.dataDir, fi.Mode().Perm()|0o001)
}

// initdb makes the cluster beside its place and moves it there when it is
// whole, so that a hub killed half-way leaves nothing that looks like one.
func (in *instance) initdb(ctx context.Context) error {
	in.log.InfoContext(ctx, "making a private PostgreSQL", "dir", in.pgdata(), "version", in.bin.major, "user", in.account.name)
	tmp := in.pgdata() + ".init"
	if err := os.RemoveAll(tmp); err != nil {
		return err
	}
	if err := os.Mkdir(tmp, 0o700); err != nil {
		return err
	}
	if err := in.account.own(tmp); err != nil {
		return err
	}
	if err := in.runInitdb(ctx, tmp); err != nil {
		return err
	}
	if err := in.writeConfigFiles(tmp); err != nil {
		return err
	}
	if err := removeIfThere(in.pgdata()); err != nil {
		return err // an empty directory that an operator made goes; clusterMajor refused any other
	}
	if err := os.Rename(tmp, in.pgdata()); err != nil {
		return err
	}
	return syncDir(in.dataDir)
}

func (in *instance) runInitdb(ctx context.Context, dir string) error {
	args := []string{
		"--pgdata", dir, "--username", superuser, "--auth", "trust", "--no-instructions", "--data-checksums",
		// Text sorts by code point, the same on every system and after every upgrade; case and
		// letters are Unicode's, which the trigram search needs.
		"--encoding", "UTF8", "--locale", "C.UTF-8", "--lc-collate", "C",
		"--text-search-config", "simple",
	}
	if in.disposable {
		args = append(args, "--no-sync")
	}
	cmd := exec.CommandContext(ctx, in.bin.initdb(), args...) //nolint:gosec // found by findBinaries
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	p, err := in.account.spawn(cmd, syscall.SIGKILL)
	if err != nil {
		return fmt.Errorf("initdb: %w", err)
	}
	<-p.exited
	if p.err != nil {
		return fmt.Errorf("initdb: %w: %s", errors.Join(p.err, ctx.Err()), lastLines(out.Bytes()))
	}
	return nil
}

// writeConfigFiles replaces initdb's files by ours: who may connect, and an
// include of the settings written at every start.
func (in *instance) writeConfigFiles(dir string) error {
	files := map[string]string{
		"pg_hba.conf": "# The socket's directory lets in this account (and root) alone; there is no TCP.\n" +
			"local all all trust\nlocal replication all trust # pg_basebackup, as postgres\n",
		"postgresql.conf": "include 'irthub.conf' # irthub's own settings, written anew at every start\n\n" +
			"# Your settings: they win over irthub's.\n",
	}
	for name, content := range files {
		if err := in.writeOwned(filepath.Join(dir, name), content); err != nil {
			return err
		}
	}
	return nil
}

func (in *instance) writeOwned(path, content string) error {
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		return err
	}
	return in.account.own(path)
}

func removeIfThere(path string) error {
	if err := os.Remove(path); !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// launch starts the postmaster; ready waits until it answers.
func (in *instance) launch() (*process, error) {
	if err := in.account.makeSocketDir(in.socketDir); err != nil {
		return nil, err
	}
	if in.shared = disposableBuffers; !in.disposable {
		in.shared = sharedBuffers(machineMemory(), hugePages)
	}
	if err := in.writeSettings("on"); err != nil {
		return nil, err
	}
	logFile, err := openLog(in.logPath())
	if err != nil {
		return nil, err
	}
	defer logFile.Close()
	// On the command line, where no settings file can undo it: the socket only.
	cmd := exec.Command(in.bin.postgres(), "-D", in.pgdata(), //nolint:gosec // found by findBinaries
		"-c", "listen_addresses=", "-c", "unix_socket_directories="+in.socketDir, "-c", "port="+socketPort)
	cmd.Stdout, cmd.Stderr = logFile, logFile
	return in.account.spawn(cmd, syscall.SIGINT) // SIGINT: fast shutdown
}

// writeSettings writes the hub's settings, with that compression of the WAL.
func (in *instance) writeSettings(compression string) error {
	preload := ""
	if !in.disposable && in.bin.hasLibrary("pg_prewarm") {
		preload = "pg_prewarm"
	}
	conf := settings(in.disposable, in.shared, compression, preload, freeDisk(in.pgdata()))
	return in.writeOwned(filepath.Join(in.pgdata(), "irthub.conf"), conf)
}

// ready waits until the postmaster p answers, which after a crash may take as
// long as recovery does, and sees to the hub's role and database.
func (in *instance) ready(ctx context.Context, p *process) error {
	for {
		conn, err := pgx.Connect(ctx, socketURL(in.socketDir, superuser, "postgres"))
		if err == nil {
			err = errors.Join(in.ensureDatabase(ctx, conn), in.compressWell(ctx, conn))
			return errors.Join(err, conn.Close(ctx))
		}
		if pgErr, ok := errors.AsType[*pgconn.PgError](err); ok && !Unavailable(pgErr) {
			return err
		}
		select {
		case <-p.exited:
			return fmt.Errorf("postgres ended at its start (%w); the end of %s: %s", p.err, in.logPath(), in.logTail())
		case <-ctx.Done():
			return fmt.Errorf("waiting for postgres: %w; the end of %s: %s", ctx.Err(), in.logPath(), in.logTail())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// compressWell has the log compressed with LZ4 where this PostgreSQL can: with a
// million children, of which each new one touches pages all over the index of
// blocking keys, PostgreSQL's own compression took a third of all its CPU.
func (in *instance) compressWell(ctx context.Context, conn *pgx.Conn) error {
	var able bool
	err := conn.QueryRow(ctx, `SELECT 'lz4' = ANY(enumvals) FROM pg_settings WHERE name = 'wal_compression'`).Scan(&able)
	if err != nil || !able {
		return err
	}
	if err := in.writeSettings("lz4"); err != nil {
		return err
	}
	_, err = conn.Exec(ctx, `SELECT pg_reload_conf()`)
	return err
}

// ensureDatabase makes the hub's role and database where they are missing.
func (in *instance) ensureDatabase(ctx context.Context, conn *pgx.Conn) error {
	createRole := "CREATE ROLE " + hubRole + " LOGIN"
	if in.disposable {
		createRole += " CREATEDB" // tests clone databases
	}
	for _, step := range []struct{ exists, create string }{
		{"SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = '" + hubRole + "')", createRole},
		{
			"SELECT EXISTS (SELECT FROM pg_database WHERE datname = '" + hubDatabase + "')",
			"CREATE DATABASE " + hubDatabase + " OWNER " + hubRole,
		},
	} {
		var exists bool
		if err := conn.QueryRow(ctx, step.exists).Scan(&exists); err != nil {
			return fmt.Errorf("looking at the new cluster: %w", err)
		}
		if exists {
			continue
		}
		if _, err := conn.Exec(ctx, step.create); err != nil {
			return fmt.Errorf("making the hub's database: %w", err)
		}
	}
	return nil
}

// endOrphan ends a postmaster that its hub left behind: one still shutting
// down after a kill -9, or one that nobody tells to. The caller holds the
// cluster's lock, so no living process owns it.
func (in *instance) endOrphan(ctx context.Context) error {
	orphan := readPidFile(in.pgdata())
	if !orphan.running(in.pgdata()) {
		// The file may name a number that some other process has by now, and
		// postgres would then refuse to start.
		return removeIfThere(filepath.Join(in.pgdata(), "postmaster.pid"))
	}
	in.log.WarnContext(ctx, "ending a PostgreSQL that its hub left behind", "pid", orphan.pid)
	for orphan.running(in.pgdata()) {
		_ = syscall.Kill(orphan.pid, syscall.SIGINT) // it may have ended just now
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for the postgres (pid %d) of a hub that has gone: %w", orphan.pid, ctx.Err())
		case <-time.After(50 * time.Millisecond):
		}
	}
	return nil
}
