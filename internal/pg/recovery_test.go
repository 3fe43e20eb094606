package pg_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"irthub/internal/pg"
	"irthub/internal/pg/pgtest"
)

func TestFaultKilledPostgresComesBack(t *testing.T) {
	t.Parallel()
	dir := seededDir(t)
	pool := openPool(t, startCluster(t, dir))
	mustRemember(t, pool)
	for range 2 { // and again
		old := postmaster(t, dir)
		if err := syscall.Kill(old, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		eventually(t, "a new postmaster", func() error {
			if pid, _ := pg.ReadPidFile(filepath.Join(dir, "postgres")); pid == 0 || pid == old {
				return errors.New("the old one")
			}
			return nil
		})
		wantRow(t, pool)
	}
}

func TestFaultKilledBackendComesBack(t *testing.T) {
	t.Parallel()
	pool := openPool(t, startCluster(t, seededDir(t)))
	mustRemember(t, pool)
	var pid int
	if err := pool.QueryRow(t.Context(), "SELECT pg_backend_pid()").Scan(&pid); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	wantRow(t, pool)
}

func TestFaultKilledHubIsTakenOver(t *testing.T) {
	t.Parallel()
	dir := seededDir(t)
	h := startHub(t, dir)
	c := startCluster(t, dir)
	pool := openPool(t, c)
	mustRemember(t, pool)
	h.kill()
	eventually(t, "taking over", func() error {
		if !c.Owned() {
			return errors.New("nobody owns the cluster")
		}
		return nil
	})
	wantRow(t, pool)
}

// TestFaultKilledHubAlone has nobody to take over: the kernel ends the postgres of
// a killed hub, and the next hub starts on what it left, at once.
func TestFaultKilledHubAlone(t *testing.T) {
	t.Parallel()
	dir := seededDir(t)
	h := startHub(t, dir)
	joined := startCluster(t, dir)
	mustRemember(t, openPool(t, joined))
	stopCluster(t, joined)
	h.kill()
	wantNoPostgres(t, dir)
	next := startHub(t, dir)
	if !next.owned {
		t.Error("the next hub does not own the cluster")
	}
	next.kill()
	c := startCluster(t, dir) // with no wait for the last one's postgres to end
	if !c.Owned() {
		t.Error("the cluster of a killed hub was joined")
	}
	wantRow(t, openPool(t, c))
}

// TestFaultHubKilledInInitdb starts again at once, while what the killed hub left
// behind may not even have ended.
func TestFaultHubKilledInInitdb(t *testing.T) {
	t.Parallel()
	dir := pgtest.DataDir(t)
	for range 3 {
		h := spawnHub(t, dir)
		eventually(t, "initdb", func() error {
			_, err := os.Stat(filepath.Join(dir, "postgres.init", "PG_VERSION"))
			return err
		})
		h.kill()
	}
	openPool(t, startCluster(t, dir))
}

func TestTwoStartersMakeOneCluster(t *testing.T) {
	t.Parallel()
	dir := pgtest.DataDir(t)
	var starters sync.WaitGroup
	clusters := make([]*pg.Cluster, 2)
	for i := range clusters {
		starters.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			c, err := pg.StartEmbedded(ctx, dir, slog.New(slog.DiscardHandler))
			if err != nil {
				t.Error(err)
				return
			}
			clusters[i] = c
		})
	}
	starters.Wait()
	if t.Failed() {
		return
	}
	owner, joiner := clusters[0], clusters[1]
	if joiner.Owned() {
		owner, joiner = joiner, owner
	}
	defer stopCluster(t, joiner)
	defer stopCluster(t, owner)
	if !owner.Owned() || joiner.Owned() || owner.URL() != joiner.URL() {
		t.Fatalf("owned: %t and %t, want one of the two", owner.Owned(), joiner.Owned())
	}
	mustRemember(t, openPool(t, owner))
	pool := openPool(t, joiner)
	wantRow(t, pool)
	stopCluster(t, owner)
	wantRow(t, pool) // the one that joined runs it now, at the same address
	if !joiner.Owned() {
		t.Error("the cluster runs and nobody owns it")
	}
}

func TestOneThatJoinedLeavesTheClusterAlone(t *testing.T) {
	t.Parallel()
	dir := seededDir(t)
	h := startHub(t, dir)
	before := postmaster(t, dir)
	c := startCluster(t, dir)
	if !h.owned || c.Owned() {
		t.Errorf("hub owns: %t, command owns: %t; want the hub", h.owned, c.Owned())
	}
	stopCluster(t, c)
	pool := openPool(t, startCluster(t, dir))
	mustRemember(t, pool)
	if after := postmaster(t, dir); after != before {
		t.Errorf("postmaster %d became %d", before, after)
	}
	h.stop(t)
	wantRow(t, pool)
}

// TestFaultStartOnWhatACrashLeft starts clusters whose directories hold remains.
func TestFaultStartOnWhatACrashLeft(t *testing.T) {
	t.Parallel()
	t.Run("an initdb killed half-way", func(t *testing.T) {
		t.Parallel()
		dir := pgtest.DataDir(t)
		half := filepath.Join(dir, "postgres.init", "base")
		if err := errors.Join(os.MkdirAll(half, 0o700), os.WriteFile(filepath.Join(half, "PG_VERSION"), []byte("15\n"), 0o600)); err != nil {
			t.Fatal(err)
		}
		openPool(t, startCluster(t, dir))
	})
	t.Run("a pid that is another process's by now", func(t *testing.T) {
		t.Parallel()
		dir := seededDir(t)
		c := startCluster(t, dir)
		mustRemember(t, openPool(t, c))
		stopCluster(t, c)
		pid := sleeperAsOwnerOf(t, filepath.Join(dir, "postgres"))
		stale := fmt.Sprintf("%d\n%s\n1\n5432\n/nowhere\n\n", pid, filepath.Join(dir, "postgres"))
		if err := os.WriteFile(filepath.Join(dir, "postgres", "postmaster.pid"), []byte(stale), 0o600); err != nil {
			t.Fatal(err)
		}
		wantRow(t, openPool(t, startCluster(t, dir)))
		if err := syscall.Kill(pid, 0); err != nil {
			t.Errorf("the other process was harmed: %v", err)
		}
	})
}

// sleeperAsOwnerOf starts an innocent process of the user that owns path:
// PostgreSQL takes only such a one for a postmaster.
func sleeperAsOwnerOf(t *testing.T, path string) int {
	t.Helper()
	var st syscall.Stat_t
	if err := syscall.Stat(path, &st); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("sleep", "600")
	if os.Geteuid() == 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: st.Uid, Gid: st.Gid}}
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	return cmd.Process.Pid
}

// TestStopDoesNotWaitForEver has a backend that cannot end.
func TestStopDoesNotWaitForEver(t *testing.T) {
	t.Parallel()
	dir := seededDir(t)
	c := startCluster(t, dir)
	pool := openPool(t, c)
	mustRemember(t, pool)
	var pid int
	if err := pool.QueryRow(t.Context(), "SELECT pg_backend_pid()").Scan(&pid); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := c.Stop(ended); err != nil {
		t.Error(err)
	}
	wantNoPostgres(t, dir)
	wantRow(t, openPool(t, startCluster(t, dir)))
}

func TestBinaries(t *testing.T) { // not parallel: it changes the environment
	fake := func(t *testing.T, version string) string {
		t.Helper()
		dir := pgtest.DataDir(t)
		script := "#!/bin/sh\necho '" + version + "'\n"
		for _, name := range []string{"postgres", "initdb"} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(script), 0o700); err != nil {
				t.Fatal(err)
			}
		}
		return dir
	}
	start := func(t *testing.T, dir string) error {
		t.Helper()
		c, err := pg.StartEmbedded(t.Context(), dir, slog.New(slog.DiscardHandler))
		if err == nil {
			stopCluster(t, c)
		}
		return err
	}
	wantError := func(t *testing.T, err error, words ...string) {
		t.Helper()
		for _, word := range words {
			if err == nil || !strings.Contains(err.Error(), word) {
				t.Errorf("%v: want it to say %q", err, word)
			}
		}
	}
	t.Run("none", func(t *testing.T) {
		defer func(was string) { *pg.DebianBinDirs = was }(*pg.DebianBinDirs)
		*pg.DebianBinDirs = "/nowhere/*/bin"
		t.Setenv("PATH", "")
		wantError(t, start(t, pgtest.DataDir(t)), "apt-get install postgresql", pg.BinDirEnv, "IRTHUB_DATABASE_URL")
	})
	t.Run("off PATH", func(t *testing.T) {
		t.Setenv("PATH", "")
		if err := start(t, pgtest.DataDir(t)); err != nil {
			t.Error(err)
		}
	})
	t.Run("too old", func(t *testing.T) {
		t.Setenv(pg.BinDirEnv, fake(t, "postgres (PostgreSQL) 14.9"))
		wantError(t, start(t, pgtest.DataDir(t)), pg.BinDirEnv, "PostgreSQL 14", "15 or newer")
	})
	t.Run("another major than the data's", func(t *testing.T) {
		t.Setenv(pg.BinDirEnv, fake(t, "postgres (PostgreSQL) 18.1"))
		dir := pgtest.DataDir(t)
		pgdata := filepath.Join(dir, "postgres")
		if err := errors.Join(os.Mkdir(pgdata, 0o700), os.WriteFile(filepath.Join(pgdata, "PG_VERSION"), []byte("15\n"), 0o600)); err != nil {
			t.Fatal(err)
		}
		wantError(t, start(t, dir), "made by PostgreSQL 15", "only 18", "postgresql-15", "pg_upgrade")
	})
	t.Run("not a PostgreSQL", func(t *testing.T) {
		t.Setenv(pg.BinDirEnv, fake(t, "hello"))
		wantError(t, start(t, pgtest.DataDir(t)), pg.BinDirEnv, "version")
	})
	t.Run("nothing there", func(t *testing.T) {
		t.Setenv(pg.BinDirEnv, pgtest.DataDir(t))
		wantError(t, start(t, pgtest.DataDir(t)), pg.BinDirEnv, "initdb")
	})
	t.Run("an initdb that fails", func(t *testing.T) {
		dir := fake(t, "postgres (PostgreSQL) 15.1")
		if err := errors.Join(
			os.WriteFile(filepath.Join(dir, "initdb"), []byte("#!/bin/sh\necho no space left; exit 1\n"), 0o700),
			os.Chmod(dir, 0o755), os.Chmod(filepath.Join(dir, "initdb"), 0o755),
		); err != nil {
			t.Fatal(err)
		}
		t.Setenv(pg.BinDirEnv, dir)
		wantError(t, start(t, pgtest.DataDir(t)), "initdb", "no space left")
	})
}

func FuzzPidFile(f *testing.F) {
	f.Add("123\n/data\n1700000000\n5432\n/run\n\n  1234   5\nready\n")
	f.Add("-1\n\n\n\n/run")
	f.Add("")
	f.Fuzz(func(t *testing.T, content string) {
		dir := pgtest.DataDir(t)
		if err := os.WriteFile(filepath.Join(dir, "postmaster.pid"), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		pid, socket := pg.ReadPidFile(dir)
		if pid < 0 || pid == 0 && socket != "" {
			t.Errorf("pid %d, socket %q: a signal to that pid would reach more than a postmaster", pid, socket)
		}
	})
}
