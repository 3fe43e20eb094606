package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/accesslog"
	"irthub/internal/agencies"
	"irthub/internal/identity"
	"irthub/internal/pg/pgtest"
)

// auditHub is a hub process on a database of the test's, whose log is read beside it.
type auditHub struct {
	*process
	pool  *pgxpool.Pool
	env   []string
	token string
}

func startAuditHub(t *testing.T) *auditHub {
	t.Helper()
	h := &auditHub{pool: pgtest.New(t)}
	school := &irtv1.Agency{Name: "agencies/school-1", DisplayName: "A school", Kind: irtv1.AgencyKind_AGENCY_KIND_SCHOOL}
	if _, _, _, err := agencies.UpsertAgencies(t.Context(), h.pool, []*irtv1.Agency{school}); err != nil {
		t.Fatal(err)
	}
	data := pgtest.DataDir(t)
	h.env = []string{databaseURLVariable + "=" + h.pool.Config().ConnString(), "IRTHUB_DATA=" + data}
	h.process = serve(t, h.env)
	key, err := identity.LoadOrCreateKey(data)
	if err != nil {
		t.Fatal(err)
	}
	h.token, err = key.Issue(identity.Claims{Agency: "school-1", Role: irtv1.Role_ROLE_AGENCY_SYSTEM})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// sequenced waits, with a deadline, until nothing waits for its leaf.
func (h *auditHub) sequenced(t *testing.T) {
	t.Helper()
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(20 * time.Millisecond) { //nolint:forbidigo // a wait with a deadline
		if countRows(t, h.pool, `SELECT count(*) FROM audit_queue`) == 0 {
			return
		}
	}
	t.Fatal("entries wait for their leaf for more than a minute")
}

// What scripts rely on of irthub audit, beside a running hub.
func TestAuditCommands(t *testing.T) {
	t.Parallel()
	h := startAuditHub(t)
	if out, errs, status := output(t, h.env, "audit", "verify"); status != 0 || !strings.HasPrefix(lastLine(out), "tree size 0 root ") {
		t.Errorf("an empty log: status %d, %q, %q", status, out, errs)
	}
	for i := range 3 {
		if status, answer := h.call(t, "PUT", fmt.Sprintf("/v1/agencies/school-1/childRecords/%d", i), h.token,
			`{"givenName":"Amara","familyName":"Osei","dateOfBirth":"2016-05-04"}`); status != 200 {
			t.Fatalf("%d %s", status, answer)
		}
	}
	h.sequenced(t)
	out, errs, status := output(t, h.env, "audit", "verify")
	if status != 0 || !strings.HasPrefix(lastLine(out), "tree size 3 root ") || errs != "" {
		t.Errorf("verify: status %d, %q, %q", status, out, errs)
	}
	kept, errs, status := output(t, h.env, "audit", "checkpoint")
	if status != 0 || !strings.Contains(kept, "\n3\n") {
		t.Fatalf("checkpoint: status %d, %q, %q", status, kept, errs)
	}
	file := filepath.Join(t.TempDir(), "kept")
	if err := os.WriteFile(file, []byte(kept), 0o600); err != nil {
		t.Fatal(err)
	}
	if status, answer := h.call(t, "GET", "/v1/checkpoint", "", ""); status != 200 || !strings.Contains(answer, `"treeSize":`) {
		t.Errorf("over REST, without a token: %d %s", status, answer)
	}
	key, _, status := output(t, h.env, "audit", "key")
	if status != 0 || !strings.HasPrefix(key, strings.SplitN(kept, "\n", 2)[0]+"+") {
		t.Errorf("key: status %d, %q", status, key)
	}
	// From elsewhere, with nothing but the verifier key, and with nothing at all.
	elsewhere := []string{h.env[0], "IRTHUB_DATA=" + t.TempDir()}
	if out, errs, status := output(t, elsewhere, "audit", "verify", "--since", file, "--verifier-key", strings.TrimSpace(key)); status != 0 || errs != "" {
		t.Errorf("with the verifier key: status %d, %q, %q", status, out, errs)
	}
	if out, errs, status := output(t, elsewhere, "audit", "verify"); status != 0 || !strings.Contains(errs, "--verifier-key") {
		t.Errorf("without a key: status %d, %q, %q", status, out, errs)
	}
	lines, errs, status := output(t, h.env, "audit", "list", "--agency", "school-1", "--limit", "2", "--json")
	var first struct{ Entry, Method string }
	if err := json.Unmarshal([]byte(strings.SplitN(lines, "\n", 2)[0]), &first); err != nil || status != 0 ||
		strings.Count(lines, "\n") != 2 || !strings.HasSuffix(first.Method, "/SubmitChildRecord") {
		t.Errorf("list: status %d, %q, %q, %v", status, lines, errs, err)
	}
	if table, _, status := output(t, h.env, "audit", "list"); status != 0 || strings.Count(table, "\n") != 4 || !strings.Contains(table, first.Entry) {
		t.Errorf("list as a table: status %d\n%s", status, table)
	}
	if _, err := h.pool.Exec(t.Context(), `DELETE FROM audit_entries WHERE entry_id = $1`, first.Entry); err != nil {
		t.Fatal(err)
	}
	out, errs, status = output(t, h.env, "audit", "verify", "--since", file)
	if status != 4 || !strings.Contains(errs, first.Entry) || !strings.Contains(errs, "removed") || !strings.HasPrefix(lastLine(out), "tree size 3 root ") {
		t.Errorf("after a removal: status %d, %q, %q", status, out, errs)
	}
	var result struct {
		Whole  bool
		Faults []struct{ Kind, Entry string }
	}
	out, _, status = output(t, h.env, "audit", "verify", "--json")
	if err := json.Unmarshal([]byte(out), &result); err != nil || status != 4 || result.Whole || result.Faults[0].Entry != first.Entry {
		t.Errorf("as JSON: status %d, %q, %v", status, out, err)
	}
	if err := os.WriteFile(file, []byte(strings.Replace(kept, "\n3\n", "\n2\n", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, errs, status := output(t, h.env, "audit", "verify", "--since", file); status != 1 || !strings.Contains(errs, "signature") {
		t.Errorf("a forged checkpoint: status %d, %q", status, errs)
	}
}

// Killed at any moment under load, with readers and writers: no answer was ever
// received whose entry is not in the log afterwards. Each request carries an id of
// its own, which the log keeps.
func TestFaultHubKilledWhileItAnswers(t *testing.T) {
	t.Parallel()
	h := startAuditHub(t)
	hub := h.process
	var mu sync.Mutex
	answered := map[string]int{} // request id to status
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	ask := func(p *process, id, method, path, body string) error {
		r, err := http.NewRequestWithContext(ctx, method, "http://"+p.HTTP+path, strings.NewReader(body))
		if err != nil {
			return err
		}
		r.Header.Set("Authorization", "Bearer "+h.token)
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Irt-Purpose", "EDUCATION")
		r.Header.Set("Irt-Reason", id)
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if resp.StatusCode == http.StatusServiceUnavailable {
			return errors.New("unavailable")
		}
		mu.Lock()
		defer mu.Unlock()
		answered[id] = resp.StatusCode
		return nil
	}
	for round := range 3 {
		var load sync.WaitGroup
		before := len(answered)
		for c := range 24 {
			load.Go(func() {
				for n := 0; ; n++ {
					id := fmt.Sprintf("r%d-%d-%d", round, c, n)
					path := fmt.Sprintf("/v1/agencies/school-1/childRecords/%d", c)
					var err error
					switch n % 3 {
					case 0:
						err = ask(hub, id, "PUT", path, fmt.Sprintf(`{"givenName":"Kim","familyName":"Name%c%c","dateOfBirth":"2012-01-01"}`, 'a'+c, 'a'+n%26))
					case 1:
						err = ask(hub, id, "GET", path, "")
					default: // refused
						err = ask(hub, id, "GET", "/v1/agencies/other/childRecords/1", "")
					}
					if err != nil {
						return // the hub is gone
					}
				}
			})
		}
		for n := 0; n < before+300*(round+1); {
			mu.Lock()
			n = len(answered)
			mu.Unlock()
		}
		_ = hub.Process.Signal(syscall.SIGKILL)
		load.Wait()
		hub.end(t, syscall.SIGKILL)
		hub = serve(t, h.env)
	}
	h.sequenced(t)
	refused := 0
	for id, status := range answered {
		if n := countRows(t, h.pool, `SELECT count(*) FROM audit_entries WHERE reason = $1`, id); n == 0 {
			t.Errorf("request %s was answered %d and is not in the access log", id, status)
		}
		if status == http.StatusForbidden {
			refused++
		}
	}
	if refused == 0 || refused == len(answered) {
		t.Errorf("%d of %d answers were refusals: the load was not what it should be", refused, len(answered))
	}
	if out, errs, status := output(t, h.env, "audit", "verify"); status != 0 {
		t.Errorf("verify after three kills: status %d, %q, %q", status, out, errs)
	}
	if c, err := accesslog.LastCheckpoint(t.Context(), h.pool); err != nil || c.Size < int64(len(answered)) {
		t.Errorf("a tree of %+v for %d answers, %v", c, len(answered), err)
	}
}
