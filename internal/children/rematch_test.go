package children_test

import (
	"context"
	"errors"
	"log/slog"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/agencies"
	"irthub/internal/children"
)

func rematch(ctx context.Context, t *testing.T, pool *pgxpool.Pool, o children.RematchOptions) (*children.RematchTally, error) {
	t.Helper()
	directory, err := agencies.NewDirectory(t.Context(), pool, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer directory.Close()
	return children.Rematch(ctx, pool, directory, o)
}

// parted are three records of one child, each under a child of its own: as another
// model might have left them. Two of them a person has found to be of two children.
func (h *hub) parted() {
	h.t.Helper()
	a := h.send("school", "p1", jennifer()).GetChild()
	h.send("gp", "77", jennifer())
	h.send("police", "x", jennifer())
	for _, record := range []string{gpRecord, "agencies/police/childRecords/x"} {
		h.split(a, record)
	}
	if _, err := h.RevokeMatchConstraint(person(h.t, "ann"), &irtv1.RevokeMatchConstraintRequest{
		ChildRecord: schoolRecord, OtherChildRecord: gpRecord, Reason: "one after all",
	}); err != nil {
		h.t.Fatal(err)
	}
	if n := h.count(`SELECT count(*) FROM children WHERE state = 1`); n != 3 {
		h.t.Fatalf("%d children", n)
	}
}

func TestRematch(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.parted()
	before := h.state()
	dry, err := rematch(t.Context(), t, h.pool, children.RematchOptions{DryRun: true})
	// Each of the two could go to the other, as the index is now.
	if err != nil || dry.Records != 3 || dry.Merged == 0 || !dry.DryRun || !dry.Finished || dry.Bands["link"] == 0 {
		t.Errorf("dry: %+v, error %v", dry, err)
	}
	if h.state() != before {
		t.Error("a dry run changed something")
	}
	got, err := rematch(t.Context(), t, h.pool, children.RematchOptions{})
	if err != nil || got.Merged != 1 || got.Same != 2 {
		t.Errorf("%+v, error %v", got, err)
	}
	if n := h.count(`SELECT count(*) FROM children WHERE state = 1`); n != 2 {
		t.Errorf("%d children, want the two that a person kept apart", n)
	}
	if n := h.count(`SELECT count(*) FROM audit_entries WHERE agency_id = 'hub' AND cardinality(children) > 0`); n == 0 {
		t.Error("the access log does not tell of it")
	}
	after := h.state()
	if again, err := rematch(t.Context(), t, h.pool, children.RematchOptions{}); err != nil || again.Same != 3 || h.state() != after {
		t.Errorf("again: %+v, error %v", again, err)
	}
	h.checkInvariants()
}

// Broken off, it goes on where it was, and counts on.
func TestRematchGoesOn(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.parted()
	ctx, stop := context.WithCancel(t.Context())
	_, err := rematch(ctx, t, h.pool, children.RematchOptions{Batch: 1, Progress: func(int, int) { stop() }})
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("broken off: %v", err)
	}
	seen := 0
	got, err := rematch(t.Context(), t, h.pool, children.RematchOptions{Batch: 1, Progress: func(done, _ int) { seen += done }})
	if err != nil || !got.Resumed || got.Records != 3 || seen != 2 || got.Merged != 1 {
		t.Errorf("%+v, %d seen, error %v", got, seen, err)
	}
}
