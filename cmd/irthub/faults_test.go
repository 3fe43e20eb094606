package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/agencies"
	"irthub/internal/identity"
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

// area is a hub under load by one school's system, and what that was answered.
type area struct {
	data  string
	env   []string
	token string
	http  atomic.Value // string: where the hub answers now

	mu           sync.Mutex
	acknowledged map[string]string // names of records, and of their children
	read         map[string]bool   // ids of reads whose answers came
	told         map[string]bool   // children whose creation an event told of
	refused      int               // answers that were none: unavailable, or no connection
}

// newArea is an area whose hub has its private PostgreSQL in data or, where url is
// given, that database.
func newArea(t *testing.T, data, url string) *area {
	t.Helper()
	a := &area{data: data, acknowledged: map[string]string{}, read: map[string]bool{}, told: map[string]bool{}}
	a.env = []string{"IRTHUB_DATA=" + data}
	if url != "" {
		a.env = append(a.env, databaseURLVariable+"="+url)
	}
	key, err := identity.LoadOrCreateKey(data)
	if err != nil {
		t.Fatal(err)
	}
	a.token, err = key.Issue(identity.Claims{Agency: "school-1", Role: irtv1.Role_ROLE_AGENCY_SYSTEM, TTL: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func (a *area) serve(t *testing.T) *process {
	t.Helper()
	p := serve(t, a.env)
	a.http.Store(p.HTTP)
	return p
}

// register lets the school in, and begins to follow the events that it is told.
func (a *area) register(t *testing.T, pool *pgxpool.Pool) {
	t.Helper()
	school := &irtv1.Agency{Name: "agencies/school-1", DisplayName: "A school", Kind: irtv1.AgencyKind_AGENCY_KIND_SCHOOL}
	if _, _, _, err := agencies.UpsertAgencies(t.Context(), pool, []*irtv1.Agency{school}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.follow(t))
}

// private opens the hub's private database, as whoever owns the machine can.
func (a *area) private(t *testing.T) *pgxpool.Pool {
	t.Helper()
	return pgtest.Open(t, "postgres:///irthub?user=irthub&host="+filepath.Join(a.data, "run"))
}

// load sends new records from so many callers until stop is called. A record that
// was not acknowledged is sent again, as agencies' systems do.
func (a *area) load(t *testing.T, series string, callers int) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var all sync.WaitGroup
	for c := range callers {
		all.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				name := fmt.Sprintf("agencies/school-1/childRecords/%s-%d-%d", series, c, n)
				body := fmt.Sprintf(`{"givenName":"Kim%s","familyName":"Quill%s%s","dateOfBirth":"%d-%02d-%02d"}`,
					letters(n), series, letters(c), 2008+n%15, 1+c%12, 1+n%28)
				for ctx.Err() == nil && !a.send(ctx, name, body) {
					select {
					case <-ctx.Done():
					case <-time.After(20 * time.Millisecond):
					}
				}
			}
		})
	}
	return func() {
		cancel()
		all.Wait()
	}
}

// letters writes a number as a name may be written.
func letters(n int) string {
	return string([]byte{'a' + byte(n/676%26), 'a' + byte(n/26%26), 'a' + byte(n%26)})
}

// send reports whether the record was acknowledged.
func (a *area) send(ctx context.Context, name, body string) bool {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPut, "http://"+a.http.Load().(string)+"/v1/"+name, strings.NewReader(body))
	if err != nil {
		return false
	}
	r.Header.Set("Authorization", "Bearer "+a.token)
	r.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(r)
	ok := false
	var answer struct{ Child string }
	if err == nil {
		ok = json.NewDecoder(resp.Body).Decode(&answer) == nil && resp.StatusCode == http.StatusOK
		_ = resp.Body.Close()
	}
	if ok {
		a.get(ctx, answer.Child)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if ok {
		a.acknowledged[name] = answer.Child
	} else if ctx.Err() == nil || resp != nil {
		a.refused++
	}
	return ok
}

// get reads a child, and notes the id of the call if its answer came.
func (a *area) get(ctx context.Context, child string) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+a.http.Load().(string)+"/v1/"+child, http.NoBody)
	if err != nil {
		return
	}
	id := uuid.NewString()
	r.Header.Set("Authorization", "Bearer "+a.token)
	r.Header.Set("Irt-Purpose", "EDUCATION")
	r.Header.Set("X-Request-Id", id)
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return
	}
	defer resp.Body.Close()
	var answer struct{ Name string }
	if resp.StatusCode != http.StatusOK || json.NewDecoder(resp.Body).Decode(&answer) != nil || answer.Name == "" {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.read[id] = true
}

func (a *area) count() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.acknowledged)
}

// until waits until so many more records are acknowledged than there were.
func (a *area) until(t *testing.T, more int) {
	t.Helper()
	goal := a.count() + more
	for end := time.Now().Add(2 * time.Minute); a.count() < goal; time.Sleep(5 * time.Millisecond) { //nolint:forbidigo // a wait with a deadline
		if time.Now().After(end) {
			t.Fatalf("%d records acknowledged in two minutes, want %d", a.count(), goal)
		}
	}
}

// accounted fails unless everything that was acknowledged is there once, with an
// entry in the access log and the events that tell of it, and the log is whole.
func (a *area) accounted(t *testing.T, pool *pgxpool.Pool) {
	t.Helper()
	a.heard(t)
	a.mu.Lock()
	defer a.mu.Unlock()
	stored := namesOf(t, pool, `SELECT 'agencies/' || agency_id || '/childRecords/' || local_id FROM child_records`)
	logged := namesOf(t, pool, `SELECT unnest(returned) FROM audit_entries
		WHERE method LIKE '%/SubmitChildRecord' AND decision = 'ALLOWED'`)
	for name := range a.acknowledged {
		if stored[name] != 1 {
			t.Errorf("%s was acknowledged and is there %d times", name, stored[name])
		}
		if logged[name] == 0 {
			t.Errorf("%s was acknowledged and is not in the access log", name)
		}
	}
	reads := namesOf(t, pool, `SELECT request_id FROM audit_entries WHERE method LIKE '%/GetChild' AND decision = 'ALLOWED'`)
	if len(a.read) == 0 {
		t.Error("no read was answered")
	}
	for id := range a.read {
		if reads[id] != 1 {
			t.Errorf("the read %s was answered and is in the access log %d times", id, reads[id])
		}
	}
	if n := countRows(t, pool, `SELECT count(*) FROM child_records r WHERE NOT EXISTS (
			SELECT 1 FROM children c WHERE c.child_id = r.child_id)`); n > 0 {
		t.Errorf("%d records are of no child", n)
	}
	t.Logf("%d records acknowledged, %d reads answered, %d attempts refused on the way", len(a.acknowledged), len(a.read), a.refused)
	if out, errs, status := output(t, a.env, "audit", "verify"); status != 0 {
		t.Errorf("irthub audit verify: status %d, %s%s", status, out, errs)
	}
}

func namesOf(t *testing.T, pool *pgxpool.Pool, sql string) map[string]int {
	t.Helper()
	rows, err := pool.Query(t.Context(), sql)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	all := map[string]int{}
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			t.Fatal(err)
		}
		all[name]++
	}
	if rows.Err() != nil {
		t.Fatal(rows.Err())
	}
	return all
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
	a.until(t, 100)
	stop()
	a.accounted(t, a.private(t))
}

// line is the network between a hub and its database, which can be cut.
type line struct {
	listener net.Listener
	socket   string // the database's
	mu       sync.Mutex
	down     bool // connections are refused, or silent
	silent   bool // they hang instead
	conns    map[net.Conn]bool
}

func newLine(t *testing.T, socket string) *line {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := &line{listener: listener, socket: socket, conns: map[net.Conn]bool{}}
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

func (l *line) carry(hub net.Conn) {
	db, err := net.Dial("unix", l.socket)
	if err != nil {
		_ = hub.Close()
		return
	}
	l.mu.Lock()
	l.conns[hub], l.conns[db] = true, true
	cut := l.down && !l.silent
	l.mu.Unlock()
	if cut {
		_ = hub.Close()
		_ = db.Close()
		return
	}
	var both sync.WaitGroup
	both.Go(func() { l.copy(db, hub) })
	both.Go(func() { l.copy(hub, db) })
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

// The network between the hub and its database is cut, in both ways it can be.
func TestFaultNetworkCut(t *testing.T) {
	t.Parallel()
	pool := pgtest.New(t)
	config := pool.Config().ConnConfig
	if !strings.HasPrefix(config.Host, "/") {
		t.Skip("the test server is not on a socket, so there is no line to cut")
	}
	l := newLine(t, filepath.Join(config.Host, fmt.Sprintf(".s.PGSQL.%d", config.Port)))
	a := newArea(t, pgtest.DataDir(t), fmt.Sprintf("postgres://%s@%s/%s?sslmode=disable", config.User, l.listener.Addr(), config.Database))
	a.serve(t)
	a.register(t, pool)
	stop := a.load(t, "n", 16)
	for strike := range strikes(2, 10) {
		a.until(t, 20+rand.IntN(200))
		l.cut(strike%2 == 1, 500*time.Millisecond+rand.N(3*time.Second))
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
