package server_test

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	irtv1 "irthub/gen/irt/v1"
)

// One agency may have so many streams at once, over both doors together. One too many
// is told to come later; other agencies are not.
func TestStreamsOfAnAgencyAreBounded(t *testing.T) {
	t.Parallel()
	h := start(t)
	token := h.token(t, "school-1", irtv1.Role_ROLE_AGENCY_SYSTEM)
	client := irtv1.NewChildServiceClient(h.conn)
	ctx, cancel := context.WithCancel(metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer "+token))
	defer cancel()
	send := func(ctx context.Context) error {
		stream, err := client.SubmitChildRecords(ctx)
		if err != nil {
			return err
		}
		if err := stream.Send(&irtv1.SubmitChildRecordsRequest{ChildRecord: &irtv1.ChildRecord{}}); err != nil {
			return err
		}
		_, err = stream.Recv() // its refusal: the stream is under way, and stays
		return err
	}
	for i := range 128 {
		if err := send(ctx); err != nil {
			t.Fatalf("stream %d: %v", i, err)
		}
	}
	if err := send(ctx); status.Code(err) != codes.ResourceExhausted {
		t.Errorf("one more over gRPC: %v", err)
	}
	code, body := h.rest(t, "POST", "/v1/childRecords:submit", record("1", "a", ""), token, lines)
	if code != http.StatusTooManyRequests || !strings.Contains(string(body), "OVERLOADED") {
		t.Errorf("one more over REST: %d %s", code, body)
	}
	h.one(t, "b") // another agency's single record
	if code, body := h.rest(t, "POST", "/v1/childRecords:submit", "", h.token(t, "gp-1", irtv1.Role_ROLE_AGENCY_SYSTEM), lines); code != http.StatusOK {
		t.Errorf("another agency's stream: %d %s", code, body)
	}
	cancel()
	for code != http.StatusOK { // until they have ended
		if t.Context().Err() != nil {
			t.Fatalf("after the others ended: %d %s", code, body)
		}
		code, body = h.rest(t, "POST", "/v1/childRecords:submit", record("1", "a", ""), token, lines)
	}
}

// The mark of a request is handed back, so it may not be of any length. One that is too
// long ends the stream; what was sent before stands.
func TestMarksOfRequestsAreBounded(t *testing.T) {
	t.Parallel()
	h := start(t)
	token := h.token(t, "school-1", irtv1.Role_ROLE_AGENCY_SYSTEM)
	body := record("1", "a", "") + "\n" + record(strings.Repeat("x", 65), "b", "") + "\n" + record("3", "c", "") + "\n"
	_, answer := h.rest(t, "POST", "/v1/childRecords:submit", body, token, lines)
	all := readLines(t, answer)
	if len(all) != 2 || all[0].reason() != "" || all[1].reason() != "VALIDATION_FAILED" || strings.Contains(string(answer), "xxx") {
		t.Errorf("answered %s", answer)
	}
}
