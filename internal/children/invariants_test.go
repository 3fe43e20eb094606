package children_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/children"
	"irthub/internal/rpc"
	"irthub/internal/standard"
)

// people are six children, two of them twins, whose records turn into each
// other's in the test below.
func people() []*irtv1.ChildRecord {
	twin := with(jennifer(), func(r *irtv1.ChildRecord) { r.GivenName, r.NhsNumber, r.Sex = "Thomas", "", "M" })
	all := []*irtv1.ChildRecord{jennifer(), twin}
	for i, name := range []string{"Ayesha Begum", "Jakub Nowak", "Chidi Okafor", "Freya Walker"} {
		var given, family string
		_, _ = fmt.Sscan(name, &given, &family)
		all = append(all, &irtv1.ChildRecord{
			GivenName: given, FamilyName: family, DateOfBirth: fmt.Sprintf("201%d-0%d-1%d", i, i+1, i),
			AddressLines: []string{fmt.Sprintf("%d High Street", i+1)}, Postcode: fmt.Sprintf("NR%d 1AB", i+3),
		})
	}
	return all
}

// Whatever agencies do with their records, in whatever order, from however many
// processes: the index stays whole.
func TestIndexStaysWhole(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	services := []*children.Service{h.Service, newService(t, h.pool)}
	involve(h)
	var all sync.WaitGroup
	for worker := range 6 {
		all.Go(func() {
			r := rand.New(rand.NewPCG(uint64(worker), 7))
			for range 60 {
				act(h, services[r.IntN(2)], r)
			}
		})
	}
	all.Wait()
	h.checkInvariants()
	if n := h.count(`SELECT count(*) FROM involvements`); n != 12 {
		t.Errorf("%d of 12 involvements are left", n)
	}
}

// checkInvariants looks for what must never be, whatever happened.
func (h *hub) checkInvariants() {
	h.t.Helper()
	for what, sql := range map[string]string{
		"records in force of a child that is not": `SELECT count(*) FROM child_records r LEFT JOIN children c USING (child_id) WHERE r.state = 1 AND c.state IS DISTINCT FROM 1`,
		"children in force without a record":      `SELECT count(*) FROM children c WHERE state = 1 AND NOT EXISTS (SELECT 1 FROM child_records r WHERE r.child_id = c.child_id AND r.state = 1)`,
		"merged children that lead nowhere":       `SELECT count(*) FROM children c WHERE state = 3 AND NOT EXISTS (SELECT 1 FROM children d WHERE d.child_id = c.merged_into AND d.merged_into IS NULL)`,
		"records of a child that was merged":      `SELECT count(*) FROM child_records r JOIN children c USING (child_id) WHERE c.state = 3`,
		"what hangs on a child that was merged":   `SELECT count(*) FROM children c WHERE state = 3 AND (EXISTS (SELECT 1 FROM involvements i WHERE i.child_id = c.child_id) OR EXISTS (SELECT 1 FROM lead_professionals l WHERE l.child_id = c.child_id) OR EXISTS (SELECT 1 FROM child_pins p WHERE p.child_id = c.child_id))`,
		"one child of records kept apart":         `SELECT count(*) FROM match_constraints m JOIN child_records a ON a.record_id = m.record_id AND a.state = 1 JOIN child_records b ON b.record_id = m.other_record_id AND b.state = 1 WHERE m.kind = 2 AND a.child_id = b.child_id`,
		"two children of records confirmed": `SELECT count(*) FROM match_constraints m JOIN child_records a ON a.record_id = m.record_id AND a.state = 1 JOIN child_records b ON b.record_id = m.other_record_id AND b.state = 1
			WHERE m.kind = 1 AND a.child_id <> b.child_id AND NOT EXISTS (SELECT 1 FROM match_constraints n JOIN child_records c ON c.record_id = n.other_record_id
				WHERE n.record_id IN (a.record_id, b.record_id) AND c.state = 1
				AND (n.kind = 2 AND c.child_id IN (a.child_id, b.child_id) OR c.child_id = CASE n.record_id WHEN a.record_id THEN a.child_id ELSE b.child_id END))`,
		"constraints that stand on one side alone": `SELECT count(*) FROM match_constraints m WHERE NOT EXISTS (SELECT 1 FROM match_constraints n WHERE n.record_id = m.other_record_id AND n.other_record_id = m.record_id AND n.kind = m.kind)`,
		"questions that answer themselves":         `SELECT count(*) FROM match_reviews v JOIN child_records r USING (record_id) JOIN children c ON c.child_id = v.candidate_child_id WHERE v.state <> 5 AND coalesce(c.merged_into, c.child_id) = r.child_id`,
		"keys of records that are not in force":    `SELECT count(*) FROM match_keys k WHERE NOT EXISTS (SELECT 1 FROM child_records r WHERE r.record_id = k.record_id AND r.state = 1)`,
		"records in force without keys":            `SELECT count(*) FROM child_records r WHERE state = 1 AND NOT EXISTS (SELECT 1 FROM match_keys k WHERE k.record_id = r.record_id)`,
		"involvements apart from their record":     `SELECT count(*) FROM involvements i JOIN child_records r USING (record_id) WHERE i.child_id <> r.child_id`,
		"children with two lead professionals":     `SELECT count(*) FROM lead_professionals a JOIN lead_professionals b USING (child_id) WHERE a.start_date < b.start_date AND a.end_date IS NULL`,
		"children without provenance":              `SELECT count(*) FROM children WHERE state = 1 AND provenance = '[]'`,
		"two NHS numbers in one child": `SELECT count(*) FROM (SELECT child_id FROM child_records WHERE state = 1 AND nhs_number <> '' GROUP BY child_id HAVING count(DISTINCT nhs_number) > 1) x
			WHERE NOT EXISTS (SELECT 1 FROM match_constraints m JOIN child_records r USING (record_id) WHERE m.kind = 1 AND r.child_id = x.child_id)`,
		"versions of records that overlap or gape": gapsIn("child_records", "record_id"),
		"versions of children that overlap":        gapsIn("children", "child_id"),
	} {
		if n := h.count(sql); n != 0 {
			h.t.Errorf("%s: %d", what, n)
		}
	}
}

// A child that others became is not lost from under their names, whoever deletes it;
// purged, it takes them along.
func TestRedirectsAreHeldByTheDatabase(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	into := h.send("school", "p1", jennifer()).GetChild()
	from := h.send("gp", "f", freya()).GetChild()
	h.mergeByTwo(from, into)
	id := func(name string) [16]byte {
		child, err := rpc.ParseChildName(name)
		if err != nil {
			t.Fatal(err)
		}
		return child
	}
	_, err := h.pool.Exec(t.Context(), `DELETE FROM children WHERE child_id = $1`, id(into))
	var refused *pgconn.PgError
	if !errors.As(err, &refused) || refused.ConstraintName != "children_targets" {
		t.Errorf("the child was deleted: %v", err)
	}
	if got := h.child(from); got.GetName() != into {
		t.Errorf("%s leads to %s, want %s", from, got.GetName(), into)
	}
	// A new version of it is in the place of the old one, which is deleted.
	h.send("school", "p1", with(jennifer(), func(r *irtv1.ChildRecord) { r.Postcode = "NR2 1AA" }))
	if got := h.child(from); got.GetPostcode() != "NR2 1AA" {
		t.Errorf("the new version is not found by the name that was merged: %v", got.GetName())
	}
	h.checkInvariants()
	if err := h.purge("school", "p1"); err != nil {
		t.Fatalf("purging: %v", err)
	}
	for _, table := range []string{"children", "children_history", "child_records", "child_records_history", "match_keys"} {
		if n := h.count(`SELECT count(*) FROM ` + table); n != 0 {
			t.Errorf("%d rows of %s are left", n, table)
		}
	}
	// What only led to another goes without it.
	into, from = h.send("school", "p1", jennifer()).GetChild(), h.send("gp", "f", freya()).GetChild()
	h.mergeByTwo(from, into)
	h.exec(`DELETE FROM children WHERE child_id = $1`, id(from))
}

func gapsIn(table, key string) string {
	return `WITH v AS (
			SELECT ` + key + ` AS id, revision, known_from, known_to FROM ` + table + `_history
			UNION ALL SELECT ` + key + `, revision, known_from, NULL FROM ` + table + `
		), w AS (SELECT known_from, known_to, revision, lead(known_from) OVER p AS next_from, lead(revision) OVER p AS next_revision
			FROM v WINDOW p AS (PARTITION BY id ORDER BY revision))
		SELECT count(*) FROM w WHERE known_to IS DISTINCT FROM next_from
			OR next_revision IS NOT NULL AND next_revision <> revision + 1 OR known_to <= known_from`
}

// involve gives twelve records an involvement each, and some a lead professional.
func involve(h *hub) {
	for i := range 12 {
		agency, local := fmt.Sprintf("charity-%d", i%4), fmt.Sprint("r", i)
		h.send(agency, local, people()[i%6])
		record := standard.RecordID(agency, local)
		involvement := standard.InvolvementID(agency, local)
		h.exec(`INSERT INTO involvements (child_id, involvement_id, agency_id, local_id, record_id, record_local_id, role, start_date, create_time, known_from, revision)
			SELECT child_id, $2, agency_id, local_id, record_id, local_id, 'OTHER', '2026-01-01', now(), now(), 1 FROM child_records WHERE record_id = $1`,
			[16]byte(record), [16]byte(involvement))
		h.exec(`INSERT INTO lead_professionals (child_id, start_date, involvement_id, agency_id, practitioner_id, known_from)
			SELECT child_id, '2026-01-01', $2, agency_id, 'someone', now() FROM child_records WHERE record_id = $1 ON CONFLICT DO NOTHING`,
			[16]byte(record), [16]byte(involvement))
	}
}

// act is one random deed on one of twelve records.
func act(h *hub, s *children.Service, r *rand.Rand) {
	i := r.IntN(12)
	agency := fmt.Sprintf("charity-%d", i%4)
	name := fmt.Sprintf("agencies/%s/childRecords/r%d", agency, i)
	var err error
	if r.IntN(6) == 0 {
		_, err = s.WithdrawChildRecord(system(h.t, agency), &irtv1.WithdrawChildRecordRequest{Name: name})
	} else {
		who := with(people()[r.IntN(6)], func(p *irtv1.ChildRecord) {
			p.Name = name
			if r.IntN(3) == 0 {
				p.NhsNumber = ""
			}
			if r.IntN(3) == 0 {
				p.Postcode, p.AddressLines = "NR9 9ZZ", []string{"1 New Road"}
			}
		})
		_, err = s.SubmitChildRecord(system(h.t, agency), &irtv1.SubmitChildRecordRequest{ChildRecord: who})
	}
	if err != nil && status.Code(err) != codes.NotFound {
		h.t.Errorf("%s: %v", name, err)
	}
}
