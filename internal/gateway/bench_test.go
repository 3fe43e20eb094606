package gateway_test

import (
	"context"
	"net"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"google.golang.org/protobuf/types/known/timestamppb"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/gateway"
)

type echo struct {
	irtv1.UnimplementedChildServiceServer
}

func (echo) GetChild(_ context.Context, r *irtv1.GetChildRequest) (*irtv1.Child, error) {
	return &irtv1.Child{Name: r.GetName(), GivenName: "Aoife", FamilyName: "O'Neill", DateOfBirth: "2015-03-04",
		NhsNumber: "9990000018", Postcode: "NR1 3JU", AddressLines: []string{"1 Long Street", "Norwich", "Norfolk"},
		School:     &irtv1.DirectoryEntry{Agency: "agencies/school-1", DisplayName: "Wensum Primary School", Kind: irtv1.AgencyKind_AGENCY_KIND_SCHOOL},
		GpPractice: &irtv1.DirectoryEntry{Agency: "agencies/gp-D82001", DisplayName: "Lawson Road Surgery", Telephone: "01603 000000"},
		Carers:     []*irtv1.Carer{{}, {}},
		CreateTime: timestamppb.Now(), UpdateTime: timestamppb.Now(),
		Provenance: []*irtv1.Provenance{
			{Agency: "agencies/school-1", UpdateTime: timestamppb.Now(), Fields: []string{"given_name", "school"}},
			{Agency: "agencies/gp-D82001", UpdateTime: timestamppb.Now(), Fields: []string{"family_name", "nhs_number"}},
			{Agency: "agencies/csc", UpdateTime: timestamppb.Now(), Fields: []string{"postcode", "address_lines"}},
		},
		State: irtv1.ChildState_CHILD_STATE_ACTIVE,
		Etag:  `"abcdef0123456789"`,
	}, nil
}

func interceptors() []grpc.UnaryServerInterceptor {
	one := func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, h grpc.UnaryHandler) (any, error) {
		return h(ctx, req)
	}
	return []grpc.UnaryServerInterceptor{one, one, one, one, one}
}

func BenchmarkUnary(b *testing.B) {
	own := gateway.NewConn(interceptors(), nil)
	irtv1.RegisterChildServiceServer(own, echo{})
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	srv := grpc.NewServer(grpc.ChainUnaryInterceptor(interceptors()...))
	irtv1.RegisterChildServiceServer(srv, echo{})
	go srv.Serve(lis)
	defer srv.Stop()
	dialled, err := grpc.NewClient(lis.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		b.Fatal(err)
	}
	for _, v := range []struct {
		name string
		conn grpc.ClientConnInterface
	}{{"own", own}, {"dialled", dialled}} {
		b.Run(v.name, func(b *testing.B) {
			client := irtv1.NewChildServiceClient(v.conn)
			start := cpu()
			b.ReportAllocs()
			b.SetParallelism(32)
			b.RunParallel(func(p *testing.PB) {
				for p.Next() {
					if _, err := client.GetChild(b.Context(), &irtv1.GetChildRequest{Name: "children/abc"}); err != nil {
						b.Fatal(err)
					}
				}
			})
			b.ReportMetric(float64((cpu()-start).Microseconds())/float64(b.N), "cpu-µs/op")
		})
	}
}

func cpu() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
