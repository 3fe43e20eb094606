package feed_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/events"
	"irthub/internal/standard"
)

// crowd is the i-th of many children.
func crowd(i int) uuid.UUID {
	id := uuid.UUID{0: 0x55, 6: 0x70, 8: 0x80}
	binary.BigEndian.PutUint32(id[12:], uint32(i))
	return id
}

const crowdSQL = `('55000000-0000-7000-8000-0000' || lpad(to_hex(%s), 8, '0'))::uuid`

// fillLog makes a log of n events over so many days, up to yesterday, about so many
// children, in place of that which there is. One in fifty is addressed to an agency that
// is not among those of a test.
func (h *hub) fillLog(n, days, children int) {
	h.t.Helper()
	ctx := h.t.Context()
	child := fmt.Sprintf(crowdSQL, "(i * 7919) % "+fmt.Sprint(children))
	for d := range days {
		day := time.Now().UTC().AddDate(0, 0, d-days)
		table := day.Format("events_2006_01_02")
		from, to := n/days*d, n/days*(d+1)
		h.exec(`CREATE TABLE ` + table + ` (LIKE events INCLUDING DEFAULTS)`)
		h.exec(`INSERT INTO `+table+` (day, position, event_id, kind, child_id, agency_id, resource, audience, agencies, reveals, event_time)
			SELECT $1::date, i + 1, gen_random_uuid(), 2, `+child+`, 'another', 'agencies/another/childRecords/' || i,
				CASE WHEN i % 50 = 0 THEN 4 ELSE 1 END, CASE WHEN i % 50 = 0 THEN ARRAY['other-' || (i / 50) % 300] ELSE '{}' END, '', $1::date
			FROM generate_series($2::bigint, $3::bigint - 1) AS i`, day, from, to)
		h.exec(`ALTER TABLE events ATTACH PARTITION ` + table + ` FOR VALUES FROM ('` + day.Format(time.DateOnly) + `') TO ('` + day.AddDate(0, 0, 1).Format(time.DateOnly) + `')`)
	}
	h.exec(`UPDATE event_head SET position = $1, kept_from = 1`, n/days*days)
	if _, err := h.pool.Exec(ctx, `ANALYZE events`); err != nil {
		h.t.Fatal(err)
	}
}

// hold gives an agency records of the children from one to another of the crowd.
func (h *hub) hold(agency string, from, to int) {
	h.t.Helper()
	var records, ids [][16]byte
	var locals []string
	for i := from; i < to; i++ {
		local := fmt.Sprint("c", i)
		records, ids, locals = append(records, standard.RecordID(agency, local)), append(ids, crowd(i)), append(locals, local)
	}
	h.exec(`INSERT INTO children (child_id, state, create_time, known_from, revision)
		SELECT unnest($1::uuid[]), 1, now(), now(), 1 ON CONFLICT DO NOTHING`, ids)
	h.exec(`INSERT INTO child_records (record_id, agency_id, local_id, child_id, state, create_time, known_from, revision)
		SELECT r, $1, l, c, 1, now(), now(), 1 FROM unnest($2::uuid[], $3::text[], $4::uuid[]) AS u (r, l, c)`, agency, records, locals, ids)
	h.exec(`ANALYZE child_records`)
}

// list reads all pages, and counts them.
func (h *hub) list(ctx context.Context, req *irtv1.ListEventsRequest) (all []*irtv1.Event, pages int) {
	h.t.Helper()
	for {
		page, err := h.ListEvents(ctx, req)
		if err != nil {
			h.t.Fatal(err)
		}
		pages++
		all = append(all, page.GetEvents()...)
		if req.PageToken = page.GetNextPageToken(); req.GetPageToken() == "" {
			return all, pages
		}
	}
}

// What is for an agency with few children is found among much that is not for it, all
// that it is told of by streams and nothing else, without a page that looks in vain.
func TestListAmongMuchThatIsForOthers(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	const n, children = 60_000, 20_000
	h.fillLog(n, 6, children)
	h.hold("school", 100, 110)
	h.involve(crowd(200), "school", nil)
	h.involve(crowd(201), "school", "2024-01-01") // over
	h.hold("gp", 0, 1000)                         // many
	h.exec(`UPDATE children SET state = 3, merged_into = $2 WHERE child_id = $1`, [16]byte(crowd(300)), [16]byte(crowd(100)))
	h.exec(`UPDATE events SET agencies = '{gp,school}', audience = 3, child_id = NULL WHERE position IN (17, 30000)`)
	h.exec(`UPDATE events SET reveals = 'school' WHERE position = 40000`)
	h.exec(`UPDATE events SET other_child_id = $1 WHERE position IN (41000, 41002)`, [16]byte(crowd(109)))
	// Ten children, one that it is involved with and one that was merged have three
	// events each; some of them may be among those changed, which are told anyhow.
	want := map[int64]bool{17: true, 30_000: true, 40_000: true, 41_000: true, 41_002: true}
	rows, err := h.pool.Query(t.Context(), `SELECT position FROM events WHERE child_id = ANY($1::uuid[])`, func() (ids [][16]byte) {
		for _, i := range []int{100, 101, 102, 103, 104, 105, 106, 107, 108, 109, 200, 300} {
			ids = append(ids, crowd(i))
		}
		return ids
	}())
	if err != nil {
		t.Fatal(err)
	}
	about, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	if err != nil || len(about) < 30 {
		t.Fatalf("%d, %v", len(about), err)
	}
	var addressed int
	for _, p := range about {
		want[p] = true
	}
	if err := h.pool.QueryRow(t.Context(), `SELECT count(*) FROM events WHERE position = ANY($1) AND audience = 4`, about).Scan(&addressed); err != nil {
		t.Fatal(err)
	}
	all, pages := h.list(h.system("school"), &irtv1.ListEventsRequest{PageSize: 1000})
	if pages != 1 || len(all) != len(want)-addressed {
		t.Errorf("%d events on %d pages, not %d on one", len(all), pages, len(want)-addressed)
	}
	if !slices.IsSortedFunc(all, func(a, b *irtv1.Event) int { return a.GetEventTime().AsTime().Compare(b.GetEventTime().AsTime()) }) {
		t.Error("they are not in order")
	}
	paged, pages := h.list(h.system("school"), &irtv1.ListEventsRequest{PageSize: 7})
	if len(paged) != len(all) || pages != (len(all)+6)/7 {
		t.Errorf("in pages of seven: %d events on %d pages", len(paged), pages)
	}
	for i := range paged {
		if paged[i].GetName() != all[i].GetName() {
			t.Fatalf("no. %d is another in pages", i)
		}
	}
	// By a stream from the beginning, the same.
	first, err := h.ListEvents(h.system("school"), &irtv1.ListEventsRequest{PageSize: 1})
	if err != nil {
		t.Fatal(err)
	}
	w := h.watch(h.system("school"), &irtv1.WatchRequest{Cursor: first.GetCursor()})
	for i, e := range w.until(len(all) - 1) {
		if e.GetName() != all[i+1].GetName() {
			t.Fatalf("no. %d is another in a stream", i+1)
		}
	}
	// An agency with many children has pages that end after so much was looked at.
	many, pages := h.list(h.system("gp"), &irtv1.ListEventsRequest{PageSize: 1000})
	if len(many) < 2000 || pages < n/5000 || pages > n/5000+1 {
		t.Errorf("%d events on %d pages", len(many), pages)
	}
}

// An event that is told while an agency lists is not passed over, whenever it comes to
// work with the child.
func TestListMissesNothingThatComes(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	const n = 60
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range n {
			h.happen(events.Event{Child: h.child("school"), Agency: "school"})
		}
	}()
	seen, req := map[string]bool{}, &irtv1.ListEventsRequest{PageSize: 5}
	for end := time.Now().Add(time.Minute); len(seen) < n && time.Now().Before(end); {
		page, err := h.ListEvents(h.system("school"), req)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range page.GetEvents() {
			seen[e.GetName()] = true
		}
		req.Cursor = page.GetCursor()
	}
	<-done
	if len(seen) != n {
		t.Errorf("%d of %d were listed", len(seen), n)
	}
}

// BenchmarkListEvents lists the events of agencies with few children and with many, of a
// month's log of a million.
func BenchmarkListEvents(b *testing.B) {
	h := newHub(b)
	h.fillLog(1_000_000, 30, 100_000)
	for agency, holds := range map[string]int{"charity-0": 0, "charity-1": 10, "charity-2": 100, "charity-3": 500, "charity-4": 1000, "charity-5": 30_000} {
		h.hold(agency, 0, holds)
		b.Run(fmt.Sprint(holds, "-children"), func(b *testing.B) {
			ctx := h.system(agency)
			var looked, told, pages int
			for b.Loop() {
				page, err := h.ListEvents(ctx, &irtv1.ListEventsRequest{PageSize: 100})
				if err != nil {
					b.Fatal(err)
				}
				told += len(page.GetEvents())
				looked++
				if page.GetNextPageToken() != "" {
					pages++
				}
			}
			b.ReportMetric(float64(told)/float64(looked), "events/op")
			b.ReportMetric(float64(pages)/float64(looked), "more/op")
		})
	}
}

// What a watcher missed is told by what is true when it comes back, also where others
// were told of it meanwhile.
func TestWhatWasMissedIsToldByWhatIsTrueNow(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	child := h.child("school", "gp")
	left, stays := h.watch(h.system("school"), &irtv1.WatchRequest{}), h.watch(h.manager(), &irtv1.WatchRequest{})
	h.happen(events.Event{Kind: created, Child: child, Agency: "gp", Resource: "agencies/gp/involvements/1"})
	stays.until(1)
	h.exec(`INSERT INTO child_sharing (child_id, shielded) VALUES ($1, true)`, [16]byte(child))
	back := h.watch(h.system("school"), &irtv1.WatchRequest{Cursor: left.cursor})
	if got := told(back.until(1)); !slices.Equal(got, []string{"CREATED"}) {
		t.Errorf("of a child that is shielded by now the school is told %q", got)
	}
}
