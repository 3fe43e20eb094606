package rpc

import (
	"context"

	rpcstatus "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"

	"irthub/internal/batch"
)

// Submissions answers the requests of a stream in order, each that submits one thing.
// Many are under way at once, but of those with one name each waits for the one before
// it, as there are several who write. One that is refused does not touch the others;
// answer is given why.
func Submissions[Req, Resp, M any](
	stream grpc.BidiStreamingServer[Req, Resp], name func(*Req) string,
	submit func(context.Context, *Req) (M, error), answer func(req *Req, shown M, refused *rpcstatus.Status) *Resp,
) error {
	var turns batch.Turns
	begin := func(ctx context.Context, req *Req) func() *Resp {
		wait, leave := turns.Enter(name(req))
		return func() *Resp {
			defer leave()
			shown, err := Guard(func() (shown M, err error) { // a panic must not end the hub
				if err = wait(ctx); err == nil {
					shown, err = submit(ctx, req)
				}
				return shown, err
			})
			if err != nil {
				return answer(req, shown, PartStatus(ctx, err))
			}
			return answer(req, shown, nil)
		}
	}
	return batch.Ordered(stream.Context(), StreamWindow[Req](), stream.Recv, begin, stream.Send)
}
