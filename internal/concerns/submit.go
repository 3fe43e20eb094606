package concerns

import (
	"context"
	"fmt"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/agencies"
	"irthub/internal/children"
	"irthub/internal/events"
	"irthub/internal/identity"
	"irthub/internal/pg"
	"irthub/internal/redact"
	"irthub/internal/rpc"
	"irthub/internal/sharing"
	"irthub/internal/standard"
)

// parseName reads agencies/{agency}/concerns/{local_id}.
func parseName(name string) (agency, localID string, ok bool) {
	return agencies.ParseChildName(name, "concerns")
}

// SubmitConcern implements irt.v1.ConcernService.
func (s *Service) SubmitConcern(ctx context.Context, req *irtv1.SubmitConcernRequest) (*irtv1.Concern, error) {
	agency, localID, ok := parseName(req.GetConcern().GetName())
	if ok && !sharing.MayWrite(identity.FromContext(ctx), agency) {
		return nil, rpc.Denied()
	}
	given := proto.CloneOf(req.GetConcern())
	standard.NormaliseConcern(given)
	if faults, _ := standard.Check(&irtv1.SubmitConcernRequest{Concern: given}, standard.Options{}); len(faults) > 0 {
		return nil, rpc.Invalid(faults)
	}
	next, err := versionOf(given, agency, localID)
	if err != nil {
		return nil, err
	}
	about, err := readSubject(agency, given.GetChild(), given.GetChildRecord())
	if err != nil {
		return nil, rpc.Hidden(err)
	}
	var stored *version
	err = s.inChange(ctx, next.name(), func(c *change) (err error) {
		again := *next
		stored, err = c.submit(ctx, &again, about, given.GetEtag())
		return err
	})
	return s.answer(ctx, stored, err)
}

// answer shows an agency what it did.
func (s *Service) answer(ctx context.Context, stored *version, err error) (*irtv1.Concern, error) {
	if err != nil {
		return nil, err
	}
	m := stored.message(true, s.today())
	redact.Show(ctx, m, sharing.Own(identity.FromContext(ctx), stored.agency))
	return m, nil
}

// versionOf takes from a concern, which has been checked, what is stored of it.
func versionOf(m *irtv1.Concern, agency, localID string) (*version, error) {
	v := &version{
		id: standard.ConcernID(agency, localID), agency: agency, localID: localID,
		category: m.GetCategory(), level: m.GetLevel(), state: open,
	}
	v.start, _ = standard.ParseDate(m.GetStartDate()) // which the check has found to be days
	if m.GetReviewDate() != "" {
		v.review, _ = standard.ParseDate(m.GetReviewDate())
	}
	if m.GetPractitioner() != "" {
		var of string
		if of, v.practitioner, _ = agencies.ParsePractitionerName(m.GetPractitioner()); of != agency {
			return nil, rpc.Invalid([]standard.Fault{{
				Field: "concern.practitioner", RuleID: "PRACTITIONER_FOREIGN", Description: "The practitioner is of another agency.",
				Action: "Name a practitioner of the agency that shares the concern, or nobody.",
			}})
		}
	}
	return v, nil
}

func (c *change) submit(ctx context.Context, next *version, about asked, etag string) (*version, error) {
	if err := children.LockName(ctx, c.tx, lockClass, next.id); err != nil {
		return nil, err
	}
	sub, err := c.subject(ctx, about)
	if err != nil {
		return nil, err
	}
	cur, err := present(ctx, c.tx, next.id)
	if err != nil {
		return nil, err
	}
	if err := maySubmit(ctx, cur, sub, etag); err != nil {
		return nil, err
	}
	next.childID, next.recordID, next.recordLocalID = sub.child, sub.recordID, sub.recordLocalID
	agency, _ := c.s.directory.Get(next.agency)
	next.sensitive = agency.Sensitive || sub.sensitive
	if cur != nil {
		if about.recordID == uuid.Nil && cur.recordID != uuid.Nil {
			next.recordID, next.recordLocalID = cur.recordID, cur.recordLocalID // so that sending it again changes nothing
		}
		next.sensitive, next.reviewTold = next.sensitive || cur.sensitive, cur.reviewTold
		if next.says(cur) {
			return cur, nil
		}
	}
	before, err := c.agenciesWorried(ctx, sub.child)
	if err != nil {
		return nil, err
	}
	if err := c.settle(ctx, cur, next, irtv1.EventKind_EVENT_KIND_CONCERN_SUBMITTED); err != nil {
		return nil, err
	}
	return next, c.escalate(ctx, cur, next, before)
}

func maySubmit(ctx context.Context, cur *version, sub *subject, etag string) error {
	if err := rpc.CheckEtag(ctx, etag, etagOf(cur)); err != nil {
		return err
	}
	switch {
	case cur == nil:
		return nil
	case cur.childID != sub.child:
		return rpc.Invalid([]standard.Fault{{
			Field: "concern.child", RuleID: "CONCERN_OTHER_CHILD", Description: "The concern of that name is about another child.",
			Action: "Share a concern under a name of its own.",
		}})
	}
	return cur.may(submit)
}

// settle stores a version and tells of it. That of a sensitive service is told to
// that service alone.
func (c *change) settle(ctx context.Context, cur, next *version, kind irtv1.EventKind) error {
	if err := c.put(ctx, cur, next); err != nil {
		return err
	}
	e := events.Event{Kind: kind, Child: next.childID, Agency: next.agency, Resource: next.name(), Audience: events.Involved}
	if next.sensitive {
		e.Reveals = next.agency
	}
	c.tell(e)
	return nil
}

// agenciesWorried counts the agencies that have an open concern about the child
// which began within the window. Those of sensitive services are not counted: what
// follows from the number would tell of them.
func (c *change) agenciesWorried(ctx context.Context, child uuid.UUID) (n int, err error) {
	err = c.tx.QueryRow(ctx, `SELECT count(DISTINCT v.agency_id) FROM concerns v
		WHERE v.child_id = $1 AND v.state = 1 AND v.start_date > $2 AND NOT `+isSensitive,
		[16]byte(child), pg.Date(c.today.AddDate(0, 0, -c.s.window))).Scan(&n)
	if err != nil {
		return 0, fmt.Errorf("concerns: counting agencies: %w", err)
	}
	return n, nil
}

// escalate tells everybody who works with the child where a concern became acute, or
// one more agency shares the worry of another; and the data managers, where nobody
// leads. before is how many agencies were worried until now.
func (c *change) escalate(ctx context.Context, cur, next *version, before int) error {
	if next.sensitive {
		return nil
	}
	after, err := c.agenciesWorried(ctx, next.childID)
	if err != nil {
		return err
	}
	becameAcute := next.level == acute && (cur == nil || cur.level != acute)
	if !becameAcute && (after < 2 || after <= before) {
		return nil
	}
	c.tell(events.Event{
		Kind: irtv1.EventKind_EVENT_KIND_CONCERN_ESCALATED, Child: next.childID, Agency: next.agency,
		Resource: next.name(), Audience: events.Involved,
	})
	var led bool
	err = c.tx.QueryRow(ctx, `SELECT EXISTS (SELECT 1 FROM lead_professionals
		WHERE child_id = $1 AND start_date <= $2 AND (end_date IS NULL OR end_date >= $2))`,
		[16]byte(next.childID), pg.Date(c.today)).Scan(&led)
	if err != nil {
		return fmt.Errorf("concerns: looking for a lead professional: %w", err)
	}
	if !led {
		c.tell(events.Event{
			Kind: irtv1.EventKind_EVENT_KIND_LEAD_PROFESSIONAL_WANTED, Child: next.childID,
			Resource: rpc.ChildName(next.childID), Audience: events.DataManagers,
		})
	}
	return nil
}
