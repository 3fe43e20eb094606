package leads_test

import (
	"context"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/identity"
	"irthub/internal/rpc"
)

// do makes a move by its name.
func (h *hub) do(ctx context.Context, move, name, etag string) (*irtv1.LeadNomination, error) {
	switch move {
	case "accept":
		return h.AcceptLeadNomination(ctx, &irtv1.AcceptLeadNominationRequest{Name: name, Etag: etag})
	case "decline":
		return h.DeclineLeadNomination(ctx, &irtv1.DeclineLeadNominationRequest{Name: name, Etag: etag, Reason: "NO_CAPACITY"})
	case "withdraw":
		return h.WithdrawLeadNomination(ctx, &irtv1.WithdrawLeadNominationRequest{Name: name, Etag: etag})
	}
	panic(move)
}

// model says which moves there are: by side, the move of an open nomination and where
// it leads. From any other state there is none.
var model = map[string]map[string]string{
	"nominee":   {"accept": "ACCEPTED", "decline": "DECLINED"},
	"nominator": {"withdraw": "WITHDRAWN"},
	"both":      {"accept": "ACCEPTED", "decline": "DECLINED", "withdraw": "WITHDRAWN"},
}

func stateOf(m *irtv1.LeadNomination) string {
	return strings.TrimPrefix(m.GetState().String(), "LEAD_NOMINATION_STATE_")
}

// expire makes the time of a nomination be over.
func (h *hub) expire(m *irtv1.LeadNomination) {
	h.t.Helper()
	h.exec(`UPDATE lead_nominations SET expire_time = clock_timestamp() - interval '1 second' WHERE nomination_id = $1`,
		m.GetName()[strings.LastIndexByte(m.GetName(), '/')+1:])
}

// Any move by anybody at any time does what the model says, or is refused as it says.
func TestRandomMoves(t *testing.T) {
	h := newHub(t)
	child := h.submit("school", "p1", "Aoife", "2014-03-02")
	involved := []string{"school", "gp", "social"}
	names := map[string]string{}
	for _, agency := range involved {
		names[agency] = h.involve(agency, child)
	}
	moves := []string{"accept", "decline", "withdraw"}
	callers := []string{"school", "gp", "social", "charity", "clinic"}
	random := rand.New(rand.NewPCG(7, 7))
	lead, accepts, expires := "", 0, 0
	for range 60 {
		from, to := involved[random.IntN(3)], involved[random.IntN(3)]
		m, err := h.try(as(t, from), child, names[to], "")
		if to == lead {
			wantError(t, err, codes.FailedPrecondition) // leads already
			continue
		}
		if err != nil {
			t.Fatal(err, status.Convert(err).Details())
		}
		state := "OPEN"
		for range 8 {
			if state == "OPEN" && random.IntN(8) == 0 {
				h.expire(m)
				state = "EXPIRED"
				expires++
			}
			move, caller := moves[random.IntN(len(moves))], callers[random.IntN(len(callers))]
			side := map[string]string{from: "nominator", to: "nominee"}[caller]
			if from == to && caller == to {
				side = "both"
			}
			var legal map[string]string
			if state == "OPEN" {
				legal = model[side]
			}
			got, err := h.do(as(t, caller), move, m.GetName(), "")
			switch after, ok := legal[move]; {
			case side == "":
				wantError(t, err, codes.PermissionDenied)
			case !ok:
				at, named, _ := wantError(t, err, codes.FailedPrecondition)
				var want []string
				for one := range legal {
					want = append(want, one)
				}
				told := strings.FieldsFunc(named, func(r rune) bool { return r == ',' })
				slices.Sort(told)
				slices.Sort(want)
				if at != state || !slices.Equal(told, want) {
					t.Fatalf("%s by the %s in %s: told %s, %v, want %v", move, side, state, at, told, want)
				}
			case err != nil || stateOf(got) != after:
				t.Fatalf("%s by the %s in %s: %s, %v", move, side, state, stateOf(got), err)
			default:
				state = after
				if move == "accept" {
					lead = to
					accepts++
				}
			}
		}
		if want := names[lead]; h.lead(child) != want {
			t.Fatalf("the lead professional is by %q, want %q", h.lead(child), want)
		}
		if state == "OPEN" { // it would stand in the way of the next
			if _, err := h.do(as(t, from), "withdraw", m.GetName(), ""); err != nil {
				t.Fatal(err)
			}
		}
	}
	if accepts == 0 || expires == 0 {
		t.Errorf("%d accepted, %d expired: the test tries too little", accepts, expires)
	}
	if n := h.count(`SELECT count(*) FROM event_outbox WHERE kind = 72`); n != accepts {
		t.Errorf("%d events of %d acceptances", n, accepts)
	}
	if n := h.count(`SELECT count(*) FROM event_outbox WHERE kind BETWEEN 71 AND 74 AND audience <> 4`); n != 0 {
		t.Errorf("%d events are not for the two sides alone", n)
	}
}

// Of moves made at the same moment one is made; the others are told where it stands.
func TestConcurrentMoves(t *testing.T) {
	h := newHub(t)
	child := h.submit("school", "p1", "Aoife", "2014-03-02")
	gp, social := h.involve("gp", child), h.involve("social", child)
	for n := range 8 {
		to, involvement := "gp", gp
		if h.lead(child) == gp {
			to, involvement = "social", social
		}
		m := h.nominate("school", child, involvement)
		var made, late int
		var mu sync.Mutex
		var wg sync.WaitGroup
		for move, caller := range map[string]string{"accept": to, "decline": to, "withdraw": "school"} {
			ctx := as(t, caller)
			wg.Go(func() {
				_, err := h.do(ctx, move, m.GetName(), m.GetEtag())
				mu.Lock()
				defer mu.Unlock()
				switch status.Code(rpc.Edge(err)) {
				case codes.OK:
					made++
				case codes.Aborted, codes.FailedPrecondition: // overtaken, or read after the other was made
					late++
					if state, _, _ := wantError(t, err, status.Code(rpc.Edge(err))); state == "" || state == "OPEN" {
						t.Errorf("told that it is %q", state)
					}
				default:
					t.Errorf("%s: %v", move, err)
				}
			})
		}
		// What keeps involvements goes on meanwhile, and neither stands in the other's way.
		wg.Go(func() {
			_, err := h.involvements.SubmitInvolvement(as(t, to), &irtv1.SubmitInvolvementRequest{Involvement: &irtv1.Involvement{
				Name: involvement, Child: child, Role: []string{"OTHER", "SOCIAL_WORKER"}[n%2], StartDate: "2024-01-01",
				Practitioner: "agencies/" + to + "/practitioners/ann",
			}})
			if err != nil {
				t.Error(err)
			}
		})
		wg.Wait()
		if made != 1 || late != 2 {
			t.Fatalf("%d made, %d late", made, late)
		}
	}
}

// Of two who are nominated at once, the second to accept would push out the first: it is
// to be asked anew.
func TestOfTwoNominatedOneLeads(t *testing.T) {
	h := newHub(t)
	child := h.submit("school", "p1", "Aoife", "2014-03-02")
	gp, social := h.involve("gp", child), h.involve("social", child)
	a, b := h.nominate("school", child, gp), h.nominate("school", child, social)
	if _, err := h.do(as(t, "gp"), "accept", a.GetName(), ""); err != nil {
		t.Fatal(err)
	}
	_, err := h.do(as(t, "social"), "accept", b.GetName(), "")
	wantError(t, err, codes.FailedPrecondition)
	if h.lead(child) != gp {
		t.Errorf("the lead is by %s", h.lead(child))
	}
	if _, err := h.do(as(t, "school"), "withdraw", b.GetName(), ""); err != nil {
		t.Fatal(err)
	}
	// The present lead's agency hands over; with the first day to come, it leads until then.
	first := time.Now().AddDate(0, 0, 7).Format(time.DateOnly)
	c, err := h.try(as(t, "gp"), child, social, first)
	if err != nil {
		t.Fatal(err)
	}
	got, err := h.do(as(t, "social"), "accept", c.GetName(), "")
	if err != nil || got.GetStartDate() != first {
		t.Fatal(got, err)
	}
	if h.lead(child) != social { // the one without an end
		t.Errorf("the lead is by %s", h.lead(child))
	}
	if n := h.count(`SELECT count(*) FROM lead_professionals`); n != 2 {
		t.Errorf("%d periods", n)
	}
}

func TestNominate(t *testing.T) {
	h := newHub(t)
	child := h.submit("school", "p1", "Aoife", "2014-03-02")
	gp, clinic := h.involve("gp", child), h.involve("clinic", child)
	m := h.nominate("school", child, gp)
	if again := h.nominate("school", child, gp); again.GetName() != m.GetName() || again.GetEtag() != m.GetEtag() {
		t.Errorf("nominating again made %v of %v", again, m)
	}
	if n := h.count(`SELECT count(*) FROM event_outbox WHERE kind = 71 AND agencies = '{school,gp}'`); n != 1 {
		t.Errorf("%d events", n)
	}
	if d := m.GetExpireTime().AsTime().Sub(m.GetCreateTime().AsTime()); d != 14*24*time.Hour {
		t.Errorf("expires after %v", d)
	}
	later := time.Now().AddDate(0, 0, 3).Format(time.DateOnly)
	_, err := h.try(as(t, "school"), child, gp, later)
	if state, moves, _ := wantError(t, err, codes.FailedPrecondition); state != "OPEN" || moves != "withdraw" {
		t.Errorf("another first day: %s %s", state, moves)
	}
	_, err = h.try(as(t, "gp"), child, gp, "") // by another
	wantError(t, err, codes.FailedPrecondition)
	h.expire(m)
	if anew := h.nominate("school", child, gp); anew.GetName() == m.GetName() {
		t.Error("an expired nomination stands in the way")
	}
	nameless := h.submitInvolvement(&irtv1.Involvement{Name: "agencies/gp/involvements/n", Child: child, Role: "OTHER", StartDate: "2024-01-01"})
	over := h.submitInvolvement(&irtv1.Involvement{
		Name: "agencies/gp/involvements/o", Child: child, Role: "OTHER", StartDate: "2024-01-01", EndDate: "2024-02-01", Practitioner: "agencies/gp/practitioners/ann",
	})
	elsewhere := h.submitInvolvement(&irtv1.Involvement{
		Name: "agencies/gp/involvements/e", Child: h.submit("gp", "g9", "Bertram", "2009-11-30"), Role: "OTHER", StartDate: "2024-01-01",
		Practitioner: "agencies/gp/practitioners/ann",
	})
	for what, c := range map[string]struct {
		as                        context.Context
		child, involvement, start string
		code                      codes.Code
	}{
		"not working with the child":   {as(t, "charity"), child, gp, "", codes.PermissionDenied},
		"no such child":                {as(t, "charity"), "children/nonsense", gp, "", codes.PermissionDenied},
		"another child's":              {as(t, "school"), child, elsewhere, "", codes.NotFound},
		"no such involvement":          {as(t, "school"), child, "agencies/gp/involvements/none", "", codes.NotFound},
		"no involvement's name":        {as(t, "school"), child, "nonsense", "", codes.NotFound},
		"a hidden sensitive service's": {as(t, "school"), child, clinic, "", codes.NotFound},
		"by a sensitive service":       {as(t, "clinic"), child, gp, "", codes.FailedPrecondition},
		"no practitioner":              {as(t, "school"), child, nameless, "", codes.FailedPrecondition},
		"ended":                        {as(t, "school"), child, over, "", codes.FailedPrecondition},
		"a day that is over":           {as(t, "school"), child, gp, "2024-01-01", codes.InvalidArgument},
		"no day":                       {as(t, "school"), child, gp, "2026-02-30", codes.InvalidArgument},
		"another purpose": {
			call(t, identity.Caller{Agency: "school", Role: irtv1.Role_ROLE_AGENCY_SYSTEM, Purpose: irtv1.Purpose_PURPOSE_DATA_QUALITY}),
			child, gp, "", codes.PermissionDenied,
		},
		"an auditor": {call(t, identity.Caller{Agency: "school", Role: irtv1.Role_ROLE_AUDITOR}), child, gp, "", codes.PermissionDenied},
	} {
		_, err := h.try(c.as, c.child, c.involvement, c.start)
		if got := status.Code(rpc.Edge(err)); got != c.code {
			t.Errorf("%s: %v, want %v", what, err, c.code)
		}
	}
	hidden, err := h.try(as(t, "school"), child, clinic, "")
	none, missing := h.try(as(t, "school"), child, "agencies/clinic/involvements/none", "")
	if hidden != nil || none != nil || !proto.Equal(status.Convert(rpc.Edge(err)).Proto(), status.Convert(rpc.Edge(missing)).Proto()) {
		t.Errorf("a hidden involvement is refused otherwise than none: %v, %v", err, missing)
	}
	if n := h.count(`SELECT count(*) FROM lead_nominations`); n != 2 {
		t.Errorf("%d nominations", n)
	}
	// A data manager nominates for a child that the own agency does not work with.
	manager := call(t, identity.Caller{Agency: "charity", Practitioner: "bob", Role: irtv1.Role_ROLE_DATA_MANAGER, Purpose: irtv1.Purpose_PURPOSE_DATA_QUALITY})
	if _, err := h.try(manager, child, h.involve("social", child), ""); err != nil {
		t.Error(err)
	}
}

// An agency that works with a child by a sensitive involvement alone would be found out.
func TestSecretAgencyDoesNotNominate(t *testing.T) {
	h := newHub(t)
	child := h.submit("school", "p1", "Aoife", "2014-03-02")
	gp := h.involve("gp", child)
	secret := &irtv1.Involvement{
		Name: "agencies/social/involvements/s", Child: child, Role: "OTHER", StartDate: "2024-01-01",
		Practitioner: "agencies/social/practitioners/ann", Sensitive: true, SensitiveBasis: "CONSENT",
	}
	h.submitInvolvement(secret)
	_, err := h.try(as(t, "social"), child, gp, "")
	wantError(t, err, codes.FailedPrecondition)
	_, err = h.try(as(t, "social"), child, secret.GetName(), "")
	wantError(t, err, codes.FailedPrecondition)
	h.involve("social", child)
	if _, err := h.try(as(t, "social"), child, gp, ""); err != nil {
		t.Errorf("known by another involvement: %v", err)
	}
	_, err = h.try(as(t, "social"), child, secret.GetName(), "")
	wantError(t, err, codes.FailedPrecondition)
}

// What changed since it was nominated is not accepted over.
func TestChangedMeanwhile(t *testing.T) {
	h := newHub(t)
	child := h.submit("school", "p1", "Aoife", "2014-03-02")
	other := h.submit("gp", "g9", "Bertram", "2009-11-30")
	for what, change := range map[string]func(*irtv1.Involvement){
		"another practitioner": func(i *irtv1.Involvement) { i.Practitioner = "agencies/gp/practitioners/bob" },
		"no practitioner":      func(i *irtv1.Involvement) { i.Practitioner = "" },
		"ended":                func(i *irtv1.Involvement) { i.EndDate = "2024-05-01" },
		"another child":        func(i *irtv1.Involvement) { i.Child = other },
		"sensitive":            func(i *irtv1.Involvement) { i.Sensitive, i.SensitiveBasis = true, "CONSENT" },
	} {
		m := h.nominate("school", child, h.involve("gp", child))
		i := &irtv1.Involvement{Name: m.GetInvolvement(), Child: child, Role: "OTHER", StartDate: "2024-01-01", Practitioner: m.GetPractitioner()}
		change(i)
		h.submitInvolvement(i)
		if _, err := h.do(as(t, "gp"), "accept", m.GetName(), ""); status.Code(rpc.Edge(err)) != codes.FailedPrecondition {
			t.Errorf("%s: %v", what, err)
		}
		if h.lead(child) != "" {
			t.Fatalf("%s: there is a lead", what)
		}
		if _, err := h.do(as(t, "gp"), "decline", m.GetName(), ""); err != nil {
			t.Errorf("%s: declining: %v", what, err)
		}
	}
	_, err := h.DeclineLeadNomination(as(t, "gp"), &irtv1.DeclineLeadNominationRequest{Name: "agencies/school/leadNominations/x", Reason: "NONSENSE"})
	if _, _, rule := wantError(t, err, codes.InvalidArgument); rule != "CODE_UNKNOWN" {
		t.Error(rule)
	}
}
