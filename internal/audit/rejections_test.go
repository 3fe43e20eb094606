package audit_test

import (
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Calls of nobody known are entries too, as far as their rate goes; the rest are
// counted.
func TestCallsOfNobodyKnownAreEntriesWithinARate(t *testing.T) {
	t.Parallel()
	b := setup(t, &service{get: answers})
	const calls = 200
	for range calls {
		if _, err := b.children.GetChild(t.Context(), getChild); status.Code(err) != codes.Unauthenticated {
			t.Fatalf("without a token: %v", err)
		}
	}
	all := b.entries(t)
	if len(all) < 100 || len(all) > calls {
		t.Fatalf("%d entries of %d calls", len(all), calls)
	}
	counted := len(all)
	for _, e := range all {
		if e.Decision != "DENIED" || e.StatusCode != int(codes.Unauthenticated) || e.AgencyID != "" || e.Role != "" || e.Method != "/irt.v1.ChildService/GetChild" {
			t.Fatalf("entry: %+v", e)
		}
		if e.Query != "" {
			n, _ := e.query(t)["withoutEntry"].(float64)
			counted += int(n)
		}
	}
	if counted > calls {
		t.Errorf("entries speak of %d calls, and there were %d", counted, calls)
	}
}
