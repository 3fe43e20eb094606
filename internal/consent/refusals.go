package consent

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype/zeronull"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/agencies"
	"irthub/internal/audit"
	"irthub/internal/children"
	"irthub/internal/events"
	"irthub/internal/identity"
	"irthub/internal/pg"
	"irthub/internal/rpc"
	"irthub/internal/sharing"
	"irthub/internal/standard"
)

// refusal is a row of sharing_refusals.
type refusal struct {
	childID    uuid.UUID
	id         uuid.UUID
	agency     string // refuses
	localID    string
	recordID   uuid.UUID
	requester  string // id of the agency that asked, or ""
	categories []int16
	purpose    irtv1.Purpose
	reason     string
	details    string
	day        time.Time
	created    time.Time
}

const refusalColumns = `child_id, refusal_id, agency_id, local_id, record_id, requester, categories, purpose, reason,
	details, refuse_date, create_time`

func scanRefusal(row pgx.CollectableRow) (*refusal, error) {
	v := &refusal{}
	err := row.Scan((*[16]byte)(&v.childID), (*[16]byte)(&v.id), &v.agency, &v.localID, (*zeronull.UUID)(&v.recordID), &v.requester,
		&v.categories, &v.purpose, &v.reason, &v.details, &v.day, &v.created)
	return v, err
}

func (v *refusal) name() string { return "agencies/" + v.agency + "/refusals/" + v.localID }

// says tells whether another refusal has the same content.
func (v *refusal) says(o *refusal) bool {
	return v.childID == o.childID && v.requester == o.requester && slices.Equal(v.categories, o.categories) &&
		v.purpose == o.purpose && v.reason == o.reason && v.details == o.details && v.day.Equal(o.day)
}

func (v *refusal) message() *irtv1.Refusal {
	m := &irtv1.Refusal{
		Name: v.name(), Child: rpc.ChildName(v.childID), Categories: enums[irtv1.Category](v.categories), Purpose: v.purpose,
		Reason: v.reason, Details: v.details, RefuseDate: standard.FormatDate(v.day), CreateTime: timestamppb.New(v.created),
	}
	if v.requester != "" {
		m.Requester = agencies.Name(v.requester)
	}
	return m
}

// RecordRefusal implements irt.v1.ConsentService.
func (s *Service) RecordRefusal(ctx context.Context, req *irtv1.RecordRefusalRequest) (*irtv1.Refusal, error) {
	caller := identity.FromContext(ctx)
	agency, localID, ok := agencies.ParseChildName(req.GetRefusal().GetName(), "refusals")
	if ok && !sharing.MayWrite(caller, agency) {
		return nil, rpc.Denied()
	}
	m := proto.CloneOf(req.GetRefusal())
	standard.NormaliseRefusal(m)
	if faults, _ := standard.Check(&irtv1.RecordRefusalRequest{Refusal: m}, standard.Options{}); len(faults) > 0 {
		return nil, rpc.Invalid(faults)
	}
	v, err := s.refusalOf(ctx, m, agency, localID)
	if err != nil {
		return nil, err
	}
	about, err := children.ReadAsked("refusal", agency, m.GetChild(), m.GetChildRecord())
	if err != nil {
		return nil, hidden(caller, err)
	}
	var stored *refusal
	err = s.inChange(ctx, v.name, func(c *change) (err error) {
		stored, err = c.refuse(ctx, v, about, m.GetRefuseDate() == "")
		return err
	})
	if err != nil {
		return nil, err
	}
	return stored.message(), nil
}

// refusalOf takes from a refusal, which has been checked, what is stored of it.
func (s *Service) refusalOf(ctx context.Context, m *irtv1.Refusal, agency, localID string) (*refusal, error) {
	v := &refusal{
		id: standard.RefusalID(agency, localID), agency: agency, localID: localID, categories: numbers(m.GetCategories()),
		purpose: m.GetPurpose(), reason: m.GetReason(), details: m.GetDetails(), day: s.today(),
	}
	if m.GetRefuseDate() != "" {
		v.day, _ = standard.ParseDate(m.GetRefuseDate()) // which the check has found to be a day
	}
	if m.GetRequester() == "" {
		return v, nil
	}
	v.requester, _ = agencies.ParseName(m.GetRequester())
	return v, s.known(ctx, v.requester, "refusal.requester")
}

// refuse stores a refusal, once. Sent again without its day, it keeps the first.
func (c *change) refuse(ctx context.Context, v *refusal, about children.Asked, anyDay bool) (*refusal, error) {
	if err := children.LockName(ctx, c.tx, lockClass, v.id); err != nil {
		return nil, err
	}
	sub, err := c.subject(ctx, about)
	if err != nil {
		return nil, err
	}
	v.childID, v.recordID, v.created = sub.Child, sub.Record, c.now
	stored, err := storedRefusal(ctx, c.tx, v.id)
	if err != nil {
		return nil, err
	}
	if stored != nil {
		if anyDay {
			v.day = stored.day
		}
		if !v.says(stored) {
			return nil, rpc.AlreadyExists("refusal")
		}
		return stored, nil
	}
	_, err = c.tx.Exec(ctx, `INSERT INTO sharing_refusals (`+refusalColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)`,
		[16]byte(v.childID), [16]byte(v.id), v.agency, v.localID, zeronull.UUID(v.recordID), v.requester, v.categories,
		int16(v.purpose), v.reason, v.details, pg.Date(v.day), v.created) //nolint:gosec // purposes are few
	if err != nil {
		return nil, fmt.Errorf("consent: storing a refusal: %w", err)
	}
	e := events.Event{
		Kind: irtv1.EventKind_EVENT_KIND_SHARING_REFUSED, Child: v.childID, Agency: v.agency, Resource: v.name(),
	}
	if agency, _ := c.s.directory.Get(v.agency); agency.Sensitive {
		e.Reveals = v.agency
	}
	c.tell(e)
	return v, nil
}

func storedRefusal(ctx context.Context, q children.Querier, id uuid.UUID) (*refusal, error) {
	return children.One(ctx, q, scanRefusal, `SELECT `+refusalColumns+` FROM sharing_refusals WHERE refusal_id = $1`, [16]byte(id))
}

const listRefusals = irtv1.ConsentService_ListRefusals_FullMethodName

// ListRefusals implements irt.v1.ConsentService.
func (s *Service) ListRefusals(ctx context.Context, req *irtv1.ListRefusalsRequest) (*irtv1.ListRefusalsResponse, error) {
	where, args, err := s.refusalsAsked(ctx, req)
	if err != nil {
		return nil, err
	}
	after, err := s.tokens.Position(listRefusals, req, req.GetPageToken(), rpc.AfterAll)
	if err != nil {
		return nil, err
	}
	size := int(rpc.PageSize(req.GetPageSize(), defaultPage, largestPage))
	args["time"], args["id"], args["limit"] = after.At, [16]byte(after.ID), size+1
	rows, err := s.pool.Query(ctx, `SELECT `+refusalColumns+` FROM sharing_refusals
		WHERE `+where+` AND (create_time, refusal_id) < (@time, @id) ORDER BY create_time DESC, refusal_id DESC LIMIT @limit`, args)
	if err != nil {
		return nil, fmt.Errorf("consent: listing refusals: %w", err)
	}
	found, err := pgx.CollectRows(rows, scanRefusal)
	if err != nil {
		return nil, fmt.Errorf("consent: reading refusals: %w", err)
	}
	out := &irtv1.ListRefusalsResponse{}
	if len(found) > size {
		found = found[:size]
		last := found[size-1]
		if out.NextPageToken, err = s.tokens.Encode(listRefusals, req, rpc.Position{At: last.created, ID: last.id}.Cursor()); err != nil {
			return nil, err
		}
	}
	e := audit.FromContext(ctx)
	for _, v := range found {
		e.AddChild(v.childID)
		e.AddReturned(v.name())
		out.Refusals = append(out.Refusals, v.message())
	}
	return out, nil
}

// refusalsAsked says which refusals a request is about and its caller may see: data
// managers all, agencies those that they made or that were made to them. Those of a
// sensitive service are shown to itself alone: they would confirm what it did not.
func (s *Service) refusalsAsked(ctx context.Context, req *irtv1.ListRefusalsRequest) (where string, args pgx.NamedArgs, err error) {
	caller := identity.FromContext(ctx)
	args = pgx.NamedArgs{"own": caller.Agency, "manager": manages(caller), "sensitive": listOf(s.directory.Sensitive())}
	const visible = `(agency_id = @own OR (@manager OR requester = @own) AND NOT agency_id = ANY(@sensitive::text[]))`
	agency, ok := agencies.ParseName(req.GetParent())
	if everyAgency := req.GetParent() == "agencies/-"; ok || everyAgency {
		if !manages(caller) && agency != caller.Agency {
			return "", nil, rpc.Denied()
		}
		args["agency"] = agency
		if everyAgency {
			args["agency"] = ""
		}
		return `(@agency = '' OR agency_id = @agency OR requester = @agency) AND ` + visible, args, nil
	}
	asked, err := rpc.ParseChildName(req.GetParent())
	if err != nil {
		return "", nil, hidden(caller, err)
	}
	child, err := s.survivor(ctx, asked)
	if err != nil {
		return "", nil, hidden(caller, err)
	}
	args["child"] = [16]byte(child)
	audit.FromContext(ctx).AddChild(child)
	return `child_id = @child AND ` + visible, args, nil
}
