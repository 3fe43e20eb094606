package bench

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"
	"google.golang.org/protobuf/proto"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/standard"
)

// told is a child of whom there is much to tell: the timeline that a practitioner of
// home, the agency whose record it has, is shown holds toldEntries.
type told struct {
	subject
	home, record string // the agency's id, and the local id of its record
}

// What a timeline that is measured holds: two registrations (of the hub and by home's
// record), ten involvements and a lead professional as of every child with whom ten
// agencies work, and these.
const (
	toldMoves        = 6
	toldInvolvements = 6 // by home, over
	toldConcerns     = 3 // of each of three agencies
	toldReferrals    = 8 // from home, each to another agency
	toldConsents     = 6
	toldEntries      = 2 + 10 + 1 + toldMoves + toldInvolvements + 2 + 3*toldConcerns + toldReferrals + toldConsents
)

// toldAtMost is how many such children there are, in an index that is large enough.
const toldAtMost = 100

// toldQuery selects children with $1 involvements and one record, at most $2.
const toldQuery = `SELECT r.child_id, min(r.agency_id), min(r.local_id)
	FROM (SELECT child_id FROM involvements GROUP BY child_id HAVING count(*) = $1) i JOIN child_records r USING (child_id)
	GROUP BY r.child_id HAVING count(*) = 1 ORDER BY r.child_id LIMIT $2`

// findTold reads of whom there is much to tell: their last involvement is made last.
func (l *lab) findTold(ctx context.Context, involvements, limit int) ([]told, error) {
	rows, err := l.pool.Query(ctx, toldQuery, involvements, limit)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (t told, err error) {
		err = row.Scan((*[16]byte)(&t.id), &t.home, &t.record)
		t.name = "children/" + standard.FormatChildID(t.id)
		return t, err
	})
}

// tell makes a long story of some children with whom ten agencies work, through the hub.
func (l *lab) tell(ctx context.Context, size int) error {
	there, err := l.findTold(ctx, len(involved)+toldInvolvements, toldAtMost)
	if err != nil {
		return err
	}
	fresh, err := l.findTold(ctx, len(involved), max(min(size/50, toldAtMost)-len(there), 0))
	if err != nil {
		return err
	}
	running, within := errgroup.WithContext(ctx)
	running.SetLimit(64)
	for _, child := range fresh {
		running.Go(func() error { return l.tellOf(within, child) })
	}
	return running.Wait()
}

func (l *lab) tellOf(ctx context.Context, child told) error {
	for _, part := range []func(context.Context, told) error{
		func(ctx context.Context, child told) error { return l.involveHome(ctx, child, 1) },
		l.move, l.handOver, l.concern, l.refer, l.consent,
		func(ctx context.Context, child told) error { return l.involveHome(ctx, child, toldInvolvements) },
	} {
		if err := part(ctx, child); err != nil {
			return err
		}
	}
	return nil
}

// own is the name of a thing that an agency has of the child.
func (t told) own(agency, things string, n int) string {
	return fmt.Sprintf("agencies/%s/%s/t%d-%s", agency, things, n, standard.FormatChildID(t.id))
}

func (t told) recordName() string { return "agencies/" + t.home + "/childRecords/" + t.record }

// ago is a day some months before today.
func (l *lab) ago(months int) string {
	return l.people.today.AddDate(0, -months, 0).Format(time.DateOnly)
}

// involveHome makes the first n involvements of home, which are over.
func (l *lab) involveHome(ctx context.Context, child told, n int) error {
	ctx, err := l.callers.as(ctx, child.home, irtv1.Role_ROLE_AGENCY_SYSTEM)
	for i := 1; i <= n && err == nil; i++ {
		_, err = irtv1.NewInvolvementServiceClient(l.conn(i)).SubmitInvolvement(ctx, &irtv1.SubmitInvolvementRequest{Involvement: &irtv1.Involvement{
			Name: child.own(child.home, "involvements", i), ChildRecord: child.recordName(), Role: "FAMILY_SUPPORT_WORKER",
			Practitioner: "agencies/" + child.home + "/practitioners/" + practitionerID(i), StartDate: l.ago(12 + i), EndDate: l.ago(11 + i),
		}})
	}
	return err
}

// move has home say of one address after another that the child lives there.
func (l *lab) move(ctx context.Context, child told) error {
	ctx, err := l.callers.as(ctx, child.home, irtv1.Role_ROLE_AGENCY_SYSTEM)
	if err != nil {
		return err
	}
	client := irtv1.NewChildServiceClient(l.conn(int(child.id[15])))
	record, err := client.GetChildRecord(ctx, &irtv1.GetChildRecordRequest{Name: child.recordName()})
	for i := 1; i <= toldMoves && err == nil; i++ {
		next := proto.CloneOf(record)
		next.AddressLines, next.Etag = []string{fmt.Sprintf("%d Mill Lane", i), "Norwich"}, ""
		_, err = client.SubmitChildRecord(ctx, &irtv1.SubmitChildRecordRequest{ChildRecord: next})
	}
	return err
}

// handOver names two more lead professionals, each from a later day on.
func (l *lab) handOver(ctx context.Context, child told) error {
	ctx, err := l.callers.as(ctx, dataManager, irtv1.Role_ROLE_DATA_MANAGER)
	for i, agency := range []string{"health", "hospital"} {
		if err != nil {
			break
		}
		_, err = irtv1.NewInvolvementServiceClient(l.conn(i)).SetLeadProfessional(ctx, &irtv1.SetLeadProfessionalRequest{
			Child: child.name, Involvement: "agencies/" + agency + "/involvements/i-" + standard.FormatChildID(child.id), StartDate: l.ago(-1 - i),
		})
	}
	return err
}

func (l *lab) concern(ctx context.Context, child told) error {
	for i := range 3 * toldConcerns {
		agency := []string{child.home, "social-care", "health"}[i%3]
		ctx, err := l.callers.as(ctx, agency, irtv1.Role_ROLE_AGENCY_SYSTEM)
		if err != nil {
			return err
		}
		_, err = irtv1.NewConcernServiceClient(l.conn(i)).SubmitConcern(ctx, &irtv1.SubmitConcernRequest{Concern: &irtv1.Concern{
			Name: child.own(agency, "concerns", i), Child: child.name, Category: "ATTENDANCE", Level: "UNIVERSAL", StartDate: l.ago(i),
		}})
		if err != nil {
			return err
		}
	}
	return nil
}

func (l *lab) refer(ctx context.Context, child told) error {
	ctx, err := l.callers.as(ctx, child.home, irtv1.Role_ROLE_AGENCY_SYSTEM)
	for i := 0; i < toldReferrals && err == nil; i++ {
		_, err = irtv1.NewReferralServiceClient(l.conn(i)).SendReferral(ctx, &irtv1.SendReferralRequest{Referral: &irtv1.Referral{
			Name: child.own(child.home, "referrals", i), ChildRecord: child.recordName(), Recipient: "agencies/" + involved[2+i].agency,
			Reason: "SAFEGUARDING", Urgency: irtv1.ReferralUrgency_REFERRAL_URGENCY_ROUTINE,
		}})
	}
	return err
}

func (l *lab) consent(ctx context.Context, child told) error {
	ctx, err := l.callers.as(ctx, child.home, irtv1.Role_ROLE_AGENCY_SYSTEM)
	for i := 0; i < toldConsents && err == nil; i++ {
		_, err = irtv1.NewConsentServiceClient(l.conn(i)).RecordConsent(ctx, &irtv1.RecordConsentRequest{Consent: &irtv1.Consent{
			Name: child.own(child.home, "consents", i), ChildRecord: child.recordName(), Scope: irtv1.ConsentScope_CONSENT_SCOPE_SHARING,
			Categories: []irtv1.Category{irtv1.Category_CATEGORY_LOCATION}, Recipients: []string{"agencies/" + involved[2+i].agency},
			GivenBy: "PARENTAL_RESPONSIBILITY", StartDate: l.people.today.Format(time.DateOnly),
		}})
	}
	return err
}
