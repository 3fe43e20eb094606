package children

import (
	"context"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/batch"
	"irthub/internal/redact"
	"irthub/internal/rpc"
)

// SubmitChildRecords implements irtv1.ChildServiceServer. Records enter the
// pipeline in the order of the stream, so that a later version of one is not
// overtaken by an earlier one.
func (s *Service) SubmitChildRecords(stream irtv1.ChildService_SubmitChildRecordsServer) error {
	return batch.Ordered(stream.Context(), rpc.StreamWindow[irtv1.SubmitChildRecordsRequest](), stream.Recv, s.beginOne, stream.Send)
}

func (s *Service) beginOne(ctx context.Context, req *irtv1.SubmitChildRecordsRequest) func() *irtv1.SubmitChildRecordsResponse {
	wait := s.begin(ctx, req.GetChildRecord(), SubmitOptions{Strict: req.GetStrict(), ValidateOnly: req.GetValidateOnly()})
	return func() *irtv1.SubmitChildRecordsResponse {
		out := &irtv1.SubmitChildRecordsResponse{RequestId: req.GetRequestId()}
		resp, err := wait()
		if err != nil {
			out.Outcome = &irtv1.SubmitChildRecordsResponse_Error{Error: rpc.PartStatus(ctx, err)}
			return out
		}
		redact.Pass(ctx, resp) // it was sent by who gets it back, or is theirs
		out.Outcome = &irtv1.SubmitChildRecordsResponse_Result{Result: resp}
		return out
	}
}
