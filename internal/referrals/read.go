package referrals

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/agencies"
	"irthub/internal/audit"
	"irthub/internal/children"
	"irthub/internal/identity"
	"irthub/internal/redact"
	"irthub/internal/rpc"
	"irthub/internal/sharing"
	"irthub/internal/standard"
)

// shown makes the message of a referral for one of its sides, as of an instant.
func (s *Service) shown(ctx context.Context, v *version, to side, now time.Time) *irtv1.Referral {
	m, asker := v.message(to, now), s.directory.Asker(ctx)
	if to == recipient { // who was not asked learns of no sensitive service that was
		m.RedirectedFrom = slices.DeleteFunc(m.GetRedirectedFrom(), func(name string) bool {
			from, _ := agencies.ParseName(name)
			return !asker.Owns(from) && s.sensitive(from)
		})
	}
	facts := asker.Facts()
	facts.Own = true
	redact.Show(ctx, m, sharing.Decide(sharing.See, facts))
	return m
}

// GetReferral implements irt.v1.ReferralService.
func (s *Service) GetReferral(ctx context.Context, req *irtv1.GetReferralRequest) (*irtv1.Referral, error) {
	agency, localID, ok := parseName(req.GetName())
	if !ok {
		return nil, rpc.Denied()
	}
	v, err := present(ctx, s.pool, standard.ReferralID(agency, localID))
	if err != nil {
		return nil, err
	}
	if v == nil {
		return nil, rpc.Denied()
	}
	asker := s.directory.Asker(ctx)
	standings, err := children.Standings(ctx, s.pool, asker, v.childID)
	if err != nil {
		return nil, err
	}
	m := s.view(ctx, asker, standings[v.childID], v, time.Now())
	if m == nil {
		return nil, rpc.Denied()
	}
	return m, nil
}

// view is what an asker sees of a referral, nil where it may not know of it.
func (s *Service) view(ctx context.Context, asker agencies.Asker, st *children.Standing, v *version, now time.Time) *irtv1.Referral {
	var m *irtv1.Referral
	if to := v.sideOf(asker); to != nobody {
		m = s.shown(ctx, v, to, now)
	} else {
		d := s.leads(asker, st, s.touchesSensitive(v))
		if !d.Shows(irtv1.Category_CATEGORY_REFERRAL) {
			return nil
		}
		m = v.bare()
		redact.Show(ctx, m, d)
	}
	e := audit.FromContext(ctx)
	e.AddChild(v.childID)
	e.AddReturned(v.name())
	return m
}

// leads decides what somebody sees of others' referrals.
func (s *Service) leads(asker agencies.Asker, st *children.Standing, sensitive bool) *sharing.Decision {
	f := sharing.Facts{}
	if st != nil {
		f = st.Facts(asker)
	}
	f.Sensitive = sensitive
	return sharing.Decide(sharing.See, f)
}

func (s *Service) sensitive(agency string) bool {
	a, _ := s.directory.Get(agency)
	return a.Sensitive
}

// touchesSensitive tells whether a sensitive service sends a referral, has it or had it.
func (s *Service) touchesSensitive(v *version) bool {
	return s.sensitive(v.agency) || s.sensitive(v.recipient) || slices.ContainsFunc(v.redirectedFrom, s.sensitive)
}

// listing is which referrals a list is of, and for whom.
type listing struct {
	asker    agencies.Asker
	standing *children.Standing // of the child; nil for an agency's worklist
	now      time.Time          // or the instant asked about
	sql      string
	args     pgx.NamedArgs
}

// listing reads what a list is asked, and refuses who may not ask it.
func (s *Service) listing(ctx context.Context, req *irtv1.ListReferralsRequest) (*listing, error) {
	if faults := rpc.KnownAtFaults(req.GetKnownAt()); len(faults) > 0 {
		return nil, rpc.Invalid(faults)
	}
	asker := s.directory.Asker(ctx)
	l := &listing{asker: asker, now: time.Now(), sql: receivedSQL, args: pgx.NamedArgs{
		"reader": asker.Agency, "state": int16(req.GetState()), "overdue": req.GetOverdue(), //nolint:gosec // states are few
		"sensitive": sensitiveOf(s.directory), "lead": false,
	}}
	switch {
	case strings.HasPrefix(req.GetParent(), "children/"):
		return l, s.aboutChild(ctx, l, req)
	case req.GetKnownAt() != nil:
		return nil, rpc.KnownAtOfChild()
	case req.GetSent():
		l.sql = sentSQL
	}
	return l, s.ownAgency(ctx, req.GetParent())
}

// aboutChild completes a list of what is known of a child.
func (s *Service) aboutChild(ctx context.Context, l *listing, req *irtv1.ListReferralsRequest) error {
	child, standing, err := s.child(ctx, l.asker, req.GetParent())
	if err != nil {
		return err
	}
	l.standing, l.sql, l.args["child"] = standing, ofChildSQL, [16]byte(child)
	l.args["lead"] = s.leads(l.asker, standing, false).Shows(irtv1.Category_CATEGORY_REFERRAL)
	audit.FromContext(ctx).AddChild(child)
	if at := req.GetKnownAt(); at != nil {
		named, _ := rpc.ParseChildName(req.GetParent()) // which s.child has read
		then, err := children.SurvivorAt(ctx, s.pool, named, at.AsTime())
		if err != nil {
			return err
		}
		l.now, l.sql, l.args["child_then"] = at.AsTime(), ofChildThenSQL, [16]byte(then)
	}
	return nil
}

// ListReferrals implements irt.v1.ReferralService.
func (s *Service) ListReferrals(ctx context.Context, req *irtv1.ListReferralsRequest) (*irtv1.ListReferralsResponse, error) {
	const method = irtv1.ReferralService_ListReferrals_FullMethodName
	l, err := s.listing(ctx, req)
	if err != nil {
		return nil, err
	}
	before, err := s.tokens.Position(method, req, req.GetPageToken(), rpc.AfterAll)
	if err != nil {
		return nil, err
	}
	l.args["before"], l.args["before_id"] = before.At, [16]byte(before.ID)
	size := int(rpc.PageSize(req.GetPageSize(), defaultPage, largestPage))
	l.args["limit"], l.args["now"] = size+1, l.now
	found, err := s.list(ctx, l)
	if err != nil {
		return nil, err
	}
	out := &irtv1.ListReferralsResponse{}
	if len(found) > size {
		found = found[:size]
		last := found[size-1]
		if out.NextPageToken, err = s.tokens.Encode(method, req, rpc.Position{At: last.created, ID: last.id}.Cursor()); err != nil {
			return nil, err
		}
	}
	for _, v := range found {
		if m := s.view(ctx, l.asker, l.standing, v, l.now); m != nil {
			out.Referrals = append(out.Referrals, m)
		}
	}
	return out, nil
}

func (s *Service) list(ctx context.Context, l *listing) ([]*version, error) {
	if l.sql == ofChildSQL {
		return s.ofChild.List(ctx, l.args)
	}
	rows, err := s.pool.Query(ctx, l.sql, l.args)
	if err != nil {
		return nil, fmt.Errorf("referrals: listing: %w", err)
	}
	found, err := pgx.CollectRows(rows, scanVersion)
	if err != nil {
		return nil, fmt.Errorf("referrals: reading a list: %w", err)
	}
	return found, nil
}

// sensitiveOf are the sensitive services; never nil: nothing is = ANY(NULL), nor is it not.
func sensitiveOf(d *agencies.Directory) []string { return append([]string{}, d.Sensitive()...) }

// listSQL lists the referrals that a condition selects, the newest first.
func listSQL(source, condition string) string {
	return `SELECT ` + columns + ` FROM ` + source + ` WHERE ` + condition + `
		AND (create_time, referral_id) < (@before, @before_id)
		AND (@state = 0 OR state = @state) AND (NOT @overdue OR state = 1 AND acknowledge_by_time < @now)
	ORDER BY create_time DESC, referral_id DESC LIMIT @limit`
}

// The lists. That of a child holds what view shows, so that pages are counted by it.
var (
	receivedSQL    = listSQL(`referrals`, `recipient_id = @reader`)
	sentSQL        = listSQL(`referrals`, `agency_id = @reader`)
	ofChildSQL     = listSQL(`(SELECT `+columns+` FROM referrals WHERE child_id = @child OFFSET 0) r`, shownToReader)
	ofChildThenSQL = listSQL(`(`+children.VersionsAt("referrals", columns, "@child_then", "@now")+`) r`, shownToReader)
)

// shownToReader is the rule of who sees a referral about a child.
const shownToReader = `(agency_id = @reader OR recipient_id = @reader
		OR @lead AND NOT agency_id = ANY(@sensitive::text[]) AND NOT recipient_id = ANY(@sensitive::text[])
			AND NOT redirected_from && @sensitive::text[])`

// child is the one that answers for the child named, for an asker who may know of it.
func (s *Service) child(ctx context.Context, asker agencies.Asker, name string) (uuid.UUID, *children.Standing, error) {
	named, err := rpc.ParseChildName(name)
	if err != nil {
		return uuid.Nil, nil, err
	}
	child, err := children.Survivor(ctx, s.pool, named)
	if err != nil {
		return uuid.Nil, nil, rpc.Hidden(err)
	}
	standings, err := children.Standings(ctx, s.pool, asker, child)
	if err != nil {
		return uuid.Nil, nil, err
	}
	st := standings[child]
	if st == nil || !sharing.Decide(sharing.See, st.Facts(asker)).ShowsChild() {
		return uuid.Nil, nil, rpc.Denied()
	}
	return child, st, nil
}

// ownAgency refuses the worklist of any agency but the caller's own.
func (s *Service) ownAgency(ctx context.Context, name string) error {
	caller := identity.FromContext(ctx)
	if agency, ok := agencies.ParseName(name); !ok || agency != caller.Agency || !sharing.MayReadRecord(caller, agency) {
		return rpc.Denied()
	}
	return nil
}
