package exchange_test

import (
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/exchange"
)

// begin begins an upload with a first part of the file, and gives the import's name.
func (h *hub) begin(header *irtv1.ImportHeader, part []byte) (grpc.ClientStreamingClient[irtv1.CreateImportRequest, irtv1.Import], string) {
	h.t.Helper()
	stream, err := h.imports.CreateImport(h.ctx())
	if err != nil {
		h.t.Fatal(err)
	}
	_ = stream.Send(&irtv1.CreateImportRequest{Part: &irtv1.CreateImportRequest_Header{Header: header}})
	_ = stream.Send(&irtv1.CreateImportRequest{Part: &irtv1.CreateImportRequest_Chunk{Chunk: part}})
	md, err := stream.Header()
	if err != nil {
		h.t.Fatal(err)
	}
	if len(md.Get(exchange.ImportKey)) == 0 {
		h.t.Fatalf("the import did not begin: %v", stream.RecvMsg(&irtv1.Import{}))
	}
	return stream, md.Get(exchange.ImportKey)[0]
}

// A sender who lives and sends nothing is let go of, told how to go on, and loses nothing.
func TestFaultSenderStandsStill(t *testing.T) {
	t.Parallel()
	h := newHubWith(t, exchange.Options{Patience: time.Second})
	lines := []string{header}
	for i := range 4000 {
		lines = append(lines, manyChildren(i)) // more than is read ahead
	}
	stream, name := h.begin(h.header(cohort), file(lines[:3500]...))
	ended := make(chan error, 1)
	go func() { ended <- stream.RecvMsg(&irtv1.Import{}) }()
	var err error
	select {
	case err = <-ended:
	case <-time.After(3 * time.Minute):
		t.Fatal("the hub waits for ever")
	}
	if status.Code(err) != codes.DeadlineExceeded || !strings.Contains(err.Error(), name) {
		t.Errorf("the sender is told %v", err)
	}
	still := h.get(name)
	if still.GetState() != irtv1.ImportState_IMPORT_STATE_INTERRUPTED || still.GetAccepted() == 0 {
		t.Errorf("the import is %v", still)
	}
	again := h.header(cohort)
	again.Import = name
	done, err := h.upload(again, file(lines...))
	if err != nil || done.GetState() != irtv1.ImportState_IMPORT_STATE_SUCCEEDED || done.GetAccepted()+done.GetUnchanged() != 4000 {
		t.Errorf("gone on with: %v, %v", done, err)
	}
}

// No time counts against a sender while the hub itself is busy with what it sent.
func TestFaultHubHoldsTheSenderUp(t *testing.T) {
	t.Parallel()
	const patience = 500 * time.Millisecond
	h := newHubWith(t, exchange.Options{Patience: patience})
	lines := []string{header}
	for i := range 4000 {
		lines = append(lines, manyChildren(i))
	}
	tx, err := h.pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), `LOCK TABLE child_records IN EXCLUSIVE MODE`); err != nil {
		t.Fatal(err)
	}
	stream, _ := h.begin(h.header(cohort), file(lines[:3900]...))
	<-time.After(3 * patience)
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	_ = stream.Send(&irtv1.CreateImportRequest{Part: &irtv1.CreateImportRequest_Chunk{Chunk: file(lines[3900:]...)}})
	done, err := stream.CloseAndRecv()
	if err != nil || done.GetAccepted() != 4000 {
		t.Errorf("%v, %v", done, err)
	}
}
