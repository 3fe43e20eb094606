package children

import (
	"context"
	"fmt"
	"slices"

	"github.com/google/uuid"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/match"
)

// risk is how bad it would be to make one child of two wrongly, and why. It
// decides what is looked at first, and what takes two people.
type risk struct {
	level   irtv1.MatchReviewRisk
	reasons []string
}

const (
	lowRisk    = irtv1.MatchReviewRisk_MATCH_REVIEW_RISK_LOW
	mediumRisk = irtv1.MatchReviewRisk_MATCH_REVIEW_RISK_MEDIUM
	highRisk   = irtv1.MatchReviewRisk_MATCH_REVIEW_RISK_HIGH
)

func (r *risk) add(level irtv1.MatchReviewRisk, reason string) {
	r.level = max(r.level, level)
	if !slices.Contains(r.reasons, reason) {
		r.reasons = append(r.reasons, reason)
	}
}

// Reasons for a risk, beside those of matching's rules.
const (
	numbersDiffer  = "NHS_NUMBERS_DIFFER"
	sharedNumber   = "SHARED_IDENTIFIER"
	twinPlausible  = "TWIN_PLAUSIBLE"
	twoFit         = "TWO_CHILDREN_FIT"
	shieldedChild  = "SHIELDED"
	manyRecords    = "MANY_RECORDS"
	heldApartRisk  = "HELD_APART"
	unlike         = "EVIDENCE_AGAINST"
	manyRecordsAre = 4 // on both sides: much to put apart again
	// familyLikely is how probable it must be that two records are a twin's or a
	// sibling's for that to be a risk.
	familyLikely = 0.2
)

// riskOf is what matching's decision says of the risk, before anybody looks at
// the two children whole.
func riskOf(d *match.Decision) risk {
	r := risk{level: lowRisk}
	switch d.Rule {
	case match.RuleDifferentNHSNumber:
		r.add(highRisk, numbersDiffer)
	case match.RuleNHSNumberConflict, match.RuleUPNConflict:
		r.add(highRisk, sharedNumber)
	case match.RuleTwinName, match.RuleNoGivenName, match.RuleOtherMember:
		r.add(highRisk, twinPlausible)
	case match.RuleAmbiguous:
		r.add(mediumRisk, twoFit)
	}
	r.addFamily(&d.Result)
	return r
}

func (r *risk) addFamily(result *match.Result) {
	if result.Posterior[match.Twin]+result.Posterior[match.Sibling] >= familyLikely {
		r.add(highRisk, twinPlausible)
	}
}

// riskBetween is the risk of making one child of two, by all their records.
func riskBetween(m *match.Model, side, other []*record) risk {
	r := risk{level: lowRisk}
	alike := false
	for _, x := range side {
		for _, y := range other {
			a, b := x.person, y.person
			if a.GetNhsNumber() != "" && b.GetNhsNumber() != "" && a.GetNhsNumber() != b.GetNhsNumber() {
				r.add(highRisk, numbersDiffer)
			}
			d := m.Decide(x.features(), candidatesOf(y.childID, []*record{y}))
			alike = alike || d.Band != match.BandNew
			one := riskOf(&d)
			for _, reason := range one.reasons {
				r.add(one.level, reason)
			}
		}
	}
	if !alike && len(side) > 0 && len(other) > 0 {
		r.add(highRisk, unlike)
	}
	if len(side) >= manyRecordsAre && len(other) >= manyRecordsAre {
		r.add(highRisk, manyRecords)
	}
	return r
}

// shielded tells whether any of the children is shielded.
func shielded(ctx context.Context, q querier, ids ...uuid.UUID) (bool, error) {
	rows, err := q.Query(ctx, `SELECT 1 FROM child_sharing WHERE child_id = ANY($1::uuid[]) AND shielded LIMIT 1`, uuids(ids))
	if err != nil {
		return false, fmt.Errorf("children: looking for shields: %w", err)
	}
	defer rows.Close()
	found := rows.Next()
	return found, rows.Err()
}
