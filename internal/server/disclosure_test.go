package server_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/agencies"
	"irthub/internal/identity"
	"irthub/internal/sharing"
)

// shows decides, by the facts of the area, whether a caller may read a word.
func (a *area) shows(c identity.Caller, s *subject, w word, searching bool) bool {
	agency := acting(c)
	f := s.facts
	f.Identified, f.Role, f.Purpose, f.Reason, f.Kind = true, c.Role, c.Purpose, c.Reason != "", areaAgencies[agency]
	f.Involved, f.HoldsRecord = s.works[agency], s.works[agency] && agency != "clinic-1"
	f.Searching = searching
	if agency == "charity-1" {
		f.Consented = s.consent
	}
	d := sharing.Decide(sharing.See, f)
	if d.Shows(w.category) {
		return true
	}
	// What the agency said itself: its record says all but the involvements of others.
	f.Own = true
	own := s.works[agency] && w.agency == "" && agency != "clinic-1" || slices.Contains(strings.Fields(w.agency), agency)
	return own && sharing.Decide(sharing.See, f).Shows(w.category)
}

// acting is the agency for which a caller acts.
func acting(c identity.Caller) string {
	if c.Role == irtv1.Role_ROLE_MEDIATOR {
		agency, _, _ := agencies.ParsePractitionerName(c.OnBehalfOf)
		return agency
	}
	return c.Agency
}

// unsaid is an answer without what the agency said itself in its requests for
// contact: each names an involvement that policy showed it when it asked, perhaps in
// an emergency.
func unsaid(answer, agency string) string {
	return regexp.MustCompile(`"name":\s*"agencies/`+regexp.QuoteMeta(agency)+
		`/contactRequests/[^"]*",\s*"child":\s*"[^"]*",\s*"involvement":\s*"[^"]*"`).ReplaceAllString(answer, "")
}

// callers are of every role, and at random of every agency and purpose.
func callers(r *rand.Rand, n int) []identity.Caller {
	var all []identity.Caller
	ids := []string{"school-1", "gp-1", "social-1", "police-1", "charity-1", "clinic-1"}
	for i := range n {
		c := identity.Caller{
			Role: irtv1.Role(1 + i%6), Agency: ids[r.IntN(len(ids))], Purpose: irtv1.Purpose(1 + r.IntN(9)),
		}
		if c.Purpose == irtv1.Purpose_PURPOSE_EMERGENCY || r.IntN(2) == 0 {
			c.Reason = "a call from the police"
		}
		switch c.Role {
		case irtv1.Role_ROLE_PRACTITIONER:
			c.Practitioner = "p1"
		case irtv1.Role_ROLE_MEDIATOR:
			c.OnBehalfOf = "agencies/" + ids[r.IntN(len(ids))] + "/practitioners/p1"
		}
		all = append(all, c)
	}
	return all
}

// disclosing are the methods that need a purpose, which is to say that they
// disclose personal data.
func disclosing() (all []protoreflect.MethodDescriptor) {
	protoregistry.GlobalFiles.RangeFilesByPackage("irt.v1", func(f protoreflect.FileDescriptor) bool {
		for i := range f.Services().Len() {
			service := f.Services().Get(i)
			for j := range service.Methods().Len() {
				m := service.Methods().Get(j)
				access, _ := proto.GetExtension(m.Options(), irtv1.E_Access).(*irtv1.MethodAccess)
				if access.GetPurposeRequired() {
					all = append(all, m)
				}
			}
		}
		return true
	})
	return all
}

func short(m protoreflect.MethodDescriptor) string {
	return string(m.Parent().Name()) + "/" + string(m.Name())
}

// No answer, to whomever and about whichever child, over gRPC or REST, holds what
// policy withholds.
func TestNothingWithheldIsDisclosed(t *testing.T) {
	t.Parallel()
	a := newArea(t)
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	said, shown := 0, 0
	for _, c := range callers(r, 30) {
		s := a.children[r.IntN(len(a.children))]
		requests := samples(s, a.children)
		for _, m := range disclosing() {
			of, ok := requests[short(m)]
			if !ok {
				t.Fatalf("%s has no samples: add requests to samples", short(m))
			}
			req := of[r.IntN(len(of))]
			for door, text := range map[string]string{"gRPC": a.overGRPC(t, c, m, req), "REST": a.overREST(t, c, m, req)} {
				said++
				shown += a.inspect(t, c, door+" "+short(m), req, text)
			}
		}
	}
	if shown < 100 {
		t.Errorf("%d answers held %d details in all: the test sees nothing", said, shown)
	}
}

// inspect looks for words of every child in an answer, and returns how many there are.
func (a *area) inspect(t *testing.T, c identity.Caller, what string, req proto.Message, answer string) (found int) {
	t.Helper()
	asked := protojson.Format(req)
	if strings.HasSuffix(what, "/RequestContact") {
		asked = "" // an answer that says whom it went to admits that they are there
	} else {
		answer = unsaid(answer, acting(c))
	}
	searching := strings.HasSuffix(what, "SearchChildren")
	for _, s := range a.children {
		for _, w := range s.words {
			if !strings.Contains(answer, w.text) || strings.Contains(asked, w.text) {
				continue
			}
			found++
			if strings.Contains(what, "Access") && !strings.Contains(what, "GetChild") {
				continue // who looked: names of methods and resources, to those who keep watch; see package accesses
			}
			if !a.shows(c, s, w, searching) {
				t.Errorf("%s: %s (%s, %s, %s) is told %q (%v) of the %s child:\n%s", what, identity.RoleText(c.Role), c.Agency,
					identity.PurposeText(c.Purpose), c.OnBehalfOf, w.text, w.category, s.sort, answer)
			}
		}
	}
	return found
}

func (a *area) overGRPC(t *testing.T, c identity.Caller, m protoreflect.MethodDescriptor, req proto.Message) string {
	t.Helper()
	mt, err := protoregistry.GlobalTypes.FindMessageByName(m.Output().FullName())
	if err != nil {
		t.Fatal(err)
	}
	method := "/" + string(m.Parent().FullName()) + "/" + string(m.Name())
	resp := mt.New().Interface()
	if m.IsStreamingServer() {
		return a.streamOverGRPC(t, c, method, mt, req)
	}
	if err := a.conn.Invoke(a.as(t, c), method, req, resp); err != nil {
		if code := status.Code(err); code == codes.Internal || code == codes.Unknown {
			t.Errorf("%s: %v", method, err)
		}
		return fmt.Sprint(status.Convert(err).Proto())
	}
	return protojson.Format(resp)
}

// streamTime is how long streams that do not end are listened to.
const streamTime = time.Second

// streamOverGRPC is what a stream tells at once.
func (a *area) streamOverGRPC(t *testing.T, c identity.Caller, method string, of protoreflect.MessageType, req proto.Message) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(a.as(t, c), streamTime)
	defer cancel()
	stream, err := a.conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true}, method)
	if err == nil {
		err = errors.Join(stream.SendMsg(req), stream.CloseSend())
	}
	var told strings.Builder
	for err == nil {
		m := of.New().Interface()
		if err = stream.RecvMsg(m); err == nil {
			told.WriteString(protojson.Format(m))
		}
	}
	return told.String()
}

func (a *area) overREST(t *testing.T, c identity.Caller, m protoreflect.MethodDescriptor, req proto.Message) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	if m.IsStreamingServer() {
		ctx, cancel = context.WithTimeout(t.Context(), streamTime)
	}
	defer cancel()
	verb, path, body := transcode(t, m, req)
	r, err := http.NewRequestWithContext(ctx, verb, "http://"+a.HTTP+path, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for key, value := range a.headers(t, c) {
		r.Header.Set(key, value)
	}
	r.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(r)
	if err != nil && m.IsStreamingServer() {
		return ""
	}
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil && !m.IsStreamingServer() { // some do not end by themselves
		t.Fatal(err)
	}
	if resp.StatusCode >= 500 && resp.StatusCode != http.StatusNotImplemented || resp.StatusCode == http.StatusNotFound && !bytes.Contains(text, []byte("NOT_FOUND")) {
		t.Errorf("%s %s: %d %s", verb, path, resp.StatusCode, text)
	}
	return string(text)
}

// The answers about a child of whom a caller may see nothing are, byte for byte,
// those about a child that does not exist.
func TestDenialsAreTheSameForNoChild(t *testing.T) {
	t.Parallel()
	a := newArea(t)
	archived := a.children[slices.IndexFunc(a.children, func(s *subject) bool { return s.sort == "archived" })]
	missing := missingChild(t)
	for _, c := range []identity.Caller{
		{Agency: "school-1", Role: irtv1.Role_ROLE_PRACTITIONER, Practitioner: "p1", Purpose: irtv1.Purpose_PURPOSE_SAFEGUARDING},
		{Agency: "charity-1", Role: irtv1.Role_ROLE_AGENCY_SYSTEM, Purpose: irtv1.Purpose_PURPOSE_EARLY_HELP},
		{Agency: "police-1", Role: irtv1.Role_ROLE_AGENCY_SYSTEM, Purpose: irtv1.Purpose_PURPOSE_EMERGENCY, Reason: "now"},
	} {
		for _, m := range disclosing() {
			for _, req := range samples(archived, a.children)[short(m)] {
				other := withChild(req, archived.name, missing)
				if proto.Equal(req, other) || strings.HasPrefix(short(m), "MatchService/MergeChildren") {
					continue // it names no child, or another one too
				}
				for door, call := range map[string]func(proto.Message) string{
					"gRPC": func(req proto.Message) string { return a.overGRPC(t, c, m, req) },
					"REST": func(req proto.Message) string { return a.overREST(t, c, m, req) },
				} {
					if one, none := call(req), call(other); one != none {
						t.Errorf("%s %s: %s, %s: of an archived child\n%s\nof none\n%s", door, short(m), c.Agency, identity.RoleText(c.Role), one, none)
					}
				}
			}
		}
	}
}
