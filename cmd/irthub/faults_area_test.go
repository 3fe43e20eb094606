package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/agencies"
	"irthub/internal/identity"
	"irthub/internal/pg/pgtest"
)

// area is a hub under load by one school's system, and what that was answered.
type area struct {
	data   string
	env    []string
	token  string
	http   atomic.Value // string: where the hub answers now
	events *consumer    // of what the school is told

	mu           sync.Mutex
	acknowledged map[string]string // names of records, and of their children
	read         map[string]bool   // ids of reads whose answers came
	refused      int               // answers that were none: unavailable, or no connection
}

// newArea is an area whose hub has its private PostgreSQL in data or, where url is
// given, that database.
func newArea(t *testing.T, data, url string) *area {
	t.Helper()
	a := &area{data: data, acknowledged: map[string]string{}, read: map[string]bool{}}
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

// at is where the hub answers now.
func (a *area) at() string { return a.http.Load().(string) }

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
	a.events = follow(t, a.at, a.token)
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
	r, err := http.NewRequestWithContext(ctx, http.MethodPut, "http://"+a.at()+"/v1/"+name, strings.NewReader(body))
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
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+a.at()+"/v1/"+child, http.NoBody)
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
	a.mu.Lock()
	defer a.mu.Unlock()
	a.events.heard(t, slices.Collect(maps.Values(a.acknowledged)))
	eventsInOrder(t, pool)
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
	verifies(t, a.env)
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
