package timeline

import (
	"bytes"
	"context"
	"crypto/sha256"
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/identity"
	"irthub/internal/redact"
	"irthub/internal/rpc"
	"irthub/internal/standard"
)

// timeline is one answer in the making.
type timeline struct {
	*Service
	req     *irtv1.ListTimelineEntriesRequest
	child   string // the one that answers, at the time asked about
	entries []entry
	out     *irtv1.ListTimelineEntriesResponse
}

// entry is one of the timeline, and its place: the day, the kind, and which it is
// among those of one day.
type entry struct {
	*irtv1.TimelineEntry
	place []byte
}

const (
	whichLength = 16
	placeLength = len(time.DateOnly) + 1 + whichLength
)

// add adds an entry, unless the caller asked for what had begun before its day.
// which tells it apart from others of its kind.
func (t *timeline) add(e *irtv1.TimelineEntry, which string) {
	if t.req.GetAsOf() != "" && e.GetStartDate() > t.req.GetAsOf() {
		return
	}
	sum := sha256.Sum256([]byte(which))
	place := make([]byte, 0, placeLength)
	place = append(append(place, e.GetStartDate()...), byte(e.GetKind())) //nolint:gosec // kinds are few
	t.entries = append(t.entries, entry{e, append(place, sum[:whichLength]...)})
}

// page keeps those that come after the cursor, the newest first, and gives the
// place of the last if there are more.
func (t *timeline) page(cursor []byte, size int) (last []byte) {
	slices.SortFunc(t.entries, func(a, b entry) int { return bytes.Compare(b.place, a.place) })
	for _, e := range t.entries {
		if cursor != nil && bytes.Compare(e.place, cursor) >= 0 {
			continue
		}
		if len(t.out.GetEntries()) == size {
			return last
		}
		t.out.Entries, last = append(t.out.GetEntries(), e.TimelineEntry), e.place
	}
	return nil
}

// source gathers entries of some kinds by a method.
type source struct {
	method string
	kinds  []irtv1.TimelineKind
	gather func(*timeline, context.Context) error
}

var sources = []source{
	{irtv1.ChildService_ListChildVersions_FullMethodName, []irtv1.TimelineKind{registration, move}, (*timeline).versions},
	{irtv1.ChildService_ListChildRecords_FullMethodName, []irtv1.TimelineKind{registration}, (*timeline).records},
	{irtv1.InvolvementService_ListInvolvements_FullMethodName, []irtv1.TimelineKind{involvement}, (*timeline).involvements},
	{irtv1.InvolvementService_ListLeadProfessionals_FullMethodName, []irtv1.TimelineKind{lead}, (*timeline).leads},
	{irtv1.ConcernService_ListConcerns_FullMethodName, []irtv1.TimelineKind{concern}, (*timeline).concerns},
	{irtv1.ReferralService_ListReferrals_FullMethodName, []irtv1.TimelineKind{referral}, (*timeline).referrals},
	{irtv1.ConsentService_ListConsents_FullMethodName, []irtv1.TimelineKind{consent}, (*timeline).consents},
	{irtv1.ContactService_ListContactRequests_FullMethodName, []irtv1.TimelineKind{contactRequest}, (*timeline).contacts},
}

const (
	registration   = irtv1.TimelineKind_TIMELINE_KIND_REGISTRATION
	move           = irtv1.TimelineKind_TIMELINE_KIND_MOVE
	involvement    = irtv1.TimelineKind_TIMELINE_KIND_INVOLVEMENT
	lead           = irtv1.TimelineKind_TIMELINE_KIND_LEAD_PROFESSIONAL
	concern        = irtv1.TimelineKind_TIMELINE_KIND_CONCERN
	referral       = irtv1.TimelineKind_TIMELINE_KIND_REFERRAL
	consent        = irtv1.TimelineKind_TIMELINE_KIND_CONSENT
	contactRequest = irtv1.TimelineKind_TIMELINE_KIND_CONTACT_REQUEST
)

// gather asks every method that the caller's role may call, all at once, so that each
// shares its reads with those of other callers. What one refuses is not
// in the timeline; that the child itself is not shown is the answer.
func (t *timeline) gather(ctx context.Context) error {
	child, err := t.from.Children.GetChild(ctx, &irtv1.GetChildRequest{Name: t.req.GetParent(), KnownAt: t.req.GetKnownAt()})
	if err != nil {
		return err
	}
	t.child = child.GetName()
	t.withheld(ctx, child.GetWithheld())
	parts, errs := make([]timeline, len(sources)), make([]error, len(sources))
	var gathering sync.WaitGroup
	for i, s := range sources {
		if !t.asks(ctx, s) {
			continue
		}
		parts[i] = timeline{Service: t.Service, req: t.req, child: t.child, out: &irtv1.ListTimelineEntriesResponse{}}
		gathering.Go(func() { _, errs[i] = rpc.Guard(func() (any, error) { return nil, s.gather(&parts[i], ctx) }) })
	}
	gathering.Wait()
	for i, err := range errs {
		if code := status.Code(err); err != nil && code != codes.PermissionDenied && code != codes.NotFound {
			return err
		}
		t.entries = append(t.entries, parts[i].entries...)
		t.withheld(ctx, parts[i].out.GetWithheld())
	}
	return nil
}

// asks tells whether a source has something that the caller asked for and may call for.
func (t *timeline) asks(ctx context.Context, s source) bool {
	access, _ := identity.Access(s.method)
	return slices.ContainsFunc(s.kinds, t.wants) && slices.Contains(access.GetRoles(), identity.FromContext(ctx).Role)
}

// wants tells whether the caller asked for a kind.
func (t *timeline) wants(k irtv1.TimelineKind) bool {
	return len(t.req.GetKinds()) == 0 || slices.Contains(t.req.GetKinds(), k)
}

// withheld passes on what was left out.
func (t *timeline) withheld(ctx context.Context, notices []*irtv1.Withheld) {
	for _, n := range notices {
		t.out.Withheld = redact.Withhold(ctx, t.out.GetWithheld(), n)
	}
}

// dayOf is the day of an instant, in England.
func dayOf(at *timestamppb.Timestamp) string {
	return standard.DayOf(at.AsTime()).Format(time.DateOnly)
}

// versions tells when the hub came to know the child and, from one version to the
// next, where it moved.
func (t *timeline) versions(ctx context.Context) error {
	var all []*irtv1.ChildVersion
	err := pages(func(token string) (string, error) {
		resp, err := t.from.Children.ListChildVersions(ctx, &irtv1.ListChildVersionsRequest{Parent: t.child, PageSize: largestPage, PageToken: token})
		all = append(all, resp.GetChildVersions()...)
		return resp.GetNextPageToken(), err
	})
	if err != nil {
		return err
	}
	slices.Reverse(all) // the oldest first
	var before *irtv1.Child
	for _, v := range all {
		if at := t.req.GetKnownAt(); at != nil && v.GetKnownFrom().AsTime().After(at.AsTime()) {
			break
		}
		now := v.GetChild()
		if before == nil && t.wants(registration) {
			t.register(ctx, v.GetKnownFrom(), "")
		}
		if before != nil && t.wants(move) {
			t.moves(ctx, before, now, dayOf(v.GetKnownFrom()))
		}
		before = now
	}
	return nil
}

// register tells that the child came to be known, by a record or to the hub.
func (t *timeline) register(ctx context.Context, at *timestamppb.Timestamp, record string) {
	m := &irtv1.TimelineRegistration{ChildRecord: record}
	redact.Pass(ctx, m)
	t.add(&irtv1.TimelineEntry{
		Kind: registration, StartDate: dayOf(at), Detail: &irtv1.TimelineEntry_Registration{Registration: m},
	}, record)
}

// moves tells what is different between two versions of a child, as they are shown:
// on the day that is stated of it, or else that on which the hub came to know it.
func (t *timeline) moves(ctx context.Context, before, now *irtv1.Child, day string) {
	add := func(stated string, m *irtv1.TimelineMove, which string) {
		redact.Pass(ctx, m)
		if stated == "" {
			stated = day
		}
		t.add(&irtv1.TimelineEntry{
			Kind: move, StartDate: stated, Detail: &irtv1.TimelineEntry_Move{Move: m},
		}, which+now.GetEtag())
	}
	if now.GetPostcode() != before.GetPostcode() || !slices.Equal(now.GetAddressLines(), before.GetAddressLines()) {
		add(now.GetAddressStartDate(), &irtv1.TimelineMove{AddressLines: now.GetAddressLines(), Postcode: now.GetPostcode()}, "address")
	}
	if now.GetSchoolUrn() != before.GetSchoolUrn() {
		add(now.GetSchoolStartDate(), &irtv1.TimelineMove{SchoolUrn: now.GetSchoolUrn(), SchoolDisplayName: now.GetSchool().GetDisplayName()}, "school")
	}
	if now.GetGpPracticeCode() != before.GetGpPracticeCode() {
		add("", &irtv1.TimelineMove{GpPracticeCode: now.GetGpPracticeCode(), GpPracticeDisplayName: now.GetGpPractice().GetDisplayName()}, "gp")
	}
}

// records tells since when agencies have records of the child, of those that the
// caller may read.
func (t *timeline) records(ctx context.Context) error {
	resp, err := t.from.Children.ListChildRecords(ctx, &irtv1.ListChildRecordsRequest{Parent: "agencies/-", Child: t.child})
	for _, r := range resp.GetChildRecords() {
		if at := t.req.GetKnownAt(); at != nil && r.GetCreateTime().AsTime().After(at.AsTime()) {
			continue
		}
		t.register(ctx, r.GetCreateTime(), r.GetName())
	}
	return err
}

func (t *timeline) involvements(ctx context.Context) error {
	return pages(func(token string) (string, error) {
		resp, err := t.from.Involvements.ListInvolvements(ctx, &irtv1.ListInvolvementsRequest{
			Parent: t.child, KnownAt: t.req.GetKnownAt(), IncludeEnded: true, PageSize: largestPage, PageToken: token,
		})
		for _, i := range resp.GetInvolvements() {
			t.add(&irtv1.TimelineEntry{
				Kind: involvement, StartDate: i.GetStartDate(), EndDate: i.GetEndDate(), Detail: &irtv1.TimelineEntry_Involvement{Involvement: i},
			}, i.GetName())
		}
		t.withheld(ctx, resp.GetWithheld())
		return resp.GetNextPageToken(), err
	})
}

func (t *timeline) leads(ctx context.Context) error {
	resp, err := t.from.Involvements.ListLeadProfessionals(ctx, &irtv1.ListLeadProfessionalsRequest{Parent: t.child, KnownAt: t.req.GetKnownAt()})
	for _, l := range resp.GetLeadProfessionals() {
		t.add(&irtv1.TimelineEntry{
			Kind: lead, StartDate: l.GetStartDate(), EndDate: l.GetEndDate(), Detail: &irtv1.TimelineEntry_LeadProfessional{LeadProfessional: l},
		}, l.GetInvolvement())
	}
	t.withheld(ctx, resp.GetWithheld())
	return err
}

func (t *timeline) concerns(ctx context.Context) error {
	return pages(func(token string) (string, error) {
		resp, err := t.from.Concerns.ListConcerns(ctx, &irtv1.ListConcernsRequest{
			Parent: t.child, KnownAt: t.req.GetKnownAt(), PageSize: largestPage, PageToken: token,
		})
		for _, c := range resp.GetConcerns() {
			t.add(&irtv1.TimelineEntry{
				Kind: concern, StartDate: c.GetStartDate(), EndDate: c.GetEndDate(), Detail: &irtv1.TimelineEntry_Concern{Concern: c},
			}, c.GetName())
		}
		t.withheld(ctx, resp.GetWithheld())
		return resp.GetNextPageToken(), err
	})
}

// referrals tells on which day each was first sent. It is over on the day on which the
// hub came to know its last version, if that is an end.
func (t *timeline) referrals(ctx context.Context) error {
	return pages(func(token string) (string, error) {
		resp, err := t.from.Referrals.ListReferrals(ctx, &irtv1.ListReferralsRequest{
			Parent: t.child, KnownAt: t.req.GetKnownAt(), PageSize: largestPage, PageToken: token,
		})
		for _, r := range resp.GetReferrals() {
			e := &irtv1.TimelineEntry{
				Kind: referral, StartDate: dayOf(r.GetCreateTime()), Detail: &irtv1.TimelineEntry_Referral{Referral: r},
			}
			switch r.GetState() {
			case irtv1.ReferralState_REFERRAL_STATE_DECLINED, irtv1.ReferralState_REFERRAL_STATE_CLOSED, irtv1.ReferralState_REFERRAL_STATE_WITHDRAWN:
				e.EndDate = dayOf(r.GetUpdateTime())
			}
			t.add(e, r.GetName())
		}
		return resp.GetNextPageToken(), err
	})
}

func (t *timeline) consents(ctx context.Context) error {
	return pages(func(token string) (string, error) {
		resp, err := t.from.Consents.ListConsents(ctx, &irtv1.ListConsentsRequest{
			Parent: t.child, KnownAt: t.req.GetKnownAt(), IncludeEnded: true, PageSize: largestPage, PageToken: token,
		})
		for _, c := range resp.GetConsents() {
			end := c.GetEndDate()
			if c.GetWithdrawDate() != "" {
				end = c.GetWithdrawDate()
			}
			t.add(&irtv1.TimelineEntry{
				Kind: consent, StartDate: c.GetStartDate(), EndDate: end, Detail: &irtv1.TimelineEntry_Consent{Consent: c},
			}, c.GetName())
		}
		t.withheld(ctx, resp.GetWithheld())
		return resp.GetNextPageToken(), err
	})
}

func (t *timeline) contacts(ctx context.Context) error {
	var known time.Time
	if at := t.req.GetKnownAt(); at != nil {
		known = at.AsTime()
	}
	all, err := t.from.Contacts.OfChild(ctx, t.child, known)
	for _, q := range all {
		t.add(&irtv1.TimelineEntry{
			Kind: contactRequest, StartDate: dayOf(q.GetCreateTime()), Detail: &irtv1.TimelineEntry_ContactRequest{ContactRequest: q},
		}, q.GetName())
	}
	return err
}

// pages asks for one page after another until there is none.
func pages(next func(token string) (string, error)) error {
	for token := ""; ; {
		var err error
		if token, err = next(token); err != nil || token == "" {
			return err
		}
	}
}
