package exchange

import (
	"context"
	"fmt"
	"io"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/agencies"
	"irthub/internal/exchange/recordfile"
	"irthub/internal/standard"
)

// hanging is what a row holds besides a record of a child: what hangs on one, or a
// service.
type hanging interface {
	proto.Message
	GetName() string
}

// kind is what a file of the hub's own forms holds.
type kind struct {
	form       *recordfile.Form
	thing      string // as people call one
	collection string // of the names of its records
	empty      func() proto.Message
}

var (
	childRecords = kind{recordfile.ChildRecords(), "child", "childRecords", func() proto.Message { return &irtv1.ChildRecord{} }}
	involvements = kind{recordfile.Involvements(), "involvement", "involvements", func() proto.Message { return &irtv1.Involvement{} }}
	concerns     = kind{recordfile.Concerns(), "concern", "concerns", func() proto.Message { return &irtv1.Concern{} }}
	referrals    = kind{recordfile.Referrals(), "referral", "referrals", func() proto.Message { return &irtv1.Referral{} }}
	consents     = kind{recordfile.Consents(), "consent", "consents", func() proto.Message { return &irtv1.Consent{} }}
	plans        = kind{recordfile.Plans(), "plan", "plans", func() proto.Message { return &irtv1.ProtectionPlan{} }}
	services     = kind{recordfile.Services(), "service", "services", func() proto.Message { return &irtv1.Service{} }}
)

// The forms in which each kind may be sent.
func (k kind) table(_ context.Context, _ *Service, j *job, file io.Reader) (source, error) {
	return openRecords(j, file, k)
}

func (k kind) lines(_ context.Context, _ *Service, j *job, file io.Reader) (source, error) {
	return openNDJSON(j, file, k), nil
}

// ownNames are the collections of what a row may name by the agency's own id alone.
var ownNames = map[protoreflect.Name]string{"child_record": "childRecords", "practitioner": "practitioners"}

// qualify completes the names that a file may give by the agency's own ids alone.
func (k kind) qualify(agency string, m proto.Message) {
	r := m.ProtoReflect()
	for _, f := range k.form.Own() {
		collection := ownNames[f.Name()]
		if f.Name() == "name" {
			collection = k.collection
		}
		r.Set(f, protoreflect.ValueOfString(qualified(agency, collection, r.Get(f).String())))
	}
	switch m := m.(type) {
	case *irtv1.Referral:
		m.Recipient = agencyNamed(m.GetRecipient())
	case *irtv1.Consent:
		for i, id := range m.GetRecipients() {
			m.Recipients[i] = agencyNamed(id)
		}
	}
}

// agencyNamed completes the name of another agency, of which a file may give the id alone.
func agencyNamed(id string) string {
	id = standard.CleanText(id)
	if _, whole := agencies.ParseName(id); whole || id == "" {
		return id
	}
	return agencies.Name(id)
}

// normalise puts what a row holds into the standard's form.
func normalise(m proto.Message) {
	switch m := m.(type) {
	case *irtv1.ChildRecord:
		standard.Normalise(m)
	case *irtv1.Involvement:
		standard.NormaliseInvolvement(m)
	case *irtv1.Concern:
		standard.NormaliseConcern(m)
	case *irtv1.Referral:
		standard.NormaliseReferral(m)
	case *irtv1.ProtectionPlan:
		standard.NormalisePlan(m)
	case *irtv1.Consent:
		standard.NormaliseConsent(m)
	case *irtv1.Service:
		standard.NormaliseService(m)
	}
}

// submitPart has the feature whose it is take a part in.
func (s *Service) submitPart(ctx context.Context, p hanging, validateOnly bool) (changed bool, err error) {
	switch p := p.(type) {
	case *irtv1.Involvement:
		return s.involvements.Submit(ctx, p, validateOnly)
	case *irtv1.Concern:
		return s.concerns.Submit(ctx, p, validateOnly)
	case *irtv1.Referral:
		return s.referrals.Submit(ctx, p, validateOnly)
	case *irtv1.ProtectionPlan:
		return s.plans.Submit(ctx, p, validateOnly)
	case *irtv1.Consent:
		return s.consents.Submit(ctx, p, validateOnly)
	case *irtv1.Service:
		return s.services.Submit(ctx, p, validateOnly)
	}
	return false, fmt.Errorf("exchange: a row with a %T", p)
}
