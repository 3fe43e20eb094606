package identity_test

import (
	"context"
	"log/slog"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/identity"
	"irthub/internal/rpc"
)

// BenchmarkCall is what a call pays for its interceptors, audit apart, once its
// token has been verified; and for the verification.
func BenchmarkCall(b *testing.B) {
	s := setup(b)
	log := slog.New(slog.DiscardHandler)
	call := rpc.UnaryCall(log, rpc.Limits{})
	run := func(ctx context.Context) error {
		_, err := call(ctx, &irtv1.GetChildRequest{Name: "children/x"}, getChildInfo, func(ctx context.Context, req any) (any, error) {
			return s.auth.Unary(ctx, req, getChildInfo, func(ctx context.Context, req any) (any, error) {
				return identity.AuthoriseUnary(ctx, req, getChildInfo, func(ctx context.Context, req any) (any, error) {
					return rpc.UnaryValidate(ctx, req, getChildInfo, func(context.Context, any) (any, error) { return nil, nil })
				})
			})
		})
		return err
	}
	as := func(raw string) context.Context {
		ctx := grpc.NewContextWithServerTransportStream(b.Context(), noTransport{})
		return metadata.NewIncomingContext(ctx, metadata.Pairs("authorization", "Bearer "+raw, "irt-purpose", "AUDIT"))
	}
	b.Run("known token", func(b *testing.B) {
		ctx := as(s.token(b, "st-marys", "", system))
		b.ReportAllocs()
		for b.Loop() {
			if err := run(ctx); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("new token", func(b *testing.B) {
		for b.Loop() {
			b.StopTimer()
			ctx := as(s.token(b, "st-marys", "", system))
			b.StartTimer()
			if err := run(ctx); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// noTransport takes headers and forgets them.
type noTransport struct{}

func (noTransport) Method() string               { return getChildInfo.FullMethod }
func (noTransport) SetHeader(metadata.MD) error  { return nil }
func (noTransport) SendHeader(metadata.MD) error { return nil }
func (noTransport) SetTrailer(metadata.MD) error { return nil }
