package consent

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"google.golang.org/protobuf/types/known/timestamppb"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/audit"
	"irthub/internal/children"
	"irthub/internal/identity"
	"irthub/internal/pg"
	"irthub/internal/rpc"
	"irthub/internal/sharing"
	"irthub/internal/standard"
)

// mayKnow tells whether a caller who may read the agency's records may know of one
// of its consents: that of a sensitive service is its own affair.
func (s *Service) mayKnow(c identity.Caller, v *version) bool {
	return !s.reveals(v) || sharing.SensitiveVisible(c, v.agency)
}

// GetConsent implements irt.v1.ConsentService.
func (s *Service) GetConsent(ctx context.Context, req *irtv1.GetConsentRequest) (*irtv1.Consent, error) {
	agency, localID, ok := parseName(req.GetName())
	if !ok {
		return nil, rpc.NotFound("consent")
	}
	caller := identity.FromContext(ctx)
	if !sharing.MayReadRecord(caller, agency) {
		return nil, rpc.Denied()
	}
	v, err := present(ctx, s.pool, standard.ConsentID(agency, localID))
	if err != nil {
		return nil, err
	}
	if v == nil || !s.mayKnow(caller, v) {
		return nil, rpc.NotFound("consent")
	}
	e := audit.FromContext(ctx)
	e.AddChild(v.childID)
	e.AddReturned(v.name())
	return v.message(true), nil
}

// question is what a list of consents is asked: in force on which day, as known when.
type question struct {
	*reading

	child   uuid.UUID // of the time asked about
	day     time.Time
	knownAt time.Time // zero: now
	ended   bool
	size    int
	after   rpc.Position
}

// ListConsents implements irt.v1.ConsentService.
func (s *Service) ListConsents(ctx context.Context, req *irtv1.ListConsentsRequest) (*irtv1.ListConsentsResponse, error) {
	r, err := s.readable(ctx, req.GetParent())
	if err != nil {
		return nil, err
	}
	q := &question{
		reading: r, child: r.child, ended: req.GetIncludeEnded(),
		size: int(rpc.PageSize(req.GetPageSize(), defaultPage, largestPage)),
	}
	if err := q.readTimes(req, s.today()); err != nil {
		return nil, err
	}
	if q.after, err = s.tokens.Position(irtv1.ConsentService_ListConsents_FullMethodName, req, req.GetPageToken(), rpc.BeforeAll); err != nil {
		return nil, err
	}
	if !q.knownAt.IsZero() {
		if q.child, err = s.childAt(ctx, req.GetParent(), q.knownAt); err != nil {
			return nil, err
		}
	}
	found, err := s.list(ctx, q)
	if err != nil {
		return nil, err
	}
	return s.listAnswer(ctx, req, q, found)
}

// childAt is what the child named was known to be at an instant.
func (s *Service) childAt(ctx context.Context, name string, at time.Time) (uuid.UUID, error) {
	asked, err := rpc.ParseChildName(name)
	if err != nil {
		return uuid.Nil, err
	}
	return children.SurvivorAt(ctx, s.pool, asked, at)
}

// readTimes reads as_of and known_at. Where only known_at is given, the day is that
// of the instant.
func (q *question) readTimes(req *irtv1.ListConsentsRequest, today time.Time) error {
	q.day = today
	if req.GetKnownAt() != nil {
		var err error
		if q.knownAt, err = pastInstant(req.GetKnownAt()); err != nil {
			return err
		}
		q.day = standard.DayOf(q.knownAt)
	}
	if req.GetAsOf() == "" {
		return nil
	}
	if q.ended {
		return rpc.Invalid([]standard.Fault{{
			Field: "include_ended", RuleID: "AS_OF_OR_ENDED",
			Description: "as_of asks for one day, and include_ended for every day.", Action: "Send one of the two.",
		}})
	}
	day, err := standard.ParseDate(req.GetAsOf())
	if err != nil {
		return rpc.Invalid([]standard.Fault{standard.FaultOf("DATE_INVALID", "as_of")})
	}
	q.day = day
	return nil
}

// pastInstant reads known_at.
func pastInstant(at *timestamppb.Timestamp) (time.Time, error) {
	if faults := rpc.KnownAtFaults(at); len(faults) > 0 {
		return time.Time{}, rpc.Invalid(faults)
	}
	return at.AsTime(), nil
}

// shownToReader is the rule of who sees a consent: the agency that took it; others
// where policy shows them who works with the child; and of one that would give a
// sensitive service away only those to whom it is to be shown.
const shownToReader = `(v.agency_id = @reader OR @others AND (NOT (v.scope = 2 OR v.agency_id = ANY(@sensitive::text[]))
	OR v.scope = 2 AND (v.recipients = '{}' AND v.recipient_kinds = '{}' OR @reader = ANY(v.recipients) OR @kind = ANY(v.recipient_kinds))))`

// listSQL lists the versions that source selects, each with whether any of the child's is
// not shown to the reader: of any day and state, so that asking about one day after
// another tells nothing. Where nothing is listed there is a row with that alone.
func listSQL(source string) string {
	return `SELECT ` + columns + `, withheld FROM (
		SELECT EXISTS (SELECT 1 FROM consents v WHERE v.child_id = @child AND NOT ` + shownToReader + `) AS withheld) w
	LEFT JOIN LATERAL (SELECT ` + columns + ` FROM (` + source + `) v
	WHERE (@ended OR v.start_date <= @day AND (v.end_date IS NULL OR v.end_date >= @day)
			AND (v.withdraw_date IS NULL OR v.withdraw_date > @day)
			AND NOT (v.given_by = 'PARENTAL_RESPONSIBILITY' AND v.scope <> 3 AND @day >= @majority))
		AND (v.start_date, v.consent_id) > (@after_day, @after_id) AND ` + shownToReader + `
	ORDER BY v.start_date, v.consent_id LIMIT @limit) v ON true`
}

var (
	listNow  = listSQL(`SELECT ` + columns + ` FROM consents WHERE child_id = @child OFFSET 0`)
	listThen = listSQL(`SELECT ` + columns + ` FROM consents WHERE child_id = @child AND known_from <= @known_at
		UNION ALL SELECT ` + columns + ` FROM consents_history WHERE child_id = @child AND known_from <= @known_at AND known_to > @known_at`)
)

// neverOfAge stands for the day on which somebody whose birthday is not known comes of age.
var neverOfAge = time.Date(9999, time.January, 1, 0, 0, 0, 0, time.UTC)

// found is a page of consents, one more where there is more, and whether any of the
// child's is not shown to the caller.
type found struct {
	versions []*version
	withheld bool
}

func (s *Service) list(ctx context.Context, q *question) (*found, error) {
	args := pgx.NamedArgs{
		"child": [16]byte(q.child), "reader": q.asker.Agency, "kind": int16(q.asker.Kind), //nolint:gosec // kinds are few
		"others": q.showsOthers(), "day": pg.Date(q.day), "ended": q.ended, "majority": pg.Date(neverOfAge),
		"after_day": pg.Date(q.after.At), "after_id": [16]byte(q.after.ID), "limit": q.size + 1,
	}
	if !q.born.IsZero() {
		args["majority"] = pg.Date(majority(q.born))
	}
	var rows []listed
	var err error
	if q.knownAt.IsZero() {
		rows, err = s.ofChild.List(ctx, args)
	} else {
		args["sensitive"], args["known_at"] = listOf(s.directory.Sensitive()), q.knownAt
		rows, err = s.listThen(ctx, args)
	}
	if err != nil {
		return nil, err
	}
	out := &found{}
	for _, v := range rows {
		if out.withheld = v.withheld; v.version != nil {
			out.versions = append(out.versions, v.version)
		}
	}
	return out, nil
}

// listed is a row of a list: one of the consents, or nil where there are none.
type listed struct {
	*version
	withheld bool // any of the child's is
}

func scanListed(row pgx.CollectableRow) (l listed, err error) {
	row = children.AlsoScan(row, &l.withheld)
	if row.RawValues()[0] == nil {
		return l, row.Scan(make([]any, strings.Count(columns, ",")+1)...)
	}
	l.version, err = scanVersion(row)
	return l, err
}

func (s *Service) listThen(ctx context.Context, args pgx.NamedArgs) ([]listed, error) {
	rows, err := s.pool.Query(ctx, listThen, args)
	if err != nil {
		return nil, fmt.Errorf("consent: listing: %w", err)
	}
	all, err := pgx.CollectRows(rows, scanListed)
	if err != nil {
		return nil, fmt.Errorf("consent: reading a list: %w", err)
	}
	return all, nil
}

// showsOthers tells whether policy shows the reader who else works with the child,
// which consents of other agencies tell.
func (r *reading) showsOthers() bool { return r.shown.Shows(irtv1.Category_CATEGORY_INVOLVEMENT) }

// listOf is never nil: nothing is = ANY(NULL), nor is it not.
func listOf(ids []string) []string {
	if ids == nil {
		return []string{}
	}
	return ids
}

func (s *Service) listAnswer(ctx context.Context, req *irtv1.ListConsentsRequest, q *question, found *found) (*irtv1.ListConsentsResponse, error) {
	e, caller := audit.FromContext(ctx), q.asker.Caller
	e.AddChild(q.child)
	out := &irtv1.ListConsentsResponse{}
	if len(found.versions) > q.size {
		found.versions = found.versions[:q.size]
		last := found.versions[q.size-1]
		var err error
		out.NextPageToken, err = s.tokens.Encode(irtv1.ConsentService_ListConsents_FullMethodName, req, rpc.Position{At: last.start, ID: last.id}.Cursor())
		if err != nil {
			return nil, err
		}
	}
	for _, v := range found.versions {
		out.Consents = append(out.Consents, v.message(sharing.MayReadRecord(caller, v.agency)))
		e.AddReturned(v.name())
	}
	if found.withheld {
		notice := sharing.Withheld()
		if !q.showsOthers() {
			notice = q.shown.Withheld(irtv1.Category_CATEGORY_INVOLVEMENT)
		}
		e.AddWithheld(notice.GetRuleId())
		out.Withheld = append(out.Withheld, notice)
	}
	return out, nil
}
