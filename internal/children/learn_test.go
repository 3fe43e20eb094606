package children_test

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/children"
	"irthub/internal/match"
)

// populate puts children with a name into the index who matching need not look at.
func (h *hub) populate(n int, given, family string) {
	h.t.Helper()
	h.exec(`INSERT INTO children (child_id, state, given_name, family_name, date_of_birth, create_time, known_from, revision)
		SELECT gen_random_uuid(), 1, $2, $3, '2010-01-01'::date + i, now(), now(), 1 FROM generate_series(1, $1) AS i`, n, given, family)
}

// zephyrines are two records that only their names and dates of birth say are one child's.
func (h *hub) zephyrines() (pair func() *irtv1.MatchExplanation, record string) {
	h.t.Helper()
	h.send("school", "z1", &irtv1.ChildRecord{GivenName: "Zephyrine", FamilyName: "Quill", DateOfBirth: "2011-05-06"})
	h.send("gp", "z2", &irtv1.ChildRecord{GivenName: "Zephyrine", FamilyName: "Quill", DateOfBirth: "2011-05-07"})
	return func() *irtv1.MatchExplanation {
		got, err := h.ExplainMatch(manager(h.t), &irtv1.ExplainMatchRequest{
			ChildRecord: "agencies/school/childRecords/z1", OtherChildRecord: "agencies/gp/childRecords/z2",
		})
		if err != nil || len(got.GetPairs()) != 1 {
			h.t.Fatalf("%v, %v", got, err)
		}
		return got.GetPairs()[0].GetMatch()
	}, "agencies/school/childRecords/z1"
}

// How common a name is, is learnt from the index: what everybody is called says less.
func TestNamesAreLearntFromTheIndex(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	pair, record := h.zephyrines()
	other := newService(t, h.pool)
	base := match.Default().Version
	if learnt, err := h.Learn(t.Context()); learnt || err != nil {
		t.Errorf("of two children it learnt something: %v, %v", learnt, err)
	}
	before := pair()
	h.populate(100, "Amelia", "Smith")
	h.populate(400, "ZEPHYRINE", "Quill")
	h.populate(3, "Xanthippe", "Oddname")
	if learnt, err := h.Learn(t.Context()); !learnt || err != nil {
		t.Fatalf("learnt %v, %v", learnt, err)
	}
	after := pair()
	if before.GetModelVersion() != base || after.GetModelVersion() != base+"+index-1" {
		t.Errorf("versions %s and %s", before.GetModelVersion(), after.GetModelVersion())
	}
	// A sixth of all children bear it, where one in a thousand was thought to: seven bits each name.
	if fall := before.GetWeight() - after.GetWeight(); fall < 8 || fall > 20 {
		t.Errorf("the weight falls by %.1f bits, from %.1f to %.1f", fall, before.GetWeight(), after.GetWeight())
	}
	if decided, err := h.ExplainMatch(manager(t), &irtv1.ExplainMatchRequest{ChildRecord: record}); err != nil || decided.GetMatch().GetModelVersion() != base {
		t.Errorf("what was decided before is said to be of %v, %v", decided.GetMatch().GetModelVersion(), err)
	}
	var stored string
	if err := h.pool.QueryRow(t.Context(), `SELECT frequencies::text FROM match_frequencies`).Scan(&stored); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(stored, "zephyrine") || strings.Contains(stored, "xanthippe") || strings.Contains(stored, "oddname") {
		t.Error("names are kept that few bear, or not those that many do")
	}

	// Another process goes by it too, and so does matching everything again.
	if err := other.LoadModel(t.Context()); err != nil {
		t.Fatal(err)
	}
	got, err := other.SubmitChildRecord(system(t, "police"), &irtv1.SubmitChildRecordRequest{
		ChildRecord: with(freya(), func(r *irtv1.ChildRecord) { r.Name = "agencies/police/childRecords/f" }),
	})
	if err != nil || got.GetMatch().GetModelVersion() != base+"+index-1" {
		t.Errorf("the other process: %v, %v", got.GetMatch(), err)
	}
	if tally, err := rematch(t.Context(), t, h.pool, children.RematchOptions{}); err != nil || tally.Model != base+"+index-1" {
		t.Errorf("%+v, %v", tally, err)
	}
	// The same names again are nothing new.
	if learnt, err := h.Learn(t.Context()); learnt || err != nil {
		t.Errorf("again: %v, %v", learnt, err)
	}
	h.populate(2000, "Peregrine", "Quill")
	if learnt, err := other.Learn(t.Context()); !learnt || err != nil {
		t.Errorf("more: %v, %v", learnt, err)
	}
	if err := h.LoadModel(t.Context()); err != nil || pair().GetModelVersion() != base+"+index-2" {
		t.Errorf("the model is %s, error %v", pair().GetModelVersion(), err)
	}
}

// A hub takes what was learnt into use as it starts, and says when blocking keys are
// of another version.
func TestStartLearning(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	pair, _ := h.zephyrines()
	h.populate(500, "Zephyrine", "Quill")
	if _, err := newService(t, h.pool).Learn(t.Context()); err != nil {
		t.Fatal(err)
	}
	start := func() string {
		var said strings.Builder
		l, err := h.StartLearning(t.Context(), slog.New(slog.NewTextHandler(&said, nil)))
		if err != nil {
			t.Fatal(err)
		}
		l.Close()
		return said.String()
	}
	if said := start(); said != "" || !strings.HasSuffix(pair().GetModelVersion(), "+index-1") {
		t.Errorf("it says %q; the model is %s", said, pair().GetModelVersion())
	}
	h.ageKeys()
	if said := start(); !strings.Contains(said, "irthub match rematch") || strings.Contains(strings.ToLower(said), "quill") {
		t.Errorf("it says %q", said)
	}
	h.exec(`UPDATE child_records SET match_key_version = $1`, match.KeyVersion)
	if said := start(); said != "" || h.count(`SELECT key_version FROM match_index`) != match.KeyVersion {
		t.Errorf("with all keys as they should be it says %q", said)
	}
}

// Names that nobody could tell apart in writing are counted as one, and a name that is
// a stand-in for one not at all.
func TestNamesAreCountedAsMatchingHasThem(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	for _, family := range []string{"MacDonald", "Mc Donald", "mcdonald"} {
		h.populate(200, "Baby", family)
	}
	if _, err := h.Learn(t.Context()); err != nil {
		t.Fatal(err)
	}
	var share float64
	var baby bool
	err := h.pool.QueryRow(t.Context(), `SELECT (frequencies->'family_names'->>'mcdonald')::float8, frequencies->'given_names' ? 'baby' FROM match_frequencies`).Scan(&share, &baby)
	if err != nil || share < 600.0/2600 || share > 610.0/2600 || baby {
		t.Errorf("share %.3f, baby a name: %v, error %v", share, baby, err)
	}
}

// What the table holds is bounded, however many names there are.
func TestFrequenciesAreBounded(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.exec(`INSERT INTO children (child_id, state, given_name, family_name, create_time, known_from, revision)
		SELECT gen_random_uuid(), 1, 'Given' || i / 4, 'Family' || i / 8, now(), now(), 1 FROM generate_series(1, 24000) AS i`)
	if _, err := h.Learn(t.Context()); err != nil {
		t.Fatal(err)
	}
	known := len(match.Default().Parameters().Frequencies.GivenNames)
	for column, most := range map[string]int{"given_names": known, "family_names": known + 24000/match.Established(24000)} {
		n := h.count(fmt.Sprintf(`SELECT count(*) FROM match_frequencies, jsonb_object_keys(frequencies->'%s')`, column))
		if n > most {
			t.Errorf("%d %s, at most %d", n, column, most)
		}
	}
}
