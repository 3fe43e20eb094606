package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/agencies"
	"irthub/internal/identity"
	"irthub/internal/pg/pgtest"
)

// Two hub processes on one database, each with half of sixty-four agencies'
// systems that send one new child at the same moment. Afterwards one of the hubs
// is killed while both are written to, and what was answered is there, and was told by the other.
func TestFaultOneHubOfTwoKilled(t *testing.T) {
	t.Parallel()
	pool := pgtest.New(t)
	const callers = 64
	var all []*irtv1.Agency
	for i := range callers {
		all = append(all, &irtv1.Agency{
			Name: fmt.Sprintf("agencies/school-%d", i), DisplayName: "A school", Kind: irtv1.AgencyKind_AGENCY_KIND_SCHOOL,
		})
	}
	if _, _, _, err := agencies.UpsertAgencies(t.Context(), pool, all); err != nil {
		t.Fatal(err)
	}
	data := pgtest.DataDir(t)
	env := []string{databaseURLVariable + "=" + pool.Config().ConnString()}
	hubs := []*process{serve(t, env, "--data", data), serve(t, env, "--data", data)}
	key, err := identity.LoadOrCreateKey(data)
	if err != nil {
		t.Fatal(err)
	}
	tokens := make([]string, callers)
	for i := range tokens {
		tokens[i], err = key.Issue(identity.Claims{Agency: fmt.Sprintf("school-%d", i), Role: irtv1.Role_ROLE_AGENCY_SYSTEM})
		if err != nil {
			t.Fatal(err)
		}
	}

	manager, err := key.Issue(identity.Claims{Agency: "school-0", Role: irtv1.Role_ROLE_DATA_MANAGER})
	if err != nil {
		t.Fatal(err)
	}
	told := follow(t, func() string { return hubs[0].HTTP }, manager) // of what either hub does

	send := func(hub *process, i int, localID, body string) (child string, err error) {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPut,
			fmt.Sprintf("http://%s/v1/agencies/school-%d/childRecords/%s", hub.HTTP, i, localID), strings.NewReader(body))
		if err != nil {
			return "", err
		}
		r.Header.Set("Authorization", "Bearer "+tokens[i])
		r.Header.Set("Content-Type", "application/json")
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			return "", err
		}
		defer resp.Body.Close()
		var answer struct{ Child string }
		if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
			return "", err
		}
		if resp.StatusCode != http.StatusOK {
			return "", fmt.Errorf("status %d", resp.StatusCode)
		}
		return answer.Child, nil
	}

	var wait sync.WaitGroup
	children := make([]string, callers)
	for i := range callers {
		wait.Go(func() {
			var err error
			children[i], err = send(hubs[i%2], i, "c1",
				`{"givenName":"Amara","familyName":"Osei","dateOfBirth":"2016-05-04","nhsNumber":"9990000026","postcode":"NR1 3JU"}`)
			if err != nil {
				t.Errorf("caller %d: %v", i, err)
			}
		})
	}
	wait.Wait()
	for i, child := range children {
		if child == "" || child != children[0] {
			t.Errorf("caller %d was answered %q, caller 0 %q", i, child, children[0])
		}
	}
	if n := countRows(t, pool, `SELECT count(*) FROM children`); n != 1 {
		t.Errorf("%d children, want one", n)
	}

	// Killed under load: every answer received stands for a stored record.
	var mu sync.Mutex
	answered := map[string]string{} // the children of records
	for i := range callers {
		wait.Go(func() {
			for n := range 20 {
				localID := fmt.Sprintf("k%d", n)
				body := fmt.Sprintf(`{"givenName":"Kim","familyName":"Name%c%c%c","dateOfBirth":"2012-01-01"}`, 'a'+i%26, 'a'+i/26, 'a'+n)
				if child, err := send(hubs[i%2], i, localID, body); err == nil {
					mu.Lock()
					answered[fmt.Sprintf("school-%d/%s", i, localID)] = child
					if len(answered) == callers {
						_ = hubs[1].Process.Signal(syscall.SIGKILL)
					}
					mu.Unlock()
				}
			}
		})
	}
	wait.Wait()
	if len(answered) < callers*20/2 {
		t.Fatalf("only %d submissions were answered, fewer than the living hub's", len(answered))
	}
	for name := range answered {
		agency, localID, _ := strings.Cut(name, "/")
		if n := countRows(t, pool, `SELECT count(*) FROM child_records WHERE agency_id = $1 AND local_id = $2`, agency, localID); n != 1 {
			t.Errorf("%s was acknowledged and is there %d times", name, n)
		}
	}
	// An access entry for each: no answer without one.
	if n := countRows(t, pool, `SELECT count(*) FROM audit_entries WHERE method LIKE '%SubmitChildRecord' AND decision = 'ALLOWED'`); n < len(answered)+callers {
		t.Errorf("%d entries in the access log for %d answers", n, len(answered)+callers)
	}
	told.heard(t, slices.Collect(maps.Values(answered)))
	eventsInOrder(t, pool)
	verifies(t, env, "--data", data)
}

func countRows(t *testing.T, pool *pgxpool.Pool, sql string, args ...any) (n int) {
	t.Helper()
	if err := pool.QueryRow(t.Context(), sql, args...).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}
