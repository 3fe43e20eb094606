package gateway_test

import (
	"context"
	"errors"
	"io"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	irtv1 "irthub/gen/irt/v1"
)

func header() *irtv1.CreateImportRequest {
	return &irtv1.CreateImportRequest{Part: &irtv1.CreateImportRequest_Header{Header: &irtv1.ImportHeader{Parent: "agencies/a"}}}
}

func chunk(b string) *irtv1.CreateImportRequest {
	return &irtv1.CreateImportRequest{Part: &irtv1.CreateImportRequest_Chunk{Chunk: []byte(b)}}
}

// readAll reads an upload to its end.
func readAll(stream grpc.ClientStreamingServer[irtv1.CreateImportRequest, irtv1.Import]) (content []byte, err error) {
	for {
		part, err := stream.Recv()
		if err != nil {
			return content, err
		}
		content = append(content, part.GetChunk()...)
	}
}

// An answer that an interceptor takes back after the handler has sent it, as
// audit does when it cannot record the call, does not reach the caller.
func TestStreamAnswerTakenBack(t *testing.T) {
	t.Parallel()
	conn := newConn(&services{
		createImport: func(s grpc.ClientStreamingServer[irtv1.CreateImportRequest, irtv1.Import]) error {
			_, _ = readAll(s)
			return s.SendAndClose(&irtv1.Import{Name: "disclosed"})
		},
		streamAfter: func(error) error { return status.Error(codes.Unavailable, "not recorded") },
	}, func(call) {})
	stream, err := irtv1.NewImportServiceClient(conn).CreateImport(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	got, err := stream.CloseAndRecv()
	if status.Code(err) != codes.Unavailable || got != nil {
		t.Errorf("got %v, %v; want nothing but UNAVAILABLE", got, err)
	}
}

func TestStream(t *testing.T) {
	t.Parallel()
	conn := newConn(&services{createImport: func(s grpc.ClientStreamingServer[irtv1.CreateImportRequest, irtv1.Import]) error {
		if err := s.SetHeader(metadata.Pairs("irt-import", "name")); err != nil {
			return err
		}
		content, err := readAll(s)
		if !errors.Is(err, io.EOF) {
			return err
		}
		return s.SendAndClose(&irtv1.Import{Rows: int32(len(content))})
	}}, func(call) {})
	var md metadata.MD
	stream, err := irtv1.NewImportServiceClient(conn).CreateImport(t.Context(), grpc.Header(&md))
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range []*irtv1.CreateImportRequest{header(), chunk("abc"), chunk("de")} {
		if err := stream.Send(m); err != nil {
			t.Fatal(err)
		}
	}
	got, err := stream.CloseAndRecv()
	if err != nil || got.GetRows() != 5 || md.Get("irt-import")[0] != "name" {
		t.Errorf("%v, %v, %v; want 5 bytes", got, err, md)
	}
}

// A service that refuses early ends the sending, and its error is what is told.
func TestStreamRefusedEarly(t *testing.T) {
	t.Parallel()
	conn := newConn(&services{createImport: func(grpc.ClientStreamingServer[irtv1.CreateImportRequest, irtv1.Import]) error {
		return status.Error(codes.PermissionDenied, "no")
	}}, func(call) {})
	stream, err := irtv1.NewImportServiceClient(conn).CreateImport(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Send(header()); !errors.Is(err, io.EOF) {
		t.Errorf("sending gave %v, want io.EOF", err)
	}
	if _, err := stream.CloseAndRecv(); status.Code(err) != codes.PermissionDenied {
		t.Errorf("got %v, want PERMISSION_DENIED", err)
	}
}

// A caller who gives up is no end of file to the service: half a file must not
// look like a whole one.
func TestStreamGivenUp(t *testing.T) {
	t.Parallel()
	ended := make(chan error, 1)
	conn := newConn(&services{createImport: func(s grpc.ClientStreamingServer[irtv1.CreateImportRequest, irtv1.Import]) error {
		_, err := readAll(s)
		ended <- err
		return err
	}}, func(call) {})
	ctx, cancel := context.WithCancel(t.Context())
	stream, err := irtv1.NewImportServiceClient(conn).CreateImport(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Send(header()); err != nil {
		t.Fatal(err)
	}
	cancel()
	select {
	case err := <-ended:
		if status.Code(err) != codes.Canceled {
			t.Errorf("the service saw %v, want CANCELLED", err)
		}
	case <-time.After(10 * time.Second):
		t.Error("the service still waits")
	}
	if _, err := stream.CloseAndRecv(); status.Code(err) != codes.Canceled {
		t.Errorf("the caller got %v", err)
	}
}

func TestUnknownMethod(t *testing.T) {
	t.Parallel()
	conn := newConn(&services{}, func(call) {})
	err := conn.Invoke(t.Context(), "/irt.v1.ChildService/Nothing", &irtv1.GetChildRequest{}, &irtv1.Child{})
	if status.Code(err) != codes.Unimplemented {
		t.Errorf("unary: %v", err)
	}
	_, err = conn.NewStream(t.Context(), &grpc.StreamDesc{}, "/irt.v1.ChildService/GetChild")
	if status.Code(err) != codes.Unimplemented {
		t.Errorf("stream: %v", err)
	}
}

// The service may change its request, and the caller its answer, without the
// other seeing it.
func TestMessagesAreCopied(t *testing.T) {
	t.Parallel()
	kept := &irtv1.Child{Carers: []*irtv1.Carer{{Telephone: "kept"}}}
	conn := newConn(&services{getChild: func(_ context.Context, r *irtv1.GetChildRequest) (*irtv1.Child, error) {
		r.Name = "changed"
		return kept, nil
	}}, func(call) {})
	request := &irtv1.GetChildRequest{Name: "children/x"}
	got, err := irtv1.NewChildServiceClient(conn).GetChild(t.Context(), request)
	if err != nil {
		t.Fatal(err)
	}
	got.GetCarers()[0].Telephone = "changed"
	if request.GetName() != "children/x" || kept.GetCarers()[0].GetTelephone() != "kept" {
		t.Errorf("one side's change reached the other: %v, %v", request, kept)
	}
}
