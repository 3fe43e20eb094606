package agencies

import (
	"context"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/identity"
	"irthub/internal/sharing"
)

// Asker is a caller and for whom it asks: the agency whose relation to a child
// decides what is shown, and the practitioner of it. For a mediator they are those
// of the practitioner acted for.
type Asker struct {
	Caller       identity.Caller
	Agency       string // "" where nobody may be asked for: then nothing is shown
	Kind         irtv1.AgencyKind
	Practitioner string
}

// Asker finds out for whom the caller of a call asks.
func (d *Directory) Asker(ctx context.Context) Asker { return d.AskerOf(identity.FromContext(ctx)) }

// AskerOf finds out for whom a caller asks.
func (d *Directory) AskerOf(c identity.Caller) Asker {
	a := Asker{Caller: c, Agency: c.Agency, Kind: c.Kind, Practitioner: c.Practitioner}
	mediates := c.Role == irtv1.Role_ROLE_MEDIATOR
	if mediates {
		a.Agency, a.Practitioner, _ = ParsePractitionerName(c.OnBehalfOf)
	}
	known := d.present.Load().byID[a.Agency]
	switch {
	case known != nil && (known.Active || !mediates):
		a.Kind = known.Kind
	case mediates: // for an agency that is not registered, or no longer active
		a.Agency, a.Kind = "", 0
	}
	return a
}

// Facts are those about the asker, for a question about a child.
func (a Asker) Facts() sharing.Facts {
	f := sharing.FactsOf(a.Caller)
	f.Identified = f.Identified && a.Agency != ""
	f.Kind = a.Kind
	return f
}

// Owns tells whether something is an agency's own.
func (a Asker) Owns(agencyID string) bool { return a.Agency != "" && a.Agency == agencyID }
