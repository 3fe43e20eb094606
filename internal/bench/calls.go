package bench

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"

	irtv1 "irthub/gen/irt/v1"
)

// chance is a worker's own source of random numbers.
func chance(worker int) *rand.Rand {
	return rand.New(rand.NewPCG(uint64(worker), rand.Uint64())) //nolint:gosec // which child is asked about next
}

// failing is an operation that could not be made.
func failing(err error) func(context.Context) error {
	return func(context.Context) error { return err }
}

// echo asks the hub's health: a gRPC call that does nothing.
func echo(_ context.Context, l *lab) (operation, error) {
	return func(worker int) func(context.Context) error {
		client := grpc_health_v1.NewHealthClient(l.conn(worker))
		return func(ctx context.Context) error {
			_, err := client.Check(ctx, &grpc_health_v1.HealthCheckRequest{})
			return err
		}
	}, nil
}

// getChild reads children over gRPC, as a practitioner, audited.
func getChild(_ context.Context, l *lab) (operation, error) { return l.getChildOver(l.conns), nil }

// getChildAuditedEach is getChild of a hub that commits each access entry by itself.
func getChildAuditedEach(ctx context.Context, l *lab) (operation, error) {
	err := l.auditEach(ctx)
	return l.getChildOver(l.others), err
}

func (l *lab) getChildOver(conns []*grpc.ClientConn) operation {
	return func(worker int) func(context.Context) error {
		client, r := irtv1.NewChildServiceClient(conns[worker%len(conns)]), chance(worker)
		md, err := l.callers.reader(worker)
		if err != nil {
			return failing(err)
		}
		return func(ctx context.Context) error {
			child := l.children[r.IntN(len(l.children))]
			_, err := client.GetChild(metadata.NewOutgoingContext(ctx, md), &irtv1.GetChildRequest{Name: child.name})
			return err
		}
	}
}

// getChildREST is getChild over REST. The answer is read whole and not parsed.
func getChildREST(_ context.Context, l *lab) (operation, error) {
	return func(worker int) func(context.Context) error {
		r := chance(worker)
		md, err := l.callers.reader(worker)
		if err != nil {
			return failing(err)
		}
		header := overHTTP(md)
		return func(ctx context.Context) error {
			child := l.children[r.IntN(len(l.children))]
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+l.hub.http+"/v1/"+child.name, http.NoBody)
			if err != nil {
				return err
			}
			req.Header = header
			return l.fetch(req)
		}
	}, nil
}

func (l *lab) fetch(req *http.Request) error {
	resp, err := l.web.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("REST answered %s", resp.Status)
	}
	return nil
}

// listInvolvements asks who works with a child with whom ten agencies do.
func listInvolvements(_ context.Context, l *lab) (operation, error) {
	return func(worker int) func(context.Context) error {
		client, r := irtv1.NewInvolvementServiceClient(l.conn(worker)), chance(worker)
		md, err := l.callers.reader(worker)
		if err != nil {
			return failing(err)
		}
		return func(ctx context.Context) error {
			child := l.busy[r.IntN(len(l.busy))]
			resp, err := client.ListInvolvements(metadata.NewOutgoingContext(ctx, md), &irtv1.ListInvolvementsRequest{Parent: child.name})
			if err == nil && len(resp.GetInvolvements()) != len(involved) {
				err = fmt.Errorf("%d involvements were listed in place of %d", len(resp.GetInvolvements()), len(involved))
			}
			return err
		}
	}, nil
}

// searches is how many different searches are made.
const searches = 4096

// searchChildren looks for children of the area by name and date of birth, half of
// the searches with the given name.
func searchChildren(_ context.Context, l *lab) (operation, error) {
	r := chance(0)
	list := make([]*irtv1.SearchChildrenRequest, searches)
	for i := range list {
		n := r.IntN(l.people.taken())
		record := l.people.groupOf(n)[n%group].records[0]
		list[i] = &irtv1.SearchChildrenRequest{FamilyName: record.GetFamilyName(), DateOfBirth: record.GetDateOfBirth()}
		if i%2 == 0 {
			list[i].GivenName = record.GetGivenName()
		}
	}
	return func(worker int) func(context.Context) error {
		client, r := irtv1.NewChildServiceClient(l.conn(worker)), chance(worker)
		md, err := l.callers.reader(worker)
		if err != nil {
			return failing(err)
		}
		return func(ctx context.Context) error {
			_, err := client.SearchChildren(metadata.NewOutgoingContext(ctx, md), list[r.IntN(len(list))])
			return err
		}
	}, nil
}

// submitRecord submits the first record of a child that the hub does not know, each
// as the system of the agency whose record it is.
func submitRecord(_ context.Context, l *lab) (operation, error) {
	return func(worker int) func(context.Context) error {
		client := irtv1.NewChildServiceClient(l.conn(worker))
		return func(ctx context.Context) error {
			record := l.people.stranger().records[0]
			ctx, err := l.callers.as(ctx, agencyOf(record), irtv1.Role_ROLE_AGENCY_SYSTEM)
			if err != nil {
				return err
			}
			resp, err := client.SubmitChildRecord(ctx, &irtv1.SubmitChildRecordRequest{ChildRecord: record})
			if err == nil && resp.GetOutcome() != irtv1.SubmitOutcome_SUBMIT_OUTCOME_CREATED {
				err = fmt.Errorf("a new record was answered with %v", resp.GetOutcome())
			}
			return err
		}
	}, nil
}
