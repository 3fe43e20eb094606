package children

import (
	"context"

	rpcstatus "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/status"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/batch"
	"irthub/internal/redact"
	"irthub/internal/rpc"
)

// StreamWindow is how many submissions of one stream may be in a pipeline at once.
// More would not make batches faster, and would make others wait.
const StreamWindow = 512

// SubmitChildRecords implements irtv1.ChildServiceServer. Records enter the
// pipeline in the order of the stream, so that a later version of one is not
// overtaken by an earlier one.
func (s *Service) SubmitChildRecords(stream irtv1.ChildService_SubmitChildRecordsServer) error {
	return batch.Ordered(stream.Context(), StreamWindow, stream.Recv, s.beginOne, stream.Send)
}

func (s *Service) beginOne(ctx context.Context, req *irtv1.SubmitChildRecordsRequest) func() *irtv1.SubmitChildRecordsResponse {
	wait := s.begin(ctx, req.GetChildRecord(), SubmitOptions{Strict: req.GetStrict(), ValidateOnly: req.GetValidateOnly()})
	return func() *irtv1.SubmitChildRecordsResponse {
		out := &irtv1.SubmitChildRecordsResponse{RequestId: req.GetRequestId()}
		resp, err := wait()
		if err != nil {
			out.Outcome = &irtv1.SubmitChildRecordsResponse_Error{Error: status.Convert(rpc.Edge(err)).Proto()}
			return out
		}
		redact.Pass(ctx, resp) // it was sent by who gets it back, or is theirs
		out.Outcome = &irtv1.SubmitChildRecordsResponse_Result{Result: resp}
		return out
	}
}

// Submissions answers the requests of a stream in order, each that submits one thing
// that hangs on a child. Many are in a pipeline at once, but of those with one name
// each waits for the one before it, as the pipeline has two workers. One that is
// refused does not touch the others; answer is given why.
func Submissions[Req, Resp, M any](
	stream grpc.BidiStreamingServer[Req, Resp], name func(*Req) string,
	submit func(context.Context, *Req) (M, error), answer func(req *Req, shown M, refused *rpcstatus.Status) *Resp,
) error {
	var turns batch.Turns
	begin := func(ctx context.Context, req *Req) func() *Resp {
		wait, leave := turns.Enter(name(req))
		return func() *Resp {
			defer leave()
			var shown M
			err := wait(ctx)
			if err == nil {
				shown, err = submit(ctx, req)
			}
			if err != nil {
				return answer(req, shown, status.Convert(rpc.Edge(err)).Proto())
			}
			return answer(req, shown, nil)
		}
	}
	return batch.Ordered(stream.Context(), StreamWindow, stream.Recv, begin, stream.Send)
}
