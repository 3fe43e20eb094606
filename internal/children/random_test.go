package children_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/children"
	"irthub/internal/match"
	"irthub/internal/pg"
	"irthub/internal/rpc"
)

// Whatever agencies do with their records and data managers decide about them, in
// whatever order, from two processes: the index stays whole.
func TestIndexStaysWholeWhateverPeopleDecide(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	services := []*children.Service{h.Service, newService(t, h.pool)}
	involve(h)
	var all sync.WaitGroup
	for worker := range 6 {
		all.Go(func() {
			r := rand.New(rand.NewPCG(uint64(worker), 11))
			for range 60 {
				s := services[r.IntN(2)]
				if r.IntN(10) < 5 {
					act(h, s, r)
				} else {
					curate(h, s, r, []string{"ann", "ben"}[worker%2])
				}
			}
		})
	}
	all.Wait()
	h.checkInvariants()
	if n := h.count(`SELECT count(*) FROM involvements`); n != 12 {
		t.Errorf("%d of 12 involvements are left", n)
	}
	for kind, what := range map[int]string{1: "merge", 2: "split"} {
		if h.count(`SELECT (SELECT count(*) FROM match_constraints WHERE kind = $1) + (SELECT count(*) FROM match_constraints_history WHERE kind = $1)`, kind) == 0 {
			t.Errorf("no %s happened: the test tests nothing", what)
		}
	}
}

// curate is one random deed of a data manager.
func curate(h *hub, s *children.Service, r *rand.Rand, who string) {
	ctx := person(h.t, who)
	alive := h.names(`SELECT child_id FROM children WHERE state <> 3 ORDER BY child_id`)
	a, b := alive[r.IntN(len(alive))], alive[r.IntN(len(alive))]
	name := fmt.Sprintf("agencies/charity-%d/childRecords/r%d", r.IntN(4), r.IntN(12))
	var err error
	switch r.IntN(5) {
	case 0:
		_, err = s.MergeChildren(ctx, &irtv1.MergeChildrenRequest{Child: a, IntoChild: b, Reason: "why"})
	case 1:
		_, err = s.SplitChildRecord(ctx, &irtv1.SplitChildRecordRequest{Child: h.childOf(name, a), ChildRecords: []string{name}, Reason: "why"})
	case 2, 3:
		page, listErr := s.ListMatchReviews(ctx, &irtv1.ListMatchReviewsRequest{})
		if listErr != nil || len(page.GetMatchReviews()) == 0 {
			err = listErr
			break
		}
		review := page.GetMatchReviews()[r.IntN(len(page.GetMatchReviews()))]
		how := []irtv1.MatchResolution{same, notSame, notSure}[r.IntN(3)]
		_, err = s.ResolveMatchReview(ctx, &irtv1.ResolveMatchReviewRequest{Name: review.GetName(), Resolution: how, Reason: "why"})
	case 4:
		_, err = s.PinChildField(ctx, &irtv1.PinChildFieldRequest{
			Child: a, Field: "given_name", Reason: "why", Source: &irtv1.PinChildFieldRequest_ChildRecord{ChildRecord: name},
		})
	}
	if pg.IsRetryable(err) { // others came first, again and again: the hub says so, and to send it again
		return
	}
	switch status.Code(err) {
	case codes.OK, codes.NotFound, codes.FailedPrecondition, codes.InvalidArgument:
	default:
		h.t.Errorf("%s: %v", who, err)
	}
}

func (h *hub) names(sql string, args ...any) (names []string) {
	rows, err := h.pool.Query(h.t.Context(), sql, args...)
	if err != nil {
		h.t.Error(err)
		return []string{""}
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[[16]byte])
	if err != nil {
		h.t.Error(err)
	}
	for _, id := range ids {
		names = append(names, rpc.ChildName(id))
	}
	return names
}

// childOf is the child that a record stands under, if it is there.
func (h *hub) childOf(record, otherwise string) string {
	agency, local, _ := strings.Cut(strings.TrimPrefix(record, "agencies/"), "/childRecords/")
	found := h.names(`SELECT child_id FROM child_records WHERE agency_id = $1 AND local_id = $2`, agency, local)
	if len(found) == 0 {
		return otherwise
	}
	return found[0]
}

// crowd are records of families: children with twins and siblings, each known to
// several agencies under details that do not quite agree. Records that matching by
// itself could not tell apart surely are left out: which of two children such a one
// goes to depends on which came first, and it is in the review queue.
func crowd(t *testing.T) (records []*irtv1.ChildRecord, child []int) {
	t.Helper()
	r := rand.New(rand.NewPCG(5, 5))
	for n := range 24 {
		base := stranger(1000 + n/3) // three children a family
		base.NhsNumber, base.SchoolUrn = "", ""
		base.GivenName = []string{"Amelia", "Jakub", "Oluwaseun"}[n%3]
		if n%3 == 2 {
			base.DateOfBirth = fmt.Sprintf("201%d-07-1%d", n%10, n%9)
		}
		for copies := range 1 + r.IntN(4) {
			one := with(base, func(c *irtv1.ChildRecord) {
				c.Name = fmt.Sprintf("agencies/charity-%d/childRecords/k%d", copies, n)
				switch r.IntN(5) {
				case 0:
					c.Postcode, c.AddressLines = "", nil
				case 1:
					c.MiddleNames = "Ann"
				case 2:
					c.Sex = ""
				case 3:
					c.FamilyName += "s"
				}
			})
			records, child = append(records, one), append(child, n)
		}
	}
	return clearOnly(records, child)
}

// clearOnly keeps the records that matching links to all others of their child and to
// none of another's.
func clearOnly(records []*irtv1.ChildRecord, child []int) (kept []*irtv1.ChildRecord, of []int) {
	m := match.Default()
	feature := func(r *irtv1.ChildRecord) match.Features {
		return match.Prepare(match.Person{
			GivenName: r.GetGivenName(), MiddleNames: r.GetMiddleNames(), FamilyName: r.GetFamilyName(),
			DateOfBirth: r.GetDateOfBirth(), Sex: r.GetSex(), Postcode: r.GetPostcode(), AddressLines: r.GetAddressLines(),
		})
	}
	for i, r := range records {
		fits := true
		f := feature(r)
		for j, other := range kept {
			g := feature(other)
			d := m.Decide(&f, []match.Candidate{{Child: match.ChildKey{1}, Features: &g}})
			shared := slices.ContainsFunc(match.Keys(&f), func(k uint64) bool { return slices.Contains(match.Keys(&g), k) })
			if want := child[i] == of[j]; want != (d.Band == match.BandLink && shared) || !want && d.Band != match.BandNew {
				fits = false
			}
		}
		if fits {
			kept, of = append(kept, r), append(of, child[i])
		}
	}
	return kept, of
}

// Whatever order records come in, from one, two or eight at once, one by one or many
// in a batch: the same records are one child.
func TestOrderMakesNoDifference(t *testing.T) {
	t.Parallel()
	records, child := crowd(t)
	if len(records) < 35 {
		t.Fatalf("only %d records are clear", len(records))
	}
	for seed, submitters := range []int{1, 1, 2, 8, 8, 64} {
		t.Run(fmt.Sprintf("%d submitters, order %d", submitters, seed), func(t *testing.T) {
			t.Parallel()
			h := newHub(t)
			services := []*children.Service{h.Service, newService(t, h.pool)}
			order := rand.New(rand.NewPCG(uint64(seed), 3)).Perm(len(records))
			place := make([]string, len(records))
			var all sync.WaitGroup
			for w := range submitters {
				all.Go(func() {
					for at := w; at < len(order); at += submitters {
						i := order[at]
						agency, _, _ := strings.Cut(strings.TrimPrefix(records[i].GetName(), "agencies/"), "/")
						resp, err := services[w%2].SubmitChildRecord(system(t, agency), &irtv1.SubmitChildRecordRequest{
							ChildRecord: with(records[i], func(*irtv1.ChildRecord) {}),
						})
						if err != nil {
							t.Errorf("%s: %v", records[i].GetName(), err)
							return
						}
						place[i] = resp.GetChild()
					}
				})
			}
			all.Wait()
			for i := range records {
				for j := range i {
					if (place[i] == place[j]) != (child[i] == child[j]) {
						t.Errorf("%s and %s: one child %t, want %t", records[i].GetName(), records[j].GetName(), place[i] == place[j], child[i] == child[j])
					}
				}
			}
			h.checkInvariants()
		})
	}
}
