package agencies_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/agencies"
)

func TestDirectoryFollowsItsOwnWritesAtOnceAndOthersSoon(t *testing.T) {
	t.Parallel()
	one := newHub(t)
	two := onPool(t, one.pool)
	one.create(t, "oak", func(a *irtv1.Agency) { a.Urn, a.Telephone = "123456", "01632 960001" })
	if a, ok := one.directory.ByURN("123456"); !ok || a.ID != "oak" || !a.Active || a.Telephone != "01632 960001" {
		t.Errorf("this process's directory has %+v, %v", a, ok)
	}
	// Another process asks the database about what it has not heard of.
	if _, _, active, err := two.directory.Facts(t.Context(), "oak"); err != nil || !active {
		t.Errorf("the other process says active %v, %v", active, err)
	}
	if _, _, active, err := two.directory.Facts(t.Context(), "unknown"); err != nil || active {
		t.Errorf("an unknown agency is active %v, %v", active, err)
	}
	if _, err := one.UpdateAgency(asOperator(t), &irtv1.UpdateAgencyRequest{
		Agency: &irtv1.Agency{Name: "agencies/oak", State: irtv1.AgencyState_AGENCY_STATE_INACTIVE, Sensitive: true},
	}); err != nil {
		t.Fatal(err)
	}
	if _, sensitive, active, _ := one.directory.Facts(t.Context(), "oak"); active || !sensitive {
		t.Errorf("this process: active %v, sensitive %v", active, sensitive)
	}
	eventually(t, func() bool {
		_, sensitive, active, err := two.directory.Facts(t.Context(), "oak")
		return err == nil && !active && sensitive && len(two.directory.Sensitive()) == 1
	})
}

// eventually fails after far longer than the second or two that is promised, so
// that a busy machine does not fail it.
func eventually(t *testing.T, so func() bool) {
	t.Helper()
	deadline := time.After(30 * time.Second)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !so() {
		select {
		case <-deadline:
			t.Fatal("it never came to be")
		case <-tick.C:
		}
	}
}

// A transaction that commits late has an update_time that polls have gone past.
func TestDirectorySeesLateCommits(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	tx, err := h.pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, _, _, err := agencies.UpsertAgencies(t.Context(), tx, []*irtv1.Agency{
		{Name: "agencies/late", DisplayName: "Late", Kind: irtv1.AgencyKind_AGENCY_KIND_POLICE},
	}); err != nil {
		t.Fatal(err)
	}
	other := onPool(t, h.pool)
	other.create(t, "early", nil)
	eventually(t, func() bool { _, ok := h.directory.Get("early"); return ok })
	time.Sleep(1200 * time.Millisecond) //nolint:forbidigo // a poll must pass in between
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() bool { _, ok := h.directory.Get("late"); return ok })
}

func TestDirectoryPrefersTheActiveOfSeveral(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	code := func(a *irtv1.Agency) { a.OdsCode = "A81001" }
	h.create(t, "b", code)
	h.create(t, "c", code)
	h.create(t, "a", func(a *irtv1.Agency) { code(a); a.State = irtv1.AgencyState_AGENCY_STATE_INACTIVE })
	if a, ok := h.directory.ByODSCode("A81001"); !ok || a.ID != "b" {
		t.Errorf("got %q, %v; want b, the first active one", a.ID, ok)
	}
	if _, ok := h.directory.ByODSCode(""); ok {
		t.Error("agencies without a code are found by no code")
	}
}

func TestDirectoryIsRightAmidConcurrentWrites(t *testing.T) {
	t.Parallel()
	one := newHub(t)
	two := onPool(t, one.pool)
	one.create(t, "oak", nil)
	var wg sync.WaitGroup
	for i := range 16 {
		h := []*hub{one, two}[i%2]
		wg.Go(func() {
			_, err := h.UpdateAgency(asOperator(t), &irtv1.UpdateAgencyRequest{
				Agency:     &irtv1.Agency{Name: "agencies/oak", DisplayName: fmt.Sprintf("Oak %d", i)},
				UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"display_name"}},
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	last, err := one.GetAgency(asOperator(t), &irtv1.GetAgencyRequest{Name: "agencies/oak"})
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range []*hub{one, two} {
		eventually(t, func() bool { a, _ := h.directory.Get("oak"); return a.DisplayName == last.GetDisplayName() })
	}
}

// Many processes registering one agency by an update that allows it make one.
func TestConcurrentRegistrationMakesOne(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			_, err := h.UpdateAgency(asOperator(t), &irtv1.UpdateAgencyRequest{
				AllowMissing: true,
				Agency:       &irtv1.Agency{Name: "agencies/new", DisplayName: fmt.Sprint(i), Kind: irtv1.AgencyKind_AGENCY_KIND_POLICE},
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	_, err := h.CreateAgency(asOperator(t), &irtv1.CreateAgencyRequest{
		AgencyId: "new", Agency: &irtv1.Agency{DisplayName: "x", Kind: irtv1.AgencyKind_AGENCY_KIND_POLICE},
	})
	wantError(t, err, codes.AlreadyExists, "ALREADY_EXISTS")
}
