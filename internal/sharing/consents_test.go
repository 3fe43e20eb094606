package sharing_test

import (
	"testing"
	"time"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/sharing"
)

func day(t *testing.T, iso string) time.Time {
	t.Helper()
	d, err := time.Parse(time.DateOnly, iso)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestConsentsInForce(t *testing.T) {
	t.Parallel()
	const (
		share = irtv1.ConsentScope_CONSENT_SCOPE_SHARING
		show  = irtv1.ConsentScope_CONSENT_SCOPE_SENSITIVE_INVOLVEMENT
		keep  = irtv1.ConsentScope_CONSENT_SCOPE_RETENTION
	)
	for _, c := range []struct {
		what, on, born string
		fact           sharing.ConsentFact
		want           bool
	}{
		{"before its first day", "2025-12-31", "2010-05-05", sharing.ConsentFact{Scope: share, From: "2026-01-01"}, false},
		{"on its first day", "2026-01-01", "2010-05-05", sharing.ConsentFact{Scope: share, From: "2026-01-01"}, true},
		{"on its last day", "2026-02-01", "2010-05-05", sharing.ConsentFact{Scope: share, From: "2026-01-01", Until: "2026-02-01"}, true},
		{"after its last day", "2026-02-02", "2010-05-05", sharing.ConsentFact{Scope: share, From: "2026-01-01", Until: "2026-02-01"}, false},
		{"a parent's, the day before majority", "2026-05-04", "2008-05-05", sharing.ConsentFact{Scope: share, ByParent: true, From: "2020-01-01"}, true},
		{"a parent's, at majority", "2026-05-05", "2008-05-05", sharing.ConsentFact{Scope: share, ByParent: true, From: "2020-01-01"}, false},
		{"a parent's to show an involvement, at majority", "2026-05-05", "2008-05-05", sharing.ConsentFact{Scope: show, ByParent: true, From: "2020-01-01"}, false},
		{"the young person's own, at majority", "2026-05-05", "2008-05-05", sharing.ConsentFact{Scope: share, From: "2020-01-01"}, true},
		{"a parent's to be kept, after majority", "2030-01-01", "2008-05-05", sharing.ConsentFact{Scope: keep, ByParent: true, From: "2020-01-01"}, true},
		{"a parent's, born on a leap day, the day before", "2026-02-28", "2008-02-29", sharing.ConsentFact{Scope: share, ByParent: true, From: "2020-01-01"}, true},
		{"a parent's, born on a leap day", "2026-03-01", "2008-02-29", sharing.ConsentFact{Scope: share, ByParent: true, From: "2020-01-01"}, false},
		{"a parent's, of whose child no birthday is known", "2026-03-01", "", sharing.ConsentFact{Scope: share, ByParent: true, From: "2020-01-01"}, true},
	} {
		var born time.Time
		if c.born != "" {
			born = day(t, c.born)
		}
		if got := c.fact.InForce(day(t, c.on), born); got != c.want {
			t.Errorf("%s: in force %t", c.what, got)
		}
	}
}

func TestWhatConsentsCover(t *testing.T) {
	t.Parallel()
	facts, err := sharing.ParseConsents([]byte(`[
		{"s":1,"c":[4],"k":[1],"r":["gp-1"],"a":"social-1","f":"2026-01-01"},
		{"s":1,"a":"social-1","f":"2026-01-01"},
		{"s":2,"r":["gp-1"],"a":"camhs-1","f":"2026-01-01"}]`))
	if err != nil || len(facts) != 3 {
		t.Fatalf("%v, %v", facts, err)
	}
	narrow, wide, sensitive := &facts[0], &facts[1], &facts[2]
	for _, c := range []struct {
		what      string
		got, want bool
	}{
		{"a recipient named", narrow.Covers("gp-1", irtv1.AgencyKind_AGENCY_KIND_GP_PRACTICE), true},
		{"a recipient by kind", narrow.Covers("school-9", irtv1.AgencyKind_AGENCY_KIND_SCHOOL), true},
		{"neither", narrow.Covers("gp-2", irtv1.AgencyKind_AGENCY_KIND_GP_PRACTICE), false},
		{"anybody", wide.Covers("gp-2", irtv1.AgencyKind_AGENCY_KIND_GP_PRACTICE), true},
		{"the category named", narrow.Shares(irtv1.Category_CATEGORY_LOCATION), true},
		{"another category", narrow.Shares(irtv1.Category_CATEGORY_CONTACT), false},
		{"any category", wide.Shares(irtv1.Category_CATEGORY_CONTACT), true},
		{"what is sensitive is not any category", wide.Shares(irtv1.Category_CATEGORY_SENSITIVE), false},
		{"showing an involvement shares nothing else", sensitive.Shares(irtv1.Category_CATEGORY_CONTACT), false},
		{"the involvement of who took it", sensitive.ShowsInvolvement("camhs-1"), true},
		{"the involvement of another", sensitive.ShowsInvolvement("camhs-2"), false},
		{"sharing shows no involvement", wide.ShowsInvolvement("social-1"), false},
	} {
		if c.got != c.want {
			t.Errorf("%s: %t", c.what, c.got)
		}
	}
}

func TestConsentFactsAsStored(t *testing.T) {
	t.Parallel()
	if facts, err := sharing.ParseConsents(nil); err != nil || facts != nil {
		t.Errorf("nothing stored: %v, %v", facts, err)
	}
	if _, err := sharing.ParseConsents([]byte(`{"s":`)); err == nil {
		t.Error("what is damaged must not be read as no consent")
	}
}
