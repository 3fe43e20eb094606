package main

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/standard"
)

// consumer takes in the events of children that are new, and comes back with its
// cursor however often the stream breaks.
type consumer struct {
	hub   func() string // where the hub answers now
	token string

	mu   sync.Mutex
	told map[string]bool // children whose creation an event told of
}

// follow begins to take events in: whatever happens from now on, until the test ends.
func follow(t *testing.T, hub func() string, token string) *consumer {
	t.Helper()
	c := &consumer{hub: hub, token: token, told: map[string]bool{}}
	cursor := c.beginning(t)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			c.watch(ctx, &cursor)
			select {
			case <-ctx.Done():
			case <-time.After(50 * time.Millisecond):
			}
		}
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	return c
}

// beginning is a cursor from before the load.
func (c *consumer) beginning(t *testing.T) string {
	t.Helper()
	var page struct{ Cursor string }
	for end := time.Now().Add(time.Minute); page.Cursor == ""; time.Sleep(50 * time.Millisecond) { //nolint:forbidigo // a wait with a deadline
		if time.Now().After(end) {
			t.Fatal("events cannot be listed")
		}
		if resp, err := c.get(t.Context(), "/v1/events", url.Values{}); err == nil {
			_ = json.NewDecoder(resp.Body).Decode(&page) // or it is asked again: the consumer may be too new
			_ = resp.Body.Close()
		}
	}
	return page.Cursor
}

func (c *consumer) get(ctx context.Context, path string, q url.Values) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+c.hub()+path+"?"+q.Encode(), http.NoBody)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Authorization", "Bearer "+c.token)
	r.Header.Set("Irt-Purpose", "EDUCATION")
	return http.DefaultClient.Do(r)
}

// watch takes in one stream to its end. A cursor is kept once what came with it is.
func (c *consumer) watch(ctx context.Context, cursor *string) {
	resp, err := c.get(ctx, "/v1/events:watch", url.Values{"kinds": {"EVENT_KIND_CHILD_CREATED"}, "cursor": {*cursor}})
	if err != nil {
		return
	}
	defer resp.Body.Close()
	for lines := json.NewDecoder(resp.Body); ; {
		var line struct {
			Events []struct{ Child string }
			Cursor string
		}
		if lines.Decode(&line) != nil || line.Cursor == "" {
			return
		}
		c.mu.Lock()
		for _, e := range line.Events {
			c.told[e.Child] = true
		}
		c.mu.Unlock()
		*cursor = line.Cursor
	}
}

// heard waits until the consumer has heard of every one of the children.
func (c *consumer) heard(t *testing.T, children []string) {
	t.Helper()
	missing := 0
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(50 * time.Millisecond) { //nolint:forbidigo // a wait with a deadline
		missing = 0
		c.mu.Lock()
		for _, child := range children {
			if !c.told[child] {
				missing++
			}
		}
		c.mu.Unlock()
		if missing == 0 {
			return
		}
	}
	t.Errorf("no event told of %d of %d children within a minute", missing, len(children))
}

// eventsInOrder waits until nothing is left in the outbox, and fails unless the log of
// events has no gap and each child's creation is told of once: in the log, or still in
// the outbox if a call whose caller had gone came to its end only now. There must have
// been no merges and splits.
func eventsInOrder(t *testing.T, pool *pgxpool.Pool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); countRows(t, pool, `SELECT count(*) FROM event_outbox`) > 0; time.Sleep(50 * time.Millisecond) { //nolint:forbidigo // a wait with a deadline
		if time.Now().After(end) {
			t.Fatal("events stay in the outbox for a minute")
		}
	}
	if n := countRows(t, pool, `SELECT (SELECT position FROM event_head) - (SELECT count(DISTINCT position) FROM events)`); n != 0 {
		t.Errorf("%d positions of the log of events have no event", n)
	}
	if n := countRows(t, pool, `SELECT count(*) FROM (SELECT FROM events GROUP BY event_id HAVING count(*) > 1) AS twice`); n != 0 {
		t.Errorf("%d events are in the log more than once", n)
	}
	if n := countRows(t, pool, `SELECT count(*) FROM children c
		FULL JOIN (SELECT child_id, count(*) AS times FROM (
				SELECT child_id, kind FROM events UNION ALL SELECT child_id, kind FROM event_outbox) AS all_events
			WHERE kind = $1 GROUP BY child_id) AS told USING (child_id)
		WHERE c.child_id IS NULL OR told.times IS DISTINCT FROM 1`, irtv1.EventKind_EVENT_KIND_CHILD_CREATED); n != 0 {
		t.Errorf("%d children have not one event of their creation, or are no children", n)
	}
}

// childrenOf are the children that records are of, by their names.
func childrenOf(t *testing.T, pool *pgxpool.Pool) []string {
	t.Helper()
	rows, err := pool.Query(t.Context(), `SELECT DISTINCT child_id FROM child_records`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var names []string
	for rows.Next() {
		var id [16]byte
		if err := rows.Scan(&id); err != nil {
			t.Fatal(err)
		}
		names = append(names, "children/"+standard.FormatChildID(id))
	}
	if rows.Err() != nil {
		t.Fatal(rows.Err())
	}
	return names
}

// verifies fails unless the access log is whole.
func verifies(t *testing.T, env []string, args ...string) {
	t.Helper()
	if out, errs, status := output(t, env, append([]string{"audit", "verify"}, args...)...); status != 0 {
		t.Errorf("irthub audit verify: status %d, %s%s", status, out, errs)
	}
}
