package feed

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"google.golang.org/protobuf/types/known/timestamppb"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/agencies"
	"irthub/internal/events"
	"irthub/internal/identity"
	"irthub/internal/rpc"
	"irthub/internal/sharing"
	"irthub/internal/standard"
)

// Entry is an event of the log and who is told of it, as things are now. It is
// shared by all receivers and never changes.
type Entry struct {
	*events.Logged
	agencies []string // that are told of it; data managers are told of all that is not addressed
	shielded bool     // a child it is about is: who works with it is told to nobody else
}

// Name is the event's resource name.
func (e *Entry) Name() string { return "events/" + e.ID.String() }

// Children are those that the event is about.
func (e *Entry) Children() (ids []uuid.UUID) {
	for _, id := range []uuid.UUID{e.Child, e.OtherChild} {
		if id != uuid.Nil {
			ids = append(ids, id)
		}
	}
	return ids
}

// SortOut finds out, for many events at once, who is told of each.
func SortOut(ctx context.Context, db events.Querier, logged []*events.Logged) ([]*Entry, error) {
	about := make([]uuid.UUID, 0, 2*len(logged))
	for _, l := range logged {
		about = append(about, l.Child, l.OtherChild)
	}
	known, err := whoWorksWith(ctx, db, about)
	if err != nil {
		return nil, err
	}
	entries := make([]*Entry, len(logged))
	for i, l := range logged {
		child, other := known[l.Child], known[l.OtherChild]
		entries[i] = &Entry{Logged: l, agencies: told(l, child, other), shielded: child.shielded || other.shielded}
	}
	return entries, nil
}

// told are the agencies that are told of an event. One that would give away a
// sensitive service is for that service.
func told(l *events.Logged, child, other standing) []string {
	switch {
	case l.Reveals != "":
		return []string{l.Reveals}
	case l.Audience == events.Named || l.Audience == events.Addressed:
		return l.Agencies
	case l.Audience != events.Involved:
		return nil
	case l.OtherChild == uuid.Nil:
		return child.agencies
	}
	both := slices.Concat(child.agencies, other.agencies)
	slices.Sort(both)
	return slices.Compact(both)
}

// standing is what decides who is told of a child.
type standing struct {
	agencies []string // that work with it, unless it is archived
	shielded bool
}

// whoWorksWith are, by child, the agencies that are involved with it today or have
// a record of it that they have not withdrawn; of an archived child nobody but data
// managers is told. A child that was merged is by now the one that answers for it.
func whoWorksWith(ctx context.Context, db events.Querier, children []uuid.UUID) (map[uuid.UUID]standing, error) {
	known := map[uuid.UUID]standing{}
	ids := distinct(children)
	if len(ids) == 0 {
		return known, nil
	}
	//nolint:rowserrcheck // ForEachRow does
	rows, err := db.Query(ctx, `SELECT q.child_id, coalesce(s.shielded, false), coalesce(w.agencies, '{}')
		FROM unnest((SELECT $1::uuid[])) AS q(child_id)
		CROSS JOIN LATERAL (SELECT coalesce((SELECT c.merged_into FROM children c WHERE c.child_id = q.child_id), q.child_id) AS child_id) AS n
		LEFT JOIN LATERAL (SELECT s.shielded, s.archive_date FROM child_sharing s WHERE s.child_id = n.child_id) AS s ON true
		LEFT JOIN LATERAL (SELECT array_agg(a.agency_id) AS agencies FROM (
			SELECT r.agency_id FROM child_records r WHERE r.child_id = n.child_id AND r.state = $2
			UNION
			SELECT i.agency_id FROM involvements i WHERE i.child_id = n.child_id
				AND i.start_date <= $3 AND (i.end_date IS NULL OR i.end_date >= $3)) AS a
			WHERE s.archive_date IS NULL) AS w ON true`,
		ids, int32(irtv1.ChildRecordState_CHILD_RECORD_STATE_ACTIVE), standard.Today())
	if err != nil {
		return nil, fmt.Errorf("feed: asking who works with children: %w", err)
	}
	var child [16]byte
	var s standing
	_, err = pgx.ForEachRow(rows, []any{&child, &s.shielded, &s.agencies}, func() error {
		known[child] = s
		s.agencies = nil // the next row's own
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("feed: asking who works with children: %w", err)
	}
	return known, nil
}

const (
	// fewChildren is up to how many children an agency's events are looked for by
	// child; of more, so many events are for it that looking through the log is as
	// quick.
	fewChildren = 500
	// lookedAt bounds how many of its records and involvements are looked at for that.
	lookedAt = 4096
)

// childrenOfSQL lists the children that an agency works with, as whoWorksWith has it,
// and those that were merged into them; and NULL, if not all was looked at.
const childrenOfSQL = `
WITH r AS MATERIALIZED (
	SELECT child_id, state = $4 AS counts FROM child_records
	WHERE record_id > $1 AND record_id <= $2 AND agency_id = $3 LIMIT $6
), i AS MATERIALIZED (
	SELECT child_id, start_date <= $5 AND (end_date IS NULL OR end_date >= $5) AS counts FROM involvements
	WHERE involvement_id > $1 AND involvement_id <= $2 AND agency_id = $3 LIMIT $6
), own AS (
	SELECT child_id FROM r WHERE counts UNION SELECT child_id FROM i WHERE counts
)
SELECT child_id FROM own
UNION SELECT c.child_id FROM own JOIN children c ON c.merged_into = own.child_id
UNION ALL SELECT NULL WHERE $6 IN ((SELECT count(*) FROM r), (SELECT count(*) FROM i))`

// childrenOf are the children whose events an agency may be told of; few is false if
// there are too many to list.
func childrenOf(ctx context.Context, db events.Querier, agency string) (ids []uuid.UUID, few bool, err error) {
	first, last := standard.RecordRange(agency)
	rows, err := db.Query(ctx, childrenOfSQL, [16]byte(first), [16]byte(last), agency,
		int32(irtv1.ChildRecordState_CHILD_RECORD_STATE_ACTIVE), standard.Today(), lookedAt)
	if err != nil {
		return nil, false, fmt.Errorf("feed: asking whom an agency works with: %w", err)
	}
	found, err := pgx.CollectRows(rows, pgx.RowTo[*[16]byte])
	if err != nil {
		return nil, false, fmt.Errorf("feed: asking whom an agency works with: %w", err)
	}
	if len(found) > fewChildren || slices.Contains(found, nil) {
		return nil, false, nil
	}
	for _, id := range found {
		ids = append(ids, *id)
	}
	return ids, true, nil
}

func distinct(children []uuid.UUID) [][16]byte {
	seen := make(map[uuid.UUID]bool, len(children))
	var ids [][16]byte // not uuid.UUID, which pgx would write as text
	for _, id := range children {
		if id != uuid.Nil && !seen[id] {
			seen[id] = true
			ids = append(ids, id)
		}
	}
	return ids
}

// Receiver is who is told.
type Receiver struct {
	caller  identity.Caller
	manager bool
}

// ReceiverOf is a caller as a receiver of events.
func ReceiverOf(c identity.Caller) Receiver {
	return Receiver{caller: c, manager: c.Role == irtv1.Role_ROLE_DATA_MANAGER}
}

// Caller is who the receiver is, for the access log.
func (r Receiver) Caller() identity.Caller { return r.caller }

// group is the receivers who are told of the same events: those of an agency, or
// all data managers.
func (r Receiver) group() string {
	if r.manager {
		return managers
	}
	return r.caller.Agency
}

// managers is the group of the data managers; no agency has that id.
const managers = ""

// Message is an event as the receiver may know of it; nil if not at all, or if it
// does not want it.
func (r Receiver) Message(e *Entry, f *Filter, directory *agencies.Directory) *irtv1.Event {
	if !f.wants(e) || !r.isTold(e) {
		return nil
	}
	m := &irtv1.Event{
		Name: e.Name(), Kind: e.Kind, EventTime: timestamppb.New(e.Time),
		Child: rpc.ChildName(e.Child), OtherChild: rpc.ChildName(e.OtherChild),
	}
	if e.Agency != "" && r.mayKnow(e, e.Agency, directory) {
		m.Agency = agencies.Name(e.Agency)
	}
	if r.mayName(e, directory) {
		m.Resource = e.Resource
	}
	if !f.wantsActor(m.GetAgency()) {
		return nil
	}
	return m
}

// isTold says whether the receiver is told of an event at all: data managers, and
// the agencies that it is for, as far as policy tells them of the child. To whom it
// is because it is their own, or gives them away, it is told in any case.
func (r Receiver) isTold(e *Entry) bool {
	if r.manager && e.Audience == events.Addressed || !r.manager && !slices.Contains(e.agencies, r.caller.Agency) {
		return false
	}
	if e.Audience != events.Involved {
		return true
	}
	return sharing.Decide(sharing.BeTold, r.facts(e)).Allowed() && r.mayKnowOfIt(e)
}

// telling are the events that tell by themselves what is of a category: that there is a
// concern, or a plan.
var telling = map[irtv1.EventKind]irtv1.Category{
	irtv1.EventKind_EVENT_KIND_CONCERN_SUBMITTED: irtv1.Category_CATEGORY_CONCERN,
	irtv1.EventKind_EVENT_KIND_CONCERN_CLOSED:    irtv1.Category_CATEGORY_CONCERN,
	irtv1.EventKind_EVENT_KIND_CONCERN_WITHDRAWN: irtv1.Category_CATEGORY_CONCERN,
	irtv1.EventKind_EVENT_KIND_CONCERN_ESCALATED: irtv1.Category_CATEGORY_CONCERN,
	irtv1.EventKind_EVENT_KIND_PLAN_SUBMITTED:    irtv1.Category_CATEGORY_PLAN,
	irtv1.EventKind_EVENT_KIND_PLAN_ENDED:        irtv1.Category_CATEGORY_PLAN,
}

// mayKnowOfIt says whether the receiver is shown what an event tells by itself.
func (r Receiver) mayKnowOfIt(e *Entry) bool {
	category, tells := telling[e.Kind]
	if !tells {
		return true
	}
	f := r.facts(e)
	f.Own = e.Agency == r.caller.Agency
	return sharing.Decide(sharing.See, f).Shows(category)
}

// facts are what policy may know of the receiver of an event about a child.
func (r Receiver) facts(e *Entry) sharing.Facts {
	f := sharing.FactsOf(r.caller)
	f.Involved = slices.Contains(e.agencies, r.caller.Agency)
	f.Shielded = e.shielded
	return f
}

// mayKnow says whether the receiver may be told that an agency has to do with the
// child.
func (r Receiver) mayKnow(e *Entry, agency string, directory *agencies.Directory) bool {
	f := r.facts(e)
	f.Own = agency == r.caller.Agency
	d := sharing.Decide(sharing.See, f)
	a, _ := directory.Get(agency)
	if (a.Sensitive || e.Reveals == agency) && !d.Shows(irtv1.Category_CATEGORY_SENSITIVE) {
		return false
	}
	return d.Shows(irtv1.Category_CATEGORY_INVOLVEMENT)
}

// mayName says whether the receiver may be told the name of what changed: who may
// know of its owner, and of a record who may read it.
func (r Receiver) mayName(e *Entry, directory *agencies.Directory) bool {
	if e.Audience == events.Addressed { // to those who have a part in it
		return true
	}
	rest, owned := strings.CutPrefix(e.Resource, "agencies/")
	owner, rest, _ := strings.Cut(rest, "/")
	switch {
	case !owned:
		return e.Reveals == r.caller.Agency || e.Reveals == "" && !e.shielded
	case strings.HasPrefix(rest, "childRecords/") && !sharing.MayReadRecord(r.caller, owner):
		return false
	}
	return r.mayKnow(e, owner, directory)
}
