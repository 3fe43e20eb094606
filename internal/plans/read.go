package plans

import (
	"context"
	"fmt"

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

// decide says how an asker sees a plan of an agency for a child; nil for not at all.
func decide(a agencies.Asker, st *children.Standing, agency string) *sharing.Decision {
	f := st.Said(a, agency)
	d := sharing.Decide(sharing.See, f)
	if !d.ShowsChild() && !f.Own || !d.Shows(planCategory) {
		return nil
	}
	return d
}

// GetPlan implements irt.v1.PlanService. Whether there is a plan of another agency that
// is not shown is not told.
func (s *Service) GetPlan(ctx context.Context, req *irtv1.GetPlanRequest) (*irtv1.ProtectionPlan, error) {
	agency, localID, ok := parseName(req.GetName())
	if !ok {
		return nil, rpc.Denied()
	}
	a := s.directory.Asker(ctx)
	v, err := present(ctx, s.pool, standard.PlanID(agency, localID))
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
			d = decide(a, st, v.agency)
		}
	}
	switch {
	case d != nil:
	case a.Owns(agency):
		return nil, rpc.NotFound("plan")
	default:
		return nil, rpc.Denied()
	}
	return s.show(ctx, a, v, d), nil
}

// show makes the message of a plan and notes it in the access log.
func (s *Service) show(ctx context.Context, a agencies.Asker, v *version, d *sharing.Decision) *irtv1.ProtectionPlan {
	owner, _ := s.directory.Get(v.agency)
	m := v.message(owner, a.Owns(v.agency), s.today())
	redact.Show(ctx, m, d)
	e := audit.FromContext(ctx)
	e.AddChild(v.childID)
	e.AddReturned(v.name())
	return m
}

// listing is what a list is asked.
type listing struct {
	asker    agencies.Asker
	child    uuid.UUID // Nil: of the asker's agency
	standing *children.Standing
	others   bool // policy shows plans of other agencies
	notice   *irtv1.Withheld
	after    rpc.Position
	size     int
}

// ListPlans implements irt.v1.PlanService.
func (s *Service) ListPlans(ctx context.Context, req *irtv1.ListPlansRequest) (*irtv1.ListPlansResponse, error) {
	a := s.directory.Asker(ctx)
	q := &listing{asker: a, size: int(rpc.PageSize(req.GetPageSize(), defaultPage, largestPage))}
	var err error
	if agency, ok := agencies.ParseName(req.GetParent()); ok {
		if !a.Owns(agency) || !sharing.MayReadRecord(a.Caller, agency) {
			return nil, rpc.Denied()
		}
	} else if err = s.aboutChild(ctx, q, req.GetParent()); err != nil {
		return nil, err
	}
	if q.after, err = s.tokens.Position(irtv1.PlanService_ListPlans_FullMethodName, req, req.GetPageToken(), rpc.AfterAll); err != nil {
		return nil, err
	}
	found, err := s.list(ctx, q, req.GetIncludeEnded())
	if err != nil {
		return nil, err
	}
	out := &irtv1.ListPlansResponse{}
	if len(found) > q.size {
		found = found[:q.size]
		last := rpc.Position{At: found[q.size-1].start, ID: found[q.size-1].id}
		if out.NextPageToken, err = s.tokens.Encode(irtv1.PlanService_ListPlans_FullMethodName, req, last.Cursor()); err != nil {
			return nil, err
		}
	}
	for _, v := range found {
		d := sharing.Own(a.Caller, v.agency)
		if q.standing != nil {
			d = decide(a, q.standing, v.agency)
		}
		if d != nil {
			out.Plans = append(out.Plans, s.show(ctx, a, v, d))
		}
	}
	if q.notice != nil {
		out.Withheld = redact.Withhold(ctx, nil, q.notice)
	}
	return out, nil
}

// aboutChild finds out what policy shows the asker of plans for a child. To whom the
// child is not shown it is as if there were none.
func (s *Service) aboutChild(ctx context.Context, q *listing, name string) error {
	named, err := rpc.ParseChildName(name)
	if err != nil {
		return rpc.Hidden(err)
	}
	if q.child, err = children.Survivor(ctx, s.pool, named); err != nil {
		return rpc.Hidden(err)
	}
	standings, err := children.Standings(ctx, s.pool, q.asker, q.child)
	if err != nil {
		return err
	}
	if q.standing = standings[q.child]; q.standing == nil {
		return rpc.Denied()
	}
	d := sharing.Decide(sharing.See, q.standing.Facts(q.asker))
	if !d.ShowsChild() {
		return rpc.Denied()
	}
	audit.FromContext(ctx).AddChild(q.child)
	if q.others = d.Shows(planCategory); !q.others {
		q.notice = d.Withheld(planCategory)
	}
	return nil
}

const listed = selectSQL + `WHERE (@ended OR v.start_date <= @today AND (v.end_date IS NULL OR v.end_date >= @today))
	AND (v.start_date, v.plan_id) < (@after_day, @after_id) AND `

const (
	listOfAgency = listed + `v.agency_id = @agency ORDER BY v.start_date DESC, v.plan_id DESC LIMIT @limit`
	listOfChild  = listed + `v.child_id = @child AND (v.agency_id = @agency OR @others)
	ORDER BY v.start_date DESC, v.plan_id DESC LIMIT @limit`
)

func (s *Service) list(ctx context.Context, q *listing, ended bool) ([]*version, error) {
	sql := listOfAgency
	if q.child != uuid.Nil {
		sql = listOfChild
	}
	rows, err := s.pool.Query(ctx, sql, pgx.NamedArgs{
		"ended": ended, "today": pg.Date(s.today()), "after_day": pg.Date(q.after.At), "after_id": [16]byte(q.after.ID),
		"agency": q.asker.Agency, "child": [16]byte(q.child), "others": q.others, "limit": q.size + 1,
	})
	if err != nil {
		return nil, fmt.Errorf("plans: listing: %w", err)
	}
	found, err := pgx.CollectRows(rows, scanVersion)
	if err != nil {
		return nil, fmt.Errorf("plans: reading a list: %w", err)
	}
	return found, nil
}
