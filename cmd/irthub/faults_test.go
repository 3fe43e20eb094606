package main

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"irthub/internal/pg/pgtest"
)

// faultsVariable set to "all" has every fault strike as often as `make faults`
// wants it; CI runs the short form.
const faultsVariable = "IRTHUB_FAULTS"

func strikes(short, all int) int {
	if os.Getenv(faultsVariable) == "all" {
		return all
	}
	return short
}

// kill -9 of the hub at random moments, its PostgreSQL with it.
func TestFaultHubKilled(t *testing.T) {
	t.Parallel()
	a := newArea(t, pgtest.DataDir(t), "")
	hub := a.serve(t)
	a.register(t, a.private(t))
	for strike := range strikes(2, 20) {
		stop := a.load(t, "k"+letters(strike), 16)
		a.until(t, 20+rand.IntN(300))
		_ = hub.Process.Signal(syscall.SIGKILL)
		stop()
		hub.end(t, syscall.SIGKILL)
		hub = a.serve(t)
	}
	a.accounted(t, a.private(t))
}

// kill -9 of PostgreSQL at random moments: the hub stays up, starts it again, and
// the callers who try again are answered.
func TestFaultPostgresKilled(t *testing.T) {
	t.Parallel()
	a := newArea(t, pgtest.DataDir(t), "")
	a.serve(t)
	a.register(t, a.private(t))
	stop := a.load(t, "p", 16)
	for range strikes(1, 5) {
		a.until(t, 20+rand.IntN(300))
		a.killPostgres(t)
	}
	a.until(t, 100)
	stop()
	a.accounted(t, a.private(t))
}

// killPostgres kills the postmaster of the hub's private cluster.
func (a *area) killPostgres(t *testing.T) {
	t.Helper()
	pid, err := os.ReadFile(filepath.Join(a.data, "postgres", "postmaster.pid"))
	if err != nil {
		t.Fatal(err)
	}
	first, _, _ := strings.Cut(string(pid), "\n")
	postmaster, err := strconv.Atoi(first)
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(postmaster, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
}

// line is the network to a hub or to its database, which can be cut.
type line struct {
	listener net.Listener
	dial     func() (net.Conn, error) // to where it leads
	mu       sync.Mutex
	down     bool // connections are refused, or silent
	silent   bool // they hang instead
	conns    map[net.Conn]bool
}

func newLine(t *testing.T, dial func() (net.Conn, error)) *line {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := &line{listener: listener, dial: dial, conns: map[net.Conn]bool{}}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go l.carry(conn)
		}
	}()
	return l
}

func (l *line) carry(from net.Conn) {
	to, err := l.dial()
	if err != nil {
		_ = from.Close()
		return
	}
	l.mu.Lock()
	l.conns[from], l.conns[to] = true, true
	cut := l.down && !l.silent
	l.mu.Unlock()
	if cut {
		_ = from.Close()
		_ = to.Close()
		return
	}
	var both sync.WaitGroup
	both.Go(func() { l.copy(to, from) })
	both.Go(func() { l.copy(from, to) })
	both.Wait()
}

func (l *line) copy(to, from net.Conn) {
	defer to.Close()
	defer from.Close()
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		for l.isSilent() { // what is on the way is lost for as long
			time.Sleep(10 * time.Millisecond) //nolint:forbidigo // the line is cut
		}
		if err != nil {
			return
		}
		if _, err := to.Write(buffer[:n]); err != nil {
			return
		}
	}
}

func (l *line) isSilent() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.down && l.silent
}

// cut takes the line down for so long: connections are reset, or hang in silence.
func (l *line) cut(silent bool, length time.Duration) {
	l.mu.Lock()
	l.down, l.silent = true, silent
	if !silent {
		for conn := range l.conns {
			_ = conn.Close()
		}
		clear(l.conns)
	}
	l.mu.Unlock()
	time.Sleep(length) //nolint:forbidigo // so long it is down
	l.mu.Lock()
	l.down = false
	l.mu.Unlock()
}

// The network between the hub and its database is cut, in both ways it can be; where
// faults strike often, once in silence for longer than connecting (5 s) and a statement
// (30 s) may take.
func TestFaultNetworkCut(t *testing.T) {
	t.Parallel()
	pool := pgtest.New(t)
	config := pool.Config().ConnConfig
	if !strings.HasPrefix(config.Host, "/") {
		t.Skip("the test server is not on a socket, so there is no line to cut")
	}
	socket := filepath.Join(config.Host, fmt.Sprintf(".s.PGSQL.%d", config.Port))
	l := newLine(t, func() (net.Conn, error) { return net.Dial("unix", socket) })
	a := newArea(t, pgtest.DataDir(t), fmt.Sprintf("postgres://%s@%s/%s?sslmode=disable", config.User, l.listener.Addr(), config.Database))
	a.serve(t)
	a.register(t, pool)
	stop := a.load(t, "n", 16)
	for strike := range strikes(2, 10) {
		a.until(t, 20+rand.IntN(200))
		length := 500*time.Millisecond + rand.N(3*time.Second)
		if strike == 3 {
			length = 40 * time.Second
		}
		l.cut(strike%2 == 1, length)
	}
	a.until(t, 100)
	stop()
	a.accounted(t, pool)
}

// The disk with the database is full for a while: calls are refused, nothing that
// was acknowledged is lost, and with room again the hub goes on by itself.
func TestFaultDiskFull(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("only root can mount a small disk")
	}
	data := pgtest.DataDir(t)
	if err := syscall.Mount("tmpfs", data, "tmpfs", 0, "size=320m,mode=711"); err != nil {
		t.Skipf("no small disk can be mounted here: %v", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(data, syscall.MNT_DETACH) })
	a := newArea(t, data, "")
	hub := a.serve(t)
	a.register(t, a.private(t))
	stop := a.load(t, "d", 16)
	for range strikes(1, 3) {
		a.until(t, 50)
		fill(t, filepath.Join(data, "filler"))
		refused := a.refusals()
		for end := time.Now().Add(time.Minute); a.refusals() < refused+20; time.Sleep(20 * time.Millisecond) { //nolint:forbidigo // a wait with a deadline
			if time.Now().After(end) {
				t.Fatal("nothing was refused on a full disk for a minute")
			}
			if hub.ProcessState != nil {
				t.Fatalf("the hub ended: %s", hub.log)
			}
		}
		if err := os.Remove(filepath.Join(data, "filler")); err != nil {
			t.Fatal(err)
		}
	}
	a.until(t, 100)
	stop()
	a.accounted(t, a.private(t))
}

func (a *area) refusals() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.refused
}

// fill writes until the disk is full.
func fill(t *testing.T, path string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	block := make([]byte, 1<<20)
	for len(block) > 0 {
		if _, err := f.Write(block); err != nil {
			block = block[:len(block)/2]
		}
	}
}
