package concerns_test

import (
	"errors"
	"fmt"
	"testing"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/batch"
)

// Checks are bounded, and taken in turns, as writes are: of an agency that sends more
// than can wait the rest is refused at once, and another agency's check has a place.
func TestRehearsalsAreBounded(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	child := h.submit("school", "1", "Ada", "2014-05-05")
	if h.submit("gp", "1", "Ada", "2014-05-05") != child {
		t.Fatal("they are not one child")
	}
	tx, err := h.pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), `SELECT FROM children FOR UPDATE`); err != nil {
		t.Fatal(err)
	}
	check := func(agency string, n int, answers chan<- error) {
		ctx := as(t, agency)
		go func() {
			_, err := h.SubmitConcern(ctx, &irtv1.SubmitConcernRequest{ValidateOnly: true, Concern: &irtv1.Concern{
				Name: fmt.Sprintf("agencies/%s/concerns/c%d", agency, n), Child: child,
				Category: "ATTENDANCE", Level: "UNIVERSAL", StartDate: day(-1),
			}})
			answers <- err
		}()
	}
	const many = 200
	theirs, ours := make(chan error, many), make(chan error, 1)
	for n := range many {
		check("school", n, theirs)
	}
	if err := <-theirs; !errors.Is(err, batch.ErrFull) {
		t.Errorf("the first answer of too many is %v", err)
	}
	check("gp", 1, ours)
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-ours; err != nil {
		t.Errorf("another agency's check: %v", err)
	}
	done := 0
	for range many - 1 {
		switch err := <-theirs; {
		case err == nil:
			done++
		case !errors.Is(err, batch.ErrFull):
			t.Error(err)
		}
	}
	if done == 0 {
		t.Error("none was checked")
	}
	var stored int
	if err := h.pool.QueryRow(t.Context(), `SELECT count(*) FROM concerns`).Scan(&stored); err != nil || stored != 0 {
		t.Errorf("%d concerns are stored, error %v", stored, err)
	}
}
