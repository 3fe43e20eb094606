package agencies_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"

	irtv1 "irthub/gen/irt/v1"
)

// offer has an agency record a service of the kind EARLY_HELP.
func (h *hub) offer(ctx context.Context, name string, change func(*irtv1.Service)) (*irtv1.Service, error) {
	s := &irtv1.Service{Name: name, DisplayName: "  Family   support ", Kind: "early help", MinimumAge: 2, MaximumAge: 11}
	if change != nil {
		change(s)
	}
	return h.SubmitService(ctx, &irtv1.SubmitServiceRequest{Service: s})
}

func TestServiceIsRecordedNormalisedAndRead(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.create(t, "early-help", nil)
	ctx := func() context.Context { return as(t, "early-help", system) }
	made, err := h.offer(ctx(), "agencies/early-help/services/family", nil)
	if err != nil || made.GetDisplayName() != "Family support" || made.GetKind() != "EARLY_HELP" ||
		made.GetState() != irtv1.AgencyState_AGENCY_STATE_ACTIVE || made.GetEtag() == "" {
		t.Fatalf("recorded: %v, %v", made, err)
	}
	again, err := h.offer(ctx(), made.GetName(), nil)
	if err != nil || !proto.Equal(again, made) {
		t.Errorf("the same again: %v, %v", again, err)
	}
	for _, role := range []irtv1.Role{system, manager, irtv1.Role_ROLE_PRACTITIONER, irtv1.Role_ROLE_AUDITOR} {
		if got, err := h.GetService(as(t, "other", role), &irtv1.GetServiceRequest{Name: made.GetName()}); err != nil || !proto.Equal(got, made) {
			t.Errorf("%v gets %v, %v", role, got, err)
		}
	}
	changed, err := h.offer(ctx(), made.GetName(), func(s *irtv1.Service) { s.State, s.Etag = irtv1.AgencyState_AGENCY_STATE_INACTIVE, made.GetEtag() })
	if err != nil || changed.GetEtag() == made.GetEtag() || changed.GetState() != irtv1.AgencyState_AGENCY_STATE_INACTIVE || !proto.Equal(changed.GetCreateTime(), made.GetCreateTime()) {
		t.Errorf("changed: %v, %v", changed, err)
	}
	_, err = h.offer(ctx(), made.GetName(), func(s *irtv1.Service) { s.Etag = made.GetEtag() })
	wantError(t, err, codes.Aborted, "ETAG_MISMATCH")
	_, err = h.offer(metadata.NewIncomingContext(ctx(), metadata.Pairs("if-match", "*")), "agencies/early-help/services/new", nil)
	wantError(t, err, codes.Aborted, "ETAG_MISMATCH")
	_, err = h.GetService(ctx(), &irtv1.GetServiceRequest{Name: "agencies/early-help/services/none"})
	wantError(t, err, codes.NotFound, "NOT_FOUND")
}

func TestServicesAreTheAgencysOwn(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.create(t, "early-help", nil)
	const name = "agencies/early-help/services/family"
	for _, ctx := range []context.Context{
		as(t, "other", system), as(t, "early-help", irtv1.Role_ROLE_PRACTITIONER), as(t, "early-help", irtv1.Role_ROLE_AUDITOR), as(t, "", irtv1.Role_ROLE_UNSPECIFIED),
	} {
		_, err := h.offer(ctx, name, nil)
		wantError(t, err, codes.PermissionDenied, "ACCESS_DENIED")
	}
	_, err := h.offer(as(t, "none", system), "agencies/none/services/family", nil)
	wantError(t, err, codes.NotFound, "NOT_FOUND")
	rules := func(change func(*irtv1.Service)) string {
		_, err := h.offer(as(t, "early-help", system), name, change)
		return strings.Join(wantError(t, err, codes.InvalidArgument, "VALIDATION_FAILED"), ", ")
	}
	for what, got := range map[string]string{
		"service.kind CODE_UNKNOWN":                                       rules(func(s *irtv1.Service) { s.Kind = "PLUMBING" }),
		"service.maximum_age AGE_RANGE":                                   rules(func(s *irtv1.Service) { s.MinimumAge = 12 }),
		"service.name STRING_PATTERN":                                     rules(func(s *irtv1.Service) { s.Name = "agencies/early-help/services/a b" }),
		"service.display_name STRING_PATTERN, service.email STRING_EMAIL": rules(func(s *irtv1.Service) { s.DisplayName, s.Email = "a\x07", "x" }),
	} {
		if got != what {
			t.Errorf("got %s, want %s", got, what)
		}
	}
	if _, err := h.SubmitService(as(t, "early-help", system), &irtv1.SubmitServiceRequest{}); err == nil {
		t.Error("a service that is none")
	}
	if _, err := h.offer(as(t, "council", manager), name, nil); err != nil {
		t.Errorf("a data manager: %v", err)
	}
}

func TestServicesAreListed(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	for _, agency := range []string{"a", "b"} {
		h.create(t, agency, nil)
		for i := range 3 {
			_, err := h.offer(as(t, agency, system), fmt.Sprintf("agencies/%s/services/s%d", agency, i), func(s *irtv1.Service) {
				if i == 1 {
					s.Kind = "HOUSING"
				}
				if i == 2 {
					s.State = irtv1.AgencyState_AGENCY_STATE_INACTIVE
				}
			})
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	list := func(req *irtv1.ListServicesRequest) string {
		t.Helper()
		var names []string
		for req.PageSize = 2; ; {
			page, err := h.ListServices(as(t, "a", system), req)
			if err != nil {
				t.Fatal(err)
			}
			for _, s := range page.GetServices() {
				names = append(names, strings.NewReplacer("agencies/", "", "/services/", "").Replace(s.GetName()))
			}
			if req.PageToken = page.GetNextPageToken(); req.GetPageToken() == "" {
				return strings.Join(names, " ")
			}
		}
	}
	for want, req := range map[string]*irtv1.ListServicesRequest{
		"as0 as1":                 {Parent: "agencies/a"},
		"as0 as1 as2":             {Parent: "agencies/a", IncludeInactive: true},
		"as0 as1 bs0 bs1":         {Parent: "agencies/-"},
		"as0 as1 as2 bs0 bs1 bs2": {Parent: "agencies/-", IncludeInactive: true},
		"as1 bs1":                 {Parent: "agencies/-", Kind: "housing"},
		"bs1":                     {Parent: "agencies/b", Kind: "HOUSING"},
		"":                        {Parent: "agencies/-", Kind: "PLUMBING"},
	} {
		if got := list(req); got != want {
			t.Errorf("%v: %s, want %s", req, got, want)
		}
	}
	_, err := h.ListServices(as(t, "a", system), &irtv1.ListServicesRequest{Parent: "agencies/none"})
	wantError(t, err, codes.NotFound, "NOT_FOUND")
}

// Of many who record one service at once the first makes it, and the others change it.
func TestOneServiceByManyAtOnce(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.create(t, "a", nil)
	var all sync.WaitGroup
	for i := range 8 {
		ctx := as(t, "a", system)
		all.Go(func() {
			if _, err := h.offer(ctx, "agencies/a/services/s", func(s *irtv1.Service) { s.DisplayName = fmt.Sprint("S", i) }); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	var rows, revision int
	if err := h.pool.QueryRow(t.Context(), `SELECT count(*), max(revision) FROM services`).Scan(&rows, &revision); err != nil || rows != 1 || revision != 8 {
		t.Errorf("%d services, revision %d: %v", rows, revision, err)
	}
}
