package contact

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype/zeronull"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/timestamppb"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/audit"
	"irthub/internal/redact"
	"irthub/internal/rpc"
	"irthub/internal/standard"
)

// note is a row of contact_messages.
type note struct {
	id            uuid.UUID
	fromAsker     bool
	correspondent uuid.UUID // zero: to all who have the request
	text          string
	created       time.Time
	readTime      time.Time
}

const insertMessage = `INSERT INTO contact_messages
		(child_id, contact_request_id, message_id, from_asker, correspondent_id, text, create_time, purge_time)
	SELECT $1::uuid, $2::uuid, $3::uuid, $4::boolean, $5::uuid, $6::text, $7::timestamptz, $8::timestamptz WHERE $6::text <> ''`

// seenBy narrows messages to those of one side: $3 is its route, NULL the asker,
// who sees all there are. A route sees its own and those to all.
const seenBy = `child_id = $1 AND contact_request_id = $2 AND ($3::uuid IS NULL OR correspondent_id = $3 OR correspondent_id IS NULL)`

// side is the route of a party for SQL.
func (p *party) side() zeronull.UUID {
	if p.route == nil {
		return zeronull.UUID{}
	}
	return zeronull.UUID(p.route.id)
}

func (p *party) noteMessage(n *note) *irtv1.ContactMessage {
	m := &irtv1.ContactMessage{
		Name: p.name() + "/messages/" + n.id.String(), FromAsker: n.fromAsker, Text: n.text, CreateTime: timestamppb.New(n.created),
	}
	if n.correspondent != uuid.Nil {
		m.Correspondent, m.ReadTime = n.correspondent.String(), instant(n.readTime)
	}
	return m
}

// SendContactMessage implements irt.v1.ContactService.
func (s *Service) SendContactMessage(ctx context.Context, req *irtv1.SendContactMessageRequest) (*irtv1.ContactMessage, error) {
	text := strings.TrimSpace(req.GetMessage().GetText())
	if text == "" {
		return nil, rpc.Invalid([]standard.Fault{{
			Field: "message.text", RuleID: "STRING_MIN_LEN", Description: "The message is empty.", Action: "Write something.",
		}})
	}
	asker := s.directory.Asker(ctx)
	n := &note{text: text}
	var by *party
	err := s.make(ctx, req.GetParent(), "", send, func(c *change, p *party) (err error) {
		by, n.fromAsker, n.created = p, p.route == nil, c.now
		if n.correspondent, err = p.to(req.GetMessage().GetCorrespondent()); err != nil {
			return err
		}
		if err := c.mayWriteMore(ctx, p); err != nil {
			return err
		}
		n.id = uuid.Must(uuid.NewV7())
		if err := c.write(ctx, p, n); err != nil {
			return err
		}
		c.tellOther(p, n.correspondent)
		return nil
	})
	if err != nil {
		return nil, err
	}
	m := by.noteMessage(n)
	redact.Show(ctx, m, own(asker))
	return m, nil
}

// to is whom a message is to, or from.
func (p *party) to(given string) (uuid.UUID, error) {
	fault := func(description, action string) error {
		return rpc.Invalid([]standard.Fault{{
			Field: "message.correspondent", RuleID: "CONTACT_CORRESPONDENT", Description: description, Action: action,
		}})
	}
	switch {
	case p.route != nil && given == "":
		return p.route.id, nil
	case p.route != nil:
		return uuid.Nil, fault("Your message goes to the asker.", "Leave correspondent out.")
	case p.direct() && len(p.routes) == 1:
		given = p.routes[0].id.String()
	case given == "":
		return uuid.Nil, nil
	}
	for _, r := range p.routes {
		if given == r.id.String() && (r.state == answered || p.direct()) {
			return r.id, nil
		}
	}
	return uuid.Nil, fault("Nobody of that name has answered.", "Send one of the correspondents in answers, or none to write to all who have the request.")
}

// mayWriteMore holds each side to so many messages.
func (c *change) mayWriteMore(ctx context.Context, p *party) error {
	var n int
	err := c.tx.QueryRow(ctx, `SELECT count(*) FROM contact_messages WHERE `+seenBy+` AND from_asker = $4`,
		[16]byte(p.childID), [16]byte(p.id), p.side(), p.route == nil).Scan(&n)
	if err != nil {
		return fmt.Errorf("contact: counting messages: %w", err)
	}
	if n >= messagesMost {
		return rpc.Precondition(fmt.Sprintf("You have sent %d messages with this request, and there may be no more. Ring each other.", n))
	}
	return nil
}

func (c *change) write(ctx context.Context, p *party, n *note) error {
	_, err := c.tx.Exec(ctx, insertMessage, [16]byte(p.childID), [16]byte(p.id), [16]byte(n.id), n.fromAsker,
		zeronull.UUID(n.correspondent), n.text, c.now, p.expires.Add(keptFor))
	if err != nil {
		return fmt.Errorf("contact: storing a message: %w", err)
	}
	return nil
}

// tellOther tells the other side of a message.
func (c *change) tellOther(p *party, to uuid.UUID) {
	if p.route != nil {
		c.tell(irtv1.EventKind_EVENT_KIND_CONTACT_MESSAGE, p.request, p.agency)
		return
	}
	for _, r := range p.routes {
		if to == uuid.Nil && (r.state == open || r.state == answered) || to == r.id {
			c.tell(irtv1.EventKind_EVENT_KIND_CONTACT_MESSAGE, p.request, r.agency)
		}
	}
}

// ListContactMessages implements irt.v1.ContactService.
func (s *Service) ListContactMessages(ctx context.Context, req *irtv1.ListContactMessagesRequest) (*irtv1.ListContactMessagesResponse, error) {
	asker := s.directory.Asker(ctx)
	p, err := s.find(ctx, s.pool, asker, req.GetParent())
	if err != nil {
		return nil, err
	}
	rows, err := s.pool.Query(ctx, `SELECT message_id, from_asker, correspondent_id, text, create_time, read_time
		FROM contact_messages WHERE `+seenBy+` ORDER BY create_time, message_id`, [16]byte(p.childID), [16]byte(p.id), p.side())
	if err != nil {
		return nil, fmt.Errorf("contact: listing messages: %w", err)
	}
	notes, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (*note, error) {
		n := &note{}
		return n, row.Scan((*[16]byte)(&n.id), &n.fromAsker, (*zeronull.UUID)(&n.correspondent), &n.text, &n.created,
			(*zeronull.Timestamptz)(&n.readTime))
	})
	if err != nil {
		return nil, fmt.Errorf("contact: listing messages: %w", err)
	}
	p.note(audit.FromContext(ctx))
	out := &irtv1.ListContactMessagesResponse{}
	for _, n := range notes {
		m := p.noteMessage(n)
		redact.Show(ctx, m, own(asker))
		out.Messages = append(out.Messages, m)
	}
	return out, nil
}

// MarkContactRead implements irt.v1.ContactService. Messages to all who have a
// request have no receipt: it would say that there is somebody.
func (s *Service) MarkContactRead(ctx context.Context, req *irtv1.MarkContactReadRequest) (*emptypb.Empty, error) {
	err := s.inChange(ctx, func(c *change) error {
		p, err := c.held(ctx, req.GetName())
		if err != nil {
			return err
		}
		p.note(c.access)
		b := &pgx.Batch{}
		child, id := [16]byte(p.childID), [16]byte(p.id)
		b.Queue(`UPDATE contact_messages SET read_time = $4 WHERE child_id = $1 AND contact_request_id = $2
			AND ($3::uuid IS NULL AND NOT from_asker OR from_asker AND correspondent_id = $3) AND read_time IS NULL`, child, id, p.side(), c.now)
		b.Queue(`UPDATE contact_routes SET read_time = $4 WHERE child_id = $1 AND contact_request_id = $2
			AND correspondent_id = $3 AND read_time IS NULL`, child, id, p.side(), c.now)
		if err := c.tx.SendBatch(ctx, b).Close(); err != nil {
			return fmt.Errorf("contact: marking as read: %w", err)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &emptypb.Empty{}, nil
}
