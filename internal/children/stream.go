package children

import (
	"context"

	"google.golang.org/grpc/status"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/batch"
	"irthub/internal/redact"
	"irthub/internal/rpc"
)

// StreamWindow is how many submissions of one stream may be in a pipeline at once.
// More would not make batches faster, and would make others wait.
const StreamWindow = 512

// SubmitChildRecords implements irtv1.ChildServiceServer. A later version of a record
// waits until what became of the one before it is known.
func (s *Service) SubmitChildRecords(stream irtv1.ChildService_SubmitChildRecordsServer) error {
	var turns batch.Turns // the pipeline has two workers
	begin := func(ctx context.Context, req *irtv1.SubmitChildRecordsRequest) func() *irtv1.SubmitChildRecordsResponse {
		wait, leave := turns.Enter(req.GetChildRecord().GetName())
		return func() *irtv1.SubmitChildRecordsResponse {
			defer leave()
			out := &irtv1.SubmitChildRecordsResponse{RequestId: req.GetRequestId()}
			resp, err := s.submitAfter(ctx, wait, req)
			if err != nil {
				out.Outcome = &irtv1.SubmitChildRecordsResponse_Error{Error: status.Convert(rpc.Edge(err)).Proto()}
				return out
			}
			redact.Pass(ctx, resp) // it was sent by who gets it back, or is theirs
			out.Outcome = &irtv1.SubmitChildRecordsResponse_Result{Result: resp}
			return out
		}
	}
	return batch.Ordered(stream.Context(), StreamWindow, stream.Recv, begin, stream.Send)
}

func (s *Service) submitAfter(
	ctx context.Context, wait func(context.Context) error, req *irtv1.SubmitChildRecordsRequest,
) (*irtv1.SubmitChildRecordResponse, error) {
	if err := wait(ctx); err != nil {
		return nil, err
	}
	return s.Submit(ctx, req.GetChildRecord(), SubmitOptions{Strict: req.GetStrict(), ValidateOnly: req.GetValidateOnly()})
}
