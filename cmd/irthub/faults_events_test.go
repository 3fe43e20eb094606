package main

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"testing"
	"time"
)

// follow takes in events from the beginning of the load on, and comes back with
// its cursor however often the stream breaks, until stop is called.
func (a *area) follow(t *testing.T) (stop func()) {
	t.Helper()
	cursor := a.beginning(t)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			a.watch(ctx, &cursor)
			select {
			case <-ctx.Done():
			case <-time.After(50 * time.Millisecond):
			}
		}
	}()
	return func() {
		cancel()
		<-done
	}
}

// beginning is a cursor from before the load.
func (a *area) beginning(t *testing.T) string {
	t.Helper()
	var page struct{ Cursor string }
	for end := time.Now().Add(time.Minute); page.Cursor == ""; time.Sleep(50 * time.Millisecond) { //nolint:forbidigo // a wait with a deadline
		if time.Now().After(end) {
			t.Fatal("events cannot be listed")
		}
		if resp, err := a.events(t.Context(), "/v1/events", url.Values{}); err == nil {
			_ = json.NewDecoder(resp.Body).Decode(&page) // or it is asked again: the school may be too new
			_ = resp.Body.Close()
		}
	}
	return page.Cursor
}

func (a *area) events(ctx context.Context, path string, q url.Values) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+a.http.Load().(string)+path+"?"+q.Encode(), http.NoBody)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Authorization", "Bearer "+a.token)
	r.Header.Set("Irt-Purpose", "EDUCATION")
	return http.DefaultClient.Do(r)
}

// watch takes in one stream to its end. A cursor is kept once what came with it is.
func (a *area) watch(ctx context.Context, cursor *string) {
	resp, err := a.events(ctx, "/v1/events:watch", url.Values{"kinds": {"EVENT_KIND_CHILD_CREATED"}, "cursor": {*cursor}})
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
		a.mu.Lock()
		for _, e := range line.Events {
			a.told[e.Child] = true
		}
		a.mu.Unlock()
		*cursor = line.Cursor
	}
}

// heard waits until the consumer of events has heard of every child that came of a
// record that was acknowledged.
func (a *area) heard(t *testing.T) {
	t.Helper()
	missing := 0
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(50 * time.Millisecond) { //nolint:forbidigo // a wait with a deadline
		missing = 0
		a.mu.Lock()
		for _, child := range a.acknowledged {
			if !a.told[child] {
				missing++
			}
		}
		a.mu.Unlock()
		if missing == 0 {
			return
		}
	}
	t.Errorf("no event told of %d of %d children within a minute", missing, a.count())
}
