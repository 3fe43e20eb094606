package leads

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
	"irthub/internal/identity"
	"irthub/internal/redact"
	"irthub/internal/rpc"
	"irthub/internal/sharing"
)

// shown makes the message of a nomination for one of its sides.
func (s *Service) shown(ctx context.Context, v *version) *irtv1.LeadNomination {
	m := v.message(time.Now())
	facts := s.directory.Asker(ctx).Facts()
	facts.Own = true
	redact.Show(ctx, m, sharing.Decide(sharing.See, facts))
	return m
}

// view is what an asker sees of a nomination, nil where it may not know of it. st is
// what the asker is to its child.
func (s *Service) view(ctx context.Context, asker agencies.Asker, st *children.Standing, l *listed) *irtv1.LeadNomination {
	var m *irtv1.LeadNomination
	if l.sideOf(asker) != nobody {
		m = s.shown(ctx, &l.version)
	} else {
		if st == nil || l.secret || s.sensitive(l.agency) || s.sensitive(l.recipient) {
			return nil
		}
		d := sharing.Decide(sharing.See, st.Facts(asker))
		if !d.Shows(irtv1.Category_CATEGORY_INVOLVEMENT) {
			return nil
		}
		m = l.message(time.Now())
		m.Etag = ""
		redact.Show(ctx, m, d)
	}
	e := audit.FromContext(ctx)
	e.AddChild(l.childID)
	e.AddReturned(l.name())
	return m
}

func (s *Service) sensitive(agency string) bool {
	a, _ := s.directory.Get(agency)
	return a.Sensitive
}

// GetLeadNomination implements irt.v1.LeadNominationService.
func (s *Service) GetLeadNomination(ctx context.Context, req *irtv1.GetLeadNominationRequest) (*irtv1.LeadNomination, error) {
	agency, id, ok := parseName(req.GetName())
	if !ok {
		return nil, rpc.Denied()
	}
	found, err := s.query(ctx, `SELECT `+listedColumns+` FROM lead_nominations n WHERE nomination_id = $1`, [16]byte(id))
	if err != nil {
		return nil, err
	}
	if len(found) == 0 || found[0].agency != agency {
		return nil, rpc.Denied()
	}
	asker := s.directory.Asker(ctx)
	standings, err := children.Standings(ctx, s.pool, asker, found[0].childID)
	if err != nil {
		return nil, err
	}
	m := s.view(ctx, asker, standings[found[0].childID], found[0])
	if m == nil {
		return nil, rpc.Denied()
	}
	return m, nil
}

// listed is a nomination of a list, and whether its involvement is a sensitive one now.
type listed struct {
	version
	secret bool
}

// secretSQL tells whether the involvement of a nomination n was found to be sensitive.
const secretSQL = `EXISTS (SELECT 1 FROM involvements i WHERE i.involvement_id = n.involvement_id AND i.sensitive)`

const listedColumns = columns + `, ` + secretSQL

func (s *Service) query(ctx context.Context, sql string, args ...any) ([]*listed, error) {
	rows, err := s.pool.Query(ctx, sql, args...)
	if err != nil {
		return nil, fmt.Errorf("leads: listing nominations: %w", err)
	}
	found, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (*listed, error) {
		l := &listed{}
		into, done := l.scan()
		err := row.Scan(append(into, &l.secret)...)
		done()
		return l, err
	})
	if err != nil {
		return nil, fmt.Errorf("leads: reading nominations: %w", err)
	}
	return found, nil
}

// listSQL lists the nominations that a condition selects, the newest first.
func listSQL(condition string) string {
	return `SELECT ` + listedColumns + ` FROM lead_nominations n WHERE ` + condition + `
		AND nomination_id < @before AND (@state = 0 OR @state = CASE WHEN state = 1 AND expire_time <= @now THEN 5 ELSE state END)
	ORDER BY nomination_id DESC LIMIT @limit`
}

// The lists. That of a child holds what view shows, so that pages are counted by it.
var (
	receivedSQL = listSQL(`recipient_id = @reader`)
	sentSQL     = listSQL(`agency_id = @reader`)
	ofChildSQL  = listSQL(`child_id = @child AND (agency_id = @reader OR recipient_id = @reader
		OR @involvements AND NOT agency_id = ANY(@sensitive::text[]) AND NOT recipient_id = ANY(@sensitive::text[]) AND NOT ` + secretSQL + `)`)
)

// ListLeadNominations implements irt.v1.LeadNominationService.
func (s *Service) ListLeadNominations(ctx context.Context, req *irtv1.ListLeadNominationsRequest) (*irtv1.ListLeadNominationsResponse, error) {
	const method = irtv1.LeadNominationService_ListLeadNominations_FullMethodName
	asker := s.directory.Asker(ctx)
	args := pgx.NamedArgs{
		"reader": asker.Agency, "state": int16(req.GetState()), "now": time.Now(), //nolint:gosec // states are few
		"sensitive": append([]string{}, s.directory.Sensitive()...), "before": [16]byte(uuid.Max),
	}
	var st *children.Standing
	sql := receivedSQL
	if strings.HasPrefix(req.GetParent(), "children/") {
		child, standing, err := s.child(ctx, asker, req.GetParent())
		if err != nil {
			return nil, err
		}
		st, sql, args["child"] = standing, ofChildSQL, [16]byte(child)
		args["involvements"] = sharing.Decide(sharing.See, st.Facts(asker)).Shows(irtv1.Category_CATEGORY_INVOLVEMENT)
		audit.FromContext(ctx).AddChild(child)
	} else {
		if err := s.ownAgency(ctx, req.GetParent()); err != nil {
			return nil, err
		}
		if req.GetSent() {
			sql = sentSQL
		}
	}
	cursor, err := s.tokens.Decode(method, req, req.GetPageToken())
	if err != nil {
		return nil, err
	}
	if len(cursor) == len(uuid.UUID{}) {
		args["before"] = [16]byte(cursor)
	}
	size := int(rpc.PageSize(req.GetPageSize(), defaultPage, largestPage))
	args["limit"] = size + 1
	found, err := s.query(ctx, sql, args)
	if err != nil {
		return nil, err
	}
	out := &irtv1.ListLeadNominationsResponse{}
	if len(found) > size {
		found = found[:size]
		if out.NextPageToken, err = s.tokens.Encode(method, req, found[size-1].id[:]); err != nil {
			return nil, err
		}
	}
	for _, l := range found {
		if m := s.view(ctx, asker, st, l); m != nil {
			out.LeadNominations = append(out.LeadNominations, m)
		}
	}
	return out, nil
}

// child is the one that answers for the child named, for an asker who may know of it.
func (s *Service) child(ctx context.Context, asker agencies.Asker, name string) (uuid.UUID, *children.Standing, error) {
	named, err := rpc.ParseChildName(name)
	if err != nil {
		return uuid.Nil, nil, rpc.Hidden(err)
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
