package concerns

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/agencies"
	"irthub/internal/audit"
	"irthub/internal/children"
	"irthub/internal/pg"
	"irthub/internal/redact"
	"irthub/internal/rpc"
	"irthub/internal/sharing"
	"irthub/internal/standard"
)

const (
	concernCategory   = irtv1.Category_CATEGORY_CONCERN
	sensitiveCategory = irtv1.Category_CATEGORY_SENSITIVE
)

// decide says how an asker sees a concern about a child; nil for not at all. That of
// a sensitive service needs what shows the service, too.
func decide(a agencies.Asker, st *children.Standing, v *version) *sharing.Decision {
	f := st.Said(a, v.agency)
	if v.sensitive {
		f = st.Sensitive(a, v.agency, false)
	}
	d := sharing.Decide(sharing.See, f)
	if !d.ShowsChild() && !f.Own || !d.Shows(concernCategory) || v.sensitive && !d.Shows(sensitiveCategory) {
		return nil
	}
	return d
}

// GetConcern implements irt.v1.ConcernService. Whether there is a concern of another
// agency that is not shown is not told.
func (s *Service) GetConcern(ctx context.Context, req *irtv1.GetConcernRequest) (*irtv1.Concern, error) {
	agency, localID, ok := parseName(req.GetName())
	if !ok {
		return nil, rpc.NotFound("concern")
	}
	a := s.directory.Asker(ctx)
	v, err := present(ctx, s.pool, standard.ConcernID(agency, localID))
	if err != nil {
		return nil, err
	}
	var d *sharing.Decision
	if v != nil {
		standings, err := children.Standings(ctx, s.pool, a, v.childID)
		if err != nil {
			return nil, err
		}
		if st := standings[v.childID]; st != nil {
			d = decide(a, st, v)
		}
	}
	switch {
	case d != nil:
	case a.Owns(agency):
		return nil, rpc.NotFound("concern")
	default:
		return nil, rpc.Denied()
	}
	e := audit.FromContext(ctx)
	e.AddChild(v.childID)
	e.AddReturned(v.name())
	m := v.message(a.Owns(agency), s.today())
	redact.Show(ctx, m, d)
	return m, nil
}

// ListConcerns implements irt.v1.ConcernService.
func (s *Service) ListConcerns(ctx context.Context, req *irtv1.ListConcernsRequest) (*irtv1.ListConcernsResponse, error) {
	a := s.directory.Asker(ctx)
	q := &listing{asker: a, today: s.today(), size: int(rpc.PageSize(req.GetPageSize(), defaultPage, largestPage))}
	var err error
	if faults := rpc.KnownAtFaults(req.GetKnownAt()); len(faults) > 0 {
		return nil, rpc.Invalid(faults)
	}
	if agency, ok := agencies.ParseName(req.GetParent()); ok {
		if req.GetKnownAt() != nil {
			return nil, rpc.KnownAtOfChild()
		}
		if !a.Owns(agency) || !sharing.MayReadRecord(a.Caller, agency) {
			return nil, rpc.Denied()
		}
	} else if err = s.aboutChild(ctx, q, req); err != nil {
		return nil, err
	}
	if q.after, err = s.tokens.Position(irtv1.ConcernService_ListConcerns_FullMethodName, req, req.GetPageToken(), rpc.AfterAll); err != nil {
		return nil, err
	}
	found, err := s.list(ctx, q, req)
	if err != nil {
		return nil, err
	}
	return s.listAnswer(ctx, req, q, found)
}

// listing is what a list is asked.
type listing struct {
	asker     agencies.Asker
	child     uuid.UUID // Nil: of the asker's agency
	standing  *children.Standing
	others    bool     // policy shows concerns of other agencies
	sensitive bool     // and those of every sensitive service
	services  []string // or of these
	notice    *irtv1.Withheld
	after     rpc.Position
	size      int
	today     time.Time // or the day of knownAt
	knownAt   time.Time // zero: now
	childThen uuid.UUID // what the child had become by then
}

// aboutChild finds out what policy shows the asker of concerns about a child.
func (s *Service) aboutChild(ctx context.Context, q *listing, req *irtv1.ListConcernsRequest) error {
	asked, err := rpc.ParseChildName(req.GetParent())
	if err != nil {
		return err
	}
	if q.child, err = children.Survivor(ctx, s.pool, asked); err != nil {
		return rpc.Hidden(err)
	}
	standings, err := children.Standings(ctx, s.pool, q.asker, q.child)
	if err != nil {
		return err
	}
	q.standing = standings[q.child]
	if q.standing == nil {
		return rpc.Denied()
	}
	d := sharing.Decide(sharing.See, q.standing.Facts(q.asker))
	if !d.ShowsChild() || !d.Shows(concernCategory) && !q.standing.Involved && !q.standing.HoldsRecord {
		return rpc.Denied()
	}
	if req.GetKnownAt() != nil {
		q.knownAt = req.GetKnownAt().AsTime()
		q.today = standard.DayOf(q.knownAt)
		if q.childThen, err = children.SurvivorAt(ctx, s.pool, asked, q.knownAt); err != nil {
			return err
		}
	}
	if q.others = d.Shows(concernCategory); !q.others {
		q.notice = d.Withheld(concernCategory)
		return nil
	}
	q.sensitive = d.Shows(sensitiveCategory)
	for _, id := range q.standing.ConsentingServices() {
		if sharing.Decide(sharing.See, q.standing.Sensitive(q.asker, id, false)).Shows(sensitiveCategory) {
			q.services = append(q.services, id)
		}
	}
	return nil
}

// listSQL lists columns of the versions v that source selects, as far as a condition goes.
func listSQL(columns, source, condition string) string {
	return `SELECT ` + columns + ` FROM ` + source + ` v WHERE
	(@state = 0 OR v.state = @state) AND (NOT @overdue OR v.state = 1 AND v.review_date < @today)
	AND (v.start_date, v.concern_id) < (@after_day, @after_id) AND ` + condition + `
	ORDER BY v.start_date DESC, v.concern_id DESC LIMIT @limit`
}

// ofChild are a child's concerns, few enough to be found by the child alone, each with
// whether it is sensitive by what is known now.
func ofChild(source string) string {
	return `(SELECT ` + shownColumns + ` FROM ` + source + ` OFFSET 0)`
}

// shownToReader is the rule of who sees a concern, so that pages are counted by what
// the asker sees. What is sensitive now is hidden in every earlier version too.
const shownToReader = `(v.agency_id = @agency OR @others AND (@sensitive OR v.agency_id = ANY(string_to_array(@services, ',')) OR NOT v.sensitive))`

var (
	listOfAgency    = listSQL(shownColumns, `concerns`, `v.agency_id = @agency`)
	listOfChild     = listSQL(columns, ofChild(`concerns v WHERE v.child_id = @child`), shownToReader)
	listOfChildThen = listSQL(columns, ofChild(`(`+children.VersionsAt("concerns", columns, "@child_then", "@known_at")+`) v`), shownToReader)
)

func (s *Service) list(ctx context.Context, q *listing, req *irtv1.ListConcernsRequest) ([]*version, error) {
	sql := listOfAgency
	if !q.knownAt.IsZero() {
		sql = listOfChildThen
	}
	args := pgx.NamedArgs{
		"state": int16(req.GetState()), "overdue": req.GetReviewOverdue(), "today": pg.Date(q.today), //nolint:gosec // states are few
		"after_day": pg.Date(q.after.At), "after_id": [16]byte(q.after.ID), "agency": q.asker.Agency, "child": [16]byte(q.child),
		"others": q.others, "sensitive": q.sensitive, "services": strings.Join(q.services, ","), "limit": q.size + 1,
		"child_then": [16]byte(q.childThen), "known_at": q.knownAt,
	}
	if q.child != uuid.Nil && q.knownAt.IsZero() {
		return s.ofChild.List(ctx, args)
	}
	rows, err := s.pool.Query(ctx, sql, args)
	if err != nil {
		return nil, fmt.Errorf("concerns: listing: %w", err)
	}
	found, err := pgx.CollectRows(rows, scanVersion)
	if err != nil {
		return nil, fmt.Errorf("concerns: reading a list: %w", err)
	}
	return found, nil
}

func (s *Service) listAnswer(ctx context.Context, req *irtv1.ListConcernsRequest, q *listing, found []*version) (*irtv1.ListConcernsResponse, error) {
	out := &irtv1.ListConcernsResponse{}
	if len(found) > q.size {
		found = found[:q.size]
		last := found[q.size-1]
		var err error
		out.NextPageToken, err = s.tokens.Encode(irtv1.ConcernService_ListConcerns_FullMethodName, req, rpc.Position{At: last.start, ID: last.id}.Cursor())
		if err != nil {
			return nil, err
		}
	}
	e := audit.FromContext(ctx)
	if q.child != uuid.Nil {
		e.AddChild(q.child)
	}
	for _, v := range found {
		d := sharing.Own(q.asker.Caller, v.agency)
		if !q.asker.Owns(v.agency) {
			if d = decide(q.asker, q.standing, v); d == nil {
				continue
			}
		}
		m := v.message(q.asker.Owns(v.agency), q.today)
		redact.Show(ctx, m, d)
		out.Concerns = append(out.Concerns, m)
		e.AddChild(v.childID)
		e.AddReturned(v.name())
	}
	if q.notice != nil {
		out.Withheld = redact.Withhold(ctx, nil, q.notice)
	}
	return out, nil
}
