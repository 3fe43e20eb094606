package server_test

import (
	"context"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/identity"
)

// Of a request that a sensitive service has, and reads, and declines, the asker's
// view is byte for byte that of a request about a child with whom no such service
// works: over either door, in every answer, list, stream and error. And until the
// service discloses itself nothing says which it is, not even its answer.
func TestABrokeredServiceIsNotToBeSeen(t *testing.T) {
	t.Parallel()
	askers := []identity.Caller{
		{Agency: "charity-1", Role: irtv1.Role_ROLE_PRACTITIONER, Practitioner: "p1", Purpose: irtv1.Purpose_PURPOSE_EARLY_HELP, Reason: "a meeting"},
		{Agency: "social-1", Role: irtv1.Role_ROLE_AGENCY_SYSTEM, Purpose: irtv1.Purpose_PURPOSE_SAFEGUARDING, Reason: "a meeting"},
	}
	with, without := newArea(t), newArea(t)
	for _, c := range askers {
		one := with.brokered(t, c, "sensitive", true)
		none := without.brokered(t, c, "plain", false)
		if len(one) != len(none) || len(one) < 20 {
			t.Fatalf("%d answers with a service, %d without", len(one), len(none))
		}
		for i := range one {
			if one[i] != none[i] {
				t.Errorf("%s: of a child with a sensitive service\n%s\nwithout\n%s", c.Agency, one[i], none[i])
			}
		}
	}
	manager := identity.Caller{Agency: "gp-1", Role: irtv1.Role_ROLE_DATA_MANAGER, Practitioner: "dm", Purpose: irtv1.Purpose_PURPOSE_DATA_QUALITY}
	events, err := irtv1.NewEventServiceClient(with.conn).ListEvents(with.as(t, manager), &irtv1.ListEventsRequest{PageSize: 1000})
	if err != nil || len(events.GetEvents()) == 0 || strings.Contains(events.String(), "CONTACT_") {
		t.Errorf("a data manager is told of contact requests, which would count the services: %v, %v", events, err)
	}
	shielded := with.brokered(t, askers[1], "shielded", true)
	for _, text := range shielded {
		if strings.Contains(text, "Worker") {
			t.Errorf("who works with a shielded child: %s", text)
		}
	}
}

// brokered takes a request from asking to an answer, and gives what the asker is
// told on the way, up to the answer, with names and times made alike.
func (a *area) brokered(t *testing.T, c identity.Caller, sort string, serviced bool) (told []string) {
	t.Helper()
	var s *subject
	for _, one := range a.children {
		if one.sort == sort {
			s = one
		}
	}
	clinic := identity.Caller{Agency: "clinic-1", Role: irtv1.Role_ROLE_PRACTITIONER, Practitioner: "p1", Purpose: irtv1.Purpose_PURPOSE_DIRECT_CARE}
	client := irtv1.NewContactServiceClient(a.conn)
	say := func(text string) {
		if strings.Contains(text, "clinic") { // its id, in every name that is its own
			t.Errorf("%s is told of the %s child: %s", c.Agency, sort, text)
		}
		told = append(told, alike(text, s.name))
	}
	from, err := irtv1.NewEventServiceClient(a.conn).ListEvents(a.as(t, c), &irtv1.ListEventsRequest{PageSize: 1000})
	if err != nil {
		t.Fatal(err)
	}
	look := func(name string) {
		t.Helper()
		for _, call := range []struct {
			method string
			req    proto.Message
		}{
			{"GetContactRequest", &irtv1.GetContactRequestRequest{Name: name}},
			{"ListContactRequests", &irtv1.ListContactRequestsRequest{Parent: "agencies/" + c.Agency, PageSize: 1}},
			{"ListContactRequests", &irtv1.ListContactRequestsRequest{Parent: "agencies/" + c.Agency, Received: true}},
			{"ListContactMessages", &irtv1.ListContactMessagesRequest{Parent: name}},
			{"MarkContactRead", &irtv1.MarkContactReadRequest{Name: name}},
			{"AnswerContactRequest", &irtv1.AnswerContactRequestRequest{Name: name, Text: "x"}},
			{"DeclineContactRequest", &irtv1.DeclineContactRequestRequest{Name: name}},
			{"SendContactMessage", &irtv1.SendContactMessageRequest{Parent: name, Message: &irtv1.ContactMessage{Text: "Are you there?"}}},
		} {
			m := contactMethod(call.method)
			say(a.overGRPC(t, c, m, call.req))
			say(a.overREST(t, c, m, call.req))
		}
	}
	for _, audience := range []irtv1.ContactAudience{1, 2} {
		q, err := client.RequestContact(a.as(t, c), &irtv1.RequestContactRequest{
			Child: s.name, Text: "May we talk?", To: &irtv1.RequestContactRequest_Audience{Audience: audience},
		})
		if err != nil {
			t.Fatal(err)
		}
		say(q.String())
		look(q.GetName())
		if serviced {
			a.serve(t, client, clinic, q.GetName(), audience == 2)
		}
		look(q.GetName())
		a.tellsNothing(t, c, s, from.GetCursor(), say)
		if audience != 1 {
			continue
		}
		if !serviced {
			from = a.after(t, c, from.GetCursor(), irtv1.EventKind_EVENT_KIND_CONTACT_REQUESTED)
			continue
		}
		// With the answer the views part; it says what it says, and not whose it is.
		before := len(told)
		if _, err := client.AnswerContactRequest(a.as(t, clinic), &irtv1.AnswerContactRequestRequest{Name: q.GetName(), Text: "Write to me here."}); err != nil {
			t.Fatal(err)
		}
		look(q.GetName())
		if !strings.Contains(strings.Join(told[before:], ""), "Writetomehere.") {
			t.Error("the answer did not reach the asker")
		}
		told = told[:before]
		if _, err := client.CancelContactRequest(a.as(t, c), &irtv1.CancelContactRequestRequest{Name: q.GetName()}); err == nil {
			t.Error("an answered request is taken back")
		}
		from = a.after(t, c, from.GetCursor(), irtv1.EventKind_EVENT_KIND_CONTACT_ANSWERED)
	}
	return told
}

// serve has the sensitive service read a request, and decline it.
func (a *area) serve(t *testing.T, client irtv1.ContactServiceClient, clinic identity.Caller, name string, decline bool) {
	t.Helper()
	q, err := client.GetContactRequest(a.as(t, clinic), &irtv1.GetContactRequestRequest{Name: name})
	if err != nil || q.GetReason() != "a meeting" || q.GetAsker() == nil {
		t.Fatalf("the service reads %v, %v", q, err)
	}
	if _, err := client.MarkContactRead(a.as(t, clinic), &irtv1.MarkContactReadRequest{Name: name}); err != nil {
		t.Fatal(err)
	}
	if decline {
		if _, err := client.DeclineContactRequest(a.as(t, clinic), &irtv1.DeclineContactRequestRequest{Name: name}); err != nil {
			t.Fatal(err)
		}
	}
}

// tellsNothing has the asker listen to events and read the access log.
func (a *area) tellsNothing(t *testing.T, c identity.Caller, s *subject, cursor string, say func(string)) {
	t.Helper()
	a.after(t, c, cursor, irtv1.EventKind_EVENT_KIND_CONTACT_REQUESTED) // the asker's own
	events := &irtv1.ListEventsRequest{Cursor: cursor}
	file := irtv1.File_irt_v1_event_service_proto.Services().ByName("EventService").Methods()
	watch := &irtv1.WatchRequest{Cursor: cursor}
	for _, text := range []string{
		a.overGRPC(t, c, file.ByName("ListEvents"), events), a.overREST(t, c, file.ByName("ListEvents"), events),
		a.overGRPC(t, c, file.ByName("Watch"), watch), a.overREST(t, c, file.ByName("Watch"), watch), a.serverSent(t, c, cursor),
	} {
		if strings.Contains(text, "clinic") {
			t.Errorf("%s hears %s", c.Agency, text)
		}
		// Streams say signs of life as they please; what counts is which events.
		say(strings.Join(regexp.MustCompile(`EVENT_KIND_CONTACT_[A-Z]+`).FindAllString(text, -1), " "))
	}
	accesses, err := irtv1.NewAuditServiceClient(a.conn).ListAccesses(a.as(t, c), &irtv1.ListAccessesRequest{Parent: s.name})
	if err != nil { // who does not work with the child may not
		return
	}
	for _, one := range accesses.GetAccesses() {
		if strings.Contains(one.GetMethod(), "Contact") && one.GetAgency() != "agencies/"+c.Agency || strings.Contains(one.String(), "clinic") {
			t.Errorf("%s finds in the access log %v", c.Agency, one)
		}
	}
}

// after waits until an asker is told of something, and gives what was told since a
// cursor. Events come a moment after what they tell of.
func (a *area) after(t *testing.T, c identity.Caller, cursor string, kind irtv1.EventKind) *irtv1.ListEventsResponse {
	t.Helper()
	client := irtv1.NewEventServiceClient(a.conn)
	for deadline := time.Now().Add(20 * time.Second); ; {
		got, err := client.ListEvents(a.as(t, c), &irtv1.ListEventsRequest{Cursor: cursor, PageSize: 1000})
		if err != nil || time.Now().After(deadline) {
			t.Fatalf("no event: %v, %v", got, err)
		}
		for _, e := range got.GetEvents() {
			if e.GetKind() == kind {
				return got
			}
		}
	}
}

// serverSent is what a stream of server-sent events tells within a second.
func (a *area) serverSent(t *testing.T, c identity.Caller, cursor string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), streamTime)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+a.HTTP+"/v1/events:watch?cursor="+cursor, nil)
	if err != nil {
		t.Fatal(err)
	}
	for key, value := range a.headers(t, c) {
		r.Header.Set(key, value)
	}
	r.Header.Set("Accept", "text/event-stream")
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return ""
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(resp.Body) // until the time is over
	return string(text)
}

func contactMethod(name string) protoreflect.MethodDescriptor {
	return irtv1.File_irt_v1_contact_service_proto.Services().ByName("ContactService").Methods().ByName(protoreflect.Name(name))
}

// What differs between any two requests: names that the hub gives, times, etags, and
// the spaces that protojson puts in at random.
var differs = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|\d{4}-\d\d-\d\dT[0-9:.]+Z|"(etag|nextPageToken)": *"(\\"|[^"])*"|(etag|seconds|nanos):("\\"[^"]*"|\d+)| `)

func alike(text, child string) string {
	text = strings.ReplaceAll(text, child, "CHILD")
	text = differs.ReplaceAllString(text, "")
	return regexp.MustCompile(`[A-F]q`).ReplaceAllString(text, "Tag")
}
