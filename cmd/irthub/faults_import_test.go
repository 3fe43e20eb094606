package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"irthub/internal/pg/pgtest"
)

// One import through kill -9 of the hub and of its PostgreSQL at random moments: the
// client goes on by itself, and in the end every row is there once, and was told once.
func TestFaultImport(t *testing.T) {
	t.Parallel()
	const between = 1000 // rows between two strikes, at most
	a := newArea(t, pgtest.DataDir(t), "")
	hub := a.serve(t)
	a.register(t, a.private(t))
	var address atomic.Value // where the hub answers now
	address.Store(hub.GRPC)
	l := newLine(t, func() (net.Conn, error) { return net.Dial("tcp", address.Load().(string)) })
	all := strikes(3, 25)
	rows := all*between + 1000
	path := write(t, "children.ndjson", strangers(rows)...)
	client := []string{"IRTHUB_ADDR=" + l.listener.Addr().String(), "IRTHUB_TOKEN=" + a.token}
	cmd := irthub(t, client, "import", "child-records", path, "--agency", "school-1", "--json")
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	pool := a.private(t)
	for strike, n := 0, 0; strike < all; strike++ {
		n = stored(t, pool, n+1+rand.IntN(between))
		if strike%5 == 2 { // of 25, five
			a.killPostgres(t)
		} else {
			_ = hub.Process.Signal(syscall.SIGKILL)
			hub.end(t, syscall.SIGKILL)
			hub = a.serve(t)
			address.Store(hub.GRPC)
		}
	}
	if err := cmd.Wait(); err != nil {
		t.Fatalf("%v: %s", err, errs.String())
	}
	var done struct{ Rows, Accepted, Unchanged, Rejected int }
	if err := json.Unmarshal([]byte(lastLine(out.String())), &done); err != nil || done.Rows != rows || done.Accepted+done.Unchanged != rows {
		t.Errorf("%v: %s", err, out.String())
	}
	t.Logf("%d strikes in %d rows: %s", all, rows, lastLine(out.String()))
	if again, errs, _ := output(t, client, "import", "child-records", path, "--agency", "school-1", "--json"); !strings.Contains(again, fmt.Sprintf(`"unchanged":%d,`, rows)) {
		t.Errorf("sent again: %s%s", again, errs)
	}
	pool = a.private(t)
	for what, sql := range map[string]string{
		"records":                   `SELECT count(*) FROM child_records`,
		"children":                  `SELECT count(DISTINCT child_id) FROM child_records`,
		"first versions":            `SELECT count(*) FROM child_records WHERE revision = 1`,
		"records in the access log": `SELECT count(DISTINCT r) FROM audit_entries, unnest(returned) AS r WHERE r LIKE 'agencies/school-1/childRecords/%'`,
	} {
		if n := countRows(t, pool, sql); n != rows {
			t.Errorf("%d %s, want %d", n, what, rows)
		}
	}
	a.events.heard(t, childrenOf(t, pool))
	eventsInOrder(t, pool)
	verifies(t, a.env)
}

// strangers are records of so many children, as lines of JSON; no two are alike.
func strangers(n int) []string {
	lines := make([]string, n)
	for i := range lines {
		lines[i] = fmt.Sprintf(`{"name":"r%d","givenName":"%s","familyName":"%s","dateOfBirth":"%d-%02d-%02d"}`,
			i, scrambled(i, 2654435761), scrambled(i, 2246822519), 2008+i%15, 1+i%12, 1+i%28)
	}
	return lines
}

// scrambled is a name of seven letters: of another number it is another.
func scrambled(n int, by uint32) string {
	name := []byte("Aaaaaaa")
	for x, i := uint32(n)*by, 0; x > 0; x, i = x/26, i+1 {
		name[i] += byte(x % 26)
	}
	return string(name)
}

// stored waits until there are so many records, and says how many there are. The
// database may be on its way back meanwhile.
func stored(t *testing.T, pool *pgxpool.Pool, goal int) (n int) {
	t.Helper()
	for end := time.Now().Add(2 * time.Minute); n < goal; time.Sleep(20 * time.Millisecond) { //nolint:forbidigo // a wait with a deadline
		if time.Now().After(end) {
			t.Fatalf("%d records in two minutes, want %d", n, goal)
		}
		_ = pool.QueryRow(t.Context(), `SELECT count(*) FROM child_records`).Scan(&n)
	}
	return n
}
