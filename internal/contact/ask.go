package contact

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype/zeronull"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/agencies"
	"irthub/internal/children"
	"irthub/internal/rpc"
	"irthub/internal/sharing"
	"irthub/internal/standard"
)

// RequestContact implements irt.v1.ContactService.
func (s *Service) RequestContact(ctx context.Context, req *irtv1.RequestContactRequest) (*irtv1.ContactRequest, error) {
	asker := s.directory.Asker(ctx)
	// What is about the caller alone is said first: it is the same of every child.
	if d := sharing.Decide(sharing.AskContact, asker.Facts()); !d.Allowed() {
		return nil, rpc.DeniedBecause("You may not ask for contact so. " + d.Reason().Ask)
	}
	if err := s.mayAskMore(ctx, asker); err != nil {
		return nil, err
	}
	child, standing, err := s.standing(ctx, asker, req.GetChild())
	if err != nil {
		return nil, err
	}
	workers, err := s.workers(ctx, child)
	if err != nil {
		return nil, err
	}
	if standing == nil || !sharing.Decide(sharing.See, standing.Facts(asker)).ShowsChild() ||
		!sharing.Decide(sharing.AskContact, standing.Facts(asker)).Allowed() {
		return nil, rpc.Denied()
	}
	id, err := uuid.NewV7()
	if err != nil {
		return nil, fmt.Errorf("contact: naming a request: %w", err)
	}
	q := &request{
		childID: child, id: id, agency: asker.Agency, practitioner: asker.Practitioner, audience: req.GetAudience(),
		state: open, purpose: asker.Caller.Purpose, reason: asker.Caller.Reason,
	}
	if req.GetInvolvement() != "" {
		if q.involvement, err = named(req.GetInvolvement(), workers, asker, standing); err != nil {
			return nil, err
		}
	}
	err = s.inChange(ctx, func(c *change) error {
		if err := c.ask(ctx, q, q.meant(workers), strings.TrimSpace(req.GetText())); err != nil {
			return err
		}
		c.access.AddChild(child)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return s.read(ctx, asker, q.name())
}

// standing is what policy needs to know of the child that answers for the one named,
// nil where there is none: by the same statements.
func (s *Service) standing(ctx context.Context, asker agencies.Asker, name string) (uuid.UUID, *children.Standing, error) {
	asked, err := rpc.ParseChildName(name)
	if err != nil {
		return uuid.Nil, nil, rpc.Denied()
	}
	child, err := children.Survivor(ctx, s.pool, asked)
	if status.Code(err) == codes.NotFound {
		child, err = asked, nil
	}
	if err != nil {
		return uuid.Nil, nil, err
	}
	standings, err := children.Standings(ctx, s.pool, asker, child)
	return child, standings[child], err
}

// named is the involvement of that name, if policy shows it to the asker. One that
// it does not show is the same as none.
func named(name string, workers []*worker, asker agencies.Asker, st *children.Standing) (uuid.UUID, error) {
	for _, w := range workers {
		if w.name() != name || !w.shows(asker, st) {
			continue
		}
		if asker.Owns(w.agency) {
			return uuid.Nil, rpc.Invalid([]standard.Fault{{
				Field: "involvement", RuleID: "CONTACT_OWN", Description: "The involvement is your own agency's.",
				Action: "Ask your colleague.",
			}})
		}
		return w.involvement, nil
	}
	return uuid.Nil, rpc.Denied()
}

// mayAskMore holds the caller to so many requests an hour.
func (s *Service) mayAskMore(ctx context.Context, asker agencies.Asker) error {
	most := askedBySystem
	if asker.Practitioner != "" {
		most = askedByPerson
	}
	var n int
	err := s.pool.QueryRow(ctx, `SELECT count(*) FROM contact_requests
		WHERE agency_id = $1 AND contact_request_id >= $2 AND practitioner_id = $3`,
		asker.Agency, [16]byte(firstAt(time.Now().Add(-time.Hour))), asker.Practitioner).Scan(&n)
	if err != nil {
		return fmt.Errorf("contact: counting requests: %w", err)
	}
	if n < most {
		return nil
	}
	return rpc.RetryLater(codes.ResourceExhausted, irtv1.ErrorReason_ERROR_REASON_ACCESS_LIMIT_EXCEEDED,
		fmt.Sprintf("You have asked for contact %d times within an hour, and may not more often. Ask again later; where a child is at risk, ring social care.", n),
		10*time.Minute)
}

// firstAt is the least id of UUID version 7 that is made at an instant.
func firstAt(at time.Time) (id uuid.UUID) {
	for ms, i := at.UnixMilli(), 5; i >= 0; ms, i = ms>>8, i-1 {
		id[i] = byte(ms)
	}
	return id
}

const insertRequest = `
	INSERT INTO contact_requests (child_id, contact_request_id, record_id, agency_id, practitioner_id, involvement_id, audience,
		state, purpose, reason, create_time, expire_time, known_from)
	VALUES ($1, $2, (SELECT record_id FROM child_records WHERE child_id = $1 AND agency_id = $3 AND state = 1 ORDER BY local_id LIMIT 1),
		$3, $4, $5, $6, 1, $7, $8, $9, $10, $9)`

// ask stores a request, the routes to those it is for, and what was written with
// it. It takes the same statements whether there is anybody.
func (c *change) ask(ctx context.Context, q *request, meant []*worker, text string) error {
	if err := c.hold(ctx, q.childID); err != nil {
		return err
	}
	q.created, q.expires = c.now, c.now.Add(c.s.openFor)
	ids, involvements, agencyIDs, practitioners := [][16]byte{}, [][16]byte{}, []string{}, []string{}
	seen := map[string]bool{}
	for _, w := range meant {
		if seen[w.agency] {
			continue
		}
		seen[w.agency] = true
		ids, involvements = append(ids, uuid.New()), append(involvements, w.involvement)
		agencyIDs, practitioners = append(agencyIDs, w.agency), append(practitioners, w.practitioner)
		c.tell(irtv1.EventKind_EVENT_KIND_CONTACT_REQUESTED, q, w.agency)
	}
	c.tell(irtv1.EventKind_EVENT_KIND_CONTACT_REQUESTED, q, q.agency)
	b := &pgx.Batch{}
	child, id := [16]byte(q.childID), [16]byte(q.id)
	b.Queue(insertRequest, child, id, q.agency, q.practitioner, zeronull.UUID(q.involvement), int16(q.audience), //nolint:gosec // codes are few
		int16(q.purpose), q.reason, q.created, q.expires) //nolint:gosec // as above
	b.Queue(`INSERT INTO contact_routes (child_id, contact_request_id, correspondent_id, agency_id, practitioner_id, involvement_id,
			expire_time, known_from)
		SELECT $1, $2, r.correspondent_id, r.agency_id, r.practitioner_id, r.involvement_id, $7, $8
		FROM unnest($3::uuid[], $4::text[], $5::text[], $6::uuid[]) AS r(correspondent_id, agency_id, practitioner_id, involvement_id)`,
		child, id, ids, agencyIDs, practitioners, involvements, q.expires, q.created)
	b.Queue(insertMessage, child, id, [16]byte(uuid.Must(uuid.NewV7())), true, directTo(q, ids), text, q.created, q.expires.Add(keptFor))
	if err := c.tx.SendBatch(ctx, b).Close(); err != nil {
		return fmt.Errorf("contact: storing a request: %w", err)
	}
	return nil
}

// directTo is whom a message with a direct request is to; none: all that have it.
func directTo(q *request, ids [][16]byte) zeronull.UUID {
	if q.direct() && len(ids) == 1 {
		return ids[0]
	}
	return zeronull.UUID{}
}

// read is a request of the asker's, with whom to ring.
func (s *Service) read(ctx context.Context, asker agencies.Asker, name string) (*irtv1.ContactRequest, error) {
	p, err := s.find(ctx, s.pool, asker, name)
	if err != nil {
		return nil, err
	}
	var contacts []*irtv1.Contact
	if p.route == nil {
		if contacts, err = s.contacts(ctx, p.request, asker); err != nil {
			return nil, err
		}
	}
	m := s.message(p)
	m.Contacts = contacts
	return s.shown(ctx, p, asker, m), nil
}
