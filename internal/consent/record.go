package consent

import (
	"context"
	"time"

	"github.com/google/uuid"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/agencies"
	"irthub/internal/children"
	"irthub/internal/events"
	"irthub/internal/identity"
	"irthub/internal/rpc"
	"irthub/internal/sharing"
	"irthub/internal/standard"
)

// parseName reads agencies/{agency}/consents/{local_id}.
func parseName(name string) (agency, localID string, ok bool) {
	return agencies.ParseChildName(name, "consents")
}

// versionOf takes from a consent, which has been checked, what is stored of it.
func (s *Service) versionOf(ctx context.Context, m *irtv1.Consent, agency, localID string) (*version, error) {
	v := &version{
		id: standard.ConsentID(agency, localID), agency: agency, localID: localID, scope: m.GetScope(),
		categories: numbers(m.GetCategories()), kinds: numbers(m.GetRecipientKinds()), recipients: []string{},
		givenBy: m.GetGivenBy(), state: given,
	}
	v.start, _ = standard.ParseDate(m.GetStartDate()) // which the check has found to be days
	if m.GetEndDate() != "" {
		v.end, _ = standard.ParseDate(m.GetEndDate())
	}
	for _, name := range m.GetRecipients() {
		id, _ := agencies.ParseName(name)
		if err := s.known(ctx, id, "consent.recipients"); err != nil {
			return nil, err
		}
		v.recipients = append(v.recipients, id)
	}
	return v, nil
}

// known refuses an agency that is not in the directory: a consent or refusal that
// names nobody would say less than it seems to.
func (s *Service) known(ctx context.Context, agency, field string) error {
	_, found, err := s.directory.Find(ctx, agency)
	if err != nil || found {
		return err
	}
	return rpc.Invalid([]standard.Fault{{
		Field: field, RuleID: "AGENCY_UNKNOWN", Description: "The directory has no such agency.",
		Action: "Send agencies/{agency} with the id of an agency of the directory.",
	}})
}

// record works out what a consent comes to, and stores it; it refuses it before that.
func (c *change) record(ctx context.Context, next *version, about children.Asked, fits func(etag string) error) (*version, error) {
	sub, err := c.subject(ctx, about)
	if err != nil {
		return c.restated(ctx, next, about, fits, err)
	}
	cur, err := present(ctx, c.tx, next.id)
	if err != nil {
		return nil, err
	}
	if err := maySpeakOf(cur, sub, fits); err != nil {
		return nil, err
	}
	next.childID, next.recordID, next.recordLocalID = sub.Child, sub.Record, sub.RecordLocalID
	if cur != nil && about.Record == uuid.Nil && cur.recordID != uuid.Nil {
		next.recordID, next.recordLocalID = cur.recordID, cur.recordLocalID // so that sending it again changes nothing
	}
	if cur != nil && next.says(cur) {
		return cur, nil
	}
	if err := c.mayRecord(cur, next, sub); err != nil {
		return nil, err
	}
	return next, c.settle(ctx, cur, next, irtv1.EventKind_EVENT_KIND_CONSENT_RECORDED)
}

// restated answers an agency that does not work with the child any more: what it recorded
// while it did stands, and recording that again changes nothing. All else is refused.
func (c *change) restated(ctx context.Context, next *version, about children.Asked, fits func(etag string) error, refusal error) (*version, error) {
	cur, err := children.Restated(ctx, c.tx, about, refusal,
		func() (*version, error) { return present(ctx, c.tx, next.id) },
		func(cur *version) (child, record uuid.UUID, same bool) {
			next.childID, next.recordID = cur.childID, cur.recordID
			return cur.childID, cur.recordID, next.says(cur)
		})
	if err != nil {
		return nil, err
	}
	c.access.AddChild(cur.childID)
	return cur, fits(cur.etag())
}

// subject finds and holds the child that a request is about, and reads what the
// agency is to it. To a caller who may not know of the child it is the same as if
// there were none.
func (c *change) subject(ctx context.Context, about children.Asked) (*children.Subject, error) {
	sub, err := about.Hold(ctx, c.tx, c.today, c.hold)
	if err != nil {
		return nil, hidden(c.caller, err)
	}
	if !sub.Works && !manages(c.caller) {
		return nil, rpc.Denied()
	}
	return sub, nil
}

// maySpeakOf says why nothing can be said of the present version.
func maySpeakOf(cur *version, sub *children.Subject, fits func(etag string) error) error {
	if err := fits(etagOf(cur)); err != nil {
		return err
	}
	if cur != nil && cur.childID != sub.Child {
		return rpc.Invalid([]standard.Fault{{
			Field: "consent.child", RuleID: "CONSENT_OTHER_CHILD", Description: "The consent of that name is about another child.",
			Action: "Record a consent under a name of its own.",
		}})
	}
	return nil
}

// mayRecord says why a consent that says something new cannot be recorded.
func (c *change) mayRecord(cur, next *version, sub *children.Subject) error {
	if next.state == withdrawn {
		return rpc.Precondition("The file says that the consent was withdrawn, and the hub does not have it so. Withdraw it in the hub.")
	}
	if cur != nil && cur.state == withdrawn {
		return rpc.Precondition("The consent was withdrawn. If it was given again, record that as a new consent, under a name of its own.")
	}
	if faults := c.consentFaults(next, sub); len(faults) > 0 {
		return rpc.Invalid(faults)
	}
	return nil
}

// consentFaults are those that only the stored facts show.
func (c *change) consentFaults(next *version, sub *children.Subject) (faults []standard.Fault) {
	if next.givenBy == byParent && !sub.Born.IsZero() && !next.start.Before(majority(sub.Born)) {
		faults = append(faults, standard.Fault{
			Field: "consent.given_by", RuleID: "CONSENT_GIVER_ADULT",
			Description: "The young person was of age on the first day, so nobody else can consent.",
			Action:      "Record the consent of the young person: given_by CHILD.",
		})
	}
	agency, _ := c.s.directory.Get(next.agency)
	if next.scope == irtv1.ConsentScope_CONSENT_SCOPE_SENSITIVE_INVOLVEMENT && !agency.Sensitive && !sub.Sensitive {
		faults = append(faults, standard.Fault{
			Field: "consent.scope", RuleID: "CONSENT_NOT_SENSITIVE",
			Description: "The agency has no sensitive involvement with the child, so there is nothing that needs consent to be shown.",
			Action:      "Record the involvement as sensitive first, or a consent with the scope SHARING.",
		})
	}
	return faults
}

// majority is the day on which somebody comes of age. Who is born on 29 February
// does so on 1 March in other years, as in English law.
func majority(born time.Time) time.Time { return born.AddDate(18, 0, 0) }

// settle stores a version, and brings what follows from it in line.
func (c *change) settle(ctx context.Context, cur, next *version, kind irtv1.EventKind) error {
	if err := c.put(ctx, cur, next); err != nil {
		return err
	}
	if err := children.RefreshSharing(ctx, c.tx, next.childID); err != nil {
		return err
	}
	if next.scope == irtv1.ConsentScope_CONSENT_SCOPE_RETENTION {
		if _, err := children.SettleRetention(ctx, c.tx, c.today, c.now, next.childID); err != nil {
			return err
		}
	}
	e := events.Event{Kind: kind, Child: next.childID, Agency: next.agency, Resource: next.name()}
	if c.s.reveals(next) {
		e.Reveals = next.agency
	}
	c.tell(e)
	return nil
}

// reveals tells whether knowing of the consent is knowing that a sensitive service
// is involved.
func (s *Service) reveals(v *version) bool {
	agency, _ := s.directory.Get(v.agency)
	return agency.Sensitive || v.scope == irtv1.ConsentScope_CONSENT_SCOPE_SENSITIVE_INVOLVEMENT
}

// WithdrawConsent implements irt.v1.ConsentService.
func (s *Service) WithdrawConsent(ctx context.Context, req *irtv1.WithdrawConsentRequest) (*irtv1.Consent, error) {
	agency, localID, ok := parseName(req.GetName())
	if !ok {
		return nil, rpc.NotFound("consent")
	}
	if !sharing.MayWrite(identity.FromContext(ctx), agency) {
		return nil, rpc.Denied()
	}
	id := standard.ConsentID(agency, localID)
	var stored *version
	err := s.inChange(ctx, req.GetName, func(c *change) (err error) {
		stored, err = c.withdraw(ctx, id, req.GetEtag())
		return err
	})
	if err != nil {
		return nil, err
	}
	return stored.message(true), nil
}

func (c *change) withdraw(ctx context.Context, id uuid.UUID, etag string) (*version, error) {
	if err := children.LockName(ctx, c.tx, lockClass, id); err != nil {
		return nil, err
	}
	cur, err := c.held(ctx, id)
	if err != nil {
		return nil, err
	}
	if err := rpc.CheckEtag(ctx, etag, cur.etag()); err != nil {
		return nil, err
	}
	if cur.state == withdrawn {
		return cur, nil
	}
	next := *cur
	next.state, next.withdrawn = withdrawn, c.today
	return &next, c.settle(ctx, cur, &next, irtv1.EventKind_EVENT_KIND_CONSENT_WITHDRAWN)
}

// held is the present version of a consent that the caller may know of, with its
// child held.
func (c *change) held(ctx context.Context, id uuid.UUID) (*version, error) {
	cur, err := children.ReadHeld(ctx, func() (*version, error) {
		v, err := present(ctx, c.tx, id)
		if v != nil && !c.s.mayKnow(c.caller, v) {
			v = nil
		}
		return v, err
	}, (*version).child, c.hold)
	if err == nil && cur == nil {
		err = rpc.NotFound("consent")
	}
	return cur, err
}
