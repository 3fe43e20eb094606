package children

import (
	"context"

	"google.golang.org/grpc/status"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/batch"
	"irthub/internal/rpc"
)

// streamWindow is how many records of one stream may be in the pipeline at once.
// More would not make batches faster, and would make others wait.
const streamWindow = 512

// SubmitChildRecords implements irtv1.ChildServiceServer.
func (s *Service) SubmitChildRecords(stream irtv1.ChildService_SubmitChildRecordsServer) error {
	return batch.Ordered(stream.Context(), streamWindow, stream.Recv,
		func(ctx context.Context, req *irtv1.SubmitChildRecordsRequest) *irtv1.SubmitChildRecordsResponse {
			return s.submitOne(ctx, req)
		}, stream.Send)
}

func (s *Service) submitOne(ctx context.Context, req *irtv1.SubmitChildRecordsRequest) *irtv1.SubmitChildRecordsResponse {
	resp, err := s.Submit(ctx, req.GetChildRecord(), SubmitOptions{Strict: req.GetStrict(), ValidateOnly: req.GetValidateOnly()})
	out := &irtv1.SubmitChildRecordsResponse{RequestId: req.GetRequestId()}
	if err != nil {
		out.Outcome = &irtv1.SubmitChildRecordsResponse_Error{Error: status.Convert(rpc.Edge(err)).Proto()}
		return out
	}
	out.Outcome = &irtv1.SubmitChildRecordsResponse_Result{Result: resp}
	return out
}
