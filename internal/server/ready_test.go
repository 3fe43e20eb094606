package server_test

import (
	"testing"
	"time"

	"google.golang.org/grpc/health/grpc_health_v1"

	irtv1 "irthub/gen/irt/v1"
)

// A hub that cannot commit to its access log says so through both doors, discloses
// nothing, and is ready again by itself.
func TestReadyKnowsTheAccessLog(t *testing.T) {
	t.Parallel()
	h := start(t)
	serving := func() bool {
		t.Helper()
		got, err := grpc_health_v1.NewHealthClient(h.conn).Check(t.Context(), &grpc_health_v1.HealthCheckRequest{Service: "irt.v1.ChildService"})
		if err != nil {
			t.Fatal(err)
		}
		return got.GetStatus() == grpc_health_v1.HealthCheckResponse_SERVING
	}
	ready := func() (bool, []byte) {
		t.Helper()
		status, answer := h.rest(t, "GET", "/readyz", "", "", nil)
		return status == 200, answer
	}
	until := func(want bool) {
		t.Helper()
		for end := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) { //nolint:forbidigo // a wait with a deadline
			if got, _ := ready(); got == want && serving() == want {
				return
			}
			if time.Now().After(end) {
				t.Fatalf("ready is not %v after a minute", want)
			}
		}
	}
	until(true)
	for _, change := range []struct{ spoil, mend string }{
		{`ALTER TABLE audit_entries ADD CONSTRAINT no CHECK (false) NOT VALID`, `ALTER TABLE audit_entries DROP CONSTRAINT no`},
		{`ALTER TABLE audit_queue RENAME TO elsewhere`, `ALTER TABLE elsewhere RENAME TO audit_queue`},
	} {
		if _, err := h.pool.Exec(t.Context(), change.spoil); err != nil {
			t.Fatal(err)
		}
		until(false)
		if _, answer := ready(); fromREST(t, answer).Code != "UNAVAILABLE" {
			t.Errorf("%s", answer)
		}
		if status, _ := h.rest(t, "GET", "/healthz", "", "", nil); status != 200 {
			t.Errorf("the process is said not to live: %d", status)
		}
		status, answer := h.rest(t, "GET", "/v1/agencies", "", h.token(t, "school-1", irtv1.Role_ROLE_AGENCY_SYSTEM), nil)
		if status != 503 {
			t.Errorf("it goes on answering: %d %s", status, answer)
		}
		if _, err := h.pool.Exec(t.Context(), change.mend); err != nil {
			t.Fatal(err)
		}
		until(true)
	}
}
