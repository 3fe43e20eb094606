package pg_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"irthub/internal/pg"
	"irthub/internal/pg/pgtest"
)

// patience bounds everything a test waits for; a machine busy with other tests
// must not fail one, so it is long.
const patience = 90 * time.Second

// helperEnv makes this test binary a hub that runs a cluster in the directory
// it names, says so, and waits to be killed or told to stop on standard input.
const helperEnv = "IRTHUB_PG_TEST_HUB"

func TestMain(m *testing.M) {
	if dir := os.Getenv(helperEnv); dir != "" {
		if err := runHelper(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	code := m.Run()
	if dir := seedDir; dir != "" {
		_ = os.RemoveAll(dir)
	}
	os.Exit(code)
}

// seedDir holds the cluster that seededDir copies.
var seedDir string

var seed = sync.OnceValue(func() error {
	dir, err := os.MkdirTemp("", "irthub-seed-")
	if err != nil {
		return err
	}
	seedDir = dir
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := os.Chmod(dir, 0o711); err != nil {
		return err
	}
	c, err := pg.StartEmbedded(ctx, dir, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	return c.Stop(ctx)
})

// seededDir is a data directory with a cluster in it, restored from a copy:
// much faster than initdb. As root its files are root's, as after many a
// restore from a backup.
func seededDir(t *testing.T) string {
	t.Helper()
	if err := seed(); err != nil {
		t.Fatal(err)
	}
	dir := pgtest.DataDir(t)
	pgdata := filepath.Join(dir, "postgres")
	if err := errors.Join(os.CopyFS(pgdata, os.DirFS(filepath.Join(seedDir, "postgres"))), os.Chmod(pgdata, 0o700)); err != nil {
		t.Fatal(err)
	}
	return dir
}

func runHelper(dir string) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	c, err := pg.StartEmbedded(ctx, dir, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	fmt.Println("owned", c.Owned())
	_, _ = io.Copy(io.Discard, os.Stdin) // until the test closes it
	return c.Stop(ctx)
}

// hub is a process of its own that owns or joined a cluster.
type hub struct {
	cmd    *exec.Cmd
	stdin  io.Closer
	stdout *bufio.Reader
	owned  bool
}

// startHub returns when the hub's cluster answers.
func startHub(t *testing.T, dir string) *hub {
	t.Helper()
	h := spawnHub(t, dir)
	line, err := h.stdout.ReadString('\n')
	if _, scanErr := fmt.Sscanf(line, "owned %t", &h.owned); scanErr != nil {
		t.Fatalf("the hub said %q (%v)", line, err)
	}
	return h
}

// spawnHub returns at once.
func spawnHub(t *testing.T, dir string) *hub {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), helperEnv+"="+dir)
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	h := &hub{cmd: cmd, stdin: stdin, stdout: bufio.NewReader(stdout)}
	t.Cleanup(h.kill)
	return h
}

// kill is kill -9.
func (h *hub) kill() {
	_ = h.cmd.Process.Kill()
	_ = h.cmd.Wait()
}

func (h *hub) stop(t *testing.T) {
	t.Helper()
	if err := errors.Join(h.stdin.Close(), h.cmd.Wait()); err != nil {
		t.Errorf("the hub did not stop well: %v", err)
	}
}

func startCluster(t *testing.T, dir string) *pg.Cluster {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	c, err := pg.StartEmbedded(ctx, dir, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stopCluster(t, c) })
	return c
}

func stopCluster(t *testing.T, c *pg.Cluster) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := c.Stop(ctx); err != nil {
		t.Errorf("Stop: %v", err)
	}
}

func openPool(t *testing.T, c *pg.Cluster) *pgxpool.Pool {
	t.Helper()
	pool, err := pg.Open(t.Context(), c.URL(), pg.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return pool
}

func mustExec(t *testing.T, pool *pgxpool.Pool, sql string) {
	t.Helper()
	if _, err := pool.Exec(t.Context(), sql); err != nil {
		t.Fatal(err)
	}
}

// eventually calls ok until it returns nil.
func eventually(t *testing.T, what string, ok func() error) {
	t.Helper()
	deadline := time.After(patience)
	for {
		err := ok()
		if err == nil {
			return
		}
		select {
		case <-deadline:
			t.Fatalf("%s: still %v", what, err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// wantRow waits until the cluster answers, and wants the row of mustRemember.
func wantRow(t *testing.T, pool *pgxpool.Pool) {
	t.Helper()
	eventually(t, "the acknowledged row", func() error {
		var n int
		if err := pool.QueryRow(t.Context(), "SELECT count(*) FROM remembered").Scan(&n); err != nil {
			return err
		}
		if n != 1 {
			t.Fatalf("%d rows, want the one that was acknowledged", n)
		}
		return nil
	})
}

func mustRemember(t *testing.T, pool *pgxpool.Pool) {
	t.Helper()
	mustExec(t, pool, "CREATE TABLE remembered AS SELECT 1 AS n")
}

func postmaster(t *testing.T, dir string) int {
	t.Helper()
	pid, _ := pg.ReadPidFile(filepath.Join(dir, "postgres"))
	if pid == 0 {
		t.Fatal("no postmaster.pid")
	}
	return pid
}

// wantNoPostgres waits until no process works in dir.
func wantNoPostgres(t *testing.T, dir string) {
	t.Helper()
	eventually(t, "postgres processes", func() error {
		if pids := processesIn(filepath.Join(dir, "postgres")); len(pids) > 0 {
			return fmt.Errorf("%v are running", pids)
		}
		return nil
	})
}

// processesIn lists the processes whose working directory is pgdata, as that
// of every PostgreSQL process is.
func processesIn(pgdata string) []string {
	var pids []string
	links, _ := filepath.Glob("/proc/[0-9]*/cwd")
	for _, link := range links {
		if dir, err := os.Readlink(link); err == nil && dir == pgdata {
			pids = append(pids, filepath.Base(filepath.Dir(link)))
		}
	}
	return pids
}

func TestClusterKeepsItsDataFromStartToStart(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(pgtest.DataDir(t), "not there yet")
	c := startCluster(t, dir)
	if !c.Owned() {
		t.Error("the process that started the cluster does not own it")
	}
	pool := openPool(t, c)
	mustRemember(t, pool)
	if len(processesIn(filepath.Join(dir, "postgres"))) == 0 {
		t.Fatal("found no postgres: the test cannot see what it is about")
	}
	stopCluster(t, c) // with the pool's connections still open
	wantNoPostgres(t, dir)
	stopCluster(t, c) // again: harmless
	wantRow(t, openPool(t, startCluster(t, dir)))
}

func TestClusterIsPrivateAndDurable(t *testing.T) {
	t.Parallel()
	dir := seededDir(t)
	pool := openPool(t, startCluster(t, dir))
	for setting, want := range map[string]string{
		"listen_addresses": "", "unix_socket_permissions": "0700", "fsync": "on", "synchronous_commit": "on",
		"full_page_writes": "on", "data_checksums": "on", "server_encoding": "UTF8", "lc_collate": "C",
		"log_parameter_max_length": "0", "log_parameter_max_length_on_error": "0", "log_min_error_statement": "panic",
		"log_error_verbosity": "terse", "max_connections": "60", "max_locks_per_transaction": "256", "jit": "off",
		"is_superuser": "off",
	} {
		var got string
		if err := pool.QueryRow(t.Context(), "SELECT current_setting($1)", setting).Scan(&got); err != nil || got != want {
			t.Errorf("%s is %q (%v), want %q", setting, got, err, want)
		}
	}
	var upper string
	if err := pool.QueryRow(t.Context(), "SELECT upper('é')").Scan(&upper); err != nil || upper != "É" {
		t.Errorf("upper('é') is %q (%v)", upper, err)
	}
	for _, ext := range []string{"pg_trgm", "unaccent", "pgcrypto", "btree_gist"} {
		mustExec(t, pool, "CREATE EXTENSION "+ext) // as the hub's role
	}
	if fi, err := os.Stat(filepath.Join(dir, "run")); err != nil || fi.Mode().Perm() != 0o700 {
		t.Errorf("the socket's directory: %v, %v", fi.Mode(), err)
	}
}

func TestPostgresDoesNotRunAsRoot(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("only root drops to another user")
	}
	dir := filepath.Join(pgtest.DataDir(t), "data")
	if err := os.Mkdir(dir, 0o700); err != nil { // the hub's own: it opens this one itself
		t.Fatal(err)
	}
	startCluster(t, dir)
	var st syscall.Stat_t
	if err := syscall.Stat(fmt.Sprintf("/proc/%d", postmaster(t, dir)), &st); err != nil || st.Uid == 0 {
		t.Errorf("the postmaster runs as uid %d (%v)", st.Uid, err)
	}
	if fi, err := os.Stat(dir); err != nil || fi.Mode().Perm()&0o066 != 0 {
		t.Errorf("mode %v (%v): others may pass, and no more", fi.Mode(), err)
	}
}

func TestClosedParentIsExplained(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("only root drops to another user")
	}
	home := filepath.Join(pgtest.DataDir(t), "home")
	if err := os.Mkdir(home, 0o700); err != nil {
		t.Fatal(err)
	}
	_, err := pg.StartEmbedded(t.Context(), filepath.Join(home, "data"), slog.New(slog.DiscardHandler))
	if err == nil || !strings.Contains(err.Error(), home+" (mode 0700)") || !strings.Contains(err.Error(), "/var/lib/irthub") {
		t.Errorf("%v: want it to name the closed directory and a better place", err)
	}
}

func TestSocketOfAnyDirectory(t *testing.T) {
	t.Parallel()
	for name, sub := range map[string]string{
		"longer than a socket's path": strings.Repeat("long/", 30),
		"spaces, quotes and commas":   `it's, a "data" dir %41`,
		"not ASCII":                   "données",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(pgtest.DataDir(t), sub)
			c := startCluster(t, dir)
			mustRemember(t, openPool(t, c))
			_, socket := pg.ReadPidFile(filepath.Join(dir, "postgres"))
			stopCluster(t, c)
			if _, err := os.Stat(socket); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("the socket's directory %s was left behind (%v)", socket, err)
			}
			wantRow(t, openPool(t, startCluster(t, dir)))
		})
	}
}

func TestSocketDirectoryOfAnotherUserIsRefused(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("only root can make another user's directory")
	}
	dir := pgtest.DataDir(t)
	if err := errors.Join(os.Mkdir(filepath.Join(dir, "run"), 0o777), os.Chown(filepath.Join(dir, "run"), 12345, 12345)); err != nil {
		t.Fatal(err)
	}
	if _, err := pg.StartEmbedded(t.Context(), dir, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), "run") {
		t.Errorf("%v: want it to name the directory", err)
	}
	wantNoPostgres(t, dir)
}

func TestDataDirectoryThatIsNotOurs(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ file, content, want string }{
		"files of something else": {"holiday.jpg", "", "no PostgreSQL data directory"},
		"an older version's":      {"PG_VERSION", "9\n", "postgresql-9"},
		"a broken one":            {"PG_VERSION", "x\n", "PG_VERSION"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := pgtest.DataDir(t)
			pgdata := filepath.Join(dir, "postgres")
			if err := errors.Join(os.Mkdir(pgdata, 0o700), os.WriteFile(filepath.Join(pgdata, tt.file), []byte(tt.content), 0o600)); err != nil {
				t.Fatal(err)
			}
			_, err := pg.StartEmbedded(t.Context(), dir, slog.New(slog.DiscardHandler))
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v: want it to say %q", err, tt.want)
			}
			if got, err := os.ReadFile(filepath.Join(pgdata, tt.file)); err != nil || string(got) != tt.content {
				t.Errorf("the file was touched: %q, %v", got, err)
			}
		})
	}
}

// TestLogHoldsNoPersonalData fails statements in the ways that quote values.
func TestLogHoldsNoPersonalData(t *testing.T) {
	t.Parallel()
	dir := seededDir(t)
	// A log that has grown too long moves away at the start.
	if err := os.WriteFile(filepath.Join(dir, "postgres.log"), make([]byte, pg.MaxLog+1), 0o600); err != nil {
		t.Fatal(err)
	}
	c := startCluster(t, dir)
	pool := openPool(t, c)
	mustExec(t, pool, "CREATE TABLE child (name text PRIMARY KEY, born date); INSERT INTO child VALUES ('Lovelace')")
	for _, sql := range []string{
		"INSERT INTO child VALUES ('Lovelace')",
		"INSERT INTO child VALUES ('x', 'Lovelace')",
		"SELECT Lovelace FROM child",
		"SELECT 'Lovelace",
		"DO $$ BEGIN RAISE WARNING 'Lovelace'; RAISE NOTICE 'Lovelace'; RAISE EXCEPTION 'Lovelace'; END $$",
		"SELECT pg_terminate_backend(pg_backend_pid()) /* Lovelace */",
	} {
		if _, err := pool.Exec(t.Context(), sql); err == nil {
			t.Errorf("%s: did not fail", sql)
		}
	}
	if _, err := pool.Exec(t.Context(), "SELECT $1::text::date", "Lovelace"); err == nil {
		t.Error("a name was taken for a date")
	}
	stopCluster(t, c)
	log, err := os.ReadFile(filepath.Join(dir, "postgres.log"))
	if err != nil || !strings.Contains(string(log), "database system is ready") || len(log) >= pg.MaxLog {
		t.Fatalf("log of %d bytes, %v: want one of this start alone", len(log), err)
	}
	if strings.Contains(strings.ToLower(string(log)), "lovelace") {
		t.Errorf("personal data in the log:\n%s", log)
	}
	if fi, err := os.Stat(filepath.Join(dir, "postgres.log.1")); err != nil || fi.Size() <= pg.MaxLog {
		t.Errorf("the log before: %v", err)
	}
}
