package server_test

import (
	"errors"
	"fmt"
	"io"
	"testing"
	"time"

	"google.golang.org/grpc/metadata"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/accesslog"
	"irthub/internal/server"
)

// Who sends nothing over gRPC for longer than patience, and lives, has its answers
// already and costs nobody else anything; it may go on.
func TestFaultSilentSenderOverGRPC(t *testing.T) {
	t.Parallel()
	h := startWith(t, server.Config{Patience: patience})
	ctx := metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer "+h.token(t, "school-1", irtv1.Role_ROLE_AGENCY_SYSTEM))
	stream, err := irtv1.NewChildServiceClient(h.conn).SubmitChildRecords(ctx)
	if err != nil {
		t.Fatal(err)
	}
	sent := 0
	submit := func() {
		t.Helper()
		for range 50 {
			sent++
			if err := stream.Send(&irtv1.SubmitChildRecordsRequest{RequestId: fmt.Sprint(sent), ChildRecord: &irtv1.ChildRecord{
				Name: fmt.Sprint("agencies/school-1/childRecords/p", sent), GivenName: "Ada", FamilyName: "Quill", DateOfBirth: "2015-03-04",
			}}); err != nil {
				t.Fatal(err)
			}
		}
		for n := sent - 49; n <= sent; n++ {
			answer, err := stream.Recv()
			if err != nil || answer.GetRequestId() != fmt.Sprint(n) || answer.GetResult() == nil {
				t.Fatalf("record %d: %v, %v", n, answer, err)
			}
		}
		h.stored(t, "school-1", sent)
	}
	submit()
	for n, end := 0, time.Now().Add(2*patience); time.Now().Before(end); n++ {
		h.one(t, fmt.Sprint("meanwhile-", n))
		<-time.After(shortSilence)
	}
	submit()
	if err := stream.CloseSend(); err != nil {
		t.Fatal(err)
	}
	if answer, err := stream.Recv(); !errors.Is(err, io.EOF) {
		t.Errorf("it ended with %v, %v", answer, err)
	}
	h.whole(t)
}

// stored fails unless an agency has so many records, each in its first version.
func (h *hub) stored(t *testing.T, agency string, want int) {
	t.Helper()
	var records, versions int
	err := h.pool.QueryRow(t.Context(), `SELECT count(*), coalesce(sum(revision), 0) FROM child_records WHERE agency_id = $1`, agency).Scan(&records, &versions)
	if err != nil || records != want || versions != want {
		t.Errorf("%d records in %d versions, want %d: %v", records, versions, want, err)
	}
}

// whole waits until every entry of the access log has its leaf, and fails unless the
// log is whole.
func (h *hub) whole(t *testing.T) {
	t.Helper()
	keys, err := accesslog.LoadKeys(h.data)
	if err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) { //nolint:forbidigo // a wait with a deadline
		report, err := accesslog.Verify(t.Context(), h.pool, keys, accesslog.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if !report.Whole() {
			t.Fatalf("the access log is not whole: %v", report.Faults)
		}
		if report.Waiting == 0 && report.Size > 0 {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%d entries wait for their leaf for a minute", report.Waiting)
		}
	}
}
