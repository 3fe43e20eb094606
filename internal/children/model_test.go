package children_test

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/children"
	"irthub/internal/match"
)

// givenModel is one as irthub match train writes it, to which dates of birth that are not
// quite the same speak for one child, as they do not to the one built in.
func givenModel(t *testing.T, version string, change func(*match.Parameters)) *match.Model {
	t.Helper()
	p := match.Default().Parameters()
	p.Version, p.Records = version, 200_000
	for level, share := range map[string]float64{"same": 0.38, "slip": 0.3, "two_parts": 0.3} {
		shares := p.Levels["date_of_birth"][level]
		shares[match.SameChild] = share
		p.Levels["date_of_birth"][level] = shares
	}
	if change != nil {
		change(&p)
	}
	written, err := match.New(p)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := written.Write(&b); err != nil {
		t.Fatal(err)
	}
	m, err := match.Read(&b)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// start is a further process on the database, that goes by a model; what it says in the
// log, and the error of its start.
func (h *hub) start(m *match.Model) (s *children.Service, said string, err error) {
	h.t.Helper()
	s = newService(h.t, h.pool)
	if m != nil {
		if err := s.UseModel(m); err != nil {
			h.t.Fatal(err)
		}
	}
	var b strings.Builder
	l, err := s.StartLearning(h.t.Context(), slog.New(slog.NewTextHandler(&b, nil)))
	if err == nil {
		h.t.Cleanup(l.Close)
	}
	return s, b.String(), err
}

// A hub decides by the model that it is given, says so of each decision, and goes on
// learning from the index how common names are, before it decides anything.
func TestGivenModel(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	pair, record := h.zephyrines()
	before := pair()
	h.populate(600, "Amelia", "Smith")
	s, said, err := h.start(givenModel(t, "area-2026", nil))
	if err != nil || !strings.Contains(said, "area-2026+index-1") {
		t.Fatalf("it says %q, error %v", said, err)
	}
	h.Service = s
	if got := pair().GetModelVersion(); got != "area-2026+index-1" {
		t.Errorf("two are compared by %s", got)
	}
	if after := pair(); after.GetWeight() < before.GetWeight()+1 {
		t.Errorf("the weight was %.2f, and is %.2f", before.GetWeight(), after.GetWeight())
	}
	got := h.send("police", "f", freya())
	if got.GetMatch().GetModelVersion() != "area-2026+index-1" {
		t.Errorf("decided by %s", got.GetMatch().GetModelVersion())
	}
	if was, err := h.ExplainMatch(manager(t), &irtv1.ExplainMatchRequest{ChildRecord: record}); err != nil || was.GetMatch().GetModelVersion() != match.Default().Version {
		t.Errorf("what was decided before is said to be of %v, %v", was.GetMatch().GetModelVersion(), err)
	}
	h.populate(2000, "Zephyrine", "Quill")
	if learnt, err := h.Learn(t.Context()); err != nil || !learnt || pair().GetModelVersion() != "area-2026+index-2" {
		t.Errorf("learnt %v, by %s, error %v", learnt, pair().GetModelVersion(), err)
	}
	// A version is one model for good.
	if _, _, err := h.start(givenModel(t, "area-2026", nil)); err != nil {
		t.Errorf("the same again: %v", err)
	}
	if _, _, err := h.start(givenModel(t, "area-2026", func(p *match.Parameters) { p.Margin = 7 })); err == nil || !strings.Contains(err.Error(), "--model-version") {
		t.Errorf("another of its version: %v", err)
	}
}

// All is matched again by the model of the hubs; by another it is only said what would
// change, unless no hub runs.
func TestRematchByTheModelOfTheHub(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.populate(600, "Amelia", "Smith")
	// Two that the built-in model holds for people, and the other one links.
	zephyr := &irtv1.ChildRecord{GivenName: "Peregrine", FamilyName: "Quill", DateOfBirth: "2011-05-06"}
	h.send("school", "z1", zephyr)
	if got := h.send("gp", "z2", with(zephyr, func(r *irtv1.ChildRecord) { r.DateOfBirth = "2011-05-17" })); got.GetMatch().GetDecision() != irtv1.MatchDecision_MATCH_DECISION_REVIEW {
		t.Fatalf("sent: %v", got)
	}
	area, other := givenModel(t, "area-2026", nil), givenModel(t, "area-2027", func(p *match.Parameters) { p.Link, p.Review = 0.999, 0.001 })
	run := func(o children.RematchOptions) (*children.RematchTally, error) {
		return rematch(t.Context(), t, h.pool, o)
	}

	// Before any hub has it.
	if got, err := run(children.RematchOptions{DryRun: true, Model: area}); err != nil || got.Model != "area-2026" || got.Merged == 0 {
		t.Errorf("what would change: %+v, error %v", got, err)
	}
	if n := h.count(`SELECT (SELECT count(*) FROM match_models) + (SELECT count(*) FROM match_frequencies)`); n != 0 {
		t.Errorf("a dry run has kept %d rows", n)
	}
	if _, _, err := h.start(area); err != nil {
		t.Fatal(err)
	}
	for _, o := range []children.RematchOptions{{DryRun: true}, {DryRun: true, Model: area}} {
		if got, err := run(o); err != nil || got.Model != "area-2026+index-1" || got.Merged == 0 {
			t.Errorf("what would change: %+v, error %v", got, err)
		}
	}
	if got, err := run(children.RematchOptions{DryRun: true, Model: other}); err != nil || got.Model != "area-2027" || got.Merged != 0 {
		t.Errorf("by a further one: %+v, error %v", got, err)
	}
	if _, err := run(children.RematchOptions{Model: other}); err == nil || !strings.Contains(err.Error(), `"area-2026", not "area-2027"`) {
		t.Errorf("by one that is not the hub's: %v", err)
	}
	if got, err := run(children.RematchOptions{}); err != nil || got.Model != "area-2026+index-1" || got.Merged != 1 {
		t.Errorf("%+v, error %v", got, err)
	}
	if n := h.count(`SELECT count(*) FROM child_records WHERE match_model_version = 'area-2026+index-1'`); n != 1 {
		t.Errorf("%d records are where they are by the model, want the one that moved", n)
	}
	// Another hub with another model.
	if _, _, err := h.start(other); err != nil {
		t.Fatal(err)
	}
	if _, err := run(children.RematchOptions{}); err == nil || !strings.Contains(err.Error(), "different models") {
		t.Errorf("by two: %v", err)
	}
}
