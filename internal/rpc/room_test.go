package rpc_test

import (
	"context"
	"log/slog"
	"sync"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	"irthub/internal/rpc"
)

// inStream runs handler as the handler of a stream of an agency.
func inStream(t *testing.T, room *rpc.Room, agency string, handler func(ctx context.Context) error) error {
	t.Helper()
	info := &grpc.StreamServerInfo{FullMethod: "/irt.v1.PlanService/SubmitPlans"}
	return rpc.StreamCall(slog.New(slog.DiscardHandler))(nil, &wordStream{ctx: t.Context()}, info, func(srv any, ss grpc.ServerStream) error {
		rpc.SetAgency(ss.Context(), agency)
		return room.Stream()(srv, ss, info, func(_ any, ss grpc.ServerStream) error { return handler(ss.Context()) })
	})
}

// An agency has so many streams and no more, which costs other agencies nothing, and
// one that ends makes room for another.
func TestAnAgencyHasSoManyStreams(t *testing.T) {
	t.Parallel()
	room := rpc.NewRoom()
	var all sync.WaitGroup
	begun, end := make(chan struct{}), make(chan struct{})
	for range 128 {
		all.Go(func() {
			if err := inStream(t, room, "school", func(context.Context) error {
				begun <- struct{}{}
				<-end
				return nil
			}); err != nil {
				t.Error(err)
			}
		})
		<-begun
	}
	nothing := func(context.Context) error { return nil }
	wantError(t, inStream(t, room, "school", nothing), codes.ResourceExhausted, "OVERLOADED")
	if err := inStream(t, room, "gp", nothing); err != nil {
		t.Errorf("another agency: %v", err)
	}
	end <- struct{}{}
	for inStream(t, room, "school", nothing) != nil { // until it has ended
		if t.Context().Err() != nil {
			t.Fatal("one has ended, and there is no room")
		}
	}
	close(end)
	all.Wait()
}

// What the streams of one agency hold is bounded together; another's is not touched by
// that. Who waits for room gives up with its call, and what was left is there for others.
func TestAnAgencyHoldsSoMuch(t *testing.T) {
	t.Parallel()
	room := rpc.NewRoom()
	const most, piece = 16 << 20, 1<<20 - 4<<10 // 1 MiB with what each costs
	err := inStream(t, room, "school", func(ctx context.Context) error {
		var leave []func()
		for range most / (1 << 20) {
			one, err := rpc.Hold(ctx, piece)
			if err != nil {
				return err
			}
			leave = append(leave, one)
		}
		givesUp, cancel := context.WithCancel(ctx)
		cancel()
		if _, err := rpc.Hold(givesUp, 1); err == nil {
			t.Error("more was held than there is room for")
		}
		if err := inStream(t, room, "gp", func(ctx context.Context) error {
			one, err := rpc.Hold(ctx, 64<<20) // larger than all there is: as much as there is
			if err == nil {
				one()
			}
			return err
		}); err != nil {
			t.Errorf("another agency: %v", err)
		}
		leave[0]()
		one, err := rpc.Hold(ctx, piece)
		if err != nil {
			return err
		}
		one()
		for _, l := range leave[1:] {
			l()
		}
		one, err = rpc.Hold(ctx, most)
		if err == nil {
			one()
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}
