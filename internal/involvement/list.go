package involvement

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/agencies"
	"irthub/internal/audit"
	"irthub/internal/children"
	"irthub/internal/redact"
	"irthub/internal/rpc"
	"irthub/internal/sharing"
	"irthub/internal/standard"
)

// Sizes of a page of involvements, as the schema states them.
const (
	defaultPage = 100
	largestPage = 1000
)

// question is what a list is asked: in force on which day, as known when.
type question struct {
	asker   agencies.Asker
	child   uuid.UUID
	day     time.Time
	knownAt time.Time // zero: now
	ended   bool      // in force or not
	today   bool      // in force today, as known now: what is nearly always asked
	size    int
	after   *position
}

// page is an answer to a question.
type page struct {
	child    uuid.UUID // the one that answers: what the child asked about has become
	standing *children.Standing
	rows     []*shown
	more     bool
	hidden   bool // a sensitive service is involved that the caller is not shown
}

// ListInvolvements implements irt.v1.InvolvementService.
func (s *Service) ListInvolvements(ctx context.Context, req *irtv1.ListInvolvementsRequest) (*irtv1.ListInvolvementsResponse, error) {
	q, err := s.question(ctx, req)
	if err != nil {
		return nil, err
	}
	var p *page
	if q.knownAt.IsZero() && (q.today || q.ended) && q.after == nil {
		p, err = s.listPresent(ctx, q)
	} else {
		p, err = s.listStored(ctx, q)
	}
	if err != nil {
		return nil, err
	}
	return s.listAnswer(ctx, req, q, p)
}

// question reads a request. Where only known_at is given, the day is that of the
// instant: what could anyone have seen here then.
func (s *Service) question(ctx context.Context, req *irtv1.ListInvolvementsRequest) (*question, error) {
	child, err := rpc.ParseChildName(req.GetParent())
	if err != nil {
		return nil, err
	}
	q := &question{
		asker: s.directory.Asker(ctx), child: child, ended: req.GetIncludeEnded(),
		size: int(rpc.PageSize(req.GetPageSize(), defaultPage, largestPage)),
	}
	if err := q.readTimes(req, s.today()); err != nil {
		return nil, err
	}
	cursor, err := s.tokens.Decode(irtv1.InvolvementService_ListInvolvements_FullMethodName, req, req.GetPageToken())
	if err != nil {
		return nil, err
	}
	q.after, err = parsePosition(cursor)
	return q, err
}

func (q *question) readTimes(req *irtv1.ListInvolvementsRequest, today time.Time) error {
	var faults []standard.Fault
	asOf, err := parseDay(req.GetAsOf())
	switch {
	case err != nil:
		faults = append(faults, ruleFault("DATE_INVALID", "as_of"))
	case !asOf.IsZero() && q.ended:
		faults = append(faults, standard.Fault{
			Field: "include_ended", RuleID: "AS_OF_OR_ENDED",
			Description: "as_of asks for one day, and include_ended for every day.", Action: "Send one of the two.",
		})
	}
	if req.GetKnownAt() != nil {
		q.knownAt = req.GetKnownAt().AsTime()
	}
	faults = append(faults, rpc.KnownAtFaults(req.GetKnownAt())...)
	if len(faults) > 0 {
		return rpc.Invalid(faults)
	}
	switch {
	case !asOf.IsZero():
		q.day = asOf
	case !q.knownAt.IsZero():
		q.day = standard.DayOf(q.knownAt)
	default:
		q.day = today
	}
	q.today = !q.ended && q.knownAt.IsZero() && q.day.Equal(today)
	return nil
}

// listAnswer shows a page and notes it in the access log.
func (s *Service) listAnswer(ctx context.Context, req *irtv1.ListInvolvementsRequest, q *question, p *page) (*irtv1.ListInvolvementsResponse, error) {
	e := audit.FromContext(ctx)
	out := &irtv1.ListInvolvementsResponse{}
	names := make([]string, 0, len(p.rows))
	for _, v := range p.rows {
		m, err := s.message(ctx, q.asker, p.standing, v)
		if err != nil {
			return nil, err
		}
		names = append(names, m.GetName())
		out.Involvements = append(out.Involvements, m)
	}
	e.AddReturned(names...)
	if d := sharing.Decide(sharing.See, p.standing.Facts(q.asker)); !d.Shows(involvementCategory) {
		out.Withheld = redact.Withhold(ctx, out.GetWithheld(), d.Withheld(involvementCategory))
	} else if p.hidden {
		out.Withheld = redact.Withhold(ctx, out.GetWithheld(), d.Withheld(sensitiveCategory))
	}
	if p.more {
		cursor := positionOf(&p.rows[len(p.rows)-1].version).cursor()
		token, err := s.tokens.Encode(irtv1.InvolvementService_ListInvolvements_FullMethodName, req, cursor)
		if err != nil {
			return nil, fmt.Errorf("involvement: making a page token: %w", err)
		}
		out.NextPageToken = token
	}
	return out, nil
}

// mergesAtMost bounds the chain of merged entries that is followed.
const mergesAtMost = 16

var errMerges = errors.New("involvement: too many merges in a row")

// listPresent answers from the read coalescer, which has no room for a child with
// very many involvements: those are read by themselves.
func (s *Service) listPresent(ctx context.Context, q *question) (*page, error) {
	child := q.child
	for range mergesAtMost {
		l, err := s.reader.Do(ctx, wanted{child, q.asker.Agency, q.ended})
		switch {
		case err != nil:
			return nil, err
		case !l.known:
			return nil, rpc.NotFound("child")
		case l.mergedInto != uuid.Nil:
			child = l.mergedInto
		case len(l.rows) > coalescedRows:
			return s.listStored(ctx, q)
		default:
			p := &page{child: child, standing: l.standing, rows: make([]*shown, 0, len(l.rows))}
			if err := s.mayAsk(ctx, q, p); err != nil {
				return nil, err
			}
			return p, s.show(ctx, q, p, l.rows)
		}
	}
	return nil, errMerges
}

// mayAsk notes whom the access is about, and answers NOT_FOUND where the child is
// not shown at all: as if there were none.
func (s *Service) mayAsk(ctx context.Context, q *question, p *page) error {
	e := audit.FromContext(ctx)
	e.AddChild(p.child)
	d := sharing.Decide(sharing.See, p.standing.Facts(q.asker))
	if !d.ShowsChild() {
		e.AddWithheld(d.Rule(irtv1.Category_CATEGORY_BASIC).ID)
		return rpc.NotFound("child")
	}
	return nil
}

// show leaves out what the caller may not see, before anything is counted.
func (s *Service) show(ctx context.Context, q *question, p *page, rows []*shown) error {
	for _, v := range rows {
		d, sensitive, err := s.decide(ctx, q.asker, p.standing, &v.version)
		switch {
		case err != nil:
			return err
		case !d.Shows(involvementCategory):
		case sensitive && !d.Shows(sensitiveCategory):
			p.hidden = true
		case len(p.rows) == q.size:
			p.more = true
		default:
			p.rows = append(p.rows, v)
		}
	}
	return nil
}

const (
	involvementCategory = irtv1.Category_CATEGORY_INVOLVEMENT
	sensitiveCategory   = irtv1.Category_CATEGORY_SENSITIVE
)

// decide says what an asker is shown of an involvement, and whether it is a
// sensitive one. It asks the database about an agency that this process has not
// heard of.
func (s *Service) decide(ctx context.Context, a agencies.Asker, st *children.Standing, v *version) (d *sharing.Decision, sensitive bool, err error) {
	sensitive = v.sensitive
	if !sensitive {
		owner, _, err := s.directory.Find(ctx, v.agency)
		if err != nil {
			return nil, false, err
		}
		sensitive = owner.Sensitive
	}
	if sensitive {
		return sharing.Decide(sharing.See, st.Sensitive(a, v.agency, v.basis == standard.SignificantHarm)), true, nil
	}
	return sharing.Decide(sharing.See, st.Said(a, v.agency)), false, nil
}

// visible tells whether an involvement is shown to an asker.
func (s *Service) visible(ctx context.Context, a agencies.Asker, st *children.Standing, v *version) (bool, error) {
	d, sensitive, err := s.decide(ctx, a, st, v)
	return err == nil && d.Shows(involvementCategory) && (!sensitive || d.Shows(sensitiveCategory)), err
}
