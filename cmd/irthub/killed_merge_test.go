package main

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/agencies"
	"irthub/internal/identity"
	"irthub/internal/pg/pgtest"
	"irthub/internal/standard"
)

// A hub that is killed while it merges two children, or parts them, leaves either
// what was or what was to be, and events of what it did.
func TestFaultHubKilledInAMerge(t *testing.T) {
	t.Parallel()
	pool := pgtest.New(t)
	if _, _, _, err := agencies.UpsertAgencies(t.Context(), pool, []*irtv1.Agency{
		{Name: "agencies/school", DisplayName: "School", Kind: irtv1.AgencyKind_AGENCY_KIND_SCHOOL},
		{Name: "agencies/council", DisplayName: "Council", Kind: irtv1.AgencyKind_AGENCY_KIND_LOCAL_AUTHORITY},
	}); err != nil {
		t.Fatal(err)
	}
	data := pgtest.DataDir(t)
	env := []string{databaseURLVariable + "=" + pool.Config().ConnString()}
	hub := serve(t, env, "--data", data)
	key, err := identity.LoadOrCreateKey(data)
	if err != nil {
		t.Fatal(err)
	}
	token := func(agency, practitioner string, role irtv1.Role) string {
		issued, err := key.Issue(identity.Claims{Agency: agency, Practitioner: practitioner, Role: role})
		if err != nil {
			t.Fatal(err)
		}
		return issued
	}
	school := token("school", "", irtv1.Role_ROLE_AGENCY_SYSTEM)
	ann, ben := token("council", "ann", irtv1.Role_ROLE_DATA_MANAGER), token("council", "ben", irtv1.Role_ROLE_DATA_MANAGER)

	// Two children of twenty records each.
	for i := range 40 {
		name := []string{`"Amara","familyName":"Osei","dateOfBirth":"2016-05-04"`, `"Noah","familyName":"Smith","dateOfBirth":"2012-01-02"`}[i/20]
		status, answer := hub.call(t, http.MethodPut, fmt.Sprintf("/v1/agencies/school/childRecords/r%d", i), school,
			fmt.Sprintf(`{"givenName":%s,"postcode":"NR%d 3JU"}`, name, 1+i/20))
		if status != http.StatusOK {
			t.Fatalf("record %d: %d %s", i, status, answer)
		}
	}
	child := func(record string) string {
		var id [16]byte
		if err := pool.QueryRow(t.Context(), `SELECT child_id FROM child_records WHERE local_id = $1`, record).Scan(&id); err != nil {
			t.Fatal(err)
		}
		return "children/" + standard.FormatChildID(id)
	}
	a, b := child("r0"), child("r20")
	if n := countRows(t, pool, `SELECT count(DISTINCT child_id) FROM child_records`); n != 2 || a == b {
		t.Fatalf("%d children to begin with", n)
	}
	records := make([]string, 20)
	for i := range records {
		records[i] = fmt.Sprintf(`"agencies/school/childRecords/r%d"`, i)
	}

	outcomes := map[bool]int{}
	merges, splits := 0, 0
	for round := range 8 { // killed later and later, and the last two times once it has answered
		var all sync.WaitGroup
		apart := countRows(t, pool, `SELECT count(*) FROM children WHERE state = 1`) == 2
		path, body := "/v1/"+a+":mergeInto", `{"intoChild":"`+b+`","reason":"one"}`
		if apart {
			if status, answer := hub.call(t, http.MethodPost, path, ann, body); status != http.StatusOK { // the first of two people
				t.Fatalf("round %d: %d %s", round, status, answer)
			}
		} else {
			path, body = "/v1/"+b+":split", `{"childRecords":[`+strings.Join(records, ",")+`],"reason":"two"}`
		}
		all.Go(func() {
			r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+hub.HTTP+path, strings.NewReader(body))
			if err != nil {
				t.Error(err)
				return
			}
			r.Header.Set("Authorization", "Bearer "+ben)
			r.Header.Set("Content-Type", "application/json")
			r.Header.Set("Irt-Purpose", "DATA_QUALITY")
			resp, err := http.DefaultClient.Do(r)
			if err != nil {
				if round >= 6 {
					t.Errorf("round %d: %v", round, err)
				}
				return
			}
			_ = resp.Body.Close()
			if resp.StatusCode != http.StatusOK {
				t.Errorf("round %d: %s", round, resp.Status)
			}
		})
		if round < 6 {
			//nolint:forbidigo // killed at a moment that is drawn: there is nothing to wait for
			time.Sleep(time.Duration(1<<(2*round)/2+rand.IntN(20)) * time.Millisecond)
		} else {
			all.Wait()
		}
		_ = hub.Process.Signal(syscall.SIGKILL)
		all.Wait()
		hub.end(t, syscall.SIGKILL)
		hub = serve(t, env, "--data", data)

		under := countRows(t, pool, `SELECT count(DISTINCT child_id) FROM child_records`)
		active := countRows(t, pool, `SELECT count(*) FROM children WHERE state = 1`)
		redirects := countRows(t, pool, `SELECT count(*) FROM children WHERE state = 3`)
		if under != active || active+redirects != 2 {
			t.Fatalf("round %d: records under %d children, %d in use, %d merged", round, under, active, redirects)
		}
		kinds := countRows(t, pool, `SELECT count(DISTINCT kind) FROM match_constraints`)
		pairs := countRows(t, pool, `SELECT count(*) FROM match_constraints WHERE kind = $1`, active)
		if kinds > 1 || kinds == 1 && pairs != 2*20*20 {
			t.Fatalf("round %d: %d children, and %d decisions that fit, of %d kinds", round, active, pairs, kinds)
		}
		done := (active == 2) != apart
		if outcomes[done]++; done && apart {
			merges++
		} else if done {
			splits++
		}
		mergesAreTold(t, pool, merges, splits, len(records))
	}
	verifies(t, env, "--data", data)
	t.Logf("carried out %d times, not at all %d times", outcomes[true], outcomes[false])
}

// mergesAreTold fails unless there are just the events of so many merges and splits of
// two children, by each of which so many records moved.
func mergesAreTold(t *testing.T, pool *pgxpool.Pool, merges, splits, records int) {
	t.Helper()
	for kind, want := range map[irtv1.EventKind]int{
		irtv1.EventKind_EVENT_KIND_CHILD_CREATED:         2 + splits,
		irtv1.EventKind_EVENT_KIND_CHILD_MERGED:          merges,
		irtv1.EventKind_EVENT_KIND_CHILD_SPLIT:           splits,
		irtv1.EventKind_EVENT_KIND_CHILD_RECORD_MOVED:    records * (merges + splits),
		irtv1.EventKind_EVENT_KIND_MATCH_REVIEW_RESOLVED: merges,
	} {
		n := countRows(t, pool, `SELECT count(*) FROM (SELECT kind FROM event_outbox UNION ALL SELECT kind FROM events) AS e WHERE kind = $1`, kind)
		if n != want {
			t.Errorf("%d events %v after %d merges and %d splits, want %d", n, kind, merges, splits, want)
		}
	}
}
