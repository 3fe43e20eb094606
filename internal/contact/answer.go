package contact

import (
	"context"
	"strings"

	"github.com/google/uuid"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/children"
	"irthub/internal/rpc"
	"irthub/internal/standard"
)

// make makes a move, with the child held. Who had the move when they came and lost
// it while waiting for the child is told that somebody was faster.
func (s *Service) make(ctx context.Context, name, etag string, m move, do func(*change, *party) error) error {
	asker := s.directory.Asker(ctx)
	before, err := s.find(ctx, s.pool, asker, name)
	if err != nil {
		return err
	}
	return s.inChange(ctx, func(c *change) error {
		p, err := c.held(ctx, name)
		if err != nil {
			return err
		}
		p.now = c.now
		p.note(c.access)
		if err := rpc.CheckEtag(ctx, etag, p.etag()); err != nil {
			return p.overtaken()
		}
		if err := p.may(m); err != nil {
			if before.may(m) == nil {
				return p.overtaken()
			}
			return err
		}
		return do(c, p)
	})
}

// held is a request from the caller's side, with its child held.
func (c *change) held(ctx context.Context, name string) (*party, error) {
	found, err := c.s.find(ctx, c.tx, c.asker, name)
	if err != nil {
		return nil, err
	}
	if err := c.hold(ctx, found.childID); err != nil {
		return nil, err
	}
	p, err := c.s.find(ctx, c.tx, c.asker, name)
	if err == nil && p.childID != found.childID {
		err = children.ErrMoved
	}
	return p, err
}

// AnswerContactRequest implements irt.v1.ContactService.
func (s *Service) AnswerContactRequest(ctx context.Context, req *irtv1.AnswerContactRequestRequest) (*irtv1.ContactRequest, error) {
	text := strings.TrimSpace(req.GetText())
	if text == "" {
		return nil, rpc.Invalid([]standard.Fault{{
			Field: "text", RuleID: "STRING_MIN_LEN", Description: "The answer is empty.", Action: "Write how to go on.",
		}})
	}
	return s.move(ctx, req.GetName(), req.GetEtag(), answer, func(c *change, p *party) error {
		p.route.answeredBy, p.route.disclosed, p.route.answerTime = c.asker.Practitioner, req.GetDisclose(), c.now
		if err := c.setRoute(ctx, p.request, p.route, answered); err != nil {
			return err
		}
		if p.request.state == open {
			if err := c.setState(ctx, p.request, answered); err != nil {
				return err
			}
		}
		n := &note{id: uuid.Must(uuid.NewV7()), correspondent: p.route.id, text: text}
		if err := c.write(ctx, p, n); err != nil {
			return err
		}
		c.tell(irtv1.EventKind_EVENT_KIND_CONTACT_ANSWERED, p.request, p.agency)
		return nil
	})
}

// DeclineContactRequest implements irt.v1.ContactService. The asker of a brokered
// request is not told: without anybody behind it, it could never be declined.
func (s *Service) DeclineContactRequest(ctx context.Context, req *irtv1.DeclineContactRequestRequest) (*irtv1.ContactRequest, error) {
	return s.move(ctx, req.GetName(), req.GetEtag(), decline, func(c *change, p *party) error {
		if err := c.setRoute(ctx, p.request, p.route, declined); err != nil || !p.direct() {
			return err
		}
		c.tell(irtv1.EventKind_EVENT_KIND_CONTACT_DECLINED, p.request, p.agency)
		return c.setState(ctx, p.request, declined)
	})
}

// CancelContactRequest implements irt.v1.ContactService.
func (s *Service) CancelContactRequest(ctx context.Context, req *irtv1.CancelContactRequestRequest) (*irtv1.ContactRequest, error) {
	return s.move(ctx, req.GetName(), req.GetEtag(), cancel, func(c *change, p *party) error {
		for _, r := range p.routes {
			if r.state == open {
				c.tell(irtv1.EventKind_EVENT_KIND_CONTACT_CANCELLED, p.request, r.agency)
			}
		}
		if err := c.setRoute(ctx, p.request, nil, cancelled); err != nil {
			return err
		}
		return c.setState(ctx, p.request, cancelled)
	})
}

// move makes a move and answers with the request as it is then.
func (s *Service) move(ctx context.Context, name, etag string, m move, do func(*change, *party) error) (*irtv1.ContactRequest, error) {
	var after *party
	err := s.make(ctx, name, etag, m, func(c *change, p *party) error {
		after = p
		return do(c, p)
	})
	if err != nil {
		return nil, err
	}
	return s.shown(ctx, after, s.directory.Asker(ctx), s.message(after)), nil
}
