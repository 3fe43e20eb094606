package feed_test

import (
	"context"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/events"
	"irthub/internal/pg/pgtest"
	"irthub/internal/rpc"
)

const (
	created = irtv1.EventKind_EVENT_KIND_CHILD_CREATED
	updated = irtv1.EventKind_EVENT_KIND_CHILD_UPDATED
	merged  = irtv1.EventKind_EVENT_KIND_CHILD_MERGED
)

// Each is told of the children it works with, and no more of that than it may know.
func TestWhoIsTold(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	first, second := h.child("school", "gp"), h.child("police")
	h.involve(first, "camhs", nil)
	h.involve(first, "police", "2024-01-01") // over
	h.involve(second, "social", nil)
	streams := map[string]*watching{"manager": h.watch(h.manager(), &irtv1.WatchRequest{})}
	for _, agency := range []string{"school", "gp", "police", "social", "camhs", "charity-1"} {
		streams[agency] = h.watch(h.system(agency), &irtv1.WatchRequest{})
	}
	h.happen(
		events.Event{Kind: created, Child: first, Agency: "school", Resource: "agencies/school/childRecords/1"},
		events.Event{Child: first, Agency: "camhs", Resource: "agencies/camhs/childRecords/9"},
		events.Event{Child: first, Agency: "camhs", Resource: "agencies/camhs/involvements/1", Reveals: "camhs"},
		events.Event{Child: second, Agency: "police", Resource: "agencies/police/involvements/1"},
		events.Event{Kind: merged, Child: first, OtherChild: second},
		events.Event{Kind: irtv1.EventKind_EVENT_KIND_EMERGENCY_ACCESS, Child: first},
		events.Event{Kind: irtv1.EventKind_EVENT_KIND_CHILD_RECORD_MOVED, Agencies: []string{"charity-1"}, Agency: "school"},
	)
	end := events.Event{
		Kind:     irtv1.EventKind_EVENT_KIND_CHILD_PURGED,
		Agencies: []string{"school", "gp", "police", "social", "camhs", "charity-1"},
	}
	h.happen(end)
	for name, want := range map[string][]string{
		"school":    {"CREATED by school of school/childRecords/1", "UPDATED", "MERGED", "PURGED"},
		"gp":        {"CREATED by school", "UPDATED", "MERGED", "PURGED"},
		"camhs":     {"CREATED by school", "UPDATED by camhs of camhs/childRecords/9", "UPDATED by camhs of camhs/involvements/1", "MERGED", "PURGED"},
		"police":    {"UPDATED by police of police/involvements/1", "MERGED", "PURGED"},
		"social":    {"UPDATED by police of police/involvements/1", "MERGED", "PURGED"},
		"charity-1": {"RECORD_MOVED by school", "PURGED"},
		"manager": {
			"CREATED by school of school/childRecords/1", "UPDATED", "UPDATED", "UPDATED by police of police/involvements/1", "MERGED",
			"EVENT_KIND_EMERGENCY_ACCESS", "RECORD_MOVED by school", "PURGED",
		},
	} {
		if got := told(streams[name].until(len(want))); !slices.Equal(got, want) {
			t.Errorf("%s was told %q, not %q", name, got, want)
		}
	}
	if m := streams["gp"].got[2]; m.GetChild() != rpc.ChildName(first) || m.GetOtherChild() != rpc.ChildName(second) {
		t.Errorf("merged: %v", m)
	}
}

// Of a shielded child nobody learns who works with it; of an archived one only data
// managers are told. Both hold from now on also for what was before.
func TestShieldedAndArchived(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	child, old := h.child("school", "gp"), h.child("gp")
	h.happen(
		events.Event{Kind: created, Child: child, Agency: "gp", Resource: "agencies/gp/involvements/1"},
		events.Event{Child: child, Agency: "school", Resource: "agencies/school/childRecords/1"},
		events.Event{Child: child, Agency: "gp", Resource: "shields/1"},
		events.Event{Child: old, Agency: "gp"},
	)
	list := func(ctx context.Context) []string {
		answer, err := h.ListEvents(ctx, &irtv1.ListEventsRequest{})
		if err != nil {
			t.Fatal(err)
		}
		return told(answer.GetEvents())
	}
	h.eventually(func() bool { return len(list(h.manager())) == 4 })
	h.exec(`INSERT INTO child_sharing (child_id, shielded, archive_date) VALUES ($1, true, NULL), ($2, false, '2026-01-01')`, [16]byte(child), [16]byte(old))
	for _, tt := range []struct {
		name string
		as   context.Context
		want []string
	}{
		{"school", h.system("school"), []string{"CREATED", "UPDATED by school of school/childRecords/1", "UPDATED"}},
		{"gp", h.system("gp"), []string{"CREATED by gp of gp/involvements/1", "UPDATED", "UPDATED by gp"}},
		{"a data manager", h.manager(), []string{"CREATED", "UPDATED", "UPDATED", "UPDATED by gp"}},
	} {
		if got := list(tt.as); !slices.Equal(got, tt.want) {
			t.Errorf("%s is told %q, not %q", tt.name, got, tt.want)
		}
	}
}

// That there is a concern is told to those who are shown concerns: the agencies that
// work with the child, no data manager, and of a shielded child its own agency alone.
func TestConcernsAreToldToThoseShownThem(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	child := h.child("school", "gp")
	concern := irtv1.EventKind_EVENT_KIND_CONCERN_SUBMITTED
	h.happen(
		events.Event{Kind: concern, Child: child, Agency: "school", Resource: "agencies/school/concerns/1"},
		events.Event{Child: child, Agency: "school"},
	)
	concerns := func(ctx context.Context) (n int) {
		answer, err := h.ListEvents(ctx, &irtv1.ListEventsRequest{})
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range answer.GetEvents() {
			if e.GetKind() == concern {
				n++
			}
		}
		return n
	}
	check := func(when string, school, gp, manager int) {
		t.Helper()
		for who, c := range map[string]struct {
			as   context.Context
			want int
		}{"the school": {h.system("school"), school}, "the practice": {h.system("gp"), gp}, "a data manager": {h.manager(), manager}} {
			if got := concerns(c.as); got != c.want {
				t.Errorf("%s %s is told of %d concerns, not %d", when, who, got, c.want)
			}
		}
	}
	h.eventually(func() bool {
		answer, err := h.ListEvents(h.manager(), &irtv1.ListEventsRequest{})
		return err == nil && len(answer.GetEvents()) == 1
	})
	check("of any child", 1, 1, 0)
	h.exec(`INSERT INTO child_sharing (child_id, shielded) VALUES ($1, true)`, [16]byte(child))
	check("of a shielded child", 1, 0, 0)
}

// A filter fits what is told, so that it finds out no more than that.
func TestFilters(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	first, second := h.child("school"), h.child("school")
	all := []events.Event{
		{Kind: created, Child: first, Agency: "school"},
		{Child: first, Agency: "gp"},
		{Child: second, Agency: "gp"},
		{Child: second, Agency: "camhs"},
		{Kind: merged, Child: second, OtherChild: first, Agency: "school"},
	}
	h.happen(all...)
	for _, tt := range []struct {
		name string
		req  *irtv1.ListEventsRequest
		want []string
	}{
		{"none", &irtv1.ListEventsRequest{}, []string{"CREATED by school", "UPDATED by gp", "UPDATED by gp", "UPDATED", "MERGED by school"}},
		{"kinds", &irtv1.ListEventsRequest{Kinds: []irtv1.EventKind{created, merged}}, []string{"CREATED by school", "MERGED by school"}},
		{"a child", &irtv1.ListEventsRequest{Children: []string{rpc.ChildName(first)}}, []string{"CREATED by school", "UPDATED by gp", "MERGED by school"}},
		{"an agency", &irtv1.ListEventsRequest{Agencies: []string{"agencies/gp"}}, []string{"UPDATED by gp", "UPDATED by gp"}},
		{"a sensitive service", &irtv1.ListEventsRequest{Agencies: []string{"agencies/camhs"}}, nil},
		{"both", &irtv1.ListEventsRequest{Agencies: []string{"agencies/gp"}, Children: []string{rpc.ChildName(second)}}, []string{"UPDATED by gp"}},
	} {
		var got []*irtv1.Event
		h.eventually(func() bool { // the log is a moment behind
			answer, err := h.ListEvents(h.system("school"), tt.req)
			if err != nil {
				t.Fatal(err)
			}
			got = answer.GetEvents()
			return len(got) >= len(tt.want)
		})
		if !slices.Equal(told(got), tt.want) {
			t.Errorf("%s: %q, not %q", tt.name, told(got), tt.want)
		}
	}
	w := h.watch(h.system("school"), &irtv1.WatchRequest{Kinds: []irtv1.EventKind{merged}})
	h.happen(all...)
	if got := told(w.until(1)); !slices.Equal(got, []string{"MERGED by school"}) {
		t.Errorf("watched with a filter: %q", got)
	}
}

// eventually waits for what another goroutine does, a minute at most.
func (h *hub) eventually(done func() bool) {
	h.t.Helper()
	for end := time.Now().Add(time.Minute); !done(); time.Sleep(10 * time.Millisecond) { //nolint:forbidigo // a wait with a deadline
		if time.Now().After(end) {
			h.t.Fatal("it did not come about within a minute")
		}
	}
}

// Who comes back with a cursor, to whichever process, misses nothing and is told
// nothing twice; also of more than is held in memory.
func TestResume(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	child := h.child("school")
	w := h.watch(h.system("school"), &irtv1.WatchRequest{})
	h.happen(events.Event{Kind: created, Child: child})
	w.until(1)
	const missed = 1234
	all := make([]events.Event, missed)
	for i := range all {
		all[i] = events.Event{Child: child}
	}
	h.happen(all...)
	other := joinHub(t, pgtest.Open(t, h.pool.Config().ConnString()))
	again := other.watch(other.system("school"), &irtv1.WatchRequest{Cursor: w.cursor})
	h.happen(events.Event{Kind: merged, Child: child})
	got := again.until(missed + 1)
	names := map[string]bool{w.got[0].GetName(): true}
	for i, e := range got {
		if names[e.GetName()] {
			t.Fatalf("%s came twice", e.GetName())
		}
		names[e.GetName()] = true
		if want := i == missed; want != (e.GetKind() == merged) {
			t.Errorf("no. %d was %s", i, e.GetKind())
		}
	}
	// A list from the same cursor has the same, in pages, and ends where a watch
	// goes on.
	req := &irtv1.ListEventsRequest{Cursor: w.cursor, PageSize: 500}
	var listed []string
	for {
		page, err := h.ListEvents(h.system("school"), req)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range page.GetEvents() {
			listed = append(listed, e.GetName())
		}
		req.PageToken = page.GetNextPageToken()
		if req.GetPageToken() == "" {
			req.Cursor = page.GetCursor()
			break
		}
	}
	for i, e := range got {
		if len(listed) != len(got) || listed[i] != e.GetName() {
			t.Fatalf("the list has %d events, the stream had %d", len(listed), len(got))
		}
	}
	last := h.watch(h.system("school"), &irtv1.WatchRequest{Cursor: req.GetCursor()})
	h.happen(events.Event{Kind: created, Child: child})
	if got := told(last.until(1)); !slices.Equal(got, []string{"CREATED"}) {
		t.Errorf("after the list came %q", got)
	}
}

func reason(err error) string {
	for _, d := range status.Convert(err).Details() {
		if info, ok := d.(*errdetails.ErrorInfo); ok {
			return info.GetReason()
		}
	}
	return ""
}

func TestCursorsThatCannotBeResumedFrom(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	w := h.watch(h.system("school"), &irtv1.WatchRequest{})
	h.exec(`UPDATE event_head SET position = 100, kept_from = 51`)
	for _, tt := range []struct {
		name, cursor string
		code         codes.Code
		reason       string
	}{
		{"damaged", w.cursor[1:], codes.InvalidArgument, "CURSOR_INVALID"},
		{"none at all", "x", codes.InvalidArgument, "CURSOR_INVALID"},
		{"too old", w.cursor, codes.OutOfRange, "CURSOR_TOO_OLD"},
	} {
		_, err := h.ListEvents(h.system("school"), &irtv1.ListEventsRequest{Cursor: tt.cursor})
		if status.Code(err) != tt.code || reason(err) != tt.reason {
			t.Errorf("%s: listed with %v %s", tt.name, err, reason(err))
		}
		stream, err := h.Watch(h.system("school"), &irtv1.WatchRequest{Cursor: tt.cursor})
		if err == nil {
			_, err = stream.Recv()
		}
		if status.Code(err) != tt.code || reason(err) != tt.reason {
			t.Errorf("%s: watched with %v %s", tt.name, err, reason(err))
		}
	}
}

// Whose token has expired, or whose agency is no longer active, is told nothing more.
func TestAWatchEndsWithTheRightToIt(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.service.Hurry(50*time.Millisecond, time.Minute)
	w := h.watch(h.system("school"), &irtv1.WatchRequest{})
	if err := w.receive(); err != nil { // a sign of life
		t.Fatal(err)
	}
	h.exec(`UPDATE agencies SET state = 2, update_time = now(), revision = revision + 1 WHERE agency_id = 'school'`)
	var err error
	for err == nil {
		err = w.receive()
	}
	if status.Code(err) != codes.PermissionDenied {
		t.Errorf("it ended with %v", err)
	}
}

// When the hub stops it says where to resume.
func TestAWatchEndsWithTheHub(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	w := h.watch(h.system("school"), &irtv1.WatchRequest{})
	h.service.Stop()
	err := w.receive()
	if status.Code(err) != codes.Unavailable || cursorOf(err) != w.cursor {
		t.Errorf("it ended with %v and the cursor %q, not %q", err, cursorOf(err), w.cursor)
	}
}

func cursorOf(err error) string {
	for _, d := range status.Convert(err).Details() {
		if info, ok := d.(*errdetails.ErrorInfo); ok {
			return info.GetMetadata()["cursor"]
		}
	}
	return ""
}

// Who takes nothing in is let go of, and misses nothing by coming back.
func TestFaultSlowConsumer(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.service.Hurry(time.Minute, 4*time.Second) // the access log takes its time, too
	child := h.child("school")
	w := h.watch(h.system("school"), &irtv1.WatchRequest{})
	const n = 6000 // more than HTTP/2 lets wait
	all := make([]events.Event, n)
	for i := range all {
		all[i] = events.Event{Child: child, Agency: "school"}
	}
	h.happen(all...)
	h.eventually(func() bool { return h.service.Watching() == 0 })
	var err error
	for err == nil {
		err = w.receive()
	}
	if status.Code(err) != codes.ResourceExhausted || reason(err) != "SLOW_CONSUMER" {
		t.Fatalf("it ended with %v", err)
	}
	seen := map[string]bool{}
	for _, e := range w.got {
		seen[e.GetName()] = true
	}
	h.service.Hurry(time.Minute, time.Minute)
	again := h.watch(h.system("school"), &irtv1.WatchRequest{Cursor: cursorOf(err)})
	for len(seen) < n {
		again.until(len(again.got) + 1)
		for _, e := range again.got {
			seen[e.GetName()] = true
		}
	}
}

// What a stream tells is in the access log before it is told: by whom, of which
// children; and a stream as such, from its beginning.
func TestWatchIsRecorded(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	child := h.child("school")
	w := h.watch(h.system("school"), &irtv1.WatchRequest{Kinds: []irtv1.EventKind{created}})
	h.happen(events.Event{Kind: created, Child: child}, events.Event{Child: child})
	w.until(1)
	var entries, about int
	err := h.pool.QueryRow(t.Context(), `SELECT count(*), count(*) FILTER (WHERE children = ARRAY[$1::uuid] AND returned = ARRAY[$2])
		FROM audit_entries WHERE method = '/irt.v1.EventService/Watch' AND agency_id = 'school' AND query->>'kinds' = '["EVENT_KIND_CHILD_CREATED"]'`,
		[16]byte(child), w.got[0].GetName()).Scan(&entries, &about)
	if err != nil || entries != 2 || about != 1 {
		t.Errorf("%d entries, %d about the child: %v", entries, about, err)
	}
}

// A thousand watch at once; each is told its own, and what the hub holds for them is
// bounded.
func TestAThousandWatchers(t *testing.T) {
	t.Parallel()
	const groups, each, rounds = 50, 20, 4
	h := newHub(t)
	streams := make([][]*watching, groups)
	var opening sync.WaitGroup
	runtime.GC()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for g := range groups {
		streams[g] = make([]*watching, each)
		ctx := h.system(charity(g))
		opening.Go(func() {
			for i := range each {
				streams[g][i] = h.watch(ctx, &irtv1.WatchRequest{})
			}
		})
	}
	opening.Wait()
	if n := h.service.Watching(); n != groups*each {
		t.Fatalf("%d are watching", n)
	}
	for round := range rounds {
		for g := range groups {
			h.happen(events.Event{Child: h.child(charity(g), charity((g+1)%groups)), Agency: charity(g), Kind: []irtv1.EventKind{created, updated}[round%2]})
		}
	}
	for g := range groups {
		for _, w := range streams[g] {
			got := w.until(2 * rounds)
			for _, e := range got {
				if e.GetAgency() != "agencies/"+charity(g) && e.GetAgency() != "agencies/"+charity((g+groups-1)%groups) {
					t.Fatalf("%s was told of an act of %s", charity(g), e.GetAgency())
				}
			}
			if len(got) != 2*rounds {
				t.Errorf("%s was told %d events", charity(g), len(got))
			}
		}
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	// Both ends of every stream are in this process.
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 128<<20 {
		t.Errorf("a thousand watchers take %d MiB", grown>>20)
	}
}

func charity(i int) string { return "charity-" + strconv.Itoa(i) }
