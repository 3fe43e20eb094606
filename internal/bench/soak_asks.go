package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	irtv1 "irthub/gen/irt/v1"
)

// asks are what workers ask, each as often as its share of the sum.
var asks = []struct {
	name  string
	share int
	begin func(context.Context, *soak) (operation, error)
}{
	{"GetChild", 430, ofLab(getChild)},
	{"GetChild over REST", 100, ofLab(getChildREST)},
	{"SearchChildren", 100, ofLab(searchChildren)},
	{"ListInvolvements", 130, ofLab(listInvolvements)},
	{"ListTimelineEntries", 20, ofLab(listTimeline)},
	{"ListEvents", 10, ofSoak((*soak).listEvents)},
	{"Watch for a second", 10, ofSoak((*soak).watch)},
	{"ExportChildRecords", 2, ofSoak((*soak).export)},
	{"SubmitChildRecord", 140, ofSoak((*soak).submit)},
	{"SubmitChildRecord refused", 30, ofSoak((*soak).submitBad)},
	{"SubmitChildRecords of 50", 2, ofSoak((*soak).submitStream)},
	{"SubmitChildRecords of 50 over REST", 1, ofSoak((*soak).submitLines)},
	{"CreateImport of 200 rows", 1, ofSoak((*soak).importRoll)},
	{"SubmitConcern", 10, ofSoak((*soak).submitConcern)},
	{"SubmitInvolvement", 10, ofSoak((*soak).submitInvolvement)},
}

// ofLab asks what a figure is taken with.
func ofLab(product func(context.Context, *lab) (operation, error)) func(context.Context, *soak) (operation, error) {
	return func(ctx context.Context, s *soak) (operation, error) { return product(ctx, s.l) }
}

// ofSoak asks what only a soak does.
func ofSoak(do func(*soak, context.Context, *asker) error) func(context.Context, *soak) (operation, error) {
	return func(_ context.Context, s *soak) (operation, error) {
		return func(worker int) func(context.Context) error {
			return func(ctx context.Context) error { return do(s, ctx, s.askers[worker]) }
		}, nil
	}
}

// asker is one worker. What it writes it writes as the systems of agencies that are no
// other worker's, one thing after another: so it knows how each must stand.
type asker struct {
	*rand.Rand

	worker  int
	schools []roll
	rolls   []roll // of schools and practices
	houses  int    // that it has had children move to
	cursor  string // of the events that it has listed
	// standing is how the last version stands that was acknowledged, of records by
	// their first line of address, of concerns and involvements by their day. What may
	// or may not have been taken in is not there.
	standing map[thing]string
}

// roll is the records of an agency that are changed.
type roll struct {
	agency  string
	records []*irtv1.ChildRecord
}

// thing is of a kind, which is its table, and has a name: agencies/{agency}/…/{local_id}.
type thing struct{ table, name string }

// deal deals the area's agencies out to the workers, with the records that they had
// the index filled with. Children with whom ten agencies work are left as they are: what
// is read of them is counted.
func (s *soak) deal(ctx context.Context) error {
	busy := map[string]bool{}
	rows, err := s.l.pool.Query(ctx, `SELECT 'agencies/' || agency_id || '/childRecords/' || local_id FROM child_records
		WHERE child_id IN (SELECT child_id FROM involvements GROUP BY child_id HAVING count(*) >= $1)`, len(involved))
	if err != nil {
		return err
	}
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return err
		}
		busy[name] = true
	}
	if err := rows.Err(); err != nil {
		return err
	}
	of := map[string][]*irtv1.ChildRecord{}
	for first := 0; first+group <= min(s.l.people.taken(), soakRecords); first += group {
		for _, p := range s.l.people.groupOf(first) {
			if r := p.records[0]; !busy[r.GetName()] {
				of[agencyOf(r)] = append(of[agencyOf(r)], r)
			}
		}
	}
	for worker := range soakWorkers {
		s.askers = append(s.askers, &asker{Rand: chance(worker), worker: worker, standing: map[thing]string{}})
	}
	dealt := 0
	next := func(agency string) (a *asker, r roll, ok bool) {
		if len(of[agency]) == 0 {
			return nil, r, false
		}
		dealt++
		return s.askers[(dealt-1)%soakWorkers], roll{agency, of[agency]}, true
	}
	for n := range schools {
		if a, r, ok := next(schoolID(n)); ok {
			a.schools, a.rolls = append(a.schools, r), append(a.rolls, r)
		}
	}
	if dealt < soakWorkers {
		return fmt.Errorf("%w: a soak takes more children: each of its workers speaks for a school", ErrOptions)
	}
	for n := range practices {
		if a, r, ok := next(practiceID(n)); ok {
			a.rolls = append(a.rolls, r)
		}
	}
	return nil
}

// watch takes in a second of events and goes.
func (s *soak) watch(ctx context.Context, a *asker) error {
	md, err := s.l.callers.reader(a.worker)
	if err != nil {
		return err
	}
	// Not a deadline, which the hub would be told of: see run.
	ctx, cancel := context.WithCancel(metadata.NewOutgoingContext(ctx, md))
	defer cancel()
	defer time.AfterFunc(time.Second, cancel).Stop()
	stream, err := irtv1.NewEventServiceClient(s.l.conn(a.worker)).Watch(ctx, &irtv1.WatchRequest{})
	for err == nil {
		_, err = stream.Recv()
	}
	if ctx.Err() != nil && status.Code(err) == codes.Canceled {
		return nil
	}
	return err
}

// listEvents goes on from where it came to last, by a page.
func (s *soak) listEvents(ctx context.Context, a *asker) error {
	ctx, err := s.l.callers.as(ctx, involved[a.worker%len(involved)].agency, irtv1.Role_ROLE_AGENCY_SYSTEM)
	if err != nil {
		return err
	}
	page, err := irtv1.NewEventServiceClient(s.l.conn(a.worker)).ListEvents(ctx, &irtv1.ListEventsRequest{Cursor: a.cursor, PageSize: 500})
	if err != nil {
		return err
	}
	if a.cursor = page.GetCursor(); a.cursor == "" {
		return errors.New("a page of events has no cursor")
	}
	return nil
}

// export gets an agency's records back, all that stand and as they stand.
func (s *soak) export(ctx context.Context, a *asker) error {
	r := a.rolls[a.IntN(len(a.rolls))]
	ctx, err := s.l.callers.as(ctx, r.agency, irtv1.Role_ROLE_AGENCY_SYSTEM)
	if err != nil {
		return err
	}
	stream, err := irtv1.NewExportServiceClient(s.l.conn(a.worker)).ExportChildRecords(ctx,
		&irtv1.ExportChildRecordsRequest{Parent: "agencies/" + r.agency})
	if err != nil {
		return err
	}
	exported := map[string]*irtv1.ChildRecord{}
	for {
		some, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		for _, one := range some.GetChildRecords() {
			exported[one.GetName()] = one
		}
	}
	for _, one := range r.records {
		got := exported[one.GetName()]
		if want, known := a.standing[thing{"child_records", one.GetName()}]; got == nil || known && got.GetAddressLines()[0] != want {
			return errors.New("an export lacks a record, or has an earlier version of it")
		}
	}
	return nil
}
