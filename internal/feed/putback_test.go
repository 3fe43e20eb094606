package feed_test

import (
	"fmt"
	"slices"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/events"
	"irthub/internal/pg/pgtest"
	"irthub/internal/rpc"
)

// The database is put back to a minute. What was read after it, a cursor, the end that a
// stream without events got to or the next page of a list, cannot be gone on from, also
// when the new log is longer than the lost one was; what was read before it can.
func TestCursorsOfALogThatWasPutBack(t *testing.T) {
	t.Parallel()
	lost := newHub(t)
	child := lost.child("school")
	ctx := lost.system("school")
	record := func(h *hub, n int) {
		for i := range n {
			h.happen(events.Event{Child: child, Agency: "school", Resource: fmt.Sprintf("agencies/school/childRecords/%d", i)})
		}
	}
	w := lost.watch(ctx, &irtv1.WatchRequest{})
	record(lost, 5)
	w.until(5)
	quiet := lost.watch(ctx, &irtv1.WatchRequest{Kinds: []irtv1.EventKind{irtv1.EventKind_EVENT_KIND_CHILD_MERGED}})
	page := func(size int32) *irtv1.ListEventsResponse {
		t.Helper()
		p, err := lost.ListEvents(ctx, &irtv1.ListEventsRequest{PageSize: size})
		if err != nil || len(p.GetEvents()) != int(size) {
			t.Fatalf("%d events, %v", len(p.GetEvents()), err)
		}
		return p
	}
	before, after := page(2), page(3)
	tokens, err := rpc.LoadPageTokens(t.Context(), lost.pool)
	if err != nil {
		t.Fatal(err)
	}
	first, err := events.Read(t.Context(), lost.pool, events.Position{}, 2)
	if err != nil {
		t.Fatal(err)
	}
	unmarked, err := tokens.Encode("events", &irtv1.WatchRequest{}, first[1].At.Append(nil)[:12]) // as hubs gave them before
	if err != nil {
		t.Fatal(err)
	}
	lost.exec(`DELETE FROM events WHERE position > 2`)
	lost.exec(`UPDATE event_head SET position = 2`)

	h := joinHub(t, pgtest.Open(t, lost.pool.Config().ConnString()))
	ctx = h.system("school")
	refused := func(when string) {
		t.Helper()
		for name, cursor := range map[string]string{"a list's": after.GetCursor(), "a stream's": w.cursor, "a quiet stream's": quiet.cursor} {
			_, err := h.ListEvents(ctx, &irtv1.ListEventsRequest{Cursor: cursor})
			stream, errWatch := h.Watch(ctx, &irtv1.WatchRequest{Cursor: cursor})
			if errWatch == nil {
				_, errWatch = stream.Recv()
			}
			for _, err := range []error{err, errWatch} {
				if status.Code(err) != codes.OutOfRange || reason(err) != "CURSOR_TOO_OLD" {
					t.Errorf("%s: %s cursor: %v", when, name, err)
				}
			}
		}
		if _, err := h.ListEvents(ctx, &irtv1.ListEventsRequest{PageSize: 3, PageToken: after.GetNextPageToken()}); reason(err) != "CURSOR_TOO_OLD" {
			t.Errorf("%s: the next page: %v", when, err)
		}
	}
	refused("at first")
	record(h, 10)
	goOn := h.watch(ctx, &irtv1.WatchRequest{Cursor: before.GetCursor()})
	goOn.until(10)
	refused("when the log has grown")

	all, _ := h.list(ctx, &irtv1.ListEventsRequest{})
	if len(all) != 12 || !slices.Equal(told(all[2:]), told(goOn.got)) {
		t.Errorf("there are %d events; after the second came %q", len(all), told(goOn.got))
	}
	for name, req := range map[string]*irtv1.ListEventsRequest{
		"a cursor":          {Cursor: before.GetCursor()},
		"the next page":     {PageSize: 2, PageToken: before.GetNextPageToken()},
		"an earlier cursor": {Cursor: unmarked},
	} {
		got, _ := h.list(ctx, req)
		if !slices.EqualFunc(got, goOn.got, func(a, b *irtv1.Event) bool { return a.GetName() == b.GetName() }) {
			t.Errorf("after %s from before the minute came %q", name, told(got))
		}
	}
}
