package contact

import (
	"context"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/agencies"
	"irthub/internal/audit"
	"irthub/internal/redact"
	"irthub/internal/rpc"
	"irthub/internal/sharing"
)

// message is the request from one side. It holds nothing of the other routes, and
// of its own from the asker's side only what their people chose to tell.
func (s *Service) message(p *party) *irtv1.ContactRequest {
	m := &irtv1.ContactRequest{
		Name: p.name(), Child: rpc.ChildName(p.childID), Audience: p.audience, State: p.state(), Purpose: p.purpose, Reason: p.reason,
		Asker:      s.contact(p.agency, p.practitioner, p.person),
		CreateTime: timestamppb.New(p.created), ExpireTime: timestamppb.New(p.expires), Etag: p.etag(),
	}
	if r := p.route; r != nil {
		m.Correspondent, m.ReadTime = r.id.String(), instant(r.readTime)
		if r.practitioner != "" {
			m.Practitioner = agencies.PractitionerName(r.agency, r.practitioner)
		}
		if p.direct() {
			m.Involvement = agencies.Name(r.agency) + "/involvements/" + r.localID
		}
		return m
	}
	for _, r := range p.routes {
		if p.direct() {
			m.Involvement, m.ReadTime = agencies.Name(r.agency)+"/involvements/"+r.localID, instant(r.readTime)
		}
		if r.state != answered {
			continue
		}
		a := &irtv1.ContactAnswer{Correspondent: r.id.String(), AnswerTime: timestamppb.New(r.answerTime)}
		if r.disclosed {
			a.Contact = s.contact(r.agency, r.answeredBy, r.person)
		}
		m.Answers = append(m.Answers, a)
	}
	return m
}

// shown makes the message of a request ready to leave, and notes it in the access
// log.
func (s *Service) shown(ctx context.Context, p *party, asker agencies.Asker, m *irtv1.ContactRequest) *irtv1.ContactRequest {
	redact.Show(ctx, m, own(asker))
	p.note(audit.FromContext(ctx))
	return m
}

// own decides how a party sees what it has a part in.
func own(asker agencies.Asker) *sharing.Decision {
	facts := asker.Facts()
	facts.Own = true
	return sharing.Decide(sharing.See, facts)
}

// instant is absent where there is none.
func instant(at time.Time) *timestamppb.Timestamp {
	if at.IsZero() {
		return nil
	}
	return timestamppb.New(at)
}
