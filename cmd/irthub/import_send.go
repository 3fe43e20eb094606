package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	grpcstatus "google.golang.org/grpc/status"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/exchange"
)

const (
	// uploadChunk is how much of a file travels in one message, in bytes.
	uploadChunk = 256 << 10
	// firstWait and longestWait are how long an import that broke off waits before it
	// goes on: twice as long each time, until it has come further.
	firstWait   = time.Second
	longestWait = 20 * time.Second
	// patience is how many times it goes on without having come further.
	patience = 12
)

// send sends the file until its last row is durable. When the hub or the way to it
// breaks off, it waits and goes on from what is acknowledged; nothing is sent twice
// into the index. Faults of the hub it goes by patience times in all, however far it
// comes: a hub that fails at every other row must not be driven through the file.
func (f *importFlags) send(
	ctx context.Context, s streams, client irtv1.ImportServiceClient, header *irtv1.ImportHeader, pause time.Duration,
) (*irtv1.Import, error) {
	file, size, err := f.open()
	if err != nil {
		return nil, err
	}
	defer file.Close()
	header.Size = max(size, 0)
	bar := newBytesBar(s.err, size)
	defer bar.end()
	wait, acknowledged, faults := pause, int32(0), 0
	for tries := 0; ; tries++ {
		done, err := uploadOnce(ctx, client, header, file, bar)
		begun := header.GetImport() != "" || hasReason(err, irtv1.ErrorReason_ERROR_REASON_OVERLOADED) // or there was no room to begin
		if err == nil || !passes(err) || !begun || max(tries, faults) >= patience {
			return done, err
		}
		again, ok := file.(io.Seeker)
		if !ok {
			return nil, err // what came through a pipe is gone
		}
		s.say("irthub: %s; going on in %v", grpcstatus.Convert(err).Message(), wait)
		if err := sleep(ctx, wait); err != nil {
			return nil, err
		}
		if _, err := again.Seek(0, io.SeekStart); err != nil {
			return nil, fmt.Errorf("reading the file again: %w", err)
		}
		bar.reset()
		if grpcstatus.Code(err) == codes.Internal {
			faults++
		}
		wait = min(2*wait, longestWait)
		if got := f.acknowledged(ctx, client, header.GetImport()); got > acknowledged {
			wait, acknowledged, tries = pause, got, 0
		}
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// acknowledged asks how far an import has come; 0 where nobody answers.
func (f *importFlags) acknowledged(ctx context.Context, client irtv1.ImportServiceClient, name string) int32 {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	i, err := client.GetImport(ctx, &irtv1.GetImportRequest{Name: name})
	if err != nil {
		return 0
	}
	return i.GetAcknowledgedRow()
}

// uploadOnce sends the file once, and notes in the header which import it is as soon
// as the hub says so.
func uploadOnce(
	ctx context.Context, client irtv1.ImportServiceClient, header *irtv1.ImportHeader, file io.Reader, bar *bar,
) (*irtv1.Import, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := client.CreateImport(ctx)
	if err != nil {
		return nil, err
	}
	err = stream.Send(&irtv1.CreateImportRequest{Part: &irtv1.CreateImportRequest_Header{Header: header}})
	if err == nil {
		if md, headerErr := stream.Header(); headerErr == nil && len(md.Get(exchange.ImportKey)) == 1 {
			header.Import = md.Get(exchange.ImportKey)[0]
		}
		err = sendChunks(stream, file, bar)
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	return stream.CloseAndRecv() // after io.EOF it says why the hub ended the call
}

func sendChunks(stream grpc.ClientStreamingClient[irtv1.CreateImportRequest, irtv1.Import], file io.Reader, bar *bar) error {
	for {
		chunk := make([]byte, uploadChunk) // the message is handed over, so each needs its own
		n, err := io.ReadFull(file, chunk)
		if n > 0 {
			part := &irtv1.CreateImportRequest_Chunk{Chunk: chunk[:n]}
			if err := stream.Send(&irtv1.CreateImportRequest{Part: part}); err != nil {
				return err
			}
			bar.add(n)
		}
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			return nil
		case err != nil:
			return fmt.Errorf("reading the file: %w", err)
		}
	}
}
