package leads

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgtype/zeronull"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/agencies"
	"irthub/internal/children"
	"irthub/internal/pg"
	"irthub/internal/rpc"
	"irthub/internal/sharing"
	"irthub/internal/standard"
)

// NominateLeadProfessional implements irt.v1.LeadNominationService.
func (s *Service) NominateLeadProfessional(ctx context.Context, req *irtv1.NominateLeadProfessionalRequest) (*irtv1.LeadNomination, error) {
	named, err := rpc.ParseChildName(req.GetChild())
	if err != nil {
		return nil, rpc.Denied()
	}
	start, err := s.firstDay(req.GetStartDate())
	if err != nil {
		return nil, err
	}
	to, localID, ok := agencies.ParseChildName(req.GetInvolvement(), "involvements")
	wanted := &version{recipient: to, localID: localID, start: start, state: open}
	if ok {
		wanted.involvementID = standard.InvolvementID(to, localID)
	}
	v, err := s.inChange(ctx, func(c *change) (*version, error) { return c.nominate(ctx, named, wanted) })
	if err != nil {
		return nil, err
	}
	return s.shown(ctx, v), nil
}

// firstDay reads the day from which somebody is to be lead professional.
func (s *Service) firstDay(text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	day, err := standard.ParseDate(text)
	if err != nil {
		return day, rpc.Invalid([]standard.Fault{standard.FaultOf("DATE_INVALID", "start_date")})
	}
	if day.Before(s.today()) {
		return day, rpc.Invalid([]standard.Fault{standard.FaultOf("LEAD_START_OVER", "start_date")})
	}
	return day, nil
}

// nominate works out what a nomination comes to, and stores it.
func (c *change) nominate(ctx context.Context, named uuid.UUID, wanted *version) (*version, error) {
	child, err := children.Survivor(ctx, c.tx, named)
	if err != nil {
		return nil, rpc.Hidden(err)
	}
	if wanted.involvementID != uuid.Nil {
		if err := c.s.involvements.Keep(ctx, c.tx, wanted.involvement()); err != nil {
			return nil, err
		}
	}
	if err := c.hold(ctx, child); err != nil {
		return nil, err
	}
	st, err := c.mayNominate(ctx, child)
	if err != nil {
		return nil, err
	}
	inv, err := c.involvementOf(ctx, wanted.involvementID)
	if err != nil {
		return nil, err
	}
	if inv == nil || inv.child != child || !inv.visible(c.asker, st) {
		return nil, rpc.NotFound("involvement with this child")
	}
	lead, err := c.leadOf(ctx, child)
	if err != nil {
		return nil, err
	}
	if err := inv.mayLead(c.firstDay(wanted), lead); err != nil {
		return nil, err
	}
	next := *wanted
	next.id, next.childID, next.agency, next.nominatedBy = standard.NewChildID(), child, c.asker.Agency, c.asker.Practitioner
	next.practitioner, next.replaces, next.expires = inv.practitioner, lead, c.now.Add(answerWithin)
	if again, err := c.standing(ctx, &next); again != nil || err != nil {
		return again, err
	}
	if err := c.put(ctx, nil, &next); err != nil {
		return nil, err
	}
	c.tell(irtv1.EventKind_EVENT_KIND_LEAD_PROFESSIONAL_NOMINATED, &next)
	return &next, nil
}

// firstDay is the day from which a nomination that was accepted now would hold.
func (c *change) firstDay(v *version) time.Time {
	if today := c.s.today(); v.start.Before(today) {
		return today
	}
	return v.start
}

// mayNominate decides whether the caller may nominate for a child. Who may not learns
// nothing of it.
func (c *change) mayNominate(ctx context.Context, child uuid.UUID) (*children.Standing, error) {
	standings, err := children.Standings(ctx, c.tx, c.asker, child)
	if err != nil {
		return nil, err
	}
	st := standings[child]
	if st == nil {
		return nil, rpc.Denied()
	}
	f := st.Facts(c.asker)
	if f.Sensitive, err = c.secret(ctx, child); err != nil {
		return nil, err
	}
	d := sharing.Decide(sharing.Nominate, f)
	switch {
	case d.Allowed():
		return st, nil
	case f.Sensitive && (f.Involved || f.HoldsRecord): // its own affair: it may know why
		return nil, rpc.Precondition(d.Reason().Ask)
	}
	c.access.AddWithheld(d.Reason().ID)
	return nil, rpc.Denied()
}

// secret tells whether the caller's agency works with the child as a sensitive service
// and not otherwise.
func (c *change) secret(ctx context.Context, child uuid.UUID) (secret bool, err error) {
	if a, _ := c.s.directory.Get(c.asker.Agency); a.Sensitive {
		return true, nil
	}
	err = c.tx.QueryRow(ctx, `SELECT coalesce(bool_and(sensitive), false) FROM involvements
		WHERE child_id = $1 AND agency_id = $2 AND start_date <= $3 AND (end_date IS NULL OR end_date >= $3)`,
		[16]byte(child), c.asker.Agency, c.s.today()).Scan(&secret)
	if err != nil {
		return false, fmt.Errorf("leads: reading how an agency works with a child: %w", err)
	}
	return secret, nil
}

// involvement is as much of one as matters here.
type involvement struct {
	id           uuid.UUID
	child        uuid.UUID
	agency       string
	practitioner string
	start, end   time.Time
	sensitive    bool // by itself, or because its agency is a sensitive service
	basis        string
}

// involvementOf reads the present version of an involvement, nil where there is none.
func (c *change) involvementOf(ctx context.Context, id uuid.UUID) (*involvement, error) {
	i := &involvement{id: id}
	var start, end pgtype.Date
	err := c.tx.QueryRow(ctx, `SELECT child_id, agency_id, practitioner_id, start_date, end_date, sensitive, sensitive_basis
		FROM involvements WHERE involvement_id = $1`, [16]byte(id)).
		Scan((*[16]byte)(&i.child), &i.agency, &i.practitioner, &start, &end, &i.sensitive, &i.basis)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil //nolint:nilnil // none is not an error
	}
	if err != nil {
		return nil, fmt.Errorf("leads: reading an involvement: %w", err)
	}
	i.start, i.end = start.Time, end.Time
	a, _ := c.s.directory.Get(i.agency)
	i.sensitive = i.sensitive || a.Sensitive
	return i, nil
}

// visible tells whether an asker is shown the involvement.
func (i *involvement) visible(a agencies.Asker, st *children.Standing) bool {
	if !i.sensitive {
		return sharing.Decide(sharing.See, st.Said(a, i.agency)).Shows(irtv1.Category_CATEGORY_INVOLVEMENT)
	}
	d := sharing.Decide(sharing.See, st.Sensitive(a, i.agency, i.basis == standard.SignificantHarm))
	return d.Shows(irtv1.Category_CATEGORY_INVOLVEMENT) && d.Shows(irtv1.Category_CATEGORY_SENSITIVE)
}

// mayLead says why an involvement cannot give the lead professional from a day on; lead
// is the involvement of the present one.
func (i *involvement) mayLead(start time.Time, lead uuid.UUID) error {
	switch {
	case i.sensitive:
		return rpc.Precondition("A sensitive involvement cannot give the lead professional, who is shown to all agencies. Nominate another.")
	case i.practitioner == "":
		return rpc.Precondition("The involvement names no practitioner. Ask its agency to submit it again with one, or nominate another.")
	case i.start.After(start) || !i.end.IsZero() && i.end.Before(start):
		return rpc.Precondition("The involvement is not in force on the first day. Choose a day within its period, or nominate another.")
	case i.id == lead:
		return rpc.Precondition("The involvement gives the lead professional already. There is nothing to nominate.")
	}
	return nil
}

// leadOf is the involvement of the child's lead professional, Nil where there is none.
func (c *change) leadOf(ctx context.Context, child uuid.UUID) (lead uuid.UUID, err error) {
	err = c.tx.QueryRow(ctx, `SELECT involvement_id FROM lead_professionals
		WHERE child_id = $1 AND start_date <= $2 AND (end_date IS NULL OR end_date >= $2)`, [16]byte(child), pg.Date(c.s.today())).
		Scan((*zeronull.UUID)(&lead))
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return uuid.Nil, fmt.Errorf("leads: reading the lead professional: %w", err)
	}
	return lead, nil
}

// standing is the open nomination of the same involvement, where that says the same by
// the same agency; another one stands in the way.
func (c *change) standing(ctx context.Context, next *version) (*version, error) {
	cur, err := children.One(ctx, c.tx, scanVersion, `SELECT `+columns+` FROM lead_nominations
		WHERE child_id = $1 AND involvement_id = $2 AND state = $3 AND expire_time > $4 ORDER BY nomination_id LIMIT 1`,
		[16]byte(next.childID), [16]byte(next.involvementID), int16(open), c.now)
	if err != nil || cur == nil {
		return nil, err
	}
	if cur.agency == next.agency && cur.start.Equal(next.start) && cur.practitioner == next.practitioner && cur.replaces == next.replaces {
		return cur, nil
	}
	if by := cur.sideOf(c.asker); by&nominator != 0 {
		return nil, rpc.IllegalMove("nomination that there is", stateText(open), []string{withdraw.name},
			"it says otherwise; what you can do with it before you nominate anew is", "")
	}
	return nil, rpc.Precondition("The involvement is nominated already. Wait for its agency to answer.")
}
