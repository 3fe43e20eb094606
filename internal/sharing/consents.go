package sharing

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	irtv1 "irthub/gen/irt/v1"
)

// ConsentFact is a consent that has not been withdrawn, as the facts of a child
// hold it (child_sharing.consents): enough to decide by, and short, because it is
// read with the child. Its period is judged by who reads, so that the passing of
// time changes no row.
type ConsentFact struct {
	Scope      irtv1.ConsentScope `json:"s"`
	Categories []irtv1.Category   `json:"c,omitempty"` // none: all but the sensitive
	Kinds      []irtv1.AgencyKind `json:"k,omitempty"` // neither kinds nor recipients:
	Recipients []string           `json:"r,omitempty"` // any agency, by id
	Agency     string             `json:"a"`           // took it; whose involvement a SENSITIVE_INVOLVEMENT shows
	ByParent   bool               `json:"p,omitempty"` // by a person with parental responsibility
	From       string             `json:"f"`           // the first day, YYYY-MM-DD
	Until      string             `json:"t,omitempty"` // the last day, or ""
}

// ParseConsents reads the facts as they are stored; nothing stored is none.
func ParseConsents(stored []byte) ([]ConsentFact, error) {
	if len(stored) == 0 {
		return nil, nil
	}
	var facts []ConsentFact
	if err := json.Unmarshal(stored, &facts); err != nil {
		return nil, fmt.Errorf("sharing: reading consents: %w", err)
	}
	return facts, nil
}

// ageOfMajority is when parental responsibility ends (Children Act 1989 s. 105).
const ageOfMajority = 18

// InForce tells whether the consent holds on a day. What a person with parental
// responsibility agreed to share ends when the child, born on a day that may be
// unknown (zero), comes of age: from then on only the young person can say so. The
// consent to stay in the index goes on until it is withdrawn, since it is given for
// the years after.
func (c *ConsentFact) InForce(day, born time.Time) bool {
	on := day.Format(time.DateOnly)
	if on < c.From || c.Until != "" && on > c.Until {
		return false
	}
	outgrown := c.ByParent && c.Scope != irtv1.ConsentScope_CONSENT_SCOPE_RETENTION &&
		!born.IsZero() && !day.Before(born.AddDate(ageOfMajority, 0, 0))
	return !outgrown
}

// Covers tells whether the consent is to share with an agency of a kind.
func (c *ConsentFact) Covers(agencyID string, kind irtv1.AgencyKind) bool {
	if len(c.Kinds) == 0 && len(c.Recipients) == 0 {
		return true
	}
	return slices.Contains(c.Kinds, kind) || slices.Contains(c.Recipients, agencyID)
}

// Shares tells whether the consent is to share a category of information.
func (c *ConsentFact) Shares(category irtv1.Category) bool {
	return c.Scope == irtv1.ConsentScope_CONSENT_SCOPE_SHARING &&
		category != irtv1.Category_CATEGORY_SENSITIVE &&
		(len(c.Categories) == 0 || slices.Contains(c.Categories, category))
}

// Shared are the categories of information that the consent is to share.
func (c *ConsentFact) Shared() Categories {
	var set Categories
	for _, category := range categories {
		if c.Shares(category) {
			set |= SetOf(category)
		}
	}
	return set
}

// ShowsInvolvement tells whether the consent is to show the involvement of a
// sensitive service.
func (c *ConsentFact) ShowsInvolvement(agencyID string) bool {
	return c.Scope == irtv1.ConsentScope_CONSENT_SCOPE_SENSITIVE_INVOLVEMENT && c.Agency == agencyID
}
