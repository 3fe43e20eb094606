package children

import (
	"testing"
	"time"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/sharing"
)

func on(t *testing.T, iso string) time.Time {
	t.Helper()
	if iso == "" {
		return time.Time{}
	}
	day, err := time.Parse(time.DateOnly, iso)
	if err != nil {
		t.Fatal(err)
	}
	return day
}

func TestWhenAnEntryIsArchived(t *testing.T) {
	t.Parallel()
	keep := func(until ...string) (facts []sharing.ConsentFact) {
		for _, u := range until {
			facts = append(facts, sharing.ConsentFact{Scope: irtv1.ConsentScope_CONSENT_SCOPE_RETENTION, From: "2020-01-01", Until: u})
		}
		return facts
	}
	share := []sharing.ConsentFact{{Scope: irtv1.ConsentScope_CONSENT_SCOPE_SHARING, From: "2020-01-01"}}
	for _, c := range []struct {
		what              string
		born, died, left  string
		consents          []sharing.ConsentFact
		wantDay, wantWhat string
	}{
		{what: "of age 0 to 19", born: "2006-11-26", wantDay: "2026-11-26", wantWhat: "AGE"},
		{what: "born on a leap day: 20 in a leap year", born: "2004-02-29", wantDay: "2024-02-29", wantWhat: "AGE"},
		{what: "born on a leap day, with consent: 25 in another year", born: "2004-02-29", consents: keep(""), wantDay: "2029-03-01", wantWhat: "CONSENT"},
		{what: "with consent", born: "2006-11-26", consents: keep(""), wantDay: "2031-11-26", wantWhat: "CONSENT"},
		{what: "with consent that ends before 25", born: "2006-11-26", consents: keep("2028-05-31"), wantDay: "2028-06-01", wantWhat: "CONSENT"},
		{what: "with consent beyond 25", born: "2006-11-26", consents: keep("2040-01-01"), wantDay: "2031-11-26", wantWhat: "CONSENT"},
		{what: "with consent that ends before 20", born: "2006-11-26", consents: keep("2025-01-01"), wantDay: "2026-11-26", wantWhat: "AGE"},
		{what: "with two consents", born: "2006-11-26", consents: keep("2027-01-01", "2028-01-01"), wantDay: "2028-01-02", wantWhat: "CONSENT"},
		{what: "with consent to share", born: "2006-11-26", consents: share, wantDay: "2026-11-26", wantWhat: "AGE"},
		{what: "died as a child", born: "2015-06-02", died: "2026-01-31", wantDay: "2027-01-31", wantWhat: "DEATH"},
		{what: "died on a leap day", born: "2015-06-02", died: "2024-02-29", wantDay: "2025-03-01", wantWhat: "DEATH"},
		{what: "died just before 20: the year after is kept", born: "2006-11-26", died: "2026-11-25", wantDay: "2027-11-25", wantWhat: "DEATH"},
		{what: "died when archived already", born: "2000-11-26", died: "2026-11-25", wantDay: "2020-11-26", wantWhat: "AGE"},
		{what: "died, of whom no birthday is known", died: "2026-01-31", wantDay: "2027-01-31", wantWhat: "DEATH"},
		{what: "whom no agency has a record of", born: "2015-06-02", left: "2026-01-31", wantDay: "2027-01-31", wantWhat: "NO_RECORD"},
		{what: "whom no agency has a record of, 20 before that", born: "2006-11-26", left: "2026-01-31", wantDay: "2026-11-26", wantWhat: "AGE"},
		{what: "of whom nothing is known", wantWhat: "UNSPECIFIED"},
	} {
		k := &Keeping{born: on(t, c.born), died: on(t, c.died), withdrawn: c.left != "", changed: on(t, c.left), consents: c.consents}
		day, reason := k.Due()
		if !day.Equal(on(t, c.wantDay)) || reason.String() != retentionPrefix+c.wantWhat {
			t.Errorf("%s: %v by %v, want %s by %s", c.what, day.Format(time.DateOnly), reason, c.wantDay, c.wantWhat)
		}
		if !day.IsZero() && (k.AtRest(day.AddDate(0, 0, -1)) || !k.AtRest(day)) {
			t.Errorf("%s: not archived from that day on", c.what)
		}
	}
}
