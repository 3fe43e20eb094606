package exchange

import (
	"context"
	"fmt"
	"io"

	"google.golang.org/protobuf/proto"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/agencies"
	"irthub/internal/exchange/recordfile"
	"irthub/internal/standard"
)

// hanging is what a row holds besides a record of a child.
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
)

// The forms in which each kind may be sent.
func (k kind) table(_ context.Context, _ *Service, j *job, file io.Reader) (source, error) {
	return openRecords(j, file, k)
}

func (k kind) lines(_ context.Context, _ *Service, j *job, file io.Reader) (source, error) {
	return openNDJSON(j, file, k), nil
}

// qualify completes the names that a file may give by the agency's own ids alone.
func (k kind) qualify(agency string, m proto.Message) {
	own := func(name *string, collection string) { *name = qualified(agency, collection, *name) }
	switch m := m.(type) {
	case *irtv1.ChildRecord:
		own(&m.Name, k.collection)
	case *irtv1.Involvement:
		own(&m.Name, k.collection)
		own(&m.ChildRecord, "childRecords")
		own(&m.Practitioner, "practitioners")
	case *irtv1.Concern:
		own(&m.Name, k.collection)
		own(&m.ChildRecord, "childRecords")
		own(&m.Practitioner, "practitioners")
	case *irtv1.Referral:
		own(&m.Name, k.collection)
		own(&m.ChildRecord, "childRecords")
		if id := standard.CleanText(m.GetRecipient()); id != "" {
			if _, whole := agencies.ParseName(id); !whole {
				id = agencies.Name(id)
			}
			m.Recipient = id
		}
	}
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
	}
	return false, fmt.Errorf("exchange: a row with a %T", p)
}
